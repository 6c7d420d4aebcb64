//! The actions on the hypervisor.

use std::collections::BTreeMap;

use crate::event::Failure;
use crate::hypervisor::{Cloning, Copying, Effect, Fault, FaultKind, HostOp};
use crate::model::{ActionKind, Outcome, Record};
use crate::observed::{ConfigWrite, PendingChange, VmObserved, options};
use crate::plan::{CloneStep, ConfigureStep, Leftover, leftover};

use super::copying::Look;
use super::failure::{failure, keys_of, stale};
use super::hints;
use super::listing::list;
use super::operation;
use super::perform::Performing;

/// Whether an operation took effect, as far as can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    /// It is under way.
    NotYet,
}

/// How long to wait before looking again after something that is under way.
pub(super) const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

impl Performing<'_> {
    /// Carries out an operation. After a lost answer it looks whether the effect is there, and repeats only what
    /// certainly did not happen.
    pub(super) fn host(&self, op: &HostOp, holds: &dyn Fn() -> Result<Holds, Failure>) -> Result<(), Failure> {
        let mut attempt = 0;
        loop {
            let fault = match self.carry_out(op) {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            };
            // A value that a running VM refuses is kept for its next start: it only looks as if it had been taken.
            let refused = fault.kind == FaultKind::Hotplug;
            if fault.effect == Effect::Maybe && !refused && self.took_effect(op, &fault, holds)? {
                return Ok(());
            }
            attempt += 1;
            self.before_trying_again(fault, attempt)?;
        }
    }

    fn took_effect(
        &self,
        op: &HostOp,
        fault: &Fault,
        holds: &dyn Fn() -> Result<Holds, Failure>,
    ) -> Result<bool, Failure> {
        let mut look = Look::at("the answer was lost; the copy", Copying::Of(op));
        // What is known of the cause leads further than a look at the VM.
        let hint = fault.hint.as_deref().unwrap_or(hints::LOOK_AT_VM);
        let unknown = |why: &str| Failure {
            may_have_happened: true,
            ..failure(format!("{}; it may have happened: {why}", fault.what), Some(hint)).because_of(fault.clone())
        };
        loop {
            match holds() {
                Ok(Holds::Yes) => return Ok(true),
                Ok(Holds::No) => return Ok(false),
                Ok(Holds::NotYet) if self.is_late() => return Err(unknown("it is still under way")),
                Ok(Holds::NotYet) => {
                    self.waiting(look.far(&*self.by.hypervisor, "the answer was lost; it is still under way"));
                    self.by.clock.pause(LOOK_AGAIN);
                }
                Err(second) => return Err(unknown(&second.error)),
            }
        }
    }

    /// One write of the configuration, guarded by the digest of what was read.
    pub(super) fn write(
        &self,
        write: ConfigWrite,
        live: &VmObserved,
        holds: &dyn Fn(&VmObserved) -> bool,
    ) -> Result<(), Failure> {
        let op = HostOp::Configure { vm: self.id(), write, digest: live.digest.clone() };
        self.host(&op, &|| self.live().map(|live| if holds(&live) { Holds::Yes } else { Holds::No }))
    }

    pub(super) fn remove_leftover(&mut self, planned: Leftover) -> Result<Outcome, Failure> {
        let id = self.id();
        // First the tasks, then the VM: a clone that ends between the two looks has left a whole one.
        self.no_clone_running()?;
        let Some(live) = self.ask(|hypervisor| hypervisor.vm(id))? else { return Ok(Outcome::NoOp) };
        if self.action.awaits.is_some() && self.came_to_its_end(&live)? {
            self.found(live);
            return Ok(Outcome::NoOp);
        }
        if leftover(&live, &self.by.plan.project) != Some(planned) {
            return Err(stale(format!("VM {id} is no longer the leftover that was planned"), hints::PLAN_AGAIN));
        }
        let op = operation::remove_leftover(id, planned);
        let gone = || {
            let found = self.ask(|hypervisor| hypervisor.vm(id))?;
            Ok(if found.is_none() { Holds::Yes } else { Holds::No })
        };
        self.host(&op, &gone)?;
        Ok(self.action.outcome)
    }

    fn no_clone_running(&self) -> Result<(), Failure> {
        let id = self.id();
        match self.ask(|hypervisor| hypervisor.cloning(id))? {
            Cloning::No => Ok(()),
            Cloning::Yes => Err(failure(format!("a clone into VM {id} is running"), Some(hints::WAIT))),
            Cloning::Unknown => Err(failure("a clone is running whose target is unknown", Some(hints::WAIT_AND_APPLY))),
        }
    }

    pub(super) fn clone_template(&mut self, step: &CloneStep) -> Result<Outcome, Failure> {
        if self.is_made()? {
            return Ok(Outcome::NoOp);
        }
        let op = operation::clone(self.id(), step)?;
        self.host(&op, &|| self.made(&|live| live.lock.is_none()))?;
        self.leave()?;
        Ok(self.action.outcome)
    }

    /// Whether a VM carries our record.
    pub(super) fn is_ours(&self, live: &VmObserved) -> bool {
        let project = &self.by.plan.project;
        live.record.valid().is_some_and(|record| record.project == *project && record.vm == self.id())
    }

    /// Whether the VM that is to be made is there already, and ours. Whatever else is there in its place is left alone.
    pub(super) fn is_made(&self) -> Result<bool, Failure> {
        let id = self.id();
        let mut found = self.ask(|hypervisor| hypervisor.vm(id))?;
        if found.is_none() {
            self.no_clone_running()?;
            // One that ended since the first look has left its VM or its volumes.
            found = self.ask(|hypervisor| hypervisor.vm(id))?;
        }
        if let Some(live) = found {
            if self.is_ours(&live) && live.lock.is_none() && !live.is_half_cloned() {
                return Ok(true);
            }
            return Err(stale(format!("VMID {id} was taken after it was planned"), hints::PLAN_AGAIN));
        }
        let volumes = self.volumes_before()?;
        if !volumes.is_empty() {
            return Err(failure(
                format!("there are volumes of VMID {id} already: {}", volumes.join(", ")),
                Some(&hints::volumes_left(&volumes)),
            ));
        }
        Ok(false)
    }

    /// The volumes of this VMID, of which the VM is about to be made: none, as a listing of the last minute says, or
    /// what there is now. Nothing is refused for what was there a minute ago.
    pub(super) fn volumes_before(&self) -> Result<Vec<String>, Failure> {
        let (id, by) = (self.id(), self.by);
        if by.listing.knows_of_none(id, &by.plan, &*by.hypervisor, &*by.clock) {
            return Ok(Vec::new());
        }
        self.ask(|hypervisor| hypervisor.volumes(id))
    }

    /// The volumes of this VM now, on the storages that were active when it was planned; if these cannot be listed, on
    /// all.
    pub(super) fn volumes_now(&self) -> Result<Vec<String>, Failure> {
        let id = self.id();
        match list(&[id], &self.by.plan, &*self.by.hypervisor) {
            Ok(mut found) => Ok(found.remove(&id).unwrap_or_default()),
            Err(_) => self.ask(|hypervisor| hypervisor.volumes(id)),
        }
    }

    /// Whether the VM is made, which takes long: as long as a clone runs, it may still be.
    ///
    /// Two looks do not belong to one moment: what ended between them has changed what the first one saw (recorded,
    /// four times of four after a broken connection). So once nothing runs any more, the VM is looked at again.
    pub(super) fn made(&self, is_whole: &dyn Fn(&VmObserved) -> bool) -> Result<Holds, Failure> {
        let id = self.id();
        let look = || self.ask(|hypervisor| hypervisor.vm(id));
        let whole = |live: &VmObserved| is_whole(live) && self.is_ours(live);
        if look()?.as_ref().is_some_and(whole) {
            return Ok(Holds::Yes);
        }
        if self.ask(|hypervisor| hypervisor.cloning(id))? != Cloning::No {
            return Ok(Holds::NotYet);
        }
        match look()? {
            None => Ok(Holds::No),
            Some(live) if whole(&live) => Ok(Holds::Yes),
            Some(_) => Err(failure("a half-made VM is there and no clone is running", None)),
        }
    }

    pub(super) fn adopt(&mut self, record: &Record) -> Result<Outcome, Failure> {
        let live = self.live()?;
        let ours = |live: &VmObserved| live.record.valid().is_some_and(|found| found.project == record.project);
        // Another process's apply was faster.
        if ours(&live) {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        self.write(operation::adopt(record, &live)?, &live, &ours)?;
        self.leave()?;
        Ok(self.action.outcome)
    }

    pub(super) fn forget(&mut self, tag: Option<&str>) -> Result<Outcome, Failure> {
        let live = self.live()?;
        let write = operation::forget(tag, &live)?;
        // Another process was faster.
        if write.is_empty() {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        let forgotten = |live: &VmObserved| operation::forget(tag, live).is_ok_and(|rest| rest.is_empty());
        self.write(write, &live, &forgotten)?;
        self.leave()?;
        Ok(self.action.outcome)
    }

    pub(super) fn configure(&mut self, step: &ConfigureStep) -> Result<Outcome, Failure> {
        let mut live = self.live()?;
        let left = self.left_drive(&step.desired, &live)?;
        let mut write = operation::config_write(step, &live, left.as_deref())?;
        if write.is_empty() {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        let mut late = options::late_slots(&step.desired, &live);
        late.retain(|slot| !live.record.valid().is_some_and(|record| record.late.contains(slot)));
        // Before the write: nothing of the target tells of it afterwards.
        if !late.is_empty() && self.write_record(&|record| record.late.extend(late.iter().cloned()))? {
            live = self.live()?;
            self.must_not_have_moved(&live)?;
            write = operation::config_write(step, &live, left.as_deref())?;
        }
        let holds = |live: &VmObserved| operation::config_write(step, live, None).is_ok_and(|rest| rest.is_empty());
        if let Err(refused) = self.write(write, &live, &holds) {
            self.refused(refused, step, &late, &live)?;
        }
        self.leave()?;
        let Some(now) = self.afterwards(self.live())? else { return Ok(self.action.outcome) };
        let rest = operation::config_write(step, &now, None)?;
        // People may have written into the notes since; everything else must be as it was accepted.
        let keys: Vec<&str> = rest.options().collect();
        let wrong: Vec<&str> = keys.into_iter().filter(|key| *key != "description").collect();
        if !wrong.is_empty() {
            let what = format!("the write was accepted, but {} is not as written", wrong.join(", "));
            return Err(failure(what, Some(hints::LOOK_WHAT_DIFFERS)).about(keys_of(&self.vm.changes, wrong)));
        }
        let mut waits = self.waiting_keys(&now.pending);
        waits.extend(late.iter().map(|slot| options::late_called(slot, &now, self.vm.desired.as_deref())));
        if now.running && !waits.is_empty() && !self.vm.actions.iter().any(|action| action.kind == ActionKind::Restart)
        {
            self.noticed(format!("waits for a restart: {}; `--restart` does one", waits.join(", ")));
        }
        self.see_plugged(&live, &now)?;
        Ok(self.action.outcome)
    }

    /// What waits for a restart, as the file calls it.
    pub(super) fn waiting_keys(&self, pending: &BTreeMap<String, PendingChange>) -> Vec<String> {
        let desired = self.vm.desired.as_deref();
        pending.iter().map(|(option, change)| options::called(option, change, desired)).collect()
    }

    /// Takes out of the record what was written into it of something that the target then refused. Where that fails,
    /// the refusal is what is reported, and this beside it.
    pub(super) fn take_back(&mut self, change: &dyn Fn(&mut Record)) {
        if let Err(second) = self.write_record(change) {
            self.noticed(format!("the VM's record still says that this was done: {}", second.error));
        }
    }

    pub(super) fn record(&mut self, last: &Record) -> Result<Outcome, Failure> {
        let written = self.write_record(&|record| {
            record.state = last.state;
            record.template.clone_from(&last.template);
            record.image.clone_from(&last.image);
            record.features.extend(last.features.clone());
            record.volumes.clone_from(&last.volumes);
            record.staged.clone_from(&last.staged);
            record.own_disk = last.own_disk;
            record.applied.clone_from(&last.applied);
            record.made.clone_from(&last.made);
            record.attached.clone_from(&last.attached);
            record.imported.clone_from(&last.imported);
            record.filesystems.retain(|slot, _| last.made.contains(slot));
            record.unread = last.unread;
            record.late.clone_from(&last.late);
            record.ha = last.ha;
        })?;
        Ok(if written { self.action.outcome } else { Outcome::NoOp })
    }
}
