//! What waits for what.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Plan, VmPlan, codes};
use crate::diag::Diagnostic;
use crate::model::{ActionKind, Desired, DesiredVm, Outcome, VmId};
use crate::observed::Observed;

/// What waits for what among the actions of one VM whose first action has number `first`.
///
/// A chain, except for volumes: each directory is made and each volume is mounted on its own, so that one that fails
/// does not keep the others back. What the target exports itself is exported at once, when all directories are there;
/// the scripts wait for all volumes.
pub(super) fn edges(actions: &[Action], first: usize, edges: &mut Vec<(usize, usize)>) {
    let is_volume =
        |action: &Action| matches!(action.kind, ActionKind::PrepareShare | ActionKind::ExportShare | ActionKind::Mount);
    let Some(from) = actions.iter().position(is_volume) else {
        edges.extend((1..actions.len()).map(|i| (first + i, first + i - 1)));
        return;
    };
    let to = from + actions[from..].iter().take_while(|action| is_volume(action)).count();
    let of_kind = |kind: ActionKind| (from..to).filter(move |i| actions[*i].kind == kind);
    let export = of_kind(ActionKind::ExportShare).next();
    for i in 1..actions.len() {
        let mut after = |other: usize| edges.push((first + i, first + other));
        match actions[i].kind {
            ActionKind::PrepareShare => after(from - 1),
            ActionKind::ExportShare if i > from => (from..i).for_each(after),
            ActionKind::Mount => {
                let own = of_kind(ActionKind::PrepareShare).find(|other| actions[*other].subject == actions[i].subject);
                match (own, export) {
                    // The export waited for the directory.
                    (_, Some(export)) => after(export),
                    (Some(own), None) => after(own),
                    (None, None) => after(from - 1),
                }
            }
            _ if i == to && of_kind(ActionKind::Mount).next().is_some() => of_kind(ActionKind::Mount).for_each(after),
            _ => after(i - 1),
        }
    }
}

/// What waits for what among VMs: the first action of a VM for the last one of each VM it depends on, which is ready
/// then; and that of a VM which is cloned from a template of this file, for the last one of that.
///
/// Backwards, where VMs stop or go, it is the other way round. `first` has the number of each VM's first action, and at
/// the end the number of all actions.
pub(super) fn between_vms(
    desired: &Desired,
    vms: &[VmPlan],
    first: &[usize],
    backwards: bool,
    edges: &mut Vec<(usize, usize)>,
) {
    let planned = |vm| vms.binary_search_by_key(&vm, |planned| planned.vm).ok();
    let cloned = |own: usize| vms[own].actions.iter().any(|a| a.kind == ActionKind::Clone && a.outcome.acts());
    for wish in desired.vms.iter().filter(|wish| !wish.depends_on.is_empty() || wish.template.is_some()) {
        let Some(own) = planned(wish.vm_id).filter(|own| !vms[*own].actions.is_empty()) else { continue };
        let template = wish.template.filter(|template| !wish.depends_on.contains(template) && cloned(own));
        let others = wish.depends_on.iter().copied().chain(template).filter_map(planned);
        let last = |other: usize| first[other + 1] - 1;
        let others = others.filter(|other| !vms[*other].actions.is_empty());
        edges.extend(others.map(|other| if backwards { (first[other], last(own)) } else { (first[own], last(other)) }));
    }
}

/// A template that goes waits for the linked clones that go as well.
pub(super) fn clones_first(observed: &Observed, vms: &[VmPlan], first: &[usize], edges: &mut Vec<(usize, usize)>) {
    let goes = |(_, vm): &(usize, &VmPlan)| vm.retired.is_some() && !vm.actions.is_empty();
    let going: Vec<(usize, &VmPlan)> = vms.iter().enumerate().filter(goes).collect();
    let is_template = |vm: &VmPlan| observed.vms.get(&vm.vm).is_some_and(|live| live.template);
    for (template, base) in going.iter().filter(|(_, vm)| is_template(vm)) {
        let is_clone = |vm: &VmPlan| {
            let volumes = observed.vms.get(&vm.vm).map_or(&[][..], |live| &live.volumes);
            vm.vm != base.vm && volumes.iter().any(|volume| volume.is_based_on(base.vm))
        };
        let clones = going.iter().filter(|(_, vm)| is_clone(vm));
        edges.extend(clones.map(|(clone, _)| (first[*template], first[clone + 1] - 1)));
    }
}

/// VMs that share a tag of `never_together` and are restarted one after the other.
pub(super) struct Chain<'d> {
    tag: &'d str,
    /// Their positions among the VMs of the plan.
    vms: Vec<usize>,
}

/// The VMs that are restarted one after the other, because they share a tag of `never_together`.
///
/// They stand in an order in which no VM comes before what it depends on, so that no ring arises; those that the file
/// does not declare, on which nothing depends, come last. What tags those have, only the target knows.
pub(super) fn chains<'d>(desired: &'d Desired, observed: &Observed, vms: &[VmPlan]) -> Vec<Chain<'d>> {
    let restarts = |vm: &VmPlan| restart(vm).is_some();
    if desired.settings.never_together.is_empty() || !vms.iter().any(restarts) {
        return Vec::new();
    }
    let restarted: BTreeMap<VmId, usize> =
        vms.iter().enumerate().filter(|(_, vm)| boot(vm).is_some()).map(|(at, vm)| (vm.vm, at)).collect();
    let in_order = dependencies_first(desired);
    let declared: BTreeSet<VmId> = in_order.iter().map(|vm| vm.vm_id).collect();
    let chain = |tag: &'d String| {
        let tagged = in_order.iter().filter(|vm| vm.tags.contains(tag)).map(|vm| vm.vm_id);
        let has_tag = |vm: &VmId| observed.vms.get(vm).is_some_and(|live| live.tags.contains(tag));
        let others = restarted.keys().copied().filter(|vm| !declared.contains(vm)).filter(has_tag);
        let all: Vec<usize> = tagged.chain(others).filter_map(|vm| restarted.get(&vm).copied()).collect();
        let (restarted, started): (Vec<usize>, Vec<usize>) = all.iter().partition(|at| restarts(&vms[**at]));
        let waits = |at: &usize| restarted.iter().any(|other| depends(desired, vms[*at].vm, vms[*other].vm));
        // One that is off already, of an earlier run perhaps, is up again before the others are touched, unless it needs
        // one of them.
        let vms = match restarted.is_empty() {
            true => Vec::new(),
            false if started.iter().any(waits) => all,
            false => [started, restarted].concat(),
        };
        Chain { tag, vms }
    };
    desired.settings.never_together.iter().map(chain).filter(|chain| chain.vms.len() > 1).collect()
}

/// Whether a declared VM depends on another one, by however many others.
fn depends(desired: &Desired, vm: VmId, on: VmId) -> bool {
    let (mut open, mut seen) = (vec![vm], BTreeSet::new());
    while let Some(vm) = open.pop() {
        let others = desired.vm(vm).map(|vm| vm.depends_on.as_slice()).unwrap_or_default();
        open.extend(others.iter().copied().filter(|other| seen.insert(*other)));
    }
    seen.contains(&on)
}

/// Where a plan restarts a VM.
fn restart(vm: &VmPlan) -> Option<usize> {
    let stop = if vm.stops_to_move() { ActionKind::Stop } else { ActionKind::Restart };
    vm.actions.iter().position(|action| action.kind == stop)
}

/// Where a plan lets a VM that is there boot: where it restarts it, or starts it.
fn boot(vm: &VmPlan) -> Option<usize> {
    let starts = || {
        let start = |action: &Action| action.kind == ActionKind::Start && action.outcome.acts();
        vm.actions.iter().position(start).filter(|_| vm.outcome == Outcome::Update)
    };
    restart(vm).or_else(starts)
}

impl Chain<'_> {
    /// Lets each VM be restarted when the one before it is ready again.
    pub(super) fn edges(&self, vms: &[VmPlan], first: &[usize]) -> impl Iterator<Item = (usize, usize)> {
        self.vms.windows(2).map(|pair| {
            let (before, after) = (pair[0], pair[1]);
            let waits = first[after] + boot(&vms[after]).unwrap_or(0);
            (waits, first[before + 1] - 1)
        })
    }

    /// Says in which order the VMs are restarted.
    pub(super) fn notice(&self, vms: &[VmPlan]) -> Diagnostic {
        let ids = self.vms.iter().map(|at| vms[*at].vm.to_string()).collect::<Vec<_>>().join(", ");
        let what = format!("restarted one after the other (`never_together` has tag `{}`): {ids}", self.tag);
        Diagnostic::notice(codes::NEVER_TOGETHER, what)
    }
}

/// The declared VMs by VMID, except that each comes after those it depends on.
fn dependencies_first(desired: &Desired) -> Vec<&DesiredVm> {
    let all: BTreeMap<VmId, &DesiredVm> = desired.vms.iter().map(|vm| (vm.vm_id, &**vm)).collect();
    let before = |id: &VmId| all.get(id).map_or_else(Vec::new, |vm| vm.depends_on.clone());
    after_others(all.keys().copied(), before).iter().filter_map(|id| all.get(id).copied()).collect()
}

impl Plan {
    /// Positions in [`Plan::vms`], by VMID, except that each VM comes after those whose actions its own wait for.
    #[must_use]
    pub fn in_order(&self) -> Vec<usize> {
        let before = |vm: &usize| {
            let actions = self.first[*vm]..self.first[*vm + 1];
            let others = actions.flat_map(|action| self.graph.dependencies(action)).map(|other| self.vm_index(other));
            let others: BTreeSet<usize> = others.filter(|other| other != vm).collect();
            others.into_iter().collect()
        };
        after_others(0..self.vms.len(), before)
    }
}

/// All of these in their order, except that each comes after those that `before` gives for it.
fn after_others<T: Ord + Copy>(all: impl Iterator<Item = T>, before: impl Fn(&T) -> Vec<T>) -> Vec<T> {
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for start in all {
        // Without recursion: a chain may be as long as the file. One is left when all before it have been.
        let mut path = vec![(start, false)];
        while let Some((one, left)) = path.pop() {
            if left {
                found.push(one);
            } else if seen.insert(one) {
                path.push((one, true));
                path.extend(before(&one).into_iter().rev().map(|other| (other, false)));
            }
        }
    }
    found
}
