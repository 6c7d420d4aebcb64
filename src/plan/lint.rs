//! What must hold of every plan, whatever it plans.

use super::{Action, Change, Plan, VmPlan};
use crate::model::ActionKind;
use crate::observed::options::{self, Row};
use crate::observed::{Observed, VmObserved};

/// Whether the plan of a VM says what one of its actions needs.
fn can(vm: &VmPlan, kind: ActionKind) -> bool {
    vm.task.is_some()
        || match kind {
            ActionKind::Stop
            | ActionKind::Rollback
            | ActionKind::Restart
            | ActionKind::Start
            | ActionKind::AwaitAgent => vm.basis.is_some(),
            ActionKind::RemoveLeftover | ActionKind::ExportShare | ActionKind::Destroy => vm.retired.is_some(),
            _ => false,
        }
}

/// Whether the changes that a plan shows of a VM are those that apply would write: a sentence for each option that is
/// written and not shown, and for each change that writes nothing.
fn shown(vm: &VmPlan, live: &VmObserved, found: &mut Vec<String>) {
    let configures = |action: &Action| action.kind == ActionKind::Configure && action.outcome.acts();
    if !vm.actions.iter().any(configures) {
        return;
    }
    // All values of a VM that is being made are shown.
    let Some(task) = vm.task.as_deref().filter(|task| !task.fresh) else { return };
    let written = |row: &&'static Row| row.step == ActionKind::Configure;
    let write = options::render(options::rows().filter(written), (&task.desired, live, false), None, None);
    // Notes without room for what is wished are a problem of the plan.
    let Ok(write) = write else { return };
    let shown: Vec<&Row> = vm.changes.iter().flat_map(Change::rows).filter(written).collect();
    for option in write.options().filter(|option| !shown.iter().any(|row| row.options.contains(option))) {
        found.push(format!("`{option}` of VM {} is written, and no change shows it", vm.vm));
    }
    for row in shown.iter().filter(|row| !write.options().any(|option| row.options.contains(&option))) {
        found.push(format!("`{}` of VM {} is shown, and nothing of it is written", row.name, vm.vm));
    }
}

/// Checks a plan against itself and against what it was made from; returns a sentence for each thing that does not hold.
///
/// Run after every plan in tests, and before any apply.
#[must_use]
pub fn lint(plan: &Plan, observed: &Observed) -> Vec<String> {
    let mut found = Vec::new();
    let mut number = 0;
    for vm in &plan.vms {
        let end = number + vm.actions.len();
        for (at, action) in vm.actions.iter().enumerate() {
            let twin = |other: &Action| (other.kind, &other.subject) == (action.kind, &action.subject);
            if vm.actions[..at].iter().any(twin) {
                found.push(format!("{} stands twice", action.id(vm.vm)));
            }
            if action.outcome.acts() && !can(vm, action.kind) {
                found.push(format!("{} acts without a task", action.id(vm.vm)));
            }
            if plan.graph.waits_for_later(number, end) {
                found.push(format!("{} waits for a later action", action.id(vm.vm)));
            }
            number += 1;
        }
        if !vm.actions.is_sorted_by_key(|action| action.kind) {
            found.push(format!("the actions of VM {} are out of order", vm.vm));
        }
        if let Some(live) = observed.vms.get(&vm.vm) {
            shown(vm, live, &mut found);
        }
        let clones = vm
            .actions
            .iter()
            .any(|a| matches!(a.kind, ActionKind::Clone | ActionKind::CreateFromImage) && a.outcome.acts());
        if clones != vm.task.as_ref().is_some_and(|task| task.clone.is_some()) {
            found.push(format!("VM {} is cloned without knowing from what, or the other way round", vm.vm));
        }
    }
    found
}
