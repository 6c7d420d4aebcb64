//! Where VMs may be, as the file says it.

use serde::Deserialize;

use crate::model::Nodes;

/// The word for every node of the target.
pub(crate) const ANY: &str = "any";

/// One node by its name, several, or `any`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum RawNodes {
    /// One, or `any`.
    One(String),
    /// Several, in the order in which they are preferred.
    Several(Vec<String>),
}

impl RawNodes {
    /// The words in the order of the file.
    pub(crate) fn words(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }

    /// What they mean.
    pub(crate) fn meant(self) -> Nodes {
        match self {
            Self::One(word) if word == ANY => Nodes::Any,
            Self::One(name) => Nodes::Of(vec![name]),
            Self::Several(names) => Nodes::Of(names),
        }
    }
}
