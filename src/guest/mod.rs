//! What the steps inside a guest mean: which program to run there, and what its answer says.
//!
//! Pure on this side of the agent: a [`Program`] is an argv, a reading function turns the guest's answer into a value.
//! Waiting and repeating is `apply`'s business, so that there is one loop that waits.
//!
//! # Rules for programs
//! Values from the config are separate arguments, never part of a script's text. The text of a script is fixed and
//! ASCII: a character above U+00FF in an argument hangs the guest agent of real guests (recorded behaviour). `$0` names
//! the program, so that a simulated guest knows what is asked of it.

mod clean;
mod cloud_init;
mod disk;
mod feature;
mod grow;
mod look;
mod mount;
mod program;
mod stage;

pub use cloud_init::CloudInit;
pub use disk::{GuestDisk, Made};
pub use feature::{FeatureProgress, FeatureRun, FeatureStart};
pub use grow::Grown;
pub use mount::Mounted;
pub use program::{GuestProblem, Program, arrived};
pub use stage::{StageProblem, unpacked};

use crate::hypervisor::GuestExit;
use crate::model::Record;
use crate::observed::GuestSeen;
use program::{script, unexpected};

/// `cloud-init status`, as JSON.
///
/// Through a shell, since the agent itself says of a program that is missing no more than that it failed.
#[must_use]
pub fn cloud_init_status() -> Program {
    script("cloud-init", cloud_init::STATUS, &["status", "--format", "json"])
}

/// Reads the answer to [`cloud_init_status`].
#[must_use]
pub fn read_cloud_init(exit: &GuestExit) -> CloudInit {
    cloud_init::read(exit)
}

/// What one of phoenix's programs answers when it did what it is for.
#[must_use]
pub fn success(argv: &[String]) -> GuestExit {
    let out = match argv.get(3).map(String::as_str) {
        Some("cloud-init") => r#"{"status":"done"}"#,
        Some("phoenix-grow") => "grown",
        Some("phoenix-format") => "formatted",
        Some("phoenix-mount" | "phoenix-disk-mount") => "mounted",
        Some("phoenix-stage") => "staged",
        Some("phoenix-feature") => "started",
        Some("phoenix-feature-result") => "exit 0",
        _ => "",
    };
    GuestExit { code: Some(0), out: out.to_owned(), err: String::new() }
}

/// Makes the root file system as large as the disk it is on; does nothing where it is so already.
#[must_use]
pub fn grow_filesystem() -> Program {
    script("phoenix-grow", grow::GROW, &["/sys"])
}

/// Reads the answer to [`grow_filesystem`].
pub fn read_grown(exit: &GuestExit) -> Result<Grown, GuestProblem> {
    grow::read(exit)
}

/// Makes a file system on a disk that is empty; does nothing where it is made already.
#[must_use]
pub fn format(disk: &GuestDisk<'_>) -> Program {
    script("phoenix-format", disk::FORMAT, &["/sys", &disk.name(), disk.filesystem, disk.uuid])
}

/// Reads the answer to [`format()`].
pub fn read_formatted(exit: &GuestExit) -> Result<Made, GuestProblem> {
    disk::read(exit)
}

/// Mounts the file system of a disk, keeps it in `/etc/fstab`, and makes it as large as its disk; does nothing where
/// that is so already. While it is not mounted, nothing can be written to the mount point.
#[must_use]
pub fn mount_disk(disk: &GuestDisk<'_>, mount_point: &str) -> Program {
    script("phoenix-disk-mount", disk::MOUNT_DISK, &["/sys", &disk.name(), disk.filesystem, disk.uuid, mount_point])
}

/// Reads the answer to [`mount_disk`].
pub fn read_mount_disk(exit: &GuestExit) -> Result<Mounted, GuestProblem> {
    mount::read(exit).map_err(|problem| disk::with_hint(problem, exit))
}

/// Mounts an NFS source at a mount point and keeps it in `/etc/fstab`; does nothing where that is so already. While
/// nothing is mounted there, nothing can be written there. If `prove`, it also writes a file there and reads it back
/// from the server.
#[must_use]
pub fn mount(source: &str, mount_point: &str, prove: bool) -> Program {
    script("phoenix-mount", mount::MOUNT, &[source, mount_point, if prove { "prove" } else { "" }])
}

/// Unmounts an NFS source, or a file system of a disk (`UUID=…`), from a mount point and forgets it in `/etc/fstab`.
#[must_use]
pub fn unmount(source: &str, mount_point: &str) -> Program {
    script("phoenix-unmount", mount::UNMOUNT, &[source, mount_point])
}

/// Reads the answer to [`unmount`].
pub fn read_unmount(exit: &GuestExit) -> Result<(), GuestProblem> {
    mount::read_unmount(exit)
}

/// Puts files into a directory of a volume that is mounted from `source`, or, where that is empty, of the guest's own
/// disk, in place of whatever the directory held. The
/// programs are to be run in order; each takes at most `limit` bytes of input.
pub fn stage(
    directory: &str,
    source: &str,
    files: &[(&str, &str)],
    limit: usize,
) -> Result<Vec<Program>, StageProblem> {
    stage::programs(directory, source, files, limit)
}

/// Reads the answer to a program of [`stage`].
pub fn read_staged(exit: &GuestExit) -> Result<(), GuestProblem> {
    stage::read(exit)
}

/// Reads the answer to [`mount`].
pub fn read_mount(exit: &GuestExit) -> Result<Mounted, GuestProblem> {
    mount::read(exit)
}

/// What else the answer to [`mount`] says that an administrator should know: of a mount point that held files, or that
/// cannot be guarded.
#[must_use]
pub fn mount_notice(exit: &GuestExit) -> Option<String> {
    mount::notice(exit)
}

/// Starts a feature's script, detached from the agent; attaches to a run that is under way or finished for this disk.
#[must_use]
pub fn start_feature(run: &FeatureRun<'_>) -> Program {
    script("phoenix-feature", feature::START, &run.arguments())
}

/// How long a script may run when the action that waits for it may take `seconds`: systemd ends it a little earlier, so
/// that its end is still seen and told.
#[must_use]
pub fn script_seconds(seconds: u32) -> u32 {
    seconds.saturating_sub(30).max(1)
}

/// Reads the answer to [`start_feature`].
pub fn read_feature_start(exit: &GuestExit) -> Result<FeatureStart, GuestProblem> {
    feature::read_start(exit)
}

/// Removes the result of a feature's last run, unless it still runs.
#[must_use]
pub fn forget_feature(run: &FeatureRun<'_>) -> Program {
    script("phoenix-feature-forget", feature::FORGET, &[run.feature, run.digest])
}

/// Reads the answer to [`forget_feature`].
pub fn read_forgotten(exit: &GuestExit) -> Result<(), GuestProblem> {
    feature::read_forgotten(exit)
}

/// Asks how far a feature's script got.
#[must_use]
pub fn feature_result(run: &FeatureRun<'_>) -> Program {
    script("phoenix-feature-result", feature::RESULT, &[run.feature, run.digest, run.uuid, run.log])
}

/// Reads the answer to [`feature_result`].
pub fn read_feature_result(exit: &GuestExit, run: &FeatureRun<'_>) -> Result<FeatureProgress, GuestProblem> {
    feature::read_result(exit, run)
}

/// Looks whether what a record says of its guest is there: mounts, and results of features for the VM of this uuid.
#[must_use]
pub fn look(record: &Record, uuid: &str) -> Program {
    look::program(record, uuid)
}

/// Reads the answer to [`look`].
pub fn read_look(exit: &GuestExit, record: &Record) -> Result<GuestSeen, GuestProblem> {
    look::read(exit, record)
}

/// Takes out of a guest that becomes a template what its clones must not have: phoenix's volumes and files,
/// cloud-init's state, ssh host keys, the machine id.
#[must_use]
pub fn clean() -> Program {
    script("phoenix-clean", clean::CLEAN, &[])
}

/// Reads the answer to [`clean`].
pub fn read_clean(exit: &GuestExit) -> Result<(), GuestProblem> {
    clean::read(exit)
}

/// Looks whether a guest is as [`clean`] left it.
#[must_use]
pub fn cleaned() -> Program {
    script("phoenix-cleaned", clean::CLEANED, &[])
}

/// Reads the answer to [`cleaned`].
pub fn read_cleaned(exit: &GuestExit) -> Result<(), GuestProblem> {
    clean::read_cleaned(exit)
}

#[cfg(test)]
mod tests {
    use super::{read_mount, read_staged, read_unmount};
    use crate::hypervisor::GuestExit;

    #[test]
    fn a_guest_that_says_too_much_is_cut_short() {
        let said = format!("{}the reason", "words\n".repeat(3 << 20));
        for (out, err) in [(String::new(), said.clone()), (said.clone(), String::new())] {
            let exit = GuestExit { code: Some(9), out, err };
            let problems = [read_unmount(&exit).err(), read_mount(&exit).err(), read_staged(&exit).err()];
            for problem in problems {
                let what = problem.unwrap().what;
                assert!(what.len() < 9 << 10 && what.lines().count() < 26, "{}", what.len());
                assert!(what.contains("bytes are left out"), "{what}");
                assert!(what.ends_with("the reason") || what.contains(" in the guest: the reason\n"), "{what}");
            }
        }
    }
}
