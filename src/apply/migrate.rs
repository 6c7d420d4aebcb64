//! Moving a VM to another node.

use super::failure::failure;
use super::hints;
use super::host::Holds;
use super::perform::Performing;
use crate::event::Failure;
use crate::hypervisor::HostOp;
use crate::model::{ActionKind, Outcome};
use crate::plan::MigrateStep;

impl Performing<'_> {
    /// Moves the VM, after a last look whether it is still the one that was planned, and counts it as moved when its
    /// configuration answers on the other node. One that was to be started behind the move stays off if that fails,
    /// which the failure says.
    pub(super) fn migrate(&mut self, step: &MigrateStep) -> Result<Outcome, Failure> {
        let starts = self.vm.actions.iter().any(|action| action.kind == ActionKind::Start && action.outcome.acts());
        self.brought(step).map_err(|failure| {
            let off = format!("VM {} is off; `phoenix start {}` starts it where it is", self.id(), self.id());
            let hint = match &failure.hint {
                hint if !starts => hint.clone(),
                None => Some(off),
                Some(hint) => Some(format!("{hint}; {off}")),
            };
            Failure { hint, ..failure }
        })
    }

    fn brought(&mut self, step: &MigrateStep) -> Result<Outcome, Failure> {
        let id = self.id();
        let live = self.live()?;
        if live.node == step.node {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        if let Some(work) = self.ask(|hypervisor| hypervisor.working(id))? {
            let what = format!("a task is working on the disks of VM {id} ({work})");
            return Err(failure(what, Some(hints::WAIT_AND_APPLY)));
        }
        // It may have been started or stopped since.
        let (node, online) = (step.node.clone(), live.running);
        if online && !step.online {
            let what = format!("VM {id} runs now; the plan said that it moves while it is off");
            return Err(super::failure::stale(what, hints::PLAN_AGAIN));
        }
        self.must_not_have_given_up(&live)?;
        let is_ha = live.is_ha();
        let op = HostOp::Migrate { vm: id, node, online, digest: live.digest };
        self.host(&op, &|| {
            let live = self.live()?;
            let there = live.node == step.node && live.lock.is_none();
            if there {
                return Ok(Holds::Yes);
            }
            let moving =
                live.lock.as_deref() == Some("migrate") || self.ask(|hypervisor| hypervisor.working(id))?.is_some();
            if moving {
                return Ok(Holds::NotYet);
            }
            // It may have ended between the two looks.
            Ok(if self.live()?.node == step.node { Holds::Yes } else { Holds::No })
        })?;
        if is_ha {
            self.ha_does(("move", self.deadline), &|live| live.node == step.node && live.lock.is_none())?;
        }
        let now = self.live()?;
        if now.node != step.node {
            let what = format!("VM {id} is still on node `{}`, though the target reported success", now.node);
            return Err(failure(what, Some(hints::LOOK_AT_TASK_LOG)));
        }
        self.leave()?;
        Ok(self.action.outcome)
    }
}
