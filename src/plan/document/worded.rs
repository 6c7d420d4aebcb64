//! What becomes of a VM, in words.

use super::DocumentVm;
use crate::model::ActionKind;

impl DocumentVm {
    /// Whether it is a VM that phoenix looks after and that is given up.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        !self.blocked && self.actions.iter().any(|action| action.kind == ActionKind::Forget && action.outcome.acts())
    }

    /// Its outcome in words.
    #[must_use]
    pub fn outcome_words(&self) -> &'static str {
        if self.is_taken_over() {
            "taken over"
        } else if self.is_forgotten() {
            "forgotten"
        } else {
            self.outcome.as_str()
        }
    }
}
