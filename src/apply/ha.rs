//! VMs that the HA manager looks after. Proxmox hands a start, a stop or a move of one on to it, and calls that done at
//! once (recorded): whether it is done, only the VM shows.

use std::time::Duration;

use super::failure::{failure, stale};
use super::hints;
use super::host::LOOK_AGAIN;
use super::perform::Performing;
use crate::event::Failure;
use crate::observed::{Ha, VmObserved};

impl Performing<'_> {
    /// Stops if the HA manager would do nothing of what it is asked, or do something else.
    pub(super) fn must_not_have_given_up(&self, live: &VmObserved) -> Result<(), Failure> {
        if live.ha.as_ref().is_some_and(Ha::has_failed) {
            let what = format!("the HA manager gave up on VM {}: its state is `error`", self.id());
            return Err(failure(what, Some(&hints::ha_error(self.id()))));
        }
        Ok(())
    }

    /// Waits until the HA manager has done what it was asked, at the longest until `end` on the run's clock.
    pub(super) fn ha_does(
        &self,
        (asked, end): (&str, Duration),
        is_so: &dyn Fn(&VmObserved) -> bool,
    ) -> Result<(), Failure> {
        let id = self.id();
        loop {
            let live = self.live()?;
            if is_so(&live) {
                return Ok(());
            }
            self.must_not_have_given_up(&live)?;
            let Some(ha) = live.ha.filter(Ha::acts) else {
                let what = format!("the HA manager was asked to {asked} VM {id}, and no longer looks after it");
                return Err(stale(what, hints::PLAN_AGAIN));
            };
            if self.by.clock.now() >= end {
                let now = ha.now.as_ref().map(|now| format!(", it is `{now}` now")).unwrap_or_default();
                let what = format!(
                    "the HA manager was asked to {asked} VM {id} and has not done so in time: the VM is to be `{}`{now}",
                    ha.state
                );
                return Err(Failure { may_have_happened: true, ..failure(what, Some(hints::HA_STATUS)) });
            }
            self.waiting(format!("the HA manager, which is to {asked} the VM"));
            self.by.clock.pause(LOOK_AGAIN);
        }
    }
}
