//! Actions that wait long, where nothing live shows it: a line now and then, so that a log does not stand still.

use std::collections::BTreeMap;

use crate::event::ActionName;

/// How often one action has such a line, in milliseconds.
const EVERY_MS: u64 = 60_000;

/// When it was last said of each action that it waits.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// Whether it is said at all.
    sparse: bool,
    /// By action: milliseconds since it began.
    last: BTreeMap<String, u64>,
}

impl Waits {
    pub(super) fn new(sparse: bool) -> Self {
        Self { sparse, last: BTreeMap::new() }
    }

    /// Whether it is to be said again that an action waits, which then counts as said. `elapsed_ms`: since it began.
    pub(super) fn are_due(&mut self, action: &ActionName, elapsed_ms: u64) -> bool {
        let last = self.last.get(&action.id).copied().unwrap_or_default();
        let due = self.sparse && elapsed_ms >= last.saturating_add(EVERY_MS);
        if due {
            self.last.insert(action.id.clone(), elapsed_ms);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::Waits;
    use crate::event::ActionName;
    use crate::model::VmId;

    fn action(vm: u32) -> ActionName {
        let (name, action) = ("web".to_owned(), "clone".to_owned());
        ActionName { id: format!("{vm}/clone"), vm: VmId::try_from(vm).unwrap(), name, action }
    }

    #[test]
    fn an_action_that_waits_has_a_line_each_minute() {
        let mut waits = Waits::new(true);
        let mut at = |vm, elapsed_ms| waits.are_due(&action(vm), elapsed_ms);
        assert_eq!(
            [0, 59_999, 60_000, 60_001, 119_999, 121_000].map(|ms| at(1000, ms)),
            [false, false, true, false, false, true]
        );
        assert!(at(1001, 61_000) && !at(1001, 120_000), "each action has its own minute");
        let mut live = Waits::default();
        assert!(!live.are_due(&action(1000), 600_000));
    }
}
