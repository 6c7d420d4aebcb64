//! Unused volumes of VMs, `unused0` and so on: what a disk leaves that was detached or has moved.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::unnamed::short;
use super::{Request, Scene, UnusedStep, attached, codes};
use crate::diag::Diagnostic;
use crate::model::{DesiredVm, VmId};
use crate::observed::{Observed, VmObserved, VmVolume};

/// Most volumes that a message names.
const MOST: usize = 4;

/// The VMs whose unused volumes are to be listed, and the storages of the target's own node that are to list them:
/// configurations do not say their sizes, nor whose they are.
#[must_use]
pub fn unused_to_list(observed: &Observed, request: &Request) -> (Vec<VmId>, Vec<String>) {
    let node = observed.own_node();
    let usable = |id: &str| node.storages.get(id).is_some_and(|storage| storage.images && storage.active);
    let (mut vms, mut on) = (BTreeSet::new(), BTreeSet::new());
    for live in request.delete_unused.iter().filter_map(|vm| observed.vms.get(vm)) {
        let storages = all(live).map(|volume| attached::storage(&volume.volume)).filter(|id| usable(id));
        for id in storages {
            vms.insert(live.id);
            on.insert(id.to_owned());
        }
    }
    (vms.into_iter().collect(), on.into_iter().collect())
}

/// The unused volumes that a VM names.
fn all(live: &VmObserved) -> impl Iterator<Item = &VmVolume> {
    live.volumes.iter().filter(|volume| volume.is_unused())
}

/// The unused volumes of a VM that are erased; and what is to be known of them, and of those that stay.
pub(super) fn of(vm: &DesiredVm, live: &VmObserved, scene: &Scene<'_>) -> (Vec<UnusedStep>, Vec<Diagnostic>) {
    let id = vm.vm_id;
    let is_taken = |volume: &VmVolume| vm.disks.values().any(|disk| is_it(disk.volume.as_deref(), volume));
    if !scene.delete_unused.contains(&id) {
        let volumes: Vec<String> =
            all(live).filter(|volume| !is_taken(volume)).map(|volume| words(volume, scene)).collect();
        let what = || format!("the VM has volumes that it does not use, and they stay: {}", some(&volumes));
        let notice = || Diagnostic::notice(codes::UNUSED_STAYS, what()).vm(id);
        let hint = format!("`phoenix apply --delete-unused {id}` erases them permanently");
        return (Vec::new(), (!volumes.is_empty()).then(|| notice().hint(hint)).into_iter().collect());
    }
    let error = |what: &str| Diagnostic::error(codes::UNUSED_KEPT, what.to_owned()).vm(id);
    if live.record.valid().is_none() {
        let what = "its unused volumes cannot be erased: the VM is only being taken over";
        return (Vec::new(), vec![error(what).hint("apply without `--delete-unused` first")]);
    }
    if live.protection || vm.protected == Some(true) {
        let what = "its unused volumes cannot be erased: the VM is protected";
        return (Vec::new(), vec![error(what).hint("set `protected` to false and apply that first")]);
    }
    let (mut steps, mut found) = (Vec::new(), Vec::new());
    for volume in all(live) {
        let why = if is_taken(volume) { Some("the file attaches it".to_owned()) } else { kept(volume, live, scene) };
        if let Some(why) = why {
            let what = format!("{} `{}` is not erased: {why}", volume.device, volume.volume);
            found.push(Diagnostic::warning(codes::UNUSED_KEPT, what).vm(id));
        } else {
            let size = attached::size(&volume.volume, scene.observed);
            steps.push(UnusedStep { device: volume.device.clone(), volume: volume.volume.clone(), size });
        }
    }
    found.push(if steps.is_empty() {
        Diagnostic::notice(codes::UNUSED, "there is no unused volume of the VM to erase").vm(id)
    } else {
        let volumes: Vec<String> = steps.iter().map(UnusedStep::words).collect();
        let what = format!("erased permanently: {}", some(&volumes));
        Diagnostic::warning(codes::UNUSED, what).vm(id).hint("attach what is still needed: `disks.SLOT.volume`")
    });
    (steps, found)
}

/// What is wrong with the VMs that were asked for beyond those whose own plans say it.
pub(super) fn problems(selected: &[&Arc<DesiredVm>], scene: &Scene<'_>) -> Vec<Diagnostic> {
    let asked: BTreeSet<VmId> = scene.delete_unused.iter().copied().collect();
    let about = |vm: VmId| {
        let error = |what: &str| Diagnostic::error(codes::UNUSED_KEPT, what.to_owned());
        let found = if scene.desired.vm(vm).is_none() {
            error("its unused volumes cannot be erased: the file does not declare it")
                .hint(format!("write it into the file: `phoenix import {vm}`"))
        } else if !selected.iter().any(|selected| selected.vm_id == vm) {
            error("its unused volumes cannot be erased: `--only` or `--exclude` leaves it out")
                .hint("select it, or leave `--delete-unused` out")
        } else {
            match scene.observed.vms.get(&vm) {
                None => Diagnostic::notice(codes::UNUSED, "the VM is not there yet, and has no unused volume to erase"),
                Some(live) if live.template => error("its unused volumes cannot be erased: the VM is a template")
                    .hint("phoenix changes nothing about a finished template; leave `--delete-unused` out"),
                Some(_) => return None,
            }
        };
        Some(found.vm(vm))
    };
    asked.into_iter().filter_map(about).collect()
}

/// Why an unused volume stays: it is not the VM's own, or something still needs it.
fn kept(volume: &VmVolume, live: &VmObserved, scene: &Scene<'_>) -> Option<String> {
    let is_this = |named: &str| is_it(Some(named), volume);
    if !volume.belongs_to(live.id) || volume.is_base() {
        return Some(format!("its name does not say that it is a disk of VM {}", live.id));
    }
    if let Some(of) = attached::listed(&volume.volume, scene.observed).filter(|of| of.vm != live.id) {
        return Some(format!("its storage says that it belongs to VM {}", of.vm));
    }
    if live.other_volumes.iter().any(|named| is_this(named)) {
        return Some("a snapshot, or a value that waits for a restart, needs it".to_owned());
    }
    let beside = |named: &&VmVolume| named.device != volume.device && is_this(&named.volume);
    if let Some(other) = live.volumes.iter().find(beside) {
        return Some(format!("{} names it, too", other.device));
    }
    let names = |other: &&VmObserved| {
        other.id != live.id
            && (other.volumes.iter().any(|named| is_this(&named.volume))
                || other.other_volumes.iter().any(|named| is_this(named)))
    };
    let other = scene.observed.vms.values().find(names)?;
    Some(format!("the configuration of VM {} names it, too", other.id))
}

fn is_it(named: Option<&str>, volume: &VmVolume) -> bool {
    named.is_some_and(|named| short(named) == short(&volume.volume))
}

fn words(volume: &VmVolume, scene: &Scene<'_>) -> String {
    let size = attached::size(&volume.volume, scene.observed);
    UnusedStep { device: volume.device.clone(), volume: volume.volume.clone(), size }.words()
}

/// The first of these, and how many more there are.
fn some(volumes: &[String]) -> String {
    let more = volumes.len().saturating_sub(MOST);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", volumes.iter().take(MOST).cloned().collect::<Vec<_>>().join(", "))
}
