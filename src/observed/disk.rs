//! Disks and sizes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::property::{parts, value};
use crate::model::VmId;

/// Whether a part of a drive names its volume: Proxmox knows it without a name and under two.
#[must_use]
pub fn is_volume_part(name: &str) -> bool {
    matches!(name, "" | "file" | "volume")
}

/// The volume that a drive names.
#[must_use]
pub fn volume_of(drive: &str) -> Option<&str> {
    parts(drive).find(|(name, _)| is_volume_part(name)).map(|(_, volume)| volume)
}

/// The disk a VM boots from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootDisk {
    /// Device, e.g. `scsi0`.
    pub device: String,
    /// Storage it lies on; empty for a device of the node that was passed through.
    pub storage: String,
    /// Volume id, e.g. `local-zfs:vm-101-disk-0`.
    pub volume: String,
    /// Size in bytes, when the configuration says it.
    pub size: Option<u64>,
}

/// A volume that a VM's configuration names: a disk, the cloud-init drive, EFI or TPM state, or one that is not
/// attached any more (`unused0`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmVolume {
    /// Option that names it, e.g. `scsi0`.
    pub device: String,
    /// Volume id, e.g. `local-zfs:vm-101-disk-0`.
    pub volume: String,
    /// Size in bytes, when the configuration says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl VmVolume {
    /// Reads an option. `None`: it names no volume of a storage.
    #[must_use]
    pub fn parse(key: &str, text: &str) -> Option<Self> {
        if !holds_volume(key) && !key.starts_with("unused") {
            return None;
        }
        let volume = volume_of(text).unwrap_or_default();
        let (storage, _) = volume.split_once(':')?;
        let named = !storage.is_empty() && !storage.contains('/');
        let size = parts(text).find(|(key, _)| *key == "size").and_then(|(_, size)| parse_size(size));
        named.then(|| Self { device: key.to_owned(), volume: volume.to_owned(), size })
    }

    /// Whether it is the VM's own, which goes with it. Proxmox tells by the volume's name, and leaves others (ISO
    /// images, disks of other VMs) alone.
    #[must_use]
    pub fn belongs_to(&self, vm: VmId) -> bool {
        let name = self.volume.rsplit(['/', ':']).next().unwrap_or_default();
        ["vm", "base"].iter().any(|kind| name.starts_with(&format!("{kind}-{vm}-")))
    }

    /// Whether no slot of the VM has it: it is `unused0` or the like.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.device.starts_with("unused")
    }

    /// Whether it is a disk of a template, which is never written to.
    #[must_use]
    pub fn is_base(&self) -> bool {
        self.volume.rsplit(['/', ':']).next().is_some_and(|name| name.starts_with("base-"))
    }

    /// Whether it is built on a volume of this template, as a linked clone's disk is.
    #[must_use]
    pub fn is_based_on(&self, template: VmId) -> bool {
        self.bases().any(|base| base == template)
    }

    /// The templates on whose volumes it is built.
    pub(super) fn bases(&self) -> impl Iterator<Item = VmId> {
        let path = self.volume.split_once(':').map_or("", |(_, path)| path);
        let base = |part: &str| part.strip_prefix("base-")?.split_once('-')?.0.parse().ok();
        path.rsplit('/').skip(1).filter_map(base)
    }
}

/// A volume as its storage lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedVolume {
    /// The VMID that the storage says it belongs to.
    pub vm: VmId,
    /// Size in bytes; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Volumes by their storages, which were all listed, and their ids.
pub type Listed = BTreeMap<String, BTreeMap<String, ListedVolume>>;

/// Whether an option names a volume that is the VM's as long as it is attached.
#[must_use]
pub fn holds_volume(key: &str) -> bool {
    is_disk_key(key) || key == "efidisk0" || key == "tpmstate0"
}

/// Whether an option plugs a drive, a card or a device of the node into a VM.
pub(super) fn is_device_key(key: &str) -> bool {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    holds_volume(key) || (stem.len() < key.len() && matches!(stem, "net" | "hostpci" | "usb" | "virtiofs"))
}

/// Kinds of disk devices, in the order in which Proxmox looks for a boot disk.
const BUSES: [&str; 4] = ["ide", "scsi", "virtio", "sata"];

/// Whether a key of the configuration names a disk device, e.g. `scsi0`.
#[must_use]
pub fn is_disk_key(key: &str) -> bool {
    BUSES.iter().any(|bus| {
        key.strip_prefix(bus).is_some_and(|n| !n.is_empty() && n.len() <= 2 && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

impl BootDisk {
    /// Whether it is a linked clone: its volume id names the one it is based on, e.g.
    /// `local-zfs:base-9000-disk-0/vm-101-disk-0` or `local:9000/base-9000-disk-0.qcow2/101/vm-101-disk-0.qcow2`.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        let path = self.volume.split_once(':').map_or("", |(_, path)| path);
        path.rsplit('/').skip(1).any(|part| part.starts_with("base-"))
    }

    /// Reads a drive string. `None`: it is a CD-ROM, the cloud-init drive or empty.
    #[must_use]
    pub fn parse(device: &str, drive: &str) -> Option<Self> {
        let mut volume = "";
        let mut size = None;
        for (key, value) in parts(drive) {
            match key {
                key if is_volume_part(key) => volume = value,
                "size" => size = parse_size(value),
                "media" if value == "cdrom" => return None,
                _ => {}
            }
        }
        if volume.is_empty() || volume == "none" {
            return None;
        }
        let storage =
            if volume.starts_with('/') { "" } else { volume.split_once(':').map_or("", |(storage, _)| storage) };
        Some(Self { device: device.to_owned(), storage: storage.to_owned(), volume: volume.to_owned(), size })
    }

    /// Finds the boot disk: the first disk of `boot: order=…`; or as older configurations say it, `bootdisk`; or, where
    /// neither speaks, the first disk there is. `get` gives the value of a key.
    pub(super) fn find<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let disk = |device: &str| get(device).and_then(|drive| Self::parse(device, drive));
        match get("boot").map(|boot| (boot, value(boot, "order", "order").filter(|_| boot.contains("order=")))) {
            Some((_, Some(order))) => order.split(';').filter(|device| is_disk_key(device)).find_map(disk),
            Some((boot, None)) if !boot.contains('c') => None,
            _ => match get("bootdisk").filter(|device| !device.is_empty()) {
                Some(device) => disk(device),
                None => BUSES.iter().flat_map(|bus| (0..31).map(move |n| format!("{bus}{n}"))).find_map(|d| disk(&d)),
            },
        }
    }
}

/// Reads a size as Proxmox writes it, in bytes: `32G`, `5000M`, `4.5G`, `1024K`, `1T`, or plain bytes.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, shift) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        b'T' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let unit = 1_u64 << shift;
    let mut bytes = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    // Nine digits are finer than a byte of a gibibyte; more only overflow.
    let fraction = &fraction[..fraction.len().min(9)];
    if !fraction.is_empty() {
        let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(unit) / scale;
        bytes = bytes.checked_add(u64::try_from(part).ok()?)?;
    }
    Some(bytes)
}

/// Writes a size as Proxmox does: in the largest unit that leaves no remainder.
#[must_use]
pub fn print_size(bytes: u64) -> String {
    let mut value = bytes;
    for unit in ["", "K", "M", "G", "T"] {
        if value == 0 || !value.is_multiple_of(1024) || unit == "T" {
            return format!("{value}{unit}");
        }
        value /= 1024;
    }
    format!("{bytes}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GIB, MIB};
    use crate::observed::Conf;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("32G", Some(32 * GIB)),
            ("5000M", Some(5000 * MIB)),
            ("4.5G", Some(4 * GIB + GIB / 2)),
            ("3221225473", Some(3_221_225_473)),
            ("1T", Some(1024 * GIB)),
            ("3GB", None),
            ("", None),
            ("G", None),
            ("1.G", None),
            ("-1G", None),
            ("99999999999999999999", None),
            ("99999999999T", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
        for text in ["32G", "5000M", "1T", "3221225473", "4M", "0", "1500T"] {
            assert_eq!(parse_size(text).map(print_size).as_deref(), Some(text));
        }
    }

    #[test]
    fn boot_disk() {
        for (conf, device) in [
            ("boot: order=scsi0;net0\nscsi0: s:vm-1-disk-0,size=1G\n", Some("scsi0")),
            ("boot: order=ide2;net0;virtio1\nide2: s:vm-1-cloudinit,media=cdrom\nvirtio1: s:d\n", Some("virtio1")),
            ("boot: order=net0\nscsi0: s:d\n", None),
            ("boot:  \nscsi0: s:d\n", None),
            ("boot: cdn\nbootdisk: scsi1\nscsi0: s:a\nscsi1: s:b\n", Some("scsi1")),
            ("boot: cdn\nscsi3: s:a\nvirtio0: s:b\n", Some("scsi3")),
            ("bootdisk: virtio0\nvirtio0: file=s:b\n", Some("virtio0")),
            ("boot: order=scsi0\n", None),
            ("boot: n\nscsi0: s:b\n", None),
            ("sata0: none,media=cdrom\nsata1: /dev/sdb\n", Some("sata1")),
        ] {
            let conf = Conf::parse(conf);
            let found = BootDisk::find(|key| conf.get(key));
            assert_eq!(found.map(|disk| disk.device).as_deref(), device, "{conf}");
        }
        let disk = BootDisk::parse("scsi0", "zfs:base-9000-disk-0/vm-101-disk-0,discard=on,size=3G").unwrap();
        assert_eq!((disk.storage.as_str(), disk.volume.as_str()), ("zfs", "zfs:base-9000-disk-0/vm-101-disk-0"));
        assert_eq!(disk.size, Some(3 * GIB));
    }
}
