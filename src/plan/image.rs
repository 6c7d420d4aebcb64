//! VMs that are made from an image.

use super::preflight::known_words;
use super::{Source, codes};
use crate::diag::Diagnostic;
use crate::model::{CloudImage, DesiredVm, ImagePlace, Record, is_noted};
use crate::observed::Observed;

/// What a VM with a `cloud_image` is made from. What can be told of the image before it is there is checked.
pub(super) fn source(
    vm: &DesiredVm,
    image: &CloudImage,
    observed: &Observed,
    problems: &mut Vec<Diagnostic>,
) -> Source {
    if let ImagePlace::Volume(volume) = image.place() {
        let id = volume.split(':').next().unwrap_or_default();
        let why = match observed.storages.get(id) {
            None => Some(format!("there is no storage `{id}`")),
            Some(storage) if !storage.active => Some(format!("storage `{id}` is not active")),
            Some(_) => None,
        };
        if let Some(why) = why {
            let known: Vec<&str> = observed.storages.keys().map(String::as_str).collect();
            problems.push(
                Diagnostic::error(codes::UNUSABLE_STORAGE, format!("image `{volume}`: {why}"))
                    .vm(vm.vm_id)
                    .hint(known_words("storages", id, &known)),
            );
        }
    }
    Source::Image(image.clone())
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
