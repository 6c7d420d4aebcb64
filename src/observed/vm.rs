//! One VM as its configuration file tells it.

use std::collections::BTreeMap;

use super::{BootDisk, Net};
use crate::model::{Digest, Record, VmId};

/// A VM or template in normal form.
///
/// Values are those of the *pending* view: what the VM will have after its next stop and start. What the running VM
/// still has instead is in `pending`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmObserved {
    /// VMID.
    pub id: VmId,
    /// Name; empty when it has none.
    pub name: String,
    /// Digest of the configuration.
    pub digest: Digest,
    /// `lock:` of the configuration, e.g. `clone`, `backup`.
    pub lock: Option<String>,
    /// Whether it is a template.
    pub template: bool,
    /// Whether it runs.
    pub running: bool,
    /// uuid of `smbios1`.
    pub uuid: Option<String>,
    /// `ostype`; `None` means Proxmox's own default (`other`).
    pub os_type: Option<String>,
    /// CPU sockets (Proxmox's default is 1).
    pub cpu_sockets: u32,
    /// Cores per socket (Proxmox's default is 1).
    pub cpu_cores: u32,
    /// Memory in MiB (Proxmox's default is 512).
    pub memory_mb: u64,
    /// Notes without the record and without trailing white space.
    pub description: String,
    /// Tags as Proxmox stores them: lower case, sorted, each once.
    pub tags: Vec<String>,
    /// net0, if it has one.
    pub net0: Option<Net>,
    /// The disk it boots from, as `boot`/`bootdisk` say.
    pub boot_disk: Option<BootDisk>,
    /// Whether the guest agent is enabled.
    pub agent: bool,
    /// `protection`.
    pub protection: bool,
    /// `onboot`.
    pub onboot: bool,
    /// `hotplug` features in force; Proxmox's default is network, disk, usb.
    pub hotplug: Vec<String>,
    /// Values that wait for a stop and start: key of Proxmox → change.
    pub pending: BTreeMap<String, PendingChange>,
    /// Names of its snapshots.
    pub snapshots: Vec<String>,
    /// What its notes say about ownership.
    pub record: RecordFound,
    /// It is only the placeholder that `qm clone` makes first (` qmclone temporary file`).
    pub placeholder: bool,
}

/// A value that waits for a stop and start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingChange {
    /// What the running VM has; `None`: not set.
    pub active: Option<String>,
    /// What it will have; `None`: will be removed.
    pub pending: Option<String>,
}

/// What a VM's notes say about ownership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordFound {
    /// No record: not made by phoenix.
    None,
    /// A record for this very VM.
    Valid(Box<Record>),
    /// A record written for another VM (its uuid or VMID differs), e.g. copied by a clone. Counts as none.
    Void(Box<Record>),
    /// A record that cannot be read, or several: a person must look.
    Broken(String),
}

impl RecordFound {
    /// The record, if it is valid.
    #[must_use]
    pub fn valid(&self) -> Option<&Record> {
        match self {
            Self::Valid(record) => Some(record),
            Self::None | Self::Void(_) | Self::Broken(_) => None,
        }
    }
}
