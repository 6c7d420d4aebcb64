//! CD drives by their slots, and the devices that a VM boots from: the rules for them, and what they are for a VM.

use std::collections::{BTreeMap, BTreeSet};

use super::codes;
use super::lexis;
use super::owner::{Owner, layers, owners};
use super::problem::{Problem, Problems, shown};
use super::raw::Raw;
use super::rule::text;
use crate::model::proxmox;
use crate::model::{Origin, ProxmoxValue};

/// What lies in CD drives by their slots; `None` takes an inherited drive away.
pub(super) type Drives = BTreeMap<String, Option<String>>;

/// Applies the rules to every `cdrom` and every `boot_devices`.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        for (slot, disc) in vm.cdrom.iter().flatten() {
            let at = || owner.value(&format!("cdrom/{slot}"));
            text(disc.as_deref(), (codes::BAD_CDROM, "cannot lie in a CD drive"), lexis::disc, at, problems);
        }
        let mut seen = BTreeSet::new();
        for (n, device) in vm.boot_devices.iter().flatten().enumerate() {
            let at = || owner.value(&format!("boot_devices/{n}"));
            text(
                Some(device),
                (codes::BAD_BOOT_DEVICE, "cannot be a device to boot from"),
                lexis::boot_device,
                at,
                problems,
            );
            if !seen.insert(device) {
                problems.push(Problem::new(codes::BAD_BOOT_DEVICE, format!("{} is listed twice", shown(device)), at()));
            }
        }
        problems.since(before, vm.vm_id);
    }
    twice(raw, problems);
}

/// Refuses a slot of a VM that is to hold a disk and a CD.
fn twice(raw: &Raw, problems: &mut Problems) {
    let mut told: BTreeSet<(Owner<'_>, Owner<'_>, &str)> = BTreeSet::new();
    for (n, vm) in raw.virtual_machines.iter().enumerate() {
        let slots: BTreeSet<&str> =
            layers(raw, n).flat_map(|(_, layer)| layer.cdrom.iter().flatten()).map(|(slot, _)| slot.as_str()).collect();
        for slot in slots {
            let drive =
                layers(raw, n).find_map(|(owner, layer)| Some((owner, layer.cdrom.as_ref()?.get(slot)?.is_some())));
            let disk =
                layers(raw, n).find_map(|(owner, layer)| Some((owner, layer.disks.as_ref()?.get(slot)?.is_some())));
            let (Some((drive, true)), Some((disk, true))) = (drive, disk) else { continue };
            if !told.insert((drive, disk, slot)) {
                continue;
            }
            let what = format!("{} is declared as a CD drive and as a disk", shown(slot));
            let problem = Problem::new(codes::BAD_CDROM, what, drive.value(&format!("cdrom/{slot}")));
            let problem = problem.also(disk.value(&format!("disks/{slot}")), "a disk here");
            let hint = "give one of them another slot, or take an inherited one away with `null`";
            problems.push(problem.hint(hint).vm(vm.vm_id));
        }
    }
}

/// The CD drives that a VM gets.
pub(super) fn drives(own: Option<&Drives>, shared: Option<&Drives>) -> BTreeMap<&'static str, ProxmoxValue> {
    let mut drives = BTreeMap::new();
    let said = |drives: Option<&Drives>, origin: Origin| {
        let said: Vec<_> = drives.into_iter().flatten().map(|(slot, disc)| (slot.clone(), disc.clone())).collect();
        said.into_iter().map(move |(slot, disc)| (slot, disc, origin.clone()))
    };
    for (slot, disc, origin) in said(shared, Origin::VmDefaults).chain(said(own, Origin::Vm)) {
        let Some(option) = proxmox::cdrom(&slot) else { continue };
        match disc {
            Some(value) => drop(drives.insert(option.name, ProxmoxValue { value, origin })),
            None => drop(drives.remove(option.name)),
        }
    }
    drives
}

/// The devices that a VM tries to boot from; `None`: the file says nothing of them.
pub(super) fn boot_devices(own: Option<&[String]>, shared: Option<&[String]>) -> Option<ProxmoxValue> {
    let origin = if own.is_some() { Origin::Vm } else { Origin::VmDefaults };
    Some(ProxmoxValue { value: own.or(shared)?.join(";"), origin })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drives_are_merged_by_slot() {
        let drives = |json: &str| serde_json::from_str::<Drives>(json).unwrap();
        let own = drives(r#"{"ide0":"none","sata1":null,"scsi5":"local:iso/b.iso"}"#);
        let shared = drives(r#"{"ide0":"local:iso/a.iso","sata1":"local:iso/a.iso","sata2":"none"}"#);
        let found = super::drives(Some(&own), Some(&shared));
        let found: Vec<(&str, &str, &Origin)> =
            found.iter().map(|(slot, disc)| (*slot, disc.value.as_str(), &disc.origin)).collect();
        let expected = [
            ("ide0", "none", &Origin::Vm),
            ("sata2", "none", &Origin::VmDefaults),
            ("scsi5", "local:iso/b.iso", &Origin::Vm),
        ];
        assert_eq!(found, expected);
    }
}
