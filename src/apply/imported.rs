//! Further disks that are made as copies of images.

use super::failure::{failure, stale};
use super::hints;
use super::host::Holds;
use super::operation;
use super::perform::Performing;
use crate::event::Failure;
use crate::model::{ActionKind, Outcome};
use crate::observed::VmObserved;
use crate::plan::ImportStep;

impl Performing<'_> {
    /// Makes a further disk as a copy of an image, in a slot that is empty. That it is one, and so is never formatted,
    /// is written down first: the run that comes after a death finds either no disk, or one that the record knows.
    pub(super) fn import_disk(&mut self, step: &ImportStep) -> Result<Outcome, Failure> {
        let id = self.id();
        let slot = step.slot;
        let there = |live: &VmObserved| live.options.get(slot).is_some();
        let live = self.live()?;
        if there(&live) {
            return Err(stale(format!("VM {id} has a disk {slot} by now"), hints::PLAN_AGAIN));
        }
        self.must_not_have_moved(&live)?;
        if let Some(work) = self.ask(|hypervisor| hypervisor.working(id))? {
            let what = format!("a task is working on the disks of VM {id} ({work})");
            return Err(failure(what, Some(hints::WAIT_AND_APPLY)));
        }
        if let Some((whole, what)) = self.too_large(&step.image, step.size_gb)? {
            return Err(failure(what, Some(&hints::larger_disk("size_gb", whole))));
        }
        self.write_record(&|record| operation::imports(record, step))?;
        let live = self.live()?;
        if there(&live) {
            self.write_record(&|record| operation::not_imported(record, slot))?;
            return Err(stale(format!("VM {id} has a disk {slot} by now"), hints::PLAN_AGAIN));
        }
        let op = operation::import_further(id, step, live.digest);
        let made = self.host(&op, &|| {
            if there(&self.live()?) {
                return Ok(Holds::Yes);
            }
            if self.ask(|hypervisor| hypervisor.working(id))?.is_some() {
                return Ok(Holds::NotYet);
            }
            // It may have ended between the two looks.
            Ok(if there(&self.live()?) { Holds::Yes } else { Holds::No })
        });
        if let Err(refused) = made {
            let refused = self.without_leftovers_of(refused);
            if !refused.may_have_happened && self.live().is_ok_and(|live| !there(&live)) {
                self.take_back(&|record| operation::not_imported(record, slot));
            }
            return Err(refused);
        }
        let now = self.live_in_doubt()?;
        if !there(&now) {
            return Err(failure(
                format!("{slot} was not made, though the target reported success"),
                Some(hints::LOOK_AT_TASK_LOG),
            ));
        }
        self.leave()?;
        let restarts = self.vm.actions.iter().any(|action| action.kind == ActionKind::Restart);
        if now.running && now.pending.contains_key(slot) && !restarts {
            self.noticed(format!("the guest gets {slot} with a restart; `--restart` does one"));
        }
        self.name_leftovers()?;
        Ok(self.action.outcome)
    }
}
