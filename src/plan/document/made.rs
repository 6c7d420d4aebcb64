//! The document of a plan: how it is made.

use std::borrow::Cow;
use std::sync::Arc;

use super::agreed::named;
use super::{
    DOCUMENT_VERSION, DocumentAction, DocumentChange, DocumentCluster, DocumentConfig, DocumentOperands,
    DocumentProblem, DocumentSummary, DocumentTarget, DocumentVm, DocumentWaiting, PlanDocument,
};
use crate::diag::Diagnostic;
use crate::model::{Desired, VmId};
use crate::plan::{Capacity, Plan, Request, Step, VmPlan};

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
        let mut number = 0;
        let ids: Vec<Arc<str>> =
            plan.vms.iter().flat_map(|vm| vm.actions.iter().map(|action| action.id(vm.vm).into())).collect();
        let vms = plan.vms.iter().map(|vm| {
            let first = number;
            number += vm.actions.len();
            document_vm(plan, vm, first, &ids)
        });
        let problems = plan.problems.iter().map(DocumentProblem::from);
        let Provenance { target, config, request } = provenance;
        let vms: Vec<DocumentVm> = vms.collect();
        let ids = || plan.vms.iter().map(|vm| vm.vm);
        let of_capacity = |capacity: &Capacity| DocumentCluster::of(capacity, ids(), capacity.on(ids(), true));
        let cluster = plan.capacity.as_deref().map(of_capacity);
        let summary = DocumentSummary { declared: plan.declared, ..DocumentSummary::of(&vms) };
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
            vms,
            cluster,
            problems: problems.collect(),
        };
        document.hash = document.agreed();
        document
    }
}

fn document_vm(plan: &Plan, vm: &VmPlan, first: usize, ids: &[Arc<str>]) -> DocumentVm {
    let changes = vm.changes.iter().map(|change| DocumentChange {
        key: Cow::Borrowed(change.key),
        old: change.old.clone(),
        new: change.new.clone(),
        origin: change.origin.clone(),
        disruption: change.disruption,
        note: change.note.clone(),
        changed_by: change.by,
        applied: change.applied.clone(),
    });
    let waiting = vm.waiting.iter().map(|waiting| DocumentWaiting {
        option: waiting.option.clone(),
        key: Some(waiting.key.clone()),
        active: waiting.active.clone(),
        pending: waiting.pending.clone(),
    });
    let actions = vm.actions.iter().enumerate().map(|(at, action)| DocumentAction {
        id: Arc::clone(&ids[first + at]),
        kind: action.kind,
        subject: action.subject.clone(),
        outcome: action.outcome,
        reason: Cow::Borrowed(action.reason),
        disruption: action.disruption,
        timeout_seconds: action.timeout_seconds,
        awaits: action.awaits.as_ref().map(|earlier| earlier.as_str().to_owned()),
        with: action.step.as_ref().and_then(DocumentOperands::of),
        after: plan.graph.dependencies(first + at).into_iter().map(|other| Arc::clone(&ids[other])).collect(),
    });
    DocumentVm {
        vm: vm.vm.get(),
        name: vm.name.clone(),
        outcome: vm.outcome,
        disruption: vm.disruption,
        restart: vm.restart_due(),
        blocked: vm.blocked,
        basis: vm.basis.as_ref().map(|digest| digest.0.clone()),
        fingerprint: named(vm),
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
