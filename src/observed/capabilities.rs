//! What a target can do.

use serde::{Deserialize, Serialize};

/// What a target can do that not every one can. The planner decides by these, never by the name of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is an ability of its own")]
pub struct Capabilities {
    /// A network card is plugged into a running VM, and out of it.
    pub plugs_network: bool,
    /// The disk of a running VM moves to another storage.
    pub moves_running_disks: bool,
    /// Snapshots can be taken.
    pub takes_snapshots: bool,
    /// A clone is a whole one where the file does not say; else it is a linked one.
    pub clones_whole: bool,
    /// VMs are on the bridges that the file names, each with an address of its own there; else every guest has a
    /// network of its own, and all may have the same address.
    pub has_bridges: bool,
    /// Directories and exports of the node are within reach: volumes that lie on the node can be made and served.
    pub host_files: bool,
}

impl Capabilities {
    /// What a Proxmox VE node can do.
    pub const PROXMOX: Self = Self {
        plugs_network: true,
        moves_running_disks: true,
        takes_snapshots: true,
        clones_whole: true,
        has_bridges: true,
        host_files: true,
    };

    /// What an embedded node with real guests can do: QEMU runs them without a bridge and without a network of their
    /// own.
    pub const REAL_GUESTS: Self = Self {
        plugs_network: false,
        moves_running_disks: false,
        takes_snapshots: false,
        clones_whole: false,
        has_bridges: false,
        host_files: true,
    };

    /// Whether they are those of a Proxmox VE node.
    #[must_use]
    pub fn are_proxmox(&self) -> bool {
        *self == Self::PROXMOX
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::PROXMOX
    }
}
