//! What of a target is looked at only when it is asked for.

use crate::model::Nodes;

/// What of a target is to be looked at that would cost too much to look at always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Directories of the node that the target stands on: what is in each, and where it really lies.
    pub directories: Vec<String>,
    /// Nodes of which it is to be said what bridges they have. Of its own node a target says that always.
    pub nodes: Nodes,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { directories: Vec::new(), nodes: Nodes::Of(Vec::new()) }
    }
}

impl Wanted {
    /// These directories, and the bridges of no other node.
    #[must_use]
    pub fn directories(directories: Vec<String>) -> Self {
        Self { directories, ..Self::default() }
    }
}
