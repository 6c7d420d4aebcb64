//! What stands in slots (network cards, further disks, CD drives): names that are no slots, and values that other tools
//! write as one text.

use serde_json::{Map, Value, json};

use super::codes;
use super::problem::{Problem, shown};
use super::spans::{Place, escaped};
use super::units;
use crate::model::proxmox::{self, CARD_WORDS, ProxmoxOption};

/// Objects whose members are slots: the end of their pointers, what stands in a slot, how it is written, and the slots.
const HOLDERS: [(&str, &str, &str, &str); 3] = [
    (
        "/cdrom",
        "a CD drive",
        "`\"ide0\": \"local:iso/debian.iso\"`",
        "the slots are `ide0` to `ide3`, `sata0` to `sata5` and `scsi0` to `scsi30`",
    ),
    ("/networks", "a network card", "`\"net1\": { \"bridge\": \"vmbr1\" }`", "the slots are `net0` to `net31`"),
    (
        "/disks",
        "a disk",
        "`\"scsi1\": { \"size_gb\": 20 }`",
        "the slots are `scsi0` to `scsi30`, `virtio0` to `virtio15`, `sata0` to `sata5`, `ide0` to `ide3`, `efidisk0` and \
         `tpmstate0`",
    ),
];

/// Says that a member of an object of slots has not the name of one.
pub(super) fn unknown(object: &str, key: &str) -> Option<Problem> {
    let (_, of, like, slots) = HOLDERS.into_iter().find(|(end, ..)| object.ends_with(end))?;
    let what = format!("{} is not the slot of {of}", shown(key));
    // A name with a number was meant as a slot; any other is a key that stands too high.
    let is_slot = key.ends_with(|c: char| c.is_ascii_digit());
    let hint = if is_slot { slots.to_owned() } else { format!("{of} is written by its slot, like {like}; {slots}") };
    Some(Problem::new(codes::UNKNOWN_KEY, what, Place::key(format!("{object}/{}", escaped(key)))).hint(hint))
}

/// What may have been meant by a value in a slot, where an object is wanted. `pointer`: where the value stands.
pub(super) fn meant(pointer: &str, found: &Value) -> Option<Value> {
    let mut steps = pointer.rsplit('/');
    let (slot, holder) = (steps.next()?, steps.next()?);
    let text = match found {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    match holder {
        "disks" => disk(slot, &text),
        "networks" => card(slot, &text),
        _ => None,
    }
}

/// An example of what stands in a slot, where an object is wanted.
pub(super) fn example(pointer: &str) -> Option<Value> {
    match pointer.rsplit('/').nth(1)? {
        "disks" => Some(json!({ "size_gb": 20 })),
        "networks" => Some(json!({ "bridge": "vmbr1" })),
        _ => None,
    }
}

/// A CD drive as the file has it, of an image alone.
pub(super) fn drive(text: &str) -> Value {
    json!({ "ide0": text })
}

/// A disk as Proxmox writes it (`tank:20,ssd=1`), or its size alone.
fn disk(slot: &str, text: &str) -> Option<Value> {
    let mut disk = Map::new();
    let mut options = Map::new();
    let size = |text: &str| units::number("size_gb", text);
    for part in text.split(',').map(str::trim) {
        match part.split_once('=').unwrap_or(("file", part)) {
            ("size", written) => drop(disk.insert("size_gb".to_owned(), size(written)?.into())),
            ("file", written) => match written.split_once(':') {
                None => drop(disk.insert("size_gb".to_owned(), size(written)?.into())),
                Some((storage, name)) => match name.parse::<u32>() {
                    Ok(gib) => {
                        disk.insert("storage".to_owned(), storage.into());
                        disk.insert("size_gb".to_owned(), gib.into());
                    }
                    Err(_) => drop(disk.insert("volume".to_owned(), written.into())),
                },
            },
            (name, value) => {
                let read = proxmox::disk(slot)?.read(&format!("{name}={value}").into()).ok()?;
                options.extend(proxmox::disk(slot)?.to_parts(&read));
            }
        }
    }
    // A volume has its size already.
    if disk.contains_key("volume") {
        disk.remove("size_gb");
    }
    if !options.is_empty() {
        disk.insert("options".to_owned(), options.into());
    }
    Some(disk.into())
}

/// A card as Proxmox writes it (`virtio,bridge=vmbr1,tag=20`), or its bridge alone.
fn card(slot: &str, text: &str) -> Option<Value> {
    let option: &ProxmoxOption = proxmox::card(slot)?;
    if !text.contains([',', '=']) && text.starts_with("vmbr") {
        return Some(json!({ "bridge": text }));
    }
    let read = option.own(text);
    let named = |name: String| {
        let own = CARD_WORDS.iter().find(|(_, proxmox)| *proxmox == name).map(|(own, _)| (*own).to_owned());
        own.unwrap_or(name)
    };
    let parts: Map<String, Value> =
        option.to_parts(&read).into_iter().map(|(name, value)| (named(name), value)).collect();
    (!parts.is_empty()).then(|| parts.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::meant;

    #[test]
    fn what_other_tools_write_as_one_text_is_taken_apart() {
        for (slot, found, expected) in [
            ("disks/scsi1", json!(20), json!({ "size_gb": 20 })),
            ("disks/scsi1", json!("20G"), json!({ "size_gb": 20 })),
            ("disks/scsi1", json!("tank:20"), json!({ "size_gb": 20, "storage": "tank" })),
            ("disks/scsi1", json!("tank:vm-1000-disk-1,size=8G"), json!({ "volume": "tank:vm-1000-disk-1" })),
            (
                "disks/scsi1",
                json!("tank:20,ssd=1"),
                json!({ "size_gb": 20, "storage": "tank", "options": { "ssd": true } }),
            ),
            ("disks/scsi1", json!("much"), json!(null)),
            ("disks/scsi1", json!("tank:20,sdd=1"), json!(null)),
            ("disks/scsi1", json!(true), json!(null)),
            ("networks/net1", json!("vmbr1"), json!({ "bridge": "vmbr1" })),
            (
                "networks/net1",
                json!("virtio,bridge=vmbr1,tag=20,firewall=1"),
                json!({ "model": "virtio", "bridge": "vmbr1", "vlan_tag": 20, "firewall": true }),
            ),
            (
                "networks/net1",
                json!("virtio=BC:24:11:00:00:01,bridge=vmbr1"),
                json!({ "model": "virtio", "bridge": "vmbr1", "mac": "BC:24:11:00:00:01" }),
            ),
        ] {
            let pointer = format!("/virtual_machines/0/{slot}");
            assert_eq!(meant(&pointer, &found).unwrap_or_default(), expected, "{slot}: {found}");
        }
    }
}
