//! Further disks that are made as copies of images.

use super::case::Case;
use super::draft::Draft;
use super::facts::Facts;
use crate::model::proxmox::DISKS;
use crate::model::{DesiredVm, Disruption, Key, Outcome, Record};
use crate::plan::{Action, ImportStep, ResizeStep, Scene, Step, diff, imported};

impl Draft {
    /// Fetches the images of further disks. `made`: the VM is being made, from its own image if it has one.
    pub(super) fn fetches(&mut self, vm: &DesiredVm, record: &Record, scene: &Scene<'_>, made: bool) {
        let disks = imported::importing(vm, record, scene);
        for (slot, image) in imported::to_fetch(vm, &disks, made) {
            let step = Step::FetchImage(Box::new(image.clone()));
            self.push(Action::does(step, Outcome::Create, "it must be there, and be what the file says").to(slot));
        }
    }

    /// Makes the disks, and grows them.
    pub(super) fn imports(&mut self, case: &Case<'_>, acting: Outcome) {
        let Facts { vm, record, scene, .. } = case.facts;
        for (slot, disk, image) in imported::importing(vm, record, scene) {
            let own = |key: &str| key.strip_prefix(DISKS) == Some(slot);
            let cost = self.changes.iter().find(|change| own(change.key)).map_or(Disruption::None, |c| c.disruption);
            let step = ImportStep {
                slot,
                image: image.clone(),
                storage: disk.storage.clone(),
                options: disk.options.value.clone(),
                size_gb: disk.size_gb,
                record: case.last(),
            };
            let made = Action::does(Step::ImportDisk(Box::new(step)), acting, "it is to be a copy of an image");
            self.push(made.to(slot).costing(cost));
        }
        for (slot, disk, _) in imported::importing(vm, record, scene) {
            let Some(size_gb) = disk.size_gb else { continue };
            let step = ResizeStep { disk: Some(slot), size_gb, grows_filesystem: false, record: case.last() };
            let grows = Action::does(Step::ResizeDisk(Box::new(step)), acting, "the disk has the size of the image");
            self.push(grows.to(slot));
            let origin = vm.origins.of(Key::Disks);
            let new = format!("{slot}: {size_gb} GiB");
            self.changes.push(diff::told_by_actions(Key::Disks, origin, None, new, diff::UNKNOWN_SIZE));
        }
    }
}
