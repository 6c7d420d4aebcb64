//! What must hold of every plan, whatever it plans.

use std::collections::BTreeSet;

use super::Plan;
use crate::model::ActionKind;

/// Checks a plan against itself; returns a sentence for each thing that does not hold.
///
/// Run after every plan in tests, and before any apply.
#[must_use]
pub fn lint(plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    let mut ids = BTreeSet::new();
    for number in 0..plan.action_count() {
        let (vm, action) = plan.action(number);
        let id = plan.action_id(number);
        if !ids.insert(id.clone()) {
            found.push(format!("{id} stands twice"));
        }
        if action.outcome.acts() && vm.task.is_none() {
            found.push(format!("{id} acts without a task"));
        }
        for dependency in plan.graph.dependencies(number) {
            if dependency >= number {
                found.push(format!("{id} waits for a later action"));
            }
        }
    }
    for vm in &plan.vms {
        let count = |kind: ActionKind| vm.actions.iter().filter(|action| action.kind == kind).count();
        for kind in [ActionKind::Clone, ActionKind::Configure, ActionKind::Start, ActionKind::Record] {
            if count(kind) > 1 {
                found.push(format!("VM {} has {} twice", vm.vm, kind.as_str()));
            }
        }
        if !vm.actions.windows(2).all(|pair| {
            pair[0].kind <= pair[1].kind
                || (pair[0].kind, pair[1].kind) == (ActionKind::Mount, ActionKind::PrepareShare)
        }) {
            found.push(format!("the actions of VM {} are out of order", vm.vm));
        }
        let clones = vm.actions.iter().any(|a| a.kind == ActionKind::Clone && a.outcome.acts());
        if clones != vm.task.as_ref().is_some_and(|task| task.clone.is_some()) {
            found.push(format!("VM {} is cloned without knowing from what, or the other way round", vm.vm));
        }
    }
    found
}
