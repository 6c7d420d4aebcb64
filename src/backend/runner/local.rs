//! Programs on this machine.

use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Command, LOCALE, Output, Runner};
use crate::hypervisor::{Effect, Fault, FaultKind};

/// How long a stream that its child left open must be quiet to count as ended.
const QUIET: Duration = Duration::from_secs(1);

/// How long whoever a child left behind may go on printing.
const LEFT_BEHIND: Duration = Duration::from_secs(10);

/// How long a program that only looks may take to end after it was told to.
const MERCY: Duration = Duration::from_secs(3);

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
            Fault::harmless(FaultKind::Denied, format!("`{program}` may not be run")).hint("run phoenix as root")
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
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let (ended, end) = channel();
    let id = child.id();
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
            let mut fault = lost(command, &format!("no end within {seconds} s"));
            fault.kind = FaultKind::TimedOut;
            return Err(fault);
        }
        Err(RecvTimeoutError::Disconnected) => return Err(lost(command, "its end was lost")),
    };
    drop(let_go);
    let stdout = printed(&stdout);
    let stderr = printed(&stderr);
    Ok(Output { status: code(status), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
}

fn lost(command: &Command, why: &str) -> Fault {
    let effect = if command.changes { Effect::Maybe } else { Effect::None };
    Fault { kind: FaultKind::Unreachable, effect, what: format!("`{}`: {why}", command.words()), hint: None }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Reads a stream to its end, piece by piece.
fn collect(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (piece, pieces) = channel();
    thread::spawn(move || {
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; 1 << 16];
        // What was printed before an error is kept. Nobody listens any more once the deadline has passed.
        loop {
            match stream.read(&mut buffer) {
                Ok(read @ 1..) if piece.send(buffer[..read].to_vec()).is_ok() => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
    });
    pieces
}

/// What a child that has ended printed. Somebody it left behind may hold the stream open (the master of a shared
/// connection does with older versions of ssh): a stream that is quiet has told everything.
fn printed(pieces: &Receiver<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let end = Instant::now() + LEFT_BEHIND;
    while Instant::now() < end
        && let Ok(piece) = pieces.recv_timeout(QUIET)
    {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// Sends a signal to a child and everything it started that did not leave its group.
fn signal_group(signal: &str, id: u32) {
    let group = format!("-{id}");
    // One that is gone already needs no ending. One that changes something and ignores the signal goes on: the fault
    // says that its end is not known.
    let _ = Process::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
}
