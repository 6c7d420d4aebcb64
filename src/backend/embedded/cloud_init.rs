//! The cloud-init drive: made, noted as out of date, made anew.

use std::collections::BTreeMap;

use super::Embedded;
use super::disk_image;
use super::files::Deadline;
use super::guest_kind::GuestKind;
use super::options;
use super::refusals::unlocked;
use super::rehearse::Attempt;
use super::storage::{NewName, usable};
use crate::hypervisor::{Fault, FaultKind};
use crate::model::{GIB, VmId};
use crate::observed::{Conf, Net, PropertyString, is_volume_part, print_size};

/// Size of a drive.
pub(super) const SIZE: u64 = 4 << 20;

/// What a value of a drive option asks for: `STORAGE:cloudinit`, the drive of an earlier write, or an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Drive {
    /// A new drive on this storage.
    New(String),
    /// This volume.
    There(String),
    /// An empty disk of this size in bytes on this storage, and its options.
    Blank { storage: String, size: u64, options: String },
    /// A disk on a storage with a copy of an image, and its other options.
    Import { storage: String, from: String, options: String },
}

impl Drive {
    /// Reads a value of a drive option. `None`: it is none of these.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let mut text = PropertyString::parse(value);
        if let Some(from) = text.get("import-from").map(str::to_owned) {
            let storage = text.parts.first()?.1.strip_suffix(":0")?.to_owned();
            text.remove("import-from");
            text.parts.remove(0);
            return Some(Self::Import { storage, from, options: text.to_string() });
        }
        let parts = text.parts;
        let (_, volume) = parts.iter().find(|(key, _)| is_volume_part(key))?;
        let (storage, name) = volume.split_once(':')?;
        if name == "cloudinit" {
            return Some(Self::New(storage.to_owned()));
        }
        if let Ok(gib) = name.parse::<u32>() {
            let options = parts.iter().filter(|(key, _)| !is_volume_part(key)).cloned().collect();
            let options = PropertyString { parts: options }.to_string();
            return Some(Self::Blank { storage: storage.to_owned(), size: u64::from(gib) * GIB, options });
        }
        let name = name.rsplit('/').next().unwrap_or_default();
        (name.starts_with("vm-") && name.contains("-cloudinit")).then(|| Self::There(volume.clone()))
    }
}

impl Embedded {
    /// Makes or finds the volume of a drive, or makes it of an image; returns the value as it is stored.
    pub(super) fn new_drive(&self, vm: VmId, drive: &Drive, deadline: Deadline) -> Result<String, Fault> {
        if let Drive::Import { storage, from, options } = drive {
            return self.import_image(vm, (storage, from, options), deadline);
        }
        let (storages, volumes) = (self.storages_of(vm, false)?, self.volumes_on_disk());
        if let Drive::Blank { storage, size, options } = drive {
            let real = self.settings.guests == GuestKind::Qemu;
            let kind = if real { NewName::Disk } else { NewName::RawDisk };
            let volume = volumes.allocate(usable(&storages, storage, *size)?, vm, kind, *size)?;
            if let Some(file) = volumes.file(&volume, vm).filter(|_| real) {
                disk_image::create(&file, *size).inspect_err(|_| _ = volumes.erase(&volume, vm))?;
            }
            let options = [options.as_str(), &format!("size={}", print_size(*size))].join(",");
            return Ok(format!("{volume},{}", options.trim_start_matches(',')));
        }
        let there = volumes.list(vm, &storages)?;
        let volume = match drive {
            Drive::There(volume) if there.contains(volume) => volume.clone(),
            Drive::There(volume) => {
                return Err(Fault::harmless(FaultKind::Missing, format!("volume '{volume}' does not exist")));
            }
            Drive::Import { .. } | Drive::Blank { .. } => {
                return Err(Fault::harmless(FaultKind::Refused, "an image is not a cloud-init drive"));
            }
            Drive::New(id) => {
                let on = usable(&storages, id, SIZE)?;
                let new = format!("{id}:");
                if let Some(other) =
                    there.iter().find(|volume| volume.starts_with(&new) && volume.contains("-cloudinit"))
                {
                    return Err(Fault::harmless(FaultKind::Refused, format!("volume '{other}' already exists")));
                }
                volumes.allocate(on, vm, NewName::CloudInit, SIZE)?
            }
        };
        Ok(format!("{volume},media=cdrom"))
    }

    /// Makes the drive anew.
    pub(super) fn update_cloud_init(&self, vm: VmId, attempt: Attempt) -> Result<(), Fault> {
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.existing(vm)?;
        let mut conf = Conf::parse(&text);
        unlocked(&conf)?;
        self.custom(&conf)?;
        attempt.halfway()?;
        self.machines().seed(vm, &conf)?;
        conf.drive_made();
        if self.settings.guests == GuestKind::Qemu {
            self.qemu().seed_anew(vm, &conf)?;
        }
        self.write_conf(vm, &conf.to_string())
    }
}

/// Notes what the drive of a running VM does not say yet, as Proxmox does. `before` has the values from before the
/// write.
pub(super) fn note_changes(conf: &mut Conf<'_>, before: &Conf<'_>) {
    let has_drive = before.entries().any(|(_, value)| value.contains("cloudinit"));
    if !has_drive {
        return;
    }
    let told = |conf: &Conf<'_>| -> BTreeMap<String, String> {
        let told = conf.entries().filter(|(key, _)| options::is_told_to_guest(key));
        told.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    let (old, new) = (told(before), told(conf));
    // A guest knows its cards by their MAC addresses.
    let mac = |value: Option<&String>| value.and_then(|value| Net::parse(value)).map(|net| net.mac);
    let same = |key: &String| key.starts_with("net") && mac(old.get(key)) == mac(new.get(key));
    for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))).filter(|key| !same(key)) {
        conf.note_drive_change(key, old.get(key).map(String::as_str), new.get(key).map(String::as_str));
    }
}
