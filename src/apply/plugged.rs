//! What a guest uses of the CPUs and the memory that its VM got while it ran.

use std::time::Duration;

use super::host::LOOK_AGAIN;
use super::perform::Performing;
use crate::event::Failure;
use crate::hypervisor::FaultKind;
use crate::model::ActionKind;
use crate::observed::{Plugged, VmObserved};

/// How long a guest may take to bring online what it got: its kernel first, then its own rules.
const ONLINE: Duration = Duration::from_secs(15);

impl Performing<'_> {
    /// Asks the guest of a running VM whether it uses the CPUs and the memory that the VM got with this write, and says
    /// what it does not. A guest may leave them offline (recorded of memory): that the VM has them is not enough.
    ///
    /// Nothing of it is a failure: what was written is as written.
    pub(super) fn see_plugged(&self, before: &VmObserved, now: &VmObserved) -> Result<(), Failure> {
        let restarts = self.vm.actions.iter().any(|action| action.kind == ActionKind::Restart);
        if !(before.running && now.running) || restarts {
            return Ok(());
        }
        for what in [Plugged::Cpus, Plugged::Memory] {
            let given = what.given(now);
            if what.is_plugged(now) && given > what.given(before) {
                self.see_online(now, what, given)?;
            }
        }
        Ok(())
    }

    /// Waits until the guest uses that many CPUs, or bytes of memory; tells what is still missing after a while.
    fn see_online(&self, now: &VmObserved, what: Plugged, given: u64) -> Result<(), Failure> {
        let called = match what {
            Plugged::Cpus => "CPUs",
            Plugged::Memory => "memory",
        };
        let unseen = |why: &str| {
            self.noticed(format!("the VM has more {called} now; not checked whether its guest uses it all: {why}"));
        };
        if !self.vm.asks_agent {
            unseen("the file says not to ask its guest agent");
            return Ok(());
        }
        if !now.has_agent_now() {
            unseen("its guest agent is off until the VM restarts");
            return Ok(());
        }
        let give_up = self.by.clock.now() + ONLINE.min(self.remaining());
        loop {
            let late = self.by.clock.now() >= give_up;
            match self.by.hypervisor.guests().online(self.id(), what) {
                Ok(online) if online >= given => return Ok(()),
                Ok(online) if late => {
                    let (text, hint) = what.left_offline(online, given);
                    self.noticed(format!("{text}; {hint}"));
                    return Ok(());
                }
                Ok(_) => {}
                Err(fault) => {
                    if self.afterwards(self.live())?.is_some_and(|live| !live.running) {
                        return Ok(());
                    }
                    let passes = matches!(fault.kind, FaultKind::AgentDown | FaultKind::TimedOut | FaultKind::Garbled);
                    if late || !(passes || fault.is_transient()) {
                        unseen(&fault.what);
                        return Ok(());
                    }
                }
            }
            self.waiting(format!("the guest to use its {called}"));
            self.by.clock.pause(LOOK_AGAIN.min(give_up.saturating_sub(self.by.clock.now())));
        }
    }
}
