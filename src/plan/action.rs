//! Actions: the steps a plan consists of.

use std::sync::Arc;

use serde::Serialize;

use super::{Earlier, Step};
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
    /// What an earlier run began at the VM and is waited for before anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awaits: Option<Earlier>,
    /// How it is done, with everything that takes; `None`: nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
}

impl Action {
    /// An action that does something.
    pub(super) fn does(step: Step, outcome: Outcome, reason: &'static str) -> Self {
        let idle = Self::idle(step.kind(), reason);
        Self { step: Some(step), outcome, ..idle }
    }

    /// An action that has nothing to do.
    pub(super) fn idle(kind: ActionKind, reason: &'static str) -> Self {
        let (outcome, disruption) = (Outcome::NoOp, Disruption::None);
        Self { kind, subject: None, outcome, reason, disruption, timeout_seconds: 0, awaits: None, step: None }
    }

    /// What it does it to.
    pub(super) fn to(self, subject: impl Into<Arc<str>>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// What it costs a running VM, if it does something.
    pub(super) fn costing(self, disruption: Disruption) -> Self {
        if self.step.is_some() { Self { disruption, ..self } } else { self }
    }

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
