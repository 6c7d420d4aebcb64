//! Further disks, as the config wants them.

use serde::Serialize;

use super::{CloudImage, Filesystem, ProxmoxValue};

/// A further disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Size in GiB; it only ever grows. `None`: Proxmox knows it.
    pub size_gb: Option<u32>,
    /// The volume that is attached where there is no disk yet, e.g. `tank:vm-1000-disk-2`; `None`: one is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// The image that it becomes a copy of where there is no disk yet; `None`: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import_from: Option<CloudImage>,
    /// Proxmox storage of the disk.
    pub storage: String,
    /// Its options by Proxmox's own names.
    pub options: ProxmoxValue,
    /// The file system that it gets, and where it is mounted.
    #[serde(flatten)]
    pub mount: Option<DiskMount>,
}

/// The file system of a further disk, and where the guest mounts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskMount {
    /// The file system.
    pub filesystem: Filesystem,
    /// Where it is mounted in the guest.
    pub mount_point: String,
}
