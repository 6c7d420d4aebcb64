//! The guest agent, through its own socket, or through `qm agent` and `qm guest exec` where that cannot be used.

use std::time::Duration;

use super::super::agent::{self, explained};
use super::super::proxmox::agent as told;
use super::super::proxmox::call::{Call, cpus, exec_status, interfaces, memory_block_size, memory_blocks, ping};
use super::super::runner::Command;
use super::Qm;
use super::command::{HERE, command, guest_exec};
use crate::hypervisor::{Fault, FaultKind, GuestAddress, GuestStatus, Guests, Plugged};
use crate::model::VmId;

/// How long one call of the agent may take: `qm` itself waits some seconds for an agent that does not answer.
const CALL: Duration = Duration::from_mins(1);

/// How many bytes `qm guest exec --pass-stdin` hands on: 70,000 were seen to arrive (recorded).
const INPUT: usize = 60_000;

impl Guests for Qm {
    fn ping(&self, vm: VmId) -> Result<(), Fault> {
        self.ask(vm, agent::ping, || {
            self.run(&Command::look(command(&ping(HERE, vm)), CALL)).map(|_| ()).map_err(explained)
        })
    }

    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault> {
        self.ask(vm, agent::ask_addresses, || {
            let output = self.run(&Command::look(command(&interfaces(HERE, vm)), CALL)).map_err(explained)?;
            told::addresses(&output.stdout)
        })
    }

    fn online(&self, vm: VmId, what: Plugged) -> Result<u64, Fault> {
        let look = |call: Call| self.run(&Command::look(command(&call), CALL)).map_err(explained);
        self.ask(
            vm,
            |socket| agent::ask_online(socket, what),
            || match what {
                Plugged::Cpus => told::cpus(&look(cpus(HERE, vm))?.stdout),
                Plugged::Memory => {
                    let blocks = look(memory_blocks(HERE, vm))?.stdout;
                    told::memory(&blocks, &look(memory_block_size(HERE, vm))?.stdout)
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
                let argv = guest_exec(vm, argv, !input.is_empty());
                let command = Command { stdin: input.to_vec(), ..Command::change(argv, CALL) };
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
                let ask = Command::change(command(&exec_status(HERE, vm, pid)), CALL);
                told::status(&self.run(&ask).map_err(explained)?.stdout)
            },
        )
    }
}
