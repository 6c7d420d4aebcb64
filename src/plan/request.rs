//! What a plan is asked for: made once, where the command line is read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Selection;
use crate::model::VmId;

/// What is asked for beside the config.
///
/// Planning borrows it, and the document of the plan keeps it: who agrees to a plan agrees to what was asked for.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of planning")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// Which VMs are planned.
    #[serde(default, skip_serializing_if = "Selection::is_everything")]
    pub selection: Selection,
    /// `--restart`: VMs with values that wait for a restart are restarted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub restart: bool,
    /// `--force-stop`: guests that do not shut down are stopped by force.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force_stop: bool,
    /// `--delete-source`: sources of disks that are moved are erased.
    #[serde(default, skip_serializing_if = "is_false")]
    pub delete_source: bool,
    /// `--snapshot`: a snapshot is taken of each VM before it is disturbed, and removed when it is ready again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub snapshot: bool,
    /// `--rerun`: features that run again although they ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rerun: Vec<String>,
    /// `--verify-guest`: guests are looked into before anything is planned.
    #[serde(default, skip_serializing_if = "is_false")]
    pub verify_guest: bool,
    /// `--allow-host-path`: directories of the node that VMs may have, beyond what the node allows itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_host_paths: Vec<String>,
    /// `--allow-host-option`: options of VMs that may reach into the node, beyond what the node allows itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_host_options: Vec<String>,
    /// `--recreate`: VMs that are destroyed and made anew from their entries in the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recreate: Vec<VmId>,
    /// `--delete-unused`: VMs whose unused volumes are erased.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delete_unused: Vec<VmId>,
    /// What is to be done.
    #[serde(default)]
    pub goal: Goal,
    /// Whatever is done was agreed to VM by VM: nothing has to guard against a file that lost its VMs. Not serialised:
    /// it is asked for when a saved plan is carried out, and a plan that is saved was not agreed to yet.
    #[serde(skip)]
    pub agreed: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What a plan is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The VMs become what the config says.
    Config {
        /// `--prune`: VMs of the project that it no longer declares are removed.
        prune: bool,
        /// `--prune-many`: so many of them may be removed although that is more than half of the project's VMs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prune_many: Option<usize>,
    },
    /// These VMs are removed.
    Destroy(Vec<VmId>),
    /// The records of these VMs are taken out of their notes; the VMs stay.
    Forget(Vec<VmId>),
    /// VMs return to a snapshot of phoenix's own.
    Rollback {
        /// Its name; absent: their only one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// The VMs.
        vms: Vec<VmId>,
    },
    /// VMs are started, stopped or restarted.
    Power {
        /// What is done to them.
        power: Power,
        /// The VMs.
        vms: Vec<VmId>,
    },
}

impl Goal {
    /// The VMs that it is about, if it is about exactly these.
    pub fn vms_mut(&mut self) -> Option<&mut Vec<VmId>> {
        match self {
            Self::Config { .. } => None,
            Self::Destroy(vms) | Self::Forget(vms) | Self::Rollback { vms, .. } | Self::Power { vms, .. } => Some(vms),
        }
    }

    /// Whether VMs that are no longer declared are removed.
    #[must_use]
    pub fn prunes(&self) -> bool {
        matches!(self, Self::Config { prune: true, .. })
    }
}

impl Default for Goal {
    fn default() -> Self {
        Self::Config { prune: false, prune_many: None }
    }
}

/// What is done to the power of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// It is started, and its guest agent waited for.
    Start,
    /// It is stopped.
    Stop,
    /// It is stopped and started.
    Restart,
}
