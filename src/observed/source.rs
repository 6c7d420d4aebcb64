//! What the normal form of a VM is read from: what its configuration file says, taken apart once.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::cloud_init::CloudInit;
use super::conf::Conf;
use super::disk::is_device_key;
use super::live::LiveOptions;
use super::pending::{PendingChange, pending_changes};
use super::property::value;
use super::{BootDisk, ConfigWrite, Ha, NameList, OWN_SNAPSHOT, VmVolume, config_digest, holds_volume, is_disk_key};
use crate::model::{Digest, VmId};

/// A VM as a recording has it: everything that the values of [`VmObserved`](super::VmObserved) are read from, and
/// nothing twice.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct VmSource {
    pub(super) id: VmId,
    pub(super) node: String,
    /// The resource pool it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pool: Option<String>,
    /// How the HA manager looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ha: Option<Ha>,
    pub(super) digest: Digest,
    pub(super) running: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) notes: String,
    /// The first line of the configuration that is not UTF-8, counted from 1; what else it says may be wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_utf8: Option<usize>,
    /// The pending view.
    pub(super) options: LiveOptions,
    /// The keys of cloud-init by their fingerprints.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) ssh_keys: BTreeSet<String>,
    /// Options whose value the cloud-init drive does not have yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) not_in_drive: Vec<String>,
    /// What waits for a stop and start, and what the running VM has instead.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) pending: BTreeMap<String, PendingChange>,
    /// Options that have a drive, now or later.
    #[serde(default, skip_serializing_if = "NameList::is_empty")]
    pub(super) drives: NameList,
    /// Options of fixed addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) fixed_addresses: Vec<String>,
    /// `hotplug` features in force.
    pub(super) hotplug: NameList,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) volumes: Vec<VmVolume>,
    #[serde(default, skip_serializing_if = "NameList::is_empty")]
    pub(super) devices: NameList,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) passed_through: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) snapshots: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) half_snapshots: BTreeSet<String>,
    /// The words of snapshots that phoenix took.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) snapshot_notes: BTreeMap<String, String>,
    /// Volumes that only snapshots or waiting values name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) other_volumes: BTreeSet<String>,
}

/// Proxmox's own default where `hotplug` is not set.
const HOTPLUG_DEFAULT: &str = "network,disk,usb";

impl VmSource {
    /// Takes a configuration file apart.
    pub(super) fn of_conf(id: VmId, text: &str, running: bool) -> Self {
        let conf = Conf::parse(text);
        let pending = pending_changes(&conf);
        // Taken apart once: a target may have ten thousand VMs.
        let entries: Vec<(&str, &str)> = conf.entries().collect();
        let active = |key: &str| entries.iter().rev().find(|(k, _)| *k == key).map(|(_, value)| *value);
        let later = |key: &str| conf.pending(key);
        let is_deleted = |key: &str| pending.get(key).is_some_and(|change| change.pending.is_none());
        let keys = later("sshkeys").or_else(|| active("sshkeys").filter(|_| !is_deleted("sshkeys")));
        let drives = entries.iter().map(|(key, _)| *key).chain(pending.keys().map(String::as_str));
        // Of an option that stands twice the last one counts.
        let is_last = |at: usize, key: &str| !entries[at + 1..].iter().any(|(later, _)| *later == key);
        let volumes = entries
            .iter()
            .enumerate()
            .filter_map(|(at, (key, text))| VmVolume::parse(key, text).filter(|_| is_last(at, key)));
        let mut volumes: Vec<VmVolume> = volumes.collect();
        volumes.shrink_to_fit();
        Self {
            id,
            node: String::new(),
            pool: None,
            ha: None,
            digest: config_digest(text),
            not_utf8: None,
            running,
            notes: conf.description(),
            options: entries
                .iter()
                .filter(|(key, _)| !pending.contains_key(*key))
                .copied()
                .chain(pending.iter().filter_map(|(key, change)| Some((key.as_str(), change.pending.as_deref()?))))
                .collect(),
            ssh_keys: CloudInit::keys(keys.unwrap_or_default()),
            not_in_drive: conf.not_in_drive(),
            drives: NameList::sorted(drives.filter(|key| is_disk_key(key))),
            fixed_addresses: entries
                .iter()
                .filter(|(key, value)| is_fixed(key, value))
                .map(|(key, _)| (*key).to_owned())
                .collect(),
            hotplug: hotplug(active("hotplug")),
            devices: entries.iter().map(|(key, _)| *key).filter(|key| is_device_key(key)).collect(),
            passed_through: (entries.iter().filter(|(key, _)| is_disk_key(key)))
                .filter_map(|(key, drive)| BootDisk::parse(key, drive))
                .filter(|disk| disk.storage.is_empty())
                .map(|disk| (disk.device, disk.volume))
                .collect(),
            snapshots: conf.snapshots().map(str::to_owned).collect(),
            half_snapshots: conf.half_snapshots().map(str::to_owned).collect(),
            snapshot_notes: (conf.snapshots().filter(|name| name.starts_with(OWN_SNAPSHOT)))
                .map(|name| (name.to_owned(), conf.snapshot_notes(name)))
                .collect(),
            other_volumes: (conf.other_entries().filter_map(|(key, text)| VmVolume::parse(key, text)))
                .map(|named| named.volume)
                .filter(|volume| !volumes.iter().any(|named| !named.is_unused() && named.volume == *volume))
                .collect(),
            volumes,
            pending,
        }
    }

    /// The same VM after a write of its options and notes.
    pub(super) fn with(self, write: &ConfigWrite) -> Self {
        let set = write.set.iter().map(|(option, value)| (option.as_str(), Some(value.as_str())));
        // A disk that is attached again is unused no more (recorded).
        let taken = |unused: &VmVolume| {
            let name = |text: &String| VmVolume::parse("scsi0", text).is_some_and(|now| now.volume == unused.volume);
            unused.device.starts_with("unused") && write.set.iter().any(|(key, text)| holds_volume(key) && name(text))
        };
        let taken: Vec<&str> =
            self.volumes.iter().filter(|volume| taken(volume)).map(|volume| volume.device.as_str()).collect();
        let gone = write.delete.iter().map(String::as_str).chain(taken);
        let edits = set.chain(gone.map(|option| (option, None)));
        let edited = self.options.with(edits);
        // What is only known by name in the options is taken from the write.
        let ssh_keys = match write.set.get("sshkeys") {
            Some(keys) => CloudInit::keys(keys),
            None if write.delete.contains("sshkeys") => BTreeSet::new(),
            None => self.ssh_keys,
        };
        let added = write.set.keys().map(String::as_str).filter(|key| is_disk_key(key));
        let drives = NameList::sorted(self.drives.iter().chain(added));
        let fixed = edited.iter().filter(|(key, value)| is_fixed(key, value)).map(|(key, _)| key.to_owned()).collect();
        let volumes = edited.iter().filter_map(|(key, text)| VmVolume::parse(key, text)).collect();
        let notes = match write.set.get("description") {
            Some(notes) => notes.clone(),
            None if write.delete.contains("description") => String::new(),
            None => self.notes,
        };
        // Setting what the running VM has takes back what waits (recorded).
        let mut pending = self.pending;
        pending.retain(|key, change| change.active.is_none() || write.set.get(key) != change.active.as_ref());
        Self { options: edited, ssh_keys, drives, volumes, fixed_addresses: fixed, notes, pending, ..self }
    }
}

/// Whether an option gives a fixed address: `ipconfig0: ip=192.0.2.7/24,gw=…`.
fn is_fixed(key: &str, text: &str) -> bool {
    let fixed = |name: &str, others: &[&str]| value(text, name, "").is_some_and(|value| !others.contains(&value));
    key.starts_with("ipconfig") && (fixed("ip", &["dhcp"]) || fixed("ip6", &["dhcp", "auto"]))
}

fn hotplug(text: Option<&str>) -> NameList {
    let list = match text.map_or(HOTPLUG_DEFAULT, str::trim) {
        "0" => "",
        "1" => HOTPLUG_DEFAULT,
        list => list,
    };
    list.split([',', ';', ' ']).filter(|word| !word.is_empty()).collect()
}
