//! Programs on this machine.

use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use super::{Command, Output, Runner};
use crate::hypervisor::{Effect, Fault, FaultKind};

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
    let mut input = child.stdin.take();
    let text = command.stdin.clone();
    // A child that does not read everything ends as it likes; its status tells.
    let feeder = thread::spawn(move || input.take().map(|mut input| input.write_all(&text)));
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
            end_group(id);
            let seconds = command.deadline.as_secs();
            let mut fault = lost(command, &format!("no end within {seconds} s"));
            fault.kind = FaultKind::TimedOut;
            return Err(fault);
        }
        Err(RecvTimeoutError::Disconnected) => return Err(lost(command, "its end was lost")),
    };
    drop(feeder);
    let stderr = stderr.join().unwrap_or_default();
    Ok(Output {
        status: code(status),
        stdout: stdout.join().unwrap_or_default(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

fn lost(command: &Command, why: &str) -> Fault {
    let effect = if command.changes { Effect::Maybe } else { Effect::None };
    Fault { kind: FaultKind::Unreachable, effect, what: format!("`{}`: {why}", command.name()), hint: None }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn collect(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What was printed before an error is kept.
            let _ = stream.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Ends a child and everything it started.
fn end_group(id: u32) {
    let group = format!("-{id}");
    // One that is gone already needs no ending, and one that ignores the signal goes on: the fault says that its end is
    // not known.
    let _ = Process::new("kill").args(["-TERM", "--", &group]).stderr(Stdio::null()).status();
}
