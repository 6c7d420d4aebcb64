//! What each VM of a plan has of its node now, and what it will have: a fold over its steps.

use super::capacity::{Capacity, Share, VmShare};
use super::{CloneStep, Step, VmPlan, diff, placement};
use crate::model::{Desired, DesiredVm, GIB, Outcome};
use crate::observed::{Home, Observed, VmObserved};

/// The slot of the boot disk of a VM that is not there yet.
const BOOT: &str = "boot";

/// The cluster of a target, with the VMs of a plan for it. `None`: the target has one node.
pub(super) fn capacity(desired: &Desired, vms: &[VmPlan], observed: &Observed) -> Option<Box<Capacity>> {
    Capacity::of(desired.settings.memory_limit_percent, observed, vms.iter().map(|vm| (vm.vm, share(vm, observed))))
}

/// What a VM has and will have.
fn share(vm: &VmPlan, observed: &Observed) -> VmShare {
    let now = observed.vms.get(&vm.vm).map(Share::of);
    // What is blocked stays as it is. One that is not there waits on its node; what can be on no node is on none.
    let then = match &now {
        _ if !vm.blocked => after(vm, now.clone(), observed),
        Some(now) => Some(now.clone()),
        None if matches!(observed.homes.get(&vm.vm), Some(Home::Nowhere(_))) => None,
        None => Some(Share { node: placement::name_of(vm.vm, observed).to_owned(), ..Share::default() }),
    };
    VmShare { now, then }
}

/// The VM when its actions are done; `None`: it is gone.
fn after(vm: &VmPlan, now: Option<Share>, observed: &Observed) -> Option<Share> {
    let mut share = now;
    let desired = vm.desired.as_deref();
    let live = observed.vms.get(&vm.vm);
    let mut boot = live.and_then(|live| live.boot_disk.as_ref()).map_or(BOOT, |disk| disk.device.as_str());
    // Of one that is made anew, where the new one will be.
    let home = || observed.homes.get(&vm.vm).and_then(Home::node).filter(|_| vm.outcome == Outcome::Recreate);
    let node = || home().unwrap_or_else(|| placement::name_of(vm.vm, observed)).to_owned();
    for step in vm.actions.iter().filter(|action| action.outcome.acts()).filter_map(|action| action.step.as_ref()) {
        match (step, share.as_mut(), desired) {
            (Step::Destroy | Step::RemoveLeftover(_), ..) => share = None,
            (Step::Clone(step), _, Some(desired)) => {
                share = Some(cloned(step, observed.vms.get(&step.source), made(desired, node())));
                boot = BOOT;
            }
            (Step::CreateFromImage(_), _, Some(desired)) => {
                share = Some(made(desired, node()));
                boot = BOOT;
            }
            (Step::Configure(_), Some(share), Some(desired)) => configured(share, desired),
            (Step::ImportDisk(step), Some(share), _) => {
                let size = u64::from(step.size_gb.unwrap_or(0)) * GIB;
                share.disks.entry(step.slot.to_owned()).or_insert_with(|| (step.storage.clone(), size));
            }
            (Step::Migrate(step), Some(share), _) => share.node.clone_from(&step.node),
            (Step::MoveDisk(step), Some(share), _) => {
                let slot = step.disk.unwrap_or(boot);
                if let Some((storage, size)) = share.disks.get_mut(slot) {
                    let (from, size) = (std::mem::replace(storage, step.storage.clone()), *size);
                    if !step.delete_source {
                        share.disks.insert(format!("{slot} left on {from}"), (from, size));
                    }
                }
            }
            (Step::ResizeDisk(step), Some(share), _) => {
                if let Some((_, size)) = share.disks.get_mut(step.disk.unwrap_or(boot)) {
                    *size = u64::from(step.size_gb) * GIB;
                }
            }
            (Step::DeleteUnused(step), Some(share), _) => _ = share.disks.remove(&step.device),
            (Step::ConvertToTemplate, Some(share), _) => share.memory_mb = 0,
            _ => {}
        }
    }
    share
}

/// A new VM with nothing but its boot disk.
fn made(desired: &DesiredVm, node: String) -> Share {
    let disk = (desired.boot_disk_storage.clone(), diff::wanted_bytes(desired));
    Share { node, memory_mb: u64::from(desired.memory_mb), disks: [(BOOT.to_owned(), disk)].into() }
}

/// A new VM with the further disks of its template: copied, or linked where they are.
fn cloned(step: &CloneStep, source: Option<&VmObserved>, made: Share) -> Share {
    let mut share = made;
    let boots = |slot: &str| source.and_then(|live| live.boot_disk.as_ref()).is_some_and(|disk| disk.device == slot);
    let further = source.map(Share::of).into_iter().flat_map(|source| source.disks);
    for (slot, (lies, size)) in further.filter(|(slot, _)| !boots(slot) && !slot.starts_with("unused")) {
        share.disks.insert(slot, (step.storage.clone().unwrap_or(lies), size));
    }
    share
}

/// Its memory is what the file says, and the disks are there that the file declares.
fn configured(share: &mut Share, desired: &DesiredVm) {
    share.memory_mb = u64::from(desired.memory_mb);
    for (slot, disk) in &desired.disks {
        let wanted = u64::from(disk.size_gb.unwrap_or(0)) * GIB;
        share.disks.entry((*slot).to_owned()).or_insert_with(|| (disk.storage.clone(), wanted));
    }
}
