//! One action of one VM, from the last look at the VM to the check that it took effect.

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock::Clock;
use super::failure::{failure, stale, with_keys};
use super::hints;
use super::listing::Listing;
use super::operation;
use super::pause_before;
use super::session::{Known, Session};
use crate::event::Failure;
use crate::hypervisor::{Effect, Fault, FaultKind, Hypervisor};
use crate::model::{Outcome, Record, VmId};
use crate::observed::{ConfigWrite, VmObserved, with_record};
use crate::plan::{Action, Plan, Step, VmPlan, lock};

/// How long it may take to write down what ran before an action that failed, or that does not come.
const WRITING: Duration = Duration::from_mins(1);

/// Carries out actions. Shared by all threads of a run.
pub(super) struct Performer {
    pub(super) plan: Arc<Plan>,
    pub(super) hypervisor: Arc<dyn Hypervisor>,
    pub(super) clock: Arc<dyn Clock>,
    /// One for each VM of the plan. Only the thread that performs the VM's action holds it.
    known: Vec<Mutex<Known>>,
    pub(super) listing: Listing,
}

/// What an action says while it runs.
pub(super) enum Word {
    /// It waits for this.
    Waiting(String),
    /// This is worth knowing.
    Noticed(String),
}

/// An action being carried out.
pub(super) struct Performing<'a> {
    pub(super) by: &'a Performer,
    pub(super) vm: &'a VmPlan,
    pub(super) action: &'a Action,
    /// On the run's clock.
    pub(super) deadline: Duration,
    known: MutexGuard<'a, Known>,
    /// A look after a success failed, and that was told.
    unseen: Cell<bool>,
    say: &'a dyn Fn(Word),
}

impl Performer {
    pub(super) fn new(plan: Arc<Plan>, hypervisor: Arc<dyn Hypervisor>, clock: Arc<dyn Clock>) -> Self {
        let known = plan.vms.iter().map(|_| Mutex::default()).collect();
        Self { plan, hypervisor, clock, known, listing: Listing::default() }
    }

    /// Carries out the action with this number and says what came of it.
    pub(super) fn perform(&self, number: usize, say: &dyn Fn(Word)) -> Result<Outcome, Failure> {
        let (vm, action) = self.plan.action(number);
        let Some(step) = &action.step else { return Ok(Outcome::NoOp) };
        let mut this = self.performing(number, say);
        if let Some(earlier) = &action.awaits {
            this.await_earlier(earlier)?;
        }
        let ended = match step {
            Step::RemoveLeftover(leftover) => this.remove_leftover(*leftover),
            Step::FetchImage(image) => this.fetch_image(image),
            Step::Clone(step) => this.clone_template(step),
            Step::CreateFromImage(step) => this.create_from_image(step),
            Step::Adopt(record) => this.adopt(record),
            Step::Snapshot(name) => this.snapshot(name),
            Step::Rollback(name) => this.rollback(name),
            Step::Stop => this.stop(),
            Step::WriteSnippet(step) => this.write_snippet(step),
            Step::RemoveSnippet(path) => this.remove_snippet(path),
            Step::Configure(step) => this.configure(step),
            Step::ImportDisk(step) => this.import_disk(step),
            Step::Migrate(step) => this.migrate(step),
            Step::MoveDisk(step) => this.move_disk(step),
            Step::ResizeDisk(step) => this.resize(step),
            Step::SetPool { from, to } => this.set_pool(from.as_deref(), to.as_deref()),
            Step::SetHa(step) => this.set_ha(step),
            Step::LeaveHa => this.leave_ha(),
            Step::UpdateCloudInit => this.update_cloud_init(),
            Step::Restart => this.restart(),
            Step::Start => this.start(),
            Step::AwaitAgent => this.await_agent(),
            Step::AwaitNetwork => this.await_network(),
            Step::AwaitCloudInit(errors) => this.await_cloud_init(*errors),
            Step::GrowFilesystem => this.grow_filesystem(),
            Step::FormatDisk(step) => this.format_disk(step),
            Step::MountDisk(step) => this.mount_disk(step),
            Step::Unmount(step) | Step::UnmountDisk(step) => this.unmount(step),
            Step::PrepareShare(path) => this.prepare_share(path),
            Step::ExportShare(served) if served.is_empty() => this.withdraw_exports(),
            Step::ExportShare(served) => this.export_share(served),
            Step::Mount(step) => this.mount(step),
            Step::StageScripts(step) => this.stage_scripts(step),
            Step::Feature(step) => this.feature(step),
            Step::CleanGuest => this.clean_guest(),
            Step::ConvertToTemplate => this.convert_to_template(),
            Step::DeleteUnused(step) => this.delete_unused(step),
            Step::Record(record) => this.record(record),
            Step::RemoveSnapshot(name) => this.remove_snapshot(name),
            Step::Forget(tag) => this.forget(tag.as_deref()),
            Step::Destroy => this.destroy(),
        };
        if ended.is_err() {
            this.record_what_ran();
        }
        ended.map_err(|failure| with_keys(failure, &vm.changes, action.kind, action.subject.as_deref()))
    }

    fn performing<'p>(&'p self, number: usize, say: &'p dyn Fn(Word)) -> Performing<'p> {
        let (vm, action) = self.plan.action(number);
        let known = self.known[self.plan.vm_index(number)].lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = self.clock.now() + Duration::from_secs(u64::from(action.timeout_seconds));
        Performing { by: self, vm, action, deadline, known, unseen: Cell::new(false), say }
    }

    /// Whether something ran in a guest that its VM's record does not say yet. For a run in which nothing is under way.
    pub(super) fn owes(&self) -> bool {
        self.known.iter().any(|known| !known.lock().unwrap_or_else(PoisonError::into_inner).ran.is_empty())
    }

    /// Writes down what ran in guests and would have been written with a later action, which does not come. For a run
    /// in which nothing is under way.
    pub(super) fn write_down(&self, say: &dyn Fn(usize, Word)) {
        for number in 0..self.plan.action_count() {
            if matches!(self.plan.action(number).1.step, Some(Step::Feature(_))) {
                self.performing(number, &|word| say(number, word)).record_what_ran();
            }
        }
    }
}

impl Performing<'_> {
    pub(super) fn id(&self) -> VmId {
        self.vm.vm
    }

    pub(super) fn waiting(&self, goal: impl Into<String>) {
        (self.say)(Word::Waiting(goal.into()));
    }

    pub(super) fn noticed(&self, message: impl Into<String>) {
        (self.say)(Word::Noticed(message.into()));
    }

    pub(super) fn is_late(&self) -> bool {
        self.by.clock.now() >= self.deadline
    }

    pub(super) fn remaining(&self) -> Duration {
        self.deadline.saturating_sub(self.by.clock.now())
    }

    /// Repeats a call that changes nothing for as long as its faults may pass: one that a busy node did not answer in
    /// time, until the action's own time is up.
    pub(super) fn ask<T>(&self, call: impl Fn(&dyn Hypervisor) -> Result<T, Fault>) -> Result<T, Failure> {
        let mut attempt = 0;
        loop {
            let fault = match call(&*self.by.hypervisor) {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            if fault.kind == FaultKind::TimedOut && fault.effect == Effect::None && !self.is_late() {
                self.waiting(format!("{}; looking again", fault.what));
                continue;
            }
            attempt += 1;
            self.before_trying_again(fault, attempt)?;
        }
    }

    /// Waits before a call is repeated; fails with the fault if it is no use, or too late.
    pub(super) fn before_trying_again(&self, fault: Fault, attempt: u32) -> Result<(), Failure> {
        match pause_before(&fault, attempt, &self.action.id(self.id())) {
            Some(pause) if pause < self.remaining() => {
                self.waiting(format!("{}; trying again", fault.what));
                self.by.clock.pause(pause);
                Ok(())
            }
            _ => Err(fault.into()),
        }
    }

    /// The VM as it is now; it must exist.
    pub(super) fn live(&self) -> Result<VmObserved, Failure> {
        let id = self.id();
        self.ask(|hypervisor| hypervisor.vm(id))?
            .ok_or_else(|| stale(format!("VM {id} is gone"), hints::WOULD_BE_MADE_ANEW))
    }

    /// What a look found after something is known to have succeeded. `None`: the look failed, which makes no failure of
    /// what was done: it is told, once for each action. What a look finds, such as a VM that is gone, is a failure
    /// still.
    ///
    /// Not for a look that decides whether something succeeded.
    pub(super) fn afterwards<T>(&self, look: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match look {
            Ok(found) => Ok(Some(found)),
            Err(found) if found.stale => Err(found),
            Err(failed) => {
                if !self.unseen.replace(true) {
                    self.noticed(format!("could not look at VM {} afterwards: {}", self.id(), failed.error));
                }
                Ok(None)
            }
        }
    }

    /// Whether the VM is still the one that was planned, or that this run left; otherwise what moved.
    fn moved(&self, live: &VmObserved) -> Option<String> {
        if self.known.session.has_begun() && !self.known.session.is_known() {
            // Nothing to compare with but whose it is.
            return (!self.is_ours(live)).then(|| "its record is gone from its notes".to_owned());
        }
        if self.known.session.has_begun() {
            let keys = self.known.session.touched_by_others(live);
            return (!keys.is_empty())
                .then(|| format!("another process or an administrator changed {}", keys.join(", ")));
        }
        match &self.vm.basis {
            Some(basis) if *basis == live.digest => None,
            Some(_) => Some("its configuration changed after it was planned".to_owned()),
            None => Some("it did not exist when it was planned".to_owned()),
        }
    }

    /// Stops unless the VM is still the one that was planned, or that this run left.
    ///
    /// Called before anything is done to the VM, after finding that something is to be done.
    pub(super) fn must_not_have_moved(&mut self, live: &VmObserved) -> Result<(), Failure> {
        if let Some(why) = self.moved(live) {
            return Err(stale(format!("VM {} changed since the plan: {why}", self.id()), hints::LOOK_WHAT_DIFFERS));
        }
        if let Some(kind) = &live.lock {
            let what = format!("VM {} is {}", self.id(), lock::words(kind));
            return Err(failure(what, Some(&lock::way_out(live, kind))));
        }
        if !self.known.session.is_known() {
            self.known.session.leave(Some(live.clone()));
        }
        Ok(())
    }

    /// Notes the VM as it was found, to go on from.
    pub(super) fn found(&mut self, live: VmObserved) {
        self.known.session.leave(Some(live));
    }

    /// Notes that the VM is gone: whatever has its VMID from here on is another one.
    pub(super) fn forget_it(&mut self) {
        self.known.session = Session::NotBegun;
    }

    /// Notes how this run leaves the VM, after something it did succeeded. If that cannot be looked at, the next action
    /// looks before it does anything.
    pub(super) fn leave(&mut self) -> Result<(), Failure> {
        let id = self.id();
        let left = self.afterwards(self.ask(|hypervisor| hypervisor.vm(id)))?;
        self.known.session.leave(left.flatten());
        Ok(())
    }

    /// Puts off to write down that this feature ran: that is done with the next feature, or with the last action of the
    /// VM. If phoenix dies before that, the guest knows. `false`: something else is done to the VM first.
    pub(super) fn puts_off(&mut self) -> bool {
        let mut later = self.vm.actions.iter().skip_while(|action| !std::ptr::eq(*action, self.action)).skip(1);
        let next = later.find(|action| action.outcome.acts());
        let writes = next.is_some_and(|next| matches!(next.step, Some(Step::Feature(_) | Step::Record(_))));
        if let (true, Some(Step::Feature(step))) = (writes, &self.action.step) {
            self.known.ran.push((**step).clone());
        }
        writes
    }

    /// Writes down what ran in the guest, if that was put off. That it cannot be is a notice: the guest knows.
    fn record_what_ran(&mut self) {
        if self.known.ran.is_empty() {
            return;
        }
        self.deadline = self.by.clock.now() + WRITING;
        if let Err(failed) = self.write_record(&|_| ()) {
            let ran = std::mem::take(&mut self.known.ran);
            let names: Vec<&str> = ran.iter().map(|step| &*step.name).collect();
            self.noticed(format!("could not write down that {} ran: {}", names.join(", "), failed.error));
        }
    }

    /// Changes the record in the VM's notes as they are at this moment, also for what ran and is not written down yet.
    /// Returns whether anything was written.
    pub(super) fn write_record(&mut self, change: &dyn Fn(&mut Record)) -> Result<bool, Failure> {
        let mut tries = 0;
        loop {
            let live = self.live()?;
            let Some(current) = live.record.valid() else {
                return Err(stale(
                    format!("the record of VM {} is gone from its notes", self.id()),
                    hints::LOOK_WHAT_DIFFERS,
                ));
            };
            let mut record = current.clone();
            self.known.ran.iter().for_each(|step| operation::feature_ran(&mut record, step));
            change(&mut record);
            record.uuid.clone_from(&live.uuid);
            if record == *current {
                self.known.ran.clear();
                return Ok(false);
            }
            self.must_not_have_moved(&live)?;
            let notes = with_record(&live.notes, &record).map_err(|error| failure(error.to_string(), None))?;
            let mut write = ConfigWrite::default();
            write.set.insert("description".to_owned(), notes);
            let holds = |live: &VmObserved| live.record.valid() == Some(&record);
            match self.write(write, &live, &holds) {
                // Another process wrote between our look and our write: look again. Three times is no coincidence any
                // more.
                Err(failure) if failure.stale && tries < 3 => tries += 1,
                Err(failure) => return Err(failure),
                Ok(()) => {
                    self.known.ran.clear();
                    return self.leave().map(|()| true);
                }
            }
        }
    }
}
