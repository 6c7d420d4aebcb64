//! Switching VMs on and off, and their end.

use super::failure::{failure, stale};
use super::hints;
use super::host::Holds;
use super::perform::Performing;
use crate::event::Failure;
use crate::hypervisor::HostOp;
use crate::model::Outcome;
use crate::observed::VmObserved;

impl Performing<'_> {
    pub(super) fn start(&mut self) -> Result<Outcome, Failure> {
        let live = self.live()?;
        if live.running {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        let outcome = self.switch_on(Some(&live))?;
        // A start applies what was pending.
        self.leave()?;
        Ok(outcome)
    }

    pub(super) fn restart(&mut self) -> Result<Outcome, Failure> {
        let live = self.live()?;
        self.must_not_have_moved(&live)?;
        if live.running {
            self.switch_off()?;
            // A stop applies what was pending, whatever set it.
            self.leave()?;
        }
        // Whatever cannot be looked at now: a VM that was shut down to be started again is started.
        let off = if live.running { self.afterwards(self.live())? } else { Some(live) };
        self.switch_on(off.as_ref())?;
        self.leave()?;
        let waiting = self.afterwards(self.live())?.map(|live| live.pending).unwrap_or_default();
        if !waiting.is_empty() {
            self.noticed(format!("still waits after the restart: {}", self.waiting_keys(&waiting)));
        }
        Ok(self.action.outcome)
    }

    pub(super) fn stop(&mut self) -> Result<Outcome, Failure> {
        let live = self.live()?;
        if !live.running {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        self.switch_off()?;
        self.leave()?;
        if let Some(live) = self.afterwards(self.live())? {
            self.will_boot(&live)?;
        }
        Ok(self.action.outcome)
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

    /// Notes that the guest of a VM that is off reads what cloud-init tells it, whatever starts it.
    fn will_boot(&mut self, live: &VmObserved) -> Result<(), Failure> {
        if live.record.valid().is_some_and(|record| record.unread) {
            self.write_record(&|record| record.unread = false)?;
        }
        Ok(())
    }

    /// Asks the guest to shut down and waits until the VM is off. By force only where the plan says so.
    pub(super) fn switch_off(&self) -> Result<(), Failure> {
        let off = || self.live().map(|live| if live.running { Holds::No } else { Holds::Yes });
        let asked = self.host(&HostOp::Shutdown { vm: self.id() }, &off);
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
        if self.afterwards(off())? == Some(Holds::No) {
            return Err(failure(format!("VM {} still runs after it was stopped", self.id()), None));
        }
        Ok(())
    }

    /// Starts the VM, of which `off` is known, whose guest reads then what cloud-init tells it. One that runs all the
    /// same when the start was refused, another process has started meanwhile.
    fn switch_on(&mut self, off: Option<&VmObserved>) -> Result<Outcome, Failure> {
        if let Some(off) = off {
            self.will_boot(off)?;
        }
        let runs = || self.live().map(|live| if live.running { Holds::Yes } else { Holds::No });
        match self.host(&HostOp::Start { vm: self.id() }, &runs) {
            Ok(()) => Ok(self.action.outcome),
            Err(_) if runs().is_ok_and(|runs| runs == Holds::Yes) => Ok(Outcome::NoOp),
            Err(failure) => Err(failure),
        }
    }
}
