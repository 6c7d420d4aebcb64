//! Values that wait for a stop and start of their VM.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::conf::Conf;

/// A value that waits for a stop and start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingChange {
    /// What the running VM has; `None`: not set.
    pub active: Option<String>,
    /// What it will have; `None`: will be removed.
    pub pending: Option<String>,
}

/// What stands for a secret, as `qm config` prints it.
pub(super) const HIDDEN: &str = "**********";

/// What waits for a stop and really changes something. Passwords and keys are never kept.
pub(super) fn pending_changes(conf: &Conf) -> BTreeMap<String, PendingChange> {
    let mut changes = BTreeMap::new();
    for (key, value) in conf.pending_entries() {
        let active = conf.get(key);
        if active != Some(value) {
            let own = |value: Option<&str>| value.map(|value| shown(key, value));
            changes.insert(key.to_owned(), PendingChange { active: own(active), pending: own(Some(value)) });
        }
    }
    for (key, _) in conf.pending_deletes() {
        if let Some(active) = conf.get(key) {
            changes.insert(key.to_owned(), PendingChange { active: Some(shown(key, active)), pending: None });
        }
    }
    changes
}

fn shown(key: &str, value: &str) -> String {
    if matches!(key, "cipassword" | "sshkeys") { HIDDEN } else { value }.to_owned()
}

#[cfg(test)]
mod tests {
    use crate::observed::VmObserved;

    #[test]
    fn a_password_is_never_kept() {
        let conf = "cipassword: hunter1\n\n[PENDING]\ncipassword: hunter2\n";
        let vm = VmObserved::from_conf(100.try_into().unwrap(), conf, true);
        assert!(vm.pending.contains_key("cipassword"));
        assert!(!format!("{vm:?}").contains("hunter"));
    }
}
