//! The guest agent, through its own socket, or through `qm agent` and `qm guest exec` where that cannot be used.

use std::time::Duration;

use serde::Deserialize;

use super::super::agent::{self, Interface, addresses, explained};
use super::super::runner::Command;
use super::Qm;
use crate::hypervisor::{Fault, FaultKind, GuestAddress, GuestExit, GuestStatus, Guests};
use crate::model::VmId;

/// How long one call of the agent may take: `qm` itself waits some seconds for an agent that does not answer.
const CALL: Duration = Duration::from_mins(1);

/// How many bytes `qm guest exec --pass-stdin` hands on: 70,000 were seen to arrive (recorded).
const INPUT: usize = 60_000;

#[derive(Deserialize)]
struct Started {
    pid: u64,
}

#[derive(Deserialize)]
struct Status {
    exited: u8,
    exitcode: Option<i32>,
    #[serde(default, rename = "out-data")]
    out: String,
    #[serde(default, rename = "err-data")]
    err: String,
}

impl Guests for Qm {
    fn ping(&self, vm: VmId) -> Result<(), Fault> {
        self.ask(vm, agent::ping, || {
            let argv = ["qm", "agent", &vm.to_string(), "ping"].map(ToOwned::to_owned);
            self.run(&Command::look(argv.into(), CALL)).map(|_| ()).map_err(explained)
        })
    }

    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault> {
        self.ask(vm, agent::ask_addresses, || {
            let argv = ["qm", "agent", &vm.to_string(), "network-get-interfaces"].map(ToOwned::to_owned);
            let output = self.run(&Command::look(argv.into(), CALL)).map_err(explained)?;
            let interfaces: Vec<Interface> = parse(&output.stdout)?;
            Ok(addresses(interfaces))
        })
    }

    fn start(&self, vm: VmId, argv: &[String], input: &[u8]) -> Result<u64, Fault> {
        // A character above U+00FF in an argument hangs the agent behind `qm` (recorded): it must never get there.
        if let Some(word) = argv.iter().find(|word| !word.is_ascii()) {
            let what = format!("`{word}` cannot be handed to the guest agent: it is not ASCII");
            return Err(Fault::harmless(FaultKind::Refused, what));
        }
        self.ask(
            vm,
            |socket| agent::exec(socket, argv, input),
            || {
                let argv = super::command::guest_exec(vm, argv, !input.is_empty());
                let command = Command { stdin: input.to_vec(), ..Command::change(argv, CALL) };
                let output = self.run(&command).map_err(explained)?;
                let started: Started = parse(&output.stdout)?;
                Ok(started.pid)
            },
        )
    }

    fn input_limit(&self) -> usize {
        INPUT
    }

    fn status(&self, vm: VmId, pid: u64) -> Result<GuestStatus, Fault> {
        self.ask(
            vm,
            |socket| agent::exec_status(socket, pid),
            || {
                let argv = ["qm", "guest", "exec-status", &vm.to_string(), &pid.to_string()].map(ToOwned::to_owned);
                // An answer about an ended program is given once: a lost one is gone.
                let output = self.run(&Command::change(argv.into(), CALL)).map_err(explained)?;
                let status: Status = parse(&output.stdout)?;
                if status.exited == 0 {
                    return Ok(GuestStatus::Running);
                }
                let (out, err) = (decoded(&status.out), decoded(&status.err));
                Ok(GuestStatus::Ended(GuestExit { code: status.exitcode, out, err }))
            },
        )
    }
}

fn parse<T: serde::de::DeserializeOwned>(stdout: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(stdout)
        .map_err(|why| Fault::uncertain(FaultKind::Garbled, format!("the guest agent's answer makes no sense: {why}")))
}

/// The agent hands on bytes as Latin-1 characters (recorded): turns them into the UTF-8 they were.
fn decoded(text: &str) -> String {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    match bytes {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        // It was no Latin-1: a newer Proxmox may have decoded it already.
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn text_of_the_agent_is_put_right() {
        assert_eq!(decoded("plain"), "plain");
        let mojibake: String = "ümlaut ✓".bytes().map(char::from).collect();
        assert_eq!(decoded(&mojibake), "ümlaut ✓");
        assert_eq!(decoded("✓"), "✓");
    }
}
