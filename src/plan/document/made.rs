//! The document of a plan: how it is made.

use std::borrow::Cow;
use std::sync::Arc;

use super::agreed::named;
use super::{
    DOCUMENT_VERSION, DocumentAction, DocumentChange, DocumentCluster, DocumentConfig, DocumentOperands,
    DocumentProblem, DocumentSummary, DocumentTarget, DocumentValue, DocumentVm, DocumentWaiting, PlanDocument,
};
use crate::diag::Diagnostic;
use crate::model::{Desired, VmId};
use crate::plan::{Capacity, Change, Plan, Request, Step, VmPlan};

/// What a document says of a plan beside the plan itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Where it would be done.
    pub target: DocumentTarget,
    /// What it was made from.
    pub config: DocumentConfig,
    /// What was asked for.
    pub request: Request,
}

/// SHA-256 of what a config says, however it is written: [`DocumentConfig::meaning`](super::DocumentConfig::meaning).
#[must_use]
pub fn meaning(desired: &Desired) -> String {
    named(desired)
}

impl From<&Diagnostic> for DocumentProblem {
    fn from(problem: &Diagnostic) -> Self {
        Self {
            severity: problem.severity.as_str().to_owned(),
            code: problem.code.to_owned(),
            vm: problem.vm.map(VmId::get),
            name: problem.name.clone(),
            keys: problem.keys.iter().map(|key| (*key).to_owned()).collect(),
            message: problem.whole(),
            hint: problem.hint.clone(),
        }
    }
}

impl PlanDocument {
    /// The document of a plan.
    #[must_use]
    pub fn of(plan: &Plan, provenance: Provenance) -> Self {
        let ids = ids(plan);
        let vm = |(vm, first): (&VmPlan, &usize)| {
            document_vm(vm, vm.changes.clone(), named(vm), &after(plan, *first, &ids), true)
        };
        let vms = plan.vms.iter().zip(&plan.first).map(vm).collect();
        Self::with(plan, vms, provenance)
    }

    /// The document of a plan of which nothing else is needed any more, and what the plan found. The two are never
    /// there whole at once: a plan of ten thousand VMs is tens of MiB.
    ///
    /// `operands`: with what actions take, [`DocumentAction::with`], which people do not see.
    #[must_use]
    pub fn instead_of(mut plan: Plan, provenance: Provenance, operands: bool) -> (Self, Vec<Diagnostic>) {
        let ids = ids(&plan);
        let mut vms = Vec::with_capacity(plan.vms.len());
        for (mut vm, first) in std::mem::take(&mut plan.vms).into_iter().zip(&plan.first) {
            let fingerprint = named(&vm);
            let changes = std::mem::take(&mut vm.changes);
            vms.push(document_vm(&vm, changes, fingerprint, &after(&plan, *first, &ids), operands));
        }
        (Self::with(&plan, vms, provenance), plan.problems)
    }

    /// The document of these VMs with everything else that a plan says.
    fn with(plan: &Plan, vms: Vec<DocumentVm>, provenance: Provenance) -> Self {
        let problems = plan.problems.iter().map(DocumentProblem::from);
        let Provenance { target, config, request } = provenance;
        let summary = DocumentSummary { declared: plan.declared, ..DocumentSummary::of(&vms) };
        let ids = || vms.iter().filter_map(|vm| VmId::try_from(vm.vm).ok());
        let of_capacity = |capacity: &Capacity| DocumentCluster::of(capacity, ids(), capacity.on(ids(), true));
        let mut document = Self {
            format_version: DOCUMENT_VERSION,
            phoenix: env!("CARGO_PKG_VERSION").to_owned(),
            digest: String::new(),
            hash: String::new(),
            target,
            config,
            request,
            project: plan.project.clone(),
            summary,
            cluster: plan.capacity.as_deref().map(of_capacity),
            vms,
            problems: problems.collect(),
        };
        document.hash = document.agreed();
        document
    }
}

/// The ids of all actions, by their numbers.
fn ids(plan: &Plan) -> Vec<Arc<str>> {
    plan.vms.iter().flat_map(|vm| vm.actions.iter().map(|action| action.id(vm.vm).into())).collect()
}

/// The id of an action of a VM, by its place there, and those of the actions that it waits for. The VM's first action
/// has this number.
fn after<'p>(
    plan: &'p Plan,
    first: usize,
    ids: &'p [Arc<str>],
) -> impl Fn(usize) -> (Arc<str>, Vec<Arc<str>>) + use<'p> {
    move |at| {
        let after = plan.graph.dependencies(first + at).into_iter().map(|other| Arc::clone(&ids[other]));
        (Arc::clone(&ids[first + at]), after.collect())
    }
}

/// The plan of a VM, with its changes and its fingerprint; `order` as [`after`] says it, `operands` as
/// [`PlanDocument::instead_of`] takes it.
fn document_vm(
    vm: &VmPlan,
    changes: Vec<Change>,
    fingerprint: String,
    order: &dyn Fn(usize) -> (Arc<str>, Vec<Arc<str>>),
    operands: bool,
) -> DocumentVm {
    let changes = changes.into_iter().map(|change| DocumentChange {
        key: Cow::Borrowed(change.key),
        old: change.old.map(|old| DocumentValue::of(change.key, old)),
        new: DocumentValue::of(change.key, change.new),
        origin: change.origin,
        disruption: change.disruption,
        note: change.note,
        changed_by: change.by,
        applied: change.applied.map(|applied| DocumentValue::of(change.key, applied)),
    });
    let waiting = vm.waiting.iter().map(DocumentWaiting::from);
    let actions = vm.actions.iter().enumerate().map(|(at, action)| {
        let (id, after) = order(at);
        DocumentAction {
            id,
            kind: action.kind,
            subject: action.subject.clone(),
            outcome: action.outcome,
            reason: Cow::Borrowed(action.reason),
            disruption: action.disruption,
            timeout_seconds: action.timeout_seconds,
            awaits: action.awaits.as_ref().map(|earlier| earlier.as_str().to_owned()),
            with: action.step.as_ref().filter(|_| operands).and_then(DocumentOperands::of),
            after,
        }
    });
    DocumentVm {
        vm: vm.vm.get(),
        name: vm.name.clone(),
        outcome: vm.outcome,
        disruption: vm.disruption,
        restart: vm.restart_due(),
        blocked: vm.blocked,
        basis: vm.basis.as_ref().map(|digest| digest.0.clone()),
        fingerprint,
        changes: changes.collect(),
        waiting: waiting.collect(),
        erases: erased(vm),
        keeps: vm.retired.as_ref().map(|retired| retired.keeps.clone()).unwrap_or_default(),
        force_stop: vm.stops_by_force(),
        actions: actions.collect(),
    }
}

/// What is erased: with a VM that goes, or of one that stays.
fn erased(vm: &VmPlan) -> Vec<String> {
    let unused = vm.actions.iter().filter_map(|action| match &action.step {
        Some(Step::DeleteUnused(step)) => Some(step.words()),
        _ => None,
    });
    vm.retired.iter().flat_map(|retired| retired.erases.clone()).chain(unused).collect()
}
