//! What is left to do about a template.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::origin::made_by;
use crate::diag::Diagnostic;
use crate::model::{ActionKind, DesiredVm, Disruption, Outcome, Record, RecordState};
use crate::observed::VmObserved;
use crate::plan::Scene;
use crate::plan::{Task, VmPlan, preflight, template};

impl Draft {
    /// A template stays as it is; one whose conversion was interrupted is converted to its end.
    pub(super) fn template(
        mut self,
        vm: &DesiredVm,
        live: &VmObserved,
        record: &Record,
        scene: &Scene<'_>,
        problems: &mut Vec<Diagnostic>,
    ) -> VmPlan {
        self.push(made_by(vm), Outcome::NoOp, "the VM exists");
        if record.state.is_ready() {
            template::differs(vm, live, record, scene, problems);
            for feature in vm.features.iter().filter(|feature| record.features.contains_key(&*feature.name)) {
                let subject = Some(feature.name.clone());
                self.push_about(ActionKind::Feature, subject, Outcome::NoOp, "it ran to success", Disruption::None);
            }
            self.push(ActionKind::ConvertToTemplate, Outcome::NoOp, "it is a template");
            self.push(ActionKind::Record, Outcome::NoOp, "it says so already");
            return self.into_plan(None);
        }
        preflight::completed(vm, problems);
        preflight::lock(vm.vm_id, live, scene.observed, problems);
        self.push(ActionKind::ConvertToTemplate, Outcome::Update, "an interrupted run did not get to its end");
        self.push(ActionKind::Record, Outcome::Update, "something it says changes");
        template::differs(vm, live, record, scene, problems);
        // What ran in it and was applied to it stays what the record says: the file may have changed since.
        let wished = Record { state: RecordState::Ready, ..record.clone() };
        self.basis = Some(live.digest.clone());
        let task = Task {
            desired: vm.clone(),
            clone: None,
            adopt: None,
            fresh: false,
            completing: true,
            mounts: Vec::new(),
            files: Vec::new(),
            scripts: Vec::new(),
            verify: BTreeSet::new(),
            unmount: BTreeMap::new(),
            delete_source: false,
            record: wished,
        };
        self.into_plan(Some(Box::new(task)))
    }
}
