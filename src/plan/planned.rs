//! A plan, as a value.

use std::sync::Arc;

use serde::Serialize;

use super::{Action, Capacity, Change, Retired, Step, Waiting};
use crate::dag::Dag;
use crate::diag::Diagnostic;
use crate::model::{ActionKind, DesiredVm, Digest, Disruption, Outcome, RestartDue, VmId};

/// Everything that would be done to a target, action by action.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The project the plan acts for.
    pub project: String,
    /// How many VMs the config declares, selected or not.
    pub declared: usize,
    /// The selected VMs, by VMID.
    pub vms: Vec<VmPlan>,
    /// The image storages of the node that were active when it was looked at: where volumes of VMs that are to be made
    /// may lie already.
    pub image_storages: Vec<String>,
    /// What the nodes of a cluster have, and what the plan changes of that; `None`: the target has one node.
    pub capacity: Option<Box<Capacity>>,
    /// What is wrong, or good to know. With an error among them, nothing is applied.
    pub problems: Vec<Diagnostic>,
    /// What each action waits for; actions are numbered through the VMs in order (see [`Plan::action`]).
    pub graph: Dag,
    /// Number of each VM's first action, and at the end the number of all actions.
    pub(super) first: Vec<usize>,
}

/// What would be done to one VM.
///
/// Serialised, it is what people agree to: whatever a field says counts, unless it says why not.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct VmPlan {
    /// VMID.
    pub vm: VmId,
    /// Name as declared.
    pub name: String,
    /// `create`: the VM is made; `update`: something about it changes; `no-op`.
    pub outcome: Outcome,
    /// The worst of its changes.
    pub disruption: Disruption,
    /// Values that change, in the order of the specification's table. For a new VM: all values.
    pub changes: Vec<Change>,
    /// Values that wait for a restart since an earlier change. Not a change of this plan.
    pub waiting: Vec<Waiting>,
    /// Its actions in the order in which they are done.
    pub actions: Vec<Action>,
    /// An error among the plan's problems is about it: nothing is done to it, nor to any other VM.
    pub blocked: bool,
    /// Digest of the configuration the plan was made from; `None`: there was no VM, or nothing acts. Not serialised: it
    /// holds apply to what was looked at last, and differs as soon as anybody writes a word into the VM's notes.
    #[serde(skip)]
    pub basis: Option<Digest>,
    /// A guest that does not shut down is stopped by force.
    pub force_stop: bool,
    /// What is lost and what stays, if the VM is destroyed.
    pub retired: Option<Box<Retired>>,
    /// The VM as the file has it; `None`: nothing acts, or the file does not say what is done.
    pub desired: Option<Arc<DesiredVm>>,
    /// Its guest agent is asked for something now and then. Not serialised: what is asked of it are actions.
    #[serde(skip)]
    pub asks_agent: bool,
    /// The VM has never been ready: whatever is done to it completes it.
    pub completing: bool,
}

impl VmPlan {
    /// Takes everything away that would be done or is said of its values: what is known of the VM is old.
    pub(super) fn leave_alone(&mut self) {
        self.outcome = Outcome::NoOp;
        self.disruption = Disruption::None;
        self.changes.clear();
        self.waiting.clear();
        self.actions.clear();
        (self.basis, self.retired, self.desired, self.completing) = (None, None, None, false);
    }

    /// When its values take effect that wait for a stop and start; `No` for a VM that is blocked.
    #[must_use]
    pub fn restart_due(&self) -> RestartDue {
        let acts = |kinds: &[ActionKind]| self.actions.iter().any(|a| a.outcome.acts() && kinds.contains(&a.kind));
        if self.blocked {
            RestartDue::No
        } else if acts(&[ActionKind::Restart]) || self.stops_to_move() {
            RestartDue::Now
        } else if acts(&[ActionKind::Stop, ActionKind::Start, ActionKind::ConvertToTemplate, ActionKind::Destroy]) {
            RestartDue::No
        } else if self.disruption == Disruption::Restart || !self.waiting.is_empty() {
            RestartDue::Later
        } else {
            RestartDue::No
        }
    }

    /// Whether the VM is shut down, moved to another node and started again.
    #[must_use]
    pub fn stops_to_move(&self) -> bool {
        let kinds = [ActionKind::Stop, ActionKind::Migrate, ActionKind::Start];
        kinds.iter().all(|kind| self.actions.iter().any(|action| action.kind == *kind && action.outcome.acts()))
            && self.retired.is_none()
    }

    /// Whether the VM itself is made.
    #[must_use]
    pub fn makes_it(&self) -> bool {
        self.actions.iter().any(|action| matches!(action.step, Some(Step::Clone(_) | Step::CreateFromImage(_))))
    }

    /// Whether one of its actions stops it by force, should its guest not shut down.
    #[must_use]
    pub fn stops_by_force(&self) -> bool {
        let stops = |action: &Action| {
            matches!(action.kind, ActionKind::Stop | ActionKind::Restart | ActionKind::ConvertToTemplate)
        };
        self.force_stop && self.actions.iter().any(|action| action.outcome.acts() && stops(action))
    }
}

impl Plan {
    /// Number of actions; they are numbered `0..len()`.
    #[must_use]
    pub fn action_count(&self) -> usize {
        self.first.last().copied().unwrap_or(0)
    }

    /// The action with a number, and its VM.
    #[must_use]
    pub fn action(&self, number: usize) -> (&VmPlan, &Action) {
        let vm = self.first.partition_point(|first| *first <= number) - 1;
        (&self.vms[vm], &self.vms[vm].actions[number - self.first[vm]])
    }

    /// The numbers of the actions of the VM at this position in [`Plan::vms`].
    #[must_use]
    pub fn actions_of(&self, at: usize) -> std::ops::Range<usize> {
        self.first[at]..self.first[at + 1]
    }

    /// Position in [`Plan::vms`] of the VM that an action belongs to.
    #[must_use]
    pub fn vm_index(&self, number: usize) -> usize {
        self.first.partition_point(|first| *first <= number) - 1
    }

    /// The stable id of an action, e.g. `1000/start`.
    #[must_use]
    pub fn action_id(&self, number: usize) -> String {
        let (vm, action) = self.action(number);
        action.id(vm.vm)
    }

    /// How many VMs have an outcome, blocked ones aside.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.vms.iter().filter(|vm| !vm.blocked && vm.outcome == outcome).count()
    }

    /// How many VMs are blocked.
    #[must_use]
    pub fn blocked(&self) -> usize {
        self.vms.iter().filter(|vm| vm.blocked).count()
    }

    /// Whether anything would be done.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.vms.iter().any(|vm| vm.outcome.acts())
    }

    /// Whether a problem forbids applying it.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.problems.iter().any(Diagnostic::is_error)
    }

    /// How many VMs have values that take effect at such a time, blocked ones aside.
    #[must_use]
    pub fn restarts(&self, due: RestartDue) -> usize {
        self.vms.iter().filter(|vm| vm.restart_due() == due).count()
    }
}
