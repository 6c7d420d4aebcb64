//! One write of a configuration, as it is handed to a target.

use std::collections::{BTreeMap, BTreeSet};

/// One write of a VM's configuration (`qm set`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigWrite {
    /// Options to set, in Proxmox's words.
    pub set: BTreeMap<String, String>,
    /// Options to delete.
    pub delete: BTreeSet<String>,
}

impl ConfigWrite {
    /// Whether there is nothing to write. Proxmox refuses an empty write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.delete.is_empty()
    }

    /// The options that are set or deleted.
    pub fn options(&self) -> impl Iterator<Item = &str> {
        self.set.keys().chain(&self.delete).map(String::as_str)
    }
}
