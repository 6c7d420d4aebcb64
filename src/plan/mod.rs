//! The plan: what would be done, and why, as a value.
//!
//! Pure. Same values in, same bytes out; there is no other input. The plan holds the whole graph, so apply has nothing
//! left to decide: it only walks it.

mod action;
mod addresses;
mod change;
mod cloud_init;
pub mod codes;
mod context;
mod diff;
mod disk;
pub mod document;
mod drift;
mod existing;
mod grants;
mod image;
pub mod import;
pub mod lint;
mod order;
mod preflight;
mod select;
mod staging;
pub mod status;
mod steps;
mod task;
mod template;
mod verified;
mod volumes;
mod without;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::dag::{Cycle, Dag};
use crate::diag::Diagnostic;
use crate::model::{ActionKind, Desired, Digest, Disruption, Outcome, VmId};
use crate::observed::Observed;

pub use action::Action;
pub use change::{Change, ChangedBy, Waiting};
pub use context::{CONTEXT_FILE, vm_context};
pub(crate) use existing::leftover;
pub(crate) use preflight::unlocking;
pub use select::{Selection, Selector};
pub use task::{CloneTask, FeatureScript, Leftover, Retired, Source, StagedFile, Task};
pub use verified::{to_ask, to_verify};
pub use volumes::{Mount, directories, more_directories};

/// Everything that would be done to a target, action by action.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The project the plan acts for.
    pub project: String,
    /// How many VMs the config declares, selected or not.
    pub declared: usize,
    /// The selected VMs, by VMID.
    pub vms: Vec<VmPlan>,
    /// What is wrong, or good to know. With an error among them, nothing is applied.
    pub problems: Vec<Diagnostic>,
    /// What each action waits for; actions are numbered through the VMs in order (see [`Plan::action`]).
    pub graph: Dag,
    /// Number of each VM's first action, and at the end the number of all actions.
    first: Vec<usize>,
}

/// What would be done to one VM.
///
/// Serialised, it is what people agree to: whatever a field says counts, unless it says why not.
#[derive(Debug, Clone, Serialize)]
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
    /// What goes with the VM, if it goes.
    pub retired: Option<Box<Retired>>,
    /// What apply needs to make the VM what is wished; `None` when nothing of that acts.
    pub task: Option<Box<Task>>,
}

/// Everything a flag can change about planning.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of planning")]
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Which VMs are planned.
    pub selection: Selection,
    /// VMs with values that wait for a restart are restarted.
    pub restart: bool,
    /// Guests that do not shut down are stopped by force.
    pub force_stop: bool,
    /// Sources of disks that are moved are erased.
    pub delete_source: bool,
    /// A snapshot is taken of each VM before it is disturbed, and removed when it is ready again.
    pub snapshot: bool,
    /// Features that run again although they ran.
    pub rerun: Vec<String>,
    /// Directories of the node that VMs may have, beyond what the node allows itself.
    pub allow_host_paths: Vec<String>,
    /// What is to be done.
    pub goal: Goal,
    /// Whatever is done was agreed to VM by VM: nothing has to guard against a file that somebody emptied.
    pub agreed: bool,
}

/// What a plan is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// The VMs become what the config says.
    Config {
        /// VMs of the project that it no longer declares go.
        prune: bool,
        /// So many of them may go although that is more than half of the project's VMs.
        prune_many: Option<usize>,
    },
    /// These VMs go.
    Destroy(Vec<VmId>),
    /// These VMs go back to a snapshot of phoenix's own: the one of this name, or their only one.
    Rollback(Option<String>, Vec<VmId>),
    /// These VMs are started, stopped or restarted.
    Power(Power, Vec<VmId>),
}

impl Default for Goal {
    fn default() -> Self {
        Self::Config { prune: false, prune_many: None }
    }
}

/// What is done to the power of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It is started, and its guest agent waited for.
    Start,
    /// It is stopped.
    Stop,
    /// It is stopped and started.
    Restart,
}

/// Plans: compares what is desired with what was observed.
///
/// Problems are collected, not returned as an error: a plan with errors still shows everything else.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut problems = Vec::new();
    let templates = observed.templates_by_name();
    let names = observed.names();
    let exports = steps::Exports::of(observed);
    let going: BTreeSet<VmId> = match &policy.goal {
        Goal::Destroy(ids) => ids.iter().copied().collect(),
        Goal::Config { prune: true, .. } => {
            select::undeclared(desired, observed, &policy.selection).iter().map(|vm| vm.id).collect()
        }
        _ => BTreeSet::new(),
    };
    let scene = steps::Scene {
        desired,
        observed,
        templates: &templates,
        names: &names,
        exports: &exports,
        grants: &grants::Grants::of(desired, observed, &policy.allow_host_paths),
        restart: policy.restart,
        delete_source: policy.delete_source,
        snapshot: policy.snapshot,
        rerun: &policy.rerun,
        going: &going,
        addresses: &addresses::taken(desired, observed),
    };
    let mut vms: Vec<VmPlan> = match &policy.goal {
        Goal::Config { prune, prune_many } => {
            grants::broken(observed, &mut problems);
            let selected = select::with_dependencies(desired, &policy.selection, observed, &mut problems);
            let mut vms: Vec<VmPlan> = selected.iter().map(|vm| steps::plan_vm(vm, &scene, &mut problems)).collect();
            disk::capacity(desired, &vms, observed, &mut problems);
            let gone = select::undeclared(desired, observed, &policy.selection);
            if *prune {
                let many = if policy.agreed { Some(gone.len()) } else { *prune_many };
                preflight::pruned(desired, observed, &gone, many, &mut problems);
                vms.extend(gone.iter().map(|vm| steps::retire::plan_retired(vm.id, &scene, &mut problems)));
                vms.sort_by_key(|vm| vm.vm);
            } else {
                for vm in gone {
                    preflight::undeclared(vm, &desired.settings.project, &mut problems);
                }
            }
            vms
        }
        Goal::Destroy(_) => going.iter().map(|vm| steps::retire::plan_retired(*vm, &scene, &mut problems)).collect(),
        Goal::Rollback(to, ids) => {
            let ids: BTreeSet<VmId> = ids.iter().copied().collect();
            let to = to.as_deref();
            ids.into_iter().map(|vm| steps::snapshot::plan_rollback(vm, to, &scene, &mut problems)).collect()
        }
        Goal::Power(power, ids) => {
            let ids: BTreeSet<VmId> = ids.iter().copied().collect();
            ids.into_iter().map(|vm| steps::power::plan_power(vm, *power, &scene, &mut problems)).collect()
        }
    };
    let in_error: BTreeSet<VmId> =
        problems.iter().filter(|problem| problem.is_error()).filter_map(|problem| problem.vm).collect();
    for vm in &mut vms {
        vm.blocked = in_error.contains(&vm.vm);
        vm.force_stop = policy.force_stop;
    }
    grants::notices(&vms, observed, &mut problems);
    // Whoever depends on a VM stops before it.
    let backwards = matches!(policy.goal, Goal::Destroy(_) | Goal::Power(Power::Stop, _));
    assemble(desired, observed, vms, backwards, problems)
}

fn assemble(
    desired: &Desired,
    observed: &Observed,
    vms: Vec<VmPlan>,
    backwards: bool,
    mut problems: Vec<Diagnostic>,
) -> Plan {
    let mut first = Vec::with_capacity(vms.len() + 1);
    let mut edges = Vec::with_capacity(vms.len() * 12);
    let mut number = 0;
    for vm in &vms {
        first.push(number);
        order::edges(&vm.actions, number, &mut edges);
        number += vm.actions.len();
    }
    first.push(number);
    order::between_vms(desired, &vms, &first, backwards, &mut edges);
    order::clones_first(observed, &vms, &first, &mut edges);
    order::one_after_the_other(desired, observed, &vms, &first, &mut edges, &mut problems);
    let graph = Dag::new(number, &edges).unwrap_or_else(|Cycle(ring)| {
        // The config refuses rings, so this is for callers that made their wishes themselves.
        let vm = ring.first().map(|action| vms[first.partition_point(|first| first <= action) - 1].vm);
        let ring = Diagnostic::error(codes::DEPENDENCY_RING, "VMs wait for each other in a ring");
        problems.push(Diagnostic { vm, ..ring.hint("take one of them out of `depends_on`") });
        Dag::default()
    });
    // Errors first; within a severity by VM, then by code: the order users read, whatever order they arose in.
    problems.sort_by(|a, b| (a.severity, a.vm, a.code, &a.message).cmp(&(b.severity, b.vm, b.code, &b.message)));
    Plan { project: desired.settings.project.clone(), declared: desired.vms.len(), vms, problems, graph, first }
}

impl VmPlan {
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

    /// Position in [`Plan::vms`] of the VM that an action belongs to.
    #[must_use]
    pub fn vm_index(&self, number: usize) -> usize {
        self.first.partition_point(|first| *first <= number) - 1
    }

    /// Positions in [`Plan::vms`], by VMID, except that each VM comes after those whose actions its own wait for.
    #[must_use]
    pub fn in_order(&self) -> Vec<usize> {
        order::in_order(self)
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

    /// VMs that need a restart, which this plan does or leaves to somebody.
    #[must_use]
    pub fn restarts_needed(&self) -> usize {
        self.vms.iter().filter(|vm| !vm.blocked && vm.disruption == Disruption::Restart).count()
    }

    /// VMs with values that still wait for a restart when everything planned is done.
    #[must_use]
    pub fn restarts_left(&self) -> usize {
        let restarts = |vm: &VmPlan| vm.actions.iter().any(|action| action.kind == ActionKind::Restart);
        let waits = |vm: &&VmPlan| vm.disruption == Disruption::Restart || !vm.waiting.is_empty();
        self.vms.iter().filter(|vm| !vm.blocked).filter(waits).filter(|vm| !restarts(vm)).count()
    }
}
