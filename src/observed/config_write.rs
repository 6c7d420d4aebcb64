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

    /// Sets an option.
    pub(super) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.set.insert(key.to_owned(), value.into());
    }
}
