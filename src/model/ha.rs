//! How the HA manager is to look after a VM, in Proxmox's words.

use serde::{Deserialize, Serialize};

use super::named::named;

named! {
    /// The state in which the HA manager keeps a VM (recorded, and the manual of Proxmox VE 8 and 9; `enabled` is an
    /// older name of `started`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    HaState,
    /// The word as Proxmox spells it.
    as_str {
        /// The VM runs: started again when it fails, and on another node when its node does.
        Started = "started",
        /// The VM is off, and is taken to another node when its own fails.
        Stopped = "stopped",
        /// The VM is off, and stays on its node whatever happens.
        Disabled = "disabled",
        /// The HA manager leaves the VM alone.
        Ignored = "ignored",
    }
}

impl HaState {
    /// What it means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Started => "The VM runs: it is started again when it fails, and on another node when its node does",
            Self::Stopped => "The VM is off, and is taken to another node when its own fails",
            Self::Disabled => "The VM is off, and stays on its node",
            Self::Ignored => "The HA manager leaves the VM alone",
        }
    }

    /// Whether the VM runs in that state; `None`: that is not up to the HA manager.
    #[must_use]
    pub fn runs(self) -> Option<bool> {
        match self {
            Self::Started => Some(true),
            Self::Stopped | Self::Disabled => Some(false),
            Self::Ignored => None,
        }
    }

    /// Whether the VM is taken to another node when its own fails.
    #[must_use]
    pub fn recovers(self) -> bool {
        matches!(self, Self::Started | Self::Stopped)
    }
}

/// How the HA manager is to look after a VM. Field names are the config's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaWish {
    /// The state in which it keeps the VM.
    pub state: HaState,
    /// How often it starts the VM again on the same node.
    pub max_restart: u32,
    /// How often it tries another node then.
    pub max_relocate: u32,
}

impl HaWish {
    /// Proxmox's own default of both numbers (recorded).
    pub const TRIES: u32 = 1;

    /// As people and the record have it: what is not Proxmox's default.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(self.state.as_str(), self.max_restart, self.max_relocate)
    }
}

/// How the HA manager looks after a VM, as text: the state, then what is not Proxmox's default.
pub(crate) fn text_of(state: &str, max_restart: u32, max_relocate: u32) -> String {
    let mut text = state.to_owned();
    for (name, tries) in [("max_restart", max_restart), ("max_relocate", max_relocate)] {
        if tries != HaWish::TRIES {
            text.push_str(&format!(", {name} {tries}"));
        }
    }
    text
}
