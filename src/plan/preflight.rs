//! What must hold at the target before anything is done.

use std::collections::BTreeMap;

use super::steps::Scene;
use super::volumes::Mount;
use super::{VmPlan, codes, diff};
use crate::diag::{Diagnostic, nearest};
use crate::model::{ActionKind, Desired, DesiredVm, Key, Origin, Outcome, Record, VmId};
use crate::observed::{Observed, VmObserved, with_record};

/// A hint that names the nearest of the known words, or all of them.
pub(super) fn known_words(what: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("the target has no {what}"),
        None => format!("{what} there: {}", listed(known)),
    }
}

/// Up to ten words, quoted.
fn listed(words: &[&str]) -> String {
    let mut text = words.iter().take(10).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    if words.len() > 10 {
        text.push_str(&format!(" and {} more", words.len() - 10));
    }
    text
}

/// Resolves the template of a VM that is to be made.
pub(super) fn template(vm: &DesiredVm, scene: &Scene<'_>, problems: &mut Vec<Diagnostic>) -> Option<VmId> {
    let name = vm.template_name.as_str();
    let found = scene.templates.get(name).map_or(&[][..], Vec::as_slice);
    let [source] = found else {
        let problem = if found.is_empty() {
            let known: Vec<&str> = scene.templates.keys().copied().collect();
            let hint = match scene.names.get(name).and_then(|ids| ids.first()) {
                Some(id) => format!("VM {id} has that name and is not a template"),
                None => known_words("templates", name, &known),
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
    linked(vm, *source, scene, problems);
    let size = scene.observed.vms.get(source).and_then(|t| t.boot_disk.as_ref()).map(|disk| disk.size);
    match size {
        Some(Some(size)) if size > diff::wanted_bytes(vm) => {
            problems.push(shrinks(vm, size, &format!("the disk of template `{name}`")));
            None
        }
        Some(Some(_)) => Some(*source),
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

/// The storage of a VM that is to be made must take disks.
pub(super) fn storage(vm: &DesiredVm, observed: &Observed, problems: &mut Vec<Diagnostic>) {
    let id = vm.boot_disk_storage.as_str();
    let why = match observed.storages.get(id) {
        None => {
            let known: Vec<&str> =
                observed.storages.iter().filter(|(_, s)| s.images && s.active).map(|(id, _)| id.as_str()).collect();
            problems.push(
                Diagnostic::error(codes::UNUSABLE_STORAGE, format!("there is no storage `{id}`"))
                    .vm(vm.vm_id)
                    .hint(known_words("storages for disks", id, &known)),
            );
            return;
        }
        Some(storage) if !storage.images => "does not take VM disks (its content has no `images`)",
        Some(storage) if !storage.active => "is not active",
        Some(_) => return,
    };
    problems.push(Diagnostic::error(codes::UNUSABLE_STORAGE, format!("storage `{id}` {why}")).vm(vm.vm_id));
}

/// A linked clone lies where its template does.
fn linked(vm: &DesiredVm, source: VmId, scene: &Scene<'_>, problems: &mut Vec<Diagnostic>) {
    let disk = scene.observed.vms.get(&source).and_then(|template| template.boot_disk.as_ref());
    let Some(disk) = disk.filter(|disk| !vm.full_clone && disk.storage != vm.boot_disk_storage) else { return };
    let text = format!(
        "a linked clone lies on its template's storage, which is `{}`, not on `{}`",
        disk.storage, vm.boot_disk_storage
    );
    problems.push(
        Diagnostic::error(codes::LINKED_ELSEWHERE, text)
            .vm(vm.vm_id)
            .hint(format!("set `boot_disk_storage` to `{}`, or `full_clone` to true", disk.storage)),
    );
}

/// How the VM was cloned, where the config says something else.
fn cloned_otherwise(vm: &DesiredVm, live: &VmObserved, problems: &mut Vec<Diagnostic>) {
    let is_full = live.boot_disk.as_ref().map(|disk| !disk.is_linked());
    if vm.origins.of(Key::FullClone) == Origin::BuiltIn || is_full.is_none_or(|full| full == vm.full_clone) {
        return;
    }
    let is = if vm.full_clone { "a linked" } else { "a full" };
    let text = format!("VM {} is {is} clone; another `full_clone` changes nothing after creation", vm.vm_id);
    problems.push(Diagnostic::notice(codes::CLONED_OTHERWISE, text).vm(vm.vm_id));
}

/// Bridge, CPUs, memory and name against the node.
pub(super) fn host(vm: &DesiredVm, scene: &Scene<'_>, problems: &mut Vec<Diagnostic>) {
    let node = &scene.observed.node;
    if scene.observed.ha.contains(&vm.vm_id) {
        let text = format!("the HA manager looks after VM {}: it may start or stop it at any time", vm.vm_id);
        problems.push(Diagnostic::notice(codes::HA_MANAGED, text).vm(vm.vm_id));
    }
    if !node.bridges.contains_key(&vm.network_bridge) {
        let known: Vec<&str> = node.bridges.keys().map(String::as_str).collect();
        problems.push(
            Diagnostic::error(codes::UNKNOWN_BRIDGE, format!("there is no bridge `{}`", vm.network_bridge))
                .vm(vm.vm_id)
                .hint(known_words("bridges", &vm.network_bridge, &known)),
        );
    }
    let memory = u64::from(vm.memory_mb);
    if node.memory_mb != 0 && memory > node.memory_mb {
        problems.push(
            Diagnostic::error(
                codes::TOO_MUCH_MEMORY,
                format!("{memory} MiB of memory are wished, the node has {}", node.memory_mb),
            )
            .vm(vm.vm_id),
        );
    }
    let cpus = u64::from(vm.cpu_sockets) * u64::from(vm.cpu_cores);
    if node.cpus != 0 && cpus > u64::from(node.cpus) {
        problems.push(
            Diagnostic::error(
                codes::TOO_MANY_CPUS,
                format!("{cpus} CPUs are wished (sockets × cores), the node allows {} per VM", node.cpus),
            )
            .vm(vm.vm_id),
        );
    }
    let others = scene.names.get(vm.vm_name.as_str()).map_or(&[][..], Vec::as_slice);
    if let Some(other) = others.iter().find(|other| **other != vm.vm_id) {
        problems.push(
            Diagnostic::warning(codes::NAME_TAKEN, format!("VM {other} is also called `{}`", vm.vm_name)).vm(vm.vm_id),
        );
    }
}

/// The boot disk of an existing VM: it only grows, and it stays where it is.
pub(super) fn boot_disk(vm: &DesiredVm, live: &VmObserved, problems: &mut Vec<Diagnostic>) {
    cloned_otherwise(vm, live, problems);
    let Some((disk, size)) = live.boot_disk.as_ref().and_then(|disk| Some((disk, disk.size?))) else {
        problems.push(
            Diagnostic::error(codes::NO_BOOT_DISK, format!("VM {} has no boot disk of a known size", vm.vm_id))
                .vm(vm.vm_id)
                .hint("set its boot order to the disk it boots from"),
        );
        return;
    };
    if size > diff::wanted_bytes(vm) {
        problems.push(shrinks(vm, size, &disk.device));
    }
    if disk.storage != vm.boot_disk_storage {
        problems.push(
            Diagnostic::error(
                codes::DISK_ELSEWHERE,
                format!("the boot disk lies on storage `{}`, wished is `{}`", disk.storage, vm.boot_disk_storage),
            )
            .vm(vm.vm_id)
            .hint(format!("this version does not move disks: set `boot_disk_storage` to `{}`", disk.storage)),
        );
    }
}

fn shrinks(vm: &DesiredVm, size: u64, what: &str) -> Diagnostic {
    let now = diff::gib(size);
    let whole = size.div_ceil(crate::model::GIB);
    Diagnostic::error(
        codes::DISK_SHRINKS,
        format!("{what} has {now} GiB, wished are {}: a disk never shrinks", vm.boot_disk_size_gb),
    )
    .vm(vm.vm_id)
    .hint(format!("set `boot_disk_size_gb` to {whole} or more"))
}

/// Says that a VM is not new and not finished either.
pub(super) fn completed(vm: &DesiredVm, problems: &mut Vec<Diagnostic>) {
    let text = format!("VM {} was not finished by an earlier run: it is completed", vm.vm_id);
    problems.push(Diagnostic::notice(codes::UNFINISHED, text).vm(vm.vm_id));
}

/// Anything but our own half-made clone that is locked is left alone.
pub(super) fn lock(vm: VmId, live: &VmObserved, problems: &mut Vec<Diagnostic>) {
    if let Some(lock) = &live.lock {
        problems.push(
            Diagnostic::error(codes::LOCKED, format!("VM {vm} is locked ({lock})"))
                .vm(vm)
                .hint("wait until what holds the lock has ended; `qm unlock` is for locks whose owner is gone"),
        );
    }
}

/// What was declared once and is not any more, and what cannot change after creation.
pub(super) fn removed(vm: &DesiredVm, record: &Record, mounts: &[Mount], problems: &mut Vec<Diagnostic>) {
    if !record.template.is_empty() && record.template != vm.template_name {
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
    if let Some(entries) = observed.directories.get(path) {
        let what = if *entries == 1 { "1 entry, which is".to_owned() } else { format!("{entries} entries, which are") };
        let text = format!("`{path}` is there already and has {what} kept");
        problems.push(Diagnostic::notice(codes::DIRECTORY_IN_USE, text).vm(vm.vm_id));
    }
}

/// The target must be able to export what it is to export.
pub(super) fn nfs_server(vm: &DesiredVm, observed: &Observed, problems: &mut Vec<Diagnostic>) {
    if !observed.node.nfs_server {
        problems.push(
            Diagnostic::error(codes::NO_NFS_SERVER, "the node has no NFS server to export the VM's directory with")
                .vm(vm.vm_id)
                .hint("`apt install nfs-kernel-server` on the node, or name another server in the config"),
        );
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

/// Description and record together must fit into the notes.
pub(super) fn notes(vm: &DesiredVm, record: &Record, problems: &mut Vec<Diagnostic>) {
    // The uuid is not known before the clone; it always has 36 characters.
    let mut record = record.clone();
    record.uuid.get_or_insert_with(|| "0".repeat(36));
    if let Err(error) = with_record(&vm.description, &record) {
        problems.push(
            Diagnostic::error(codes::NOTES_TOO_LONG, error.to_string())
                .vm(vm.vm_id)
                .hint("shorten `description`: phoenix keeps its record in the same notes"),
        );
    }
}

/// Sums over all VMs: free space per storage, memory of the node.
pub(super) fn capacity(desired: &Desired, vms: &[VmPlan], observed: &Observed, problems: &mut Vec<Diagnostic>) {
    let mut needed: BTreeMap<&str, u64> = BTreeMap::new();
    for vm in vms {
        let Some(task) = &vm.task else { continue };
        let wanted = diff::wanted_bytes(&task.desired);
        let has = |kind: ActionKind| vm.actions.iter().any(|a| a.kind == kind && a.outcome.acts());
        let grows = if has(ActionKind::Clone) {
            wanted
        } else if has(ActionKind::ResizeDisk) {
            let live = observed.vms.get(&vm.vm).and_then(|live| live.boot_disk.as_ref()?.size);
            wanted.saturating_sub(live.unwrap_or(0))
        } else {
            0
        };
        *needed.entry(&task.desired.boot_disk_storage).or_default() += grows;
    }
    for (id, bytes) in needed {
        let Some(storage) = observed.storages.get(id) else { continue };
        if storage.total == 0 || bytes <= storage.free {
            continue;
        }
        let text = format!(
            "storage `{id}` has {} GiB free, the plan adds up to {} GiB",
            diff::gib(storage.free),
            diff::gib(bytes)
        );
        problems.push(if storage.thick {
            Diagnostic::error(codes::STORAGE_SHORT, text).hint("its disks take their whole size at once")
        } else {
            Diagnostic::warning(codes::STORAGE_SHORT, text).hint("its disks take space as they fill up")
        });
    }
    let acts = vms.iter().any(|vm| vm.outcome != Outcome::NoOp);
    let memory: u64 = desired.vms.iter().map(|vm| u64::from(vm.memory_mb)).sum();
    if acts && observed.node.memory_mb != 0 && memory > observed.node.memory_mb {
        problems.push(Diagnostic::warning(
            codes::MEMORY_OVERCOMMITTED,
            format!("all declared VMs together want {memory} MiB of memory, the node has {}", observed.node.memory_mb),
        ));
    }
}

/// Says that a VM of this project, which the file no longer declares, stays.
pub(super) fn undeclared(live: &VmObserved, problems: &mut Vec<Diagnostic>) {
    let what = format!("VM {} `{}` belongs to this project and is no longer declared; it stays", live.id, live.name);
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
