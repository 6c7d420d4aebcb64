//! A VM's plan in the making.

use std::sync::Arc;

use super::guest;
use crate::model::{ActionKind, DesiredVm, Digest, Disruption, Outcome, Timeouts, VmId};
use crate::plan::{Action, Change, Retired, Task, VmPlan, Waiting};

/// A VM's plan in the making.
pub(in crate::plan) struct Draft {
    pub(super) vm: VmId,
    pub(super) name: String,
    pub(super) changes: Vec<Change>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) actions: Vec<Action>,
    pub(super) basis: Option<Digest>,
    pub(super) retired: Option<Box<Retired>>,
    /// The VM is not to run: whatever its guest lacks is left open.
    pub(super) off: bool,
    pub(super) timeouts: Timeouts,
}

impl Draft {
    pub(super) fn empty(vm: &DesiredVm) -> Self {
        Self { off: !vm.started, ..Self::of(vm.vm_id, vm.vm_name.clone(), Some(vm)) }
    }

    pub(super) fn of(vm: VmId, name: String, declared: Option<&DesiredVm>) -> Self {
        Self {
            vm,
            name,
            changes: Vec::new(),
            waiting: Vec::new(),
            actions: Vec::with_capacity(12),
            basis: None,
            retired: None,
            off: false,
            timeouts: declared.map(|vm| vm.timeouts).unwrap_or_default(),
        }
    }

    pub(super) fn into_plan(self, task: Option<Box<Task>>) -> VmPlan {
        let acts = self.actions.iter().any(|action| action.outcome.acts());
        let made = [ActionKind::Clone, ActionKind::CreateFromImage];
        let created = self.actions.iter().any(|a| made.contains(&a.kind) && a.outcome == Outcome::Create);
        let outcome = if self.retired.is_some() {
            Outcome::Destroy
        } else if created {
            Outcome::Create
        } else if acts {
            Outcome::Update
        } else {
            Outcome::NoOp
        };
        let disruption = self.actions.iter().map(|a| a.disruption).max().unwrap_or(Disruption::None);
        VmPlan {
            vm: self.vm,
            name: self.name,
            outcome,
            disruption,
            changes: self.changes,
            waiting: self.waiting,
            actions: self.actions,
            blocked: false,
            basis: self.basis.filter(|_| acts),
            force_stop: false,
            retired: self.retired,
            task: task.filter(|_| acts),
        }
    }

    pub(super) fn push(&mut self, kind: ActionKind, outcome: Outcome, reason: &'static str) {
        self.push_about(kind, None, outcome, reason, Disruption::None);
    }

    pub(super) fn push_about(
        &mut self,
        kind: ActionKind,
        subject: Option<Arc<str>>,
        outcome: Outcome,
        reason: &'static str,
        disruption: Disruption,
    ) {
        let (outcome, reason) =
            if self.off && guest::is_inside(kind) { (Outcome::NoOp, guest::LEFT_OPEN) } else { (outcome, reason) };
        let disruption = if outcome.acts() { disruption } else { Disruption::None };
        let timeout_seconds = kind.timeout_seconds(&self.timeouts);
        self.actions.push(Action { kind, subject, outcome, reason, disruption, timeout_seconds });
    }
}
