//! The actions on volumes: their directory, their export, their mount in the guest.

use std::net::IpAddr;
use std::sync::Arc;

use super::failure::failure;
use super::hints;
use super::operation;
use super::perform::Performing;
use crate::event::Failure;
use crate::guest::{self, Mounted};
use crate::hypervisor::{FaultKind, FileOp, address_on};
use crate::model::{BY_UUID, Formatted, Key, Outcome, Record};
use crate::observed::Export;
use crate::plan::{Mount, MountStep, UnmountStep};

impl Performing<'_> {
    pub(super) fn prepare_share(&mut self, path: &str) -> Result<Outcome, Failure> {
        let path = path.to_owned();
        self.write_files(&FileOp::MakeDirectory { path })?;
        Ok(self.action.outcome)
    }

    pub(super) fn export_share(&mut self, served: &[Arc<Mount>]) -> Result<Outcome, Failure> {
        let id = self.id();
        let exports = self.exports()?;
        let own: Vec<&Export> = exports.iter().filter(|export| export.vm == Some(id)).collect();
        let address = self.address()?;
        let client = address.to_string();
        // What an administrator exports to this VM needs no export of ours.
        let by_others = |mount: &Arc<Mount>| {
            let mut others = exports.iter().filter(|export| export.vm != Some(id));
            others.any(|export| export.covers(&mount.export, address))
        };
        let all_by_others = served.iter().all(by_others);
        let as_wished = |own: &[&Export]| {
            let mut wished: Vec<(&str, &str)> = served.iter().map(|m| (m.export.as_str(), client.as_str())).collect();
            let mut found: Vec<(&str, &str)> = own.iter().map(|e| (e.path.as_str(), e.client.as_str())).collect();
            wished.sort_unstable();
            found.sort_unstable();
            wished == found && own.iter().all(|export| export.full)
        };
        // A run that was interrupted after it wrote the file may not have told the server; one that came to record the
        // volumes has. The record of what becomes a template never has them.
        let live = self.live()?;
        let mounted = |record: &Record, mount: &Mount| {
            record.volumes.get(&mount.mount_point).is_some_and(|source| *source == mount.source())
        };
        let recorded = |record: &Record| !record.is_template && served.iter().all(|mount| mounted(record, mount));
        let told = live.record.valid().is_some_and(recorded);
        if (as_wished(&own) && told) || (all_by_others && own.is_empty()) {
            return Ok(Outcome::NoOp);
        }
        let op = operation::write_exports(id, served, &client);
        // The run that comes after a death between this and the mounts must know that they were not seen.
        if own.iter().any(|export| export.client != client) {
            self.write_record(&|record| {
                for mount in served {
                    record.volumes.remove(&mount.mount_point);
                }
            })?;
        }
        self.write_files(&op)?;
        Ok(self.action.outcome)
    }

    /// The exports of the node that matter to the VM.
    pub(super) fn exports(&self) -> Result<Vec<Export>, Failure> {
        let id = self.id();
        self.ask(|hypervisor| hypervisor.files().map_or_else(|| Ok(Vec::new()), |files| files.exports(id)))
    }

    /// Carries out an operation on the files of the node; it may be repeated.
    pub(super) fn write_files(&self, op: &FileOp) -> Result<(), Failure> {
        let Some(files) = self.by.hypervisor.files() else {
            return Err(failure("this target reaches no files of a node", None));
        };
        let mut attempt = 0;
        loop {
            let Err(fault) = files.write(op, self.remaining()) else { return Ok(()) };
            attempt += 1;
            self.before_trying_again(fault, attempt)?;
        }
    }

    /// Takes back everything that phoenix exports to the VM.
    pub(super) fn withdraw_exports(&mut self) -> Result<Outcome, Failure> {
        let live = self.live()?;
        self.must_not_have_moved(&live)?;
        self.write_files(&FileOp::WriteExports { vm: self.id(), entries: Vec::new() })?;
        Ok(self.action.outcome)
    }

    /// The guest's address on net0: of the interface that has its MAC, IPv4 before IPv6.
    fn address(&self) -> Result<IpAddr, Failure> {
        let live = self.live()?;
        let Some(mac) = live.net0.and_then(|net| net.mac) else {
            return Err(failure(format!("VM {} has no network card net0 with a MAC address", self.id()), None));
        };
        loop {
            let found = match self.by.hypervisor.guests().addresses(self.id()) {
                Ok(found) => found,
                Err(fault) if fault.kind == FaultKind::AgentDown || fault.is_transient() => {
                    self.must_run()?;
                    if self.is_late() {
                        return Err(self.silent(fault));
                    }
                    Vec::new()
                }
                Err(fault) => return Err(fault.into()),
            };
            if let Some(address) = address_on(&found, &mac) {
                return Ok(address);
            }
            if self.is_late() {
                return Err(failure(
                    format!("the guest got no address on net0 ({mac}) within {} s", self.seconds()),
                    Some(hints::NO_ADDRESS),
                ));
            }
            self.waiting("an address on net0");
            self.by.clock.pause(super::host::LOOK_AGAIN.min(self.remaining()));
        }
    }

    pub(super) fn mount(&mut self, step: &MountStep) -> Result<Outcome, Failure> {
        let live = self.live()?;
        let mount = &*step.mount;
        let source = mount.source();
        let recorded = live.record.valid().and_then(|record| record.volumes.get(&mount.mount_point));
        if recorded == Some(&source) && !step.verify {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        let exit = self.run_program(&operation::mount(mount), &format!("the mount of {source}"))?;
        let mounted = guest::read_mount(&exit)?;
        if let Some(notice) = guest::mount_notice(&exit) {
            self.noticed(notice);
        }
        Ok(match mounted {
            Mounted::Already => Outcome::NoOp,
            Mounted::Now => self.action.outcome,
        })
    }

    pub(super) fn unmount(&mut self, step: &UnmountStep) -> Result<Outcome, Failure> {
        let UnmountStep { mount_point, source } = step;
        let live = self.live()?;
        let is_this = |disk: &Formatted| disk.at == *mount_point && disk.source() == *source;
        let of_disk = |record: &Record| record.filesystems.values().any(is_this);
        let known = |record: &Record| record.volumes.contains_key(mount_point) || of_disk(record);
        if live.record.valid().is_some_and(|record| !known(record)) {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        let exit = self.run_program(&guest::unmount(source, mount_point), "unmounting")?;
        let about =
            |failed: Failure| if source.starts_with(BY_UUID) { failed.about([Key::Disks.name()]) } else { failed };
        guest::read_unmount(&exit).map_err(Failure::from).map_err(about)?;
        if live.record.valid().is_some_and(of_disk) {
            self.write_record(&|record| {
                record.filesystems.values_mut().filter(|disk| is_this(disk)).for_each(|disk| disk.at.clear());
            })?;
        }
        Ok(self.action.outcome)
    }
}
