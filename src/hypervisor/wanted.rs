//! What of a target is looked at only when it is asked for.

use crate::model::{CloudImage, Nodes};

/// What of a target is to be looked at that would cost too much to look at always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Directories of the node that the target stands on: what is in each, and where it really lies.
    pub directories: Vec<String>,
    /// Nodes of which it is to be said what bridges they have. Of its own node a target says that always.
    pub nodes: Nodes,
}

/// What a node is asked when it is examined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Examine {
    /// NFS servers, by address or name: whether they take connections from the node.
    pub servers: Vec<String>,
    /// Images: whether they lie on the node.
    pub images: Vec<CloudImage>,
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
