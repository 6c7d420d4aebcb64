//! The live state of a target in normal form.
//!
//! A back end reads, this module understands: Proxmox configuration files, property strings, notes. Pure: text in,
//! values out.

mod address;
mod allow;
mod capabilities;
mod cloud_init;
mod conf;
mod config_write;
mod digest;
mod disk;
mod exports;
mod guest;
mod live;
mod net;
mod notes;
pub mod options;
mod ownership;
mod pending;
mod place;
mod property;
mod reading;
mod recording;
mod snapshots;
mod source;
mod tags;
mod vm;

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

pub use address::is_reachable;
pub use allow::{ALLOW_FILE, Allowed, Guarded, MAX_ALLOW, allow_schema};
pub use capabilities::Capabilities;
pub use cloud_init::{CloudInit, decode_keys, encode_keys};
pub use conf::{Conf, PENDING};
pub use config_write::ConfigWrite;
pub use digest::config_digest;
pub use disk::{BootDisk, VmVolume, holds_volume, is_disk_key, parse_size, print_size};
pub use exports::{EXPORTS_HEADER, Export, export_line, print_exports};
pub use guest::GuestSeen;
pub use live::LiveOptions;
pub use net::Net;
pub use notes::{
    FoundText, MAX_NOTES, Marked, RecordError, decode_description, encode_description, split_notes, with_description,
    with_record,
};
pub use ownership::RecordFound;
pub use pending::PendingChange;
pub use place::{Mounts, Place};
pub use property::PropertyString;
pub use recording::{RECORDING_VERSION, Recording};
pub use snapshots::{OWN_SNAPSHOT, rolled_back, snapshot_section, with_snapshot, without_snapshot};
pub use tags::normal_tags;
pub use vm::VmObserved;

use serde::{Deserialize, Serialize};

use crate::model::VmId;

/// Everything phoenix needs to know of a target to plan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The node.
    pub node: Node,
    /// Storages by id.
    pub storages: BTreeMap<String, Storage>,
    /// VMs and templates by VMID.
    pub vms: BTreeMap<VmId, VmObserved>,
    /// VMs on other nodes of the cluster, and containers: their VMIDs are taken, and they are out of reach.
    pub elsewhere: BTreeMap<VmId, Elsewhere>,
    /// Directories of the node that were asked for, exist, and are not empty: how many entries each has.
    pub directories: BTreeMap<String, usize>,
    /// Where the directories of the node that were asked for really lie, whether or not they exist.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<String, Place>,
    /// What the node's administrator allows VMs to have of it.
    #[serde(default, skip_serializing_if = "Allowed::is_empty")]
    pub allowed: Allowed,
    /// What the node exports by NFS, as its files say.
    pub exports: Vec<Export>,
    /// VMs that the HA manager looks after: it starts and stops them as it sees fit.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ha: BTreeSet<VmId>,
    /// The addresses that agents of running guests gave for the VMs' first card, as far as they were asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<VmId, IpAddr>,
    /// What was seen inside guests, as far as somebody looked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub guests: BTreeMap<VmId, GuestSeen>,
    /// VMIDs that a running clone task is making right now.
    pub cloning: Vec<VmId>,
    /// VMs on whose disks a task is working, in Proxmox's word for its kind, e.g. `qmmove`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub working: BTreeMap<VmId, String>,
    /// A clone is running whose target could not be told from its log: locked VMs must be left alone.
    pub unattributed_clone: bool,
}

/// A VM on another node of the cluster, or a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The node it is on.
    pub node: String,
    /// Its name.
    pub name: String,
    /// It is a container, on whichever node.
    pub container: bool,
}

/// Facts about the node itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What tells it from every other node of this name, however it is reached: the digest of its cluster's root
    /// certificate, or the directory of an embedded node. Empty: not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub identity: String,
    /// Memory of the node in MiB; 0 means unknown.
    pub memory_mb: u64,
    /// Logical CPUs a single VM may have at most; 0 means unknown.
    pub cpus: u32,
    /// Bridges by name, each with the node's own address on it, if it has one.
    pub bridges: BTreeMap<String, Option<String>>,
    /// All its own addresses.
    pub addresses: BTreeSet<String>,
    /// Whether an NFS server is installed (`exportfs`).
    pub nfs_server: bool,
    /// Why there is none and what helps, where that is not what it is on Proxmox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nfs_hint: Option<String>,
    /// The node's own NFS server has ended, though running VMs use it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nfs_ended: bool,
    /// How a first template is made there, where that is not what it is on Proxmox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_hint: Option<String>,
    /// What it can do that not every target can.
    #[serde(default, skip_serializing_if = "Capabilities::are_proxmox")]
    pub capabilities: Capabilities,
}

/// A Proxmox storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// `dir`, `zfspool`, `lvmthin`, `nfs`, …
    pub kind: String,
    /// Whether VM disks may be put there (`content` has `images`).
    pub images: bool,
    /// Whether it is enabled and active on the node.
    pub active: bool,
    /// Size in bytes; 0 means unknown.
    pub total: u64,
    /// Free bytes.
    pub free: u64,
    /// Whether a disk takes its whole size at once (as on plain LVM), so that a disk that does not fit must be refused.
    pub thick: bool,
    /// For `nfs`: server and exported path.
    pub nfs: Option<NfsSource>,
    /// Where the node sees its files, e.g. `/mnt/pve/local-nfs`.
    pub path: Option<String>,
    /// Directories below `path` that its `content-dirs` names for what the storage holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content_dirs: Vec<String>,
}

/// Where an NFS storage comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NfsSource {
    /// Server.
    pub server: String,
    /// Exported path.
    pub export: String,
}

impl Storage {
    /// The directories of what a storage holds where its `content-dirs` says nothing else.
    const CONTENT: [&'static str; 6] = ["dump", "images", "import", "private", "snippets", "template"];

    /// Reads `content-dirs` of `storage.cfg`: `iso=isos,backup=old/dumps`.
    #[must_use]
    pub fn parse_content_dirs(value: &str) -> Vec<String> {
        value.split(',').filter_map(|pair| Some(pair.split_once('=')?.1.trim().to_owned())).collect()
    }

    /// The directories of what the storage holds, relative to where its files lie.
    pub fn content(&self) -> impl Iterator<Item = &str> {
        Self::CONTENT.into_iter().chain(self.content_dirs.iter().map(String::as_str))
    }
}

impl Observed {
    /// The templates by name, each name's VMIDs ascending.
    #[must_use]
    pub fn templates_by_name(&self) -> BTreeMap<&str, Vec<VmId>> {
        by_name(self.vms.values().filter(|vm| vm.template))
    }

    /// All VMs by name, each name's VMIDs ascending. Proxmox allows one name for several VMs.
    #[must_use]
    pub fn names(&self) -> BTreeMap<&str, Vec<VmId>> {
        by_name(self.vms.values())
    }
}

fn by_name<'o>(vms: impl Iterator<Item = &'o VmObserved>) -> BTreeMap<&'o str, Vec<VmId>> {
    let mut found: BTreeMap<&str, Vec<VmId>> = BTreeMap::new();
    for vm in vms {
        found.entry(&vm.name).or_default().push(vm.id);
    }
    found
}
