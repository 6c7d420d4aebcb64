//! What is put beside the scripts of a VM.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::volumes::Mount;
use super::{FeatureScript, StagedFile, context};
use crate::model::{Desired, DesiredVm, Script, content_digest};

/// The content of a VM's scripts directory.
pub(super) struct Staging {
    context: String,
    /// Digests of what lies beside the scripts, by file name; empty without features.
    pub digests: BTreeMap<String, String>,
}

impl Staging {
    /// Works out what a VM's scripts find beside them.
    pub(super) fn of(vm: &DesiredVm, mounts: &[Mount], desired: &Desired) -> Self {
        let mut staging = Self { context: String::new(), digests: BTreeMap::new() };
        if vm.features.is_empty() {
            return staging;
        }
        staging.context = context::vm_context(vm, mounts);
        let digest = content_digest(staging.context.as_bytes());
        staging.digests.insert(context::CONTEXT_FILE.to_owned(), digest);
        if let Some(common) = &desired.scripts.common {
            staging.digests.insert(common.file.clone(), common.digest.to_string());
        }
        staging
    }

    /// All files of the scripts directory: the context, the scripts, the utilities.
    pub(super) fn files(self, vm: &DesiredVm, desired: &Desired) -> Vec<StagedFile> {
        if vm.features.is_empty() {
            return Vec::new();
        }
        let file = |script: &Script| StagedFile { name: script.file.clone(), content: Arc::clone(&script.content) };
        let context = StagedFile { name: context::CONTEXT_FILE.to_owned(), content: self.context.into() };
        let scripts = vm.features.iter().filter_map(|feature| desired.scripts.features.get(&feature.name));
        std::iter::once(context).chain(scripts.map(file)).chain(desired.scripts.common.iter().map(file)).collect()
    }
}

/// The scripts of a VM's features, in the order in which they run; `again` says which run although they ran.
pub(super) fn feature_scripts(
    vm: &DesiredVm,
    desired: &Desired,
    again: &dyn Fn(&Arc<str>) -> bool,
) -> Vec<FeatureScript> {
    vm.features
        .iter()
        .filter_map(|feature| {
            let script = desired.scripts.features.get(&feature.name)?;
            Some(FeatureScript {
                name: Arc::clone(&feature.name),
                file: script.file.clone(),
                digest: Arc::clone(&script.digest),
                again: again(&feature.name),
            })
        })
        .collect()
}
