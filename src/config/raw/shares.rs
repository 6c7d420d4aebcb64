//! Where directories and volumes lie, as the file says it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::words::volume_type;
use crate::config::lexis;

/// Says where the implicit volume of VMs with features lives.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawPersistentStorage {
    /// Names the directory on the hypervisor; each VM gets a directory below it, named by its VMID.
    #[schemars(title = "Host path", regex(pattern = lexis::PATH), length(max = lexis::MAX_PATH))]
    #[schemars(example = &"/quickOS/vm-persistent-data", extend("default" = "/quickOS/vm-persistent-data"))]
    pub(in crate::config) host_path: Option<String>,
    /// Names the NFS server as the guest reaches it; without it, the node's address on the VM's bridge.
    #[schemars(title = "Server", regex(pattern = lexis::SERVER), length(max = lexis::MAX_DNS_NAME))]
    #[schemars(example = &"10.0.0.13")]
    pub(in crate::config) server: Option<String>,
    /// Says where the guest mounts it. Feature scripts lie in `.phoenix_scripts` below.
    #[schemars(title = "Mount point", regex(pattern = lexis::PATH), length(max = lexis::MAX_PATH))]
    #[schemars(example = &"/persistent-storage", extend("default" = "/persistent-storage"))]
    pub(in crate::config) mount_point: Option<String>,
}

/// Describes one NFS share.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawNfsShare {
    /// Names the NFS server as the guest reaches it.
    #[schemars(title = "Server", regex(pattern = lexis::SERVER), length(max = lexis::MAX_DNS_NAME))]
    #[schemars(example = &"nas.example.org")]
    pub(in crate::config) server: Option<String>,
    /// Names the path that the server exports.
    #[schemars(title = "Export", regex(pattern = lexis::PATH), length(max = lexis::MAX_PATH))]
    #[schemars(example = &"/tank/media")]
    pub(in crate::config) export: Option<String>,
    /// Names the directory where the hypervisor sees the export.
    #[schemars(title = "Host path", regex(pattern = lexis::PATH), length(max = lexis::MAX_PATH))]
    #[schemars(example = &"/mnt/media")]
    pub(in crate::config) host_path: Option<String>,
}

/// Describes storage that the guest mounts: a path below a share, or an export of a server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawVolume {
    /// Names the kind of storage.
    #[serde(rename = "type")]
    #[schemars(schema_with = "volume_type", title = "Type", example = &"nfs")]
    pub(in crate::config) kind: Option<String>,
    /// Names a share of `hypervisor.nfs_shares`, or else a Proxmox storage of type `nfs`.
    #[schemars(title = "Share", regex(pattern = lexis::STORAGE), length(max = lexis::MAX_STORAGE))]
    #[schemars(example = &"local-nfs")]
    pub(in crate::config) share: Option<String>,
    /// Names an NFS server, instead of `share`.
    #[schemars(title = "Server", regex(pattern = lexis::SERVER), length(max = lexis::MAX_DNS_NAME))]
    #[schemars(example = &"nas.example.org")]
    pub(in crate::config) server: Option<String>,
    /// Names the path below the share, or with `server` the path that the server exports.
    #[schemars(title = "Path", regex(pattern = lexis::PATH), length(max = lexis::MAX_PATH))]
    #[schemars(example = &"/vm-features/1000")]
    pub(in crate::config) path: Option<String>,
    /// Says where the guest mounts it.
    #[schemars(title = "Mount point", regex(pattern = lexis::PATH), length(max = lexis::MAX_PATH))]
    #[schemars(example = &"/mnt/nfs/features")]
    pub(in crate::config) mount_point: Option<String>,
}
