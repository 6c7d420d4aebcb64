//! What Proxmox' programs mean by their output.

use super::runner::{Command, Output};
use crate::hypervisor::{Effect, Fault, FaultKind};

/// What a shell says of programs that somebody else ended: by SIGHUP, SIGKILL, SIGTERM.
const KILLED: [i32; 3] = [129, 137, 143];

/// The fault behind an output that is no success.
///
/// Exit codes are not an API (255, 2, 25, 29 were recorded for refusals of all kinds): any but 0 is a failure, and the
/// text tells which.
pub(super) fn fault(command: &Command, output: &Output) -> Fault {
    if KILLED.contains(&output.status) {
        // Whatever it said, it did not come to its end.
        let effect = if command.changes { Effect::Maybe } else { Effect::None };
        let what = format!("`{}` was killed on the node", words(command));
        return Fault { kind: FaultKind::Unreachable, effect, what, hint: None };
    }
    let said = said(output);
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let (kind, effect) = if has(&["checksum mismatch"]) {
        (FaultKind::Stale, Effect::None)
    } else if has(&["can't lock file", "got timeout", "got lock request timeout"]) {
        (FaultKind::Busy, Effect::None)
    } else if has(&["VM is locked"]) {
        (FaultKind::Refused, Effect::None)
    } else if has(&["QEMU guest agent is not running", "is not running"]) {
        (FaultKind::AgentDown, Effect::None)
    } else if has(&["Agent error"]) {
        (FaultKind::Garbled, Effect::Maybe)
    } else if has(&["Permission check failed", "permission denied", "Permission denied", "please run as root", "sudo:"])
    {
        (FaultKind::Denied, Effect::None)
    } else if has(&["hotplug problem"]) {
        // Refused, and yet kept as a pending change.
        (FaultKind::Hotplug, Effect::Maybe)
    } else if has(&["Parameter verification failed", "unable to parse", "not allowed", "already exists", "no options"])
    {
        (FaultKind::Refused, Effect::None)
    } else if has(&["does not exist", "unable to find configuration file"]) {
        (FaultKind::Missing, Effect::None)
    } else {
        (FaultKind::Failed, Effect::Maybe)
    };
    let effect = if command.changes { effect } else { Effect::None };
    let hint = (kind == FaultKind::Denied).then(|| "phoenix needs root on the node, or passwordless sudo".to_owned());
    Fault { kind, effect, what: format!("`{}`: {said}", words(command)), hint }
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
        return format!("exit status {}: {}", output.status, last.trim());
    }
    lines.join("\n")
}

/// The command as far as it helps to name it: `qm disk resize 1000`.
pub(super) fn words(command: &Command) -> String {
    let plain = |word: &&String| !word.starts_with('-') && word.len() < 40 && !word.contains(['\n', ' ']);
    command.argv.iter().take_while(plain).take(4).cloned().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::fault;
    use crate::backend::qm::runner::{Command, Output};
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
    fn texts_tell_the_kind() {
        for (stderr, kind) in [
            ("checksum mismatch (file change by other user?)", FaultKind::Stale),
            ("can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout", FaultKind::Busy),
            ("VM is locked (backup)", FaultKind::Refused),
            ("QEMU guest agent is not running", FaultKind::AgentDown),
            ("VM 101 is not running", FaultKind::AgentDown),
            ("No QEMU guest agent configured", FaultKind::Failed),
            ("Agent error: Invalid parameter 'pid'", FaultKind::Garbled),
            ("Configuration file 'nodes/vm/qemu-server/777.conf' does not exist", FaultKind::Missing),
            ("storage 'nosuch' does not exist", FaultKind::Missing),
            ("unable to create VM 101: config file already exists", FaultKind::Refused),
            ("400 Parameter verification failed.\ntags: invalid format\n\nqm set <vmid> [OPTIONS]", FaultKind::Refused),
        ] {
            let command = Command::change(vec!["qm".to_owned()], std::time::Duration::ZERO);
            let output = Output { status: 255, stdout: Vec::new(), stderr: stderr.to_owned() };
            assert_eq!(fault(&command, &output).kind, kind, "{stderr}");
        }
    }
}
