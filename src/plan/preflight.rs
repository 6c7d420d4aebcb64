//! What must hold at the target before anything is done.

use std::collections::BTreeMap;

use super::words::known_words;
use super::{
    Mount, Scene, VmPlan, addresses, cards, codes, diff, disk, drives, filesystems, further, ha, image, imported,
    mapped, migrate, placement, pool, size, template, unnamed,
};
use crate::diag::Diagnostic;
use crate::model::{ActionKind, Desired, DesiredVm, Formatted, Key, Origin, Record, Settings, VmId, normal_path};
use crate::observed::{Observed, Taken, VmObserved, with_record};

/// Says what guests need and this machine lacks, if a VM is to be made or to boot.
pub(super) fn missing_programs(vms: &[VmPlan], observed: &Observed) -> Vec<Diagnostic> {
    let install = |package: &str| format!("`apt-get install {package}` on this machine");
    let makes = vms.iter().any(VmPlan::makes_it);
    // A disk that is there boots with QEMU alone.
    let needs = |program: &str| makes || program.starts_with("qemu-system");
    let missing = observed.missing.iter().filter(|(program, _)| needs(program));
    let missing = missing.map(|(program, package)| missing_program(program, &install(package)));
    let boots = |vm: &VmPlan| {
        let boot = |kind| matches!(kind, ActionKind::Start | ActionKind::Restart);
        vm.actions.iter().any(|action| boot(action.kind) && action.outcome.acts())
    };
    if makes || vms.iter().any(boots) { missing.collect() } else { Vec::new() }
}

/// Says that a program is missing where phoenix runs it. `install`: the command that brings it.
pub(super) fn missing_program(program: &str, install: &str) -> Diagnostic {
    let what = format!("there is no program `{program}` in the PATH of phoenix's scripts");
    Diagnostic::error(codes::NO_PROGRAM, what).hint(format!("{install} brings it"))
}

/// Resolves the template of a VM that is to be made: one of the file, or the one of the target that has the name.
pub(super) fn template(vm: &DesiredVm, scene: &Scene<'_>) -> Result<VmId, Vec<Diagnostic>> {
    let source = source(vm, scene).map_err(|problem| vec![problem])?;
    let found: Vec<Diagnostic> = linked(vm, source, scene).into_iter().chain(unfit_disk(vm, source, scene)).collect();
    if found.is_empty() { Ok(source) } else { Err(found) }
}

/// The template of a VM that is to be made, if it can be cloned to where the VM is to be.
fn source(vm: &DesiredVm, scene: &Scene<'_>) -> Result<VmId, Diagnostic> {
    let source = match vm.template {
        Some(declared) => declared,
        None => template_by_name(vm, scene)?,
    };
    let name = vm.template_name.as_str();
    if scene.going.contains(&source) {
        let what = format!(
            "template `{name}` ({source}) is no longer declared and would be removed: nothing can be cloned from it"
        );
        let hint = "declare it, name another template, or leave out `--prune`";
        return Err(Diagnostic::error(codes::UNKNOWN_TEMPLATE, what).vm(vm.vm_id).about(Key::TemplateName).hint(hint));
    }
    if let Some(taken) = scene.observed.taken.get(&source).filter(|_| vm.template.is_some()) {
        return Err(out_of_reach(vm, source, taken));
    }
    match on_another_node(vm, source, scene) {
        Some(away) => Err(away),
        None => Ok(source),
    }
}

/// Says that the disk of a template cannot become that of a VM: it would have to shrink, or its size is not known.
fn unfit_disk(vm: &DesiredVm, source: VmId, scene: &Scene<'_>) -> Option<Diagnostic> {
    let name = vm.template_name.as_str();
    let lies = || scene.observed.vms.get(&source)?.boot_disk.as_ref()?.size;
    match template::awaited(vm, scene).map(diff::wanted_bytes).or_else(lies) {
        Some(size) if size > diff::wanted_bytes(vm) => {
            Some(disk::shrinks(vm, size, &format!("the disk of template `{name}`")))
        }
        Some(_) => None,
        None => {
            let what = format!("template `{name}` ({source}) has no boot disk of a known size");
            let hint = "set its boot order to the disk it boots from";
            Some(Diagnostic::error(codes::NO_BOOT_DISK, what).vm(vm.vm_id).about(Key::TemplateName).hint(hint))
        }
    }
}

/// The only template of the target that has the name.
fn template_by_name(vm: &DesiredVm, scene: &Scene<'_>) -> Result<VmId, Diagnostic> {
    let name = vm.template_name.as_str();
    let found = scene.templates_for(vm.vm_id, name);
    let problem = match found.as_slice() {
        [source] => return Ok(*source),
        [] => {
            let elsewhere = scene.templates.get(name).and_then(|ids| on_another_node(vm, *ids.first()?, scene));
            let there = |(_, taken): &(&VmId, &Taken)| taken.template && taken.name == name;
            let taken = || scene.observed.taken.iter().find(there).map(|(id, taken)| out_of_reach(vm, *id, taken));
            return Err(elsewhere.or_else(taken).unwrap_or_else(|| unknown_template(vm, scene)));
        }
        found => {
            let ids = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let what = format!("{} templates are called `{name}`: {ids}", found.len());
            Diagnostic::error(codes::AMBIGUOUS_TEMPLATE, what).hint("rename all but one of them")
        }
    };
    Err(problem.vm(vm.vm_id).about(Key::TemplateName))
}

/// Says that no template of the target has the name.
fn unknown_template(vm: &DesiredVm, scene: &Scene<'_>) -> Diagnostic {
    let name = vm.template_name.as_str();
    let known: Vec<&str> = scene.templates.keys().copied().filter(|name| !name.is_empty()).collect();
    let of_id = name.parse().ok().and_then(|id: u32| scene.observed.vms.get(&VmId::try_from(id).ok()?));
    let nameless = || scene.templates.get("").and_then(|ids| ids.first());
    let hint = match scene.names.get(name).and_then(|ids| ids.first()) {
        Some(id) => {
            format!("VM {id}{} has that name and is not a template", placement::words_of(*id, scene.observed))
        }
        None => match &scene.observed.template_hint {
            _ if let Some(template) = of_id.filter(|vm| vm.template && !vm.name.is_empty()) => {
                format!("{name} is the VMID of template `{}`: write its name", template.name)
            }
            _ if let Some(id) = nameless().filter(|id| known.is_empty() || id.to_string() == name) => {
                format!("template {id} has no name; give it one: `qm set {id} --name NAME`")
            }
            Some(hint) if known.is_empty() => hint.clone(),
            _ => known_words("templates", name, &known),
        },
    };
    let what = format!("there is no template `{name}`");
    Diagnostic::error(codes::UNKNOWN_TEMPLATE, what).hint(hint).vm(vm.vm_id).about(Key::TemplateName)
}

/// Says that a template is on a node that the target does not reach.
fn out_of_reach(vm: &DesiredVm, id: VmId, taken: &Taken) -> Diagnostic {
    let what = format!("template `{}` ({id}) is on node `{}`", vm.template_name, taken.node);
    let hint =
        "a VM is cloned on the node that has its template: name that node with `--target`, or make the template here";
    Diagnostic::error(codes::UNKNOWN_TEMPLATE, what).vm(vm.vm_id).about(Key::TemplateName).hint(hint)
}

/// Says that a VM cannot be cloned from a template, if that is on another node, which is not online. That keeps no
/// other VM from anything, as nothing of such a node does: a warning of a code that the planner leaves the VM alone
/// for.
fn on_another_node(vm: &DesiredVm, source: VmId, scene: &Scene<'_>) -> Option<Diagnostic> {
    let [here, there] = [vm.vm_id, source].map(|vm| placement::name_of(vm, scene.observed));
    let node = placement::node_of(source, scene.observed);
    if here == there || node.online {
        return None;
    }
    let name = vm.template_name.as_str();
    let what = format!("template `{name}` ({source}) is on node `{there}`, which {}", node.absence());
    let hint = format!("{}, or name a template that is on node `{here}`", node.way_back());
    Some(Diagnostic::error(codes::NODE_OUT_OF_REACH, what).vm(vm.vm_id).about(Key::TemplateName).hint(hint))
}

/// The storage that the disk of a template lies on, or will lie on.
fn storage_of<'s>(vm: &DesiredVm, source: VmId, scene: &Scene<'s>) -> Option<&'s str> {
    let lies = || scene.observed.vms.get(&source).and_then(|template| template.boot_disk.as_ref());
    match template::awaited(vm, scene) {
        Some(awaited) => Some(&awaited.boot_disk_storage),
        None => lies().map(|disk| disk.storage.as_str()),
    }
}

/// Whether the VM becomes a copy of its template. Where the config does not say, and the node links clones, it does
/// not, provided that it is to lie where its template does. What becomes a template itself is always whole.
pub(super) fn full_clone(vm: &DesiredVm, source: VmId, scene: &Scene<'_>) -> bool {
    let beside = storage_of(vm, source, scene) == Some(vm.boot_disk_storage.as_str());
    let unsaid = vm.origins.of(Key::FullClone) == Origin::BuiltIn;
    let linked = unsaid && !scene.observed.capabilities.clones_whole && beside;
    vm.is_template || (vm.full_clone && !linked)
}

/// A linked clone lies where its template does.
fn linked(vm: &DesiredVm, source: VmId, scene: &Scene<'_>) -> Option<Diagnostic> {
    let storage = storage_of(vm, source, scene);
    let storage = storage.filter(|storage| !vm.full_clone && *storage != vm.boot_disk_storage)?;
    let text = format!(
        "a linked clone lies on its template's storage, which is `{storage}`, not on `{}`",
        vm.boot_disk_storage
    );
    let hint = format!("set `boot_disk_storage` to `{storage}`, or `full_clone` to true");
    Some(Diagnostic::error(codes::LINKED_ELSEWHERE, text).vm(vm.vm_id).about(Key::BootDiskStorage).hint(hint))
}

/// Bridge, CPUs, memory and name against the node. `live`: the VM, where it exists.
pub(super) fn host(vm: &DesiredVm, live: Option<&VmObserved>, scene: &Scene<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    // One that moves needs its bridge where it comes to be.
    let moves = live.and_then(|live| migrate::destination(vm, live, scene.observed));
    let node = moves.and_then(|to| scene.observed.nodes.get(to)).unwrap_or_else(|| scene.node(vm.vm_id));
    let on = placement::on(node, scene.observed);
    found.extend(ha::declared(vm, live, scene));
    if node.lacks_bridge(&vm.network_bridge) {
        let known: Vec<&str> = node.bridges.keys().map(String::as_str).collect();
        found.push(
            Diagnostic::error(codes::UNKNOWN_BRIDGE, format!("there is no bridge `{}`{on}", vm.network_bridge))
                .vm(vm.vm_id)
                .about(Key::NetworkBridge)
                .hint(known_words("bridges", &vm.network_bridge, &known)),
        );
    }
    found.extend(pool::missing(vm, scene));
    found.extend(cards::plugs(vm, live, scene));
    found.extend(further::disks(vm, live, scene));
    found.extend(filesystems::problems(vm, live, scene));
    found.extend(drives::drives(vm, live, scene));
    found.extend(mapped::lacking(vm, live, scene));
    found.extend(size::too_large(vm, live, scene));
    found.extend(unnamed::left(vm, live.is_some(), scene.observed));
    found.extend(addresses::taken_twice(vm, scene));
    let others = scene.names.get(vm.vm_name.as_str()).map_or(&[][..], Vec::as_slice);
    // One that this plan gives another name is none.
    let keeps = |other: VmId| scene.desired.vm(other).is_none_or(|other| !scene.selection.takes(other));
    if let Some(other) = others.iter().find(|other| **other != vm.vm_id && keeps(**other)) {
        let what = format!("VM {other}{} is also called `{}`", placement::words_of(*other, scene.observed), vm.vm_name);
        found.push(Diagnostic::warning(codes::NAME_TAKEN, what).vm(vm.vm_id).about(Key::VmName));
    }
    found
}

/// Says that a VM is not new and not finished either.
pub(super) fn completed(vm: &DesiredVm) -> Diagnostic {
    let text = "left unfinished by an earlier run: apply does the rest";
    Diagnostic::notice(codes::UNFINISHED, text).vm(vm.vm_id)
}

/// What was declared once and is not any more, and what cannot change after creation. A volume that the file declares
/// and that cannot be resolved is still declared.
pub(super) fn removed(vm: &DesiredVm, (live, record): (&VmObserved, &Record), settings: &Settings) -> Vec<Diagnostic> {
    let notice = |code: &'static str, what: String| Diagnostic::notice(code, what).vm(vm.vm_id);
    let mut found: Vec<Diagnostic> = image::made_otherwise(vm, record).into_iter().collect();
    if !record.template.is_empty() && record.template != vm.template_name && vm.cloud_image.is_none() {
        let what =
            format!("cloned from `{}`; changing `template_name` does not affect an existing VM", record.template);
        found.push(notice(codes::TEMPLATE_CHANGED, what).about(Key::TemplateName));
    }
    found.extend(imported::made_otherwise(vm, record, live));
    let declared = |feature: &str| vm.features.iter().any(|declared| *declared.name == *feature);
    found.extend(record.features.keys().filter(|feature| !declared(feature)).map(|feature| {
        let what = format!("feature `{feature}` is no longer declared; what it did stays (there is no uninstall)");
        notice(codes::FEATURE_REMOVED, what).about(Key::Features)
    }));
    let implicit = |at: &str| !vm.features.is_empty() && settings.persistent_storage.mount_point == at;
    let mounted = |at: &str| implicit(at) || vm.volumes.iter().any(|volume| volume.mount_point == at);
    let left = |(at, source): &(&String, &String)| !mounted(at) && !filesystems::is_replaced(vm, at, source);
    found.extend(record.volumes.iter().filter(left).map(|(at, source)| {
        let what = format!("`{at}` is no longer declared: it is unmounted, what is on {source} stays");
        notice(codes::VOLUME_REMOVED, what).about(Key::Volumes)
    }));
    found
}

/// Says that a directory which is to be made is there already.
pub(super) fn directory(vm: &DesiredVm, mount: &Mount, observed: &Observed) -> Option<Diagnostic> {
    let path = mount.host_path.as_ref()?;
    let entries = placement::node_of(vm.vm_id, observed).directories.get(&normal_path(path))?;
    let what = if *entries == 1 { "1 entry, which is".to_owned() } else { format!("{entries} entries, which are") };
    let text = format!("`{path}` exists already and has {what} kept");
    Some(Diagnostic::notice(codes::DIRECTORY_IN_USE, text).vm(vm.vm_id).about(mount.key()))
}

/// The target must be able to export what it is to export.
pub(super) fn nfs_server(vm: &DesiredVm, observed: &Observed) -> Option<Diagnostic> {
    let node = placement::node_of(vm.vm_id, observed);
    if node.nfs_server {
        return None;
    }
    let what = format!("{} has no NFS server to export the VM's directory with", placement::called(node, observed));
    let install = "`apt install nfs-kernel-server` on the node, or name another server in the config";
    let hint = node.nfs_hint.as_deref().unwrap_or(install);
    let key = if vm.volumes.is_empty() { Key::Features } else { Key::Volumes };
    Some(Diagnostic::error(codes::NO_NFS_SERVER, what).vm(vm.vm_id).about(key).hint(hint))
}

/// Says that changed utilities are staged without running anything.
pub(super) fn utilities(vm: &DesiredVm, record: &Record, staged: &BTreeMap<String, String>) -> Option<Diagnostic> {
    let changed =
        |name: &&String| name.as_str() != super::CONTEXT_FILE && record.staged.get(*name) != staged.get(*name);
    let name = staged.keys().find(changed)?;
    let what = format!("`{name}` changed: it is staged again, no feature runs for that");
    Some(Diagnostic::notice(codes::UTILITIES_CHANGED, what).vm(vm.vm_id).about(Key::Features))
}

/// Description and record together must fit into the notes. What was applied is the first to be left out.
pub(super) fn notes(vm: &DesiredVm, record: &mut Record) -> Option<Diagnostic> {
    // What will be noted of file systems that are still to be made.
    let to_come = filesystems::declared(vm, record, None).into_iter().filter(|declared| declared.noted.is_none());
    let to_come: Vec<(String, Formatted)> =
        to_come.map(|declared| (declared.slot.to_owned(), declared.placeholder())).collect();
    let fits = |record: &Record| {
        let mut record = record.clone();
        // The uuid is not known before the clone; it always has 36 characters.
        record.uuid.get_or_insert_with(|| "0".repeat(36));
        record.filesystems.extend(to_come.iter().cloned());
        with_record(&vm.description, &record)
    };
    let mut fitting = fits(record);
    if fitting.is_err() && !record.applied.is_empty() {
        record.applied.clear();
        fitting = fits(record);
    }
    let error = fitting.err()?;
    let hint = "shorten `description`: phoenix keeps its record in the same notes";
    Some(Diagnostic::error(codes::NOTES_TOO_LONG, error.to_string()).vm(vm.vm_id).about(Key::Description).hint(hint))
}

/// Says that a VM stays which the file does not declare and whose record names this project. The record is a claim of
/// the accounts that may write the VM's notes.
pub(super) fn undeclared(live: &VmObserved, settings: &Settings) -> Diagnostic {
    let (id, project) = (live.id, &settings.project);
    let (what, hint) = if settings.project_named {
        (
            format!("not declared, and left alone: the record names project `{project}`"),
            format!(
                "`phoenix forget {id}` gives it up and keeps it; `phoenix destroy {id}`, or `phoenix apply --prune`, erases \
                 it with its disks"
            ),
        )
    } else {
        (
            format!("left alone: declared in another file of project `{project}`, or in none"),
            format!(
                "files without `hypervisor.project` share that project: give each file one of its own; `phoenix forget \
                 {id}` gives the VM up and keeps it"
            ),
        )
    };
    Diagnostic::notice(codes::UNDECLARED, what).vm(id).hint(hint)
}

/// Guards against a file that lost its VMs: those of a project go only if it is named, and more than half of them only
/// if the operator says how many.
pub(super) fn pruned(
    desired: &Desired,
    observed: &Observed,
    gone: &[&VmObserved],
    many: Option<usize>,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let project = &desired.settings.project;
    if !desired.settings.project_named {
        let what = format!(
            "VMs that this file does not declare are destroyed only if it names its project: they may be in another file \
             of project `{project}`"
        );
        let hint = format!(
            "if no other file without `hypervisor.project` has VMs here, set it to \"{project}\": `--prune` then erases \
             what this file does not declare; else `phoenix destroy VM` erases single VMs"
        );
        found.push(Diagnostic::error(codes::PROJECT_NOT_NAMED, what).hint(hint));
    }
    let all = observed.vms.values().filter(|vm| vm.record.valid().is_some_and(|record| record.project == *project));
    let (all, going) = (all.count(), gone.len());
    if going * 2 > all && many != Some(going) {
        let what =
            format!("{going} of the {all} VMs of project `{project}` are no longer declared and would be destroyed");
        let hint = format!("is the file complete? `--prune-many {going}` says that it is");
        found.push(Diagnostic::error(codes::TOO_MANY_PRUNED, what).hint(hint));
    }
    found
}
