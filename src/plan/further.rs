//! Further disks: what must hold of them before anything is done, which of them grow, and which move.

use std::collections::BTreeMap;

use serde_json::Value;

use super::words::known_words;
use super::{Scene, attached, cards, codes, imported, moving, placement};
use crate::diag::Diagnostic;
use crate::model::proxmox::{self, DISKS, holds_state};
use crate::model::{DesiredVm, Disk, Disruption, GIB, Record, RecordState};
use crate::observed::options::{fills_last, gib};
use crate::observed::{BootDisk, Node, Observed, VmObserved, VmVolume};

/// The VM as it is, or the template that it becomes a copy of.
fn base<'s>(vm: &DesiredVm, record: Option<&Record>, scene: &Scene<'s>) -> Option<&'s VmObserved> {
    let whole = record.is_some_and(|record| record.state != RecordState::Creating);
    let live = scene.observed.vms.get(&vm.vm_id).filter(|live| whole || !live.volumes.is_empty());
    live.or_else(|| cards::template(vm, scene))
}

/// The volume in a slot.
fn volume<'v>(slot: &str, base: &'v VmObserved) -> Option<&'v VmVolume> {
    base.volumes.iter().find(|volume| volume.device == slot)
}

/// Disks that are there and smaller than the file says: the slot, and the size in GiB.
pub(super) fn growing<'v>(vm: &'v DesiredVm, record: &Record, scene: &Scene<'v>) -> Vec<(&'static str, u32)> {
    let base = base(vm, Some(record), scene);
    let grows = |(slot, disk): (&&'static str, &Disk)| {
        let size = volume(slot, base?)?.size?;
        let fills = |wanted: u32| base.is_some_and(|base| fills_last(wanted, Some(size), vm, base));
        disk.size_gb.filter(|wanted| u64::from(*wanted) * GIB > size && !fills(*wanted)).map(|wanted| (*slot, wanted))
    };
    vm.disks.iter().filter_map(grows).collect()
}

/// Disks that are there and lie on another storage than the file says: the slot, the storage that it moves to, and what
/// that costs. What a full clone copies of its template lies where its boot disk does.
pub(super) fn moving<'v>(
    vm: &'v DesiredVm,
    record: &Record,
    scene: &Scene<'v>,
) -> Vec<(&'static str, &'v str, Disruption)> {
    let Some(base) = base(vm, Some(record), scene) else { return Vec::new() };
    let is_made = base.id != vm.vm_id;
    let moves = |(slot, disk): (&&'static str, &'v Disk)| {
        let volume = volume(slot, base).filter(|_| !holds_state(slot))?;
        let lies = attached::storage(&volume.volume);
        let lies = if is_made && vm.full_clone { vm.boot_disk_storage.as_str() } else { lies };
        let cost = if base.running && !is_made { Disruption::Live } else { Disruption::None };
        (lies != disk.storage).then_some((*slot, disk.storage.as_str(), cost))
    };
    vm.disks.iter().filter_map(moves).collect()
}

/// Room that new, growing and moving disks need, in bytes, by storage.
pub(super) fn room<'v>(vm: &'v DesiredVm, observed: &'v Observed) -> impl Iterator<Item = (&'v str, u64)> {
    let live = observed.vms.get(&vm.vm_id);
    let need = move |(slot, disk): (&&str, &'v Disk)| {
        let there = live.and_then(|live| volume(slot, live));
        let unused = || attached::size(disk.volume.as_deref()?, observed);
        let wanted = u64::from(disk.size_gb.unwrap_or(0)) * GIB;
        let need = match there {
            Some(there) if attached::storage(&there.volume) != disk.storage => wanted.max(there.size.unwrap_or(0)),
            there => wanted.saturating_sub(there.and_then(|there| there.size).or_else(unused).unwrap_or(0)),
        };
        (disk.storage.as_str(), need)
    };
    vm.disks.iter().map(need)
}

/// Says of a disk that the VM had at the last apply, and that another process or an administrator detached, what
/// becomes of it, and how it comes back. One with a file system has a problem of its own.
fn taken_out((slot, disk): (&str, &Disk), key: &str, live: &VmObserved) -> Option<(String, String)> {
    let record = live.record.valid()?;
    let had = record.applied.iter().any(|(applied, value)| {
        let rest = applied.strip_prefix(key).filter(|rest| rest.is_empty() || rest.starts_with('.'));
        rest.is_some() && !value.is_empty()
    });
    let gone = live.options.get(slot).is_none() && !live.pending.contains_key(slot);
    let mut unused = live.volumes.iter().filter(|volume| volume.device.starts_with("unused"));
    let first = unused.next().filter(|_| had && gone && disk.volume.is_none() && disk.mount.is_none())?;
    let volume = if unused.next().is_none() { first.volume.as_str() } else { "VOLUME" };
    let what = format!("{slot} was detached outside phoenix: a new disk in its place would be empty");
    let hint = format!(
        "attach its volume again: `qm set {} --{slot} {volume}`; to begin with an empty disk, take {slot} out of the file, \
         apply, and declare it again",
        live.id
    );
    Some((what, hint))
}

/// What stands in the way of the further disks of a VM. `live`: the VM, where it exists.
pub(super) fn disks(vm: &DesiredVm, live: Option<&VmObserved>, scene: &Scene<'_>) -> Vec<Diagnostic> {
    let node = scene.node(vm.vm_id);
    let on = placement::on(node, scene.observed);
    let base = live.or_else(|| cards::template(vm, scene));
    let mut found = Vec::new();
    for (slot, disk) in &vm.disks {
        let Some(option) = proxmox::disk(slot) else { continue };
        let mut problem = |code: &'static str, what: String, hint: String| {
            found.push(Diagnostic::error(code, what).vm(vm.vm_id).about(option.key).hint(hint));
        };
        let boots = base.and_then(|base| base.boot_disk.as_ref()).map_or("scsi0", |disk| disk.device.as_str());
        if boots == *slot {
            let what = format!("{slot} is the boot disk");
            problem(
                codes::DISK_SLOT,
                what,
                "`boot_disk_size_gb`, `boot_disk_storage` and `boot_disk_options` say it".to_owned(),
            );
            continue;
        }
        // Another disk would be made beside the one that is on its way out.
        let leaves = live.and_then(|live| live.pending.get(*slot)).is_some_and(|change| change.pending.is_none());
        if leaves {
            let what = format!("{slot} is to be detached when the VM restarts: no disk can be made there before");
            let hint = format!("restart it first; or keep the disk: `qm set {} --revert {slot}`", vm.vm_id);
            problem(codes::DISK_SLOT, what, hint);
            continue;
        }
        let drive = base.and_then(|base| base.options.get(slot)).filter(|text| text.contains("media=cdrom"));
        if drive.is_some() || (base.is_none() && *slot == "ide2") {
            problem(
                codes::DISK_SLOT,
                format!("{slot} holds a CD-ROM or the cloud-init drive"),
                "take another slot".to_owned(),
            );
            continue;
        }
        if let Some((what, hint)) = live.and_then(|live| taken_out((slot, disk), option.key, live)) {
            problem(codes::DISK_SLOT, what, hint);
            continue;
        }
        if let Some((live, volume)) = live.and_then(|live| Some((live, volume(slot, live)?))) {
            there(slot, disk, volume, live, &mut problem);
            found.extend(made_once((slot, disk), live).map(|problem| problem.vm(vm.vm_id).about(option.key)));
            let moved = moved(vm, (slot, disk), live, scene).into_iter();
            found.extend(moved.map(|problem| problem.vm(vm.vm_id).about(option.key)));
        } else if let Some((what, hint)) = unusable(&disk.storage, node, &on) {
            problem(codes::UNUSABLE_STORAGE, what, hint);
        } else if let Some(wrong) = imported::problem(vm, (*slot, disk), live, scene) {
            found.push(wrong.vm(vm.vm_id).about(option.key));
        } else if let Some((code, what, hint)) = attached::problem(vm, (slot, disk), live, scene) {
            problem(code, what, hint);
        }
    }
    found.extend(live.into_iter().flat_map(|live| detached(vm, live)));
    found
}

/// Why a storage takes no disk, and the way out. `on`: the words for its node.
fn unusable(storage: &str, node: &Node, on: &str) -> Option<(String, String)> {
    match node.storages.get(storage) {
        Some(found) if found.images && found.active => None,
        Some(_) => {
            let what = format!("storage `{storage}`{on} takes no disks of VMs, or is not active");
            Some((what, "name another one in `storage`".to_owned()))
        }
        None => {
            let usable = node.storages.iter().filter(|(_, s)| s.images && s.active);
            let known: Vec<&str> = usable.map(|(id, _)| id.as_str()).collect();
            let what = format!("there is no storage `{storage}`{on}");
            Some((what, known_words("storages for disks", storage, &known)))
        }
    }
}

/// What stands in the way of a disk that is to move, or is to be known of it; nothing of one that stays.
fn moved(vm: &DesiredVm, (slot, disk): (&str, &Disk), live: &VmObserved, scene: &Scene<'_>) -> Vec<Diagnostic> {
    let there = live.options.get(slot).and_then(|text| BootDisk::parse(slot, text));
    // Another volume than the file names does not move.
    let there = there.filter(|there| disk.volume.as_ref().is_none_or(|volume| *volume == there.volume));
    let Some(there) = there.filter(|there| there.storage != disk.storage) else { return Vec::new() };
    let back = format!("give it `\"storage\": \"{}\"`", there.storage);
    if holds_state(slot) {
        let what = format!(
            "{slot} lies on `{}`, the file says `{}`: phoenix does not move what firmware or a TPM remembers",
            there.storage, disk.storage
        );
        return vec![Diagnostic::error(codes::DISK_ELSEWHERE, what).hint(back)];
    }
    let node = scene.node(vm.vm_id);
    let unusable = unusable(&disk.storage, node, &placement::on(node, scene.observed));
    let unusable = unusable.map(|(what, hint)| Diagnostic::error(codes::UNUSABLE_STORAGE, what).hint(hint));
    unusable.into_iter().chain(moving::problems(vm, live, (&there, &back), scene)).collect()
}

/// Says that a disk of firmware or of a TPM is of another kind than the file says: that is settled when it is made.
fn made_once((slot, disk): (&str, &Disk), live: &VmObserved) -> Option<Diagnostic> {
    let option = proxmox::disk(slot).filter(|_| holds_state(slot))?;
    let usual = proxmox::made_once(slot).iter().map(|(name, is)| ((*name).to_owned(), (*is).into()));
    let mut is: BTreeMap<String, Value> = usual.collect();
    is.extend(option.to_parts(&option.own(live.options.get(slot)?)));
    let said = option.to_parts(&disk.options.value);
    let differs = |(name, value): &(&String, &Value)| is.get(*name).is_none_or(|is| is != *value);
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let (name, value) = said.iter().find(differs)?;
    let now = is.get(name).map_or_else(|| "none".to_owned(), word);
    let what = format!("{slot} was made with `{name}` {now}, the file says {}: it stays as it was made", word(value));
    let hint = format!(
        "say what it has; or, with the VM stopped, `qm set {} --delete {slot}`: the next apply makes a new one, and what the \
         old one remembers is no longer used",
        live.id
    );
    Some(Diagnostic::warning(codes::MADE_ONCE, what).hint(hint))
}

/// What stands in the way of a disk that is there.
fn there(
    slot: &str,
    disk: &Disk,
    volume: &VmVolume,
    live: &VmObserved,
    problem: &mut dyn FnMut(&'static str, String, String),
) {
    if let Some(other) = disk.volume.as_ref().filter(|other| **other != volume.volume) {
        let (code, what, hint) = attached::other(slot, &volume.volume, other);
        return problem(code, what, hint);
    }
    let (Some(size), Some(wanted)) = (volume.size, disk.size_gb) else { return };
    let wanted = u64::from(wanted) * GIB;
    if size > wanted {
        let what = format!("{slot} has {} GiB, the file says {}: a disk never shrinks", gib(size), gib(wanted));
        problem(codes::DISK_SHRINKS, what, format!("set its `size_gb` to {} or more", size.div_ceil(GIB)));
    }
    if size < wanted && live.pending.contains_key(slot) {
        let what = format!("another value of {slot} waits for a restart: the disk cannot grow");
        problem(
            codes::DISK_ELSEWHERE,
            what,
            format!("restart it first; until then set its `size_gb` to {}", gib(size)),
        );
    }
}

/// Disks that the file does not say any more: those of firmware and of a TPM stay, and Proxmox detaches none of a
/// protected VM.
fn detached(vm: &DesiredVm, live: &VmObserved) -> Vec<Diagnostic> {
    let Some(record) = live.record.valid() else { return Vec::new() };
    let gone = record.applied.keys().filter_map(|key| proxmox::disk(key.strip_prefix(DISKS)?));
    let gone = gone.filter(|option| !vm.disks.contains_key(option.name) && live.options.get(option.name).is_some());
    let problem = |option: &'static proxmox::ProxmoxOption| {
        let slot = option.name;
        let (what, hint) = if holds_state(slot) {
            let what = format!("{slot} is no longer declared, and what it remembers would be lost with it");
            (what, format!("put `\"{slot}\": {{}}` back into `disks`, or detach it by hand"))
        } else if live.protection && record.made.contains(slot) {
            let what = format!("{slot} is no longer declared, and Proxmox detaches no disk of a protected VM");
            (what, "set `protected` to false in a plan of its own first".to_owned())
        } else {
            return None;
        };
        Some(Diagnostic::error(codes::DISK_SLOT, what).vm(vm.vm_id).about(option.key).hint(hint))
    };
    gone.filter_map(problem).collect()
}
