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
mod feature;
mod grow;
mod look;
mod mount;
mod stage;

pub use cloud_init::CloudInit;
pub use feature::{FeatureProgress, FeatureRun, FeatureStart};
pub use grow::Grown;
pub use mount::Mounted;
pub use stage::{StageProblem, unpacked};

use data_encoding::BASE64;

use crate::hypervisor::GuestExit;
use crate::model::{Record, excerpt};
use crate::observed::GuestSeen;

/// A program to run in a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What it reads on standard input; ASCII.
    pub input: Vec<u8>,
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

/// Makes the root file system as large as the disk it is on; does nothing where it is so already.
#[must_use]
pub fn grow_filesystem() -> Program {
    script("phoenix-grow", grow::GROW, &["/sys"])
}

/// Reads the answer to [`grow_filesystem`].
pub fn read_grown(exit: &GuestExit) -> Result<Grown, GuestProblem> {
    grow::read(exit)
}

/// Mounts an NFS source at a mount point and keeps it in `/etc/fstab`; does nothing where that is so already. While nothing is
/// mounted there, nothing can be written there. If `prove`,
/// it also writes a file there and reads it back from the server.
#[must_use]
pub fn mount(source: &str, mount_point: &str, prove: bool) -> Program {
    script("phoenix-mount", mount::MOUNT, &[source, mount_point, if prove { "prove" } else { "" }])
}

/// Unmounts an NFS source from a mount point and forgets it in `/etc/fstab`.
#[must_use]
pub fn unmount(source: &str, mount_point: &str) -> Program {
    script("phoenix-unmount", mount::UNMOUNT, &[source, mount_point])
}

/// Reads the answer to [`unmount`].
pub fn read_unmount(exit: &GuestExit) -> Result<(), GuestProblem> {
    mount::read_unmount(exit)
}

/// Puts files into a directory of a volume that is mounted from `source`, in place of whatever the directory held. The
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

/// What else the answer to [`mount`] says that somebody should know: of a mount point that held files, or that cannot be guarded.
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

/// Takes out of a guest that becomes a template what its clones must not have: phoenix's volumes and files, cloud-init's
/// state, ssh host keys, the machine id.
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

/// What every script begins with: makes sure that programs of the system are found and say what they say in English, as
/// the agent's environment is whatever the image makes it; takes the arguments out of the form of [`carried`].
const PRELUDE: &str = r#"PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin LC_ALL=C.UTF-8
export PATH LC_ALL
for a do
  shift
  case $a in b64:*) a=$(printf %s "${a#b64:}" | base64 -d; echo .); a=${a%.} ;; esac
  set -- "$@" "$a"
done
"#;

fn script(name: &str, text: &str, arguments: &[&str]) -> Program {
    let mut argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), format!("{PRELUDE}{text}"), name.to_owned()];
    argv.extend(arguments.iter().map(|argument| carried(argument)));
    Program { argv, input: Vec::new() }
}

/// An argument as it travels through the agent: what is not plain ASCII goes as base64.
fn carried(argument: &str) -> String {
    let plain = argument.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) && !argument.starts_with(CARRIED);
    if plain { argument.to_owned() } else { format!("{CARRIED}{}", BASE64.encode(argument.as_bytes())) }
}

const CARRIED: &str = "b64:";

/// An argument as a script sees it, from the form in which it travelled.
#[must_use]
pub fn arrived(argument: &str) -> String {
    let bytes = argument.strip_prefix(CARRIED).and_then(|text| BASE64.decode(text.as_bytes()).ok());
    bytes.map_or_else(|| argument.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// How a program that should have succeeded ended otherwise.
fn unexpected(program: &str, exit: &GuestExit) -> GuestProblem {
    let ended = exit.code.map_or_else(|| "was ended by a signal".to_owned(), |code| format!("exited {code}"));
    let said =
        [exit.err.trim(), exit.out.trim()].into_iter().find(|text| !text.is_empty()).unwrap_or("it said nothing");
    GuestProblem { what: format!("{program} {ended} in the guest: {}", excerpt(said)), hint: None }
}

#[cfg(test)]
mod tests {
    use super::{arrived, read_mount, read_staged, read_unmount, script};
    use crate::hypervisor::GuestExit;

    #[test]
    fn a_guest_that_says_too_much_is_cut_short() {
        let said = format!("{}the reason", "words\n".repeat(3 << 20));
        for (out, err) in [(String::new(), said.clone()), (said.clone(), String::new())] {
            let exit = GuestExit { code: Some(9), out, err };
            let problems = [read_unmount(&exit).err(), read_mount(&exit).err(), read_staged(&exit).err()];
            for problem in problems {
                let what = problem.unwrap().what;
                assert!(what.len() < 9 << 10 && what.lines().count() < 25, "{}", what.len());
                assert!(what.contains("bytes are left out") && what.ends_with("the reason"), "{what}");
            }
        }
    }

    proptest::proptest! {
        /// Whatever an argument holds, it travels as ASCII and a shell hands it to the script as it was.
        #[test]
        fn a_script_gets_its_arguments_as_they_were(words in proptest::collection::vec("[^\0]{0,30}|b64:[a-z]{0,5}", 0..4)) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let program = script("phoenix-test", "for a do printf '%s\\0' \"$a\"; done", &words);
            proptest::prop_assert!(program.argv.iter().all(|word| word.is_ascii()));
            let output = std::process::Command::new(&program.argv[0]).args(&program.argv[1..]).output().unwrap();
            let expected = words.iter().flat_map(|word| [*word, "\0"]).collect::<String>();
            proptest::prop_assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
            let back: Vec<String> = program.argv[4..].iter().map(|word| arrived(word)).collect();
            proptest::prop_assert_eq!(back, words);
        }
    }
}
