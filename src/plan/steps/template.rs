//! What is left to do about a template.

use std::sync::Arc;

use super::draft::Draft;
use super::origin::made_by;
use crate::diag::Diagnostic;
use crate::model::{ActionKind, DesiredVm, Outcome, Record, RecordState};
use crate::observed::VmObserved;
use crate::plan::Scene;
use crate::plan::{Action, Step, VmPlan, lock, preflight, template};

impl Draft {
    /// A template stays as it is; one whose conversion was interrupted is converted to its end.
    pub(super) fn template(
        mut self,
        vm: &DesiredVm,
        live: &VmObserved,
        record: &Record,
        scene: &Scene<'_>,
    ) -> (VmPlan, Vec<Diagnostic>) {
        self.idle(made_by(vm), "the VM exists");
        if record.state.is_ready() {
            self.finds(template::differs(vm, live, record, scene));
            for feature in vm.features.iter().filter(|feature| record.features.contains_key(&*feature.name)) {
                self.push(Action::idle(ActionKind::Feature, "it ran successfully").to(Arc::clone(&feature.name)));
            }
            self.idle(ActionKind::ConvertToTemplate, "it is a template");
            self.idle(ActionKind::Record, "it says so already");
            return self.into_plan(None);
        }
        self.finds([preflight::completed(vm)]);
        self.finds(lock::lock(vm.vm_id, live, scene.observed));
        self.does(Step::ConvertToTemplate, Outcome::Update, "an interrupted run did not finish it");
        // What ran in it and was applied to it stays what the record says: the file may have changed since.
        let last = Record { state: RecordState::Ready, ..record.clone() };
        self.does(Step::Record(Arc::new(last)), Outcome::Update, "something it says changes");
        self.finds(template::differs(vm, live, record, scene));
        self.basis = Some(live.digest.clone());
        self.completing = true;
        self.into_plan(Some(Arc::new(vm.clone())))
    }
}
