//! Disks: where they lie, how large they are, and that the guest makes use of its boot disk.

use super::failure::{failure, stale};
use super::hints;
use super::host::Holds;
use super::operation;
use super::perform::Performing;
use crate::event::Failure;
use crate::guest::{self, Grown};
use crate::model::Outcome;
use crate::observed::{BootDisk, VmObserved};
use crate::plan::{MoveStep, ResizeStep};

/// The disk in a slot, or the boot disk.
pub(super) fn disk_of(slot: Option<&str>, live: &VmObserved) -> Option<BootDisk> {
    match slot {
        None => live.boot_disk.clone(),
        Some(slot) => BootDisk::parse(slot, live.options.get(slot)?),
    }
}

impl Performing<'_> {
    /// Moves a disk, after a last look whether it is still the one that was planned.
    pub(super) fn move_disk(&mut self, step: &MoveStep) -> Result<Outcome, Failure> {
        let id = self.id();
        let storage = step.storage.as_str();
        let live = self.live()?;
        let Some(disk) = disk_of(step.disk, &live) else {
            let which = step.disk.unwrap_or("boot disk");
            return Err(stale(format!("VM {id} no longer has {which}"), hints::PLAN_AGAIN));
        };
        if disk.storage == storage {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        if let Some(work) = self.ask(|hypervisor| hypervisor.working(id))? {
            let what = format!("a task is working on the disks of VM {id} ({work})");
            return Err(failure(what, Some(hints::WAIT_AND_APPLY)));
        }
        if step.delete_source && !live.snapshots.is_empty() {
            let what = format!("snapshots of VM {id} hold on to {}: {}", disk.volume, live.snapshots.join(", "));
            return Err(stale(what, hints::LOOK_WHAT_DIFFERS));
        }
        self.write_record(&|record| operation::unsettle_disks(record, &step.record, step.disk))?;
        let live = self.live()?;
        let there = |live: &VmObserved| disk_of(step.disk, live).is_some_and(|disk| disk.storage == storage);
        let op = operation::move_disk(id, step, &disk, &live.digest);
        self.host(&op, &|| {
            if there(&self.live()?) {
                return Ok(Holds::Yes);
            }
            let working = self.ask(|hypervisor| hypervisor.working(id))?;
            if working.is_some() {
                return Ok(Holds::NotYet);
            }
            // It may have ended between the two looks.
            Ok(if there(&self.live()?) { Holds::Yes } else { Holds::No })
        })?;
        let now = self.live_in_doubt()?;
        if !there(&now) {
            return Err(failure(
                format!("{} was not moved to `{storage}`, though the target reported success", disk.device),
                Some(hints::LOOK_AT_TASK_LOG),
            ));
        }
        self.leave()?;
        self.name_leftovers()?;
        Ok(self.action.outcome)
    }

    /// The VM after an operation whose success only a look can tell: Proxmox exits 0 although its task failed.
    pub(super) fn live_in_doubt(&self) -> Result<VmObserved, Failure> {
        self.live().map_err(|failed| Failure {
            error: format!("phoenix cannot find out whether it happened: {}", failed.error),
            may_have_happened: !failed.stale,
            ..failed
        })
    }

    /// Tells volumes of the VM that its configuration does not name: what an interrupted move or import left of its
    /// copy. Nothing here erases a volume that the plan did not name.
    pub(super) fn name_leftovers(&self) -> Result<(), Failure> {
        let id = self.id();
        let Some(now) = self.afterwards(self.live())? else { return Ok(()) };
        let left = self.afterwards(self.volumes_now())?;
        let mut left = left.unwrap_or_default();
        left.retain(|volume| !now.names(volume));
        if !left.is_empty() {
            self.noticed(format!(
                "volumes of VM {id} that its configuration does not name: {}; an interrupted move or import leaves such \
                    volumes: look at them, then erase them with `pvesm free`",
                left.join(", ")
            ));
        }
        Ok(())
    }

    pub(super) fn resize(&mut self, step: &ResizeStep) -> Result<Outcome, Failure> {
        let size_gb = step.size_gb;
        let wanted = u64::from(size_gb) * crate::model::GIB;
        let live = self.live()?;
        let of = |live: &VmObserved| disk_of(step.disk, live);
        let Some(disk) = of(&live) else {
            let which = step.disk.unwrap_or("boot disk");
            return Err(stale(format!("VM {} no longer has {which}", self.id()), hints::PLAN_AGAIN));
        };
        let size = |live: &VmObserved| of(live).and_then(|disk| disk.size);
        if size(&live) == Some(wanted) {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        // Before the disk: the run that comes after a death must know that the size is phoenix's own doing, and whether
        // the guest has not seen it yet.
        self.write_record(&|record| {
            operation::unsettle_disks(record, &step.record, None);
            record.grow |= step.grows_filesystem;
            if let Some(disk) = step.disk.and_then(|slot| record.filesystems.get_mut(slot)) {
                disk.grow = true;
            }
        })?;
        let op = operation::resize(self.id(), step, &disk);
        let grown = |live: &VmObserved| size(live) == Some(wanted);
        self.host(&op, &|| self.live().map(|live| if grown(&live) { Holds::Yes } else { Holds::No }))?;
        // `qm resize` exits 0 when its task failed: only the size that is read back counts.
        let now = self.live_in_doubt()?;
        if !grown(&now) {
            return Err(self.not_grown(&disk, size_gb));
        }
        self.leave()?;
        Ok(self.action.outcome)
    }

    /// Says why a disk has not the size that it was to get, though the target reported success. Proxmox does nothing,
    /// and writes nothing, if the volume has that size already: a run that lost the quorum of its cluster grew it, and
    /// could not write it down (recorded; the source of qemu-server).
    fn not_grown(&self, disk: &BootDisk, size_gb: u32) -> Failure {
        let id = self.id();
        let listed = self.ask(|hypervisor| hypervisor.listed(&[id], &[&disk.storage])).unwrap_or_default();
        let lies = listed.get(&disk.storage).and_then(|on| on.get(&disk.volume)?.size);
        if lies.is_some_and(|lies| lies >= u64::from(size_gb) * crate::model::GIB) {
            let what = format!(
                "{} has {size_gb} GiB already, and the configuration of VM {id} does not say it: an earlier run grew the disk \
                 and could not write that down",
                disk.device
            );
            return failure(what, Some(&hints::rescan(id)));
        }
        let what = format!("{} was not grown to {size_gb} GiB, though the target reported success", disk.device);
        failure(what, Some(hints::LOOK_AT_TASK_LOG))
    }

    /// Makes the guest's root file system as large as its disk.
    pub(super) fn grow_filesystem(&mut self) -> Result<Outcome, Failure> {
        let live = self.live()?;
        self.must_not_have_moved(&live)?;
        let exit = self.run_program(&guest::grow_filesystem(), "the root file system")?;
        let grown = guest::read_grown(&exit)?;
        if let Grown::Unknown(why) = &grown {
            self.noticed(format!("the disk grew, and the root file system did not: {why}; grow it by hand"));
        }
        self.write_record(&|record| record.grow = false)?;
        Ok(if grown == Grown::Already { Outcome::NoOp } else { self.action.outcome })
    }
}
