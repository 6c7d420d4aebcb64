//! What must hold of every plan, whatever it plans.

use super::{Action, Change, Plan, Step, VmPlan};
use crate::model::ActionKind;
use crate::observed::options::{self, Row};
use crate::observed::{Observed, VmObserved};

/// Whether the changes that a plan shows of a VM are those that apply would write: a sentence for each option that is
/// written and not shown, and for each change that writes nothing.
fn shown(vm: &VmPlan, live: &VmObserved, found: &mut Vec<String>) {
    let step = vm.actions.iter().find_map(|action| match &action.step {
        Some(Step::Configure(step)) => Some(step),
        _ => None,
    });
    // All values of a VM that is being made are shown.
    let Some(step) = step.filter(|step| step.values.is_some()) else { return };
    let written = |row: &&'static Row| row.applied_by(&step.desired, Some(live)) == ActionKind::Configure;
    let write = options::render(
        options::rows_for(&step.desired, Some(live)).filter(written),
        (&step.desired, live, false),
        None,
        None,
    );
    // Notes without room for what is desired are a problem of the plan.
    let Ok(write) = write else { return };
    let shown: Vec<&Row> = vm.changes.iter().flat_map(Change::rows).filter(written).collect();
    for option in write.options().filter(|option| !shown.iter().any(|row| row.options.contains(option))) {
        found.push(format!("`{option}` of VM {} is written, and no change shows it", vm.vm));
    }
    for row in shown.iter().filter(|row| !write.options().any(|option| row.options.contains(&option))) {
        found.push(format!("`{}` of VM {} is shown, and nothing of it is written", row.name, vm.vm));
    }
}

/// Checks a plan against itself and against what it was made from; returns a sentence for each thing that does not
/// hold.
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
                found.push(format!("{} is listed twice", action.id(vm.vm)));
            }
            if action.outcome.acts() != action.step.is_some() {
                found.push(format!("{} acts without a step, or the other way round", action.id(vm.vm)));
            }
            if action.step.as_ref().is_some_and(|step| step.kind() != action.kind) {
                found.push(format!("{} has the step of another action", action.id(vm.vm)));
            }
            // Snippets may be left of a VM that is not there.
            let needs_vm = action.kind != ActionKind::RemoveSnippet || observed.vms.contains_key(&vm.vm);
            if action.outcome.acts() && needs_vm && vm.basis.is_none() && !vm.makes_it() {
                found.push(format!("{} acts on a VM that was not looked at", action.id(vm.vm)));
            }
            if plan.graph.waits_for_later(number, end) {
                found.push(format!("{} waits for a later action", action.id(vm.vm)));
            }
            number += 1;
        }
        // A disk may come before the write of options that name its volume.
        let disk = [ActionKind::Configure, ActionKind::ImportDisk, ActionKind::MoveDisk, ActionKind::ResizeDisk];
        let rank = |kind: ActionKind| if disk.contains(&kind) { disk[0] } else { kind };
        // A snapshot is taken where the VM has moved to.
        let moves = vm.actions.iter().any(|action| action.kind == ActionKind::Migrate);
        let rank = |kind: ActionKind| {
            if moves && kind == ActionKind::Snapshot { ActionKind::Migrate } else { rank(kind) }
        };
        // What is made anew goes first.
        let goes = vm.actions.iter().position(|action| action.kind == ActionKind::Destroy).map_or(0, |at| at + 1);
        let (gone, made) = vm.actions.split_at(goes);
        if ![gone, made].iter().all(|actions| actions.is_sorted_by_key(|action| rank(action.kind))) {
            found.push(format!("the actions of VM {} are out of order", vm.vm));
        }
        if let Some(live) = observed.vms.get(&vm.vm) {
            shown(vm, live, &mut found);
        }
    }
    found
}
