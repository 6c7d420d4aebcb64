//! What a guest does not let go of while it runs (`holds` in the settings), in the words that were recorded.

use super::Embedded;
use crate::observed::{Net, VmObserved};

impl Embedded {
    /// Why a running VM does not get this value at once, where that is its guest: `value` unplugs something, or takes
    /// some of it away. `None`: it does not come to that.
    pub(super) fn held(&self, live: &VmObserved, key: &str, value: Option<&str>) -> Option<String> {
        if !self.settings.holds.contains(key) || !self.machines().plugs() {
            return None;
        }
        let hot = |feature: &str| live.hotplug.contains(feature);
        let active = live.active();
        let now = *active.get(key)?;
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
        let less = || number(value) < number(Some(now));
        let nested = |what: &str| format!("{key}: hotplug problem - 400 Parameter verification failed.\n{what}");
        let busy = || format!("{key}: hotplug problem - error on hot-unplugging device '{key}' - still busy in guest?");
        match key {
            "memory" => (hot("memory") && less()).then(|| nested("dimm1: error unplug memory module")),
            "vcpus" => {
                let last = number(Some(now)).unwrap_or(1);
                (hot("cpu") && less()).then(|| nested(&format!("vcpus: error unplugging cpu{last}")))
            }
            key if key.starts_with("net") => (hot("network") && is_unplugged(now, value)).then(busy),
            key => (value.is_none() && self.plugs_disks(live, key)).then(busy),
        }
    }
}

/// Whether a card is unplugged to become this one (recorded).
fn is_unplugged(now: &str, value: Option<&str>) -> bool {
    let part = |net: &Net, name: &str| net.rest.iter().find(|(part, _)| part == name).map(|(_, value)| value.clone());
    let [now, new] = [Some(now), value].map(|text| text.and_then(Net::parse));
    let (Some(now), Some(new)) = (now, new) else { return true };
    let same_part = |name: &str| part(&now, name) == part(&new, name);
    now.model != new.model
        || now.mac != new.mac
        || now.bridge.is_none() != new.bridge.is_none()
        || !(same_part("mtu") && same_part("queues"))
}
