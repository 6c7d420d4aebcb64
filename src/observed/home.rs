//! Where a VM is to be.

/// The node on which a new VM is made, or to which one moves that may not stay where it is; as placement found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// On this node.
    At {
        /// Its name.
        node: String,
        /// Why there, in a few words.
        why: String,
        /// It was agreed upon before: `why` is all that the plan said of it then.
        agreed: bool,
    },
    /// On none of those that it may be on: each with the reason.
    Nowhere(Vec<(String, String)>),
}

impl Home {
    /// The name of the node, if there is one.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::At { node, .. } => Some(node),
            Self::Nowhere(_) => None,
        }
    }
}
