//! A VM that is made.

use std::sync::Arc;

use super::case::{Case, End};
use super::draft::Draft;
use super::facts::Facts;
use super::follow::Steps;
use super::guest;
use super::origin::{MadeFrom, Making, Source};
use crate::diag::Diagnostic;
use crate::model::{DesiredVm, Disruption, Outcome, Record};
use crate::plan::migrate;
use crate::plan::staging::Staging;
use crate::plan::{
    CloneStep, ImageStep, MigrateStep, Mount, Scene, Step, VmPlan, cloud_init, diff, drift, earlier, template,
};

impl Draft {
    pub(super) fn create(
        mut self,
        vm: &Arc<DesiredVm>,
        making: Making,
        mounts: &[Arc<Mount>],
        scene: &Scene<'_>,
    ) -> (VmPlan, Vec<Diagnostic>) {
        let origin = MadeFrom::of(vm, &making, scene);
        self.changes = diff::new_values(vm, origin.drives, origin.mode);
        let source = match making.source {
            Source::Template(template) => Some(template),
            Source::Image(_) => None,
        };
        self.changes.extend(migrate::placed(vm, source, &making.way, scene));
        self.changes.extend(origin.drives.into_iter().flat_map(|template| diff::drive(vm, template, scene)));
        self.finds(origin.drives.and_then(|source| cloud_init::without_drive(vm, source)));
        self.finds(origin.drives.and_then(|source| template::drive(vm, source)));
        self.finds(origin.drives.and_then(|source| template::has_more(vm, source)));
        let staging = Staging::of(vm, mounts, scene.desired);
        let nothing =
            Record { is_template: vm.is_template, ..Record::creating(&scene.desired.settings.project, vm.vm_id) };
        let applied = drift::applied(vm);
        let facts = Facts { vm, record: &nothing, mounts, staging: &staging, applied: &applied, scene };
        let case = Case::new(facts, End { inside: vm.started, unread: false, card: false });
        self.finds(case.no_room());
        if let Some(leftover) = making.leftover {
            self.does(Step::RemoveLeftover(leftover), Outcome::Update, "left over by an interrupted run");
            self.awaits(earlier::clone(vm.vm_id, &scene.desired.settings.project, scene.observed));
        }
        if let Some(image) = vm.cloud_image.as_ref().filter(|image| image.is_checked()) {
            let step = Step::FetchImage(image.clone());
            self.does(step, Outcome::Create, "it must be there, and be what the file says");
        }
        self.fetches(vm, &nothing, scene, true);
        self.basis = making.leftover.and_then(|_| scene.observed.vms.get(&vm.vm_id)).map(|live| live.digest.clone());
        let moves = making.way.moves();
        self.does(case.makes(making), Outcome::Create, "no VM has this VMID");
        if let Some(node) = moves {
            let step = Step::Migrate(Box::new(MigrateStep { node, online: false }));
            self.does(step, Outcome::Create, "it is made on another node");
        }
        let other_model = origin.card.is_some_and(|model| model != vm.network_model.as_str());
        let asks_for_card = other_model && vm.started && vm.asks_agent() && !vm.is_template;
        let steps = Steps {
            acting: Outcome::Create,
            fresh: true,
            configure: Some((origin.values, Disruption::None)),
            moves: None,
            resize: (origin.size != Some(diff::wanted_bytes(vm))).then_some(origin.smaller),
            cloud_init: None,
            grow: false,
            card: asks_for_card.then_some("its network card is of another model than its template's"),
            restart: false,
            start: vm.started.then_some("the VM is new"),
            bring_up: vm.started.then_some("the guest boots for the first time"),
        };
        self.follow(&case, &steps);
        self.does(Step::Record(case.last()), Outcome::Create, "the VM gets a record");
        self.finds(guest::left_open(&facts));
        self.completing = true;
        self.into_plan(Some(Arc::clone(vm)))
    }
}

impl Case<'_> {
    /// The step that makes the VM.
    fn makes(&self, making: Making) -> Step {
        let (desired, record) = (Arc::clone(self.facts.vm), self.last());
        match making.source {
            Source::Template(source) => Step::Clone(Box::new(CloneStep {
                source,
                storage: making.storage,
                node: making.way.straight(),
                desired,
                record,
            })),
            Source::Image(image) => Step::CreateFromImage(Box::new(ImageStep { image, desired, record })),
        }
    }
}
