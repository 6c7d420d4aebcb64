//! Further disks by their slots: the rules for them, and what they are for a VM.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::codes;
use super::lexis::{image_path, trimmed};
use super::networks::{Parts, read_part};
use super::owner::{Owner, layers, owners};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawCloudImage, RawDisk};
use super::spans::Place;
use crate::model::proxmox;
use crate::model::{CloudImage, Disk, DiskMount, Origin};

/// Disks by their slots; `None` takes an inherited one away.
pub(super) type Disks = BTreeMap<String, Option<RawDisk>>;

/// Applies the rules to every `disks`.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        for (slot, disk) in vm.disks.iter().flatten() {
            let Some(disk) = disk else { continue };
            let at = |key: &str| owner.value(&format!("disks/{slot}/{key}"));
            let state = proxmox::holds_state(slot);
            if state && disk.size_gb.is_some() {
                let what = format!("{} has the size that Proxmox gives it", shown(slot));
                problems.push(Problem::new(codes::BAD_DISK, what, at("size_gb")).hint("take `size_gb` out"));
            }
            let Some(option) = proxmox::disk(slot) else { continue };
            for (name, value) in disk.options.iter().flatten().filter(|(_, value)| !value.is_null()) {
                let at = || owner.value(&format!("disks/{slot}/options/{name}"));
                if let Err(wrong) = read_part(option, name, value) {
                    problems.push(Problem::new(codes::BAD_OPTION, format!("{} {wrong}", shown(name)), at()));
                } else if let Some(buses) = proxmox::other_buses(slot, name) {
                    let what = format!("the disk in {} cannot have {}: Proxmox refuses it", shown(slot), shown(name));
                    let hint = format!("take it out, or put the disk into a slot of {}", buses.join(" or "));
                    problems.push(Problem::new(codes::BAD_OPTION, what, at()).hint(hint));
                }
            }
        }
        problems.since(before, vm.vm_id);
    }
    sizes(raw, problems);
}

/// Says which disks of VMs end up without a size.
fn sizes(raw: &Raw, problems: &mut Problems) {
    let mut said: BTreeSet<(Owner<'_>, &str)> = BTreeSet::new();
    for (n, vm) in raw.virtual_machines.iter().enumerate() {
        let slots: BTreeSet<&str> =
            layers(raw, n).flat_map(|(_, layer)| layer.disks.iter().flatten()).map(|(slot, _)| slot.as_str()).collect();
        for slot in slots.into_iter().filter(|slot| !proxmox::holds_state(slot)) {
            let entries = said_of(raw, n, slot);
            let Some((owner, _)) = entries.first() else { continue };
            let has = |key: &str, has: fn(&RawDisk) -> bool| saying(&entries, key).any(|(_, disk)| has(disk));
            let has_size = has("size_gb", |disk| disk.size_gb.is_some())
                || has("volume", |disk| disk.volume.is_some())
                || has("import_from", |disk| disk.import_from.is_some());
            // What was wrong with its size is said already.
            let is_said = |owner: &Owner<'_>| {
                ["size_gb", "volume", "import_from"].into_iter().any(|key| {
                    let at = owner.value(&format!("disks/{slot}/{key}"));
                    problems.is_said(&at) || problems.is_said(&Place::opening(at.pointer))
                })
            };
            let is_open = !has_size && !entries.iter().any(|(owner, _)| is_said(owner));
            if is_open && said.insert((*owner, slot)) {
                let at = owner.value(&format!("disks/{slot}"));
                let problem = Problem::new(codes::BAD_DISK, format!("disk {} has no size", shown(slot)), at);
                problems.push(problem.hint("give it `size_gb`, in GiB").vm(vm.vm_id));
            }
        }
    }
}

/// What the file says of a disk of a VM, from the nearest, up to where it is taken away.
pub(super) fn said_of<'r>(raw: &'r Raw, n: usize, slot: &str) -> Vec<(Owner<'r>, &'r RawDisk)> {
    let entries = layers(raw, n).filter_map(|(owner, layer)| Some((owner, layer.disks.as_ref()?.get(slot)?)));
    entries.map_while(|(owner, disk)| Some((owner, disk.as_ref()?))).collect()
}

/// Those of these that may say a key: up to where it is taken away.
pub(super) fn saying<'r>(
    said: &[(Owner<'r>, &'r RawDisk)],
    key: &str,
) -> impl Iterator<Item = (Owner<'r>, &'r RawDisk)> {
    said.iter().copied().take_while(move |(_, disk)| !disk.none.contains(key))
}

/// Disks with what others say where they say nothing.
pub(super) fn all(own: Disks, base: Disks) -> Disks {
    let mut all = base;
    for (slot, disk) in own {
        let inherited = all.remove(&slot).flatten().unwrap_or_default();
        all.insert(slot, disk.map(|disk| over(disk, inherited)));
    }
    all
}

/// The further disks that a VM gets. `storage`: where one lies that names none.
pub(super) fn disks(own: Option<&Disks>, shared: Option<&Disks>, storage: &str) -> BTreeMap<&'static str, Disk> {
    let nothing = Disks::new();
    let (own, shared) = (own.unwrap_or(&nothing), shared.unwrap_or(&nothing));
    let mut slots: BTreeMap<&String, (RawDisk, Origin)> = BTreeMap::new();
    for (slot, disk) in shared {
        let inherited = disk.clone().filter(|_| !matches!(own.get(slot), Some(None)));
        slots.extend(inherited.map(|disk| (slot, (disk, Origin::VmDefaults))));
    }
    for (slot, disk) in own {
        let Some(disk) = disk else { continue };
        let inherited = slots.remove(slot).map(|(disk, _)| disk).unwrap_or_default();
        slots.insert(slot, (over(disk.clone(), inherited), Origin::Vm));
    }
    let lowered = |(slot, (disk, origin)): (&String, (RawDisk, Origin))| {
        let option = proxmox::disk(slot)?;
        let parts = disk.options.iter().flatten().filter(|(_, value)| !value.is_null());
        let parts: Vec<String> = parts.filter_map(|(name, value)| read_part(option, name, value).ok()).collect();
        let value = option.read(&Value::String(parts.join(","))).unwrap_or_default();
        // A volume lies where it lies.
        let lies_on = disk.volume.as_deref().and_then(|volume| volume.split_once(':')).map(|(on, _)| on.to_owned());
        let storage = disk.storage.or(lies_on).unwrap_or_else(|| storage.to_owned());
        let mount_point = disk.mount_point.as_deref().map(trimmed).map(str::to_owned);
        let mount = disk.filesystem.zip(mount_point);
        let mount = mount.map(|(filesystem, mount_point)| DiskMount { filesystem, mount_point });
        let options = proxmox::ProxmoxValue { value, origin };
        let import_from = disk.import_from.map(|raw| image(&raw.image()));
        let RawDisk { size_gb, volume, .. } = disk;
        Some((option.name, Disk { size_gb, volume, import_from, storage, options, mount }))
    };
    slots.into_iter().filter_map(lowered).collect()
}

/// An image as the file names it.
pub(super) fn image(raw: &RawCloudImage) -> CloudImage {
    let source = raw.source.as_deref().unwrap_or_default();
    let hex = |digest: &Option<String>| digest.as_deref().map(str::to_ascii_lowercase);
    CloudImage { source: image_path(source).to_owned(), sha256: hex(&raw.sha256), sha512: hex(&raw.sha512) }
}

/// A disk with what another one says where it says nothing.
fn over(own: RawDisk, shared: RawDisk) -> RawDisk {
    let mut options: Parts = shared.options.unwrap_or_default();
    options.extend(own.options.unwrap_or_default());
    // One that a nearer layer says again is there again.
    let gone = |key: &str| own.none.contains(key);
    RawDisk {
        size_gb: own.size_gb.or(shared.size_gb.filter(|_| !gone("size_gb"))),
        volume: own.volume.or(shared.volume.filter(|_| !gone("volume"))),
        import_from: own.import_from.or(shared.import_from.filter(|_| !gone("import_from"))),
        storage: own.storage.or(shared.storage.filter(|_| !gone("storage"))),
        options: Some(options),
        filesystem: own.filesystem.or(shared.filesystem.filter(|_| !gone("filesystem"))),
        mount_point: own.mount_point.or(shared.mount_point.filter(|_| !gone("mount_point"))),
        none: &own.none | &shared.none,
    }
}
