//! Unused volumes.

use super::failure::{failure, stale};
use super::hints;
use super::perform::Performing;
use crate::event::Failure;
use crate::model::Outcome;
use crate::observed::{ConfigWrite, VmObserved};
use crate::plan::UnusedStep;

impl Performing<'_> {
    /// Erases a volume that the VM names as unused: what Proxmox does when the option is deleted (recorded).
    pub(super) fn delete_unused(&mut self, step: &UnusedStep) -> Result<Outcome, Failure> {
        let (id, volume) = (self.id(), &step.volume);
        let live = self.live()?;
        self.must_not_have_moved(&live)?;
        let names = |live: &VmObserved| live.volumes.iter().any(|named| named.volume == *volume);
        if !names(&live) && !live.other_volumes.contains(volume) {
            return Ok(Outcome::NoOp);
        }
        // Its number alone says nothing: another volume may have it by now.
        let is_it = live.options.get(&step.device).is_some_and(|now| now == volume);
        let uses = |live: &VmObserved| {
            let own = live.volumes.iter().filter(|named| named.volume == *volume);
            own.count() != 1 || live.other_volumes.contains(volume)
        };
        if !is_it || uses(&live) {
            let what = format!("VM {id} changed since the plan: `{volume}` is no longer only its {}", step.device);
            return Err(stale(what, hints::LOOK_WHAT_DIFFERS));
        }
        let write = ConfigWrite { delete: [step.device.clone()].into(), ..ConfigWrite::default() };
        self.write(write, &live, &|live| !names(live))?;
        let now = self.live()?;
        if names(&now) {
            let what = format!("VM {id} still names `{volume}`, though the target reported success");
            return Err(failure(what, Some(hints::LOOK_AT_TASK_LOG)));
        }
        self.found(now);
        Ok(self.action.outcome)
    }
}
