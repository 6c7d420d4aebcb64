//! Network cards beyond the first one's bridge and model: where they are plugged in, and which of them phoenix made.

use std::collections::{BTreeMap, BTreeSet};

use super::words::known_words;
use super::{Scene, codes, placement};
use crate::diag::Diagnostic;
use crate::model::{DesiredVm, Disk, Record, RecordState, VmId, proxmox};
use crate::observed::{Net, VmObserved};

/// Cards of the file by their slots, as it describes them.
fn declared(vm: &DesiredVm) -> impl Iterator<Item = (&'static str, &str)> {
    let cards = vm.networks.iter().filter(|(name, _)| name.starts_with("net"));
    cards.map(|(name, value)| (*name, value.value.as_str()))
}

/// The VM as it is, or the template that it becomes a copy of: what its slots hold before anything is added.
pub(super) fn base<'s>(vm: &DesiredVm, record: &Record, scene: &Scene<'s>) -> Option<&'s VmObserved> {
    let live = scene.observed.vms.get(&vm.vm_id).filter(|_| record.state != RecordState::Creating);
    live.or_else(|| template(vm, scene))
}

/// Devices of which the record says, when all is done, that phoenix added them: those that were there before are not
/// its own.
pub(super) fn made(vm: &DesiredVm, record: &Record, scene: &Scene<'_>) -> BTreeSet<String> {
    let base = base(vm, record, scene);
    let is_new = |slot: &&str| base.is_none_or(|base| base.options.get(slot).is_none());
    let slots = declared(vm).map(|(slot, _)| slot).filter(|slot| *slot != "net0");
    let slots = slots.chain(vm.disks.keys().copied().filter(|slot| !proxmox::holds_state(slot)));
    let slots = slots.chain(vm.cdrom.keys().copied());
    slots.filter(|slot| record.made.contains(*slot) || is_new(slot)).map(ToOwned::to_owned).collect()
}

/// The disks of those of which the record says, when all is done, that their volumes were there before, or are copies.
pub(super) fn attached(vm: &DesiredVm, record: &Record, scene: &Scene<'_>) -> BTreeSet<String> {
    let base = base(vm, record, scene);
    let is_new = |slot: &str| base.is_none_or(|base| base.options.get(slot).is_none());
    let was_there = |(slot, disk): &(&&'static str, &Disk)| {
        let has = disk.volume.is_some() || disk.import_from.is_some();
        if is_new(slot) { has } else { record.attached.contains(**slot) }
    };
    vm.disks.iter().filter(was_there).map(|(slot, _)| (*slot).to_owned()).collect()
}

/// What the record says, when all is done, of the images that disks are copies of.
pub(super) fn imported(vm: &DesiredVm, record: &Record, scene: &Scene<'_>) -> BTreeMap<String, String> {
    let base = base(vm, record, scene);
    let is_new = |slot: &str| base.is_none_or(|base| base.options.get(slot).is_none());
    let of = |(slot, disk): (&&'static str, &Disk)| {
        let name = if is_new(slot) { disk.import_from.as_ref()?.name() } else { record.imported.get(*slot)?.clone() };
        Some(((*slot).to_owned(), name))
    };
    vm.disks.iter().filter_map(of).collect()
}

/// The template that a VM becomes a copy of, if it is there.
pub(super) fn template<'s>(vm: &DesiredVm, scene: &Scene<'s>) -> Option<&'s VmObserved> {
    let named = || scene.templates_for(vm.vm_id, &vm.template_name).first().copied();
    let id: VmId = vm.template.or_else(named).filter(|_| vm.cloud_image.is_none())?;
    scene.observed.vms.get(&id)
}

/// Bridges that the node does not have, and what a plug that fails does.
pub(super) fn plugs(vm: &DesiredVm, live: Option<&VmObserved>, scene: &Scene<'_>) -> Vec<Diagnostic> {
    let node = scene.node(vm.vm_id);
    let on = placement::on(node, scene.observed);
    let mut found = Vec::new();
    for (slot, card) in declared(vm) {
        let Some(option) = proxmox::card(slot) else { continue };
        if let Some(bridge) = Net::parse(card).and_then(|net| net.bridge)
            && node.lacks_bridge(&bridge)
        {
            let known: Vec<&str> = node.bridges.keys().map(String::as_str).collect();
            let what = format!("there is no bridge `{bridge}`{on}");
            let hint = known_words("bridges", &bridge, &known);
            found.push(Diagnostic::error(codes::UNKNOWN_BRIDGE, what).vm(vm.vm_id).about(option.key).hint(hint));
        }
        let parts = option.to_parts(card);
        let Some(mtu) = parts.get("mtu").and_then(serde_json::Value::as_u64).filter(|mtu| *mtu > 1500) else {
            continue;
        };
        let is = live.and_then(|live| live.options.get(slot)).map(|text| option.to_parts(text));
        if live.is_some_and(|live| live.running) && is.is_none_or(|is| is.get("mtu") != parts.get("mtu")) {
            let what = format!(
                "a packet of {mtu} bytes must fit the bridge: where its MTU is smaller, the guest loses the card until its VM \
                 is stopped and started"
            );
            let hint = "look at the bridge with `ip link` on the node, or apply it with the VM stopped";
            found.push(Diagnostic::warning(codes::BRIDGE_MTU, what).vm(vm.vm_id).about(option.key).hint(hint));
        }
    }
    found
}

/// The slots of what a template has beside its boot disk, its first card and its cloud-init drive.
pub(super) fn slots_of(template: &VmObserved) -> impl Iterator<Item = &str> {
    let own = [Some("net0"), template.boot_disk.as_ref().map(|disk| disk.device.as_str())];
    let drive = template.cloud_init.drive.as_deref();
    let is_slot =
        |name: &str| proxmox::disk(name).is_some() || proxmox::card(name).is_some() || proxmox::cdrom(name).is_some();
    let names = template.options.iter().map(|(name, _)| name);
    names.filter(move |name: &&str| is_slot(name) && !own.contains(&Some(*name)) && drive != Some(*name))
}
