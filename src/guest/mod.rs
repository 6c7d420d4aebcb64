//! What the steps inside a guest mean: which program to run there, and what its answer says.
//!
//! Pure on this side of the agent: a [`Program`] is an argv, a reading function turns the guest's answer into a value.
//! Waiting and repeating is `apply`'s business, so that there is one loop that waits.
//!
//! # Rules for programs
//! Values from the config are separate arguments, never part of a script's text. The text of a script is fixed and
//! ASCII: a character above U+00FF in an argument hangs the guest agent of real guests (recorded behaviour). `$0` names
//! the program, so that a simulated guest knows what is asked of it.

mod cloud_init;
mod feature;
mod mount;

pub use cloud_init::CloudInit;
pub use feature::{FeatureRun, FeatureStart};
pub use mount::Mounted;

use crate::hypervisor::GuestExit;

/// A program to run in a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Program and arguments.
    pub argv: Vec<String>,
}

/// A guest's answer that is no success, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct GuestProblem {
    /// What the guest said.
    pub what: String,
    /// The way out, when it is known.
    pub hint: Option<String>,
}

/// `cloud-init status`, as JSON.
#[must_use]
pub fn cloud_init_status() -> Program {
    plain(&["cloud-init", "status", "--format", "json"])
}

/// Reads the answer to [`cloud_init_status`].
#[must_use]
pub fn read_cloud_init(exit: &GuestExit) -> CloudInit {
    cloud_init::read(exit)
}

/// Mounts an NFS source at a mount point and keeps it in `/etc/fstab`; does nothing where that is so already.
#[must_use]
pub fn mount(source: &str, mount_point: &str) -> Program {
    script("phoenix-mount", mount::SCRIPT, &[source, mount_point])
}

/// Reads the answer to [`mount`].
pub fn read_mount(exit: &GuestExit) -> Result<Mounted, GuestProblem> {
    mount::read(exit)
}

/// Starts a feature's script, detached from the agent; attaches to a run that is under way or finished for this disk.
#[must_use]
pub fn start_feature(run: &FeatureRun<'_>) -> Program {
    script("phoenix-feature", feature::START, &run.arguments())
}

/// Reads the answer to [`start_feature`].
pub fn read_feature_start(exit: &GuestExit) -> Result<FeatureStart, GuestProblem> {
    feature::read_start(exit)
}

/// Asks how far a feature's script got.
#[must_use]
pub fn feature_result(run: &FeatureRun<'_>) -> Program {
    script("phoenix-feature-result", feature::RESULT, &[run.feature, run.digest, run.uuid])
}

/// Reads the answer to [`feature_result`]. `None`: it still runs.
pub fn read_feature_result(exit: &GuestExit) -> Result<Option<()>, GuestProblem> {
    feature::read_result(exit)
}

fn plain(argv: &[&str]) -> Program {
    Program { argv: argv.iter().map(|part| (*part).to_owned()).collect() }
}

fn script(name: &str, text: &str, arguments: &[&str]) -> Program {
    let mut argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned(), name.to_owned()];
    argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    Program { argv }
}

/// How a program that should have succeeded ended otherwise.
fn unexpected(program: &str, exit: &GuestExit) -> GuestProblem {
    let ended = exit.code.map_or_else(|| "was ended by a signal".to_owned(), |code| format!("exited {code}"));
    let said =
        [exit.err.trim(), exit.out.trim()].into_iter().find(|text| !text.is_empty()).unwrap_or("it said nothing");
    GuestProblem { what: format!("{program} {ended} in the guest: {said}"), hint: None }
}
