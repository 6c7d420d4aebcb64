//! Volumes that are attached as further disks: which are to be looked for, and what must hold of them before anything
//! is done.

use std::collections::BTreeSet;

use super::unnamed::short;
use super::{Scene, codes, placement};
use crate::model::{Desired, DesiredVm, Disk, GIB, VmId, proxmox};
use crate::observed::options::gib;
use crate::observed::{ListedVolume, Observed, VmObserved, VmVolume};

/// The storage of a volume.
pub(super) fn storage(volume: &str) -> &str {
    volume.split_once(':').map_or("", |(storage, _)| storage)
}

/// The disks of a VM that are to be attached: the slot, the disk and its volume.
fn attaching<'v>(
    vm: &'v DesiredVm,
    live: &'v VmObserved,
) -> impl Iterator<Item = (&'static str, &'v Disk, &'v str)> + use<'v> {
    let lacks = |slot: &str| live.options.get(slot).is_none();
    let disks = vm.disks.iter().filter_map(|(slot, disk)| Some((*slot, disk, disk.volume.as_deref()?)));
    disks.filter(move |(slot, ..)| lacks(slot))
}

/// The VMs whose volumes are to be listed, and the storages of the target's own node that are to list them.
#[must_use]
pub fn volumes_to_list<'d>(desired: &'d Desired, observed: &Observed) -> (Vec<VmId>, Vec<&'d str>) {
    let storages = &observed.own_node().storages;
    let usable = |id: &str| storages.get(id).is_some_and(|storage| storage.images && storage.active);
    let (mut vms, mut on) = (BTreeSet::new(), BTreeSet::new());
    for vm in &desired.vms {
        let Some(live) = observed.vms.get(&vm.vm_id) else { continue };
        let lacks = |slot: &&str| live.options.get(slot).is_none();
        let volumes = vm.disks.iter().filter(|(slot, _)| lacks(slot)).filter_map(|(_, disk)| disk.volume.as_deref());
        for id in volumes.map(storage).filter(|id| usable(id)) {
            vms.insert(vm.vm_id);
            on.insert(id);
        }
    }
    (vms.into_iter().collect(), on.into_iter().collect())
}

/// What the storage says of a volume, if it was listed.
pub(super) fn listed<'o>(volume: &str, observed: &'o Observed) -> Option<&'o ListedVolume> {
    let on = observed.own_node().listed.get(storage(volume))?;
    on.iter().find(|(listed, _)| short(listed) == short(volume)).map(|(_, of)| of)
}

/// Size of a volume in bytes, if its storage was listed and says it.
pub(super) fn size(volume: &str, observed: &Observed) -> Option<u64> {
    listed(volume, observed)?.size
}

/// The volumes that grow once they are attached: the slot, the size now in bytes, the size then in GiB.
pub(super) fn growing(vm: &DesiredVm, scene: &Scene<'_>) -> Vec<(&'static str, u64, u32)> {
    let Some(live) = scene.observed.vms.get(&vm.vm_id) else { return Vec::new() };
    let grows = |(slot, disk, volume): (&'static str, &Disk, &str)| {
        let now = size(volume, scene.observed)?;
        disk.size_gb.filter(|wanted| u64::from(*wanted) * GIB > now).map(|wanted| (slot, now, wanted))
    };
    attaching(vm, live).filter_map(grows).collect()
}

/// Why a volume cannot be attached, by its code, and the way out. `live`: the VM, where it exists.
pub(super) fn problem(
    vm: &DesiredVm,
    (slot, disk): (&str, &Disk),
    live: Option<&VmObserved>,
    scene: &Scene<'_>,
) -> Option<(&'static str, String, String)> {
    let volume = disk.volume.as_deref()?;
    let Some(live) = live else {
        let what = format!("the VM is not there yet, so it has no volume `{volume}` to attach");
        let hint = "give the disk `size_gb` and no `volume`: phoenix makes an empty one";
        return Some((codes::NO_VOLUME, what, hint.to_owned()));
    };
    // One that waits for a restart.
    if let Some(text) = live.options.get(slot) {
        let waits = VmVolume::parse(slot, text).filter(|waits| short(&waits.volume) != short(volume))?;
        return Some(other(slot, &waits.volume, volume));
    }
    in_use(vm, volume, live, scene)
        .map(|(what, hint)| (codes::VOLUME_IN_USE, what, hint))
        .or_else(|| missing(volume, live, scene).map(|(what, hint)| (codes::NO_VOLUME, what, hint)))
        .or_else(|| size_problem(vm, (slot, disk), live, scene))
}

/// That a disk has another volume than the file says.
pub(super) fn other(slot: &str, now: &str, file: &str) -> (&'static str, String, String) {
    let what = format!("{slot} holds `{now}`, the file says `{file}`: a disk keeps its volume");
    let hint = "take its `volume` out to keep what is there; declare the other one in another slot";
    (codes::OTHER_VOLUME, what, hint.to_owned())
}

/// What uses a volume, or to whom it belongs, and the way out.
fn in_use(vm: &DesiredVm, volume: &str, live: &VmObserved, scene: &Scene<'_>) -> Option<(String, String)> {
    let is_it = |named: &str| short(named) == short(volume);
    let names = |vm: &VmObserved| {
        vm.volumes.iter().any(|named| is_it(&named.volume)) || vm.other_volumes.iter().any(|named| is_it(named))
    };
    if let Some(other) = scene.observed.vms.values().find(|other| other.id != live.id && names(other)) {
        let what = format!("the configuration of VM {} names `{volume}`", other.id);
        let hint = format!("look at `qm config {}`: a volume belongs to one VM", other.id);
        return Some((what, hint));
    }
    if let Some(of) = listed(volume, scene.observed).filter(|of| of.vm != live.id) {
        let what = format!("`{volume}` belongs to VM {} by what its storage says", of.vm);
        return Some((what, format!("name a volume of VM {}: `pvesm list STORAGE --vmid {0}`", live.id)));
    }
    let mut own = live.volumes.iter().filter(|named| is_it(&named.volume));
    let unused = |device: &str| device.starts_with("unused");
    if let Some(used) = own.clone().find(|named| !unused(&named.device)) {
        let what = format!("`{volume}` is attached already, as {}", used.device);
        let boots = live.boot_disk.as_ref().is_some_and(|disk| disk.device == used.device);
        let hint = match used.device.as_str() {
            _ if boots => "it is the boot disk; name an unused volume".to_owned(),
            device if live.pending.get(device).is_some_and(|change| change.pending.is_none()) => {
                "it is detached when the VM restarts: restart it first".to_owned()
            }
            device if vm.disks.contains_key(device) => {
                format!("take {device} out of the file and apply; then declare the volume where it is to be")
            }
            device if is_ours(device, live) => {
                format!("apply without this `volume`, which detaches {device}; then declare it where it is to be")
            }
            device => format!("`qm set {} --delete {device}` detaches it: phoenix did not make {device}", live.id),
        };
        return Some((what, hint));
    }
    (own.next().is_none() && live.other_volumes.iter().any(|named| is_it(named))).then(|| {
        let what = format!("a snapshot, or a value that waits for a restart, holds on to `{volume}`");
        (what, "restart the VM, or remove the snapshot, then apply again".to_owned())
    })
}

/// Whether phoenix made or attached the disk in a slot, and detaches it when the file no longer has it.
fn is_ours(slot: &str, live: &VmObserved) -> bool {
    let key = proxmox::disk(slot).map(|option| option.key);
    live.record.valid().zip(key).is_some_and(|(record, key)| record.applied.contains_key(key))
}

/// That a volume is not there, or not known to be, and the way out.
fn missing(volume: &str, live: &VmObserved, scene: &Scene<'_>) -> Option<(String, String)> {
    let node = scene.node(live.id);
    let own = scene.observed.own_node();
    let on = storage(volume);
    let is_seen = node.name == own.name || node.storages.get(on).is_some_and(|storage| storage.shared);
    let unused: Vec<&str> = live
        .volumes
        .iter()
        .filter(|named| named.device.starts_with("unused"))
        .map(|named| named.volume.as_str())
        .collect();
    let hint = match unused[..] {
        [] => format!("the VM has no unused disk; `pvesm list {on} --vmid {}` lists what is there", live.id),
        _ => format!("unused disks of the VM: {}", unused.join(", ")),
    };
    match own.listed.get(on).filter(|_| is_seen) {
        Some(_) if listed(volume, scene.observed).is_some() => None,
        Some(_) => Some((format!("there is no volume `{volume}`{}", placement::on(node, scene.observed)), hint)),
        None if unused.iter().any(|named| short(named) == short(volume)) => None,
        None => {
            let what = format!("`{volume}` is no unused disk of the VM, and what lies on `{on}` is not known");
            Some((what, hint))
        }
    }
}

/// A size that a volume cannot have, or not yet.
fn size_problem(
    vm: &DesiredVm,
    (slot, disk): (&str, &Disk),
    live: &VmObserved,
    scene: &Scene<'_>,
) -> Option<(&'static str, String, String)> {
    let (volume, wanted) = (disk.volume.as_deref()?, u64::from(disk.size_gb?) * GIB);
    let Some(now) = size(volume, scene.observed) else {
        let what = format!("the size of `{volume}` is not known here");
        let hint = "take `size_gb` out; when the volume is attached, the disk can grow".to_owned();
        return Some((codes::VOLUME_GROWS_LATER, what, hint));
    };
    if wanted < now {
        let what = format!("`{volume}` has {} GiB, the file says {}: a disk never shrinks", gib(now), gib(wanted));
        return Some((
            codes::DISK_SHRINKS,
            what,
            format!("set `size_gb` to {} or more, or take it out", now.div_ceil(GIB)),
        ));
    }
    let bus = slot.starts_with("scsi") || slot.starts_with("virtio");
    let hot = bus && scene.observed.capabilities.plugs_network && live.hotplug.contains("disk");
    (wanted > now && live.running && vm.started && !hot).then(|| {
        let what = format!("{slot} is attached when the VM restarts: the disk cannot grow before");
        let hint = format!("`phoenix stop {}` first; or take `size_gb` out until it is attached", vm.vm_id);
        (codes::VOLUME_GROWS_LATER, what, hint)
    })
}
