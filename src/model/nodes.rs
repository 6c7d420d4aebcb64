//! Where VMs may be.

use std::fmt;

use serde::Serialize;

/// Where a VM may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Nodes {
    /// On every node of the target.
    Any,
    /// On these, in the order in which they are preferred.
    Of(Vec<String>),
}

impl Nodes {
    /// Whether this node is among them.
    #[must_use]
    pub fn has(&self, node: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Of(names) => names.iter().any(|name| name == node),
        }
    }
}

impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Of(names) => f.write_str(&names.join(", ")),
        }
    }
}
