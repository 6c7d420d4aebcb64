//! What others do to VMs that has an end worth waiting for.

use super::lock::MIGRATION;
use super::select::with_dependencies;
use super::{Selection, existing};
use crate::model::{Desired, DesiredVm, VmId};
use crate::observed::{HaWork, Observed};

/// What is done to a VM by others, and has an end that is worth waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtWork {
    /// A task takes it to another node.
    Migration,
    /// The HA manager does with it what it was asked before.
    Ha(HaWork),
}

impl AtWork {
    /// What is waited for, in words whose subject is the VM.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Migration => "is being migrated to another node: waiting until it has arrived",
            Self::Ha(HaWork::Start) => "is to be started by the HA manager: waiting until it runs",
            Self::Ha(HaWork::Stop) => "is to be stopped by the HA manager: waiting until it is off",
            Self::Ha(HaWork::Move) => "is being moved by the HA manager: waiting until it has arrived",
        }
    }
}

/// The declared VMs that a plan of these is about, those that they wait for among them, and that a task, which is at
/// work, takes to another node, or with which the HA manager has still to do what it was asked: by a run that died, or
/// by others.
#[must_use]
pub fn on_their_way(desired: &Desired, selection: &Selection, observed: &Observed) -> Vec<(VmId, AtWork)> {
    if observed.working.is_empty() && (observed.ha.is_empty() || observed.without_quorum.is_some()) {
        return Vec::new();
    }
    let project = &desired.settings.project;
    let of_one = |vm: &DesiredVm| {
        // Its lock is gone a moment before the task has ended.
        if observed.working.get(&vm.vm_id).is_some_and(|task| task == MIGRATION) {
            return Some((vm.vm_id, AtWork::Migration));
        }
        let live = observed.vms.get(&vm.vm_id).filter(|live| !live.template && live.lock.is_none())?;
        let is_ours = existing::owned(live, project).is_ok() || vm.adopt.is_some();
        let is_seen = is_ours && observed.nodes.get(&live.node).is_some_and(|node| node.online);
        let work = live.ha.as_ref().filter(|_| is_seen)?.work(live.running)?;
        Some((vm.vm_id, AtWork::Ha(work)))
    };
    let (about, _) = with_dependencies(desired, selection, observed);
    about.into_iter().filter_map(|vm| of_one(vm)).collect()
}
