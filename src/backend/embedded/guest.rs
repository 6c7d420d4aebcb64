//! Guests, simulated: an agent that answers once the VM is up, and a handful of programs (see [`super::programs`]).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;

use super::Embedded;
use super::files::{self, Deadline};
use super::power::now_ms;
use super::programs::address;
use super::rehearse::{self, Call};
use crate::hypervisor::{Fault, FaultKind, GuestAddress, GuestStatus, Guests};
use crate::model::VmId;
use crate::observed::{Conf, Net, PropertyString};

/// What this process remembers of the programs of guests.
#[derive(Debug, Default)]
pub(super) struct Programs {
    /// Scripts already given to `bash -n`: content digest → what it found wrong.
    pub(super) checked: Mutex<BTreeMap<String, Option<String>>>,
}

/// A VM whose agent answers.
pub(super) struct Up {
    /// Milliseconds since its start.
    pub(super) uptime_ms: u64,
}

impl Embedded {
    /// Whether the agent of a VM answers, with Proxmox's words if not.
    pub(super) fn agent(&self, vm: VmId) -> Result<Up, Fault> {
        let down = |what: String| Err(Fault::harmless(FaultKind::AgentDown, what));
        let text = self.existing(vm)?;
        // What counts is the configuration the VM was started with: a switch that waits does not cut the agent off.
        let conf = Conf::parse(&text);
        let agent = PropertyString::parse(conf.get("agent").unwrap_or_default());
        let enabled = agent.get("enabled").or(agent.get("")).unwrap_or("0");
        if !["1", "on", "yes", "true"].contains(&enabled.to_ascii_lowercase().as_str()) {
            return Err(Fault::harmless(FaultKind::Refused, "No QEMU guest agent configured"));
        }
        let Some(started) = self.started_at(vm)? else { return down(format!("VM {vm} is not running")) };
        let uptime_ms = now_ms().saturating_sub(started);
        if uptime_ms < self.settings.agent_delay_ms {
            return down("QEMU guest agent is not running".to_owned());
        }
        Ok(Up { uptime_ms })
    }

    /// What lies on the guest's own disk goes with the copy of the disk.
    pub(super) fn copy_guest(&self, source: VmId, target: VmId) -> Result<(), Fault> {
        let (from, to) = (self.guest_dir(source), self.guest_dir(target));
        for dir in ["", "runs"] {
            for name in files::names(&from.join(dir))?.iter().filter(|name| *name != "runs") {
                files::make_dir(&to.join(dir))?;
                let content = files::read(&from.join(dir).join(name))?.unwrap_or_default();
                let temporary = self.dir.join(format!("tmp/guest-{target}"));
                files::replace(&to.join(dir).join(name), &temporary, &content)?;
            }
        }
        Ok(())
    }

    fn call(&self, op: &'static str, vm: VmId, program: &str) -> Result<rehearse::Rehearsal, Fault> {
        let call = Call { op, vms: vec![vm.get()], program: program.to_owned() };
        let rehearsal = rehearse::take(&self.dir, &call)?;
        rehearsal.before(true, Deadline::NONE)?;
        Deadline::NONE.pass(self.settings.latency())?;
        Ok(rehearsal)
    }
}

impl Guests for Embedded {
    fn ping(&self, vm: VmId) -> Result<(), Fault> {
        let rehearsal = self.call("ping", vm, "")?;
        rehearsal.after(self.agent(vm).map(drop))
    }

    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault> {
        let rehearsal = self.call("guest-addresses", vm, "")?;
        let addresses = self.agent(vm).and_then(|_| {
            let text = self.existing(vm)?;
            let conf = Conf::parse(&text);
            let mac = conf.get("net0").and_then(Net::parse).and_then(|net| net.mac);
            let own = mac.map(|mac| GuestAddress { mac: mac.to_ascii_lowercase(), address: address(vm, &conf) });
            let loopback = GuestAddress { mac: "00:00:00:00:00:00".to_owned(), address: IpAddr::from([127, 0, 0, 1]) };
            Ok(std::iter::once(loopback).chain(own).collect())
        });
        rehearsal.after(addresses)
    }

    fn start(&self, vm: VmId, argv: &[String]) -> Result<u64, Fault> {
        let rehearsal = self.call("guest-start", vm, super::programs::name(argv))?;
        let started = self.agent(vm).and_then(|up| {
            rehearsal.halfway()?;
            let exit = self.run(vm, &up, argv)?;
            self.note_process(vm, &exit)
        });
        rehearsal.after(started)
    }

    fn status(&self, vm: VmId, pid: u64) -> Result<GuestStatus, Fault> {
        let rehearsal = self.call("guest-status", vm, "")?;
        let status = self.agent(vm).and_then(|_| {
            let gone = || Fault::harmless(FaultKind::Garbled, "Agent error: Invalid parameter 'pid'");
            self.take_process(vm, pid)?.ok_or_else(gone)
        });
        rehearsal.after(status)
    }
}
