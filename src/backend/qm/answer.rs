//! What Proxmox' programs mean by their output.

use super::super::runner::{Command, Output};
use crate::hypervisor::{Effect, Fault, FaultKind};
use crate::model::{excerpt, line};

/// Words for a value that a running VM refused to take over.
const HOTPLUG: &str = "hotplug problem";

/// What stands above the parameters that are refused.
const PARAMETERS: &str = "Parameter verification failed";

/// Words with which values are refused; the last is of phoenix's own scripts.
const REFUSALS: [&str; 17] = [
    PARAMETERS,
    "unable to parse",
    "not allowed",
    "already exists",
    "no options",
    "shrinking disks is not supported",
    "is reached through a symbolic link",
    "protection mode enabled",
    "is running - destroy failed",
    "is still in use by linked clone",
    "you can't move",
    "you can't convert",
    "because VM contains snapshots",
    "does not support template/clone",
    "already used",
    "snapshot feature is not available",
    "does not support vm images",
];

/// What a shell says of programs that somebody else ended: by SIGHUP, SIGKILL, SIGTERM.
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
        // Whatever it said, it did not come to its end.
        let effect = if command.changes { Effect::Maybe } else { Effect::None };
        let what = format!("`{}` was killed on the node", command.words());
        return Fault { effect, ..Fault::harmless(FaultKind::Unreachable, what) };
    }
    let said = said(output);
    if output.status == NOT_FOUND && NO_PROGRAM.iter().any(|word| said.contains(word)) {
        return no_program(format!("`{}` cannot be run on the node: {said}", command.words()));
    }
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let (kind, effect) = if has(&["checksum mismatch"]) {
        (FaultKind::Stale, Effect::None)
    } else if has(&[HOTPLUG]) {
        // Refused, and yet kept as a pending change, whatever QEMU said about it, `got timeout` among it.
        (FaultKind::Hotplug, Effect::Maybe)
    } else if has(&["qga socket", "qga command '", "qmp command 'guest-"]) {
        // QEMU is there, and nobody at the other end of the agent's channel.
        (FaultKind::AgentDown, Effect::None)
    } else if has(&["VM quit/powerdown failed"]) {
        // With or without `- got timeout`: the guest did not end, which no second try makes better.
        (FaultKind::Failed, Effect::Maybe)
    } else if has(&["can't lock file", "got timeout", "got lock request timeout", "VM is locked"]) {
        (FaultKind::Busy, Effect::None)
    } else if has(&["QEMU guest agent is not running", "is not running"]) {
        (FaultKind::AgentDown, Effect::None)
    } else if has(&["Agent error"]) {
        (FaultKind::Garbled, Effect::Maybe)
    } else if has(&["Permission check failed", "permission denied", "Permission denied", "please run as root", "sudo:"])
    {
        (FaultKind::Denied, Effect::None)
    } else if has(&REFUSALS) {
        (FaultKind::Refused, Effect::None)
    } else if has(&["bridge '"]) {
        // Found out when the VM starts, which takes over what waits first.
        (FaultKind::Failed, Effect::Maybe)
    } else if has(&["does not exist", "unable to find configuration file"]) {
        (FaultKind::Missing, Effect::None)
    } else {
        (FaultKind::Failed, Effect::Maybe)
    };
    let effect = if command.changes { effect } else { Effect::None };
    let (options, hint) = (options(kind, &said), hint(command, kind, &said));
    Fault { kind, effect, options, what: format!("`{}`: {said}", command.words()), hint }
}

/// The options that a refusal is about: `net0: hotplug problem - …`, and `tags: invalid format` below the head of refused
/// parameters.
fn options(kind: FaultKind, said: &str) -> Vec<String> {
    let name = |line: &str| {
        let (name, why) = line.split_once(": ")?;
        let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        (is_name && (kind != FaultKind::Hotplug || why.starts_with(HOTPLUG))).then(|| name.to_owned())
    };
    match kind {
        FaultKind::Hotplug => said.lines().filter_map(name).collect(),
        FaultKind::Refused => said.lines().skip_while(|line| !line.contains(PARAMETERS)).filter_map(name).collect(),
        _ => Vec::new(),
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

/// The way out, where the text tells it.
fn hint(command: &Command, kind: FaultKind, said: &str) -> Option<String> {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if let Some((_, right)) = said.split_once("Permission check failed (") {
        let right = right.split(')').next().unwrap_or_default();
        return Some(match right.split_once(", ") {
            Some((path, right)) => format!("the account lacks the right {right} on {path}: give it a role that has it"),
            None => format!("the account lacks a right: {right}"),
        });
    }
    if kind == FaultKind::Denied {
        return Some("phoenix needs root on the node, or passwordless sudo".to_owned());
    }
    if has(&["VM quit/powerdown failed"]) {
        return Some(
            "its guest does not shut down: look at its console; `--force-stop` stops it all the same".to_owned(),
        );
    }
    let storage = storage(command, said).map_or_else(|| "the storage".to_owned(), |name| format!("storage `{name}`"));
    if has(&[
        "No space left",
        "no space left",
        "out of space",
        "insufficient free space",
        "Insufficient free space",
        "reached threshold",
        "Disk quota exceeded",
    ]) {
        Some(format!("free space on {storage}, or name another one in `boot_disk_storage`"))
    } else if has(&[
        "is not online",
        "not available on node",
        "is disabled",
        "not activate storage",
        "activate storage",
        "is not mounted",
        "zfs error: cannot open",
    ]) {
        Some(format!("{storage} is not active on the node: `pvesm status` tells; mount or enable it, then apply again"))
    } else if has(&["storage '"]) && kind == FaultKind::Missing {
        Some(format!("{storage} is not in the node's storage.cfg: `pvesm status` lists what is"))
    } else {
        None
    }
}

/// The storage that an output is about: the one it names, else the one that was asked for.
fn storage<'a>(command: &'a Command, said: &'a str) -> Option<&'a str> {
    let named = said.split_once("storage '").and_then(|(_, rest)| Some(rest.split_once('\'')?.0));
    let at = command.argv.iter().position(|word| word == "--storage");
    named.or_else(|| command.argv.get(at? + 1).map(String::as_str))
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
    fn texts_tell_the_kind() {
        for (stderr, kind) in [
            ("checksum mismatch (file change by other user?)", FaultKind::Stale),
            ("can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout", FaultKind::Busy),
            ("VM is locked (backup)", FaultKind::Busy),
            ("QEMU guest agent is not running", FaultKind::AgentDown),
            ("VM 101 is not running", FaultKind::AgentDown),
            ("VM 101 qmp command 'guest-ping' failed - got timeout", FaultKind::AgentDown),
            ("VM 101 qmp command 'query-status' failed - got timeout", FaultKind::Busy),
            ("VM 101 qga command 'guest-exec' failed - got timeout", FaultKind::AgentDown),
            ("VM quit/powerdown failed - got timeout", FaultKind::Failed),
            ("No QEMU guest agent configured", FaultKind::Failed),
            ("Agent error: Invalid parameter 'pid'", FaultKind::Garbled),
            ("Configuration file 'nodes/vm/qemu-server/777.conf' does not exist", FaultKind::Missing),
            ("storage 'nosuch' does not exist", FaultKind::Missing),
            ("bridge 'vmbr9' does not exist", FaultKind::Failed),
            ("shrinking disks is not supported", FaultKind::Refused),
            ("unable to create VM 101: config file already exists", FaultKind::Refused),
            ("400 Parameter verification failed.\ntags: invalid format\n\nqm set <vmid> [OPTIONS]", FaultKind::Refused),
        ] {
            let command = Command::change(vec!["qm".to_owned()], std::time::Duration::ZERO);
            let output = Output { status: 255, stdout: Vec::new(), stderr: stderr.to_owned() };
            assert_eq!(fault(&command, &output).kind, kind, "{stderr}");
        }
    }

    #[test]
    fn texts_tell_the_options() {
        let hotplug = "400 Parameter verification failed.\nnet0: hotplug problem - VM 201 qmp command 'netdev_add' failed - got \
                       timeout\nscsi1: hotplug problem - no\ncores: an invalid value";
        for (stderr, kind, options) in [
            (hotplug, FaultKind::Hotplug, &["net0", "scsi1"][..]),
            (
                "400 Parameter verification failed.\ntags: invalid format\n\nqm set <vmid> [OPTIONS]",
                FaultKind::Refused,
                &["tags"],
            ),
            ("400 Parameter verification failed.\ncores: no\nmemory: no", FaultKind::Refused, &["cores", "memory"]),
            ("unable to parse value: x", FaultKind::Refused, &[]),
            ("error: no", FaultKind::Failed, &[]),
        ] {
            let command = Command::change(vec!["qm".to_owned()], std::time::Duration::ZERO);
            let output = Output { status: 255, stdout: Vec::new(), stderr: stderr.to_owned() };
            let told = fault(&command, &output);
            assert_eq!(
                (told.kind, &*told.options),
                (kind, &*options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>()),
                "{stderr}"
            );
        }
    }

    #[test]
    fn texts_tell_the_way_out() {
        for (stderr, hint) in [
            ("clone failed: No space left on device", "free space on storage `fast`"),
            ("lvcreate 'pve/vm-1' error: insufficient free space (1 extents): 2 required", "storage `fast`"),
            ("storage 'slow' is not online", "storage `slow` is not active"),
            ("storage 'slow' does not exist", "storage `slow` is not in the node's storage.cfg"),
            ("403 Permission check failed (/vms/1, VM.Clone)", "the right VM.Clone on /vms/1"),
            ("Permission check failed", "root on the node"),
            ("permission denied - you need root", "root on the node"),
        ] {
            let argv = ["qm", "clone", "1", "2", "--storage", "fast"].map(ToOwned::to_owned);
            let command = Command::change(argv.into(), std::time::Duration::ZERO);
            let output = Output { status: 255, stdout: Vec::new(), stderr: stderr.to_owned() };
            let told = fault(&command, &output).hint.unwrap_or_default();
            assert!(told.contains(hint), "{stderr}: {told}");
        }
    }
}
