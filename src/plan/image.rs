//! VMs that are made from an image.

use super::words::known_words;
use super::{Scene, codes, placement};
use crate::diag::Diagnostic;
use crate::model::{CloudImage, DesiredVm, ImagePlace, Record, is_at_or_below, is_noted};
use crate::observed::Storage;

/// Checks what can be told of the image of a VM before it is there.
pub(super) fn check(vm: &DesiredVm, image: &CloudImage, scene: &Scene<'_>, problems: &mut Vec<Diagnostic>) {
    let node = scene.node(vm.vm_id);
    if let ImagePlace::Volume(volume) = image.place() {
        let id = volume.split(':').next().unwrap_or_default();
        let why = match node.storages.get(id) {
            None => Some(format!("there is no storage `{id}`{}", placement::on(node, scene.observed))),
            Some(storage) if !storage.active => Some(format!("storage `{id}` is not active")),
            Some(_) => None,
        };
        if let Some(why) = why {
            let known: Vec<&str> = node.storages.keys().map(String::as_str).collect();
            problems.push(
                Diagnostic::error(codes::UNUSABLE_STORAGE, format!("image `{volume}`: {why}"))
                    .vm(vm.vm_id)
                    .hint(known_words("storages", id, &known)),
            );
        }
    }
    if let ImagePlace::File(path) = image.place()
        && let Some((id, _)) = node.storages.iter().find(|(_, storage)| holds_disks(storage, path))
    {
        let what =
            format!("image `{path}`: it lies among the disks of VMs on storage `{id}`, and is none to be given away");
        let hint = "name a volume of content `import` or `iso`, or a file of its own";
        problems.push(Diagnostic::error(codes::IMAGE_PATH, what).vm(vm.vm_id).hint(hint));
    } else if let ImagePlace::File(path) = image.place()
        && let Some((why, how)) = scene.grants.refuses_image(vm.vm_id, path)
    {
        let what = format!("image `{path}`: {why}");
        problems.push(Diagnostic::error(codes::IMAGE_PATH, what).vm(vm.vm_id).hint(how));
    }
}

/// Whether a path lies where a storage keeps the disks of VMs and containers.
fn holds_disks(storage: &Storage, path: &str) -> bool {
    let Some(root) = &storage.path else { return false };
    ["images", "private"].iter().any(|dir| is_at_or_below(path, &format!("{}/{dir}", root.trim_end_matches('/'))))
}

/// Tells that a VM was made from something else than the file says now.
pub(super) fn made_otherwise(vm: &DesiredVm, record: &Record, problems: &mut Vec<Diagnostic>) {
    let what = match (&vm.cloud_image, record.image.is_empty(), record.template.is_empty()) {
        (Some(image), false, _) if !is_noted(&record.image, &image.name()) => {
            "was made from another image; another `cloud_image`"
        }
        (Some(_), true, false) => "was cloned from a template; a `cloud_image`",
        (None, false, _) => "was made from an image; a `template_name`",
        _ => return,
    };
    let what = format!("VM {} {what} changes nothing after creation", vm.vm_id);
    problems.push(Diagnostic::notice(codes::TEMPLATE_CHANGED, what).vm(vm.vm_id));
}
