//! A VM that is made.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::follow::Steps;
use super::guest;
use super::origin::{Origin, made_by};
use crate::diag::Diagnostic;
use crate::model::{ActionKind, CloudImage, DesiredVm, Disruption, Outcome, Record};
use crate::plan::staging::{self, Staging};
use crate::plan::{CloneTask, Mount, Scene, Task, VmPlan, cloud_init, diff, preflight, template};

impl Draft {
    pub(super) fn create(
        mut self,
        vm: &DesiredVm,
        clone: CloneTask,
        mounts: Vec<Mount>,
        scene: &Scene<'_>,
        problems: &mut Vec<Diagnostic>,
    ) -> VmPlan {
        let origin = Origin::of(vm, &clone, scene);
        self.changes = diff::new_values(vm, origin.mode);
        self.changes.extend(origin.drives.into_iter().flat_map(|template| diff::drive(vm, template, scene)));
        cloud_init::preflight(vm, origin.drives, problems);
        if vm.is_template {
            template::drive(vm, origin.drives, problems);
        }
        if clone.leftover.is_some() {
            self.push(ActionKind::RemoveLeftover, Outcome::Update, "left over by an interrupted run");
        }
        if vm.cloud_image.as_ref().is_some_and(CloudImage::is_checked) {
            self.push(ActionKind::FetchImage, Outcome::Create, "it must be there, and be what the file says");
        }
        self.push(made_by(vm), Outcome::Create, "no VM has this VMID");
        let staging = Staging::of(vm, &mounts, scene.desired);
        let steps = Steps {
            acting: Outcome::Create,
            configure: Some((origin.values, Disruption::None)),
            moves: None,
            resize: (origin.size != Some(diff::wanted_bytes(vm))).then_some(origin.smaller),
            cloud_init: None,
            grow: false,
            card: false,
            restart: false,
            start: vm.started.then_some("the VM is new"),
            bring_up: vm.started.then_some("the guest boots for the first time"),
            staged: &staging.digests,
        };
        let nothing =
            Record { is_template: vm.is_template, ..Record::creating(&scene.desired.settings.project, vm.vm_id) };
        self.follow(vm, &nothing, &mounts, scene, &steps, problems);
        self.push(ActionKind::Record, Outcome::Create, "the VM gets a record");
        guest::left_open(vm, &nothing, &mounts, scene.desired, problems);
        let mut record = guest::wished(vm, &nothing, &mounts, scene.desired, &staging.digests);
        preflight::notes(vm, &mut record, problems);
        self.basis = clone.leftover.and_then(|_| scene.observed.vms.get(&vm.vm_id)).map(|live| live.digest.clone());
        let task = Task {
            desired: vm.clone(),
            clone: Some(clone),
            adopt: None,
            fresh: true,
            completing: true,
            scripts: staging::feature_scripts(vm, scene.desired, &|_| false),
            verify: BTreeSet::new(),
            mounts,
            files: staging.files(vm, scene.desired),
            unmount: BTreeMap::new(),
            delete_source: false,
            record,
        };
        self.into_plan(Some(Box::new(task)))
    }
}
