//! VMs that are destroyed and made anew from their entries, in one run.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::steps::{plan_vm, retire::plan_retired};
use super::{Goal, Request, Scene, VmPlan, codes, earlier};
use crate::diag::{Diagnostic, has_errors};
use crate::model::{ActionKind, Desired, DesiredVm, Disruption, Key, Outcome, VmId};
use crate::observed::{Home, Observed, VmObserved, VmVolume};

/// Which VMs are destroyed and made anew, and the target without them: whatever is planned is planned as though they
/// were gone already.
pub(super) struct Anew<'a> {
    /// The target as it is.
    whole: &'a Observed,
    others: Cow<'a, Observed>,
    vms: BTreeSet<VmId>,
}

impl<'a> Anew<'a> {
    /// Those of the VMs that are asked for which the file declares and the target has, and of which something can be
    /// destroyed: none of a node that is not online. What an interrupted run left of one is removed and made again in
    /// any case.
    pub(super) fn of(desired: &Desired, observed: &'a Observed, request: &Request) -> Self {
        let asked = request.recreate.iter().filter(|_| matches!(request.goal, Goal::Config { .. }));
        let is_there = |vm: &&VmId| {
            let live = observed.vms.get(vm).filter(|live| is_reached(live, observed));
            live.is_some_and(|live| earlier::leftover(live, &desired.settings.project).is_none())
        };
        let vms: BTreeSet<VmId> = asked.filter(is_there).filter(|vm| desired.vm(**vm).is_some()).copied().collect();
        let mut others = Cow::Borrowed(observed);
        if !vms.is_empty() {
            let others = others.to_mut();
            for vm in &vms {
                let Some(gone) = others.vms.remove(vm) else { continue };
                let stays = desired.vm(*vm).is_some_and(|vm| vm.node.is_some()) || gone.node != others.here;
                // One that may not stay on its node has its place already.
                if stays && !others.homes.contains_key(vm) {
                    let why = "where it is now".to_owned();
                    others.homes.insert(*vm, Home::At { node: gone.node, why, agreed: false });
                }
            }
        }
        Self { whole: observed, others, vms }
    }

    /// The target without the VMs that go.
    pub(super) fn others(&self) -> &Observed {
        &self.others
    }

    /// Plans one of the declared VMs: what goes first is destroyed.
    pub(super) fn plan_vm(&self, vm: &Arc<DesiredVm>, scene: &Scene<'_>) -> (VmPlan, Vec<Diagnostic>) {
        if !self.vms.contains(&vm.vm_id) {
            return plan_vm(vm, scene);
        }
        let (mut gone, mut found) = plan_retired(vm.vm_id, &Scene { observed: self.whole, ..*scene });
        found.retain(|problem| problem.code != codes::STILL_DECLARED);
        found.extend(forbidden(vm).map(|problem| problem.vm(vm.vm_id)));
        if has_errors(&found) {
            gone.leave_alone();
            return (gone, found);
        }
        let (made, more) = plan_vm(vm, scene);
        found.extend(more);
        let Some(mut retired) = gone.retired.filter(|_| !has_errors(&found)) else { return (made, found) };
        found.extend(self.notices(vm.vm_id, scene.desired));
        retired.uuid = self.whole.vms.get(&vm.vm_id).and_then(|live| live.uuid.clone());
        // Its exports and snippets are the new one's.
        let goes = |kind: ActionKind| matches!(kind, ActionKind::Stop | ActionKind::LeaveHa | ActionKind::Destroy);
        let actions = gone.actions.into_iter().filter(|action| goes(action.kind)).chain(made.actions).collect();
        let plan = VmPlan {
            outcome: Outcome::Recreate,
            disruption: Disruption::Destroy,
            basis: gone.basis,
            retired: Some(retired),
            actions,
            ..made
        };
        (plan, found)
    }

    /// What is wrong with what was asked for beyond the VMs that are planned, the selected ones, and what is not there.
    pub(super) fn problems(
        &self,
        selected: &[&Arc<DesiredVm>],
        desired: &Desired,
        request: &Request,
    ) -> Vec<Diagnostic> {
        let asked: BTreeSet<VmId> = request.recreate.iter().copied().collect();
        let about = |vm: VmId| {
            let found = if desired.vm(vm).is_none() {
                let hint = format!("write it into the file; or `phoenix destroy {vm}` to remove it for good");
                refused("it cannot be made anew: the file does not declare it").hint(hint)
            } else if !selected.iter().any(|selected| selected.vm_id == vm) {
                let what = "it cannot be made anew: `--only` or `--exclude` leaves it out";
                refused(what).hint("select it, or leave `--recreate` out")
            } else if self.whole.vms.get(&vm).is_some_and(|live| !is_reached(live, self.whole)) {
                // That its node is not online says why nothing is done to it.
                return None;
            } else if !self.vms.contains(&vm) {
                let what = "it does not exist or is half made: it is only created";
                Diagnostic::notice(codes::NOTHING_TO_RECREATE, what)
            } else {
                return None;
            };
            Some(found.vm(vm))
        };
        asked.into_iter().filter_map(about).collect()
    }

    /// What is to be known of a VM that is made anew.
    fn notices(&self, vm: VmId, desired: &Desired) -> Vec<Diagnostic> {
        let what = "destroyed and made anew: what is on its own disks is lost, what is on its shares stays";
        let lost = Diagnostic::warning(codes::RECREATED, what).hint("save what is still needed first");
        let found = std::iter::once(lost).chain(self.bereft(vm, desired));
        found.map(|found| found.vm(vm)).collect()
    }

    /// Names the VMs that do without this one meanwhile.
    fn bereft(&self, vm: VmId, desired: &Desired) -> Option<Diagnostic> {
        let depends = |other: &DesiredVm| other.depends_on.contains(&vm) && self.others.vms.contains_key(&other.vm_id);
        let others = desired.vms.iter().filter(|other| depends(other));
        let others: Vec<String> = others.map(|other| format!("{} `{}`", other.vm_id, other.vm_name)).collect();
        (!others.is_empty()).then(|| {
            let what = format!("these VMs lose it until it is ready again: {}", others.join(", "));
            Diagnostic::warning(codes::RECREATED_UNDER, what)
                .hint("stop what uses it there first, or choose a time when nothing does")
        })
    }
}

/// Whether the node of a VM is there to be asked for anything.
fn is_reached(live: &VmObserved, observed: &Observed) -> bool {
    observed.nodes.get(&live.node).is_some_and(|node| node.online)
}

fn refused(what: &str) -> Diagnostic {
    Diagnostic::error(codes::NOT_RECREATED, what.to_owned())
}

/// Why a VM that is there cannot be made anew as its entry says.
fn forbidden(vm: &DesiredVm) -> Option<Diagnostic> {
    if vm.adopt.is_some() {
        let what =
            "it cannot be made anew: `adopt` in its entry names the VM that is there, and a new one has another uuid";
        return Some(Diagnostic { keys: vec!["adopt"], ..refused(what).hint("take `adopt` out of its entry") });
    }
    let named = vm.disks.values().filter_map(|disk| disk.volume.as_deref());
    let own = |volume: &&str| VmVolume::parse("scsi0", volume).is_some_and(|named| named.belongs_to(vm.vm_id));
    let volume = named.into_iter().find(own)?;
    let what =
        format!("it cannot be made anew: volume `{volume}`, which its entry attaches, would be erased with the VM");
    let hint = "give the disk `size_gb` and no `volume`: phoenix makes an empty one";
    Some(refused(&what).about(Key::Disks).hint(hint))
}
