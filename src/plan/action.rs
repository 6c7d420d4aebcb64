//! Actions: the steps a plan consists of.

use std::sync::Arc;

use serde::Serialize;

use crate::model::{ActionKind, Disruption, Outcome, VmId};

/// One action of one VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Action {
    /// What it does.
    pub kind: ActionKind,
    /// What it does it to, where a VM can have several: a mount point, a feature's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Arc<str>>,
    /// What is expected to come of it.
    pub outcome: Outcome,
    /// Why, for people. No code decides by it.
    pub reason: &'static str,
    /// What it costs a running VM.
    pub disruption: Disruption,
    /// How long it may take, in seconds.
    pub timeout_seconds: u32,
}

impl Action {
    /// The action's name within its VM, e.g. `clone`, `feature install_docker`.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.subject {
            None => self.kind.as_str().to_owned(),
            Some(subject) => format!("{} {subject}", self.kind.as_str()),
        }
    }

    /// The action's stable id, e.g. `1000/clone`, `1000/feature:install_docker`.
    #[must_use]
    pub fn id(&self, vm: VmId) -> String {
        match &self.subject {
            None => format!("{vm}/{}", self.kind.as_str()),
            Some(subject) => format!("{vm}/{}:{subject}", self.kind.as_str()),
        }
    }
}
