//! Options of Proxmox with which a VM differs from what the file would make of it: from its template, and from what all
//! VMs of the file have.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::regained::{self, File};
use crate::model::proxmox::{
    self, BOOT_DEVICES, BOOT_DISK, CARD_WORDS, CDROM, DISKS, NETWORKS, ProxmoxOption, boot_order,
};
use crate::model::{Address, DesiredVm, GIB, Key};
use crate::observed::options::size_key;
use crate::observed::{Net, VmObserved, is_volume_part};

/// What the file must say of a VM's options: key by key, empty where nothing.
pub(super) fn keys(
    live: &VmObserved,
    template: Option<&VmObserved>,
    file: &File<'_>,
) -> [(Key, Map<String, Value>); 5] {
    let default = &file.desired.defaults;
    let differing = |option: &&'static ProxmoxOption| differs(option, live, template, default);
    let named = proxmox::options().values().filter(differing).map(|option| {
        let is = value(option, live);
        (option.name.to_owned(), if is.is_empty() { Value::Null } else { option.to_json(&is) })
    });
    let (mut disk, mut cards) = (Map::new(), Map::new());
    let elsewhere = |key: &str| key.starts_with(DISKS) || key.starts_with(CDROM) || key == BOOT_DEVICES;
    let own = proxmox::own().values().filter(|option| !elsewhere(option.key));
    for option in own.filter(differing).filter(|option| is_card_that_can_be(option, live)) {
        let parts = option.to_parts(&value(option, live));
        let shared = default.option(option).map(|shared| option.to_parts(&shared.value)).unwrap_or_default();
        if let Some(slot) = option.key.strip_prefix(NETWORKS) {
            say_card(&mut cards, slot, parts, shared);
        } else {
            let device = live.boot_disk.as_ref().map_or("", |disk| disk.device.as_str());
            let lost = unsaid(device, live);
            let parts: Parts = parts.into_iter().filter(|(name, _)| !lost.contains(&name.as_str())).collect();
            // What all VMs of the file have, and this one has not, is taken away.
            let gone: Vec<String> = shared.into_keys().filter(|name| !parts.contains_key(name)).collect();
            disk.extend(parts);
            disk.extend(gone.into_iter().map(|name| (name, Value::Null)));
        }
    }
    cards.retain(|_, card: &mut Value| card.as_object().is_none_or(|card| !card.is_empty()));
    let further = further(live, template, file);
    let drives = drives(live, template, default);
    [
        (Key::Proxmox, named.collect()),
        (Key::BootDiskOptions, disk),
        (Key::Networks, cards),
        (Key::Disks, further),
        (Key::Cdrom, drives),
    ]
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
    let (Some(option), Some(text)) = (option, vm.options.get(slot)) else { return Vec::new() };
    let parts = text.split(',').filter_map(|part| part.trim().split_once('='));
    let known = |name: &str, value: &str| is_volume_part(name) || name == "size" || (name, value) == ("media", "disk");
    let unsaid = |(name, value): &(&str, &str)| !known(name, value) && !can_say(option, slot, name, value);
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

/// What the file must say of further disks: of a VM of ours, of those that its file had; else of those that its
/// template lacks.
fn further(live: &VmObserved, template: Option<&VmObserved>, file: &File<'_>) -> Map<String, Value> {
    let record = live.record.valid();
    let boots = live.boot_disk.as_ref().map(|disk| disk.device.as_str());
    let mut disks = Map::new();
    for volume in live.volumes.iter().filter(|volume| Some(volume.device.as_str()) != boots) {
        let slot = volume.device.as_str();
        let (Some(option), Some(text)) = (proxmox::disk(slot), live.options.get(slot)) else { continue };
        let inherited = template.is_some_and(|template| template.options.get(slot).is_some());
        let says = record.map_or(!inherited, |record| record.applied.contains_key(option.key));
        if text.contains("media=cdrom") || file.desired.defaults.disks.contains_key(slot) || !says {
            continue;
        }
        let mut disk = Map::new();
        let name = record.and_then(|record| record.imported.get(slot));
        let image = name.and_then(|name| file.disk_image(name));
        disk.extend(image.map(|image| ("import_from".to_owned(), regained::disk_image_value(image))));
        // That of an image need not be a whole number, nor said.
        let was_said = || record.is_some_and(|record| record.applied.contains_key(&size_key(slot)));
        let size = volume.size.filter(|_| image.is_none() || was_said());
        if !proxmox::holds_state(slot) {
            disk.extend(size.map(|size| ("size_gb".to_owned(), size.div_ceil(GIB).into())));
        }
        let storage = volume.volume.split_once(':').map_or("", |(storage, _)| storage);
        disk.insert("storage".to_owned(), storage.into());
        let lost = unsaid(slot, live);
        let options = option.to_parts(&option.own(text)).into_iter();
        let options: Map<String, Value> = options.filter(|(name, _)| !lost.contains(&name.as_str())).collect();
        disk.extend((!options.is_empty()).then(|| ("options".to_owned(), Value::Object(options))));
        let noted = record.and_then(|record| record.filesystems.get(slot)).filter(|noted| !noted.at.is_empty());
        if let Some(noted) = noted.filter(|_| live.agent) {
            disk.insert("filesystem".to_owned(), noted.filesystem.as_str().into());
            disk.insert("mount_point".to_owned(), noted.at.as_str().into());
        }
        disks.insert(slot.to_owned(), Value::Object(disk));
    }
    disks
}

/// Parts of an option by Proxmox's names.
type Parts = BTreeMap<String, Value>;

/// Says a card, or its addresses, under its slot. `shared`: what all VMs of the file have there.
fn say_card(cards: &mut Map<String, Value>, slot: &str, mut parts: Parts, shared: Parts) {
    let (slot, is_address) = slot.strip_suffix(".ip").map_or((slot, false), |slot| (slot, true));
    if parts.is_empty() && !is_address && slot != "net0" {
        cards.insert(slot.to_owned(), Value::Null);
        return;
    }
    if is_address {
        let gone = shared.into_keys().filter(|name| name.starts_with("ip") && !parts.contains_key(name));
        let gone: Vec<String> = gone.collect();
        parts.extend(gone.into_iter().map(|name| (name, Address::NONE.into())));
    } else {
        let switches = shared.into_iter().filter(|(_, of)| *of == Value::Bool(true));
        for (name, _) in switches {
            parts.entry(name).or_insert(Value::Bool(false));
        }
    }
    let card = cards.entry(slot).or_insert_with(|| Value::Object(Map::new()));
    let word =
        |name: String| CARD_WORDS.iter().find(|(_, own)| *own == name).map_or(name, |(file, _)| (*file).to_owned());
    if let Value::Object(card) = card {
        card.extend(parts.into_iter().map(|(name, value)| (word(name), value)));
    }
}

/// What a VM has of an option, without what is its own: a uuid; an address that the record does not say.
fn value(option: &ProxmoxOption, vm: &VmObserved) -> String {
    let name = match option.name {
        BOOT_DISK => vm.boot_disk.as_ref().map(|disk| disk.device.as_str()),
        name => Some(name),
    };
    let own = name.and_then(|name| vm.options.get(name)).map(|text| option.own(text)).unwrap_or_default();
    let said = vm.record.valid().and_then(|record| record.applied.get(option.key));
    if said.is_some_and(|said| said.contains("macaddr=")) { own } else { option.without_identity(&own) }
}

/// Whether the file must say something of an option.
fn differs(option: &ProxmoxOption, live: &VmObserved, template: Option<&VmObserved>, default: &DesiredVm) -> bool {
    let record = live.record.valid();
    let ours = record.is_some_and(|record| record.applied.contains_key(option.key));
    let is = value(option, live);
    // Addresses do not come from a template.
    let template = template.filter(|_| !option.name.starts_with("ipconfig"));
    let inherited = template.map(|template| value(option, template)).unwrap_or_default();
    match default.option(option) {
        Some(shared) => option.own(&shared.value) != is,
        // Of a VM of ours it is known what the file said; the rest comes from what it was made from.
        None => !is.is_empty() && (ours || (is != inherited && record.is_none())),
    }
}
