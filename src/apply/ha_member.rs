//! Putting VMs under the HA manager, and taking them out.

use super::failure::{failure, stale};
use super::hints;
use super::host::Holds;
use super::perform::Performing;
use crate::event::Failure;
use crate::hypervisor::HostOp;
use crate::model::{HaState, HaWish, Key, Outcome, is_kept, kept};
use crate::observed::{Ha, VmObserved};
use crate::plan::HaStep;

impl Performing<'_> {
    /// Puts the VM under the HA manager, or changes how it looks after it, after a last look whether that is still what
    /// was planned.
    pub(super) fn set_ha(&mut self, step: &HaStep) -> Result<Outcome, Failure> {
        let id = self.id();
        let live = self.live()?;
        // What another process or an administrator put there since is not phoenix's to take out again.
        let is_own = live.record.valid().is_some_and(|record| record.ha);
        if is_so(&live, &step.ha) && (step.from.is_some() || is_own) {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        // No digest covers it.
        if !is_as_planned(&live, step.from.as_ref()) {
            let now = live.ha.as_ref().map_or_else(|| "does not look after it".to_owned(), said);
            return Err(stale(
                format!("VM {id} changed since the plan: the HA manager {now}"),
                hints::LOOK_WHAT_DIFFERS,
            ));
        }
        // That is the way out of it.
        if step.ha.state != HaState::Disabled {
            self.must_not_have_given_up(&live)?;
        }
        let is_new = live.ha.is_none();
        // It counts as applied when the record says so in the end, and as put there by phoenix from before it is there,
        // wherever that is interrupted.
        let desired = step.ha.text();
        let is_other = |key: &str, value: &str| key == Key::Ha.name() && !is_kept(value, &kept(&desired));
        self.write_record(&|record| {
            record.applied.retain(|key, value| !is_other(key, value));
            record.ha |= is_new;
        })?;
        let op = HostOp::SetHa { vm: id, ha: step.ha, is_new };
        let made = self.host(&op, &|| Ok(if is_so(&self.live()?, &step.ha) { Holds::Yes } else { Holds::No }));
        if let Err(refused) = made {
            if is_new && !is_own && !refused.may_have_happened {
                self.take_back(&|record| record.ha = false);
            }
            return Err(refused);
        }
        let now = self.live()?;
        if !is_so(&now, &step.ha) {
            let now = now.ha.as_ref().map_or_else(|| "does not look after it".to_owned(), said);
            let what = format!("the HA manager {now}, though the target reported success: VM {id}");
            return Err(failure(what, Some(hints::PLAN_AGAIN)));
        }
        self.found(now);
        Ok(self.action.outcome)
    }

    /// Takes the VM out of the HA manager.
    pub(super) fn leave_ha(&mut self) -> Result<Outcome, Failure> {
        let id = self.id();
        let live = self.live()?;
        if live.ha.is_none() {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        if !live.record.valid().is_some_and(|record| record.ha) {
            let what = format!("the record of VM {id} no longer says that phoenix put it under the HA manager");
            return Err(stale(what, &hints::leave_ha(id)));
        }
        let left = || Ok(if self.live()?.ha.is_none() { Holds::Yes } else { Holds::No });
        self.host(&HostOp::LeaveHa { vm: id }, &left)?;
        let now = self.live()?;
        if let Some(ha) = &now.ha {
            let what = format!("the HA manager {}, though the target reported success: VM {id}", said(ha));
            return Err(failure(what, Some(hints::PLAN_AGAIN)));
        }
        self.found(now);
        Ok(self.action.outcome)
    }
}

fn is_so(live: &VmObserved, wish: &HaWish) -> bool {
    live.ha.as_ref().is_some_and(|ha| ha.text() == wish.text())
}

/// Whether the HA manager looks after the VM as it did when that was planned, but for a start or a stop of this run,
/// with which Proxmox sets the state.
fn is_as_planned(live: &VmObserved, from: Option<&Ha>) -> bool {
    let (Some(now), Some(from)) = (&live.ha, from) else { return live.ha.is_none() && from.is_none() };
    let switched = Ha { state: if live.running { "started" } else { "stopped" }.to_owned(), ..from.clone() };
    [from.text(), switched.text()].contains(&now.text())
}

fn said(ha: &Ha) -> String {
    format!("keeps it `{}`", ha.text())
}
