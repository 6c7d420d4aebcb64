//! File systems of further disks: which are declared, what the record says of them, and what stands in the way.

use super::{Scene, cards, codes};
use crate::diag::Diagnostic;
use crate::model::proxmox;
use crate::model::{BY_UUID, DesiredVm, DiskMount, Formatted, Key, Record, RecordState};
use crate::observed::{VmObserved, VmVolume};

/// A file system that the file declares.
#[derive(Clone, Copy)]
pub(super) struct Declared<'v> {
    /// The slot of its disk.
    pub(super) slot: &'static str,
    /// What the file says.
    pub(super) mount: &'v DiskMount,
    /// What the record says, if it is about the disk that is there.
    pub(super) noted: Option<&'v Formatted>,
}

impl Declared<'_> {
    /// Whether it is still to be made, or may be half made.
    pub(super) fn is_to_be_made(&self) -> bool {
        self.noted.is_none_or(|noted| noted.begun)
    }

    /// What the record will say of it at the longest.
    pub(super) fn placeholder(&self) -> Formatted {
        let DiskMount { filesystem, mount_point } = self.mount.clone();
        Formatted { filesystem, uuid: "0".repeat(36), begun: true, at: mount_point, grow: true }
    }
}

/// The declared file systems of a VM, in the order of their slots.
pub(super) fn declared<'v>(vm: &'v DesiredVm, record: &'v Record, live: Option<&VmObserved>) -> Vec<Declared<'v>> {
    let is_there = |slot: &str| live.is_none_or(|live| live.options.get(slot).is_some());
    let of = |(slot, mount): (&'static str, &'v DiskMount)| {
        let noted = record.filesystems.get(slot).filter(|_| is_there(slot));
        Declared { slot, mount, noted }
    };
    let disks = vm.disks.iter().filter_map(|(slot, disk)| Some((*slot, disk.mount.as_ref()?)));
    disks.map(of).collect()
}

/// The file systems that are mounted where the file does not say it any more: the slot, and what the record says.
pub(super) fn left<'v>(vm: &'v DesiredVm, record: &'v Record) -> impl Iterator<Item = (&'v str, &'v Formatted)> {
    let says = |slot: &str, at: &str| {
        vm.disks.get(slot).and_then(|disk| disk.mount.as_ref()).is_some_and(|mount| mount.mount_point == at)
    };
    let noted = record.filesystems.iter().map(|(slot, disk)| (slot.as_str(), disk));
    noted.filter(move |(slot, disk)| !disk.at.is_empty() && !says(slot, &disk.at))
}

/// The mounted file systems whose disks are detached, or are gone already.
pub(super) fn set_aside<'v>(
    vm: &'v DesiredVm,
    record: &'v Record,
    live: Option<&'v VmObserved>,
) -> impl Iterator<Item = &'v Formatted> {
    let gone = move |slot: &str| {
        let detached = record.made.contains(slot) && !vm.disks.contains_key(slot);
        detached || live.is_some_and(|live| live.options.get(slot).is_none())
    };
    left(vm, record).filter(move |(slot, _)| gone(slot)).map(|(_, disk)| disk)
}

/// Whether what the record has of a file system, at this mount point, is replaced by one that the file declares there.
pub(super) fn is_replaced(vm: &DesiredVm, at: &str, source: &str) -> bool {
    let mut mounts = vm.disks.values().filter_map(|disk| disk.mount.as_ref());
    source.starts_with(BY_UUID) && mounts.any(|mount| mount.mount_point == at)
}

/// Why a disk that the file declares is not in the guest yet, if that is so: it waits for a restart.
pub(super) fn waits(slot: &str, live: &VmObserved) -> bool {
    live.running && live.pending.get(slot).is_some_and(|change| change.active.is_none())
}

/// Disks whose volume is in another slot than when phoenix formatted it: they were exchanged outside phoenix. What is
/// done to one of them would be done to another.
fn exchanged(vm: &DesiredVm, live: &VmObserved, record: &Record) -> Vec<Diagnostic> {
    let Some(uuid) = live.uuid.as_deref() else { return Vec::new() };
    let attached = || live.volumes.iter().filter(|named| !named.is_unused());
    let of_one = |(slot, noted): (&String, &Formatted)| {
        let is_it = |named: &&VmVolume| Formatted::uuid_of(uuid, slot, &named.volume) == noted.uuid;
        let there = attached().find(is_it).filter(|there| there.device != *slot)?;
        let (id, is, volume) = (vm.vm_id, &there.device, &there.volume);
        let what = format!(
            "the volume of {slot}, `{volume}`, was put into {is} outside phoenix: what the file says of {slot} would change \
             another disk"
        );
        let hint = format!(
            "put it back: `phoenix stop {id}`, `qm set {id} --delete {slot},{is}`, `qm set {id} --{slot} {volume}`, and attach \
             the other volume likewise"
        );
        let key = proxmox::disk(slot).map_or(Key::Disks.name(), |option| option.key);
        Some(Diagnostic::error(codes::EXCHANGED, what).vm(id).about(key).hint(hint))
    };
    record.filesystems.iter().filter_map(of_one).collect()
}

/// What stands in the way of the file systems of a VM. `live`: the VM, where it exists.
pub(super) fn problems(vm: &DesiredVm, live: Option<&VmObserved>, scene: &Scene<'_>) -> Vec<Diagnostic> {
    let project = &scene.desired.settings.project;
    // A VM that is taken over has disks already.
    let nothing = match live {
        Some(live) => Record::adopted(project, vm.vm_id, live.uuid.as_deref().unwrap_or_default()),
        None => Record::creating(project, vm.vm_id),
    };
    let record = live.and_then(|live| live.record.valid()).unwrap_or(&nothing);
    let (made, attached) = (cards::made(vm, record, scene), cards::attached(vm, record, scene));
    let mut found = live.map(|live| exchanged(vm, live, record)).unwrap_or_default();
    let error = |slot: &str, what: String, hint: &str| {
        let key = proxmox::disk(slot).map_or(Key::Disks.name(), |option| option.key);
        Diagnostic::error(codes::DISK_FILESYSTEM, what).vm(vm.vm_id).about(key).hint(hint)
    };
    for Declared { slot, mount, noted } in declared(vm, record, live) {
        let lost = record.filesystems.get(slot).filter(|disk| noted.is_none() && !disk.begun);
        if let Some(lost) = lost {
            let what = format!(
                "{slot} is no longer attached, and phoenix formatted it: a new disk in its place would be empty"
            );
            let hint = format!(
                "attach its volume again (`qm set {} --{slot} VOLUME`; its file system is {}); to begin with an empty one, \
                 take {slot} out of the file, apply, and declare it again",
                vm.vm_id, lost.uuid
            );
            found.push(error(slot, what, &hint));
            continue;
        }
        match noted {
            None if !made.contains(slot) || attached.contains(slot) => {
                let what = format!("{slot} is not a disk that phoenix made for this VM: it is never formatted");
                let hint =
                    "take its `filesystem` and `mount_point` out, and mount it in the guest by hand or by a feature";
                found.push(error(slot, what, hint));
            }
            Some(noted) if noted.filesystem != mount.filesystem => {
                let (is, to) = (noted.filesystem, mount.filesystem);
                let what = format!("{slot} is formatted as {is}, the file says {to}: a disk is formatted once");
                let hint = format!("set its `filesystem` to `{is}`, or declare another disk in another slot");
                found.push(error(slot, what, &hint));
            }
            _ => {}
        }
    }
    let Some(live) = live.filter(|live| live.running && vm.started && record.state != RecordState::Creating) else {
        return found;
    };
    // Its disk would be taken from a guest that still uses it.
    for (slot, disk) in left(vm, record) {
        let why = match (vm.asks_agent(), live.has_agent_now()) {
            (true, true) => continue,
            // It waits, as its disk stays.
            (true, false) if vm.disks.contains_key(slot) => continue,
            (true, false) => "its guest agent is off until a restart",
            (false, _) => "`ready` is `running`, so that nothing is asked of the guest",
        };
        let what = format!("{slot} is mounted in the guest at {} and cannot be unmounted: {why}", disk.at);
        let hint = if vm.asks_agent() {
            "put the disk back as it was into the file and run `phoenix apply --restart`, then take it out"
        } else {
            "put the disk back as it was into the file, or let `ready` be `agent` in a plan of its own first"
        };
        found.push(error(slot, what, hint));
    }
    found
}
