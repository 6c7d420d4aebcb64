//! Options of Proxmox that keys of the file's own words stand for: network cards, their addresses, the boot disk's
//! options, further disks, CD drives, the order in which a VM tries its devices.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{ProxmoxOption, Spec};

/// What stands before the slot of a card where keys of the file are named.
pub const NETWORKS: &str = "networks.";

/// The key of the boot disk's options, and the name of the option that they are: its device is another in each VM.
pub const BOOT_DISK: &str = "boot_disk_options";

/// What stands before the slot of a further disk where keys of the file are named.
pub const DISKS: &str = "disks.";

/// What stands before the slot of a CD drive where keys of the file are named.
pub const CDROM: &str = "cdrom.";

/// The key of the devices that a VM tries to boot from.
pub const BOOT_DEVICES: &str = "boot_devices";

/// Slots of disks: the bus, and how many it has.
const BUSES: [(&str, u32); 4] = [("scsi", 31), ("virtio", 16), ("sata", 6), ("ide", 4)];

/// Options of a disk that not every bus has, with the buses that have them (Proxmox's API schema): on others Proxmox
/// refuses them.
const OF_SOME_BUSES: [(&str, &[&str]); 7] = [
    ("iothread", &["scsi", "virtio"]),
    ("product", &["scsi"]),
    ("queues", &["scsi"]),
    ("ro", &["scsi", "virtio"]),
    ("ssd", &["scsi", "sata", "ide"]),
    ("vendor", &["scsi"]),
    ("wwn", &["scsi", "sata", "ide"]),
];

/// The buses whose disks have an option, where the disk in a slot has it not.
#[must_use]
pub fn other_buses(slot: &str, option: &str) -> Option<&'static [&'static str]> {
    let bus = slot.trim_end_matches(|c: char| c.is_ascii_digit());
    let known = BUSES.iter().any(|(name, _)| *name == bus);
    let (_, buses) = OF_SOME_BUSES.iter().find(|(name, buses)| known && *name == option && !buses.contains(&bus))?;
    Some(buses)
}

/// Disks that hold what firmware and a TPM remember: Proxmox knows their sizes.
const STATE: [&str; 2] = ["efidisk0", "tpmstate0"];

/// Parts of a card that the file calls otherwise than Proxmox: the file's word, then Proxmox's.
pub const CARD_WORDS: [(&str, &str); 3] = [("mac", "macaddr"), ("vlan_tag", "tag"), ("rate_mbps", "rate")];

static SPECS: LazyLock<BTreeMap<String, Spec>> =
    LazyLock::new(|| serde_json::from_str(include_str!("own.json")).unwrap_or_default());

/// The options by their keys in the file: `networks.net1`, `networks.net1.ip`, `boot_disk_options`.
pub fn own() -> &'static BTreeMap<&'static str, ProxmoxOption> {
    static OPTIONS: LazyLock<BTreeMap<&'static str, ProxmoxOption>> = LazyLock::new(|| {
        let mut all = BTreeMap::new();
        let mut slot = |of: &str, slot: &str, spec: &'static Spec| {
            let (key, name): (&'static str, &'static str) = (format!("{of}{slot}").leak(), slot.to_owned().leak());
            all.insert(key, ProxmoxOption { name, key, spec });
        };
        for (bus, slots) in BUSES {
            for n in 0..slots {
                let name = format!("{bus}{n}");
                if let Some(spec) = SPECS.get("boot_disk") {
                    slot(DISKS, &name, spec);
                }
                // VirtIO has no CD drives.
                if let Some(spec) = SPECS.get("cdrom").filter(|_| bus != "virtio") {
                    slot(CDROM, &name, spec);
                }
            }
        }
        for name in STATE {
            if let Some(spec) = SPECS.get(name) {
                slot(DISKS, name, spec);
            }
        }
        if let Some(spec) = SPECS.get("boot") {
            all.insert(BOOT_DEVICES, ProxmoxOption { name: "boot", key: BOOT_DEVICES, spec });
        }
        let others = |stem: &str| !STATE.contains(&stem) && stem != "boot" && stem != "cdrom";
        for (stem, spec) in SPECS.iter().filter(|(stem, _)| others(stem)) {
            for number in 0..spec.numbers.unwrap_or(1) {
                let (key, name) = match stem.as_str() {
                    "netN" => (format!("{NETWORKS}net{number}"), format!("net{number}")),
                    // The address of the first card is `network_config`'s.
                    "ipconfigN" if number == 0 => continue,
                    "ipconfigN" => (format!("{NETWORKS}net{number}.ip"), format!("ipconfig{number}")),
                    _ => (BOOT_DISK.to_owned(), BOOT_DISK.to_owned()),
                };
                // Once in the life of the program, a hundred names.
                let (key, name): (&'static str, &'static str) = (key.leak(), name.leak());
                all.insert(key, ProxmoxOption { name, key, spec });
            }
        }
        all
    });
    &OPTIONS
}

/// A network card by its slot: `net1`.
#[must_use]
pub fn card(slot: &str) -> Option<&'static ProxmoxOption> {
    own().get(format!("{NETWORKS}{slot}").as_str()).filter(|option| option.name == slot)
}

/// The addresses of a card by its slot: `net1`; the first card has them elsewhere.
#[must_use]
pub fn address(slot: &str) -> Option<&'static ProxmoxOption> {
    own().get(format!("{NETWORKS}{slot}.ip").as_str())
}

/// Whether a running VM takes over a part of a disk at once: limits, and what concerns copies (recorded).
#[must_use]
pub fn is_live_part(name: &str) -> bool {
    ["backup", "replicate", "shared"].contains(&name)
        || ["bps", "iops", "mbps"].iter().any(|limit| name.starts_with(limit))
}

/// Whether a part of a disk is in the configuration at once, and QEMU has the old one until its next start: no pending
/// value tells of it (recorded of all but `detect_zeroes`).
#[must_use]
pub fn is_silent_part(name: &str) -> bool {
    ["detect_zeroes", "rerror", "serial", "werror", "wwn"].contains(&name)
}

/// A further disk by its slot: `scsi1`, `efidisk0`.
#[must_use]
pub fn disk(slot: &str) -> Option<&'static ProxmoxOption> {
    own().get(format!("{DISKS}{slot}").as_str())
}

/// A CD drive by its slot: `ide0`.
#[must_use]
pub fn cdrom(slot: &str) -> Option<&'static ProxmoxOption> {
    own().get(format!("{CDROM}{slot}").as_str())
}

/// The devices that a VM tries to boot from.
#[must_use]
pub fn boot_devices() -> Option<&'static ProxmoxOption> {
    own().get(BOOT_DEVICES)
}

/// The devices that a value of Proxmox's `boot` names, in its order; none where it says no order of devices.
pub fn boot_order(text: &str) -> impl Iterator<Item = &str> {
    let order = text.split(',').find_map(|part| part.trim().strip_prefix("order="));
    order.unwrap_or_default().split(';').map(str::trim).filter(|device| !device.is_empty())
}

/// Whether the disk in a slot holds what firmware or a TPM remembers.
#[must_use]
pub fn holds_state(slot: &str) -> bool {
    STATE.contains(&slot)
}

/// What Proxmox takes for the options of such a disk that are settled when it is made, where its line does not say them
/// (API schema).
#[must_use]
pub fn made_once(slot: &str) -> &'static [(&'static str, &'static str)] {
    match slot {
        "efidisk0" => &[("efitype", "2m")],
        "tpmstate0" => &[("version", "v1.2")],
        _ => &[],
    }
}

/// The options of the boot disk.
#[must_use]
pub fn boot_disk() -> Option<&'static ProxmoxOption> {
    own().get(BOOT_DISK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_whole() {
        assert_eq!(own().len(), 32 + 31 + 1 + 57 + 2 + 41 + 1);
        assert!(cdrom("ide3").is_some() && cdrom("scsi30").is_some() && cdrom("virtio0").is_none());
        assert_eq!(card("net31").map(|option| option.key), Some("networks.net31"));
        assert_eq!(address("net1").map(|option| option.name), Some("ipconfig1"));
        assert!(card("net32").is_none() && card("net1.ip").is_none() && address("net0").is_none());
        assert!(boot_disk().is_some() && disk("scsi30").is_some() && disk("scsi31").is_none());
    }
}
