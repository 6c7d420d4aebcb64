//! What is put beside the scripts of a VM.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Mount;
use super::{StagedFile, context};
use crate::model::{CloudImage, Desired, DesiredVm, Record, Script, content_digest, is_noted, noted};

/// The content of a VM's scripts directory.
pub(super) struct Staging {
    /// What a record notes of what lies beside the scripts, by file name; empty without features.
    pub digests: BTreeMap<String, String>,
}

impl Staging {
    /// Works out what a VM's scripts find beside them.
    pub(super) fn of(vm: &DesiredVm, mounts: &[Arc<Mount>], desired: &Desired) -> Self {
        let mut staging = Self { digests: BTreeMap::new() };
        if vm.features.is_empty() {
            return staging;
        }
        let gist = content_digest(context::gist(vm, mounts).as_bytes());
        staging.digests.insert(context::CONTEXT_FILE.to_owned(), noted(&gist).to_owned());
        if let Some(common) = &desired.scripts.common {
            staging.digests.insert(common.file.clone(), noted(&common.digest).to_owned());
        }
        staging
    }

    /// All files of the scripts directory of a VM with features: the context, the scripts, the utilities.
    pub(super) fn files(vm: &DesiredVm, record: &Record, mounts: &[Arc<Mount>], desired: &Desired) -> Vec<StagedFile> {
        let file = |script: &Script| StagedFile {
            name: script.file.clone(),
            content: Arc::clone(&script.content),
            digest: Arc::clone(&script.digest),
        };
        let text = context_of(vm, record, mounts);
        let context = StagedFile {
            name: context::CONTEXT_FILE.to_owned(),
            digest: content_digest(text.as_bytes()).into(),
            content: text.into(),
        };
        let scripts = vm.features.iter().filter_map(|feature| desired.scripts.features.get(&feature.name));
        std::iter::once(context).chain(scripts.map(file)).chain(desired.scripts.common.iter().map(file)).collect()
    }
}

/// The context of a VM as it lies beside its scripts.
fn context_of(vm: &DesiredVm, record: &Record, mounts: &[Arc<Mount>]) -> String {
    let cloned_from = if record.template.is_empty() { &vm.template_name } else { &record.template };
    context::vm_context(vm, cloned_from, mounts)
}

/// The record of a VM with what an earlier version noted otherwise, in 64 bits or of the whole context, as it is noted
/// now, wherever that names what there is.
///
/// So nothing is done to a VM only because its record is older; the next write of the record brings it up.
pub(super) fn brought_up(
    record: &Record,
    vm: &DesiredVm,
    mounts: &[Arc<Mount>],
    desired: &Desired,
    staging: &Staging,
) -> Record {
    let mut up = record.clone();
    for (name, kept) in &mut up.features {
        if let Some(script) = desired.scripts.features.get(name.as_str()).filter(|now| is_noted(kept, &now.digest)) {
            noted(&script.digest).clone_into(kept);
        }
    }
    for (name, kept) in &mut up.staged {
        let Some(now) = staging.digests.get(name).filter(|now| kept != *now) else { continue };
        let whole = |kept: &str| {
            let digest = || content_digest(context_of(vm, record, mounts).as_bytes());
            name == context::CONTEXT_FILE && is_noted(kept, &digest())
        };
        if is_noted(kept, now) || whole(kept) {
            kept.clone_from(now);
        }
    }
    if let Some(now) = vm.cloud_image.as_deref().map(CloudImage::name).filter(|now| is_noted(&up.image, now)) {
        up.image = now;
    }
    up
}
