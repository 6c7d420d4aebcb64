//! One action of one VM, from the last look at the VM to the check that it took effect.

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock::Clock;
use super::failure::{failure, stale, with_keys};
use super::hints;
use super::pause_before;
use super::session::Session;
use crate::event::Failure;
use crate::hypervisor::{Effect, Fault, FaultKind, Hypervisor};
use crate::model::{Outcome, Record, VmId};
use crate::observed::{ConfigWrite, VmObserved, with_record};
use crate::plan::{Action, Plan, Step, VmPlan};

/// Carries out actions. Shared by all threads of a run.
pub(super) struct Performer {
    pub(super) plan: Arc<Plan>,
    pub(super) hypervisor: Arc<dyn Hypervisor>,
    pub(super) clock: Arc<dyn Clock>,
    /// One for each VM of the plan. Only the thread that performs the VM's action holds it.
    sessions: Vec<Mutex<Session>>,
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
    session: MutexGuard<'a, Session>,
    /// A look after a success failed, and that was told.
    unseen: Cell<bool>,
    say: &'a dyn Fn(Word),
}

impl Performer {
    pub(super) fn new(plan: Arc<Plan>, hypervisor: Arc<dyn Hypervisor>, clock: Arc<dyn Clock>) -> Self {
        let sessions = plan.vms.iter().map(|_| Mutex::default()).collect();
        Self { plan, hypervisor, clock, sessions }
    }

    /// Carries out the action with this number and says what came of it.
    pub(super) fn perform(&self, number: usize, say: &dyn Fn(Word)) -> Result<Outcome, Failure> {
        let (vm, action) = self.plan.action(number);
        let session = self.sessions[self.plan.vm_index(number)].lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = self.clock.now() + Duration::from_secs(u64::from(action.timeout_seconds));
        let Some(step) = &action.step else { return Ok(Outcome::NoOp) };
        let mut this = Performing { by: self, vm, action, deadline, session, unseen: Cell::new(false), say };
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
            Step::Configure(step) => this.configure(step),
            Step::MoveDisk(step) => this.move_disk(step),
            Step::ResizeDisk(step) => this.resize(step),
            Step::UpdateCloudInit => this.update_cloud_init(),
            Step::Restart => this.restart(),
            Step::Start => this.start(),
            Step::AwaitAgent => this.await_agent(),
            Step::AwaitNetwork => this.await_network(),
            Step::AwaitCloudInit(errors) => this.await_cloud_init(*errors),
            Step::GrowFilesystem => this.grow_filesystem(),
            Step::Unmount(step) => this.unmount(step),
            Step::PrepareShare(path) => this.prepare_share(path),
            Step::ExportShare(served) if served.is_empty() => this.withdraw_exports(),
            Step::ExportShare(served) => this.export_share(served),
            Step::Mount(step) => this.mount(step),
            Step::StageScripts(step) => this.stage_scripts(step),
            Step::Feature(step) => this.feature(step),
            Step::CleanGuest => this.clean_guest(),
            Step::ConvertToTemplate => this.convert_to_template(),
            Step::Record(record) => this.record(record),
            Step::RemoveSnapshot(name) => this.remove_snapshot(name),
            Step::Destroy => this.destroy(),
        };
        ended.map_err(|failure| with_keys(failure, &vm.changes, action.kind))
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
        if self.session.has_begun() && !self.session.is_known() {
            // Nothing to compare with but whose it is.
            return (!self.is_ours(live)).then(|| "its record is gone from its notes".to_owned());
        }
        if self.session.has_begun() {
            let keys = self.session.touched_by_others(live);
            return (!keys.is_empty()).then(|| format!("somebody else changed {}", keys.join(", ")));
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
            return Err(stale(format!("VM {} moved: {why}", self.id()), hints::LOOK_WHAT_DIFFERS));
        }
        if let Some(lock) = &live.lock {
            return Err(failure(format!("VM {} is locked ({lock})", self.id()), Some(hints::WAIT_FOR_LOCK)));
        }
        if !self.session.is_known() {
            self.session.leave(Some(live.clone()));
        }
        Ok(())
    }

    /// Notes the VM as it was found, to go on from.
    pub(super) fn found(&mut self, live: VmObserved) {
        self.session.leave(Some(live));
    }

    /// Notes how this run leaves the VM, after something it did succeeded. If that cannot be looked at, the next action
    /// looks before it does anything.
    pub(super) fn leave(&mut self) -> Result<(), Failure> {
        let id = self.id();
        let left = self.afterwards(self.ask(|hypervisor| hypervisor.vm(id)))?;
        self.session.leave(left.flatten());
        Ok(())
    }

    /// Changes the record in the VM's notes as they are at this moment. Returns whether anything was written.
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
            change(&mut record);
            record.uuid.clone_from(&live.uuid);
            if record == *current {
                return Ok(false);
            }
            self.must_not_have_moved(&live)?;
            let notes = with_record(&live.notes, &record).map_err(|error| failure(error.to_string(), None))?;
            let mut write = ConfigWrite::default();
            write.set.insert("description".to_owned(), notes);
            let holds = |live: &VmObserved| live.record.valid() == Some(&record);
            match self.write(write, &live, &holds) {
                // Somebody wrote between our look and our write: look again. Three times is no coincidence any more.
                Err(failure) if failure.stale && tries < 3 => tries += 1,
                Err(failure) => return Err(failure),
                Ok(()) => return self.leave().map(|()| true),
            }
        }
    }
}
