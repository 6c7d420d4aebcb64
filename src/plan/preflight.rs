//! What must hold at the target before anything is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::words::known_words;
use super::{Mount, Scene, addresses, codes, diff, disk, placement, size, template, unnamed};
use crate::diag::Diagnostic;
use crate::model::{Desired, DesiredVm, Key, Origin, Record, VmId, normal_path};
use crate::observed::{Observed, Taken, VmObserved, with_record};

/// Resolves the template of a VM that is to be made: one of the file, or the one of the target that has the name.
pub(super) fn template(vm: &DesiredVm, scene: &Scene<'_>, problems: &mut Vec<Diagnostic>) -> Option<VmId> {
    let source = match vm.template {
        Some(declared) => declared,
        None => template_by_name(vm, scene, problems)?,
    };
    let name = vm.template_name.as_str();
    if scene.going.contains(&source) {
        let what =
            format!("template `{name}` ({source}) is no longer declared and goes: nothing can be cloned from it");
        let hint = "declare it, name another template, or leave out `--prune`";
        problems.push(Diagnostic::error(codes::UNKNOWN_TEMPLATE, what).vm(vm.vm_id).hint(hint));
        return None;
    }
    if let Some(taken) = scene.observed.taken.get(&source).filter(|_| vm.template.is_some()) {
        problems.push(out_of_reach(vm, source, taken));
        return None;
    }
    if let Some(away) = on_another_node(vm, source, scene) {
        problems.push(away);
        return None;
    }
    linked(vm, source, scene, problems);
    let size = match template::awaited(vm, scene) {
        Some(awaited) => Some(Some(diff::wanted_bytes(awaited))),
        None => scene.observed.vms.get(&source).and_then(|t| t.boot_disk.as_ref()).map(|disk| disk.size),
    };
    match size {
        Some(Some(size)) if size > diff::wanted_bytes(vm) => {
            problems.push(disk::shrinks(vm, size, &format!("the disk of template `{name}`")));
            None
        }
        Some(Some(_)) => Some(source),
        None | Some(None) => {
            problems.push(
                Diagnostic::error(
                    codes::NO_BOOT_DISK,
                    format!("template `{name}` ({source}) has no boot disk of a known size"),
                )
                .vm(vm.vm_id)
                .hint("set its boot order to the disk it boots from"),
            );
            None
        }
    }
}

/// The only template of the target that has the name.
fn template_by_name(vm: &DesiredVm, scene: &Scene<'_>, problems: &mut Vec<Diagnostic>) -> Option<VmId> {
    let name = vm.template_name.as_str();
    let found = scene.templates_for(vm.vm_id, name);
    let [source] = &found[..] else {
        if let Some(away) = scene.templates.get(name).filter(|_| found.is_empty()).and_then(|ids| ids.first()) {
            problems.extend(on_another_node(vm, *away, scene));
            return None;
        }
        let there = |(_, taken): &(&VmId, &Taken)| taken.template && taken.name == name;
        if let Some((id, taken)) = scene.observed.taken.iter().find(there).filter(|_| found.is_empty()) {
            problems.push(out_of_reach(vm, *id, taken));
            return None;
        }
        let problem = if found.is_empty() {
            let known: Vec<&str> = scene.templates.keys().copied().collect();
            let hint = match scene.names.get(name).and_then(|ids| ids.first()) {
                Some(id) => format!("VM {id} has that name and is not a template"),
                None => match &scene.observed.template_hint {
                    Some(hint) if known.is_empty() => hint.clone(),
                    _ => known_words("templates", name, &known),
                },
            };
            Diagnostic::error(codes::UNKNOWN_TEMPLATE, format!("there is no template `{name}`")).hint(hint)
        } else {
            let ids = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Diagnostic::error(
                codes::AMBIGUOUS_TEMPLATE,
                format!("{} templates are called `{name}`: {ids}", found.len()),
            )
            .hint("rename all but one of them")
        };
        problems.push(problem.vm(vm.vm_id));
        return None;
    };
    Some(*source)
}

/// Says that a template is on a node that the target does not reach.
fn out_of_reach(vm: &DesiredVm, id: VmId, taken: &Taken) -> Diagnostic {
    let what = format!("template `{}` ({id}) is on node `{}`", vm.template_name, taken.node);
    let hint =
        "a VM is cloned on the node that has its template: name that node with `--target`, or make the template here";
    Diagnostic::error(codes::UNKNOWN_TEMPLATE, what).vm(vm.vm_id).hint(hint)
}

/// Says that a VM cannot be cloned from a template, if that is on another node than the VM is to be.
fn on_another_node(vm: &DesiredVm, source: VmId, scene: &Scene<'_>) -> Option<Diagnostic> {
    let [here, there] = [vm.vm_id, source].map(|vm| placement::name_of(vm, scene.observed));
    if here == there {
        return None;
    }
    let name = vm.template_name.as_str();
    let what = format!("template `{name}` ({source}) is on node `{there}`, VM {} on node `{here}`", vm.vm_id);
    let hint = format!("name a template that is on node `{here}`");
    Some(Diagnostic::error(codes::UNKNOWN_TEMPLATE, what).vm(vm.vm_id).hint(hint))
}

/// The storage that the disk of a template lies on, or will lie on.
fn storage_of<'s>(vm: &DesiredVm, source: VmId, scene: &Scene<'s>) -> Option<&'s str> {
    let lies = || scene.observed.vms.get(&source).and_then(|template| template.boot_disk.as_ref());
    match template::awaited(vm, scene) {
        Some(awaited) => Some(&awaited.boot_disk_storage),
        None => lies().map(|disk| disk.storage.as_str()),
    }
}

/// Whether the VM becomes a copy of its template. Where the config does not say, and the node links clones, it does not,
/// provided that it is to lie where its template does. What becomes a template itself is always whole.
pub(super) fn full_clone(vm: &DesiredVm, source: VmId, scene: &Scene<'_>) -> bool {
    let beside = storage_of(vm, source, scene) == Some(vm.boot_disk_storage.as_str());
    let unsaid = vm.origins.of(Key::FullClone) == Origin::BuiltIn;
    let linked = unsaid && !scene.observed.capabilities.clones_whole && beside;
    vm.is_template || (vm.full_clone && !linked)
}

/// A linked clone lies where its template does.
fn linked(vm: &DesiredVm, source: VmId, scene: &Scene<'_>, problems: &mut Vec<Diagnostic>) {
    let storage = storage_of(vm, source, scene);
    let Some(storage) = storage.filter(|storage| !vm.full_clone && *storage != vm.boot_disk_storage) else { return };
    let text = format!(
        "a linked clone lies on its template's storage, which is `{storage}`, not on `{}`",
        vm.boot_disk_storage
    );
    problems.push(
        Diagnostic::error(codes::LINKED_ELSEWHERE, text)
            .vm(vm.vm_id)
            .hint(format!("set `boot_disk_storage` to `{storage}`, or `full_clone` to true")),
    );
}

/// Bridge, CPUs, memory and name against the node. `live`: the VM, where it exists.
pub(super) fn host(vm: &DesiredVm, live: Option<&VmObserved>, scene: &Scene<'_>, problems: &mut Vec<Diagnostic>) {
    let node = scene.node(vm.vm_id);
    let on = placement::on(node, scene.observed);
    if scene.observed.ha.contains(&vm.vm_id) {
        let text = format!("the HA manager looks after VM {}: it may start or stop it at any time", vm.vm_id);
        problems.push(Diagnostic::notice(codes::HA_MANAGED, text).vm(vm.vm_id));
    }
    if !node.bridges.contains_key(&vm.network_bridge) {
        let known: Vec<&str> = node.bridges.keys().map(String::as_str).collect();
        problems.push(
            Diagnostic::error(codes::UNKNOWN_BRIDGE, format!("there is no bridge `{}`{on}", vm.network_bridge))
                .vm(vm.vm_id)
                .hint(known_words("bridges", &vm.network_bridge, &known)),
        );
    }
    size::fits(vm, live, scene, problems);
    unnamed::told(vm.vm_id, live.is_some(), scene.observed, problems);
    addresses::told(vm, scene, problems);
    let others = scene.names.get(vm.vm_name.as_str()).map_or(&[][..], Vec::as_slice);
    if let Some(other) = others.iter().find(|other| **other != vm.vm_id) {
        problems.push(
            Diagnostic::warning(codes::NAME_TAKEN, format!("VM {other} is also called `{}`", vm.vm_name)).vm(vm.vm_id),
        );
    }
}

/// Says that a VM is not new and not finished either.
pub(super) fn completed(vm: &DesiredVm, problems: &mut Vec<Diagnostic>) {
    let text = format!("VM {} was not finished by an earlier run: it is completed", vm.vm_id);
    problems.push(Diagnostic::notice(codes::UNFINISHED, text).vm(vm.vm_id));
}

/// Anything but our own half-made clone that is locked is left alone; and so is a VM on whose disks somebody works.
pub(super) fn lock(vm: VmId, live: &VmObserved, observed: &Observed, problems: &mut Vec<Diagnostic>) {
    if let Some(task) = observed.working.get(&vm) {
        let what = format!("a task is working on the disks of VM {vm} ({task})");
        let hint = "wait until it has ended, then plan again";
        problems.push(Diagnostic::error(codes::TASK_RUNNING, what).vm(vm).hint(hint));
        return;
    }
    unlocked(vm, live, problems);
}

/// A VM that is locked is left alone.
pub(super) fn unlocked(vm: VmId, live: &VmObserved, problems: &mut Vec<Diagnostic>) {
    if let Some(lock) = &live.lock {
        problems.push(
            Diagnostic::error(codes::LOCKED, format!("VM {vm} is locked ({lock})")).vm(vm).hint(unlocking(live, lock)),
        );
    }
}

/// What helps against a lock. Those of snapshots outlive a task that was killed, and taking them away is not enough.
pub(crate) fn unlocking(live: &VmObserved, lock: &str) -> String {
    let id = live.id;
    let half = live.half_snapshots.first().map_or("NAME", String::as_str);
    match lock {
        "snapshot" | "snapshot-delete" => format!(
            "no task was seen that works on it: if one was killed, `qm unlock {id}`, then `qm delsnapshot {id} {half} \
             --force` removes what it left"
        ),
        "rollback" => format!(
            "no task was seen that works on it: if one was killed, the disks may be half back: `qm unlock {id}`, then go \
             back again (`phoenix rollback {id}`, or `qm rollback {id} NAME`)"
        ),
        _ => "wait until what holds the lock has ended; `qm unlock` is for locks whose owner is gone".to_owned(),
    }
}

/// What was declared once and is not any more, and what cannot change after creation.
pub(super) fn removed(vm: &DesiredVm, record: &Record, mounts: &[Arc<Mount>], problems: &mut Vec<Diagnostic>) {
    super::image::made_otherwise(vm, record, problems);
    if !record.template.is_empty() && record.template != vm.template_name && vm.cloud_image.is_none() {
        problems.push(
            Diagnostic::notice(
                codes::TEMPLATE_CHANGED,
                format!(
                    "VM {} was cloned from `{}`; another `template_name` changes nothing after creation",
                    vm.vm_id, record.template
                ),
            )
            .vm(vm.vm_id),
        );
    }
    for feature in record.features.keys() {
        if !vm.features.iter().any(|declared| *declared.name == **feature) {
            problems.push(
                Diagnostic::notice(
                    codes::FEATURE_REMOVED,
                    format!("feature `{feature}` is no longer declared; what it did stays (there is no uninstall)"),
                )
                .vm(vm.vm_id),
            );
        }
    }
    for (mount_point, source) in &record.volumes {
        if !mounts.iter().any(|mount| mount.mount_point == *mount_point) {
            problems.push(
                Diagnostic::notice(
                    codes::VOLUME_REMOVED,
                    format!("`{mount_point}` is no longer declared: it is unmounted, what is on {source} stays"),
                )
                .vm(vm.vm_id),
            );
        }
    }
}

/// Tells that a directory which is to be made is there already.
pub(super) fn directory(vm: &DesiredVm, mount: &Mount, observed: &Observed, problems: &mut Vec<Diagnostic>) {
    let Some(path) = &mount.host_path else { return };
    if let Some(entries) = placement::node_of(vm.vm_id, observed).directories.get(&normal_path(path)) {
        let what = if *entries == 1 { "1 entry, which is".to_owned() } else { format!("{entries} entries, which are") };
        let text = format!("`{path}` is there already and has {what} kept");
        problems.push(Diagnostic::notice(codes::DIRECTORY_IN_USE, text).vm(vm.vm_id));
    }
}

/// The target must be able to export what it is to export.
pub(super) fn nfs_server(vm: &DesiredVm, observed: &Observed, problems: &mut Vec<Diagnostic>) {
    let node = placement::node_of(vm.vm_id, observed);
    if !node.nfs_server {
        let called = placement::called(node, observed);
        let what = format!("{called} has no NFS server to export the VM's directory with");
        problems.push(Diagnostic::error(codes::NO_NFS_SERVER, what).vm(vm.vm_id).hint(
            node.nfs_hint.clone().unwrap_or_else(|| {
                "`apt install nfs-kernel-server` on the node, or name another server in the config".to_owned()
            }),
        ));
    }
}

/// Tells that changed utilities are staged without running anything.
pub(super) fn utilities(
    vm: &DesiredVm,
    record: &Record,
    staged: &BTreeMap<String, String>,
    problems: &mut Vec<Diagnostic>,
) {
    let changed =
        |name: &&String| name.as_str() != super::CONTEXT_FILE && record.staged.get(*name) != staged.get(*name);
    if let Some(name) = staged.keys().find(changed) {
        problems.push(
            Diagnostic::notice(
                codes::UTILITIES_CHANGED,
                format!("`{name}` changed: it is staged again, no feature runs for that"),
            )
            .vm(vm.vm_id),
        );
    }
}

/// Description and record together must fit into the notes. What was applied is the first to be left out.
pub(super) fn notes(vm: &DesiredVm, record: &mut Record, problems: &mut Vec<Diagnostic>) {
    // The uuid is not known before the clone; it always has 36 characters.
    let fits = |record: &Record| {
        let uuid = record.uuid.clone().unwrap_or_else(|| "0".repeat(36));
        with_record(&vm.description, &Record { uuid: Some(uuid), ..record.clone() })
    };
    let mut fitting = fits(record);
    if fitting.is_err() && !record.applied.is_empty() {
        record.applied.clear();
        fitting = fits(record);
    }
    if let Err(error) = fitting {
        problems.push(
            Diagnostic::error(codes::NOTES_TOO_LONG, error.to_string())
                .vm(vm.vm_id)
                .hint("shorten `description`: phoenix keeps its record in the same notes"),
        );
    }
}

/// Says that a VM stays which the file does not declare and whose record names this project. The record is a claim of
/// the accounts that may write the VM's notes.
pub(super) fn undeclared(live: &VmObserved, project: &str, problems: &mut Vec<Diagnostic>) {
    let what =
        format!("VM {} `{}` claims to belong to project `{project}` and is not declared; it stays", live.id, live.name);
    let hint = format!("`phoenix destroy {}` or `phoenix apply --prune` removes it", live.id);
    problems.push(Diagnostic::notice(codes::UNDECLARED, what).vm(live.id).hint(hint));
}

/// Guards against a file that lost its VMs: those of a project go only if it is named, and more than half of them only if
/// somebody says how many.
pub(super) fn pruned(
    desired: &Desired,
    observed: &Observed,
    gone: &[&VmObserved],
    many: Option<usize>,
    problems: &mut Vec<Diagnostic>,
) {
    let project = &desired.settings.project;
    if !desired.settings.project_named {
        let what = "VMs that are no longer declared go only if the file names its project";
        let hint = format!("set `hypervisor.project`, e.g. to \"{project}\"");
        problems.push(Diagnostic::error(codes::PROJECT_NOT_NAMED, what).hint(hint));
    }
    let all = observed.vms.values().filter(|vm| vm.record.valid().is_some_and(|record| record.project == *project));
    let (all, going) = (all.count(), gone.len());
    if going * 2 > all && many != Some(going) {
        let what = format!("{going} of the {all} VMs of project `{project}` are no longer declared and would go");
        let hint = format!("is the file complete? `--prune-many {going}` says that it is");
        problems.push(Diagnostic::error(codes::TOO_MANY_PRUNED, what).hint(hint));
    }
}
