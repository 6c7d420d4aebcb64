//! The document of a plan: how it is made, named, and compared with what holds now.

use serde::Serialize;

use super::{
    DOCUMENT_VERSION, DocumentAction, DocumentChange, DocumentProblem, DocumentSummary, DocumentVm, DocumentWaiting,
    Moved, PlanDocument, Provenance,
};
use crate::diag::Diagnostic;
use crate::model::{Outcome, VmId, content_digest};
use crate::plan::{Plan, VmPlan};

/// Names what a plan would do: actions and values. Two plans with the same hash do the same.
#[must_use]
pub fn hash(plan: &Plan) -> String {
    let vms: Vec<String> = plan.vms.iter().map(fingerprint).collect();
    named(&(&plan.project, vms))
}

/// Names what would be done to one VM.
fn fingerprint(vm: &VmPlan) -> String {
    let changes: Vec<_> = vm.changes.iter().map(|c| (c.key, &c.old, &c.new)).collect();
    let acting = vm.actions.iter().filter(|action| action.outcome.acts());
    let actions: Vec<_> = acting.map(|action| (action.kind, &action.subject, action.outcome)).collect();
    let from = vm
        .task
        .as_ref()
        .map(|task| (task.clone.as_ref().map(|c| &c.source), &task.record.features, &task.record.staged));
    let done = (vm.vm, &vm.name, vm.outcome, vm.blocked, changes, actions, from);
    // What cannot be taken back is named in full.
    match &vm.retired {
        None if !vm.stops_by_force() => named(&done),
        retired => named(&(done, vm.stops_by_force(), retired.as_ref().map(|r| (&r.erases, r.leftover.is_some())))),
    }
}

fn named(value: &impl Serialize) -> String {
    // Plain strings, numbers and maps with text keys: serialising them cannot fail.
    content_digest(&serde_json::to_vec(value).unwrap_or_default())
}

impl From<&Diagnostic> for DocumentProblem {
    fn from(problem: &Diagnostic) -> Self {
        Self {
            severity: problem.severity.as_str().to_owned(),
            code: problem.code.to_owned(),
            vm: problem.vm.map(VmId::get),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }
}

impl PlanDocument {
    /// The document of a plan.
    #[must_use]
    pub fn of(plan: &Plan, provenance: Provenance) -> Self {
        let mut number = 0;
        let vms = plan.vms.iter().map(|vm| {
            let first = number;
            number += vm.actions.len();
            document_vm(plan, vm, first)
        });
        let problems = plan.problems.iter().map(DocumentProblem::from);
        let Provenance { target, config, selection, restart, options } = provenance;
        Self {
            format_version: DOCUMENT_VERSION,
            phoenix: env!("CARGO_PKG_VERSION").to_owned(),
            hash: hash(plan),
            target,
            config,
            selection,
            restart,
            options,
            project: plan.project.clone(),
            summary: DocumentSummary {
                declared: plan.declared,
                create: plan.count(Outcome::Create),
                update: plan.count(Outcome::Update),
                destroy: plan.count(Outcome::Destroy),
                no_op: plan.count(Outcome::NoOp),
                blocked: plan.blocked(),
                restarts: plan.restarts_needed(),
            },
            vms: vms.collect(),
            problems: problems.collect(),
        }
    }

    /// The VMs for which this plan does not hold any more, seen against a plan made now.
    ///
    /// A VM that is as it was to become needs nothing and is none of them; what is to be done to every other one must be
    /// exactly what was planned.
    #[must_use]
    pub fn moved(&self, now: &Plan) -> Vec<Moved> {
        let found = |saved: &DocumentVm| now.vms.iter().find(|vm| vm.vm.get() == saved.vm);
        self.vms
            .iter()
            .filter_map(|saved| {
                let what = match found(saved) {
                    None => "it is no longer planned".to_owned(),
                    Some(vm) if !vm.blocked && !vm.outcome.acts() => return None,
                    Some(vm) if fingerprint(vm) == saved.fingerprint => return None,
                    Some(vm) => difference(saved, vm),
                };
                Some(Moved { vm: saved.vm, what })
            })
            .collect()
    }
}

/// What of a VM's plan is not as it was saved.
fn difference(saved: &DocumentVm, now: &VmPlan) -> String {
    if now.blocked {
        return "it is blocked now".to_owned();
    }
    let text = |value: Option<&str>| value.map_or("nothing".to_owned(), |value| format!("`{value}`"));
    for change in &now.changes {
        let before = saved.changes.iter().find(|saved| saved.key == change.key && saved.new == change.new);
        match before {
            Some(before) if before.old == change.old => {}
            Some(before) => {
                let (planned, found) = (text(before.old.as_deref()), text(change.old.as_deref()));
                return format!("{}: planned from {planned}, found {found}", change.key);
            }
            None => return format!("{}: no change was planned, found {}", change.key, text(change.old.as_deref())),
        }
    }
    let planned = saved.actions.iter().filter(|action| action.outcome.acts()).map(|action| action.id.clone());
    let acting = now.actions.iter().filter(|action| action.outcome.acts()).map(|action| action.id(now.vm));
    let (planned, acting): (Vec<String>, Vec<String>) = (planned.collect(), acting.collect());
    match acting.iter().find(|id| !planned.contains(id)) {
        Some(more) => format!("{more} was not planned"),
        None => "other values or fewer actions than planned".to_owned(),
    }
}

fn document_vm(plan: &Plan, vm: &VmPlan, first: usize) -> DocumentVm {
    let changes = vm.changes.iter().map(|change| DocumentChange {
        key: change.key.to_owned(),
        old: change.old.clone(),
        new: change.new.clone(),
        origin: change.origin,
        disruption: change.disruption,
        note: change.note.clone(),
        changed_by: change.by,
        applied: change.applied.clone(),
    });
    let waiting = vm.waiting.iter().map(|waiting| DocumentWaiting {
        option: waiting.option.clone(),
        active: waiting.active.clone(),
        pending: waiting.pending.clone(),
    });
    let actions = vm.actions.iter().enumerate().map(|(at, action)| DocumentAction {
        id: action.id(vm.vm),
        kind: action.kind,
        subject: action.subject.as_deref().map(ToOwned::to_owned),
        outcome: action.outcome,
        reason: action.reason.to_owned(),
        disruption: action.disruption,
        timeout_seconds: action.timeout_seconds,
        after: plan.graph.dependencies(first + at).into_iter().map(|other| plan.action_id(other)).collect(),
    });
    DocumentVm {
        vm: vm.vm.get(),
        name: vm.name.clone(),
        outcome: vm.outcome,
        disruption: vm.disruption,
        blocked: vm.blocked,
        basis: vm.basis.as_ref().map(|digest| digest.0.clone()),
        fingerprint: fingerprint(vm),
        changes: changes.collect(),
        waiting: waiting.collect(),
        erases: vm.retired.as_ref().map(|retired| retired.erases.clone()).unwrap_or_default(),
        keeps: vm.retired.as_ref().map(|retired| retired.keeps.clone()).unwrap_or_default(),
        force_stop: vm.stops_by_force(),
        actions: actions.collect(),
    }
}
