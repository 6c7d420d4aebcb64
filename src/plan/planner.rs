//! Planning: every VM by itself, then what waits for what.

use std::collections::{BTreeMap, BTreeSet};

use super::recreate::Anew;
use super::{
    Goal, Plan, Power, Request, Scene, VmPlan, addresses, codes, disk, exports, grants, hardware, names, order,
    placement, preflight, quorum, select, shares, snippets, steps, unused,
};
use crate::dag::{Cycle, Dag};
use crate::diag::Diagnostic;
use crate::model::{Desired, Key, VmId};
use crate::observed::Observed;

/// Plans: compares what is desired with what was observed.
///
/// Problems are collected, not returned as an error: a plan with errors still shows everything else.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed, request: &Request) -> Plan {
    let mut problems: Vec<Diagnostic> = quorum::lost(observed, &request.goal).into_iter().collect();
    let anew = Anew::of(desired, observed, request);
    let (whole, observed) = (observed, anew.others());
    let templates = observed.templates_by_name();
    let names = observed.names();
    let exports = exports::Exports::of(observed);
    let going: BTreeSet<VmId> = match &request.goal {
        Goal::Destroy(ids) => ids.iter().copied().collect(),
        Goal::Config { prune: true, .. } => {
            select::undeclared(desired, observed, &request.selection).iter().map(|vm| vm.id).collect()
        }
        _ => BTreeSet::new(),
    };
    let scene = Scene {
        desired,
        observed,
        templates: &templates,
        names: &names,
        selection: &request.selection.choice(),
        exports: &exports,
        grants: &grants::Grants::of(desired, observed, &request.allow_host_paths),
        restart: request.restart,
        delete_source: request.delete_source,
        snapshot: request.snapshot,
        rerun: &request.rerun,
        delete_unused: &request.delete_unused,
        going: &going,
        clones: &if going.is_empty() && request.recreate.is_empty() { BTreeMap::new() } else { whole.linked_clones() },
        addresses: &addresses::taken(desired, observed),
    };
    let (mut vms, found) = match &request.goal {
        Goal::Config { prune, prune_many } => {
            let (selected, left_out) = select::with_dependencies(desired, &request.selection, observed);
            problems.extend(
                anew.problems(&selected, desired, request).into_iter().chain(unused::problems(&selected, &scene)),
            );
            let (mut vms, found) = gathered(selected.iter().map(|vm| anew.plan_vm(vm, &scene)));
            problems.extend(grants::broken(observed).chain(left_out).chain(found));
            problems.extend(disk::capacity(desired, &vms, observed));
            let gone = select::undeclared(desired, observed, &request.selection);
            if *prune {
                let many = if request.agreed { Some(gone.len()) } else { *prune_many };
                problems.extend(preflight::pruned(desired, observed, &gone, many));
                let survived = snippets::survivors(desired, observed, &request.selection);
                let gone = gone.iter().map(|vm| vm.id).chain(survived);
                let (retired, found) = gathered(gone.map(|vm| steps::retire::plan_retired(vm, &scene)));
                problems.extend(found);
                vms.extend(retired);
                vms.sort_by_key(|vm| vm.vm);
            } else {
                problems.extend(gone.into_iter().map(|vm| preflight::undeclared(vm, &desired.settings)));
                let survived = snippets::survivors(desired, observed, &request.selection);
                problems.extend(survived.into_iter().map(|vm| snippets::survive(vm, desired, observed)));
            }
            (vms, Vec::new())
        }
        Goal::Destroy(_) => gathered(going.iter().map(|vm| steps::retire::plan_retired(*vm, &scene))),
        Goal::Forget(ids) => {
            let ids: BTreeSet<VmId> = ids.iter().copied().collect();
            gathered(ids.into_iter().map(|vm| steps::forget::plan_forgotten(vm, &scene)))
        }
        Goal::Rollback { to, vms: ids } => {
            let ids: BTreeSet<VmId> = ids.iter().copied().collect();
            let to = to.as_deref();
            gathered(ids.into_iter().map(|vm| steps::snapshot::plan_rollback(vm, to, &scene)))
        }
        Goal::Power { power, vms: ids } => {
            let ids: BTreeSet<VmId> = ids.iter().copied().collect();
            gathered(ids.into_iter().map(|vm| steps::power::plan_power(vm, *power, &scene)))
        }
    };
    problems.extend(found);
    problems.extend(preflight::missing_programs(&vms, observed));
    problems.extend(hardware::judge(&vms, &scene, &request.allow_host_options));
    let lost = placement::lost(&vms, &problems, observed, request);
    // What is missing on such a node says nothing about the VM.
    problems.retain(|problem| problem.vm.is_none_or(|vm| !lost.contains_key(&vm)));
    let mut blocked: BTreeSet<VmId> = lost.keys().copied().collect();
    let waiting = placement::waiting(desired, &vms, &blocked);
    blocked.extend(waiting.iter().filter_map(|problem| problem.vm));
    problems.extend(lost.into_values().chain(waiting));
    for vm in vms.iter_mut().filter(|vm| blocked.contains(&vm.vm)) {
        vm.leave_alone();
    }
    blocked.extend(problems.iter().filter(|problem| problem.is_error()).filter_map(|problem| problem.vm));
    for vm in &mut vms {
        vm.blocked = blocked.contains(&vm.vm);
        vm.force_stop = request.force_stop;
    }
    problems.extend(grants::notices(&vms, observed).into_iter().chain(placement::in_maintenance(&vms, observed)));
    // VMs that depend on a VM stop before it.
    let backwards = matches!(request.goal, Goal::Destroy(_) | Goal::Power { power: Power::Stop, .. });
    assemble(desired, whole, vms, backwards, problems)
}

/// The plans of VMs, and what was found about all of them.
fn gathered(drafted: impl Iterator<Item = (VmPlan, Vec<Diagnostic>)>) -> (Vec<VmPlan>, Vec<Diagnostic>) {
    let (vms, found): (Vec<VmPlan>, Vec<Vec<Diagnostic>>) = drafted.unzip();
    (vms, found.into_iter().flatten().collect())
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
    for chain in order::chains(desired, observed, &vms) {
        edges.extend(chain.edges(&vms, &first));
        problems.push(chain.notice(&vms));
    }
    let graph = Dag::new(number, &edges).unwrap_or_else(|Cycle(ring)| {
        // The config refuses rings, so this is for callers that made their wishes themselves.
        let vm = ring.first().map(|action| vms[first.partition_point(|first| first <= action) - 1].vm);
        let ring = Diagnostic::error(codes::DEPENDENCY_RING, "VMs wait for each other in a ring").about(Key::DependsOn);
        problems.push(Diagnostic { vm, ..ring.hint("take one of them out of `depends_on`") });
        Dag::default()
    });
    names::give_names(&mut problems, desired, observed);
    // Errors first; within a severity by VM, then by code: the order users read, whatever order they arose in.
    problems.sort_by(|a, b| (a.severity, a.vm, a.code, &a.message).cmp(&(b.severity, b.vm, b.code, &b.message)));
    Plan {
        project: desired.settings.project.clone(),
        declared: desired.vms.len(),
        capacity: shares::capacity(desired, &vms, observed),
        vms,
        image_storages: observed.image_storages().map(ToOwned::to_owned).collect(),
        problems,
        graph,
        first,
    }
}
