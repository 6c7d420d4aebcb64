//! Which operation an action stands for: pure functions from the plan and the live VM.
//!
//! Apply carries out what they return, and `plan --commands` prints it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::failure::failure;
use crate::event::Failure;
use crate::guest::{self, Program};
use crate::hypervisor::{ExportEntry, FileOp, HostOp, NewDisk};
use crate::model::{ActionKind, DesiredVm, Digest, Formatted, Record, RecordState, VmId, noted};
use crate::observed::options::{self, Row};
use crate::observed::{BootDisk, ConfigWrite, RecordFound, VmObserved, tags_of, with_record, without_record};
use crate::plan::{
    CloneStep, ConfigureStep, FeatureStep, FormatStep, ImageStep, ImportStep, Leftover, Mount, MoveStep, ResizeStep,
    StageStep, StagedFile,
};

/// Removes what an interrupted clone left. Only a half-made VM with our own record loses volumes it does not name.
pub(super) fn remove_leftover(vm: VmId, leftover: Leftover) -> HostOp {
    HostOp::RemoveLeftover { vm, unreferenced: leftover == Leftover::HalfMade }
}

/// The clone, which carries our record from its first moment.
pub(super) fn clone(vm: VmId, step: &CloneStep) -> Result<HostOp, Failure> {
    Ok(HostOp::Clone {
        source: step.source,
        target: vm,
        name: step.desired.vm_name.clone(),
        description: first_notes(vm, &step.desired, &step.record)?,
        storage: step.storage.clone(),
        node: step.node.clone(),
    })
}

/// The write that takes a VM over: the record in its notes, and nothing else.
pub(super) fn adopt(record: &Record, live: &VmObserved) -> Result<ConfigWrite, Failure> {
    let mut write = ConfigWrite::default();
    let notes = with_record(&live.notes, record).map_err(|error| failure(error.to_string(), None))?;
    write.set.insert("description".to_owned(), notes);
    Ok(write)
}

/// The write that gives a VM up: its record goes from the notes and this tag off the VM, and nothing else. Empty: both
/// are gone.
pub(super) fn forget(tag: Option<&str>, live: &VmObserved) -> Result<ConfigWrite, Failure> {
    let mut write = ConfigWrite::default();
    let mut put = |option: &str, value: String| {
        if value.is_empty() {
            write.delete.insert(option.to_owned());
        } else {
            write.set.insert(option.to_owned(), value);
        }
    };
    if live.record != RecordFound::None {
        put("description", without_record(&live.notes).map_err(|error| failure(error.to_string(), None))?);
    }
    let tags = live.options.get("tags").unwrap_or_default();
    let all: Vec<&str> = tags_of(tags).collect();
    let kept: Vec<&str> =
        all.iter().copied().filter(|own| tag.is_none_or(|tag| !own.eq_ignore_ascii_case(tag))).collect();
    if kept.len() < all.len() {
        put("tags", kept.join(";"));
    }
    Ok(write)
}

/// The VM that an image is imported into, which carries our record from its first moment, too.
pub(super) fn create(vm: VmId, step: &ImageStep) -> Result<HostOp, Failure> {
    let description = first_notes(vm, &step.desired, &step.record)?;
    Ok(HostOp::Create { vm, name: step.desired.vm_name.clone(), description })
}

/// Gives a VM the image as its disk.
pub(super) fn import_disk(vm: VmId, step: &ImageStep, digest: Digest) -> HostOp {
    HostOp::ImportDisk { vm, image: step.image.clone(), storage: step.desired.boot_disk_storage.clone(), digest }
}

/// Gives a VM the image as a further disk.
pub(super) fn import_further(vm: VmId, step: &ImportStep, digest: Digest) -> HostOp {
    let ImportStep { slot, image, storage, options, .. } = step;
    let disk = NewDisk { slot: (*slot).to_owned(), storage: storage.clone(), options: options.clone() };
    HostOp::ImportFurther { vm, image: image.clone(), disk, digest }
}

/// Notes that a further disk is about to be made as a copy of an image, which is never formatted. What was in its slot
/// before is forgotten as by a write that makes a disk.
pub(super) fn imports(record: &mut Record, step: &ImportStep) {
    let slot = step.slot.to_owned();
    unsettle(record, &step.record);
    record.imported.insert(slot.clone(), step.image.name());
    record.attached.insert(slot.clone());
    if let Some(disk) = record.filesystems.remove(&slot).filter(|disk| !disk.at.is_empty()) {
        record.volumes.insert(disk.at.clone(), disk.source());
    }
    record.made.insert(slot);
}

/// The notes of a VM that is made, whose record says `last` in the end.
fn first_notes(vm: VmId, desired: &DesiredVm, last: &Record) -> Result<String, Failure> {
    let first = Record { is_template: last.is_template, ..Record::creating(&last.project, vm) };
    with_record(&desired.description, &first).map_err(|error| failure(error.to_string(), None))
}

/// The one write of what the plan shows, and of nothing else; of a VM that is being made, of everything that the file
/// says, and its record gets its uuid. A cloud-init drive that has to be added gets this volume, if there is one
/// already.
pub(super) fn config_write(
    step: &ConfigureStep,
    live: &VmObserved,
    volume: Option<&str>,
) -> Result<ConfigWrite, Failure> {
    let fresh = step.values.is_none();
    let desired = &step.desired;
    let other_card = live.net0.as_ref().is_some_and(|net| net.model != desired.network_model.as_str());
    let named = live.record.valid().filter(|record| record.state == RecordState::Creating).map(|record| Record {
        state: RecordState::Setup,
        uuid: live.uuid.clone(),
        template: step.record.template.clone(),
        image: step.record.image.clone(),
        made: step.record.made.clone(),
        attached: step.record.attached.clone(),
        imported: step.record.imported.clone(),
        card: record.card || (other_card && desired.asks_agent() && !desired.is_template),
        ..record.clone()
    });
    let write = |record| {
        let rows: Vec<&'static Row> = if let Some(rows) = &step.values {
            rows.0.clone()
        } else {
            let rows = options::rows_for(&step.desired, Some(live));
            rows.filter(|row| row.applied_by(&step.desired, Some(live)) == ActionKind::Configure).collect()
        };
        options::render(rows.into_iter(), (&step.desired, live, fresh), volume, record)
            .map_err(|error| failure(error.to_string(), None))
    };
    let plain = write(named.as_ref())?;
    if let Some(named) = &named {
        let mut named = named.clone();
        not_there_yet(&mut named, live);
        note_password(&mut named, &plain, &step.record);
        return write(Some(&named));
    }
    let Some(record) = live.record.valid().filter(|_| !plain.is_empty()) else { return Ok(plain) };
    let mut record = record.clone();
    unsettle(&mut record, &step.record);
    record.made.clone_from(&step.record.made);
    record.attached.clone_from(&step.record.attached);
    record.imported.clone_from(&step.record.imported);
    not_there_yet(&mut record, live);
    set_aside(&mut record, &plain, live);
    note_password(&mut record, &plain, &step.record);
    record.card |= plain.set.contains_key("net0");
    write(Some(&record))
}

/// Takes copies of images that are not made yet out of what a record says of the VM's disks: the step that makes one
/// writes that.
fn not_there_yet(record: &mut Record, live: &VmObserved) {
    let absent: Vec<String> = record.imported.keys().filter(|slot| live.options.get(slot).is_none()).cloned().collect();
    for slot in &absent {
        not_imported(record, slot);
    }
}

/// Takes a copy of an image that was not made out of what a record says of the VM's disks.
pub(super) fn not_imported(record: &mut Record, slot: &str) {
    record.made.remove(slot);
    record.attached.remove(slot);
    record.imported.remove(slot);
}

/// Notes the password in the write that sets it: what it was set to, nothing else tells.
fn note_password(record: &mut Record, write: &ConfigWrite, last: &Record) {
    if !write.set.contains_key(options::PASSWORD_OPTION) {
        return;
    }
    if let Some(digest) = last.applied.get(options::PASSWORD) {
        record.applied.insert(options::PASSWORD, digest);
    }
}

/// Forgets the file systems of disks that a write detaches, or makes anew in a slot that is empty. What the guest still
/// has of one in its `/etc/fstab` is noted as a volume that is no longer declared.
fn set_aside(record: &mut Record, write: &ConfigWrite, live: &VmObserved) {
    let gone = |slot: &String| {
        let is_new = || write.set.contains_key(slot) && live.options.get(slot).is_none();
        write.delete.contains(slot) || is_new()
    };
    let slots: Vec<String> = record.filesystems.keys().filter(|slot| gone(slot)).cloned().collect();
    for disk in slots.iter().filter_map(|slot| record.filesystems.remove(slot)) {
        if !disk.at.is_empty() {
            record.volumes.insert(disk.at.clone(), disk.source());
        }
    }
}

/// The file system that a disk is to get, before it is begun. Its uuid is made from what names the disk, so that it is
/// no secret and no accident; `None`: the VM has no such disk, or no uuid.
pub(super) fn filesystem(step: &FormatStep, live: &VmObserved) -> Option<Formatted> {
    let volume = live.volumes.iter().find(|volume| volume.device == step.slot)?;
    let name = volume.volume.split_once(':').map_or("", |(_, name)| name);
    let uuid = Formatted::uuid_of(live.uuid.as_deref()?, step.slot, &volume.volume);
    // A disk that is only imagined, as `STORAGE:GIB`, has none yet.
    let imagined = name.bytes().all(|byte| byte.is_ascii_digit());
    let uuid = if imagined { format!("<uuid on {}>", step.slot) } else { uuid };
    Some(Formatted { filesystem: step.filesystem, uuid, begun: true, at: String::new(), grow: false })
}

/// Forgets of what was applied what is about to change: it counts as applied when the record says `last` in the end,
/// wherever that is interrupted.
pub(super) fn unsettle(record: &mut Record, last: &Record) {
    record.applied.retain(|key, value| last.applied.get(key) == Some(value));
}

/// Forgets of what was applied what a move or a growth is about to change. What the write of the options changes, which
/// may come after it, is still known then. `moving`: the slot of a further disk whose move begins, which is noted.
pub(super) fn unsettle_disks(record: &mut Record, last: &Record, moving: Option<&str>) {
    let begins = moving.filter(|_| !record.applied.is_empty()).map(options::storage_key);
    let begins = begins.filter(|key| record.applied.get(key) != last.applied.get(key));
    let disks = options::rows_in(record).filter(|row| row.step != ActionKind::Configure);
    let disks: BTreeSet<&str> = disks.map(Row::applied_as).collect();
    record.applied.retain(|key, value| !disks.contains(key) || last.applied.get(key) == Some(value));
    if let Some(key) = begins {
        record.applied.insert(&key, "");
    }
}

/// Grows a disk to its absolute size.
pub(super) fn resize(vm: VmId, step: &ResizeStep, disk: &BootDisk) -> HostOp {
    HostOp::Resize { vm, disk: disk.device.clone(), size_gb: step.size_gb }
}

/// Moves a disk to its storage.
pub(super) fn move_disk(vm: VmId, step: &MoveStep, disk: &BootDisk, digest: &Digest) -> HostOp {
    HostOp::MoveDisk {
        vm,
        disk: disk.device.clone(),
        storage: step.storage.clone(),
        delete_source: step.delete_source,
        digest: digest.clone(),
    }
}

/// Makes a template of a VM; of one that is marked as one already, of the first disk that is left.
pub(super) fn template(vm: VmId, live: &VmObserved) -> HostOp {
    let disk = live.unconverted().next().filter(|_| live.template).map(ToOwned::to_owned);
    HostOp::Template { vm, disk, digest: live.digest.clone() }
}

/// A snapshot that carries the record of its time.
pub(super) fn snapshot(vm: VmId, name: &str, record: &Record, digest: &Digest) -> Result<HostOp, Failure> {
    let description = with_record("taken by phoenix before a change", record);
    let description = description.map_err(|error| failure(error.to_string(), None))?;
    Ok(HostOp::Snapshot { vm, name: name.to_owned(), description, digest: digest.clone() })
}

/// Exports the directories of these volumes to the VM's address.
pub(super) fn write_exports(vm: VmId, served: &[Arc<Mount>], client: &str) -> FileOp {
    let entry = |mount: &Arc<Mount>| ExportEntry { path: mount.export.clone(), client: client.to_owned() };
    FileOp::WriteExports { vm, entries: served.iter().map(entry).collect() }
}

/// The programs that put scripts, utilities and context into the channel, in order.
pub(super) fn stage(step: &StageStep, limit: usize) -> Result<Vec<Program>, Failure> {
    let files: Vec<(&str, &str)> =
        step.files.iter().map(|StagedFile { name, content, .. }| (name.as_str(), content.as_ref())).collect();
    guest::stage(&step.channel.guest_scripts(), &step.channel.source(), &files, limit)
        .map_err(|problem| failure(problem.to_string(), None))
}

/// The program that mounts a volume. The scripts' one, and one that the target serves, has to prove that what is
/// written there arrives; what a server elsewhere lets the guest do with plain data is the server's business.
pub(super) fn mount(mount: &Mount) -> Program {
    guest::mount(&mount.source(), &mount.mount_point, mount.channel || mount.served)
}

/// Notes in the record that a feature's script ran; so what it ran from is mounted and staged.
pub(super) fn feature_ran(record: &mut Record, step: &FeatureStep) {
    record.features.insert(step.name.to_string(), noted(&step.digest).to_owned());
    record.volumes.extend(step.record.volumes.clone());
    record.staged.clone_from(&step.record.staged);
    record.own_disk = step.record.own_disk;
    record.applied.clone_from(&step.record.applied);
}
