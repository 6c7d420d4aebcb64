//! The nodes of a cluster in a document: what they have, what their VMs are promised of it, what a plan adds.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::VmId;
use crate::observed::Observed;
use crate::plan::Capacity;
use crate::plan::capacity::{NodeCapacity, Room};

/// The nodes of a cluster. What is promised is what is configured, whether or not a VM runs, and however much of its
/// disks is filled; what is used was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentCluster {
    /// The nodes by name.
    pub nodes: Vec<DocumentNode>,
    /// The storages that take disks of VMs and that all nodes share, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_storages: Vec<DocumentStorage>,
}

/// A node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentNode {
    /// Its name.
    pub name: String,
    /// Whether VMs can be put there.
    pub state: NodeState,
    /// How many VMs it has, of all projects; templates are not counted.
    pub vm_count: usize,
    /// How many of them run.
    pub running_count: usize,
    /// The VMs of this document that are on it; in a plan, those that will be, or were before they are removed.
    pub vms: Vec<u32>,
    /// Its memory.
    pub memory: DocumentMemory,
    /// Its own storages that take disks of VMs, by name.
    pub storages: Vec<DocumentStorage>,
}

/// Whether VMs can be put on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// It is up.
    Online,
    /// It is up, and the HA manager keeps it free of VMs.
    Maintenance,
    /// It is not online: its VMs are as they were seen last.
    Offline,
}

/// The memory of a node, in MiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentMemory {
    /// All of it; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_mb: Option<u64>,
    /// How much of it VMs may be promised, by `hypervisor.memory_limit`; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_mb: Option<u64>,
    /// How much of it was in use, by VMs and all else; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_mb: Option<u64>,
    /// How much its VMs are promised.
    pub promised_mb: u64,
    /// How much that is when everything planned is done.
    pub planned_mb: u64,
}

/// A storage, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentStorage {
    /// Its name.
    pub name: String,
    /// Its size; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// How much of it was in use; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// How large the disks of VMs on it are, those of templates among them; disks whose configuration gives no size,
    /// and what else lies there, are not counted.
    pub promised_bytes: u64,
    /// How large they are when everything planned is done.
    pub planned_bytes: u64,
}

impl DocumentCluster {
    /// What a document says of a cluster and the VMs of a plan; `on`: the VMs of the document that are on each node.
    pub(in crate::plan) fn of(
        capacity: &Capacity,
        planned: impl Iterator<Item = VmId>,
        mut on: BTreeMap<&str, Vec<u32>>,
    ) -> Self {
        let capacity = capacity.with(planned);
        let node = |(name, node): (&String, &NodeCapacity)| DocumentNode {
            name: name.clone(),
            state: match node {
                NodeCapacity { online: false, .. } => NodeState::Offline,
                NodeCapacity { maintenance: true, .. } => NodeState::Maintenance,
                _ => NodeState::Online,
            },
            vm_count: node.vms,
            running_count: node.running,
            vms: on.remove(name.as_str()).unwrap_or_default(),
            memory: DocumentMemory {
                total_mb: node.memory.total,
                limit_mb: node.memory_limit,
                used_mb: node.memory.used,
                promised_mb: node.memory.promised,
                planned_mb: node.memory.planned,
            },
            storages: node.storages.iter().map(DocumentStorage::of).collect(),
        };
        let nodes = capacity.nodes.iter().map(node).collect();
        Self { nodes, shared_storages: capacity.shared.iter().map(DocumentStorage::of).collect() }
    }

    /// A cluster as it is, without a file and a plan: all of its memory may be promised. `None`: the target has one
    /// node.
    #[must_use]
    pub fn seen(observed: &Observed) -> Option<Self> {
        let capacity = Capacity::of(100, observed, std::iter::empty())?;
        let mut on: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for live in observed.vms.values() {
            on.entry(&live.node).or_default().push(live.id.get());
        }
        Some(Self::of(&capacity, std::iter::empty(), on))
    }

    /// Whether a plan changes what is promised anywhere.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.shared_storages.iter().any(DocumentStorage::changes) || self.nodes.iter().any(DocumentNode::changes)
    }

    /// The nodes that are online.
    pub fn online(&self) -> impl Iterator<Item = &DocumentNode> {
        self.nodes.iter().filter(|node| node.state != NodeState::Offline)
    }

    /// The nodes' own storages by name, of all that are online together.
    #[must_use]
    pub fn storages(&self) -> Vec<DocumentStorage> {
        let mut found: BTreeMap<&str, DocumentStorage> = BTreeMap::new();
        for storage in self.online().flat_map(|node| &node.storages) {
            let Some(sum) = found.get_mut(storage.name.as_str()) else {
                found.insert(&storage.name, storage.clone());
                continue;
            };
            let add = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
            sum.total_bytes = add(sum.total_bytes, storage.total_bytes);
            sum.used_bytes = add(sum.used_bytes, storage.used_bytes);
            sum.promised_bytes = sum.promised_bytes.saturating_add(storage.promised_bytes);
            sum.planned_bytes = sum.planned_bytes.saturating_add(storage.planned_bytes);
        }
        found.into_values().collect()
    }

    /// The memory of all nodes that are online and say how much they have.
    #[must_use]
    pub fn memory(&self) -> DocumentMemory {
        let known = self.online().filter(|node| node.memory.total_mb.is_some());
        known.fold(DocumentMemory::default(), |sum, node| {
            let add = |a: Option<u64>, b: Option<u64>| Some(a.unwrap_or(0).saturating_add(b?));
            DocumentMemory {
                total_mb: add(sum.total_mb, node.memory.total_mb),
                limit_mb: add(sum.limit_mb, node.memory.limit_mb),
                used_mb: add(sum.used_mb, node.memory.used_mb).or(sum.used_mb),
                promised_mb: sum.promised_mb.saturating_add(node.memory.promised_mb),
                planned_mb: sum.planned_mb.saturating_add(node.memory.planned_mb),
            }
        })
    }
}

impl DocumentNode {
    /// Whether a plan changes what is promised of it.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.memory.promised_mb != self.memory.planned_mb || self.storages.iter().any(DocumentStorage::changes)
    }
}

impl DocumentStorage {
    fn of((name, room): (&String, &Room)) -> Self {
        Self {
            name: name.clone(),
            total_bytes: room.total,
            used_bytes: room.used,
            promised_bytes: room.promised,
            planned_bytes: room.planned,
        }
    }

    /// Whether a plan changes what is promised of it.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.promised_bytes != self.planned_bytes
    }
}
