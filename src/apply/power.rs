//! Switching VMs on and off, and their end.

use super::failure::{failure, stale};
use super::hints;
use super::host::Holds;
use super::perform::Performing;
use crate::event::Failure;
use crate::hypervisor::HostOp;
use crate::model::{HaState, Outcome};
use crate::observed::{Ha, VmObserved};
use crate::plan::{HaStep, Step};

impl Performing<'_> {
    pub(super) fn start(&mut self) -> Result<Outcome, Failure> {
        let live = self.live()?;
        if live.running {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        let outcome = self.switch_on(Some(&live), live.is_ha())?;
        // A start applies what was pending.
        self.leave()?;
        Ok(outcome)
    }

    pub(super) fn restart(&mut self) -> Result<Outcome, Failure> {
        let live = self.live()?;
        self.must_not_have_moved(&live)?;
        if live.running {
            // What it stopped, it would start for us, and then no more.
            if live.ha.as_ref().is_some_and(Ha::keeps_off) {
                let what = format!("VM {} runs, but the HA manager should keep it off", self.id());
                return Err(failure(what, Some(hints::HA_STATUS)));
            }
            self.switch_off(&live)?;
            // A stop applies what was pending, whatever set it.
            self.leave()?;
        }
        // Whatever cannot be looked at now: a VM that was shut down to be started again is started.
        let is_ha = live.is_ha();
        let off = if live.running { self.afterwards(self.live())? } else { Some(live) };
        self.switch_on(off.as_ref(), is_ha)?;
        self.leave()?;
        let waiting = self.afterwards(self.live())?.map(|live| live.pending).unwrap_or_default();
        if !waiting.is_empty() {
            self.noticed(format!(
                "still waits, although the VM was restarted: {}",
                self.waiting_keys(&waiting).join(", ")
            ));
        }
        Ok(self.action.outcome)
    }

    pub(super) fn stop(&mut self) -> Result<Outcome, Failure> {
        let live = self.live()?;
        if !live.running {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        match self.taken_out_of_error(&live) {
            // It does nothing else before, and stops the VM then.
            Some(step) => {
                self.set_ha(&step)?;
                self.ha_does(("stop", self.deadline), &|live| !live.running)?;
            }
            // An earlier run did so.
            None if live.ha.as_ref().is_some_and(Ha::recovers) => {
                self.ha_does(("stop", self.deadline), &|live| !live.running)?;
            }
            None => self.switch_off(&live)?,
        }
        self.leave()?;
        if let Some(live) = self.afterwards(self.live())? {
            self.will_boot(&live)?;
        }
        Ok(self.action.outcome)
    }

    /// The step with which the plan takes a VM that the HA manager gave up on out of that state, if it does.
    fn taken_out_of_error(&self, live: &VmObserved) -> Option<HaStep> {
        live.ha.as_ref().filter(|ha| ha.has_failed() && !ha.recovers())?;
        self.vm.actions.iter().find_map(|action| match &action.step {
            Some(Step::SetHa(step)) if step.ha.state == HaState::Disabled => Some(HaStep::clone(step)),
            _ => None,
        })
    }

    /// Removes the VM with what the plan said, after a last look whether it is still that VM, and ours.
    pub(super) fn destroy(&mut self) -> Result<Outcome, Failure> {
        let id = self.id();
        let Some(live) = self.ask(|hypervisor| hypervisor.vm(id))? else { return Ok(Outcome::NoOp) };
        self.must_not_have_moved(&live)?;
        let project = &self.by.plan.project;
        if live.record.valid().is_none_or(|record| record.project != *project) {
            return Err(stale(format!("VM {id} does not belong to project `{project}`"), hints::PLAN_AGAIN));
        }
        if live.running {
            return Err(stale(format!("VM {id} runs again"), hints::LOOK_WHO_STARTED_IT));
        }
        // Proxmox would take it from the HA manager without a word.
        if live.ha.is_some() {
            let what = format!("the HA manager looks after VM {id} by now");
            return Err(stale(what, &hints::leave_ha(id)));
        }
        let gone = || {
            let live = self.ask(|hypervisor| hypervisor.vm(id))?;
            Ok(if live.is_none() { Holds::Yes } else { Holds::No })
        };
        // Two looks: the digest must be of the configuration that was judged.
        let op = HostOp::Destroy { vm: id, digest: live.digest };
        self.host(&op, &gone)?;
        if self.afterwards(gone())? == Some(Holds::No) {
            return Err(failure(
                format!("VM {id} is still there, though the target reported success"),
                Some(hints::LOOK_AT_TASK_LOG),
            ));
        }
        let left = self.afterwards(self.volumes_now())?.unwrap_or_default();
        if !left.is_empty() {
            let free = left.iter().map(|volume| format!("`pvesm free {volume}`")).collect::<Vec<_>>().join(", ");
            self.noticed(format!(
                "volumes that its configuration did not name stay: {}; {free} erases what is of no use",
                left.join(", ")
            ));
        }
        self.forget_it();
        Ok(self.action.outcome)
    }

    /// Notes that a VM that is off gets what waits for its next start, whatever starts it: what cloud-init tells its
    /// guest, and options of its disks.
    fn will_boot(&mut self, live: &VmObserved) -> Result<(), Failure> {
        if live.record.valid().is_some_and(|record| record.unread || !record.late.is_empty()) {
            self.write_record(&|record| {
                record.unread = false;
                record.late.clear();
            })?;
        }
        Ok(())
    }

    /// Asks the guest to shut down and waits until the VM is off. By force only where the plan says so; the HA manager
    /// uses force by itself.
    pub(super) fn switch_off(&self, live: &VmObserved) -> Result<(), Failure> {
        let off = || self.live().map(|live| if live.running { Holds::No } else { Holds::Yes });
        let is_ha = live.is_ha();
        self.must_not_have_given_up(live)?;
        let mut asked = self.host(&HostOp::Shutdown { vm: self.id() }, &off);
        if asked.is_ok() && is_ha {
            // What is left is for the stop by force.
            let left = self.remaining() / 3 * if self.vm.force_stop { 2 } else { 3 };
            asked = self.ha_does(("shut down", self.by.clock.now() + left), &|live| !live.running);
        }
        let found = if asked.is_ok() { self.afterwards(off())? } else { off().ok() };
        let refused = match (asked, found) {
            (_, Some(Holds::Yes)) | (Ok(()), None) => return Ok(()),
            // Nothing is done by force to a VM that cannot be looked at.
            (Err(failure), None) => return Err(failure),
            (Err(failure), Some(_)) => failure,
            (Ok(()), Some(_)) => failure(format!("VM {} did not shut down", self.id()), Some(hints::NO_SHUTDOWN)),
        };
        if !self.vm.force_stop {
            return Err(refused);
        }
        self.noticed(format!("stopped by force: {}", refused.error));
        self.host(&HostOp::Stop { vm: self.id() }, &off)?;
        if is_ha {
            return self.ha_does(("stop", self.deadline), &|live| !live.running);
        }
        if self.afterwards(off())? == Some(Holds::No) {
            return Err(failure(format!("VM {} still runs after it was stopped", self.id()), None));
        }
        Ok(())
    }

    /// Starts the VM, of which `off` is known, whose guest reads then what cloud-init tells it. One that runs all the
    /// same when the start was refused, another process has started meanwhile.
    fn switch_on(&mut self, off: Option<&VmObserved>, is_ha: bool) -> Result<Outcome, Failure> {
        if let Some(off) = off {
            self.must_not_have_given_up(off)?;
            self.will_boot(off)?;
        }
        let runs = || self.live().map(|live| if live.running { Holds::Yes } else { Holds::No });
        match self.host(&HostOp::Start { vm: self.id() }, &runs) {
            Ok(()) if is_ha => {
                self.ha_does(("start", self.deadline), &|live| live.running)?;
                Ok(self.action.outcome)
            }
            Ok(()) => Ok(self.action.outcome),
            Err(_) if runs().is_ok_and(|runs| runs == Holds::Yes) => Ok(Outcome::NoOp),
            Err(failure) => Err(failure),
        }
    }
}
