//! What must hold of every plan, whatever it plans.

use super::{Action, Plan, VmPlan};
use crate::model::ActionKind;

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

/// Checks a plan against itself; returns a sentence for each thing that does not hold.
///
/// Run after every plan in tests, and before any apply.
#[must_use]
pub fn lint(plan: &Plan) -> Vec<String> {
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
