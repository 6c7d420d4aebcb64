//! What must hold of disks and storages before anything is done.

use std::collections::BTreeMap;

use super::words::known_words;
use super::{Action, Scene, Step, VmPlan, attached, codes, diff, further, migrate, moving, placement};
use crate::diag::Diagnostic;
use crate::model::{ActionKind, Desired, DesiredVm, GIB, Key, Origin, Outcome};
use crate::observed::options::gib;
use crate::observed::{BootDisk, Node, Observed, PendingChange, VmObserved, VmVolume};

/// The storage of a VM that is to be made must take disks.
pub(super) fn storage(vm: &DesiredVm, observed: &Observed) -> Option<Diagnostic> {
    let id = vm.boot_disk_storage.as_str();
    let node = placement::node_of(vm.vm_id, observed);
    let on = placement::on(node, observed);
    let why = match node.storages.get(id) {
        None => {
            let known: Vec<&str> =
                node.storages.iter().filter(|(_, s)| s.images && s.active).map(|(id, _)| id.as_str()).collect();
            let missing = Diagnostic::error(codes::UNUSABLE_STORAGE, format!("there is no storage `{id}`{on}"));
            return Some(missing.vm(vm.vm_id).about(Key::BootDiskStorage).hint(known_words(
                "storages for disks",
                id,
                &known,
            )));
        }
        Some(storage) if !storage.images => "does not take VM disks (its content has no `images`)",
        Some(storage) if !storage.active => "is not active",
        Some(_) => return None,
    };
    let unusable = Diagnostic::error(codes::UNUSABLE_STORAGE, format!("storage `{id}`{on} {why}"));
    Some(unusable.vm(vm.vm_id).about(Key::BootDiskStorage))
}

/// How the VM was cloned, where the config says something else.
fn cloned_otherwise(vm: &DesiredVm, live: &VmObserved) -> Option<Diagnostic> {
    let is_full = live.boot_disk.as_ref().map(|disk| !disk.is_linked());
    if vm.origins.of(Key::FullClone) == Origin::BuiltIn || is_full.is_none_or(|full| full == vm.full_clone) {
        return None;
    }
    let is = if vm.full_clone { "a linked" } else { "a full" };
    let text = format!("{is} clone; changing `full_clone` does not affect an existing VM");
    Some(Diagnostic::notice(codes::CLONED_OTHERWISE, text).vm(vm.vm_id).about(Key::FullClone))
}

/// Why a VM has no boot disk of a known size, and what helps.
fn no_boot_disk(live: &VmObserved) -> Diagnostic {
    let leaves = |(slot, change): &(&String, &PendingChange)| {
        let disk = change.active.as_deref().is_some_and(|active| VmVolume::parse(slot, active).is_some());
        disk && change.pending.is_none()
    };
    if let Some((slot, _)) = live.pending.iter().find(leaves) {
        let what =
            format!("{slot} is to be detached when the VM restarts, and the VM has no other boot disk of a known size");
        // Proxmox empties the boot order together with the disk (recorded).
        let hint = format!("keep the disk: `qm set {} --revert {slot},boot`", live.id);
        return Diagnostic::error(codes::NO_BOOT_DISK, what).hint(hint);
    }
    let unknown = Diagnostic::error(codes::NO_BOOT_DISK, "there is no boot disk of a known size");
    unknown.hint("set its boot order to the disk it boots from")
}

/// Says that a VM boots from a smaller disk than at the last apply, beside one that has the size of that time: the
/// file's keys would change the wrong one. A disk alone that is smaller went back to a snapshot.
fn another_boot_disk(disk: &BootDisk, size: u64, live: &VmObserved) -> Option<Diagnostic> {
    let was: u64 = live.record.valid()?.applied.get(Key::BootDiskSizeGb.name())?.split('.').next()?.parse().ok()?;
    let had = |volume: &&VmVolume| {
        let size = volume.size.is_some_and(|size| size.div_ceil(GIB) == was);
        size && volume.device != disk.device && !volume.is_unused()
    };
    let other = live.volumes.iter().find(had).filter(|_| size.div_ceil(GIB) < was)?;
    let (slot, id) = (&other.device, live.id);
    let what = format!(
        "the VM boots from {}, which has {} GiB; its boot disk had {was} GiB at the last apply, as {slot} has",
        disk.device,
        gib(size)
    );
    let hint = format!(
        "put the disk that it booted from first in its boot order: `qm set {id} --boot order={slot}`; `phoenix forget {id}` \
         and `phoenix import {id}` take the VM over as it is"
    );
    Some(Diagnostic::error(codes::NO_BOOT_DISK, what).about(Key::BootDiskSizeGb).hint(hint))
}

/// The boot disk of an existing VM: it only grows, and moves only where it can.
pub(super) fn boot_disk(vm: &DesiredVm, live: &VmObserved, scene: &Scene<'_>) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = cloned_otherwise(vm, live).into_iter().collect();
    let Some((disk, size)) = live.boot_disk.as_ref().and_then(|disk| Some((disk, disk.size?))) else {
        found.push(no_boot_disk(live).vm(vm.vm_id));
        return found;
    };
    found.extend(another_boot_disk(disk, size, live).map(|problem| problem.vm(vm.vm_id)));
    if size > diff::wanted_bytes(vm) {
        found.push(shrinks(vm, size, &format!("the boot disk ({})", disk.device)));
    }
    if size < diff::wanted_bytes(vm) && live.pending.contains_key(&disk.device) {
        let what = format!("another value of {} waits for a restart: the disk cannot grow", disk.device);
        let hint = format!("restart it first; until then set `boot_disk_size_gb` to {}", gib(size));
        let problem = Diagnostic::error(codes::DISK_ELSEWHERE, what).hint(hint);
        found.push(problem.vm(vm.vm_id).about(Key::BootDiskSizeGb));
    }
    if disk.storage != vm.boot_disk_storage {
        found.extend(storage(vm, scene.observed));
        let back = format!("set `boot_disk_storage` to `{}`", disk.storage);
        let moved = moving::problems(vm, live, (disk, &back), scene).into_iter();
        found.extend(moved.map(|problem| problem.vm(vm.vm_id).about(Key::BootDiskStorage)));
    }
    found
}

/// Says that a disk would have to shrink.
pub(super) fn shrinks(vm: &DesiredVm, size: u64, what: &str) -> Diagnostic {
    let now = gib(size);
    let whole = size.div_ceil(GIB);
    Diagnostic::error(
        codes::DISK_SHRINKS,
        format!("{what} is {now} GiB and cannot shrink to {} GiB", vm.boot_disk_size_gb),
    )
    .vm(vm.vm_id)
    .about(Key::BootDiskSizeGb)
    .hint(format!("set `boot_disk_size_gb` to {whole} or more"))
}

/// Sums over the VMs of each node: free space of its storages, its memory.
pub(super) fn capacity(desired: &Desired, vms: &[VmPlan], observed: &Observed) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    // Of a storage that all nodes see, all take: it is of no node.
    let is_shared = |node: &str, id: &str| observed.nodes.get(node).is_some_and(|node| migrate::is_shared(node, id));
    let mut needed: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for vm in vms {
        let Some(desired) = &vm.desired else { continue };
        let wanted = diff::wanted_bytes(desired);
        let has = |kind: ActionKind| vm.actions.iter().any(|a| a.kind == kind && a.outcome.acts());
        // A disk that moves needs room for all of it.
        let moves = |action: &Action| matches!(&action.step, Some(Step::MoveDisk(step)) if step.disk.is_none());
        let whole = [ActionKind::Clone, ActionKind::CreateFromImage].into_iter().any(has);
        let grows = if whole || vm.actions.iter().any(moves) {
            wanted
        } else if has(ActionKind::ResizeDisk) {
            let live = observed.vms.get(&vm.vm).and_then(|live| live.boot_disk.as_ref()?.size);
            wanted.saturating_sub(live.unwrap_or(0))
        } else {
            0
        };
        let node = placement::name_of(vm.vm, observed);
        let mut needs = vec![(node, desired.boot_disk_storage.as_str(), grows)];
        if vm.outcome != Outcome::NoOp {
            needs.extend(further::room(desired, observed).map(|(storage, bytes)| (node, storage, bytes)));
        }
        needs.extend(on_the_way(vm, observed));
        for (node, storage, bytes) in needs {
            let node = if is_shared(node, storage) { "" } else { node };
            *needed.entry((node, storage)).or_default() += bytes;
        }
    }
    for ((node, id), bytes) in needed {
        let sees_it = |node: &&Node| node.online && migrate::is_shared(node, id);
        let node = if node.is_empty() { observed.nodes.values().find(sees_it) } else { observed.nodes.get(node) };
        let Some((node, storage)) = node.and_then(|node| Some((node, node.storages.get(id)?))) else { continue };
        if storage.total == 0 || bytes <= storage.free {
            continue;
        }
        let on = if storage.shared { "".into() } else { placement::on(node, observed) };
        let (free, more) = (gib(storage.free), gib(bytes));
        let text = format!("storage `{id}`{on} has {free} GiB free, the plan needs {more} GiB");
        found.push(if storage.thick {
            Diagnostic::error(codes::STORAGE_SHORT, text).hint("its disks take their whole size at once")
        } else {
            Diagnostic::warning(codes::STORAGE_SHORT, text).hint("its disks take space as they fill up")
        });
    }
    if vms.iter().any(|vm| vm.outcome != Outcome::NoOp) {
        let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
        for vm in desired.vms.iter().filter(|vm| !vm.is_template) {
            *wanted.entry(placement::name_of(vm.vm_id, observed)).or_default() += u64::from(vm.memory_mb);
        }
        let of_node = |(name, memory): (&str, u64)| overcommitted(observed.nodes.get(name)?, memory, observed);
        found.extend(wanted.into_iter().filter_map(of_node));
    }
    found
}

/// Room that the disks of a VM need on nodes that it moves to, or away from once it is made there: node, storage and
/// bytes.
fn on_the_way<'p>(vm: &'p VmPlan, observed: &'p Observed) -> Vec<(&'p str, &'p str, u64)> {
    let acting = || vm.actions.iter().filter(|action| action.outcome.acts()).filter_map(|action| action.step.as_ref());
    let Some(to) = acting().find_map(|step| if let Step::Migrate(step) = step { Some(&*step.node) } else { None })
    else {
        return Vec::new();
    };
    if let Some(live) = observed.vms.get(&vm.vm) {
        let sizes = live.volumes.iter().filter_map(|volume| Some((volume, volume.size?)));
        let local = |storage: &str| observed.nodes.get(&live.node).is_some_and(|on| !migrate::is_shared(on, storage));
        let sizes = sizes.map(|(volume, size)| (to, attached::storage(&volume.volume), size));
        return sizes.filter(|(_, storage, _)| local(storage)).collect();
    }
    // It is made with the disk of its template, or its image, and grows where it moves to.
    let made = acting().find_map(|step| match step {
        Step::Clone(step) => {
            let template = observed.vms.get(&step.source)?;
            Some((template.node.as_str(), step.storage.as_deref()?, template.boot_disk.as_ref()?.size?))
        }
        _ => None,
    });
    made.into_iter().collect()
}

/// Says that the declared VMs of a node together want more memory than it has.
fn overcommitted(node: &Node, memory: u64, observed: &Observed) -> Option<Diagnostic> {
    if node.memory_mb == 0 || memory <= node.memory_mb {
        return None;
    }
    let (on, called) = (placement::on(node, observed), placement::called(node, observed));
    let what =
        format!("the declared VMs{on} need {memory} MiB of memory in total, {called} has {} MiB", node.memory_mb);
    Some(Diagnostic::warning(codes::MEMORY_OVERCOMMITTED, what))
}
