//! What the end of one of the node's programs means: its exit status, and what it printed.
//!
//! What Proxmox's own words mean is said in `proxmox::answer`.

use super::super::proxmox::answer::{at_restart, hint, meaning, options};
use super::super::runner::{Command, Output};
use crate::hypervisor::{Effect, Fault, FaultKind};
use crate::model::{excerpt, line};

/// What a shell says of programs that another process ended: by SIGHUP, SIGKILL, SIGTERM.
const KILLED: [i32; 3] = [129, 137, 143];

/// What a shell and `env` end with when there is no such program, and what they say then.
pub(super) const NOT_FOUND: i32 = 127;
const NO_PROGRAM: [&str; 2] = ["No such file or directory", "not found"];

/// The fault behind an output that is no success.
///
/// Exit codes are not an API (255, 2, 25, 29 were recorded for refusals of all kinds): any but 0 is a failure, and the
/// text tells which.
pub(super) fn fault(command: &Command, output: &Output) -> Fault {
    if KILLED.contains(&output.status) {
        // Whatever it said, it did not finish.
        let effect = if command.changes { Effect::Maybe } else { Effect::None };
        let what = format!("`{}` was killed on the node", command.words());
        return Fault { effect, ..Fault::harmless(FaultKind::Unreachable, what) };
    }
    let said = said(output);
    if output.status == NOT_FOUND && NO_PROGRAM.iter().any(|word| said.contains(word)) {
        return no_program(format!("`{}` cannot be run on the node: {said}", command.words()));
    }
    let (kind, effect) = meaning(&said).or_else(|| own(&said)).unwrap_or((FaultKind::Failed, Effect::Maybe));
    let effect = if command.changes { effect } else { Effect::None };
    let root = (kind == FaultKind::Denied).then(|| "phoenix needs root on the node, or passwordless sudo".to_owned());
    let hint = hint(kind, &said, storage(command)).or(root);
    let (options, at_restart) = (options(kind, &said), at_restart(kind, &said));
    Fault { kind, effect, options, at_restart, what: format!("`{}`: {said}", command.words()), hint }
}

/// What the words of `sudo` and of phoenix's own scripts mean.
fn own(said: &str) -> Option<(FaultKind, Effect)> {
    if said.contains("sudo:") {
        Some((FaultKind::Denied, Effect::None))
    } else if said.contains("is reached through a symbolic link") {
        Some((FaultKind::Refused, Effect::None))
    } else {
        None
    }
}

/// A program that is missing on the node, told by `env` or a shell.
pub(super) fn no_program(what: String) -> Fault {
    let sudo = what.contains("sudo:") || what.contains("\u{2018}sudo\u{2019}");
    let hint = if sudo {
        "phoenix needs root on the node: log in as root, or install sudo there"
    } else {
        "is this a Proxmox VE node, and does PATH of a non-interactive shell there have /usr/sbin and /usr/bin?"
    };
    Fault::harmless(FaultKind::Missing, what).hint(hint)
}

/// The storage that a command names.
fn storage(command: &Command) -> Option<&str> {
    let at = command.argv.iter().position(|word| word == "--storage");
    command.argv.get(at? + 1).map(String::as_str)
}

/// What a program said that matters: standard error without the usage lines, else standard output.
fn said(output: &Output) -> String {
    let lines: Vec<&str> = output
        .stderr
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with("qm ") && !line.starts_with("pvesh "))
        .collect();
    if lines.is_empty() {
        let out = String::from_utf8_lossy(&output.stdout);
        let last = out.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        return format!("exit status {}: {}", output.status, line(last.trim()));
    }
    excerpt(&lines.join("\n")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::fault;
    use crate::backend::runner::{Command, Output};
    use crate::hypervisor::{Effect, FaultKind};

    #[test]
    fn an_answer_of_a_killed_program_is_lost() {
        let output = Output { status: 137, ..Output::default() };
        let argv = ["qm", "start", "1000"].map(ToOwned::to_owned).to_vec();
        let started = fault(&Command::change(argv.clone(), std::time::Duration::ZERO), &output);
        assert_eq!((started.kind, started.effect), (FaultKind::Unreachable, Effect::Maybe));
        let looked = fault(&Command::look(argv, std::time::Duration::ZERO), &output);
        assert_eq!((looked.kind, looked.effect), (FaultKind::Unreachable, Effect::None));
    }

    #[test]
    fn a_missing_program_is_told() {
        for (stderr, hint) in [
            ("env: \u{2018}qm\u{2019}: No such file or directory\n", "a Proxmox VE node"),
            ("/bin/sh: 1: qm: not found\n", "a Proxmox VE node"),
            ("sh: 1: sudo: not found\n", "install sudo"),
        ] {
            let command = Command::change(vec!["qm".to_owned(), "start".to_owned()], std::time::Duration::ZERO);
            let output = Output { status: 127, stdout: Vec::new(), stderr: stderr.to_owned() };
            let told = fault(&command, &output);
            assert_eq!((told.kind, told.effect), (FaultKind::Missing, Effect::None));
            assert!(told.what.contains(stderr.trim()) && told.hint.unwrap().contains(hint), "{}", told.what);
        }
    }

    #[test]
    fn what_a_program_printed_tells_the_kind_and_the_way_out() {
        for (stderr, kind, hint) in [
            ("clone failed: No space left on device", FaultKind::Failed, "free space on storage `fast`"),
            ("storage 'slow' does not exist", FaultKind::Missing, "storage `slow` is not in the node's storage.cfg"),
            ("403 Permission check failed (/vms/1, VM.Clone)", FaultKind::Denied, "the right VM.Clone on /vms/1"),
            ("Permission check failed", FaultKind::Denied, "root on the node"),
            ("permission denied - you need root", FaultKind::Denied, "root on the node"),
            ("sudo: a password is required", FaultKind::Denied, "passwordless sudo"),
            ("/srv/x is reached through a symbolic link: it is one", FaultKind::Refused, ""),
            ("400 Parameter verification failed.\ntags: no\n\nqm set <vmid> [OPTIONS]", FaultKind::Refused, ""),
        ] {
            let argv = ["qm", "clone", "1", "2", "--storage", "fast"].map(ToOwned::to_owned);
            let command = Command::change(argv.into(), std::time::Duration::ZERO);
            let output = Output { status: 255, stdout: Vec::new(), stderr: stderr.to_owned() };
            let told = fault(&command, &output);
            assert_eq!(told.kind, kind, "{stderr}");
            assert!(!told.what.contains("[OPTIONS]"), "{}", told.what);
            assert!(told.hint.unwrap_or_default().contains(hint), "{stderr}");
        }
    }
}
