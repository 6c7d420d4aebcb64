//! What is put beside the scripts of a VM.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Mount;
use super::{StagedFile, context, drift};
use crate::model::{CloudImage, Desired, DesiredVm, Record, Script, content_digest, is_kept, is_noted, noted};

/// The content of a VM's scripts directory.
pub(super) struct Staging {
    context: String,
    /// Digest of the context.
    context_digest: String,
    /// What a record notes of what lies beside the scripts, by file name; empty without features.
    pub digests: BTreeMap<String, String>,
}

impl Staging {
    /// Works out what a VM's scripts find beside them.
    pub(super) fn of(vm: &DesiredVm, mounts: &[Arc<Mount>], desired: &Desired) -> Self {
        let mut staging = Self { context: String::new(), context_digest: String::new(), digests: BTreeMap::new() };
        if vm.features.is_empty() {
            return staging;
        }
        staging.context = context::vm_context(vm, mounts);
        staging.context_digest = content_digest(staging.context.as_bytes());
        staging.digests.insert(context::CONTEXT_FILE.to_owned(), noted(&staging.context_digest).to_owned());
        if let Some(common) = &desired.scripts.common {
            staging.digests.insert(common.file.clone(), noted(&common.digest).to_owned());
        }
        staging
    }

    /// All files of the scripts directory of a VM with features: the context, the scripts, the utilities.
    pub(super) fn files(&self, vm: &DesiredVm, desired: &Desired) -> Vec<StagedFile> {
        let file = |script: &Script| StagedFile {
            name: script.file.clone(),
            content: Arc::clone(&script.content),
            digest: Arc::clone(&script.digest),
        };
        let context = StagedFile {
            name: context::CONTEXT_FILE.to_owned(),
            content: self.context.as_str().into(),
            digest: self.context_digest.as_str().into(),
        };
        let scripts = vm.features.iter().filter_map(|feature| desired.scripts.features.get(&feature.name));
        std::iter::once(context).chain(scripts.map(file)).chain(desired.scripts.common.iter().map(file)).collect()
    }
}

/// The record of a VM with what an earlier version noted in 64 bits as it is noted now, wherever that names what there
/// is.
///
/// So nothing is done to a VM only because its record is older; the next write of the record brings it up.
pub(super) fn brought_up(record: &Record, vm: &DesiredVm, desired: &Desired, staging: &Staging) -> Record {
    let mut record = record.clone();
    for (name, kept) in &mut record.features {
        if let Some(script) = desired.scripts.features.get(name.as_str()).filter(|now| is_noted(kept, &now.digest)) {
            noted(&script.digest).clone_into(kept);
        }
    }
    for (name, kept) in &mut record.staged {
        if let Some(now) = staging.digests.get(name).filter(|now| is_noted(kept, now)) {
            kept.clone_from(now);
        }
    }
    let applied = drift::applied(vm);
    for (key, kept) in &mut record.applied {
        if let Some(now) = applied.get(key).filter(|now| is_kept(kept, now)) {
            kept.clone_from(now);
        }
    }
    if let Some(now) = vm.cloud_image.as_ref().map(CloudImage::name).filter(|now| is_noted(&record.image, now)) {
        record.image = now;
    }
    record
}
