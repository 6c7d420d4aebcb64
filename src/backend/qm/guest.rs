//! The guest agent, through its own socket, or through `qm agent` and `qm guest exec` where that cannot be used. That
//! of a guest on another node is reached through `pvesh`.

use std::time::Duration;

use super::super::agent::{self, explained};
use super::super::proxmox::agent as told;
use super::super::proxmox::call::{Call, cpus, exec, exec_status, interfaces, memory_block_size, memory_blocks, ping};
use super::super::runner::Command;
use super::Qm;
use super::command::{command, guest_exec};
use crate::hypervisor::{Fault, FaultKind, GuestAddress, GuestStatus, Guests, Plugged};
use crate::model::VmId;

/// How long one call of the agent may take: `qm` itself waits some seconds for an agent that does not answer.
const CALL: Duration = Duration::from_mins(1);

/// How many bytes `qm guest exec --pass-stdin` hands on: 70,000 were seen to arrive (recorded).
const INPUT: usize = 60_000;

impl Guests for Qm {
    fn ping(&self, vm: VmId) -> Result<(), Fault> {
        self.ask(vm, agent::ping, || {
            self.run(&Command::look(command(&ping(&self.seen.place(vm), vm)), CALL)).map(|_| ()).map_err(explained)
        })
    }

    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault> {
        self.ask(vm, agent::ask_addresses, || {
            let ask = interfaces(&self.seen.place(vm), vm);
            let output = self.run(&Command::look(command(&ask), CALL)).map_err(explained)?;
            told::addresses(&told::inner(output.stdout))
        })
    }

    fn online(&self, vm: VmId, what: Plugged) -> Result<u64, Fault> {
        let look = |call: Call| {
            let output = self.run(&Command::look(command(&call), CALL)).map_err(explained)?;
            Ok::<_, Fault>(told::inner(output.stdout))
        };
        self.ask(
            vm,
            |socket| agent::ask_online(socket, what),
            || {
                let place = self.seen.place(vm);
                match what {
                    Plugged::Cpus => told::cpus(&look(cpus(&place, vm))?),
                    Plugged::Memory => {
                        let blocks = look(memory_blocks(&place, vm))?;
                        told::memory(&blocks, &look(memory_block_size(&place, vm))?)
                    }
                }
            },
        )
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
                let command = if let Some(node) = self.seen.node(vm) {
                    let input = std::str::from_utf8(input).ok().filter(|input| input.is_ascii());
                    let Some(input) = input.filter(|input| !input.contains('\0')) else {
                        let what = "what a program of a guest on another node reads has to be ASCII";
                        return Err(Fault::harmless(FaultKind::Refused, what));
                    };
                    Command::change(command(&exec(&node, vm, argv, input)), CALL)
                } else {
                    let argv = guest_exec(vm, argv, !input.is_empty());
                    Command { stdin: input.to_vec(), ..Command::change(argv, CALL) }
                };
                let output = self.run(&command).map_err(explained)?;
                told::started(&output.stdout)
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
                // An answer about an ended program is given once: a lost one is gone.
                let ask = Command::change(command(&exec_status(&self.seen.place(vm), vm, pid)), CALL);
                told::status(&self.run(&ask).map_err(explained)?.stdout)
            },
        )
    }
}
