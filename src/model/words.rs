//! The words for what is done: outcomes, disruptions, kinds of action.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::named::named;

/// What an action does to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is up to date.
    NoOp,
    /// It exists and changes.
    Update,
    /// It did not exist.
    Create,
    /// It existed, goes, and is made anew.
    Recreate,
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
            Self::Recreate => "recreate",
            Self::Destroy => "destroy",
        }
    }

    /// Whether anything happens.
    #[must_use]
    pub fn acts(self) -> bool {
        self != Self::NoOp
    }
}

/// When values of a running VM take effect that only a stop and start brings into effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartDue {
    /// There are none.
    #[default]
    No,
    /// Now: the plan restarts the VM.
    Now,
    /// At the VM's next restart, which is left to an administrator.
    Later,
}

impl RestartDue {
    /// What is said of the VM; empty where nothing is.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "",
            Self::Now => "restarts now",
            Self::Later => "waits for a restart",
        }
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

named! {
    /// Kinds of action, in the order in which one VM goes through them.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
    ActionKind,
    /// The word users read.
    as_str {
        /// Removes what an interrupted clone left.
        RemoveLeftover = "remove-leftover",
        /// Fetches the image that the VM, or a further disk, is made from, or compares its digest.
        FetchImage = "fetch-image",
        /// Clones the template.
        Clone = "clone",
        /// Makes the VM from an image.
        CreateFromImage = "create-from-image",
        /// Takes over a VM that phoenix did not make: writes the record into its notes.
        Adopt = "adopt",
        /// Takes a snapshot before the VM is disturbed. Only when asked for.
        Snapshot = "snapshot",
        /// Goes back to a snapshot. Only when asked for.
        Rollback = "rollback",
        /// Shuts the VM down.
        Stop = "stop",
        /// Moves the VM to another node.
        Migrate = "migrate",
        /// Writes a snippet: user data or vendor data of cloud-init.
        WriteSnippet = "write-snippet",
        /// Unmounts the file system of a disk that is detached from a running VM.
        UnmountDisk = "unmount-disk",
        /// Writes the configuration, once.
        Configure = "configure",
        /// Makes a further disk, as a copy of an image.
        ImportDisk = "import-disk",
        /// Moves the boot disk to another storage.
        MoveDisk = "move-disk",
        /// Grows the boot disk.
        ResizeDisk = "resize-disk",
        /// Puts the VM into a resource pool, or takes it out of one.
        SetPool = "set-pool",
        /// Makes the cloud-init drive of a running VM anew, so that the guest has its values when it boots next.
        UpdateCloudInit = "update-cloud-init",
        /// Shuts the VM down and starts it again, so that what waits takes effect. Only when asked for.
        Restart = "restart",
        /// Starts the VM.
        Start = "start",
        /// Removes a snippet that the VM no longer names.
        RemoveSnippet = "remove-snippet",
        /// Waits until the guest agent answers.
        AwaitAgent = "await-agent",
        /// Waits until the guest has its network card and an address on it. Only after the card changed.
        AwaitNetwork = "await-network",
        /// Waits until cloud-init has finished.
        AwaitCloudInit = "await-cloud-init",
        /// Makes the guest's root file system as large as its disk. Only after the disk grew.
        GrowFilesystem = "grow-filesystem",
        /// Makes a file system on a further disk. Only on one that phoenix made and that is empty.
        FormatDisk = "format-disk",
        /// Unmounts a volume, or the file system of a disk, that is no longer declared.
        Unmount = "unmount",
        /// Mounts the file system of a further disk, as large as the disk.
        MountDisk = "mount-disk",
        /// Makes a volume's directory on the hypervisor.
        PrepareShare = "prepare-share",
        /// Exports the node's own directories to the VM.
        ExportShare = "export-share",
        /// Mounts a volume in the guest.
        Mount = "mount",
        /// Puts scripts, utilities and `vm_context.json` into the channel.
        StageScripts = "stage-scripts",
        /// Runs a feature script in the guest.
        Feature = "feature",
        /// Puts the VM under the HA manager, or changes how it looks after it.
        SetHa = "set-ha",
        /// Takes the VM out of the HA manager.
        LeaveHa = "leave-ha",
        /// Takes out of a guest what its clones must not have. Only of what becomes a template.
        CleanGuest = "clean-guest",
        /// Shuts the VM down and makes it a template.
        ConvertToTemplate = "convert-to-template",
        /// Erases an unused volume of the VM. Only when asked for.
        DeleteUnused = "delete-unused",
        /// Writes the record into the VM's notes.
        Record = "record",
        /// Removes the snapshot, when the VM is ready again.
        RemoveSnapshot = "remove-snapshot",
        /// Takes the record out of the VM's notes, and the project's tag off; the VM stays. Only when asked for.
        Forget = "forget",
        /// Removes the VM with its volumes. Only when asked for.
        Destroy = "destroy",
    }
}

impl ActionKind {
    /// How long the action may take before it counts as failed, in seconds.
    ///
    /// Clones and moves copy whole disks; how long the guest is waited for is said by `timeouts`.
    #[must_use]
    pub fn timeout_seconds(self, timeouts: &Timeouts) -> u32 {
        match self {
            Self::Clone
            | Self::FetchImage
            | Self::CreateFromImage
            | Self::ImportDisk
            | Self::MoveDisk
            | Self::Migrate
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
            | Self::FormatDisk
            | Self::MountDisk
            | Self::Mount
            | Self::CleanGuest
            | Self::ConvertToTemplate
            | Self::DeleteUnused
            | Self::Destroy => 600,
            Self::Adopt
            | Self::Forget
            | Self::WriteSnippet
            | Self::RemoveSnippet
            | Self::Configure
            | Self::SetPool
            | Self::SetHa
            | Self::LeaveHa
            | Self::UpdateCloudInit
            | Self::Start
            | Self::AwaitNetwork
            | Self::Unmount
            | Self::UnmountDisk
            | Self::PrepareShare
            | Self::ExportShare
            | Self::StageScripts
            | Self::Record => 120,
        }
    }
}
