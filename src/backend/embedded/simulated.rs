//! Machines that are not there: a file says that one runs, and since when.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Embedded;
use super::clock::now_ms;
use super::files::{self, Deadline};
use super::machines::Machines;
use super::programs::Up;
use crate::hypervisor::{Fault, FaultKind, GuestAddress, GuestStatus, Plugged};
use crate::model::{MIB, VmId};
use crate::observed::{Conf, Net, PropertyString};

/// How much of it a running VM with this configuration has, in CPUs or MiB.
fn given(conf: &Conf<'_>, what: Plugged) -> u64 {
    let number = |option: &str, default: u64| {
        let value = PropertyString::parse(conf.get(option).unwrap_or_default());
        value.get("").or(value.get("current")).and_then(|number| number.parse().ok()).unwrap_or(default)
    };
    match what {
        Plugged::Cpus => number("vcpus", number("sockets", 1).saturating_mul(number("cores", 1))),
        Plugged::Memory => number("memory", 512),
    }
}

/// The fixed address that cloud-init gives a VM with this configuration when it boots.
fn fixed_address(conf: &Conf<'_>) -> Option<IpAddr> {
    let config = PropertyString::parse(conf.get("ipconfig0").unwrap_or_default());
    let fixed = |key: &str| config.get(key).and_then(|ip| ip.split('/').next()?.parse().ok());
    fixed("ip").or_else(|| fixed("ip6").filter(|_| config.get("ip").is_none()))
}

/// Whether cloud-init gives a VM with this configuration an address of IPv6 alone, which it makes up or asks for.
fn has_only_ip6(conf: &Conf<'_>) -> bool {
    let config = PropertyString::parse(conf.get("ipconfig0").unwrap_or_default());
    config.get("ip").is_none() && config.get("ip6").is_some()
}

/// The simulated machines of a node.
pub(super) struct Simulated<'n>(pub(super) &'n Embedded);

impl Simulated<'_> {
    fn agent(&self, vm: VmId) -> Result<Up, Fault> {
        let down = |what: String| Err(Fault::harmless(FaultKind::AgentDown, what));
        self.0.has_agent(vm)?;
        let Some(started) = self.started_at(vm)? else { return down(format!("VM {vm} is not running")) };
        let uptime_ms = now_ms().saturating_sub(started);
        if uptime_ms < self.0.settings.agent_delay_ms {
            return down("QEMU guest agent is not running".to_owned());
        }
        Ok(Up { uptime_ms })
    }
}

impl Embedded {
    /// The address that the simulated network gives a guest which asks.
    fn lease(&self, vm: VmId) -> IpAddr {
        let [_, a, b, c] = vm.get().to_be_bytes();
        let usual = IpAddr::from([198, 18 + (a & 1), b, c]);
        self.settings.leases.get(&vm.get()).copied().unwrap_or(usual)
    }

    /// The address that a guest has which booted with this configuration, and with no fixed one: of IPv6 where it asks
    /// for none of IPv4 (a network for documentation).
    fn given_address(&self, vm: VmId, conf: &Conf<'_>) -> IpAddr {
        let [a, b] = [vm.get() >> 16, vm.get() & 0xffff].map(|part| u16::try_from(part).unwrap_or_default());
        if has_only_ip6(conf) { IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, a, b]) } else { self.lease(vm) }
    }

    /// The address of a running guest: the fixed one with which it booted, else one of the simulated network.
    pub(super) fn address(&self, vm: VmId) -> Result<IpAddr, Fault> {
        let run = files::read(&self.dir.join("run").join(vm.to_string()))?.unwrap_or_default();
        if let Some(noted) = run.lines().nth(1) {
            return Ok(noted.parse().unwrap_or_else(|_| self.lease(vm)));
        }
        // A test, or an earlier version, started it.
        let text = self.existing(vm)?;
        let conf = Conf::parse(&text);
        Ok(fixed_address(&conf).unwrap_or_else(|| self.given_address(vm, &conf)))
    }
}

impl Machines for Simulated<'_> {
    fn running(&self) -> Result<BTreeSet<VmId>, Fault> {
        Ok(self.0.vms_in("run")?.into_iter().collect())
    }

    fn started_at(&self, vm: VmId) -> Result<Option<u64>, Fault> {
        let text = files::read(&self.0.dir.join("run").join(vm.to_string()))?;
        Ok(text.map(|text| text.lines().next().and_then(|line| line.trim().parse().ok()).unwrap_or(0)))
    }

    fn start(&self, vm: VmId, conf: &Conf<'_>, _: Deadline) -> Result<(), Fault> {
        files::make_dir(&self.0.guest_dir(vm))?;
        self.0.fill_disk(vm, &conf.to_string())?;
        self.0.forget_processes(vm)?;
        let fixed = fixed_address(conf).or_else(|| has_only_ip6(conf).then(|| self.0.given_address(vm, conf)));
        self.0.mount_all(vm, fixed.unwrap_or_else(|| self.0.lease(vm)))?;
        // What cloud-init is told later, the guest does not read before it boots again.
        let boot = fixed.map_or_else(|| "dhcp".to_owned(), |address| address.to_string());
        let [cpus, memory] = [Plugged::Cpus, Plugged::Memory].map(|what| given(conf, what));
        let noted = format!("{}\n{boot}\n{cpus}\n{memory}\n", now_ms());
        let path = self.0.dir.join("run").join(vm.to_string());
        files::replace(&path, &self.0.dir.join(format!("tmp/run-{vm}")), &noted)
    }

    /// At once if the guest is up, in vain if not.
    fn shutdown(&self, vm: VmId, _: &Conf<'_>, deadline: Deadline) -> Result<(), Fault> {
        let started = self.started_at(vm)?.unwrap_or(0);
        if now_ms().saturating_sub(started) < self.0.settings.agent_delay_ms {
            return Err(Fault::uncertain(FaultKind::Failed, "VM quit/powerdown failed"));
        }
        self.stop(vm, deadline)
    }

    fn stop(&self, vm: VmId, _: Deadline) -> Result<(), Fault> {
        self.0.forget_processes(vm)?;
        files::remove(&self.0.dir.join("run").join(vm.to_string()))
    }

    fn plugs(&self) -> bool {
        true
    }

    fn grow(&self, _: VmId, _: &str, _: u64) -> Result<(), Fault> {
        Ok(())
    }

    fn seed(&self, _: VmId, _: &Conf<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn forget(&self, vm: VmId) -> Result<(), Fault> {
        self.0.forget_processes(vm)
    }

    fn ping(&self, vm: VmId) -> Result<(), Fault> {
        self.agent(vm).map(drop)
    }

    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault> {
        self.agent(vm)?;
        let text = self.0.existing(vm)?;
        let conf = Conf::parse(&text);
        let card = conf.get("net0").and_then(Net::parse);
        let card = card.filter(|net| !self.0.settings.missing_drivers.contains(&net.model));
        let own = card.and_then(|net| net.mac).map(|mac| mac.to_ascii_lowercase());
        let address = Some(self.0.address(vm)?);
        let own = own.map(|mac| GuestAddress { mac, address });
        let address = Some(IpAddr::from([127, 0, 0, 1]));
        let loopback = GuestAddress { mac: "00:00:00:00:00:00".to_owned(), address };
        Ok(std::iter::once(loopback).chain(own).collect())
    }

    fn online(&self, vm: VmId, what: Plugged) -> Result<u64, Fault> {
        self.agent(vm)?;
        let given = given(&Conf::parse(&self.0.existing(vm)?), what);
        let run = files::read(&self.0.dir.join("run").join(vm.to_string()))?.unwrap_or_default();
        let (line, one) = match what {
            Plugged::Cpus => (2, 1),
            Plugged::Memory => (3, MIB),
        };
        let booted = run.lines().nth(line).and_then(|line| line.parse().ok()).unwrap_or(given);
        let online = if self.0.settings.leaves_offline.contains(&what) { given.min(booted) } else { given };
        Ok(online.saturating_mul(one))
    }

    fn exec(
        &self,
        vm: VmId,
        argv: &[String],
        input: &[u8],
        ready: &dyn Fn() -> Result<(), Fault>,
    ) -> Result<u64, Fault> {
        let up = self.agent(vm)?;
        ready()?;
        let exit = self.0.run(vm, &up, argv, input)?;
        self.0.note_process(vm, &exit)
    }

    fn exec_status(&self, vm: VmId, pid: u64) -> Result<GuestStatus, Fault> {
        self.agent(vm)?;
        let gone = || Fault::harmless(FaultKind::Garbled, "Agent error: Invalid parameter 'pid'");
        self.0.take_process(vm, pid)?.ok_or_else(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_the_addresses_that_its_configuration_says() {
        for (ipconfig, fixed, only_ip6) in [
            ("", None, false),
            ("ip=dhcp,ip6=auto", None, false),
            ("ip6=auto", None, true),
            ("ip=192.0.2.7/24,ip6=2001:db8::7/64", Some("192.0.2.7"), false),
            ("ip=dhcp,ip6=2001:db8::7/64", None, false),
            ("ip6=2001:db8::7/64", Some("2001:db8::7"), true),
        ] {
            let text = if ipconfig.is_empty() { String::new() } else { format!("ipconfig0: {ipconfig}\n") };
            let conf = Conf::parse(&text);
            assert_eq!(fixed_address(&conf), fixed.map(|ip| ip.parse().unwrap()), "{ipconfig}");
            assert_eq!(has_only_ip6(&conf), only_ip6, "{ipconfig}");
        }
    }
}
