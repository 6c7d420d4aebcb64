//! What an earlier run began and what still works on the target: it is waited for, and gone on from.

use super::copying::Look;
use super::disk::disk_of;
use super::failure::{failure, stale};
use super::hints;
use super::host::LOOK_AGAIN;
use super::perform::Performing;
use super::session::Session;
use crate::event::Failure;
use crate::hypervisor::{Cloning, Copying};
use crate::model::{GIB, RecordState};
use crate::observed::VmObserved;
use crate::plan::{Earlier, Step};

/// What an earlier run began, before how far it is.
const COPY: &str = "the copy of an earlier run";

impl Performing<'_> {
    /// Waits until what an earlier run began has ended. Looks only; nothing of it is touched.
    pub(super) fn await_earlier(&mut self, earlier: &Earlier) -> Result<(), Failure> {
        match earlier {
            Earlier::Clone => self.await_clone(),
            Earlier::Move(planned) => self.await_move(planned),
        }
    }

    fn await_clone(&self) -> Result<(), Failure> {
        let id = self.id();
        let mut look = Look::at(COPY, Copying::Making(id));
        while self.ask(|hypervisor| hypervisor.cloning(id))? != Cloning::No {
            self.wait_on(&format!("the clone or import into VM {id} that an earlier run began"), &mut look)?;
        }
        Ok(())
    }

    /// Waits until nothing moves a disk any more, and goes on from where the disks lie then. What else changed in the
    /// meantime is no work of a move.
    fn await_move(&mut self, planned: &VmObserved) -> Result<(), Failure> {
        let id = self.id();
        let mut look = Look::at(COPY, Copying::Moving(id));
        while let Some(work) = self.ask(|hypervisor| hypervisor.working(id))? {
            self.wait_on(&format!("the move of a disk of VM {id} that an earlier run began ({work})"), &mut look)?;
        }
        let now = self.live()?;
        if now.digest == planned.digest {
            return Ok(());
        }
        let moves = self.vm.actions.iter().filter_map(|action| match &action.step {
            Some(Step::MoveDisk(step)) => Some(step.as_ref()),
            _ => None,
        });
        let mut disks = Vec::new();
        for step in moves {
            let [was, is] = [planned, &now].map(|vm| disk_of(step.disk, vm));
            let same = was.zip(is).filter(|(was, is)| {
                let lies = is.storage == was.storage || is.storage == step.storage;
                lies && is.device == was.device && is.size == was.size
            });
            let Some((disk, _)) = same else {
                let which = step.disk.unwrap_or("the boot disk");
                let what = format!("{which} of VM {id} is neither on its old storage nor on the new one");
                return Err(stale(what, hints::LOOK_WHAT_DIFFERS));
            };
            disks.push(disk.device);
        }
        let mut others = Session::Left(Box::new(planned.clone())).touched_by_others(&now);
        others.retain(|key| !disks.contains(key) && !key.starts_with("unused"));
        if !others.is_empty() {
            let what = format!("VM {id} changed since the plan: another process changed {}", others.join(", "));
            return Err(stale(what, hints::LOOK_WHAT_DIFFERS));
        }
        self.found(now);
        Ok(())
    }

    /// Whether the clone or import of an earlier run came to its end, and nothing was done to its VM since.
    ///
    /// # Errors
    /// Its VM is whole, and has not the disk that the plan counts on.
    pub(super) fn came_to_its_end(&self, live: &VmObserved) -> Result<bool, Failure> {
        let id = self.id();
        let is_creating = live.record.valid().is_some_and(|record| record.state == RecordState::Creating);
        let is_whole = live.lock.is_none() && !live.is_half_cloned();
        if !(self.is_ours(live) && is_creating && is_whole && !live.running) {
            return Ok(false);
        }
        let storage = self.vm.actions.iter().find_map(|action| match &action.step {
            Some(Step::Clone(step)) => Some((step.storage.as_ref(), &step.desired)),
            Some(Step::CreateFromImage(step)) => Some((Some(&step.desired.boot_disk_storage), &step.desired)),
            _ => None,
        });
        let fits = storage.zip(live.boot_disk.as_ref()).is_some_and(|((storage, desired), disk)| {
            let record = live.record.valid();
            storage.is_none_or(|storage| *storage == disk.storage)
                && disk.size.is_some_and(|size| size <= u64::from(desired.boot_disk_size_gb) * GIB)
                && record.is_some_and(|record| record.is_template == desired.is_template)
        });
        if fits {
            return Ok(true);
        }
        Err(stale(
            format!("an earlier run made VM {id} from another template or image than the file now names"),
            hints::PLAN_AGAIN,
        ))
    }

    /// Waits before the next look, unless it is too late. Says how far the copy is, once the target knows.
    fn wait_on(&self, what: &str, look: &mut Look<'_>) -> Result<(), Failure> {
        if self.is_late() {
            return Err(failure(format!("{what} is still running"), Some(hints::WAIT_AND_APPLY)));
        }
        self.waiting(look.far(&*self.by.hypervisor, what));
        self.by.clock.pause(LOOK_AGAIN.min(self.remaining()));
        Ok(())
    }
}
