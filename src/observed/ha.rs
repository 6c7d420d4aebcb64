//! The HA manager's view of a VM.

use serde::{Deserialize, Serialize};

use crate::model::{HaState, HaWish, ha_text};

/// How the HA manager looks after a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ha {
    /// The state that it is to keep the VM in: `started`, `stopped`, `disabled` or `ignored`.
    pub state: String,
    /// How often it starts the VM again on the same node.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub max_restart: u32,
    /// How often it tries another node then.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub max_relocate: u32,
    /// The state that the VM has for it now, e.g. `started`, `error`, `migrate`; `None`: it has not seen the VM yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// It is disarmed in the whole cluster and lets VMs alone meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disarmed: bool,
}

fn once() -> u32 {
    HaWish::TRIES
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_once(tries: &u32) -> bool {
    *tries == HaWish::TRIES
}

/// What the HA manager is about to do with a VM, or is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaWork {
    /// It starts the VM.
    Start,
    /// It stops the VM.
    Stop,
    /// It takes the VM to another node.
    Move,
}

impl Ha {
    /// What it has still to do with a VM that runs, or is off; `None`: nothing, or it will do nothing more. Proxmox
    /// sets the state that the VM is to be in when a start or a stop is handed on (recorded), and only the VM shows
    /// when that is done.
    #[must_use]
    pub fn work(&self, running: bool) -> Option<HaWork> {
        if !self.acts() || self.has_failed() {
            return None;
        }
        match self.state.as_str() {
            _ if self.now.as_deref() == Some("migrate") => Some(HaWork::Move),
            "started" if !running => Some(HaWork::Start),
            _ if running && self.keeps_off() => Some(HaWork::Stop),
            _ => None,
        }
    }

    /// As it is to look after the VM.
    #[must_use]
    pub fn kept(wish: &HaWish) -> Self {
        let HaWish { state, max_restart, max_relocate } = *wish;
        Self { state: state.to_string(), max_restart, max_relocate, now: None, disarmed: false }
    }

    /// How it is to look after the VM; `None`: in a state that is not known.
    #[must_use]
    pub fn wish(&self) -> Option<HaWish> {
        let state = HaState::ALL.into_iter().find(|state| state.as_str() == self.state)?;
        Some(HaWish { state, max_restart: self.max_restart, max_relocate: self.max_relocate })
    }

    /// How it is to look after the VM, as the record and people have it.
    #[must_use]
    pub fn text(&self) -> String {
        ha_text(&self.state, self.max_restart, self.max_relocate)
    }

    /// Whether it is the HA manager that starts, stops and moves the VM: Proxmox hands such calls on to it and answers
    /// at once (recorded).
    #[must_use]
    pub fn acts(&self) -> bool {
        self.state != "ignored" && !self.disarmed
    }

    /// Whether it looks after the VM like this once the VM is started, or stopped: Proxmox sets the state with it.
    #[must_use]
    pub fn switches_to(&self, wish: &HaWish) -> bool {
        let switched = |state: &str| ["started", "stopped"].contains(&state);
        let kept = Self::kept(wish);
        switched(&self.state)
            && switched(&kept.state)
            && (self.max_restart, self.max_relocate) == (kept.max_restart, kept.max_relocate)
    }

    /// Whether it gave up: it does nothing with the VM before its state is `disabled` once.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.acts() && self.now.as_deref() == Some("error")
    }

    /// Whether it is to take the VM out of the state in which it gave up, and has not got to it yet.
    #[must_use]
    pub fn recovers(&self) -> bool {
        self.has_failed() && self.state == HaState::Disabled.as_str()
    }

    /// Whether it is to keep the VM off.
    #[must_use]
    pub fn keeps_off(&self) -> bool {
        self.acts() && ["stopped", "disabled"].contains(&self.state.as_str())
    }
}
