//! What became of the VMs of a run, from the ends of their actions.

use crate::event::Results;
use crate::model::{ActionKind, Outcome, RestartDue};
use crate::plan::{Plan, VmPlan};

/// How an action ended; the later one here weighs more for its VM. What never ended is none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// Nothing was to be done.
    Idle,
    /// Something was done.
    Acted,
    /// It was not begun, because another one failed.
    Skipped,
    /// It failed, because the VM changed since the plan.
    Stale,
    /// It failed.
    Failed,
}

/// The actions that have ended, VM by VM.
#[derive(Debug)]
pub(super) struct Ends(Vec<Ended>);

#[derive(Debug, Clone, Default)]
struct Ended {
    actions: usize,
    worst: Option<End>,
    /// Something was done.
    acted: bool,
    /// The VM was taken over.
    taken_over: bool,
    /// The VM was given up.
    forgotten: bool,
}

impl Ends {
    /// None of the plan's actions has ended.
    pub(super) fn of(plan: &Plan) -> Self {
        Self(vec![Ended::default(); plan.vms.len()])
    }

    /// Takes note of the end of an action.
    pub(super) fn note(&mut self, plan: &Plan, number: usize, end: End) {
        let vm = &mut self.0[plan.vm_index(number)];
        vm.actions += 1;
        vm.worst = vm.worst.max(Some(end));
        vm.forgotten |= end == End::Acted && plan.action(number).1.kind == ActionKind::Forget;
        vm.taken_over |= end == End::Acted && plan.action(number).1.kind == ActionKind::Adopt;
        vm.acted |= end == End::Acted;
    }

    /// What became of the VMs when nothing more ends. `left_alone` VMs are not in the plan.
    pub(super) fn results(&self, plan: &Plan, left_alone: usize) -> Results {
        let mut results = Results { planned: self.0.len() + left_alone, stale: left_alone, ..Results::default() };
        for (vm, ended) in plan.vms.iter().zip(&self.0) {
            let (count, is_done) = ended.counts_as(vm, &mut results);
            *count += 1;
            if is_done && vm.restart_due() == RestartDue::Later {
                results.waits_for_restart += 1;
            }
        }
        results
    }
}

impl Ended {
    /// The count that a VM belongs to, and whether everything planned for it is done.
    fn counts_as<'r>(&self, vm: &VmPlan, results: &'r mut Results) -> (&'r mut usize, bool) {
        let count = match self.worst {
            _ if vm.blocked => &mut results.blocked,
            Some(End::Failed) => &mut results.failed,
            Some(End::Stale) => &mut results.stale,
            Some(End::Skipped) => &mut results.skipped,
            _ if self.actions < vm.actions.len() => &mut results.interrupted,
            _ => {
                let count = match vm.outcome {
                    Outcome::Destroy => &mut results.destroyed,
                    Outcome::Recreate => &mut results.recreated,
                    Outcome::Create if self.acted => &mut results.created,
                    _ if self.forgotten => &mut results.forgotten,
                    _ if self.taken_over => &mut results.taken_over,
                    _ if self.acted => &mut results.updated,
                    _ => &mut results.unchanged,
                };
                return (count, true);
            }
        };
        (count, false)
    }
}
