//! Which operation an action stands for: pure functions from the plan and the live VM.
//!
//! Apply carries out what they return, and `plan --commands` prints it.

use super::failure::failure;
use crate::event::Failure;
use crate::guest::{self, Program};
use crate::hypervisor::{ExportEntry, HostOp};
use crate::model::{ActionKind, CloudImage, Digest, Record, RecordState, VmId, noted};
use crate::observed::options::{self, Row};
use crate::observed::{BootDisk, ConfigWrite, VmObserved, with_record};
use crate::plan::{Change, CloneTask, Leftover, Mount, StagedFile, Task, VmPlan};

/// Removes what an interrupted clone left. Only a half-made VM with our own record loses volumes it does not name.
pub(super) fn remove_leftover(vm: VmId, leftover: Leftover) -> HostOp {
    HostOp::RemoveLeftover { vm, unreferenced: leftover == Leftover::HalfMade }
}

/// The clone, which carries our record from its first moment.
pub(super) fn clone(vm: VmId, source: VmId, task: &Task, plan: &CloneTask) -> Result<HostOp, Failure> {
    Ok(HostOp::Clone {
        source,
        target: vm,
        name: task.desired.vm_name.clone(),
        description: first_notes(vm, task)?,
        storage: plan.storage.clone(),
    })
}

/// The write that takes a VM over: the record in its notes, and nothing else.
pub(super) fn adopt(record: &Record, live: &VmObserved) -> Result<ConfigWrite, Failure> {
    let mut write = ConfigWrite::default();
    let notes = with_record(&live.notes, record).map_err(|error| failure(error.to_string(), None))?;
    write.set.insert("description".to_owned(), notes);
    Ok(write)
}

/// The VM that an image is imported into, which carries our record from its first moment, too.
pub(super) fn create(vm: VmId, task: &Task) -> Result<HostOp, Failure> {
    Ok(HostOp::Create { vm, name: task.desired.vm_name.clone(), description: first_notes(vm, task)? })
}

/// Gives a VM the image as its disk.
pub(super) fn import_disk(vm: VmId, image: &CloudImage, task: &Task, digest: Digest) -> HostOp {
    HostOp::ImportDisk { vm, image: image.clone(), storage: task.desired.boot_disk_storage.clone(), digest }
}

/// What a VM's record says from its first moment.
pub(super) fn first_record(vm: VmId, task: &Task) -> Record {
    Record { is_template: task.record.is_template, ..Record::creating(&task.record.project, vm) }
}

fn first_notes(vm: VmId, task: &Task) -> Result<String, Failure> {
    with_record(&task.desired.description, &first_record(vm, task)).map_err(|error| failure(error.to_string(), None))
}

/// The one write of what the plan shows, and of nothing else; of a VM that is being made, of everything that the file
/// says, and its record gets its uuid. A cloud-init drive that has to be added gets this volume, if there is one already.
pub(super) fn config_write(
    vm: &VmPlan,
    task: &Task,
    live: &VmObserved,
    volume: Option<&str>,
) -> Result<ConfigWrite, Failure> {
    let shown = |row: &&'static Row| {
        let changes = &vm.changes;
        task.fresh || changes.iter().flat_map(Change::rows).any(|of| std::ptr::eq(of, *row))
    };
    let named = live.record.valid().filter(|record| record.state == RecordState::Creating).map(|record| Record {
        state: RecordState::Setup,
        uuid: live.uuid.clone(),
        template: task.record.template.clone(),
        image: task.record.image.clone(),
        ..record.clone()
    });
    let write = |record| {
        let rows = options::rows().filter(|row| row.step == ActionKind::Configure).filter(shown);
        options::render(rows, (&task.desired, live, task.fresh), volume, record)
            .map_err(|error| failure(error.to_string(), None))
    };
    let plain = write(named.as_ref())?;
    let Some(record) = live.record.valid().filter(|_| named.is_none() && !plain.is_empty()) else { return Ok(plain) };
    let mut record = record.clone();
    unsettle(&mut record, task);
    record.card |= plain.set.contains_key("net0");
    write(Some(&record))
}

/// Forgets of what was applied what is about to change: it counts as applied when the record says so in the end,
/// wherever that is interrupted.
pub(super) fn unsettle(record: &mut Record, task: &Task) {
    record.applied.retain(|key, value| task.record.applied.get(key) == Some(value));
}

/// What the record says before a disk grows: whoever comes after a death must know that the size is phoenix's own doing,
/// and whether the guest has not seen it yet.
pub(super) fn about_to_grow(record: &mut Record, vm: &VmPlan, task: &Task) {
    unsettle(record, task);
    record.grow |= vm.actions.iter().any(|action| action.kind == ActionKind::GrowFilesystem);
}

/// Grows the boot disk to its absolute size.
pub(super) fn resize(vm: VmId, task: &Task, disk: &BootDisk) -> HostOp {
    HostOp::Resize { vm, disk: disk.device.clone(), size_gb: task.desired.boot_disk_size_gb }
}

/// Moves the boot disk to where it is wished.
pub(super) fn move_disk(vm: VmId, task: &Task, disk: &BootDisk, digest: &Digest) -> HostOp {
    HostOp::MoveDisk {
        vm,
        disk: disk.device.clone(),
        storage: task.desired.boot_disk_storage.clone(),
        delete_source: task.delete_source,
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

/// Exports every directory that the target serves to the VM's address; none is left where it serves none.
pub(super) fn write_exports(vm: VmId, task: &Task, client: &str) -> HostOp {
    let served = task.mounts.iter().filter(|mount| mount.served);
    let entries = served.map(|mount| ExportEntry { path: mount.export.clone(), client: client.to_owned() }).collect();
    HostOp::WriteExports { vm, entries }
}

/// Forgets that volumes of the target are mounted: they are exported to another address from now on, and count as mounted
/// when the guest has been seen to have them.
pub(super) fn forget_served(record: &mut Record, task: &Task) {
    for mount in task.mounts.iter().filter(|mount| mount.served) {
        record.volumes.remove(&mount.mount_point);
    }
}

/// The programs that put scripts, utilities and context into the channel, in order.
pub(super) fn stage(task: &Task, limit: usize) -> Result<Vec<Program>, Failure> {
    let Some(channel) = task.mounts.iter().find(|mount| mount.channel) else {
        return Err(failure("the plan does not say where the scripts go", None));
    };
    let files: Vec<(&str, &str)> =
        task.files.iter().map(|StagedFile { name, content, .. }| (name.as_str(), content.as_ref())).collect();
    guest::stage(&channel.guest_scripts(), &channel.source(), &files, limit)
        .map_err(|problem| failure(problem.to_string(), None))
}

/// The program that mounts a volume. The scripts' one, and one that the target serves, has to prove that what is written
/// there arrives; what a server elsewhere lets the guest do with plain data is the server's business.
pub(super) fn mount(mount: &Mount) -> Program {
    guest::mount(&mount.source(), &mount.mount_point, mount.channel || mount.served)
}

/// Notes in the record that a feature's script ran; so what it ran from is mounted and staged.
pub(super) fn feature_ran(record: &mut Record, task: &Task, name: &str, digest: &str) {
    record.features.insert(name.to_owned(), noted(digest).to_owned());
    record.volumes.extend(task.record.volumes.clone());
    record.staged.clone_from(&task.record.staged);
    record.applied.clone_from(&task.record.applied);
}
