//! What a node says of itself when it is asked whether it is fit for phoenix.

use std::collections::{BTreeMap, BTreeSet};

/// Facts about a node that no plan needs. What is not known is `None`, or not among what is listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Examined {
    /// Version of Proxmox VE as `pveversion` prints it, e.g. `9.2.11`.
    pub version: Option<String>,
    /// User id that phoenix's programs have there.
    pub user: Option<u32>,
    /// Programs that were looked for.
    pub programs: usize,
    /// Those of them that are not there, each with the package that brings it.
    pub missing: BTreeMap<String, String>,
    /// The node's clock: seconds since 1970.
    pub clock: Option<i64>,
    /// Threads of the kernel's NFS server; 0: it does not run.
    pub nfs_threads: Option<u32>,
    /// Whether there is a `/etc/phoenix/allow.json`.
    pub allow_file: bool,
    /// Servers that were asked for NFS and take connections.
    pub answering: BTreeSet<String>,
    /// Images that were asked for and lie on the node, as what is imported of them.
    pub images: BTreeSet<String>,
    /// What each storage may hold (`content` of `storage.cfg`); of storages that are known not to say it, nothing.
    pub contents: BTreeMap<String, BTreeSet<String>>,
}
