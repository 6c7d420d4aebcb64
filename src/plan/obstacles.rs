//! What keeps a VM from moving to another node: what Proxmox says of it when it is asked, and what it says only when
//! the move is at work, or not at all (recorded).

use std::collections::{BTreeMap, BTreeSet};

use super::migrate::{destination, is_shared, local_disks, nowhere};
use super::select::with_dependencies;
use super::{Goal, Request, Scene, codes, existing};
use crate::diag::Diagnostic;
use crate::model::{Desired, DesiredVm, Key, VmId};
use crate::observed::{
    BootDisk, HaRule, InSnapshots, LocalVolume, Mapped, MoveCheck, Net, Node, Observed, PropertyString, VmObserved,
};

/// The VMs of a plan that are to move to other nodes, each with the node that it is on and the other one: the target is
/// asked whether they can. Those are left out to which nothing can be done now, for reasons that the plan says anyway.
#[must_use]
pub fn to_move<'o>(desired: &Desired, observed: &'o Observed, request: &Request) -> Vec<(VmId, &'o str, &'o str)> {
    if !matches!(request.goal, Goal::Config { .. }) || observed.without_quorum.is_some() {
        return Vec::new();
    }
    let is_online = |name: &str| observed.nodes.get(name).is_some_and(|node| node.online);
    let project = &desired.settings.project;
    let of_one = |vm: &DesiredVm| {
        let live = observed.vms.get(&vm.vm_id).filter(|live| !live.template && !live.is_half_cloned())?;
        let is_ours = existing::owned(live, project).is_ok() || vm.adopt.is_some();
        let is_free = live.lock.is_none() && !observed.working.contains_key(&live.id);
        let stays = !is_ours || !is_free || request.recreate.contains(&live.id);
        let to = destination(vm, live, observed).filter(|to| !stays && is_online(to) && is_online(&live.node))?;
        Some((live.id, live.node.as_str(), to))
    };
    let (about, _) = with_dependencies(desired, &request.selection, observed);
    about.into_iter().filter_map(|vm| of_one(vm)).collect()
}

/// The unused volumes of a VM that go along when it moves, as only its node has them: by storage of that node. The
/// target is asked whether they are there.
#[must_use]
pub fn unused_to_follow(vm: VmId, observed: &Observed) -> Vec<(&str, &str, Vec<LocalVolume>)> {
    let Some(live) = observed.vms.get(&vm) else { return Vec::new() };
    let Some(own) = observed.nodes.get(&live.node) else { return Vec::new() };
    let mut by_storage: BTreeMap<&str, Vec<LocalVolume>> = BTreeMap::new();
    // Whose name is another VM's, a storage does not list as one of this VM.
    for unused in live.volumes.iter().filter(|volume| volume.is_unused() && volume.belongs_to(vm)) {
        let storage = unused.volume.split_once(':').map_or("", |(storage, _)| storage);
        if own.storages.contains_key(storage) && !is_shared(own, storage) {
            let volume = LocalVolume { volume: unused.volume.clone(), option: unused.device.clone() };
            by_storage.entry(storage).or_default().push(volume);
        }
    }
    by_storage.into_iter().map(|(storage, volumes)| (live.node.as_str(), storage, volumes)).collect()
}

/// What was found of one move.
struct Found<'a> {
    vm: VmId,
    from: &'a str,
    to: &'a str,
    /// What something was said of: options, volumes, storages.
    said: BTreeSet<String>,
    problems: Vec<Diagnostic>,
    /// What keeps it from moving only as long as it runs, in words.
    while_running: Vec<String>,
}

impl Found<'_> {
    /// Says that this keeps the VM from moving, unless something was said of that already.
    fn refuse(&mut self, of: &str, what: &str, hint: impl Into<String>) {
        if self.said.insert(of.to_owned()) {
            let what = format!("the VM cannot move from node `{}` to `{}`: {what}", self.from, self.to);
            let problem = Diagnostic::error(codes::CANNOT_MOVE, what).vm(self.vm).about(Key::Node);
            self.problems.push(problem.hint(hint));
        }
    }

    /// Notes what is no longer in the way once the VM is off, unless something was said of that already.
    fn while_running(&mut self, of: &str, what: String) {
        if self.said.insert(of.to_owned()) {
            self.while_running.push(what);
        }
    }

    /// The same is said of this.
    fn also(&mut self, of: &str) {
        self.said.insert(of.to_owned());
    }
}

/// What keeps a VM from moving to its node.
pub(super) fn in_the_way(vm: &DesiredVm, live: &VmObserved, scene: &Scene<'_>) -> Vec<Diagnostic> {
    if vm.node.as_ref().is_none_or(|nodes| nodes.has(&live.node)) {
        return Vec::new();
    }
    if destination(vm, live, scene.observed).is_none() {
        return nowhere(vm, scene).into_iter().collect();
    }
    let Some(mut found) = look(vm, live, scene) else { return Vec::new() };
    if !found.while_running.is_empty() && !scene.restart {
        let what = format!(
            "the VM cannot move from node `{}` to `{}` while it runs: {}",
            found.from,
            found.to,
            found.while_running.join("; ")
        );
        let hint = "`--restart` lets it be shut down, moved and started again";
        let problem = Diagnostic::error(codes::CANNOT_MOVE, what).vm(vm.vm_id).about(Key::Node);
        found.problems.push(problem.hint(hint));
    }
    found.problems
}

/// Why a VM is shut down, moved and started again, in words: it cannot move while it runs, and restarts were agreed to.
/// `None`: it does not move, or moves as it is.
pub(super) fn stops_it(vm: &DesiredVm, live: &VmObserved, scene: &Scene<'_>) -> Option<String> {
    let found = look(vm, live, scene).filter(|_| scene.restart)?;
    (!found.while_running.is_empty()).then(|| found.while_running.join("; "))
}

/// Everything in the way of a move. `None`: the VM does not move, or its nodes are not known.
fn look<'a>(vm: &DesiredVm, live: &'a VmObserved, scene: &Scene<'a>) -> Option<Found<'a>> {
    let observed = scene.observed;
    let to = destination(vm, live, observed)?;
    let (own, node) = (observed.nodes.get(&live.node)?, observed.nodes.get(to)?);
    let (said, problems, while_running) = (BTreeSet::new(), Vec::new(), Vec::new());
    let mut found = Found { vm: vm.vm_id, from: &live.node, to, said, problems, while_running };
    // One that is not to run is shut down first, and gets what waits for that.
    let online = live.running && vm.started;
    seen(live, online, (own, node), &mut found);
    if let Some(check) = observed.moves.get(&vm.vm_id).filter(|check| check.node == to) {
        asked(check, online, own, &mut found);
    }
    Some(found)
}

/// What phoenix sees itself.
fn seen(live: &VmObserved, online: bool, (own, node): (&Node, &Node), found: &mut Found<'_>) {
    for (key, value) in live.options.iter() {
        option(key, value, (own, node), found);
    }
    if online {
        for (key, value) in live.active() {
            option(key, value, (own, node), found);
        }
        let active = live.active();
        let console = active.get("vga").map(|vga| PropertyString::parse(vga));
        if console.is_some_and(|console| console.get("clipboard") == Some("vnc")) {
            found.while_running("vga", "the clipboard of its console (vga, `clipboard=vnc`) keeps it".to_owned());
        }
    }
    let lacks = |storage: &str| !node.storages.get(storage).is_some_and(|storage| storage.images && storage.active);
    for (slot, disk) in local_disks(live, own) {
        let BootDisk { storage, volume, .. } = &disk;
        if storage.is_empty() {
            let hint = "take it away, or move what is on it to a disk on a storage first";
            found.refuse(slot, &format!("{slot} is `{volume}`, a device of the node it is on"), hint);
        } else if lacks(storage) {
            let hint = "move the disk to a storage that both nodes have first";
            found.refuse(slot, &format!("`{}` has no storage `{storage}` for {slot}", found.to), hint);
            found.also(storage);
        } else if disk.is_linked() {
            let hint = "a move of the disk to another storage makes it whole: do that first";
            found.refuse(
                slot,
                &format!("{slot} is a linked clone, and only `{}` has the disk it is built on", own.name),
                hint,
            );
        } else if let Some(kind) = own.storages.get(storage).map(|storage| &storage.kind).filter(|kind| !copies(kind)) {
            let hint = "move the disk to another storage first";
            let what = format!("{slot} lies on `{storage}`, and disks on storages of type {kind} are not copied");
            found.refuse(slot, &what, hint);
        }
    }
    for unused in live.volumes.iter().filter(|volume| volume.is_unused()) {
        let storage = unused.volume.split_once(':').map_or("", |(storage, _)| storage);
        if !is_shared(own, storage) && lacks(storage) {
            let what = format!("`{}` has no storage `{storage}` for {} `{}`", found.to, unused.device, unused.volume);
            let hint = format!("`qm set {} --delete {}` erases it, if nothing needs it", live.id, unused.device);
            found.refuse(&unused.device, &what, hint);
            found.also(storage);
            found.also(&unused.volume);
        }
    }
}

/// Whether Proxmox copies disks from storages of this kind, which other nodes do not see, to another node (source of
/// qemu-server 9.2.6).
fn copies(kind: &str) -> bool {
    ["dir", "btrfs", "zfspool", "lvmthin", "lvm"].contains(&kind)
}

/// Whether a disk that other nodes do not see is copied with its snapshots (source of qemu-server 9.2.6; for qcow2
/// recorded).
fn copies_snapshots(kind: &str, volume: &str) -> bool {
    match kind {
        "zfspool" => true,
        "btrfs" => volume.rsplit('.').next() == Some("raw"),
        _ => volume.rsplit('.').next() == Some("qcow2"),
    }
}

/// What one option of the VM stands in the way of.
fn option(key: &str, value: &str, (own, node): (&Node, &Node), found: &mut Found<'_>) {
    let parts = PropertyString::parse(value);
    let first = parts.get("file").or(parts.get("host")).or(parts.get("")).unwrap_or_default();
    let device = ["hostpci", "usb", "parallel"].iter().any(|kind| key.starts_with(kind));
    if device && Mapped::named(key, value).is_none() && !first.eq_ignore_ascii_case("spice") {
        let hint = "take the device away, or give it a mapping";
        found.refuse(key, &format!("{key} is a device of the node it is on"), hint);
    }
    let storage = first.split_once(':').map_or("", |(storage, _)| storage);
    let is_disc = parts.get("media") == Some("cdrom") && first != "none" && !first.contains("-cloudinit");
    if is_disc && !is_shared(own, storage) {
        found.refuse(key, &format!("{key} has `{first}`, which only that node sees"), "eject it first");
        found.also(first);
    }
    if let Some(bridge) = key.strip_prefix("net").and_then(|_| Net::parse(value)?.bridge)
        && node.lacks_bridge(&bridge)
    {
        let what = format!("`{}` has no bridge `{bridge}` for {key}", found.to);
        found.refuse(key, &what, "make the bridge there, or name another node");
    }
}

/// What the target says. What was seen already is not said again.
fn asked(check: &MoveCheck, online: bool, own: &Node, found: &mut Found<'_>) {
    let to = found.to;
    for disc in check.discs.iter().filter(|disc| !found.said.contains(&disc.volume)).collect::<Vec<_>>() {
        let of = if disc.option.is_empty() { "a snapshot" } else { &disc.option };
        let hint = "eject it first; of a snapshot, remove that";
        found.refuse(&disc.volume, &format!("{of} has `{}`, which only that node sees", disc.volume), hint);
    }
    for key in &check.devices {
        let hint = "take the device away, or give it a mapping";
        found.refuse(key, &format!("{key} is a device of the node it is on"), hint);
    }
    for key in &check.unmapped {
        let hint = "give the mapping an entry for that node, or name another node";
        found.refuse(key, &format!("the mapping of {key} has no entry for `{to}`"), hint);
    }
    for key in check.not_while_running.iter().filter(|_| online) {
        found.while_running(key, format!("{key} does not move with it"));
    }
    for InSnapshots { volume, option, snapshots } in &check.snapshots {
        let kind = volume.split_once(':').and_then(|(id, _)| own.storages.get(id)).map_or("", |own| own.kind.as_str());
        let names = snapshots.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let disk = if option.is_empty() { volume } else { option };
        if !copies_snapshots(kind, volume) {
            let what = format!("{disk} has snapshots, which are not copied with it: {names}");
            found.refuse(volume, &what, format!("remove them first, on its node: `qm delsnapshot {} NAME`", found.vm));
        } else if online {
            found.while_running(volume, format!("{disk} is copied, and has snapshots ({names})"));
        }
    }
    for storage in &check.storages {
        let hint = "move what lies there to a storage that both nodes have first";
        found.refuse(storage, &format!("`{to}` has no storage `{storage}`"), hint);
    }
    for LocalVolume { volume, option } in &check.gone {
        let what = format!("{option} names the volume `{volume}`, which is no longer there");
        let hint = format!("`qm set {} --delete {option}`, on its node, takes it out of the configuration", found.vm);
        found.refuse(option, &what, hint);
    }
    for HaRule { cause, sid } in &check.rules {
        let hint = "change the rule (Datacenter > HA > Affinity Rules), or name another node";
        found.refuse(&format!("{cause} {sid}"), &kept_by(cause, sid, found.vm), hint);
    }
    if check.not_allowed && found.problems.is_empty() {
        found.refuse("", "the target does not say why", "`qm migrate` on its node, or the web interface, may say more");
    }
    if let Some(why) = check.failed.as_ref().filter(|_| found.problems.is_empty()) {
        let what = format!("whether the VM can move to node `{to}` is not known: {}", why.trim());
        let hint = format!(
            "look at what the VM has of its node (devices, mappings, discs): `pvesh get /nodes/{}/qemu/{}/migrate --target \
             {to}` asks again",
            found.from, found.vm
        );
        let problem = Diagnostic::error(codes::MOVE_UNCLEAR, what).vm(found.vm).about(Key::Node);
        found.problems.push(problem.hint(hint));
    }
    if !check.together.is_empty() {
        let others: Vec<String> = check.together.iter().map(|sid| format!("`{sid}`")).collect();
        let what = format!("the HA manager keeps it together with {}, and moves them with it", others.join(", "));
        found.problems.push(Diagnostic::warning(codes::MOVES_TOGETHER, what).vm(found.vm).about(Key::Node));
    }
}

/// What a rule of the HA manager does, in words.
fn kept_by(cause: &str, sid: &str, vm: VmId) -> String {
    let itself = sid == format!("vm:{vm}");
    match cause {
        "resource-affinity" if !itself => {
            format!("a resource-affinity rule of the HA manager, about it and `{sid}`, keeps it from that node")
        }
        "node-affinity" if !itself => {
            format!("a node-affinity rule of the HA manager keeps `{sid}`, with which it stays, from that node")
        }
        cause => format!("a rule of the HA manager keeps it from that node ({cause})"),
    }
}
