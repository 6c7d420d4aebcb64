//! The network card of a guest, after it changed.

use std::time::Duration;

use super::failure::failure;
use super::hints;
use super::host::LOOK_AGAIN;
use super::perform::Performing;
use crate::event::Failure;
use crate::hypervisor::{FaultKind, address_on};
use crate::model::{Key, Outcome};

/// How long an agent that does not answer is waited for. Where the guest boots first, another action has done that.
const AGENT: Duration = Duration::from_secs(30);

impl Performing<'_> {
    /// Asks the guest for the card that net0 has become, and for an address on it.
    ///
    /// A guest whose kernel has no driver for the new model has no card at all: that is a failure, since nothing
    /// reaches it any more. A card without an address is told; so is a guest that cannot be asked.
    pub(super) fn await_network(&mut self) -> Result<Outcome, Failure> {
        let id = self.id();
        let live = self.live()?;
        if live.pending.contains_key("net0") {
            self.noticed("net0 waits for a restart: the guest is asked for its card then");
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        let Some((mac, net)) = live.net0.and_then(|net| Some((net.mac.clone()?, net))) else {
            return Err(failure(format!("VM {id} has no network card net0 with a MAC address"), None));
        };
        let give_up_asking = self.by.clock.now() + AGENT;
        let mut has_card = false;
        loop {
            match self.by.hypervisor.guests().addresses(id) {
                Ok(found) if address_on(&found, &mac).is_some() => break,
                Ok(found) => has_card = found.iter().any(|found| found.mac.eq_ignore_ascii_case(&mac)),
                Err(fault) => {
                    self.must_run()?;
                    let late = self.is_late() || self.by.clock.now() >= give_up_asking;
                    let passes = matches!(fault.kind, FaultKind::AgentDown | FaultKind::TimedOut | FaultKind::Garbled);
                    if late || !(passes || fault.is_transient()) {
                        self.noticed(format!(
                            "not checked whether the guest has its network card ({mac}, `{}`): {}",
                            net.model, fault.what
                        ));
                        break;
                    }
                }
            }
            if self.is_late() && has_card {
                let bridge = net.bridge.as_deref().unwrap_or("none");
                self.noticed(format!(
                    "the guest has its network card ({mac}), and no address on it: does a DHCP server answer on bridge \
                     `{bridge}`?"
                ));
                break;
            }
            if self.is_late() {
                return Err(self.no_card(&mac, &net.model));
            }
            self.waiting("the guest's network card");
            self.by.clock.pause(LOOK_AGAIN.min(self.remaining()));
        }
        self.write_record(&|record| record.card = false)?;
        Ok(self.action.outcome)
    }

    fn no_card(&self, mac: &str, model: &str) -> Failure {
        let changes = &self.vm.changes;
        let before = changes.iter().find(|change| change.key == Key::NetworkModel.name());
        let before = before.and_then(|change| change.old.as_deref()).filter(|old| !old.is_empty());
        let before = match before {
            Some(model) => format!("`{model}`"),
            None if matches!(self.vm.outcome, Outcome::Create | Outcome::Recreate) => {
                "the model of its template's card".to_owned()
            }
            None => "what it was".to_owned(),
        };
        let what = format!(
            "the guest has no network card {mac} after {} s: its kernel seems to have no driver for `{model}`",
            self.seconds()
        );
        let console = self.by.hypervisor.console(self.id());
        failure(what, Some(&hints::no_driver(before, console)))
    }
}
