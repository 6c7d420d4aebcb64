//! Options of Proxmox with which a VM differs from what the file would make of it: from its template, and from what all
//! VMs of the file have.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::regained::File;
use crate::model::proxmox::{
    self, BOOT_DEVICES, BOOT_DISK, CARD_WORDS, CDROM, DISKS, NETWORKS, ProxmoxOption, boot_order,
};
use crate::model::{DesiredVm, Key};
use crate::observed::{Net, VmObserved, is_volume_part};

/// What the file must say of a VM's options: key by key, empty where nothing.
pub(super) fn keys(
    live: &VmObserved,
    template: Option<&VmObserved>,
    file: &File<'_>,
) -> [(Key, Map<String, Value>); 4] {
    let default = &file.desired.defaults;
    let differing = |option: &&'static ProxmoxOption| differs(option, live, template, default);
    let named = proxmox::options().values().filter(differing).map(|option| {
        let is = value(option, live);
        let usual = option.default().filter(|_| default.option(option).is_none());
        let said = usual.filter(|_| is.is_empty()).unwrap_or(&is);
        (option.name.to_owned(), if said.is_empty() { Value::Null } else { option.to_json(said) })
    });
    let (mut disk, mut cards) = (Map::new(), Map::new());
    let elsewhere = |key: &str| key.starts_with(DISKS) || key.starts_with(CDROM) || key == BOOT_DEVICES;
    let own = proxmox::own().values().filter(|option| !elsewhere(option.key));
    for option in own.filter(differing).filter(|option| is_card_that_can_be(option, live)) {
        let is = value(option, live);
        let mut parts = option.to_parts(&is);
        let mut shared = default.option(option).map(|shared| option.to_parts(&shared.value)).unwrap_or_default();
        if let Some(slot) = option.key.strip_prefix(NETWORKS) {
            if is_known_but_for_its_address(option, &is, template, default) {
                parts.retain(|name, _| name == ADDRESS);
                shared.clear();
            }
            say_card(&mut cards, slot, parts, shared);
        } else {
            let device = live.boot_disk.as_ref().map_or("", |disk| disk.device.as_str());
            let lost = unsaid(device, live);
            let mut parts: Parts = parts.into_iter().filter(|(name, _)| !lost.contains(&name.as_str())).collect();
            if live.record.valid().is_none() {
                let of_template = template.map(|of| option.to_parts(&inherited(option, of))).unwrap_or_default();
                for name in of_template.into_keys().filter(|name| !shared.contains_key(name)) {
                    if let Some(usual) = option.default_of(&name) {
                        parts.entry(name).or_insert(usual);
                    }
                }
            }
            // What all VMs of the file have, and this one has not, is taken away.
            let gone: Vec<String> = shared.into_keys().filter(|name| !parts.contains_key(name)).collect();
            disk.extend(parts);
            disk.extend(gone.into_iter().map(|name| (name, Value::Null)));
        }
    }
    cards.retain(|_, card: &mut Value| card.as_object().is_none_or(|card| !card.is_empty()));
    let drives = drives(live, template, default);
    [(Key::Proxmox, named.collect()), (Key::BootDiskOptions, disk), (Key::Networks, cards), (Key::Cdrom, drives)]
}

/// Whether the file, or the template, gives a VM a card like this one, but for its own address.
fn is_known_but_for_its_address(
    option: &ProxmoxOption,
    is: &str,
    template: Option<&VmObserved>,
    default: &DesiredVm,
) -> bool {
    let alone = option.without_identity(is);
    match default.option(option) {
        _ if alone == is => false,
        Some(shared) => option.own(&shared.value) == alone,
        // Another one is made on the usual bridge.
        None => option.name == "net0" && alone == template.map(|of| inherited(option, of)).unwrap_or_default(),
    }
}

/// Whether an option that is one of a card can be said: the card is there, and on a bridge.
fn is_card_that_can_be(option: &ProxmoxOption, live: &VmObserved) -> bool {
    let Some(slot) = option.key.strip_prefix(NETWORKS) else { return true };
    // Without a bridge a card is connected to nothing, and no key says that.
    match slot.strip_suffix(".ip") {
        Some(slot) => live.options.get(slot).is_some_and(is_connected),
        None => live.options.get(slot).is_none_or(is_connected),
    }
}

/// The parts of a drive that the file cannot say, by Proxmox's names: those that it has no key for, and those whose
/// value it does not take.
pub(super) fn unsaid<'d>(slot: &str, vm: &'d VmObserved) -> Vec<&'d str> {
    let boots = vm.boot_disk.as_ref().is_some_and(|disk| disk.device == slot);
    let option = if boots { proxmox::boot_disk() } else { proxmox::disk(slot) };
    let (Some(option), Some(text)) = (option.or_else(|| proxmox::card(slot)), vm.options.get(slot)) else {
        return Vec::new();
    };
    let parts = text.split(',').filter_map(|part| part.trim().split_once('='));
    let known = |name: &str, value: &str| is_volume_part(name) || name == "size" || (name, value) == ("media", "disk");
    let unsaid = |(name, value): &(&str, &str)| match proxmox::card(slot) {
        Some(card) => !card.knows(name) && !card.says("model", name),
        None => !known(name, value) && !can_say(option, slot, name, value),
    };
    parts.filter(unsaid).map(|(name, _)| name).collect()
}

/// Whether the file can say a part of the drive in a slot.
fn can_say(option: &ProxmoxOption, slot: &str, name: &str, value: &str) -> bool {
    option.says(name, value) && proxmox::other_buses(slot, name).is_none()
}

/// Whether a card is on a bridge.
pub(super) fn is_connected(card: &str) -> bool {
    Net::parse(card).is_some_and(|net| net.bridge.is_some())
}

/// What lies in a CD drive that the file can say: none of cloud-init, no drive and no file of the node.
pub(super) fn disc(slot: &str, vm: &VmObserved) -> Option<String> {
    let option = proxmox::cdrom(slot).filter(|_| vm.cloud_init.drive.as_deref() != Some(slot))?;
    let text = vm.options.get(slot).filter(|text| text.contains("media=cdrom"))?;
    option.read(&option.own(text).into()).ok()
}

/// What the file must say of CD drives: of a VM of ours, of those that its file had; else of those that its template
/// has otherwise.
fn drives(live: &VmObserved, template: Option<&VmObserved>, default: &DesiredVm) -> Map<String, Value> {
    let record = live.record.valid();
    let mut drives = Map::new();
    for option in proxmox::own().values().filter(|option| option.key.starts_with(CDROM)) {
        let slot = option.name;
        let is = disc(slot, live);
        let inherited = template.and_then(|template| disc(slot, template));
        let said = match default.cdrom.get(slot) {
            Some(shared) if is.as_ref() == Some(&shared.value) => continue,
            Some(_) => true,
            None => record.map_or(is != inherited, |record| record.applied.contains_key(option.key)),
        };
        match is {
            Some(is) if said => drop(drives.insert(slot.to_owned(), is.into())),
            None if default.cdrom.contains_key(slot) => drop(drives.insert(slot.to_owned(), Value::Null)),
            _ => {}
        }
    }
    drives
}

/// The devices that the file must say a VM boots from: of a VM of ours, those that its file had; else those that it
/// tries before its boot disk, and that, where its template has others. `None`: nothing needs to be said.
pub(super) fn boot_devices(live: &VmObserved, template: Option<&VmObserved>, default: &DesiredVm) -> Option<Value> {
    let is = devices(live);
    let first = |vm: &VmObserved, devices: &[String]| -> Vec<String> {
        let boots = vm.boot_disk.as_ref().map(|disk| disk.device.as_str());
        let place = devices.iter().position(|device| Some(device.as_str()) == boots);
        place.map_or_else(Vec::new, |place| devices[..=place].to_vec())
    };
    let starts = |said: &str| format!("{};", is.join(";")).starts_with(&format!("{said};"));
    let applied = live.record.valid().map(|record| record.applied.get(BOOT_DEVICES));
    let said: Vec<String> = match (default.boot_devices.as_ref(), applied) {
        (Some(shared), _) if starts(&shared.value) => return None,
        (None, Some(None)) => return None,
        (None, Some(Some(said))) if starts(said) => said.split(';').map(ToOwned::to_owned).collect(),
        (None, None) if let Some(before) = template.filter(|of| first(of, &devices(of)) == first(live, &is)) => {
            // A device that was added behind those of the template comes to the end by itself.
            let before = devices(before);
            if is.starts_with(&before) || before.starts_with(&is) {
                return None;
            }
            is.clone()
        }
        _ => first(live, &is),
    };
    let needed = said.len() > 1 || default.boot_devices.is_some() || matches!(applied, Some(Some(_)));
    (needed && !said.is_empty()).then(|| said.into())
}

/// The devices that a VM has and tries to boot from, as far as the file can say them.
fn devices(vm: &VmObserved) -> Vec<String> {
    let drive = vm.cloud_init.drive.as_deref();
    let can_be = |device: &&str| {
        let slot = proxmox::disk(device).is_some() || proxmox::card(device).is_some();
        slot && vm.options.get(device).is_some() && Some(*device) != drive
    };
    let order = boot_order(vm.options.get("boot").unwrap_or_default());
    order.filter(can_be).map(ToOwned::to_owned).collect()
}

/// Parts of an option by Proxmox's names.
type Parts = BTreeMap<String, Value>;

/// Says a card, or its addresses, under its slot. `shared`: what all VMs of the file have there.
fn say_card(cards: &mut Map<String, Value>, slot: &str, mut parts: Parts, shared: Parts) {
    let (slot, is_address) = slot.strip_suffix(".ip").map_or((slot, false), |slot| (slot, true));
    if let Some(option) = proxmox::card(slot).filter(|_| !is_address) {
        parts.retain(|name, _| option.knows(name));
    }
    if parts.is_empty() && !is_address && slot != "net0" {
        cards.insert(slot.to_owned(), Value::Null);
        return;
    }
    if is_address {
        let gone = shared.into_keys().filter(|name| name.starts_with("ip") && !parts.contains_key(name));
        let gone: Vec<String> = gone.collect();
        parts.extend(gone.into_iter().map(|name| (name, Value::Null)));
    } else {
        for (name, of) in shared.into_iter().filter(|(name, _)| !["model", "bridge"].contains(&name.as_str())) {
            parts.entry(name).or_insert(if of.is_boolean() { Value::Bool(false) } else { Value::Null });
        }
    }
    let card = cards.entry(slot).or_insert_with(|| Value::Object(Map::new()));
    let word =
        |name: String| CARD_WORDS.iter().find(|(_, own)| *own == name).map_or(name, |(file, _)| (*file).to_owned());
    if let Value::Object(card) = card {
        card.extend(parts.into_iter().map(|(name, value)| (word(name), value)));
    }
}

/// The part of a card that is its own.
const ADDRESS: &str = "macaddr";

/// What a VM has of an option, without what is its own: a uuid; the address of a card that phoenix let Proxmox make up.
pub(super) fn value(option: &ProxmoxOption, vm: &VmObserved) -> String {
    let name = match option.name {
        BOOT_DISK => vm.boot_disk.as_ref().map(|disk| disk.device.as_str()),
        name => Some(name),
    };
    let own = name.and_then(|name| vm.options.get(name)).map(|text| option.own(text)).unwrap_or_default();
    let keeps = match vm.record.valid() {
        Some(record) => record.applied.get(option.key).is_some_and(|said| said.contains("macaddr=")),
        None => proxmox::card(option.name).is_some(),
    };
    if keeps { own } else { option.without_identity(&own) }
}

/// What a VM has of an option of its template.
pub(super) fn inherited(option: &ProxmoxOption, template: &VmObserved) -> String {
    option.without_identity(&value(option, template))
}

/// Whether the file must say something of an option.
fn differs(option: &ProxmoxOption, live: &VmObserved, template: Option<&VmObserved>, default: &DesiredVm) -> bool {
    let record = live.record.valid();
    let ours = record.is_some_and(|record| record.applied.contains_key(option.key));
    let is = value(option, live);
    // Addresses do not come from a template.
    let template = template.filter(|_| !option.name.starts_with("ipconfig"));
    let inherited = template.map(|template| inherited(option, template)).unwrap_or_default();
    match default.option(option) {
        Some(shared) => option.own(&shared.value) != is,
        // Of a VM of ours it is known what the file said; the rest comes from what it was made from.
        None if is.is_empty() && record.is_none() && !inherited.is_empty() => {
            option.default().is_some() || option.name == BOOT_DISK
        }
        None => !is.is_empty() && (ours || (is != inherited && record.is_none())),
    }
}
