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
mod examined;
mod exports;
mod guest;
mod ha;
mod home;
mod live;
mod mapping;
mod move_check;
mod name_list;
mod net;
mod node;
mod notes;
pub mod options;
mod ownership;
mod pending;
mod place;
mod property;
mod reading;
mod recording;
mod snapshots;
mod snippet;
mod source;
mod storage;
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
pub use disk::{
    BootDisk, Listed, ListedVolume, VmVolume, holds_volume, is_disk_key, is_volume_part, parse_size, print_size,
    volume_of,
};
pub use examined::Examined;
pub use exports::{EXPORTS_HEADER, Export, export_line, print_exports};
pub use guest::{GuestSeen, Plugged};
pub use ha::{Ha, HaWork};
pub use home::Home;
pub use live::LiveOptions;
pub use mapping::{Mapped, Mappings};
pub use move_check::{HaRule, InSnapshots, LocalVolume, MoveCheck};
pub use name_list::NameList;
pub use net::Net;
pub use node::Node;
pub use notes::{
    FoundText, MAX_NOTES, Marked, RecordError, decode_description, encode_description, has_short_record, split_notes,
    with_description, with_record, with_short_record, without_record,
};
pub use ownership::RecordFound;
pub use pending::PendingChange;
pub use place::{Mounts, Place};
pub use property::PropertyString;
pub use recording::{RECORDING_VERSION, Recording};
pub use snapshots::{OWN_SNAPSHOT, rolled_back, snapshot_section, with_snapshot, without_snapshot};
pub use snippet::SnippetSeen;
pub use storage::{NfsSource, Storage};
pub use tags::{normal_tags, tags_of};
pub use vm::{NEW_MAC, VmObserved};

/// What a copy of a disk is called that outlived its task: see [`Observed::working`].
pub const COPY: &str = "qemu-img convert";

use serde::{Deserialize, Serialize};

use crate::model::VmId;

/// Everything phoenix needs to know of a target to plan: one or more nodes, and what there is of VMs on them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The name of the node that the target stands on: where new VMs are made, and whose directories can be looked at.
    pub here: String,
    /// What tells it from every other target whose node has this name, however it is reached: the digest of its
    /// cluster's root certificate, or the directory of an embedded node. Empty: not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub identity: String,
    /// What it can do that not every target can.
    #[serde(default, skip_serializing_if = "Capabilities::are_proxmox")]
    pub capabilities: Capabilities,
    /// How a first template is made there, where that is not what it is on Proxmox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_hint: Option<String>,
    /// Programs that its guests need and that are missing there, with the packages of Debian that bring them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<String, String>,
    /// Its nodes by name.
    #[serde(with = "node::list")]
    pub nodes: BTreeMap<String, Node>,
    /// VMs and templates by VMID, each with the node that it is on.
    pub vms: BTreeMap<VmId, VmObserved>,
    /// Where VMs are to be that are not there, or may not stay where they are: what placement found, not what was seen.
    #[serde(skip)]
    pub homes: BTreeMap<VmId, Home>,
    /// VMIDs that are taken by what is no VM to plan for: containers, and VMs of nodes that are not among `nodes`.
    pub taken: BTreeMap<VmId, Taken>,
    /// VMIDs that the HA manager looks after, whether or not there is a VM: see [`VmObserved::ha`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ha: BTreeSet<VmId>,
    /// The addresses that agents of running guests gave for the VMs' first card, as far as they were asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<VmId, IpAddr>,
    /// What was seen inside guests, as far as they were looked into.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub guests: BTreeMap<VmId, GuestSeen>,
    /// The cluster has no quorum, so that no configuration can be written: the nodes of it that are not online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_quorum: Option<Vec<String>>,
    /// Volumes that no configuration names, by the VMID in their names; of the VMs for which storages were listed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unnamed: BTreeMap<VmId, Vec<String>>,
    /// The resource pools that there are.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pools: BTreeSet<String>,
    /// The resource mappings that there are; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mappings: Option<Mappings>,
    /// What the target says of the VMs that are to move to other nodes, as far as it was asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub moves: BTreeMap<VmId, MoveCheck>,
    /// VMIDs that a running clone task is making right now.
    pub cloning: Vec<VmId>,
    /// VMs on whose disks a task is working, in Proxmox's word for its kind, e.g. `qmmove`, or [`COPY`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub working: BTreeMap<VmId, String>,
    /// A clone is running whose target could not be told from its log: locked VMs must be left alone.
    pub unattributed_clone: bool,
}

/// What has a VMID and is no VM to plan for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The node it is on.
    pub node: String,
    /// Its name.
    pub name: String,
    /// It is a container, on whichever node.
    pub container: bool,
    /// It is a template.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub template: bool,
}

impl Observed {
    /// The node that the target stands on; one of which nothing is known, if it is not among the nodes.
    #[must_use]
    pub fn own_node(&self) -> &Node {
        self.nodes.get(&self.here).unwrap_or_else(|| Node::unknown())
    }

    /// The active storages of the own node that take disks of VMs.
    pub fn image_storages(&self) -> impl Iterator<Item = &str> {
        let usable = self.own_node().storages.iter().filter(|(_, storage)| storage.images && storage.active);
        usable.map(|(id, _)| id.as_str())
    }

    /// The node that the target stands on, to be changed. It is added where it is not among the nodes.
    pub fn own_node_mut(&mut self) -> &mut Node {
        let unknown = || Node { name: self.here.clone(), ..Node::default() };
        self.nodes.entry(self.here.clone()).or_insert_with(unknown)
    }

    /// The templates by name, each name's VMIDs ascending.
    #[must_use]
    pub fn templates_by_name(&self) -> BTreeMap<&str, Vec<VmId>> {
        by_name(self.vms.values().filter(|vm| vm.template))
    }

    /// The linked clones that are built on disks of a VM, by its VMID, each once and ascending.
    #[must_use]
    pub fn linked_clones(&self) -> BTreeMap<VmId, BTreeSet<VmId>> {
        let mut clones: BTreeMap<VmId, BTreeSet<VmId>> = BTreeMap::new();
        for (vm, base) in self.vms.values().flat_map(|vm| {
            let bases = vm.volumes.iter().flat_map(VmVolume::bases);
            bases.filter(|base| *base != vm.id).map(|base| (vm.id, base))
        }) {
            clones.entry(base).or_default().insert(vm);
        }
        clones
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
