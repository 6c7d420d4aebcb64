//! Further disks, cards, drives and options of a VM by Proxmox's own names, at random.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Some of these, each with one of its values.
fn some(choices: &'static [(&'static str, &'static [&'static str])]) -> impl Strategy<Value = Map<String, Value>> {
    let one = |(name, values): &(&'static str, &'static [&'static str])| {
        let name = *name;
        prop::option::weighted(0.4, prop::sample::select(*values)).prop_map(move |value| Some((name, value?)))
    };
    let all: Vec<_> = choices.iter().map(one).collect();
    all.prop_map(|found| {
        let parsed = |text: &str| serde_json::from_str(text).unwrap();
        found.into_iter().flatten().map(|(name, value)| (name.to_owned(), parsed(value))).collect()
    })
}

const OPTIONS: &[(&str, &[&str])] = &[
    ("acpi", &["1"]),
    ("balloon", &["0", "null"]),
    ("cpu", &[r#""host""#, r#""x86-64-v2-AES""#, r#""qemu64,flags=+aes;-pcid""#]),
    ("cpulimit", &["1", "0.5"]),
    ("keyboard", &[r#""de""#]),
    ("localtime", &["true", "false"]),
    ("machine", &[r#""q35""#]),
    ("scsihw", &[r#""virtio-scsi-single""#, r#""virtio-scsi-pci""#]),
    ("serial1", &[r#""socket""#]),
    ("tablet", &["0", "1"]),
    ("vga", &[r#""std""#, r#""std,memory=32""#, r#""virtio""#]),
    ("watchdog", &[r#""i6300esb,action=reset""#]),
];

const BOOT_DISK: &[(&str, &[&str])] =
    &[("discard", &[r#""on""#]), ("ssd", &["1"]), ("backup", &["0"]), ("cache", &[r#""writeback""#])];

const CARDS: &[(&str, &[&str])] = &[
    ("net1", &["{}", r#"{ "vlan_tag": 20 }"#, r#"{ "ip": "dhcp", "firewall": true }"#]),
    ("net2", &[r#"{ "model": "e1000", "rate_mbps": 12.5 }"#, r#"{ "mtu": 1 }"#]),
    ("net0", &[r#"{ "firewall": true }"#, r#"{ "link_down": true }"#, r#"{ "queues": 2 }"#]),
];

const CDROM: &[(&str, &[&str])] = &[("ide0", &[r#""none""#]), ("sata1", &[r#""none""#])];

/// Further disks, of sizes from `grown`, so that a later config never shrinks one.
fn disks(grown: u32) -> impl Strategy<Value = Value> {
    let slot = |slot: &'static str, more: &'static [&'static str]| {
        let size = (1..20_u32, prop::sample::select(more));
        prop::option::weighted(0.4, size).prop_map(move |found| {
            let (size, more) = found?;
            let mut disk: Value = serde_json::from_str(more).unwrap();
            disk["size_gb"] = json!(grown + size);
            Some((slot.to_owned(), disk))
        })
    };
    let disks = (
        slot("scsi1", &["{}", r#"{ "options": { "backup": 0 } }"#, r#"{ "options": { "discard": "on", "ssd": 1 } }"#]),
        slot("virtio2", &["{}", r#"{ "options": { "iothread": 1 } }"#]),
        slot("sata3", &["{}", r#"{ "options": { "cache": "none" } }"#]),
    );
    disks.prop_map(|(a, b, c)| Value::Object([a, b, c].into_iter().flatten().collect()))
}

/// Keys of a VM. What is empty is left out.
pub(super) fn hardware(grown: u32) -> impl Strategy<Value = Map<String, Value>> {
    (some(OPTIONS), some(BOOT_DISK), some(CARDS), some(CDROM), disks(grown)).prop_map(
        |(options, boot_disk, cards, cdrom, disks)| {
            let found = [
                ("proxmox", Value::Object(options)),
                ("boot_disk_options", Value::Object(boot_disk)),
                ("networks", Value::Object(cards)),
                ("cdrom", Value::Object(cdrom)),
                ("disks", disks),
            ];
            let is_said = |(_, value): &(&str, Value)| value.as_object().is_some_and(|object| !object.is_empty());
            found.into_iter().filter(is_said).map(|(key, value)| (key.to_owned(), value)).collect()
        },
    )
}
