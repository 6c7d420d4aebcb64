//! The live state of a target in normal form.
//!
//! A back end reads, this module understands: Proxmox configuration files, property strings, notes. Pure: text in,
//! values out.

mod conf;
mod disk;
mod net;
mod notes;
mod property;
mod vm;
mod write;

pub use conf::PENDING;
pub use disk::BootDisk;
pub use net::Net;
pub use property::PropertyString;
use std::collections::BTreeMap;
pub use vm::{PendingChange, RecordFound, VmObserved};
pub use write::ConfigWrite;

use crate::model::VmId;

/// Everything phoenix needs to know of a target to plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The node.
    pub node: Node,
    /// Storages by id.
    pub storages: BTreeMap<String, Storage>,
    /// VMs and templates by VMID.
    pub vms: BTreeMap<VmId, VmObserved>,
    /// VMIDs that a running clone task is making right now.
    pub cloning: Vec<VmId>,
    /// A clone is running whose target could not be told from its log: locked VMs must be left alone.
    pub unattributed_clone: bool,
}

/// Facts about the node itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Memory of the node in MiB; 0 means unknown.
    pub memory_mb: u64,
    /// Logical CPUs a single VM may have at most; 0 means unknown.
    pub cpus: u32,
    /// Bridges by name, each with the node's own address on it, if it has one.
    pub bridges: BTreeMap<String, Option<String>>,
}

/// A Proxmox storage.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// Where an NFS storage comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfsSource {
    /// Server.
    pub server: String,
    /// Exported path.
    pub export: String,
}

impl Observed {
    /// VMIDs of the templates called `name`, ascending.
    #[must_use]
    pub fn templates_named(&self, name: &str) -> Vec<VmId> {
        self.vms.values().filter(|vm| vm.template && vm.name == name).map(|vm| vm.id).collect()
    }
}
