//! VMs that are made from an image.

use super::words::known_words;
use super::{Scene, codes, placement};
use crate::diag::Diagnostic;
use crate::model::{CloudImage, DesiredVm, ImagePlace, Key, Record, is_at_or_below, is_noted};
use crate::observed::Storage;

/// What is wrong with the image of a VM, as far as that can be told before it is there.
pub(super) fn check(vm: &DesiredVm, image: &CloudImage, scene: &Scene<'_>) -> Option<Diagnostic> {
    problem(vm, image, scene).map(|problem| problem.vm(vm.vm_id).about(Key::CloudImage))
}

/// The same, without the VM and the key that it is about.
pub(super) fn problem(vm: &DesiredVm, image: &CloudImage, scene: &Scene<'_>) -> Option<Diagnostic> {
    match image.place() {
        ImagePlace::Volume(volume) => volume_out_of_reach(vm, volume, scene),
        ImagePlace::File(path) => file_refused(vm, path, scene),
        ImagePlace::Url(_) => None,
    }
}

/// Why the volume of an image cannot be read.
fn volume_out_of_reach(vm: &DesiredVm, volume: &str, scene: &Scene<'_>) -> Option<Diagnostic> {
    let node = scene.node(vm.vm_id);
    let id = volume.split(':').next().unwrap_or_default();
    let why = match node.storages.get(id) {
        None => format!("there is no storage `{id}`{}", placement::on(node, scene.observed)),
        Some(storage) if !storage.active => format!("storage `{id}` is not active"),
        Some(_) => return None,
    };
    let known: Vec<&str> = node.storages.keys().map(String::as_str).collect();
    let problem = Diagnostic::error(codes::UNUSABLE_STORAGE, format!("image `{volume}` cannot be read: {why}"));
    Some(problem.hint(known_words("storages", id, &known)))
}

/// Why no VM may be made from a file of the node.
fn file_refused(vm: &DesiredVm, path: &str, scene: &Scene<'_>) -> Option<Diagnostic> {
    let mut storages = scene.node(vm.vm_id).storages.iter();
    let (why, hint) = match storages.find(|(_, storage)| holds_disks(storage, path)) {
        Some((id, _)) => (
            format!("it lies among the disks of VMs on storage `{id}`, where images are not taken from"),
            "name a volume of content `import`, or a file of its own".to_owned(),
        ),
        None => scene.grants.refuses_image(path)?,
    };
    Some(Diagnostic::error(codes::IMAGE_PATH, format!("image `{path}` cannot be used: {why}")).hint(hint))
}

/// Whether a path lies where a storage keeps the disks of VMs and containers.
fn holds_disks(storage: &Storage, path: &str) -> bool {
    let Some(root) = &storage.path else { return false };
    ["images", "private"].iter().any(|dir| is_at_or_below(path, &format!("{}/{dir}", root.trim_end_matches('/'))))
}

/// Says that a VM was made from something else than the file says now.
pub(super) fn made_otherwise(vm: &DesiredVm, record: &Record) -> Option<Diagnostic> {
    let (what, key) = match (&vm.cloud_image, record.image.is_empty(), record.template.is_empty()) {
        (Some(image), false, _) if !is_noted(&record.image, &image.name()) => {
            ("made from another image; changing `cloud_image`", Key::CloudImage)
        }
        (Some(_), true, false) => ("cloned from a template; a `cloud_image`", Key::CloudImage),
        (None, false, _) => ("made from an image; a `template_name`", Key::TemplateName),
        _ => return None,
    };
    let what = format!("{what} does not affect an existing VM");
    Some(Diagnostic::notice(codes::TEMPLATE_CHANGED, what).vm(vm.vm_id).about(key))
}
