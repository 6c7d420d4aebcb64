//! Volumes of a VM that no configuration names: what a move, a clone or an import leaves that was killed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Goal, Leftover, Request, codes, earlier, select};
use crate::diag::Diagnostic;
use crate::model::{Desired, DesiredVm, VmId};
use crate::observed::{Observed, VmObserved};

/// Most volumes that a message names.
const MOST: usize = 4;

/// The VMs whose volumes are worth listing: the selected ones, if one of them, or a further disk of one, is to be made.
/// Listing costs a call for each storage, and nothing more for further VMs.
#[must_use]
pub fn to_list(desired: &Desired, observed: &Observed, request: &Request) -> Vec<VmId> {
    let Goal::Config { .. } = request.goal else { return Vec::new() };
    let project = &desired.settings.project;
    let (selected, _) = select::with_dependencies(desired, &request.selection, observed);
    // What is half made is removed with all of its volumes.
    let is_to_be_made = |vm: VmId| match observed.vms.get(&vm) {
        Some(live) => earlier::leftover(live, project) == Some(Leftover::Placeholder),
        None => !observed.taken.contains_key(&vm),
    };
    let anew = |vm: VmId| request.recreate.contains(&vm);
    // What was killed between making a disk and writing the configuration made it already.
    let adds_disk = |vm: &DesiredVm| {
        let live = observed.vms.get(&vm.vm_id);
        let is_new = |slot: &str| live.is_some_and(|live| live.options.get(slot).is_none());
        vm.disks.iter().any(|(slot, disk)| disk.volume.is_none() && is_new(slot))
    };
    let made = selected.iter().any(|vm| is_to_be_made(vm.vm_id) || anew(vm.vm_id) || adds_disk(vm));
    let stays = |live: &VmObserved| is_known(live) && earlier::leftover(live, project).is_none();
    let known = |vm: &VmId| is_to_be_made(*vm) || observed.vms.get(vm).is_some_and(stays);
    selected.iter().map(|vm| vm.vm_id).filter(known).filter(|_| made).collect()
}

/// Whether what the VM was read from names all of its volumes: those of snapshots and of what waits for a restart stand
/// elsewhere, and what is locked is being worked on.
fn is_known(live: &VmObserved) -> bool {
    live.snapshots.is_empty() && live.pending.is_empty() && live.lock.is_none()
}

/// Those of the volumes that no VM of the target names.
#[must_use]
pub fn unnamed(mut volumes: BTreeMap<VmId, Vec<String>>, observed: &Observed) -> BTreeMap<VmId, Vec<String>> {
    let all = observed.vms.values().flat_map(|vm| &vm.volumes);
    let named: BTreeSet<(&str, &str)> = all.map(|volume| short(&volume.volume)).collect();
    volumes.retain(|vm, volumes| {
        volumes.retain(|volume| !named.contains(&short(volume)));
        volumes.sort_unstable();
        !volumes.is_empty() && !observed.working.contains_key(vm) && !observed.cloning.contains(vm)
    });
    volumes
}

/// Storage and name: a linked clone's volume id also names what it is built on, as configurations do not always.
pub(super) fn short(volume: &str) -> (&str, &str) {
    let storage = volume.split(':').next().unwrap_or_default();
    (storage, volume.rsplit(['/', ':']).next().unwrap_or_default())
}

/// A VM's volumes that no configuration names. They refuse a VM that is to be made.
pub(super) fn left(vm: &DesiredVm, exists: bool, observed: &Observed) -> Option<Diagnostic> {
    // What is to be attached is not left over.
    let declared = |volume: &String| exists && vm.disks.values().any(|disk| disk.volume.as_ref() == Some(volume));
    let vm = vm.vm_id;
    let volumes: Vec<&String> = observed.unnamed.get(&vm)?.iter().filter(|volume| !declared(volume)).collect();
    if volumes.is_empty() {
        return None;
    }
    let more = volumes.len().saturating_sub(MOST);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let what = format!(
        "there are volumes of this VMID that no VM's configuration names: {}{more}",
        volumes.iter().take(MOST).map(|volume| volume.as_str()).collect::<Vec<_>>().join(", ")
    );
    let free = volumes.iter().take(MOST).map(|volume| format!("`pvesm free {volume}`")).collect::<Vec<_>>().join(", ");
    let which = if volumes.len() == 1 { "it" } else { "them" };
    let problem = if exists {
        let hint = format!(
            "an interrupted move or import leaves such volumes, and nothing removes them; check what is on {which}, then {free} on the node"
        );
        Diagnostic::notice(codes::UNNAMED_VOLUMES, what).hint(hint)
    } else {
        let hint = format!(
            "an interrupted move, clone or import, or a VM that is gone, left {which}: check what is there, then {free} on the \
             node; or choose another `vm_id`"
        );
        Diagnostic::error(codes::UNNAMED_VOLUMES, what).hint(hint)
    };
    Some(problem.vm(vm))
}
