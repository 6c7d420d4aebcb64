//! What was seen inside guests, beside what their records say: `--verify-guest`.

use super::{Goal, Power, Request, Selection, codes, volumes};
use crate::diag::Diagnostic;
use crate::model::{Desired, DesiredVm, Record, VmId};
use crate::observed::{GuestSeen, Observed, Plugged, VmObserved};

/// The VMs whose guests are worth a look: declared and selected ones of the project that have been ready, run, and have
/// an agent.
#[must_use]
pub fn to_verify<'o>(desired: &Desired, observed: &'o Observed, selection: &Selection) -> Vec<&'o VmObserved> {
    let ours = |vm: &&VmObserved| {
        let ready = vm.record.valid().filter(|record| record.state.is_ready());
        ready.is_some_and(|record| record.project == desired.settings.project) && vm.running && vm.agent
    };
    let choice = selection.choice();
    let running = desired.vms.iter().filter(|vm| vm.started && vm.asks_agent() && choice.takes(vm));
    running.filter_map(|vm| observed.vms.get(&vm.vm_id)).filter(ours).collect()
}

/// The VMs whose agents are worth being asked for the guest's address: ready ones of the project that run, have an
/// agent, and mount what the target exports to them alone.
#[must_use]
pub fn to_ask<'o>(desired: &Desired, observed: &'o Observed, request: &Request) -> Vec<&'o VmObserved> {
    let choice = request.selection.choice();
    let takes = |vm: &DesiredVm| match &request.goal {
        Goal::Config { .. } => choice.takes(vm),
        Goal::Power { power: Power::Start | Power::Restart, vms } => vms.contains(&vm.vm_id),
        Goal::Power { power: Power::Stop, .. } | Goal::Destroy(_) | Goal::Forget(_) | Goal::Rollback { .. } => false,
    };
    let served = |vm: &DesiredVm, record: &Record| {
        let mounts = volumes::resolve(vm, &desired.settings, observed).mounts;
        mounts.iter().any(|mount| mount.served && record.volumes.contains_key(&mount.mount_point))
    };
    let worth = |wish: &DesiredVm| {
        let Some(live) = observed.vms.get(&wish.vm_id) else { return false };
        let ours = live.record.valid().filter(|record| record.project == desired.settings.project);
        live.running && live.agent && !live.template && ours.is_some_and(|record| served(wish, record))
    };
    let worth_it = desired.vms.iter().filter(|vm| takes(vm)).filter(|vm| worth(vm));
    worth_it.filter_map(|vm| observed.vms.get(&vm.vm_id)).collect()
}

/// What was seen in one guest; nothing, where it was not looked into.
#[derive(Clone, Copy)]
pub(super) struct Verified<'o>(Option<&'o GuestSeen>);

impl<'o> Verified<'o> {
    pub(super) fn of(vm: VmId, observed: &'o Observed) -> Self {
        Self(observed.guests.get(&vm))
    }

    /// Whether what the record says is mounted there is not.
    pub(super) fn lost_mount(self, mount_point: &str) -> bool {
        matches!(self.0, Some(GuestSeen::Looked { lost_mounts, .. }) if lost_mounts.contains(mount_point))
    }

    /// Whether the result of a feature that the record says ran is gone.
    pub(super) fn lost_result(self, feature: &str) -> bool {
        matches!(self.0, Some(GuestSeen::Looked { lost_results, .. }) if lost_results.contains(feature))
    }

    /// Whether it was looked at and did not answer.
    pub(super) fn is_silent(self) -> bool {
        matches!(self.0, Some(GuestSeen::Silent { .. }))
    }

    /// Says what the VM got while it ran and its guest does not use.
    pub(super) fn offline(self, live: &VmObserved) -> Vec<Diagnostic> {
        let Some(GuestSeen::Looked { offline, .. }) = self.0 else { return Vec::new() };
        let said = |(what, used): (&Plugged, &u64)| {
            let (text, hint) = what.left_offline(*used, what.given(live));
            Diagnostic::warning(codes::LEFT_OFFLINE, text).hint(hint).vm(live.id)
        };
        offline.iter().map(said).collect()
    }

    /// Says that the guest could not be looked into.
    pub(super) fn silent(self, vm: VmId) -> Option<Diagnostic> {
        let Some(GuestSeen::Silent { what, hint }) = self.0 else { return None };
        let text = format!("the guest could not be verified: {what}");
        Some(Diagnostic { hint: hint.clone(), ..Diagnostic::warning(codes::GUEST_SILENT, text).vm(vm) })
    }
}
