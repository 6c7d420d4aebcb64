//! Further disks of a VM, as an entry has them: of a VM of ours, those that its file had; else those that its template
//! lacks; and what is to be taken away of what the file says of all VMs.

use serde_json::{Map, Value};

use super::beyond::unsaid;
use super::regained::{self, File};
use crate::model::proxmox::{self, ProxmoxOption};
use crate::model::{Disk, GIB};
use crate::observed::VmObserved;
use crate::observed::options::size_key;

/// What the file must say of further disks: of a VM of ours, of those that its file had; else of those that its
/// template lacks.
pub(super) fn further(live: &VmObserved, template: Option<&VmObserved>, file: &File<'_>) -> Map<String, Value> {
    let record = live.record.valid();
    let boots = live.boot_disk.as_ref().map(|disk| disk.device.as_str());
    let default = &file.desired.defaults;
    let shared = &default.disks;
    // What all VMs of the file have, and this one has not, is taken away.
    let mut disks: Map<String, Value> = shared.keys().map(|slot| ((*slot).to_owned(), Value::Null)).collect();
    for volume in live.volumes.iter().filter(|volume| Some(volume.device.as_str()) != boots) {
        let slot = volume.device.as_str();
        let (Some(option), Some(text)) = (proxmox::disk(slot), live.options.get(slot)) else { continue };
        let is_other = |template: &VmObserved| template.boot_disk.as_ref().is_none_or(|disk| disk.device != slot);
        let inherited = template.is_some_and(|of| of.options.get(slot).is_some() && is_other(of));
        let says = record.map_or(!inherited, |record| record.applied.contains_key(option.key));
        let says = says || shared.contains_key(slot);
        if text.contains("media=cdrom") || is_of_the_node(&volume.volume) || !says {
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
        let mut options: Map<String, Value> = options.filter(|(name, _)| !lost.contains(&name.as_str())).collect();
        // Proxmox's default is another one than what phoenix makes.
        for (name, is) in proxmox::made_once(slot) {
            options.entry(*name).or_insert_with(|| (*is).into());
        }
        disk.extend((!options.is_empty()).then(|| ("options".to_owned(), Value::Object(options))));
        let noted = record.and_then(|record| record.filesystems.get(slot)).filter(|noted| !noted.at.is_empty());
        if let Some(noted) = noted.filter(|_| live.agent) {
            disk.insert("filesystem".to_owned(), noted.filesystem.as_str().into());
            disk.insert("mount_point".to_owned(), noted.at.as_str().into());
        }
        // Without a storage of its own it lies where the boot disk lies.
        let follows = live.boot_disk.as_ref().is_some_and(|boots| boots.storage == default.boot_disk_storage);
        match shared.get(slot).map(|shared| beside(option, disk.clone(), (shared, follows))) {
            Some(rest) if rest.is_empty() => drop(disks.remove(slot)),
            Some(rest) => drop(disks.insert(slot.to_owned(), Value::Object(rest))),
            None => drop(disks.insert(slot.to_owned(), Value::Object(disk))),
        }
    }
    disks
}

/// Whether a disk is a device or a file of the node, which no key says.
pub(super) fn is_of_the_node(volume: &str) -> bool {
    volume.starts_with('/') || !volume.contains(':')
}

/// What of a disk must be said beside what the file says of it for all VMs. `follows`: where it says no storage, this
/// VM has the same.
fn beside(
    option: &ProxmoxOption,
    mut disk: Map<String, Value>,
    (shared, follows): (&Disk, bool),
) -> Map<String, Value> {
    let mut says = |key: &str, shared: Option<Value>| match (disk.get(key), shared) {
        (Some(is), Some(shared)) if *is == shared => drop(disk.remove(key)),
        (None, Some(_)) => drop(disk.insert(key.to_owned(), Value::Null)),
        _ => {}
    };
    says("size_gb", shared.size_gb.map(Value::from).filter(|_| !proxmox::holds_state(option.name)));
    says("volume", shared.volume.clone().map(Value::from));
    says("import_from", shared.import_from.as_ref().map(regained::disk_image_value));
    says("storage", Some(shared.storage.clone().into()).filter(|_| follows));
    says("filesystem", shared.mount.as_ref().map(|mount| mount.filesystem.as_str().into()));
    says("mount_point", shared.mount.as_ref().map(|mount| mount.mount_point.as_str().into()));
    let shared = option.to_parts(&shared.options.value);
    let mut options = disk.remove("options").and_then(|options| options.as_object().cloned()).unwrap_or_default();
    for (name, value) in shared {
        match options.get(&name) {
            Some(is) if *is == value => drop(options.remove(&name)),
            Some(_) => {}
            None => drop(options.insert(name, Value::Null)),
        }
    }
    disk.extend((!options.is_empty()).then(|| ("options".to_owned(), Value::Object(options))));
    disk
}
