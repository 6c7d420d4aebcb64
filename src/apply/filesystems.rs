//! File systems of further disks: made once, mounted, grown.

use super::failure::stale;
use super::hints;
use super::operation;
use super::perform::Performing;
use crate::event::Failure;
use crate::guest::{self, GuestDisk, Made, Mounted};
use crate::model::{Formatted, Outcome, Record};
use crate::observed::VmObserved;
use crate::plan::{FormatStep, MountDiskStep};

impl Performing<'_> {
    /// Makes a file system on a disk that the record says phoenix made. That it is begun, and the uuid that it will
    /// have, is written down first: a run that comes after a death knows by it what may be half made.
    pub(super) fn format_disk(&mut self, step: &FormatStep) -> Result<Outcome, Failure> {
        let live = self.live()?;
        let record = self.record_of(&live)?;
        let slot = step.slot;
        let noted = record.filesystems.get(slot);
        if noted.is_some_and(|noted| !noted.begun) {
            return Ok(Outcome::NoOp);
        }
        if !record.made.contains(slot) || record.attached.contains(slot) {
            let what = format!("the record of VM {} no longer says that phoenix made {slot}", self.id());
            return Err(stale(what, hints::PLAN_AGAIN));
        }
        let fresh = || operation::filesystem(step, &live);
        let Some(disk) = noted.cloned().or_else(fresh) else {
            return Err(stale(format!("VM {} has no disk {slot}", self.id()), hints::PLAN_AGAIN));
        };
        self.must_not_have_moved(&live)?;
        self.write_record(&|record| _ = record.filesystems.insert(slot.to_owned(), disk.clone()))?;
        let exit = self.run_program(&guest::format(&in_guest(slot, &disk)), "the file system")?;
        let made = guest::read_formatted(&exit)?;
        self.write_record(&|record| {
            if let Some(disk) = record.filesystems.get_mut(slot) {
                disk.begun = false;
            }
        })?;
        Ok(if made == Made::Already { Outcome::NoOp } else { self.action.outcome })
    }

    /// Mounts the file system of a disk, as large as the disk is.
    pub(super) fn mount_disk(&mut self, step: &MountDiskStep) -> Result<Outcome, Failure> {
        let live = self.live()?;
        let MountDiskStep { slot, mount_point, verify } = step;
        let Some(disk) = self.record_of(&live)?.filesystems.get(*slot).filter(|disk| !disk.begun).cloned() else {
            let what = format!("the record of VM {} does not say that {slot} is formatted", self.id());
            return Err(stale(what, hints::PLAN_AGAIN));
        };
        if disk.at == *mount_point && !disk.grow && !verify {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        let program = guest::mount_disk(&in_guest(slot, &disk), mount_point);
        let exit = self.run_program(&program, &format!("the mount of {slot}"))?;
        let mounted = guest::read_mount_disk(&exit)?;
        if let Some(notice) = guest::mount_notice(&exit) {
            self.noticed(notice);
        }
        self.write_record(&|record| {
            record.volumes.remove(mount_point);
            if let Some(disk) = record.filesystems.get_mut(*slot) {
                mount_point.clone_into(&mut disk.at);
                disk.grow = false;
            }
        })?;
        Ok(if mounted == Mounted::Already { Outcome::NoOp } else { self.action.outcome })
    }

    fn record_of<'l>(&self, live: &'l VmObserved) -> Result<&'l Record, Failure> {
        let gone = || stale(format!("the record of VM {} is gone from its notes", self.id()), hints::LOOK_WHAT_DIFFERS);
        live.record.valid().ok_or_else(gone)
    }
}

/// What the programs in the guest are told of a file system.
fn in_guest<'d>(slot: &'d str, disk: &'d Formatted) -> GuestDisk<'d> {
    GuestDisk { slot, filesystem: disk.filesystem.as_str(), uuid: &disk.uuid }
}
