//! Snapshots: taken, removed, gone back to.
//!
//! A VM's notes are no part of a snapshot, and going back leaves them as they are. So phoenix's snapshots carry the
//! record of their time in their own words, and going back brings it back first: a record that says less than the disk
//! has is completed by the next apply, one that says more would be believed.

use std::collections::BTreeSet;

use super::failure::{failure, stale};
use super::hints;
use super::host::Holds;
use super::operation;
use super::perform::Performing;
use crate::event::Failure;
use crate::hypervisor::HostOp;
use crate::model::{Outcome, Record};
use crate::observed::VmObserved;
use crate::plan::lock;

impl Performing<'_> {
    pub(super) fn snapshot(&mut self, name: &str) -> Result<Outcome, Failure> {
        let live = self.live()?;
        self.must_not_have_moved(&live)?;
        let there = |live: &VmObserved| live.has_snapshot(name);
        if there(&live) {
            return Ok(Outcome::NoOp);
        }
        let Some(record) = live.record.valid() else {
            return Err(stale(format!("the record of VM {} is gone from its notes", self.id()), hints::PLAN_AGAIN));
        };
        let op = operation::snapshot(self.id(), name, record, &live.digest)?;
        self.host(&op, &|| self.took(&there))?;
        let now = self.afterwards(self.live())?;
        if now.is_some_and(|now| !there(&now) || now.lock.is_some()) {
            return Err(failure(format!("snapshot `{name}` is not there, though the target reported success"), None));
        }
        self.leave()?;
        Ok(self.action.outcome)
    }

    pub(super) fn remove_snapshot(&mut self, name: &str) -> Result<Outcome, Failure> {
        let live = self.live()?;
        let gone = |live: &VmObserved| !live.has_snapshot(name);
        if gone(&live) {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        let op = HostOp::RemoveSnapshot { vm: self.id(), name: name.to_owned() };
        self.host(&op, &|| self.took(&gone))?;
        if self.afterwards(self.live())?.is_some_and(|now| !gone(&now)) {
            return Err(failure(format!("snapshot `{name}` is still there, though the target reported success"), None));
        }
        self.leave()?;
        Ok(self.action.outcome)
    }

    /// Goes back to a snapshot, after a last look whether the VM is still the one that was planned, and ours.
    pub(super) fn rollback(&mut self, name: &str) -> Result<Outcome, Failure> {
        let id = self.id();
        let live = self.live()?;
        self.must_not_have_moved(&live)?;
        let project = self.by.plan.project.clone();
        if !live.has_snapshot(name) {
            return Err(stale(format!("VM {id} no longer has snapshot `{name}`"), hints::PLAN_AGAIN));
        }
        let Some(then) = live.recorded_in(name, &project) else {
            let hint = hints::rollback_by_hand(id, name);
            return Err(failure(
                format!("snapshot `{name}` of VM {id} does not say what phoenix had done by then"),
                Some(&hint),
            ));
        };
        // Whether it runs then or is off: what it boots from next has everything.
        let then = Record { unread: false, late: BTreeSet::new(), ..then };
        // Until it is back, only what was applied then and still is counts as applied.
        self.write_record(&|record| {
            let now = std::mem::replace(record, then.clone());
            record.applied.retain(|key, value| now.applied.get(key) == Some(value));
            // A snapshot has nothing to do with that.
            record.ha = now.ha;
        })?;
        let live = self.live()?;
        let before = live.digest.clone();
        let op = HostOp::Rollback { vm: id, name: name.to_owned(), start: live.running, digest: live.digest.clone() };
        // Proxmox gives a VM that went back a new generation id: the configuration is another one.
        let back = |now: &VmObserved| now.digest != before && now.running == live.running;
        self.host(&op, &|| self.took(&back))?;
        if live.running && live.is_ha() {
            self.ha_does(("start", self.deadline), &|live| live.running)?;
        }
        let now = self.live()?;
        if now.lock.is_some() || now.record.valid().is_none() {
            let what = format!("VM {id} was rolled back, but is locked or without its record");
            return Err(failure(what, Some(hints::LOOK_AT_TASK_LOG)));
        }
        self.leave()?;
        self.write_record(&|record| record.applied.clone_from(&then.applied))?;
        Ok(self.action.outcome)
    }

    /// Whether what a task does has taken effect; a lock shows that it is under way.
    fn took(&self, effect: &dyn Fn(&VmObserved) -> bool) -> Result<Holds, Failure> {
        let id = self.id();
        if self.ask(|hypervisor| hypervisor.working(id))?.is_some() {
            return Ok(Holds::NotYet);
        }
        let live = self.live()?;
        match &live.lock {
            Some(kind) => {
                let what = format!("VM {id} is locked ({kind}), and no task is running");
                Err(failure(what, Some(&lock::way_out(&live, kind))))
            }
            None => Ok(if effect(&live) { Holds::Yes } else { Holds::No }),
        }
    }
}
