//! The words for what is done: outcomes, disruptions, kinds of action.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an action does to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is as wished.
    NoOp,
    /// It exists and changes.
    Update,
    /// It did not exist.
    Create,
    /// It existed and goes.
    Destroy,
}

impl Outcome {
    /// The word users read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoOp => "no-op",
            Self::Update => "update",
            Self::Create => "create",
            Self::Destroy => "destroy",
        }
    }

    /// Whether anything happens.
    #[must_use]
    pub fn acts(self) -> bool {
        self != Self::NoOp
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a change costs a running VM, mildest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Disruption {
    /// Nothing: the VM does not run, or nothing changes.
    #[default]
    None,
    /// Takes effect at once without being noticed.
    Live,
    /// net0 is unplugged and plugged again.
    Network,
    /// Waits until the VM is stopped and started.
    Restart,
    /// The VM is shut down.
    Stop,
    /// The VM goes, with its disks.
    Destroy,
}

impl Disruption {
    /// The words users read; empty for none.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Live => "live",
            Self::Network => "network",
            Self::Restart => "needs a restart",
            Self::Stop => "stops the VM",
            Self::Destroy => "erases its disks",
        }
    }
}

/// How long the guest is waited for, in seconds. Field names are the config's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Timeouts {
    /// For the guest agent to answer.
    pub guest_agent: u32,
    /// For cloud-init to finish.
    pub cloud_init: u32,
    /// For each feature script to end.
    pub feature: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { guest_agent: 300, cloud_init: 900, feature: 1800 }
    }
}

/// Kinds of action, in the order in which one VM goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// Removes what an interrupted clone left.
    RemoveLeftover,
    /// Fetches the image that the VM is made from, or compares its digest.
    FetchImage,
    /// Clones the template.
    Clone,
    /// Makes the VM from an image.
    CreateFromImage,
    /// Takes over a VM that phoenix did not make: writes the record into its notes.
    Adopt,
    /// Takes a snapshot before the VM is disturbed. Only when asked for.
    Snapshot,
    /// Goes back to a snapshot. Only when asked for.
    Rollback,
    /// Shuts the VM down.
    Stop,
    /// Writes the configuration, once.
    Configure,
    /// Moves the boot disk to another storage.
    MoveDisk,
    /// Grows the boot disk.
    ResizeDisk,
    /// Makes the cloud-init drive of a running VM anew, so that the guest has its values when it boots next.
    UpdateCloudInit,
    /// Shuts the VM down and starts it again, so that what waits takes effect. Only when asked for.
    Restart,
    /// Starts the VM.
    Start,
    /// Waits until the guest agent answers.
    AwaitAgent,
    /// Waits until the guest has its network card and an address on it. Only after the card changed.
    AwaitNetwork,
    /// Waits until cloud-init has finished.
    AwaitCloudInit,
    /// Makes the guest's root file system as large as its disk. Only after the disk grew.
    GrowFilesystem,
    /// Unmounts a volume that is no longer declared.
    Unmount,
    /// Makes a volume's directory on the hypervisor.
    PrepareShare,
    /// Exports the node's own directories to the VM.
    ExportShare,
    /// Mounts a volume in the guest.
    Mount,
    /// Puts scripts, utilities and `vm_context.json` into the channel.
    StageScripts,
    /// Runs a feature script in the guest.
    Feature,
    /// Takes out of a guest what its clones must not have. Only of what becomes a template.
    CleanGuest,
    /// Shuts the VM down and makes it a template.
    ConvertToTemplate,
    /// Writes the record into the VM's notes.
    Record,
    /// Removes the snapshot, when the VM is ready again.
    RemoveSnapshot,
    /// Removes the VM with its volumes. Only when asked for.
    Destroy,
}

impl ActionKind {
    /// Every kind, in order.
    pub const ALL: [Self; 29] = [
        Self::RemoveLeftover,
        Self::FetchImage,
        Self::Clone,
        Self::CreateFromImage,
        Self::Adopt,
        Self::Snapshot,
        Self::Rollback,
        Self::Stop,
        Self::Configure,
        Self::MoveDisk,
        Self::ResizeDisk,
        Self::UpdateCloudInit,
        Self::Restart,
        Self::Start,
        Self::AwaitAgent,
        Self::AwaitNetwork,
        Self::AwaitCloudInit,
        Self::GrowFilesystem,
        Self::Unmount,
        Self::PrepareShare,
        Self::ExportShare,
        Self::Mount,
        Self::StageScripts,
        Self::Feature,
        Self::CleanGuest,
        Self::ConvertToTemplate,
        Self::Record,
        Self::RemoveSnapshot,
        Self::Destroy,
    ];

    /// The word users read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RemoveLeftover => "remove-leftover",
            Self::FetchImage => "fetch-image",
            Self::Clone => "clone",
            Self::CreateFromImage => "create-from-image",
            Self::Adopt => "adopt",
            Self::Snapshot => "snapshot",
            Self::Rollback => "rollback",
            Self::Stop => "stop",
            Self::Configure => "configure",
            Self::MoveDisk => "move-disk",
            Self::ResizeDisk => "resize-disk",
            Self::UpdateCloudInit => "update-cloud-init",
            Self::Restart => "restart",
            Self::Start => "start",
            Self::AwaitAgent => "await-agent",
            Self::AwaitNetwork => "await-network",
            Self::AwaitCloudInit => "await-cloud-init",
            Self::GrowFilesystem => "grow-filesystem",
            Self::Unmount => "unmount",
            Self::PrepareShare => "prepare-share",
            Self::ExportShare => "export-share",
            Self::Mount => "mount",
            Self::StageScripts => "stage-scripts",
            Self::Feature => "feature",
            Self::CleanGuest => "clean-guest",
            Self::ConvertToTemplate => "convert-to-template",
            Self::Record => "record",
            Self::RemoveSnapshot => "remove-snapshot",
            Self::Destroy => "destroy",
        }
    }

    /// How long the action may take before it counts as failed, in seconds.
    ///
    /// Clones and moves copy whole disks; how long the guest is waited for is said by `timeouts`.
    #[must_use]
    pub fn timeout_seconds(self, timeouts: &Timeouts) -> u32 {
        match self {
            Self::Clone
            | Self::FetchImage
            | Self::CreateFromImage
            | Self::MoveDisk
            | Self::Rollback
            | Self::RemoveSnapshot => 3600,
            // Longer than a guest's own limits for stopping its services.
            Self::Stop | Self::Restart => 300,
            Self::AwaitAgent => timeouts.guest_agent,
            Self::AwaitCloudInit => timeouts.cloud_init,
            Self::Feature => timeouts.feature,
            Self::RemoveLeftover
            | Self::Snapshot
            | Self::ResizeDisk
            | Self::GrowFilesystem
            | Self::Mount
            | Self::CleanGuest
            | Self::ConvertToTemplate
            | Self::Destroy => 600,
            Self::Adopt
            | Self::Configure
            | Self::UpdateCloudInit
            | Self::Start
            | Self::AwaitNetwork
            | Self::Unmount
            | Self::PrepareShare
            | Self::ExportShare
            | Self::StageScripts
            | Self::Record => 120,
        }
    }
}
