//! The HA manager's view of a VM.

use serde::{Deserialize, Serialize};

/// How the HA manager looks after a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ha {
    /// The state that it is to keep the VM in: `started`, `stopped`, `disabled` or `ignored`.
    pub state: String,
    /// The state that the VM has for it now, e.g. `started`, `error`, `migrate`; `None`: it has not seen the VM yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// It is disarmed in the whole cluster and lets VMs alone meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disarmed: bool,
}

impl Ha {
    /// Whether it is the HA manager that starts, stops and moves the VM: Proxmox hands such calls on to it and answers at
    /// once (recorded).
    #[must_use]
    pub fn acts(&self) -> bool {
        self.state != "ignored" && !self.disarmed
    }

    /// Whether it gave up: it does nothing with the VM before its state is `disabled` once.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.acts() && self.now.as_deref() == Some("error")
    }

    /// Whether it is to keep the VM off.
    #[must_use]
    pub fn keeps_off(&self) -> bool {
        self.acts() && ["stopped", "disabled"].contains(&self.state.as_str())
    }
}
