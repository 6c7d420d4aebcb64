//! Exit codes. `docs/commands.md` lists the same.

use std::process::ExitCode;

/// Why a command is not carried out, with the way out and the exit code.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Refusal {
    what: String,
    /// The way out.
    pub(super) hint: String,
    /// How the process ends.
    pub(super) exit: Exit,
}

impl Refusal {
    /// The command line is wrong.
    pub(super) fn usage(what: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        Self { what: what.into(), hint: hint.into(), exit: Exit::Usage }.into()
    }

    /// What was planned does not hold any more.
    pub(super) fn stale(what: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        Self { what: what.into(), hint: hint.into(), exit: Exit::Stale }.into()
    }

    /// Something forbids it.
    pub(super) fn failed(what: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        Self { what: what.into(), hint: hint.into(), exit: Exit::Failed }.into()
    }
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// `plan --detailed-exitcode`: there are changes.
    Changes = 2,
    /// The config is invalid.
    Config = 3,
    /// The command line is wrong.
    Usage = 4,
    /// A VM changed since the plan; nothing was done to it after that was seen.
    Stale = 5,
    /// Some actions failed, or VMs were left alone whose node is not online.
    Partial = 6,
    /// Interrupted.
    Interrupted = 7,
    /// `apply --detailed-exitcode`: done, but a restart is pending.
    RestartPending = 8,
}

/// What each says, for the manual.
pub(super) const MEANINGS: [(Exit, &str); 9] = [
    (Exit::Done, "Done, or nothing to do."),
    (Exit::Failed, "Failed."),
    (
        Exit::Changes,
        "Changes are present (plan --detailed-exitcode), or a VM is not healthy (status --detailed-exitcode).",
    ),
    (Exit::Config, "The config is invalid."),
    (Exit::Usage, "The command line is wrong, or phoenix cannot ask for approval."),
    (Exit::Stale, "A VM changed since the plan; nothing was done to it after that was seen."),
    (Exit::Partial, "Some actions failed, or VMs were left alone whose node is not online; the others are done."),
    (Exit::Interrupted, "Interrupted."),
    (Exit::RestartPending, "Done, but a restart is pending (apply --detailed-exitcode)."),
];

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
