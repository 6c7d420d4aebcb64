//! Unused volumes that are erased.

use super::draft::Draft;
use crate::model::{DesiredVm, Outcome};
use crate::observed::VmObserved;
use crate::plan::{Action, Scene, Step, unused};

impl Draft {
    /// Adds what is erased of the VM's unused volumes, and says what is to be known of them.
    pub(super) fn deletes_unused(&mut self, vm: &DesiredVm, live: &VmObserved, scene: &Scene<'_>) {
        let (steps, found) = unused::of(vm, live, scene);
        for step in steps {
            let device = step.device.clone();
            let step = Step::DeleteUnused(Box::new(step));
            self.push(Action::does(step, Outcome::Destroy, "the command line asks for it").to(device));
        }
        self.finds(found);
    }
}
