//! What Proxmox says of a VM that is to move to another node, before anything is done.

use serde::{Deserialize, Serialize};

/// The answer to "can this VM move to that node?", as far as it says what stands in the way.
///
/// It says too little (recorded): nothing of bridges, of disks that are devices of the node, of what lies on storages
/// that the other node has by the same name and with other content, nor whether an unused volume is still there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveCheck {
    /// The node that it is to move to.
    pub node: String,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Discs in CD drives that only the VM's node sees; those that wait for a restart, or that a snapshot names, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discs: Vec<LocalVolume>,
    /// Disks that only the VM's node sees and that snapshots name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<InSnapshots>,
    /// Options that are devices of the VM's node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Options with mappings that keep a VM which runs from moving.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_while_running: Vec<String>,
    /// Options whose mappings have no entry for the other node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmapped: Vec<String>,
    /// Storages that the other node lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub storages: Vec<String>,
    /// Unused volumes, as the VM's options name them, that are no longer there: the task of the move refuses them
    /// (recorded), and Proxmox's answer does not say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<LocalVolume>,
    /// Rules of the HA manager that keep it from that node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<HaRule>,
    /// What the HA manager moves along with it, as it calls it: `vm:101`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub together: Vec<String>,
    /// The other node is not among those that it may move to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_allowed: bool,
}

/// A volume that only the VM's node sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalVolume {
    /// Its id.
    pub volume: String,
    /// The option that names it; empty where only a snapshot does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub option: String,
}

/// A disk that only the VM's node sees, with snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InSnapshots {
    /// Id of its volume.
    pub volume: String,
    /// The option that names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub option: String,
    /// The snapshots that name it.
    pub snapshots: Vec<String>,
}

/// A rule of the HA manager that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaRule {
    /// `node-affinity` or `resource-affinity`.
    pub cause: String,
    /// What the rule is about beside the VM, or the VM itself: `vm:101`.
    pub sid: String,
}

impl MoveCheck {
    /// There is no answer.
    #[must_use]
    pub fn failed(node: &str, why: String) -> Self {
        Self { node: node.to_owned(), failed: Some(why), ..Self::default() }
    }
}
