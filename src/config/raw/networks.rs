//! Network cards and disks by their slots, and options of disks.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde::de::{Deserializer, Error as _};

use super::ha::NULLABLE;
use super::images::{RawImport, import_from};
use super::options;
use super::words::{filesystem, network_model};
use crate::config::lexis;
use crate::model::proxmox::{self, Kind};
use crate::model::{Filesystem, NetworkModel};

/// What an object says, key by key.
type Said =
    MapDeserializer<'static, std::collections::btree_map::IntoIter<String, serde_json::Value>, serde_json::Error>;

/// Describes a network card.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub(crate) struct RawCard {
    /// Names the bridge that the card is plugged into; without it, the one of `network_bridge`.
    #[schemars(title = "Bridge", regex(pattern = lexis::BRIDGE), example = &"vmbr1")]
    pub(in crate::config) bridge: Option<String>,
    /// Names the model of the card; without it, the one of `network_model`. A running guest loses the card and gets
    /// another one when it changes.
    #[schemars(schema_with = "network_model", title = "Model", example = &"virtio")]
    pub(in crate::config) model: Option<NetworkModel>,
    /// Sets the card's address on the network; without it, the card keeps the one that Proxmox makes up. A running
    /// guest loses the card and gets it back when it changes.
    #[schemars(title = "MAC address", regex(pattern = lexis::MAC), length(max = 17), example = &"BC:24:11:00:00:01")]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) mac: Option<String>,
    /// Sets the VLAN of the card.
    #[schemars(title = "VLAN", range(min = 1, max = 4094), example = 20)]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) vlan_tag: Option<u32>,
    /// Lists the VLANs that the guest may use by itself, and ranges of them, parted by `;`.
    #[schemars(title = "VLAN trunks", regex(pattern = lexis::TRUNKS), length(max = 512), example = &"10;20-29")]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) trunks: Option<String>,
    /// Switches Proxmox's firewall on for the card; without it, a new card has it off.
    #[schemars(title = "Firewall", example = true)]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) firewall: Option<bool>,
    /// Sets the largest packet in bytes; 1 takes the bridge's own. A running guest loses the card and gets it back when
    /// it changes.
    #[schemars(title = "MTU", range(min = 1, max = 65_520), example = 1400)]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) mtu: Option<u32>,
    /// Sets how many queues the card has; a running guest loses the card and gets it back when it changes.
    #[schemars(title = "Queues", range(min = 0, max = 64), example = 4)]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) queues: Option<u32>,
    /// Limits the card, in megabytes per second.
    #[schemars(title = "Rate (MB/s)", range(min = 0.0, max = 10_240.0), example = 12.5)]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) rate_mbps: Option<f64>,
    /// Disconnects the card, as if its cable were unplugged.
    #[schemars(title = "Link down", example = false)]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) link_down: Option<bool>,
    /// Sets the IPv4 address with its prefix length, or `dhcp`, by cloud-init; `none` takes it away. That of the first
    /// card is `network_config`'s. The guest reads it when it boots next.
    #[schemars(title = "IPv4 address", regex(pattern = lexis::IPV4), length(max = 18), example = &"192.0.2.10/24")]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) ip: Option<String>,
    /// Sets the IPv4 gateway; only with a fixed address in `ip`.
    #[schemars(title = "IPv4 gateway", regex(pattern = lexis::GATEWAY), length(max = 15), example = &"192.0.2.1")]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) gw: Option<String>,
    /// Sets the IPv6 address with its prefix length, or `dhcp` or `auto`, by cloud-init; `none` takes it away.
    #[schemars(title = "IPv6 address", regex(pattern = lexis::IPV6), length(max = 49), example = &"2001:db8::10/64")]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) ip6: Option<String>,
    /// Sets the IPv6 gateway; only with a fixed address in `ip6`.
    #[schemars(title = "IPv6 gateway", regex(pattern = lexis::GATEWAY6), length(max = 45), example = &"2001:db8::1")]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) gw6: Option<String>,
    /// The keys that are `null`: what is inherited is taken away.
    #[serde(skip)]
    pub(in crate::config) none: BTreeSet<String>,
}

impl RawCard {
    /// Whether it says an address or its gateway, which belong together, or that an inherited one is taken away.
    pub(in crate::config) fn says_address(&self, v6: bool) -> bool {
        let (key, address, gateway) = if v6 { ("ip6", &self.ip6, &self.gw6) } else { ("ip", &self.ip, &self.gw) };
        address.is_some() || gateway.is_some() || self.none.contains(key)
    }
}

/// Reads a card with its keys that are `null`.
impl<'de> Deserialize<'de> for RawCard {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (none, said) = without_null(from)?;
        let card = Self::deserialize(said).map_err(D::Error::custom)?;
        Ok(Self { none, ..card })
    }
}

/// Describes a further disk.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub(crate) struct RawDisk {
    /// Sets the size in GiB. A larger one makes the disk grow at once; no disk is ever made smaller.
    #[schemars(title = "Size (GiB)", range(min = 1, max = 131_072), example = 200)]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) size_gb: Option<u32>,
    /// Attaches this volume, which must be one of this VMID that is not in use, instead of making a disk. What is on it
    /// stays. It is for `scsi`, `virtio`, `sata` and `ide` slots, and once it is attached the key may go.
    #[schemars(title = "Volume", regex(pattern = lexis::VOLUME), length(max = lexis::MAX_PATH))]
    #[schemars(example = &"tank:vm-1000-disk-2")]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) volume: Option<String>,
    /// Names an image that the disk is made from, as a copy of it, instead of empty: what `cloud_image` takes, as text or
    /// with its digest. It counts when the disk is made. `size_gb`, which may be left out, makes it grow then. Such a disk
    /// is never formatted.
    #[schemars(schema_with = "import_from", title = "Image", example = &"local:import/data.qcow2")]
    pub(in crate::config) import_from: Option<RawImport>,
    /// Names the Proxmox storage of the disk; without it, the one of `boot_disk_storage`. Another one moves
    /// the disk, while the VM runs; what it leaves behind stays as an unused disk. `efidisk0` and `tpmstate0` do not move.
    #[schemars(title = "Storage", regex(pattern = lexis::STORAGE), length(max = lexis::MAX_STORAGE), example = &"tank")]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) storage: Option<String>,
    /// Sets options of the disk, by Proxmox's own names. What is not listed stays as it is.
    #[serde(deserialize_with = "options::some_options")]
    #[schemars(schema_with = "disk_options", title = "Options", example = serde_json::json!({ "backup": 0 }))]
    pub(in crate::config) options: Option<BTreeMap<String, serde_json::Value>>,
    /// Names the file system that the guest makes on the disk, once: only on a disk that phoenix made, in which nothing
    /// is found. It stands beside `mount_point`, is for `scsi` slots, needs the guest agent, grows with the disk, and
    /// never changes.
    #[schemars(schema_with = "filesystem", title = "File system", example = &"ext4")]
    pub(in crate::config) filesystem: Option<Filesystem>,
    /// Says where the guest mounts the file system of the disk, now and whenever it boots. Another one unmounts and
    /// mounts it; without it, it is unmounted, and keeps what is on it.
    #[schemars(title = "Mount point", regex(pattern = lexis::PATH), length(max = lexis::MAX_PATH))]
    #[schemars(example = &"/srv/data")]
    #[schemars(extend("nullable" = true))]
    pub(in crate::config) mount_point: Option<String>,
    /// The keys that are `null`: what is inherited is taken away.
    #[serde(skip)]
    pub(in crate::config) none: BTreeSet<String>,
}

/// Reads a disk with its keys that are `null`.
impl<'de> Deserialize<'de> for RawDisk {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (none, said) = without_null(from)?;
        let disk = Self::deserialize(said).map_err(D::Error::custom)?;
        Ok(Self { none, ..disk })
    }
}

/// What an object says, without its keys that are `null`, and those: to serde they are keys that are not there.
fn without_null<'de, D: Deserializer<'de>>(from: D) -> Result<(BTreeSet<String>, Said), D::Error> {
    let all: BTreeMap<String, serde_json::Value> = options::each_name_once(from)?;
    let (none, said): (BTreeMap<_, _>, BTreeMap<_, _>) = all.into_iter().partition(|(_, value)| value.is_null());
    Ok((none.into_keys().collect(), MapDeserializer::new(said.into_iter())))
}

/// Makes the schema of the further disks by their slots.
pub(super) fn disks(generator: &mut SchemaGenerator) -> Schema {
    let mut disk = RawDisk::json_schema(generator);
    disk.insert("type".to_owned(), serde_json::json!(["object", "null"]));
    for key in ["filesystem", "import_from"] {
        if let Some(serde_json::Value::Object(key)) = disk.pointer_mut(&format!("/properties/{key}")) {
            or_null(key);
        }
    }
    let slots = "^(scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5])|sata[0-5]|ide[0-3]|efidisk0|tpmstate0)$";
    json_schema!({ "type": "object", "patternProperties": { slots: disk }, "additionalProperties": false })
}

/// Lets a schema take `null`, too.
fn or_null(schema: &mut serde_json::Map<String, serde_json::Value>) {
    use serde_json::Value;
    let kinds = match schema.remove("type") {
        Some(Value::Array(kinds)) => kinds,
        kind => kind.into_iter().collect(),
    };
    let null = [Value::from("null")];
    schema.insert("type".to_owned(), kinds.into_iter().filter(|kind| kind != "null").chain(null).collect());
    schema.insert(NULLABLE.to_owned(), true.into());
    if let Some(Value::Array(words)) = schema.get_mut("oneOf") {
        words.push(serde_json::json!({ "const": null, "description": "Takes an inherited one away." }));
    }
}

/// Makes the schema of the CD drives by their slots.
pub(super) fn cdrom(_: &mut SchemaGenerator) -> Schema {
    let pattern = proxmox::cdrom("ide0").and_then(|option| match &option.spec.kind {
        Kind::Text { pattern, .. } => pattern.as_ref().map(|pattern| pattern.text.as_str()),
        _ => None,
    });
    let disc = serde_json::json!({
        "type": ["string", "null"],
        "pattern": pattern.unwrap_or_default(),
        "patternErrorMessage": "must be an ISO image of a storage, `STORAGE:iso/NAME.iso`, or `none`",
        "description": "An ISO image of a storage, `STORAGE:iso/NAME`, or `none` for an empty drive.",
        "examples": ["local:iso/debian.iso", "none"],
    });
    let slots = "^(scsi([0-9]|[12][0-9]|30)|sata[0-5]|ide[0-3])$";
    json_schema!({ "type": "object", "patternProperties": { slots: disc }, "additionalProperties": false })
}

/// Makes the schema of the options of any disk: which of them a slot knows, the table itself says.
fn disk_options(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "patternProperties": { "^[a-z_-]+$": {} }, "additionalProperties": false })
}

/// Makes the schema of the cards by their slots.
pub(super) fn cards(generator: &mut SchemaGenerator) -> Schema {
    let mut card = RawCard::json_schema(generator);
    card.insert("type".to_owned(), serde_json::json!(["object", "null"]));
    json_schema!({
        "type": "object",
        "patternProperties": { "^net([0-9]|[12][0-9]|3[01])$": card },
        "additionalProperties": false,
    })
}

/// Makes the schema of the options of the boot disk from the table of what they take.
pub(super) fn boot_disk_options(_: &mut SchemaGenerator) -> Schema {
    let parts = match proxmox::boot_disk().map(|option| &option.spec.kind) {
        Some(Kind::Parts { parts, .. }) => parts.iter(),
        _ => return json_schema!({ "type": "object" }),
    };
    let parts = parts.map(|(name, part)| {
        let mut schema = options::proxmox_option(&part.kind);
        let words = schema["description"].as_str().map(|words| format!("{words} ")).unwrap_or_default();
        let when = if proxmox::is_live_part(name) { "at once" } else { "after its next stop and start" };
        schema["description"] = format!("{words}A running VM has it {when}.").into();
        (name.clone(), schema)
    });
    let parts: serde_json::Map<String, serde_json::Value> = parts.collect();
    // No pattern: `null` has a meaning here, as in `proxmox`.
    json_schema!({ "type": "object", "properties": parts, "patternProperties": {}, "additionalProperties": false })
}

/// Reads what stands in slots and refuses one that stands twice.
pub(super) fn some_slots<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<BTreeMap<String, Option<T>>>, D::Error> {
    options::each_name_once(from).map(Some)
}
