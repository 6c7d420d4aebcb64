//! What was seen inside a guest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::VmObserved;
use crate::model::MIB;

/// What a look into a guest found of that which its VM's record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestSeen {
    /// Its agent answered.
    Looked {
        /// Mount points of recorded volumes that are not mounted from where the record says.
        lost_mounts: BTreeSet<String>,
        /// Recorded features whose result is not on the guest's disk.
        lost_results: BTreeSet<String>,
        /// What its VM got while it ran, and the guest does not use all of: how much it uses, in CPUs or bytes.
        #[serde(default)]
        offline: BTreeMap<Plugged, u64>,
    },
    /// It could not be looked into.
    Silent {
        /// Why not.
        what: String,
        /// The way out, when it is known.
        hint: Option<String>,
    },
}

impl GuestSeen {
    /// The same, with what its guest does not use all of.
    #[must_use]
    pub fn leaving(mut self, left: BTreeMap<Plugged, u64>) -> Self {
        if let Self::Looked { offline, .. } = &mut self {
            *offline = left;
        }
        self
    }
}

/// What a running VM gets more of without a restart, and its guest may leave offline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plugged {
    /// CPUs.
    Cpus,
    /// Memory.
    Memory,
}

impl Plugged {
    /// The questions to a guest agent that tell how much of it the guest uses, as Proxmox calls them.
    #[must_use]
    pub fn questions(self) -> &'static [&'static str] {
        match self {
            Self::Cpus => &["get-vcpus"],
            Self::Memory => &["get-memory-blocks", "get-memory-block-info"],
        }
    }
    /// How much of it a running VM has at this moment, in CPUs or bytes.
    #[must_use]
    pub fn given(self, live: &VmObserved) -> u64 {
        let active = live.active();
        let number = |option: &str| active.get(option).and_then(|value| value.parse::<u64>().ok());
        match self {
            Self::Cpus => {
                let all = || number("sockets").unwrap_or(1).saturating_mul(number("cores").unwrap_or(1));
                number("vcpus").unwrap_or_else(all)
            }
            // Proxmox writes it in a second way, too.
            Self::Memory => {
                let written = active.get("memory").map(|value| value.strip_prefix("current=").unwrap_or(value));
                written.and_then(|value| value.parse().ok()).unwrap_or(512_u64).saturating_mul(MIB)
            }
        }
    }

    /// Whether the VM gets more of it without a restart.
    #[must_use]
    pub fn is_plugged(self, live: &VmObserved) -> bool {
        let feature = match self {
            Self::Cpus => "cpu",
            Self::Memory => "memory",
        };
        live.hotplug.iter().any(|hot| hot == feature)
    }

    /// That the guest leaves some of it offline, and how it comes to use all.
    #[must_use]
    pub fn left_offline(self, uses: u64, given: u64) -> (String, &'static str) {
        let text = format!(
            "the guest uses {} of the {} that the VM has: it leaves the rest offline",
            self.amount(uses),
            self.amount(given)
        );
        let hint = match self {
            Self::Cpus => {
                "a restart brings them in; so does `echo 1 >/sys/devices/system/cpu/cpuN/online` in the guest, and for those \
                 to come a udev rule there: `SUBSYSTEM==\"cpu\", ACTION==\"add\", TEST==\"online\", ATTR{online}=\"1\"`"
            }
            Self::Memory => {
                "a restart brings it in; so does `echo online >/sys/devices/system/memory/memoryN/state` in the guest, and for \
                 what is to come the kernel parameter `memhp_default_state=online` there"
            }
        };
        (text, hint)
    }

    /// `2 CPUs`, `2048 MiB of memory`.
    fn amount(self, amount: u64) -> String {
        match self {
            Self::Cpus => format!("{amount} CPU{}", if amount == 1 { "" } else { "s" }),
            Self::Memory => format!("{} MiB of memory", amount / MIB),
        }
    }
}
