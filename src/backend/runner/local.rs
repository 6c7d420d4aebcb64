//! Programs on this machine.

use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Command, LOCALE, Output, Runner};
use crate::hypervisor::{Effect, Fault, FaultKind};

/// How long a stream that its child left open must be quiet to count as ended.
const QUIET: Duration = Duration::from_secs(1);

/// How long a process that a child left behind may go on printing.
const LEFT_BEHIND: Duration = Duration::from_secs(10);

/// How long a program that only looks may take to end after it was told to.
const MERCY: Duration = Duration::from_secs(3);

/// Most bytes of standard output; more is an error.
const MOST_SAID: usize = 64 << 20;

/// Most bytes of standard error; the rest is left out.
const MOST_COMPLAINED: usize = 1 << 20;

/// Runs programs as children of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Local;

impl Runner for Local {
    fn run(&self, command: &Command) -> Result<Output, Fault> {
        run(command)
    }

    fn place(&self) -> String {
        "this node".to_owned()
    }
}

/// Runs a program in a process group of its own, so that Ctrl-C on the terminal does not reach it.
pub(super) fn run(command: &Command) -> Result<Output, Fault> {
    let Some((program, arguments)) = command.argv.split_first() else {
        return Err(Fault::harmless(FaultKind::Garbled, "no program to run"));
    };
    let child = Process::new(program)
        .env("LC_ALL", LOCALE)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| not_started(program, &error))?;
    wait(child, command)
}

fn not_started(program: &str, error: &std::io::Error) -> Fault {
    match error.kind() {
        ErrorKind::NotFound => Fault::harmless(FaultKind::Missing, format!("there is no program `{program}`"))
            .hint("is this a Proxmox VE node, and is /usr/sbin in PATH?"),
        ErrorKind::PermissionDenied => {
            Fault::harmless(FaultKind::Denied, format!("`{program}` cannot be run: permission denied"))
                .hint("run phoenix as root")
        }
        _ => Fault::harmless(FaultKind::Failed, format!("`{program}` cannot be started: {error}")),
    }
}

/// Feeds the child, collects what it prints, and ends it at the deadline.
fn wait(mut child: Child, command: &Command) -> Result<Output, Fault> {
    let input = child.stdin.take();
    let text = command.stdin.clone();
    let (let_go, held) = channel::<()>();
    let attended = command.attended;
    // A child that does not read everything ends as it likes; its status tells.
    thread::spawn(move || {
        let _ = input.as_ref().map(|mut input| input.write_all(&text));
        if attended {
            // Nothing is ever sent: this ends when `let_go` goes out of scope.
            let _ = held.recv();
        }
    });
    let id = child.id();
    // One that changes something is let end, and its words are thrown away; one that only looks is of no more use.
    let changes = command.changes;
    let end_it = move || {
        if !changes {
            signal_group("-TERM", id);
        }
    };
    let stdout = collect(child.stdout.take(), MOST_SAID, end_it);
    let stderr = collect(child.stderr.take(), MOST_COMPLAINED, || ());
    let (ended, end) = channel();
    // The child is waited for in a thread of its own, since std cannot wait with a deadline.
    thread::spawn(move || {
        let _ = ended.send(child.wait());
    });
    let status = match end.recv_timeout(command.deadline) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => return Err(lost(command, &error.to_string())),
        Err(RecvTimeoutError::Timeout) => {
            signal_group("-TERM", id);
            if !command.changes {
                thread::spawn(move || {
                    if end.recv_timeout(MERCY).is_err() {
                        signal_group("-KILL", id);
                    }
                });
            }
            let seconds = command.deadline.as_secs();
            let mut fault = lost(command, &format!("it did not end within {seconds} s"));
            fault.kind = FaultKind::TimedOut;
            return Err(fault);
        }
        Err(RecvTimeoutError::Disconnected) => return Err(lost(command, "how it ended is not known")),
    };
    drop(let_go);
    let (stdout, too_much) = printed(&stdout);
    if too_much {
        let mut fault = lost(command, &format!("it said more than {} MiB", MOST_SAID >> 20));
        fault.kind = FaultKind::Garbled;
        return Err(fault);
    }
    let (stderr, _) = printed(&stderr);
    Ok(Output { status: code(status), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
}

fn lost(command: &Command, why: &str) -> Fault {
    let effect = if command.changes { Effect::Maybe } else { Effect::None };
    Fault { effect, ..Fault::harmless(FaultKind::Unreachable, format!("`{}`: {why}", command.words())) }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// What is read of a stream, piece by piece; an empty piece says that there was more than is kept.
struct Collected {
    pieces: Receiver<Vec<u8>>,
    /// Lives as long as what comes is of interest.
    _wanted: Arc<()>,
}

/// Reads a stream to its end, and keeps its first bytes; at the first one too many it calls `too_much`.
fn collect(
    stream: Option<impl Read + Send + 'static>,
    most: usize,
    too_much: impl FnOnce() + Send + 'static,
) -> Collected {
    let (piece, pieces) = channel();
    let wanted = Arc::new(());
    let still_wanted = Arc::downgrade(&wanted);
    thread::spawn(move || {
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; 1 << 16];
        let mut left = most;
        let mut too_much = Some(too_much);
        // What was printed before an error is kept. It is read on although nothing is kept: a child that cannot print
        // does not end. Nothing is wanted any more once the deadline has passed.
        while still_wanted.strong_count() > 0 {
            match stream.read(&mut buffer) {
                Ok(read @ 1..) => {
                    let kept = read.min(left);
                    left -= kept;
                    if kept > 0 && piece.send(buffer[..kept].to_vec()).is_err() {
                        break;
                    }
                    if kept < read
                        && let Some(too_much) = too_much.take()
                    {
                        let _ = piece.send(Vec::new());
                        too_much();
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
    });
    Collected { pieces, _wanted: wanted }
}

/// What a child that has ended printed, and whether that was too much. What it left behind may hold the stream open
/// (the master of a shared connection does with older versions of ssh): a stream that is quiet has told everything.
fn printed(collected: &Collected) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let end = Instant::now() + LEFT_BEHIND;
    while Instant::now() < end
        && let Ok(piece) = collected.pieces.recv_timeout(QUIET)
    {
        if piece.is_empty() {
            return (bytes, true);
        }
        bytes.extend_from_slice(&piece);
    }
    (bytes, false)
}

/// Sends a signal to a child and everything it started that did not leave its group.
fn signal_group(signal: &str, id: u32) {
    let group = format!("-{id}");
    // One that is gone already needs no ending. One that changes something and ignores the signal goes on: the fault
    // says that its end is not known.
    let _ = Process::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MOST_COMPLAINED, run};
    use crate::backend::runner::{Command, Output};
    use crate::hypervisor::{Effect, Fault, FaultKind};

    fn shell(script: &str, changes: bool) -> Result<Output, Fault> {
        let argv = ["/bin/sh", "-c", script, "phoenix-test"].map(ToOwned::to_owned).to_vec();
        run(&Command { changes, ..Command::look(argv, Duration::from_mins(2)) })
    }

    #[test]
    fn what_a_program_says_is_bounded() {
        let long = "head -c 70000000 /dev/zero; echo done >&2";
        for (script, changes, effect) in
            [(long, true, Effect::Maybe), (long, false, Effect::None), ("yes; true", false, Effect::None)]
        {
            let fault = shell(script, changes).unwrap_err();
            assert_eq!((fault.kind, fault.effect), (FaultKind::Garbled, effect), "{script}: {fault}");
            assert!(fault.what.contains("it said more than 64 MiB"), "{fault}");
        }
        let output = shell("echo begin >&2; head -c 3000000 /dev/zero >&2; echo fine", true).unwrap();
        assert_eq!((output.status, output.stdout.as_slice()), (0, &b"fine\n"[..]));
        assert_eq!(output.stderr.len(), MOST_COMPLAINED);
        assert!(output.stderr.starts_with("begin\n"));
    }
}
