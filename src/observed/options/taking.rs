//! How a VM takes a value over.

use std::borrow::Cow;

use crate::model::{DesiredVm, Disruption};
use crate::observed::{Capabilities, VmObserved};

/// What decides how a VM takes a value over.
#[derive(Debug, Clone, Copy)]
pub struct Taking<'a> {
    /// The VM as the file wishes it.
    pub desired: &'a DesiredVm,
    /// The VM as it is.
    pub live: &'a VmObserved,
    /// What the target can do.
    pub capabilities: &'a Capabilities,
    /// The source of a disk that moves is erased.
    pub delete_source: bool,
    /// What waits for a restart is brought in by one.
    pub restart: bool,
}

impl Taking<'_> {
    /// Whether a running VM gets more memory while it runs (recorded): memory hotplug is on, and nothing else of it
    /// waits.
    pub(super) fn plugs_more_memory(&self) -> bool {
        let Self { live, desired, .. } = self;
        let on =
            self.capabilities.plugs_network && live.hotplug.contains("memory") && !live.pending.contains_key("memory");
        on && u64::from(desired.memory_mb) > live.memory_mb
    }

    /// Whether a running VM gets network cards and gives them up; other parts of a card change in any case (recorded).
    pub(super) fn plugs_cards(&self) -> bool {
        self.capabilities.plugs_network && self.live.hotplug.contains("network")
    }
}

/// Why a card waits.
pub(super) const NO_CARDS: &str = "hotplug of network cards is off";

/// Nothing that a running VM notices.
pub(super) fn at_once(taking: &Taking<'_>, note: &'static str) -> (Disruption, Cow<'static, str>) {
    (if taking.live.running { Disruption::Live } else { Disruption::None }, Cow::Borrowed(note))
}

/// A running VM has it after its next stop and start.
pub(super) fn at_restart(taking: &Taking<'_>, note: &'static str) -> (Disruption, Cow<'static, str>) {
    if taking.live.running { (Disruption::Restart, Cow::Borrowed(note)) } else { (Disruption::None, Cow::Borrowed("")) }
}
