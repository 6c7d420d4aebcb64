//! CD drives, the ISO images of storages, and what a drive that comes or goes does to the order of devices to boot
//! from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Embedded;
use super::files;
use super::refusals::refused;
use crate::hypervisor::{Fault, FaultKind};
use crate::model::proxmox::boot_order;
use crate::observed::{Conf, ConfigWrite, PropertyString, Storage, is_disk_key, print_size};

/// Where a storage keeps its ISO images, below its path.
const ISOS: &str = "template/iso";

/// Where a storage keeps images that disks are made from, below its path.
const IMPORTS: &str = "import";

/// The volume in a drive, if it is a CD drive and not the one of cloud-init.
pub(super) fn disc(drive: &str) -> Option<String> {
    let parts = PropertyString::parse(drive);
    let disc = parts.get("file").or(parts.get("")).unwrap_or_default();
    let is_cd = parts.get("media") == Some("cdrom") && !disc.contains("cloudinit");
    is_cd.then(|| disc.to_owned())
}

/// A storage has no such volume.
fn no_volume(volume: &str) -> Fault {
    Fault::harmless(FaultKind::Missing, format!("volume '{volume}' does not exist"))
}

/// A file of this name in a directory.
fn there(directory: &Path, name: &str) -> Option<PathBuf> {
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
    Some(directory.join(name)).filter(|file| plain && file.is_file())
}

impl Embedded {
    /// The ISO images on these storages.
    pub(super) fn isos_on(&self, storages: &[&str]) -> Result<BTreeMap<String, BTreeSet<String>>, Fault> {
        let mut found = BTreeMap::new();
        for id in storages {
            let names = self.iso_directory(id)?.map_or_else(|| Ok(Vec::new()), |directory| files::names(&directory))?;
            let is_iso = |name: &String| {
                let end = Path::new(name).extension().unwrap_or_default();
                ["iso", "img"].iter().any(|known| end.eq_ignore_ascii_case(known))
            };
            let volumes = names.into_iter().filter(is_iso).map(|name| format!("{id}:iso/{name}"));
            found.insert((*id).to_owned(), volumes.collect());
        }
        Ok(found)
    }

    /// Where the ISO images of a storage lie on this machine; `None`: it has none.
    fn iso_directory(&self, storage: &str) -> Result<Option<PathBuf>, Fault> {
        let storages = self.storages(false)?;
        let Some(path) = storages.get(storage).filter(|storage| storage.isos).and_then(|of| of.path.clone()) else {
            return Ok(None);
        };
        self.host_path(&format!("{}/{ISOS}", path.trim_end_matches('/'))).map(Some)
    }

    /// The file of an ISO image on this machine.
    pub(super) fn iso_file(&self, volume: &str) -> Result<PathBuf, Fault> {
        let (id, name) = volume.split_once(":iso/").ok_or_else(|| no_volume(volume))?;
        self.on_storage(id)?;
        self.iso_directory(id)?.and_then(|directory| there(&directory, name)).ok_or_else(|| no_volume(volume))
    }

    /// The file on this machine of an image that VMs are made from, of content `import`; another one Proxmox refuses
    /// (recorded).
    pub(super) fn image_file(&self, volume: &str) -> Result<PathBuf, Fault> {
        let Some((id, name)) = volume.split_once(":import/") else {
            let kind = volume.split_once(':').and_then(|(_, name)| name.split_once('/')).map_or("", |(kind, _)| kind);
            let what = format!("{volume} has wrong type '{kind}' - needs to be 'images' or 'import'");
            return Err(Fault::harmless(FaultKind::Refused, what));
        };
        let path = self.on_storage(id)?.path.ok_or_else(|| no_volume(volume))?;
        let directory = self.host_path(&format!("{}/{IMPORTS}", path.trim_end_matches('/')))?;
        there(&directory, name).ok_or_else(|| no_volume(volume))
    }

    /// A storage that can be used.
    fn on_storage(&self, id: &str) -> Result<Storage, Fault> {
        let missing = || Fault::harmless(FaultKind::Missing, format!("storage '{id}' does not exist"));
        let storage = self.storages(false)?.remove(id).ok_or_else(missing)?;
        if storage.active {
            Ok(storage)
        } else {
            Err(Fault::harmless(FaultKind::Refused, format!("storage '{id}' is disabled")))
        }
    }

    /// A CD drive as it is stored; `None`: the value is none. `now`: what is in the slot.
    pub(super) fn cd_drive(&self, key: &str, value: &str, now: Option<&str>) -> Result<Option<String>, Fault> {
        let Some(volume) = disc(value) else {
            return if value.split(',').next().is_some_and(|first| first.contains(":iso/")) {
                Err(refused(&[format!("{key}: explicit 'media=cdrom' is required for iso images")]))
            } else {
                Ok(None)
            };
        };
        if now.is_some_and(|now| disc(now).is_none()) {
            return Err(refused(&[format!("{key}: hotplug problem - unable to change media type")]));
        }
        if volume == "none" {
            return Ok(Some(value.to_owned()));
        }
        let file = self.iso_file(&volume)?;
        let size = file.metadata().map_or(0, |about| about.len());
        let mut drive = PropertyString::parse(value);
        drive.set("size", &print_size(size));
        Ok(Some(drive.to_string()))
    }
}

/// The order of devices to boot from, once these CD drives are written and these devices deleted; `None`: it stays as
/// it is (recorded).
pub(super) fn order_with(conf: &Conf<'_>, added: &[&str], deleted: &[&str]) -> Option<String> {
    let now = conf.pending("boot").or_else(|| conf.get("boot")).unwrap_or_default();
    let old: Vec<&str> = boot_order(now).collect();
    let mut new: Vec<&str> = old.iter().copied().filter(|device| !deleted.contains(device)).collect();
    if !old.is_empty() {
        let missing: Vec<&str> = added.iter().copied().filter(|key| is_disk_key(key) && !new.contains(key)).collect();
        new.extend(missing);
    }
    (new != old).then(|| format!("order={}", new.join(";")))
}

/// Refuses an order with a device that the VM will not have (recorded).
pub(super) fn bootable(conf: &Conf<'_>, write: &ConfigWrite, order: &str) -> Result<(), Fault> {
    let there = |device: &str| {
        let is = conf.get(device).is_some() || conf.pending(device).is_some() || write.set.contains_key(device);
        is && !write.delete.contains(device)
    };
    match boot_order(order).find(|device| !there(device)) {
        Some(device) => {
            let what = format!("invalid bootorder: device '{device}' does not exist'");
            Err(Fault::harmless(FaultKind::Missing, what))
        }
        None => Ok(()),
    }
}
