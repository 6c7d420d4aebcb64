//! A VM's plan in the making.

use std::sync::Arc;

use super::guest;
use crate::diag::{Diagnostic, Severity, has_errors};
use crate::model::{ActionKind, DesiredVm, Digest, Disruption, Outcome, Timeouts, VmId};
use crate::plan::{Action, Change, Earlier, Retired, Step, VmPlan, Waiting};

/// A VM's plan in the making.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
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
    /// The guest agent of the running VM is switched on only by a restart that is not planned: whatever its guest lacks
    /// is left open.
    pub(super) no_agent: bool,
    /// What is left open because of that.
    pub(super) open: Vec<String>,
    /// The VM has never been ready.
    pub(super) completing: bool,
    /// The file lets the guest agent be asked.
    asks_agent: bool,
    pub(super) timeouts: Timeouts,
    /// What is to be known of the VM, or stands in the way of doing anything to it.
    found: Vec<Diagnostic>,
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
            // As many as a VM has that stays as it is.
            actions: Vec::with_capacity(8),
            basis: None,
            retired: None,
            off: false,
            no_agent: false,
            open: Vec::new(),
            completing: false,
            asks_agent: declared.is_none_or(DesiredVm::asks_agent),
            timeouts: declared.map(|vm| vm.timeouts).unwrap_or_default(),
            found: Vec::new(),
        }
    }

    /// Notes what was found.
    pub(super) fn finds(&mut self, found: impl IntoIterator<Item = Diagnostic>) {
        self.found.extend(found);
    }

    /// What was found with this code stands in the way.
    pub(super) fn refuses(&mut self, code: &str) {
        self.found.iter_mut().filter(|found| found.code == code).for_each(|found| found.severity = Severity::Error);
    }

    /// Whether something that was found so far stands in the way.
    pub(super) fn is_refused(&self) -> bool {
        has_errors(&self.found)
    }

    /// The plan, and what was found; of a VM that is not to be what the file says, `desired` is `None`.
    pub(super) fn into_plan(self, desired: Option<Arc<DesiredVm>>) -> (VmPlan, Vec<Diagnostic>) {
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
        let (mut actions, mut changes) = (self.actions, self.changes);
        actions.shrink_to_fit();
        changes.shrink_to_fit();
        let plan = VmPlan {
            vm: self.vm,
            name: self.name,
            outcome,
            disruption,
            changes,
            waiting: self.waiting,
            actions,
            blocked: false,
            basis: self.basis.filter(|_| acts),
            force_stop: false,
            retired: self.retired,
            desired: desired.filter(|_| acts),
            completing: self.completing && acts,
            asks_agent: self.asks_agent,
        };
        (plan, self.found)
    }

    /// Why nothing is done in the guest, if that is so.
    pub(super) fn leaves_open(&self) -> Option<&'static str> {
        let no_agent = self.no_agent.then_some(guest::NO_AGENT);
        self.off.then_some(guest::LEFT_OPEN).or(no_agent)
    }

    /// Adds an action. What needs the guest of a VM that is not to run, or whose agent is off, is left open.
    pub(super) fn push(&mut self, action: Action) {
        let why = self.leaves_open().filter(|_| guest::is_inside(action.kind));
        // What is there already and would only be looked at is not open.
        let verifies = matches!(&action.step, Some(Step::Mount(step)) if step.verify);
        if why.is_some() && action.outcome.acts() && !verifies && !guest::only_prepares(action.kind) {
            self.open.push(action.title());
        }
        let action = match why {
            Some(why) => Action { subject: action.subject, ..Action::idle(action.kind, why) },
            None => action,
        };
        let timeout_seconds = action.kind.timeout_seconds(&self.timeouts);
        self.actions.push(Action { timeout_seconds, ..action });
    }

    /// Lets the first action that does something wait for what an earlier run began, as long as that may take.
    pub(super) fn awaits(&mut self, earlier: Option<Earlier>) {
        let first = self.actions.iter_mut().find(|action| action.outcome.acts());
        if let (Some(action), Some(earlier)) = (first, earlier) {
            action.timeout_seconds += earlier.kind().timeout_seconds(&self.timeouts);
            action.awaits = Some(earlier);
        }
    }

    /// Adds an action that does something.
    pub(super) fn does(&mut self, step: Step, outcome: Outcome, reason: &'static str) {
        self.push(Action::does(step, outcome, reason));
    }

    /// Adds an action that has nothing to do.
    pub(super) fn idle(&mut self, kind: ActionKind, reason: &'static str) {
        self.push(Action::idle(kind, reason));
    }
}
