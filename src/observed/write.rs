//! From a wish and the live VM to the one configuration write that joins them.

use std::collections::{BTreeMap, BTreeSet};

/// One write of a VM's configuration (`qm set`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigWrite {
    /// Options to set, in Proxmox's words.
    pub set: BTreeMap<String, String>,
    /// Options to delete.
    pub delete: BTreeSet<String>,
}
