//! What was seen inside a guest.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a look into a guest found of that which its VM's record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestSeen {
    /// Its agent answered.
    Looked {
        /// Mount points of recorded volumes that are not mounted from where the record says.
        lost_mounts: BTreeSet<String>,
        /// Recorded features whose result is not on the guest's disk.
        lost_results: BTreeSet<String>,
    },
    /// Nobody could look.
    Silent {
        /// Why not.
        what: String,
        /// The way out, when it is known.
        hint: Option<String>,
    },
}
