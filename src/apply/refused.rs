//! Values that a running VM refuses to take over: Proxmox keeps them all the same, for the next start.

use std::collections::BTreeSet;

use super::failure::{at_restart, failure, refused_while_running};
use super::hints;
use super::host::Holds;
use super::perform::Performing;
use crate::event::Failure;
use crate::hypervisor::HostOp;
use crate::model::{ActionKind, Disruption, Record};
use crate::observed::{PendingChange, VmObserved, options};
use crate::plan::{Change, ConfigureStep};

impl Performing<'_> {
    /// What comes of a write that was refused. Of what a running VM did not take over, whatever only its guest stands
    /// in the way of waits for a restart; where one follows, or the plan had said so, that is no failure. Anything else
    /// may break the next start and is taken back. All other values of that write are as written.
    ///
    /// `late`: the slots of which the record says by now that they wait for a restart. `before`: the VM as it was.
    pub(super) fn refused(
        &mut self,
        refused: Failure,
        step: &ConfigureStep,
        late: &BTreeSet<String>,
        before: &VmObserved,
    ) -> Result<(), Failure> {
        let options = refused_while_running(&refused).to_vec();
        if options.is_empty() {
            if !late.is_empty() && !refused.may_have_happened {
                self.take_back(&|record| record.late.retain(|slot| !late.contains(slot)));
            }
            return Err(refused);
        }
        let held = at_restart(&refused).to_vec();
        let dropped: BTreeSet<String> = options.into_iter().filter(|option| !held.contains(option)).collect();
        let lost: Vec<String> = dropped.iter().filter(|option| self.is_replugged(option)).cloned().collect();
        let mut refused = if dropped.is_empty() {
            self.leave()?;
            refused
        } else {
            self.without_leftovers_of(refused)
        };
        let all_held = dropped.is_empty();
        let settled = self.write_record(&|record| {
            record.late.retain(|slot| !(late.contains(slot) && dropped.contains(slot)));
            record.late.extend(lost.iter().cloned());
            settle(record, step, &dropped, before);
        });
        if let Err(second) = settled {
            self.noticed(format!("the VM's record does not say yet what was written: {}", second.error));
        }
        if all_held && (self.restarts() || held.iter().all(|option| self.was_to_wait(option))) {
            return Ok(());
        }
        if !held.is_empty() {
            let desired = self.vm.desired.as_deref();
            let none = PendingChange { active: None, pending: None };
            let held: Vec<String> = held.iter().map(|option| options::called(option, &none, desired)).collect();
            let held = held.join(", ");
            refused.error.push_str(&format!(
                "\nthe running VM does not take over the change of {held}: it waits for the next restart of the VM"
            ));
            refused.hint = Some(hints::RESTART_BRINGS_IT.to_owned());
        }
        if !lost.is_empty() {
            let lost = lost.join(", ");
            refused.error.push_str(&format!("\nthe guest may be without {lost} until the VM restarts"));
            refused.hint = refused.hint.or_else(|| Some(hints::RESTART_BRINGS_IT.to_owned()));
        }
        Err(refused)
    }

    /// A running VM that refuses a value keeps it all the same, for its next start, which may then fail. Such values
    /// are taken back, but for those that only the guest stands in the way of; what came of that is added to the
    /// failure.
    pub(super) fn without_leftovers_of(&mut self, mut refused: Failure) -> Failure {
        let held = at_restart(&refused);
        let keys = refused_while_running(&refused).iter().filter(|key| !held.contains(key));
        let keys: Vec<String> = keys.cloned().collect();
        if keys.is_empty() {
            return refused;
        }
        let taken_back = self.live().and_then(|live| {
            let keys: Vec<String> = keys.into_iter().filter(|key| live.pending.contains_key(key)).collect();
            if keys.is_empty() {
                return Ok(());
            }
            let waits = |live: &VmObserved| keys.iter().any(|key| live.pending.contains_key(key));
            let op = HostOp::Revert { vm: self.id(), keys: keys.clone(), digest: live.digest };
            self.host(&op, &|| self.live().map(|live| if waits(&live) { Holds::No } else { Holds::Yes }))?;
            if waits(&self.live()?) { Err(failure("it still waits", None)) } else { Ok(()) }
        });
        let left = self.leave();
        match taken_back.and(left) {
            Ok(()) => refused.error.push_str("\nthe value was taken back, and does not take effect at the next start"),
            Err(second) => {
                refused.error.push_str(&format!(
                    "\nthe value could not be taken back, and takes effect at the next start: {}",
                    second.error
                ));
                refused.hint = Some(hints::take_back_by_hand(self.id()));
            }
        }
        refused
    }

    /// Whether a later action of the plan restarts the VM.
    pub(super) fn restarts(&self) -> bool {
        self.vm.actions.iter().any(|action| action.kind == ActionKind::Restart)
    }

    /// The planned changes of an option.
    fn changes_of<'s>(&'s self, option: &'s str) -> impl Iterator<Item = &'s Change> {
        self.vm.changes.iter().filter(move |change| change.rows().any(|row| row.options.contains(&option)))
    }

    /// Whether the plan said that this option waits for a restart.
    fn was_to_wait(&self, option: &str) -> bool {
        self.changes_of(option).map(|change| change.disruption).max() == Some(Disruption::Restart)
    }

    /// Whether it is a card that was to be unplugged and plugged again: where the second fails, the guest has none, and
    /// gets none while its VM runs (recorded). The refusal does not say which of the two failed.
    fn is_replugged(&self, option: &str) -> bool {
        let replugs = |change: &Change| {
            let had = change.old.as_deref().is_some_and(|old| !old.is_empty());
            had && !change.new.is_empty() && change.disruption == Disruption::Network
        };
        option.starts_with("net") && self.changes_of(option).any(replugs)
    }
}

/// Notes what was written as applied, as the record says it in the end; of what was taken back, what it said before.
fn settle(record: &mut Record, step: &ConfigureStep, dropped: &BTreeSet<String>, before: &VmObserved) {
    let before = before.record.valid();
    for row in step.values.iter().flat_map(|rows| &rows.0) {
        let name = row.applied_as();
        let is_dropped = row.options.iter().any(|option| dropped.contains(*option));
        let says = if is_dropped { before } else { Some(&*step.record) };
        match says.and_then(|record| record.applied.get(name)) {
            Some(value) => record.applied.insert(name, value),
            None => record.applied.remove(name),
        }
    }
}
