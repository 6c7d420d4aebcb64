//! The actions of one VM.

pub(super) mod adopt;
mod case;
mod create;
mod draft;
mod features;
mod follow;
mod guest;
mod origin;
pub(super) mod power;
pub(super) mod retire;
pub(super) mod snapshot;
mod template;
mod update;
mod volumes;

use self::draft::Draft;
use self::origin::{Making, Source};
use super::existing::{Situation, situation};
use super::{Scene, VmPlan, cloud_init, diff, disk, drift, image, preflight};
use crate::diag::{Diagnostic, has_errors};
use crate::model::DesiredVm;

/// Plans one VM. What stands in the way goes to `problems`; such a VM gets no actions.
pub(super) fn plan_vm(vm: &DesiredVm, scene: &Scene<'_>, problems: &mut Vec<Diagnostic>) -> VmPlan {
    let before = problems.len();
    let project = &scene.desired.settings.project;
    let found = situation(vm, project, scene.observed, problems);
    let mut draft = Draft::empty(vm);
    match found {
        Situation::Blocked => return draft.into_plan(None),
        Situation::Absent(leftover) => {
            let source = match &vm.cloud_image {
                Some(image) => {
                    image::check(vm, image, scene, problems);
                    Some(Source::Image(image.clone()))
                }
                None => preflight::template(vm, scene, problems).map(Source::Template),
            };
            disk::storage(vm, scene.observed, problems);
            if vm.is_template {
                super::template::storage(vm, scene, problems);
            }
            let mounts = volumes::granted(vm, scene, problems);
            preflight::host(vm, scene, problems);
            if let Some(source) = source
                && !has_errors(&problems[before..])
            {
                let full = match &source {
                    Source::Template(template) => preflight::full_clone(vm, *template, scene),
                    Source::Image(_) => true,
                };
                let making = Making { source, storage: full.then(|| vm.boot_disk_storage.clone()), leftover };
                return draft.create(vm, making, &mounts, scene, problems);
            }
            draft.changes = diff::new_values(vm, None);
        }
        Situation::Ours(live, record) => {
            disk::boot_disk(vm, live, scene, problems);
            cloud_init::preflight(vm, Some(live), problems);
            snapshot::kept(live, problems);
            if vm.is_template {
                super::template::snapshots(live, problems);
                super::template::storage(vm, scene, problems);
            }
            let mounts = volumes::granted(vm, scene, problems);
            preflight::host(vm, scene, problems);
            preflight::removed(vm, record, &mounts, problems);
            if !has_errors(&problems[before..]) {
                return draft.update(vm, live, record, &mounts, scene, problems);
            }
            draft.changes = drift::changes(vm, live, record, scene, problems);
        }
        Situation::Template(live, record) => return draft.template(vm, live, record, scene, problems),
        Situation::Adopted(live, record) => return adopt::plan_adopted(draft, vm, (live, record), scene, problems),
    }
    draft.into_plan(None)
}
