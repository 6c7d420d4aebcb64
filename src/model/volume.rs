//! Volumes that VMs declare.

use serde::Serialize;

/// A volume a VM declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Name of a share (`hypervisor.nfs_shares` or a Proxmox storage of type `nfs`); `path` is below it.
    pub share: Option<String>,
    /// NFS server, instead of `share`; `path` is then the exported path itself.
    pub server: Option<String>,
    /// Path, starting with `/`.
    pub path: String,
    /// Absolute mount point in the guest.
    pub mount_point: String,
}
