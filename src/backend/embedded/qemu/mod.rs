//! Real guests: each VM that runs is a QEMU of its own, which goes on when phoenix has ended.
//!
//! `qemu/VMID/` belongs to a machine:
//!
//! | file | what it is |
//! |---|---|
//! | `log` | what QEMU printed. Its process holds a lock on this file for as long as it lives: that, and nothing else, says whether a VM runs. No pid can be mistaken for another, and no file outlives its process |
//! | `started.json` | how it was started last: [`Started`] |
//! | `pid` | QEMU's own note of its process |
//! | `qmp`, `agent`, `console` | sockets: QEMU's monitor, the guest agent, the serial console; beside them the locks by which ours take turns |
//! | `console.log` | everything the guest wrote to its serial console since its start |
//! | `seed` | the drive with cloud-init's data, made anew at each start |
//!
//! QEMU is started in this directory and knows its files by relative paths, so a node can be moved while its guests
//! run.

mod accelerator;
mod agent;
mod channel;
#[cfg(test)]
mod double;
mod machine;
mod network;
mod process;
mod program;
mod qmp;
mod seed;
mod start;

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::agent as agent_says;
use super::files::{self, Deadline, Lock};
use super::guest_kind::Accelerator;
use super::machines::Machines;
use super::options::agent_is_on;
use super::{Embedded, GuestKind};
use crate::hypervisor::{Fault, FaultKind, GuestAddress, GuestStatus, Plugged};
use crate::model::VmId;
use crate::observed::Conf;
use agent::Agent;
use qmp::Qmp;

/// File that a living QEMU holds locked.
const LOG: &str = "log";

/// How long a QEMU may take to end when it was told to.
const ENDING: Duration = Duration::from_secs(15);

/// How often the guest is asked again to shut down: one that is still booting does not hear it.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Longest wait for a guest to shut down where the caller does not say how long.
const SHUTDOWN: Duration = Duration::from_mins(3);

/// How long it may take until the console is free.
const LOOK: Duration = Duration::from_secs(1);

const PAUSE: Duration = Duration::from_millis(50);

/// How a machine was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Port of this machine's loopback interface that leads to the guest's ssh.
    pub ssh_port: u16,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// uuid of the VM, by which its process is known.
    uuid: String,
}

/// A machine that runs, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// How it was started.
    pub started: Started,
    /// QEMU's process, where it can be told.
    pub pid: Option<u32>,
    /// Memory that the process takes on this machine now, in MiB.
    pub resident_mb: Option<u64>,
    /// Why it does not run on although its QEMU lives.
    pub halted: Option<String>,
    /// File with what the guest wrote to its console.
    pub console_log: PathBuf,
}

/// A serial console that a person is attached to; no other process of ours is meanwhile.
#[derive(Debug)]
pub struct Console {
    /// What is typed and what is shown.
    pub stream: UnixStream,
    _turn: Lock,
}

/// The QEMU guests of a node.
pub(super) struct Qemu<'n> {
    node: &'n Embedded,
}

impl Embedded {
    /// The node's QEMU guests.
    pub(super) fn qemu(&self) -> Qemu<'_> {
        Qemu { node: self }
    }
}

impl Qemu<'_> {
    fn all(&self) -> PathBuf {
        self.node.dir.join("qemu")
    }

    fn dir(&self, vm: VmId) -> PathBuf {
        self.all().join(vm.to_string())
    }

    /// Whether the machine's QEMU lives.
    fn lives(&self, vm: VmId) -> bool {
        files::is_locked(&self.dir(vm).join(LOG))
    }

    /// Whether guests are emulated, as far as it is known yet. Starts nothing.
    pub(super) fn is_emulated(&self) -> bool {
        match self.node.settings.accelerator {
            Accelerator::Kvm => false,
            Accelerator::Tcg => true,
            Accelerator::Auto => accelerator::known(&self.all()).is_some_and(|found| found.why_not.is_some()),
        }
    }

    /// Finds out how guests will be run: `kvm` or `tcg`, and why not by KVM where that was to be found out.
    pub(super) fn accelerator(&self) -> Result<(&'static str, Option<String>), Fault> {
        Ok(match self.node.settings.accelerator {
            Accelerator::Kvm => ("kvm", None),
            Accelerator::Tcg => ("tcg", None),
            Accelerator::Auto => match accelerator::find_out(&self.all())?.why_not {
                None => ("kvm", None),
                why_not => ("tcg", why_not),
            },
        })
    }

    /// A machine that runs; `None`: it does not.
    pub(super) fn show(&self, vm: VmId) -> Result<Option<Running>, Fault> {
        if !self.lives(vm) {
            return Ok(None);
        }
        let started = self.started(vm)?;
        let pid = process::pid(&self.dir(vm), &started.uuid);
        Ok(Some(Running {
            started,
            pid,
            resident_mb: pid.and_then(process::resident_mb),
            halted: self.running_monitor(vm).err().map(|fault| fault.what),
            console_log: self.console_log(vm),
        }))
    }

    /// File with what a guest wrote to its console since its start.
    pub(super) fn console_log(&self, vm: VmId) -> PathBuf {
        self.dir(vm).join(machine::CONSOLE_LOG)
    }

    /// The monitor of a machine that runs on; one that is halted is a fault.
    fn running_monitor(&self, vm: VmId) -> Result<Qmp, Fault> {
        let mut monitor = self.monitor(vm)?;
        match halted(vm, &monitor.status()?) {
            Some(fault) => Err(fault),
            None => Ok(monitor),
        }
    }

    /// Port of this machine's loopback interface that leads to the ssh of a running guest.
    pub(super) fn ssh_port(&self, vm: VmId) -> Result<u16, Fault> {
        Ok(self.started(vm)?.ssh_port)
    }

    /// How the machine was started last.
    fn started(&self, vm: VmId) -> Result<Started, Fault> {
        let path = self.dir(vm).join("started.json");
        let text = files::read(&path)?.unwrap_or_default();
        serde_json::from_str(&text)
            .map_err(|error| Fault::harmless(FaultKind::Garbled, format!("{}: {error}", path.display())))
    }

    fn monitor(&self, vm: VmId) -> Result<Qmp, Fault> {
        let gone = || Fault::harmless(FaultKind::Unreachable, format!("the monitor of VM {vm} is not there"));
        Qmp::connect(&self.dir(vm), qmp::TIME)?.ok_or_else(gone)
    }

    /// The agent of a guest, once the guest has opened its port; with Proxmox's words if not.
    fn agent(&self, vm: VmId) -> Result<Agent, Fault> {
        let down = |what: String| Err(Fault::harmless(FaultKind::AgentDown, what));
        self.node.has_agent(vm)?;
        if !self.lives(vm) {
            return down(format!("VM {vm} is not running"));
        }
        let mut monitor = self.running_monitor(vm)?;
        if !monitor.is_open(agent::SOCKET)? {
            return down("QEMU guest agent is not running".to_owned());
        }
        drop(monitor);
        Agent::connect(&self.dir(vm))
    }

    /// Attaches to the serial console of a machine that runs.
    pub(super) fn console(&self, vm: VmId) -> Result<Console, Fault> {
        self.node.existing(vm)?;
        let dir = self.dir(vm);
        let off = || Fault::harmless(FaultKind::Refused, format!("VM {vm} is not running")).hint("start it first");
        if self.node.settings.guests == GuestKind::Simulated {
            return Err(Fault::harmless(
                FaultKind::Refused,
                "the guests of this node are simulated: they have no console",
            ));
        }
        if !self.lives(vm) {
            return Err(off());
        }
        let dialled = channel::dial(&dir, machine::CONSOLE, LOOK).map_err(|fault| match fault.kind {
            FaultKind::Busy => {
                Fault { what: format!("another terminal is attached to the console of VM {vm}"), ..fault }
            }
            _ => fault,
        })?;
        let (stream, turn) = dialled.ok_or_else(off)?;
        Ok(Console { stream, _turn: turn })
    }

    /// Waits until the machine's QEMU has ended.
    fn await_end(&self, vm: VmId, end: Instant) -> bool {
        while self.lives(vm) {
            if Instant::now() >= end {
                return false;
            }
            sleep(PAUSE);
        }
        true
    }

    /// Stops every machine of the node; for its end.
    pub(super) fn stop_all(&self) -> Result<usize, Fault> {
        let running = self.running()?;
        running.iter().try_for_each(|vm| self.stop(*vm, Deadline::NONE))?;
        Ok(running.len())
    }
}

/// What it means when a machine does not run on though its QEMU lives. `None`: it runs.
fn halted(vm: VmId, status: &str) -> Option<Fault> {
    let (kind, why, hint) = match status {
        "running" => return None,
        "io-error" => (
            FaultKind::Failed,
            "is halted: its disk cannot be written",
            "there may be no room where the node lies: make room, then `phoenix restart --force-stop` the VM",
        ),
        "internal-error" => (
            FaultKind::Failed,
            "is halted by an error of its virtual processor",
            "set `\"accelerator\": \"tcg\"` in the node's node.json, then `phoenix restart --force-stop` the VM",
        ),
        "guest-panicked" => (FaultKind::Failed, "is halted: its kernel has panicked", "look at its console"),
        "paused" | "suspended" | "shutdown" => {
            (FaultKind::AgentDown, "is halted", "another process or an administrator paused it")
        }
        // On its way: starting, being saved or restored.
        _ => (FaultKind::AgentDown, "does not run yet", "wait a moment"),
    };
    Some(Fault::harmless(kind, format!("VM {vm} {why} (QEMU says `{status}`)")).hint(hint))
}

impl Machines for Qemu<'_> {
    fn running(&self) -> Result<BTreeSet<VmId>, Fault> {
        Ok(self.node.vms_in("qemu")?.into_iter().filter(|vm| self.lives(*vm)).collect())
    }

    fn started_at(&self, vm: VmId) -> Result<Option<u64>, Fault> {
        if !self.lives(vm) {
            return Ok(None);
        }
        // A running VM runs, whatever became of the note about it.
        Ok(Some(self.started(vm).map_or(0, |started| started.at_ms)))
    }

    fn start(&self, vm: VmId, conf: &Conf<'_>, deadline: Deadline) -> Result<(), Fault> {
        self.launch(vm, conf, deadline)
    }

    fn shutdown(&self, vm: VmId, conf: &Conf<'_>, deadline: Deadline) -> Result<(), Fault> {
        let end = Instant::now() + deadline.left().unwrap_or(SHUTDOWN).min(SHUTDOWN);
        while Instant::now() < end {
            // One that is halted hears nothing, however long it is asked.
            if let Err(fault) = self.running_monitor(vm)
                && fault.kind == FaultKind::Failed
                && self.lives(vm)
            {
                return Err(fault);
            }
            // As Proxmox does: by the agent where there is one, else by the power button.
            let by_agent = agent_is_on(conf) && self.agent(vm).and_then(|mut agent| agent.power_off()).is_ok();
            if !by_agent {
                // A machine that has just ended answers nothing, which the look below sees.
                let _ = self.monitor(vm).and_then(|mut qmp| qmp.execute("system_powerdown", &json!({})));
            }
            if self.await_end(vm, end.min(Instant::now() + ASK_AGAIN)) {
                return Ok(());
            }
        }
        Err(Fault::uncertain(FaultKind::Failed, "VM quit/powerdown failed - got timeout"))
    }

    fn stop(&self, vm: VmId, _: Deadline) -> Result<(), Fault> {
        let told = self.monitor(vm).and_then(|mut qmp| qmp.execute("quit", &json!({})));
        if told.is_ok() && self.await_end(vm, Instant::now() + ENDING) {
            return Ok(());
        }
        if let Some(pid) = self.started(vm).ok().and_then(|started| process::pid(&self.dir(vm), &started.uuid)) {
            process::kill(pid)?;
        }
        if self.await_end(vm, Instant::now() + ENDING) {
            return Ok(());
        }
        let why = told.err().map_or(String::new(), |fault| format!(": {}", fault.what));
        let log = self.dir(vm).join(LOG);
        Err(Fault::uncertain(FaultKind::Failed, format!("the QEMU of VM {vm} does not end{why}"))
            .hint(format!("its process is the one that has {} open", log.display())))
    }

    fn plugs(&self) -> bool {
        false
    }

    fn grow(&self, vm: VmId, device: &str, bytes: u64) -> Result<(), Fault> {
        let order = json!({ "node-name": machine::node(device), "size": bytes });
        self.monitor(vm)?.execute("block_resize", &order).map(drop)
    }

    fn seed(&self, vm: VmId, conf: &Conf<'_>) -> Result<(), Fault> {
        let path = self.dir(vm).join(machine::SEED);
        // In place: a QEMU that runs has it open, and its guest reads it at its next boot.
        if path.exists() {
            std::fs::write(&path, seed::of(vm, conf, self.node.custom(conf)?)?).map_err(files::unwritten(&path))
        } else {
            Ok(())
        }
    }

    fn forget(&self, vm: VmId) -> Result<(), Fault> {
        files::remove(&self.dir(vm))
    }

    fn ping(&self, vm: VmId) -> Result<(), Fault> {
        agent_says::ping(&mut self.agent(vm)?)
    }

    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault> {
        agent_says::ask_addresses(&mut self.agent(vm)?)
    }

    fn online(&self, vm: VmId, what: Plugged) -> Result<u64, Fault> {
        agent_says::ask_online(&mut self.agent(vm)?, what)
    }

    fn exec(
        &self,
        vm: VmId,
        argv: &[String],
        input: &[u8],
        ready: &dyn Fn() -> Result<(), Fault>,
    ) -> Result<u64, Fault> {
        let mut agent = self.agent(vm)?;
        ready()?;
        agent_says::exec(&mut agent, argv, input)
    }

    fn exec_status(&self, vm: VmId, pid: u64) -> Result<GuestStatus, Fault> {
        agent_says::exec_status(&mut self.agent(vm)?, pid)
    }
}
