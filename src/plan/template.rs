//! VMs that become templates, and those that did.

use super::{Scene, cards, codes, diff};
use crate::diag::Diagnostic;
use crate::model::{DesiredVm, Key, Record, is_noted};
use crate::observed::VmObserved;

/// Why a VM of ours is not what the file says of templates, if it is not: that is settled when a VM is made.
pub(super) fn otherwise(vm: &DesiredVm, live: &VmObserved, record: &Record) -> Option<Diagnostic> {
    let id = vm.vm_id;
    let anew = format!("`phoenix destroy {id}`, and the next apply makes it anew; or choose another `vm_id`");
    let (what, hint) = match (vm.is_template, record.is_template, live.template) {
        (false, false, false) | (true, true, true) => return None,
        (true, true, false) if !record.state.is_ready() => return None,
        (true, true, false) => (
            "built as a template, but another process or an administrator made it a VM again".to_owned(),
            format!("`qm template {id}` makes it a template again; {anew}"),
        ),
        (false, false, true) => {
            ("the VM has been converted to a template".to_owned(), "choose another `vm_id`".to_owned())
        }
        (true, false, _) => ("not made to become a template: `is_template` counts when a VM is made".to_owned(), anew),
        (false, true, _) => (
            "made to become a template: taking `is_template` away does not make a VM of it".to_owned(),
            format!("put `is_template` back; {anew}"),
        ),
    };
    Some(Diagnostic::error(codes::IS_TEMPLATE, what).about(Key::IsTemplate).hint(hint))
}

/// Whether a VM of ours is a template that was built to its end.
pub(super) fn is_built(live: &VmObserved, project: &str) -> bool {
    let record = live.record.valid().filter(|record| record.project == project);
    live.template && record.is_some_and(|record| record.is_template && record.state.is_ready())
}

/// The template of this file that a VM is cloned from, as long as it is not built.
pub(super) fn awaited<'d>(vm: &DesiredVm, scene: &Scene<'d>) -> Option<&'d DesiredVm> {
    let template = scene.desired.vm(vm.template?)?;
    let live = scene.observed.vms.get(&template.vm_id);
    let built = live.is_some_and(|live| is_built(live, &scene.desired.settings.project));
    (!built).then_some(template)
}

/// Says in what a template that is built differs from the file, if it does.
pub(super) fn differs(vm: &DesiredVm, live: &VmObserved, record: &Record, scene: &Scene<'_>) -> Option<Diagnostic> {
    let changes = diff::changes(vm, live, scene);
    let mut keys: Vec<&str> = changes.iter().map(|change| change.key).collect();
    let digest = |name: &str| scene.desired.scripts.features.get(name).map(|script| &*script.digest);
    let same = |(name, ran): (&String, &String)| digest(name).is_some_and(|now| is_noted(ran, now));
    let known = record.features.keys().all(|ran| vm.features.iter().any(|feature| *feature.name == **ran));
    if !known || vm.features.len() != record.features.len() || !record.features.iter().all(same) {
        keys.push(Key::Features.name());
    }
    let image = vm.cloud_image.as_deref().map_or_else(String::new, crate::model::CloudImage::name);
    let template = if vm.cloud_image.is_some() { "" } else { vm.template_name.as_str() };
    if record.image != image && !is_noted(&record.image, &image) {
        keys.push(Key::CloudImage.name());
    }
    if record.template != template {
        keys.push(Key::TemplateName.name());
    }
    keys.dedup();
    if keys.is_empty() {
        return None;
    }
    let named = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let id = vm.vm_id;
    let what = format!("the template stays as it was built; the file now has other values of {named}");
    let hint = format!("`phoenix destroy {id}`, and the next apply builds it anew");
    Some(Diagnostic { keys, ..Diagnostic::notice(codes::TEMPLATE_BUILT, what).vm(id).hint(hint) })
}

/// Kinds of storage whose volumes Proxmox makes no template of.
const WITHOUT: [&str; 3] = ["lvm", "iscsi", "iscsidirect"];

/// The storage of a VM that becomes a template must be able to hold one.
pub(super) fn storage(vm: &DesiredVm, scene: &Scene<'_>) -> Option<Diagnostic> {
    if !vm.is_template {
        return None;
    }
    let id = vm.boot_disk_storage.as_str();
    let storage = scene.node(vm.vm_id).storages.get(id);
    let storage = storage.filter(|storage| WITHOUT.contains(&storage.kind.as_str()))?;
    let what = format!("storage `{id}` is of type {}, which has no templates", storage.kind);
    let hint = "name another one in `boot_disk_storage`: its clones can still lie on the other storage";
    Some(Diagnostic::error(codes::UNUSABLE_STORAGE, what).vm(vm.vm_id).about(Key::BootDiskStorage).hint(hint))
}

/// What becomes a template needs a cloud-init drive: without one, cloud-init switches itself off in most images, and
/// clones get no host keys.
pub(super) fn drive(vm: &DesiredVm, source: &VmObserved) -> Option<Diagnostic> {
    let configured = vm.tells_cloud_init();
    let what = "a template without a cloud-init drive: cloud-init may be switched off in its guest, which cannot be \
                cleaned then";
    let hint = "a `user_config` or `network_config` brings a drive";
    let problem =
        || Diagnostic::warning(codes::TEMPLATE_WITHOUT_DRIVE, what).vm(vm.vm_id).about(Key::IsTemplate).hint(hint);
    (vm.is_template && source.cloud_init.drive.is_none() && !configured).then(problem)
}

/// Proxmox makes no template of a VM that has snapshots.
pub(super) fn snapshots(vm: &DesiredVm, live: &VmObserved) -> Option<Diagnostic> {
    let (id, name) = (live.id, live.snapshots.first().filter(|_| vm.is_template)?);
    let what = format!("snapshot `{name}` is there: a VM with snapshots does not become a template");
    let hint = format!("`qm delsnapshot {id} {name}` on its node removes it");
    Some(Diagnostic::error(codes::SNAPSHOTS, what).vm(id).about(Key::IsTemplate).hint(hint))
}

/// Says what a template has beside what the file lists of a VM that is made of it.
pub(super) fn has_more(vm: &DesiredVm, template: &VmObserved) -> Option<Diagnostic> {
    let listed =
        |slot: &str| vm.disks.contains_key(slot) || vm.networks.contains_key(slot) || vm.cdrom.contains_key(slot);
    let more: Vec<&str> = cards::slots_of(template).filter(|slot| !listed(slot)).collect();
    if more.is_empty() {
        return None;
    }
    let what = format!(
        "template `{}` also has {}: the VM gets a copy, which stays as it is as long as the file does not list it",
        template.name,
        more.join(", ")
    );
    Some(Diagnostic::notice(codes::TEMPLATE_HAS_MORE, what).vm(vm.vm_id).about(Key::TemplateName))
}
