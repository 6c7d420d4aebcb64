//! Exit codes. The README's table lists the same.

use std::process::ExitCode;

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
    /// A VM moved after it was planned; nothing was done to it.
    Stale = 5,
    /// Some actions failed.
    Partial = 6,
    /// Interrupted.
    Interrupted = 7,
    /// `apply --detailed-exitcode`: done, but a restart is pending.
    RestartPending = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
