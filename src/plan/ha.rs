//! VMs that the HA manager looks after.

use std::collections::BTreeSet;

use super::{Action, HaStep, Scene, Step, codes};
use crate::diag::Diagnostic;
use crate::model::{ActionKind, DesiredVm, HaState, HaWish, Key, VmId};
use crate::observed::{Ha, Observed, VmObserved};

/// The step that makes it so, of a VM of which that differs.
pub(super) fn step(vm: &DesiredVm, scene: &Scene<'_>) -> Step {
    let live = scene.observed.vms.get(&vm.vm_id).and_then(|live| live.ha.clone());
    let from = live.map(|ha| Ha { now: None, disarmed: false, ..ha });
    vm.ha.map_or(Step::LeaveHa, |ha| Step::SetHa(Box::new(HaStep { ha, from })))
}

/// Whether phoenix put a VM under the HA manager, which looks after it.
pub(super) fn is_own(live: &VmObserved) -> bool {
    live.ha.is_some() && live.record.valid().is_some_and(|record| record.ha)
}

/// Whether the file takes a VM that the HA manager gave up on out of that state: it is to be `disabled`.
pub(super) fn recovers(vm: &DesiredVm, live: &VmObserved) -> bool {
    live.ha.as_ref().is_some_and(Ha::has_failed) && vm.ha.is_some_and(|ha| ha.state == HaState::Disabled)
}

/// What is to be known of the HA manager about a declared VM.
pub(super) fn declared(vm: &DesiredVm, live: Option<&VmObserved>, scene: &Scene<'_>) -> Option<Diagnostic> {
    let now = live.and_then(|live| live.ha.as_ref());
    let switched = live.is_some_and(|live| live.running != vm.started);
    let disabled = vm.ha.is_some_and(|ha| ha.state == HaState::Disabled);
    let changes = vm.ha.is_some_and(|ha| now.map(Ha::text) != Some(ha.text()));
    // `disabled` is the way out where it gave up, and stops the VM.
    let found = looks_after(vm.vm_id, !disabled && (switched || changes), scene.observed)?;
    // What the file says itself needs no saying.
    (vm.ha.is_none() || found.code != codes::HA_MANAGED).then_some(found)
}

/// Whether the HA manager, which gave up on a VM, would have to do one of these actions.
pub(super) fn refuses(vm: &DesiredVm, live: &VmObserved, actions: &[Action]) -> bool {
    let does = |action: &Action| {
        use ActionKind::{Migrate, Restart, Start, Stop};
        matches!(action.kind, Migrate | Restart | Start | Stop) && action.outcome.acts()
    };
    live.ha.as_ref().is_some_and(Ha::has_failed) && !recovers(vm, live) && actions.iter().any(does)
}

/// Says why the HA manager cannot bring a VM to another node that it is put under, if it cannot.
pub(super) fn stays(vm: &DesiredVm, scene: &Scene<'_>) -> Option<Diagnostic> {
    let now = scene.observed.vms.get(&vm.vm_id).and_then(|live| live.ha.as_ref()?.wish());
    let recovers = |ha: Option<HaWish>| ha.is_some_and(|ha| ha.state.recovers());
    if recovers(now) || !recovers(vm.ha) {
        return None;
    }
    let notice = |what: String| Diagnostic::notice(codes::HA_STAYS, what).vm(vm.vm_id).about(Key::Ha);
    if scene.observed.nodes.len() < 2 {
        let what = "the target has one node: the HA manager can restart the VM there, and on no other node";
        return Some(notice(what.to_owned()));
    }
    let node = scene.node(vm.vm_id);
    let storages = vm.disks.values().map(|disk| disk.storage.as_str()).chain([vm.boot_disk_storage.as_str()]);
    let local: BTreeSet<&str> =
        storages.filter(|name| node.storages.get(*name).is_some_and(|storage| !storage.shared)).collect();
    if local.is_empty() {
        return None;
    }
    let names = local.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let what = format!(
        "its disks lie on {names}, which only its node has: if that node fails, the VM cannot start on another one"
    );
    Some(notice(what).hint("put its disks on a storage that all nodes share, or replicate them"))
}

/// Says that the HA manager looks after a VM, or that it gave up on it; `needed`: to do what the plan asks of it.
pub(super) fn looks_after(vm: VmId, needed: bool, observed: &Observed) -> Option<Diagnostic> {
    if !observed.ha.contains(&vm) {
        return None;
    }
    let ha = observed.vms.get(&vm).and_then(|live| live.ha.as_ref());
    if ha.is_some_and(Ha::has_failed) {
        let what = "the HA manager gave up on the VM: its state is `error`";
        let found =
            if needed { Diagnostic::error(codes::HA_ERROR, what) } else { Diagnostic::warning(codes::HA_ERROR, what) };
        let hint = format!(
            "`ha-manager status` and the task log of its node show why; `ha-manager set vm:{vm} --state disabled`, \
             put it right, then `ha-manager set vm:{vm} --state started`"
        );
        return Some(found.vm(vm).hint(hint));
    }
    let what = "the HA manager looks after the VM, and may start or stop it at any time";
    let what = match ha {
        Some(ha) if !ha.acts() => return None,
        Some(ha) => format!("{what}: the requested state is `{}`", ha.state),
        None => what.to_owned(),
    };
    Some(Diagnostic::notice(codes::HA_MANAGED, what).vm(vm))
}
