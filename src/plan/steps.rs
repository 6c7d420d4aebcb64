//! The actions of one VM.

pub(super) mod adopt;
mod case;
mod create;
mod draft;
mod due;
mod facts;
mod features;
mod filesystems;
mod follow;
pub(super) mod forget;
mod guest;
mod imports;
mod origin;
pub(super) mod power;
pub(super) mod retire;
pub(super) mod snapshot;
mod template;
mod unused;
mod update;
mod volumes;

use std::sync::Arc;

use self::draft::Draft;
use self::origin::{Making, Source};
use self::update::Existing;
use super::existing::{Situation, situation};
use super::{Scene, VmPlan, cloud_init, diff, disk, drift, image, migrate, obstacles, preflight, snippets};
use crate::diag::Diagnostic;
use crate::model::{CloudImage, DesiredVm};

/// Plans one VM, and says what was found. One that something stands in the way of gets no actions.
pub(super) fn plan_vm(vm: &Arc<DesiredVm>, scene: &Scene<'_>) -> (VmPlan, Vec<Diagnostic>) {
    let mut draft = Draft::empty(vm);
    let (vm, no_snippets) = &snippets::placed(vm, scene);
    match situation(vm, &scene.desired.settings.project, scene.observed) {
        Err(problem) => draft.finds([problem]),
        Ok(Situation::Absent(left)) => {
            let (leftover, what) = left.unzip();
            draft.finds(what);
            let source = match &vm.cloud_image {
                Some(image) => {
                    draft.finds(image::check(vm, image, scene));
                    Ok(Source::Image(CloudImage::clone(image)))
                }
                None => preflight::template(vm, scene).map(Source::Template),
            };
            let nowhere = migrate::nowhere(vm, scene);
            // Of a node on which the VM will not be, nothing matters.
            if nowhere.is_none() {
                draft.finds(disk::storage(vm, scene.observed));
                draft.finds(super::template::storage(vm, scene));
                draft.finds(preflight::host(vm, None, scene));
            }
            draft.finds(nowhere);
            let mounts = volumes::granted(vm, scene);
            draft.finds(mounts.problems);
            draft.finds(migrate::served(vm, &mounts.mounts, scene));
            draft.finds(migrate::snippets(vm, scene));
            draft.finds(no_snippets.clone());
            match source {
                Err(found) => draft.finds(found),
                Ok(source) if !draft.is_refused() => {
                    let full = match &source {
                        Source::Template(template) => preflight::full_clone(vm, *template, scene),
                        Source::Image(_) => true,
                    };
                    let template = match &source {
                        Source::Template(template) => Some(*template),
                        Source::Image(_) => None,
                    };
                    let way = migrate::way(vm, template, full, scene);
                    draft.finds(migrate::unmade(vm, template, (&way, full), scene));
                    if !draft.is_refused() {
                        let storage = full.then(|| vm.boot_disk_storage.clone());
                        let making = Making { source, storage, way, leftover };
                        return draft.create(vm, making, &mounts.mounts, scene);
                    }
                }
                Ok(_) => {}
            }
            draft.changes = diff::new_values(vm, None, None);
        }
        Ok(Situation::Ours(live, record)) => {
            draft.finds(disk::boot_disk(vm, live, scene));
            draft.finds(cloud_init::without_drive(vm, live));
            draft.finds(snapshot::kept(live));
            draft.finds(super::template::snapshots(vm, live));
            draft.finds(super::template::storage(vm, scene));
            let mounts = volumes::granted(vm, scene);
            draft.finds(mounts.problems);
            draft.finds(migrate::served(vm, &mounts.mounts, scene));
            draft.finds(migrate::snippets(vm, scene));
            draft.finds(preflight::host(vm, Some(live), scene));
            draft.finds(obstacles::in_the_way(vm, live, scene));
            draft.finds(preflight::removed(vm, (live, record), &scene.desired.settings));
            draft.finds(no_snippets.clone());
            if !draft.is_refused() {
                return draft.update(vm, &Existing { live, record, mounts: &mounts.mounts }, scene);
            }
            draft.changes = drift::changes(vm, live, record, scene);
            draft.finds(drift::drifted(vm.vm_id, &draft.changes));
        }
        Ok(Situation::Template(live, record)) => return draft.template(vm, live, record, scene),
        Ok(Situation::Adopted(live, record)) => {
            draft.finds(no_snippets.clone());
            return adopt::plan_adopted(draft, vm, live, record, scene);
        }
    }
    draft.into_plan(None)
}
