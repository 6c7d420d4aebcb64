//! CD drives and the devices that a VM boots from: what must hold of them before anything is done.

use std::collections::BTreeSet;

use super::words::known_words;
use super::{Scene, cards, codes, placement};
use crate::diag::Diagnostic;
use crate::model::proxmox::{self, BOOT_DEVICES, CDROM, DISKS, NETWORKS, ProxmoxOption, boot_order};
use crate::model::{Desired, DesiredVm, Key};
use crate::observed::{BootDisk, Node, Observed, Storage, VmObserved};

/// The disk that a VM which is made from an image boots from.
const IMAGE_DISK: &str = "scsi0";

/// The storage of a volume with an ISO image; `None`: it is none.
fn storage(disc: &str) -> Option<&str> {
    disc.split_once(":iso/").map(|(storage, _)| storage)
}

/// The storages of the target's own node whose ISO images a config names, as far as they can be listed.
#[must_use]
pub fn iso_storages(desired: &Desired, observed: &Observed) -> BTreeSet<String> {
    let named = desired.vms.iter().flat_map(|vm| vm.cdrom.values()).filter_map(|disc| storage(&disc.value));
    let storages = &observed.own_node().storages;
    named.filter(|id| storages.get(*id).is_some_and(|of| of.isos && of.active)).map(ToOwned::to_owned).collect()
}

/// The storages of other nodes whose ISO images decide where VMs can be, as pairs of node and storage: those that only
/// their nodes see, of nodes that a VM can be put on, or is on and lacks a disc of its file.
#[must_use]
pub fn isos_elsewhere(desired: &Desired, observed: &Observed) -> BTreeSet<(String, String)> {
    let on =
        |node: &Node, storage: &str| node.storages.get(storage).is_some_and(|of| of.isos && of.active && !of.shared);
    let mut found = BTreeSet::new();
    for vm in desired.vms.iter().filter(|vm| !vm.cdrom.is_empty()) {
        let live = placement::there(vm.vm_id, observed);
        let stays = live.filter(|live| vm.node.as_ref().is_none_or(|nodes| nodes.has(&live.node)));
        let is_on = |node: &Node| live.is_some_and(|live| live.node == node.name);
        let may_go = |node: &Node| stays.is_none() && vm.node.as_ref().is_some_and(|nodes| nodes.has(&node.name));
        let may_be = |node: &Node| is_on(node) || may_go(node);
        let nodes = observed.nodes.values().filter(|node| node.online && node.name != observed.here && may_be(node));
        for node in nodes {
            let is_new = |slot: &str, disc: &str| stays.is_none_or(|live| !stays_as_it_is(vm, live, slot, disc));
            let discs = vm.cdrom.iter().filter(|(slot, disc)| is_new(slot, &disc.value));
            let storages = discs.filter_map(|(_, disc)| storage(&disc.value)).filter(|id| on(node, id));
            found.extend(storages.map(|id| (node.name.clone(), id.to_owned())));
        }
    }
    found
}

/// What stands in the way of the CD drives of a VM. `live`: the VM, where it exists.
pub(super) fn drives(vm: &DesiredVm, live: Option<&VmObserved>, scene: &Scene<'_>) -> Vec<Diagnostic> {
    let base = live.or_else(|| cards::template(vm, scene));
    let mut found = Vec::new();
    for (slot, disc) in &vm.cdrom {
        let Some(option) = proxmox::cdrom(slot) else { continue };
        let wrong = occupied(slot, base).or_else(|| unplugged(slot, &disc.value, live, scene));
        let wrong = wrong.or_else(|| {
            if live.is_some_and(|live| stays_as_it_is(vm, live, slot, &disc.value)) {
                return None;
            }
            let node = scene.node(vm.vm_id);
            found.extend(unknown(vm, option, &disc.value, scene));
            unreadable(&disc.value, node, scene.observed)
        });
        found
            .extend(wrong.map(|(what, hint)| {
                Diagnostic::error(codes::CD_DRIVE, what).vm(vm.vm_id).about(option.key).hint(hint)
            }));
    }
    found.extend(live.into_iter().flat_map(|live| removed(vm, live)));
    found.extend(boots(vm, base, live));
    found
}

/// Why a slot is no place for a CD drive, and the way out.
fn occupied(slot: &str, base: Option<&VmObserved>) -> Option<(String, String)> {
    let another = || "take another slot".to_owned();
    let boots = base.and_then(|base| base.boot_disk.as_ref()).map_or(IMAGE_DISK, |disk| disk.device.as_str());
    if boots == slot {
        return Some((format!("{slot} is the boot disk, and no place for a CD drive"), another()));
    }
    let drive = base.map_or(Some("ide2"), |base| base.cloud_init.drive.as_deref());
    if drive == Some(slot) {
        return Some(match base.filter(|base| base.template) {
            Some(template) => (
                format!("{slot} is the cloud-init drive of template {} `{}`", template.id, template.name),
                "take another slot, or a template that has its cloud-init drive elsewhere".to_owned(),
            ),
            None => (format!("{slot} is the cloud-init drive"), another()),
        });
    }
    BootDisk::parse(slot, base?.options.get(slot)?)?;
    Some((format!("{slot} holds a disk"), "take another slot; phoenix takes no disk away for a CD drive".to_owned()))
}

/// Why a drive cannot be plugged into the running VM, and the way out: Proxmox plugs no empty one (recorded).
fn unplugged(slot: &str, disc: &str, live: Option<&VmObserved>, scene: &Scene<'_>) -> Option<(String, String)> {
    let live = live.filter(|live| live.running && live.options.get(slot).is_none())?;
    let hot = scene.observed.capabilities.plugs_network && live.hotplug.contains("disk");
    (disc == "none" && hot && slot.starts_with("scsi")).then(|| {
        let what = format!("an empty CD drive cannot be plugged into a running VM: {slot}");
        (what, "name an image, take a slot of `ide` or `sata`, or stop the VM first".to_owned())
    })
}

/// Whether a drive stays as it is, also with an image that was removed since: only a start needs the image.
fn stays_as_it_is(vm: &DesiredVm, live: &VmObserved, slot: &str, disc: &str) -> bool {
    (live.running || !vm.started) && holds(live, slot, disc)
}

/// Whether a drive of the VM has this in it.
fn holds(live: &VmObserved, slot: &str, disc: &str) -> bool {
    let parts = live.options.get(slot).into_iter().flat_map(|drive| drive.split(','));
    parts.map(|part| part.strip_prefix("file=").unwrap_or(part)).any(|part| part == disc)
}

/// Why an image cannot be put into a drive, and the way out.
fn unreadable(disc: &str, node: &Node, observed: &Observed) -> Option<(String, String)> {
    let (id, on) = (storage(disc)?, placement::on(node, observed));
    let usable = || node.storages.iter().filter(|(_, storage)| storage.isos && storage.active);
    let known = || usable().map(|(id, _)| id.as_str()).collect::<Vec<_>>();
    let hint = || known_words("storages for ISO images", id, &known());
    match node.storages.get(id) {
        None => Some((format!("there is no storage `{id}`{on}"), hint())),
        Some(storage) if !storage.active => Some((format!("storage `{id}`{on} is not active"), hint())),
        Some(storage) if !storage.isos => Some((format!("storage `{id}`{on} holds no ISO images"), hint())),
        Some(_) => {
            let isos = isos(id, node, observed).filter(|isos| !isos.contains(disc))?;
            let known: Vec<&str> = isos.iter().map(String::as_str).collect();
            Some((format!("there is no ISO image `{disc}`{on}"), known_words("ISO images", disc, &known)))
        }
    }
}

/// Says that it is not known whether an image is on the VM's node, which did not answer.
fn unknown(vm: &DesiredVm, option: &ProxmoxOption, disc: &str, scene: &Scene<'_>) -> Option<Diagnostic> {
    let (id, node) = (storage(disc)?, scene.node(vm.vm_id));
    let is_there = |storage: &Storage| storage.isos && storage.active && !storage.shared;
    let is_asked = node.online && node.name != scene.observed.here && node.storages.get(id).is_some_and(is_there);
    if !is_asked || node.isos.contains_key(id) {
        return None;
    }
    let what = format!("whether node `{}` has the ISO image `{disc}` is not known: it was not listed", node.name);
    let hint = format!("`pvesh get /nodes/{}/storage/{id}/content --content iso` lists what it has", node.name);
    Some(Diagnostic::warning(codes::DISC_UNKNOWN, what).vm(vm.vm_id).about(option.key).hint(hint))
}

/// The ISO images on a storage of a node. `None`: not known.
fn isos<'o>(storage: &str, node: &'o Node, observed: &'o Observed) -> Option<&'o BTreeSet<String>> {
    let is_shared = || node.storages.get(storage).is_some_and(|storage| storage.shared);
    node.isos.get(storage).or_else(|| observed.own_node().isos.get(storage).filter(|_| is_shared()))
}

/// An image for a CD drive of the VM that a node lacks: why.
pub(super) fn out_of_reach(vm: &DesiredVm, node: &Node, observed: &Observed) -> Option<String> {
    vm.cdrom.values().find_map(|disc| {
        let id = storage(&disc.value)?;
        match node.storages.get(id) {
            Some(storage) if storage.isos && storage.active => {
                let isos = isos(id, node, observed).filter(|isos| !isos.contains(&disc.value));
                isos.map(|_| format!("it has no ISO image `{}`", disc.value))
            }
            _ => Some(format!("it has no storage `{id}` for ISO images")),
        }
    })
}

/// Drives that the file does not say any more and that a protected VM does not lose.
fn removed(vm: &DesiredVm, live: &VmObserved) -> Vec<Diagnostic> {
    let Some(record) = live.record.valid().filter(|_| live.protection) else { return Vec::new() };
    let gone = record.applied.keys().filter_map(|key| proxmox::cdrom(key.strip_prefix(CDROM)?));
    let gone = gone.filter(|option| {
        let made = record.made.contains(option.name) && live.options.get(option.name).is_some();
        made && !vm.cdrom.contains_key(option.name)
    });
    let problem = |option: &'static ProxmoxOption| {
        let what = format!("{} is no longer declared, and Proxmox removes no drive of a protected VM", option.name);
        let hint = "set `protected` to false in a plan of its own first";
        Diagnostic::error(codes::CD_DRIVE, what).vm(vm.vm_id).about(option.key).hint(hint)
    };
    gone.map(problem).collect()
}

/// Whether a VM will have a device. `live`: the VM, where it exists; `base`: it, or the template it becomes a copy of.
fn will_have(device: &str, vm: &DesiredVm, base: Option<&VmObserved>, live: Option<&VmObserved>) -> bool {
    let declared = vm.disks.contains_key(device) || vm.networks.contains_key(device) || vm.cdrom.contains_key(device);
    if declared || device == "net0" || (base.is_none() && device == IMAGE_DISK) {
        return true;
    }
    // What phoenix made, and the file does not say any more, goes.
    let goes = live.and_then(|live| live.record.valid()).is_some_and(|record| {
        let said = [DISKS, NETWORKS, CDROM].iter().any(|of| record.applied.contains_key(&format!("{of}{device}")));
        said && record.made.contains(device)
    });
    base.is_some_and(|base| base.options.get(device).is_some()) && !goes
}

/// What is wrong with the devices that a VM is to boot from.
fn boots(vm: &DesiredVm, base: Option<&VmObserved>, live: Option<&VmObserved>) -> Option<Diagnostic> {
    let file = vm.boot_devices.as_ref()?;
    let option = proxmox::boot_devices()?;
    let problem = |what: String, hint: String| {
        Some(Diagnostic::error(codes::BOOT_DEVICE, what).vm(vm.vm_id).about(Key::BootDevices).hint(hint))
    };
    if let Some(device) = file.value.split(';').find(|device| !will_have(device, vm, base, live)) {
        let what = format!("the VM will have no {device} to boot from");
        return problem(what, format!("take {device} out of `{BOOT_DEVICES}`, or declare it"));
    }
    let copied = |device: &&str| {
        let disk = vm.disks.get(device).filter(|disk| disk.import_from.is_some());
        disk.is_some() && base.is_none_or(|base| base.options.get(device).is_none())
    };
    if let Some(device) = file.value.split(';').find(copied) {
        let what = format!("{device} is a copy of an image that is made only after the boot order is written");
        return problem(what, format!("put {device} into `{BOOT_DEVICES}` when it is there: in a plan of its own"));
    }
    let now = match base {
        Some(base) => base.options.get("boot").unwrap_or_default().to_owned(),
        None => format!("order={IMAGE_DISK}"),
    };
    let boots = base.map_or(Some(IMAGE_DISK), |base| Some(base.boot_disk.as_ref()?.device.as_str()))?;
    let order = format!("order={}", option.merged(&now, &file.value, ""));
    let is_cd = |device: &str| {
        let cd = || base.and_then(|base| base.options.get(device)).is_some_and(|text| text.contains("media=cdrom"));
        vm.cdrom.contains_key(device) || (!vm.disks.contains_key(device) && cd())
    };
    let disk = |device: &&str| proxmox::disk(device).is_some() && !is_cd(device);
    match boot_order(&order).find(disk) {
        Some(first) if first == boots => None,
        Some(first) => problem(
            format!(
                "{first} stands before the boot disk {boots} in `{BOOT_DEVICES}`: phoenix looks after the boot disk as such"
            ),
            format!("put {boots} before {first}"),
        ),
        None => problem(
            format!("the boot disk {boots} is not among the devices to boot from"),
            format!("add {boots} to `{BOOT_DEVICES}`"),
        ),
    }
}
