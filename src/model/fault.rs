//! What can go wrong at a target, classified where it is known.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a target could not do, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// What kind of failure it is.
    pub kind: FaultKind,
    /// Whether the world may have changed.
    pub effect: Effect,
    /// The options of the VM that it is about, where the target names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Those of them that only the guest stands in the way of: their values wait, and a stop and start of the VM brings
    /// them in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_restart: Vec<String>,
    /// What the target said: a lower-case fragment.
    pub what: String,
    /// The way out, when it is known here. Not serialised: the failure that keeps the fault says it.
    #[serde(skip)]
    pub hint: Option<String>,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The target cannot be reached, or the connection broke.
    Unreachable,
    /// It does not allow this.
    Denied,
    /// The VM, storage or file does not exist.
    Missing,
    /// Another process holds it just now (lock time-outs, locked VM).
    Busy,
    /// The configuration changed since it was read (digest).
    Stale,
    /// It refuses the values.
    Refused,
    /// A running VM does not take the value, and yet it is kept and waits for the next start.
    Hotplug,
    /// It tried and failed.
    Failed,
    /// It did not end in time.
    TimedOut,
    /// The answer makes no sense.
    Garbled,
    /// The guest agent does not answer: not started yet, not installed, or the VM is off.
    AgentDown,
}

/// Whether a failed call may have changed the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Certainly not.
    None,
    /// Perhaps: look before doing anything else.
    Maybe,
}

impl Fault {
    /// A failure that certainly changed nothing.
    pub fn harmless(kind: FaultKind, what: impl Into<String>) -> Self {
        let (options, at_restart) = (Vec::new(), Vec::new());
        Self { kind, effect: Effect::None, options, at_restart, what: what.into(), hint: None }
    }

    /// A failure after which the world may have changed.
    pub fn uncertain(kind: FaultKind, what: impl Into<String>) -> Self {
        Self { effect: Effect::Maybe, ..Self::harmless(kind, what) }
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names the options of the VM that it is about. Back ends do, which know the words of their target.
    #[must_use]
    pub fn about(mut self, options: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.options = options.into_iter().map(Into::into).collect();
        self
    }

    /// Whether trying again soon may help without anything else being done.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, FaultKind::Unreachable | FaultKind::Busy)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::Busy => "busy",
            Self::Stale => "stale",
            Self::Refused => "refused",
            Self::Hotplug => "hotplug",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Garbled => "garbled",
            Self::AgentDown => "agent down",
        })
    }
}
