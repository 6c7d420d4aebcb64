//! A VM that is there and becomes what the file says.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::case::{Case, End};
use super::draft::Draft;
use super::facts::Facts;
use super::follow::Steps;
use super::guest;
use super::origin::made_by;
use crate::diag::Diagnostic;
use crate::model::{ActionKind, DesiredVm, Disruption, Key, Outcome, Record, RecordState};
use crate::observed::VmObserved;
use crate::plan::staging::{self, Staging};
use crate::plan::{
    Action, Change, Earlier, Mount, Scene, Step, VmPlan, cloud_init, codes, diff, drift, earlier, ha, lock, migrate,
    obstacles, preflight, snippets,
};

/// A VM of ours that is there.
pub(super) struct Existing<'a> {
    /// As the target has it.
    pub(super) live: &'a VmObserved,
    /// What its record says, or is to say before anything else is done.
    pub(super) record: &'a Record,
    /// Its volumes, resolved.
    pub(super) mounts: &'a [Arc<Mount>],
}

impl Draft {
    /// Whether the guest has a changed network card when everything planned is done.
    fn sees_card(&self, vm: &DesiredVm, live: &VmObserved, restart: bool) -> bool {
        let waits = live.running && !restart && diff::card_waits(live, &self.changes);
        vm.started && vm.asks_agent() && !vm.is_template && !waits
    }

    /// Whether the plan restarts the VM: it was asked for, and something waits for it.
    fn is_restarted(&self, live: &VmObserved, disruption: Option<Disruption>, scene: &Scene<'_>) -> bool {
        scene.restart
            && live.running
            && (disruption == Some(Disruption::Restart)
                || self.changes.iter().any(|change| change.part == snippets::CONTENT)
                || !self.waiting.is_empty())
    }

    /// Notes what waits for a restart and is not what this plan gives the guest.
    fn notes_what_waits(&mut self, vm: &DesiredVm, live: &VmObserved) {
        if !self.off {
            self.waiting = diff::waiting_beside(live, vm, &self.changes);
        }
    }

    /// What the changes cost that actions of these kinds apply; `None`: there is none.
    fn costs(&self, vm: &DesiredVm, live: &VmObserved, by: &[ActionKind]) -> Option<Disruption> {
        let applied = |change: &&Change| change.rows().any(|row| by.contains(&row.applied_by(vm, Some(live))));
        self.changes.iter().filter(applied).map(|change| change.disruption).max()
    }

    pub(super) fn update(
        mut self,
        vm: &Arc<DesiredVm>,
        existing: &Existing<'_>,
        scene: &Scene<'_>,
    ) -> (VmPlan, Vec<Diagnostic>) {
        let Existing { live, record, mounts } = *existing;
        let stopped = obstacles::stops_it(vm, live, scene);
        // What is shut down first changes without being disturbed.
        let shut_down =
            (live.running && (self.off || stopped.is_some())).then(|| VmObserved { running: false, ..live.clone() });
        let live = shut_down.as_ref().unwrap_or(live);
        let staging = Staging::of(vm, mounts, scene.desired);
        let applied = drift::applied(vm);
        let record = staging::brought_up(record, vm, mounts, scene.desired, &staging);
        let record = &drift::brought_up(record, &applied);
        self.changes = drift::changes(vm, live, record, scene);
        self.changes.extend(migrate::change(vm, live, stopped.as_deref(), scene));
        self.finds(drift::drifted(vm.vm_id, &self.changes));
        self.notes_what_waits(vm, live);
        let fresh = record.state == RecordState::Creating;
        let completing = record.state != RecordState::Ready;
        let switched = stopped.is_none() && (shut_down.is_some() || live.running != vm.started);
        if switched && !(completing && vm.started) {
            self.changes.push(diff::power(vm));
        }
        let disruption = self.costs(vm, live, &[ActionKind::Configure, ActionKind::ImportDisk]);
        let configure = match self.costs(vm, live, &[ActionKind::Configure]) {
            _ if fresh => Some(("an interrupted run did not get that far", Disruption::None)),
            Some(disruption) => Some(("values differ", disruption)),
            None => None,
        };
        let acts = |key: Key| self.changes.iter().any(|change| change.key == key.name());
        let (grows, moves) = (acts(Key::BootDiskSizeGb), acts(Key::BootDiskStorage));
        let restart = self.is_restarted(live, disruption, scene);
        // What becomes a template is not left half made.
        self.no_agent =
            live.running && vm.started && vm.asks_agent() && !vm.is_template && !restart && !live.has_agent_now();
        if completing && vm.started && !self.no_agent {
            self.finds([preflight::completed(vm)]);
        }
        let changes_card =
            if fresh { diff::changes_model(&self.changes) } else { diff::changes_card(&self.changes).is_some() };
        let card = vm.asks_agent() && (record.card || changes_card);
        let asks_for_card = card && self.sees_card(vm, live, restart);
        let steps = Steps {
            acting: Outcome::Update,
            fresh,
            configure,
            moves: moves.then_some(if live.running { Disruption::Live } else { Disruption::None }),
            resize: grows.then_some("the disk is smaller than the file says"),
            card: asks_for_card.then_some("its network card changes"),
            // A guest that has never been up grows by itself when it boots.
            grow: vm.asks_agent() && (record.grow || (grows && !fresh)),
            // A start makes it anew by itself.
            cloud_init: cloud_init::drive_waits(vm, live, &self.changes).filter(|_| !restart),
            restart,
            start: (!live.running && vm.started).then_some(if stopped.is_some() {
                "it was shut down to be moved"
            } else {
                "the VM is stopped"
            }),
            bring_up: (completing && vm.started).then_some("the guest has not been up yet"),
        };
        let facts = Facts { vm, record, mounts, staging: &staging, applied: &applied, scene };
        let unread = steps.cloud_init.is_some();
        let case = Case::new(facts, End { inside: self.leaves_open().is_none(), unread, card });
        self.fetches(vm, record, scene, false);
        self.idle(made_by(vm), "the VM exists");
        if live.record.valid().is_none() {
            self.does(Step::Adopt(Box::new(record.clone())), Outcome::Update, "the VM is taken over");
        }
        if shut_down.is_some() {
            self.shuts_down(vm, live, stopped.is_some());
        }
        self.migrates(vm, live, scene);
        self.finds(guest::left_open(&facts));
        self.finds(facts.guest().silent(vm.vm_id));
        self.finds(facts.guest().offline(live));
        self.follow(&case, &steps);
        self.deletes_unused(vm, live, scene);
        if self.no_agent {
            if completing && self.open.is_empty() {
                self.open.push(ActionKind::AwaitAgent.as_str().to_owned());
            }
            self.finds(guest::waits_for_agent(vm.vm_id, &self.open));
        }
        // Whatever the record says of the VM is done by one of the actions: if none acts, it says so already. But for
        // what a run that was killed between an action and the record has forgotten.
        let acts = self.actions.iter().any(|action| action.outcome.acts())
            || drift::has_forgotten(&applied, record)
            || record.ha != guest::is_made_ha(&facts);
        if !acts {
            self.idle(ActionKind::Record, "it says so already");
            return self.into_plan(None);
        }
        let last = case.last();
        self.finds(case.no_room());
        // What becomes a template is shut down.
        let unread = !vm.is_template && last.unread && (live.running || steps.cloud_init.is_some()) && !self.boots();
        let card = card && !(asks_for_card && self.leaves_open().is_none());
        let late = if live.running && !self.boots() { last.late.clone() } else { BTreeSet::new() };
        self.records(record, Record { unread, late, card, ..Record::clone(&last) });
        self.basis = Some(live.digest.clone());
        if scene.snapshot && !vm.is_template {
            self.net(vm, live, scene);
        }
        let earlier = self.finds_locks(vm, live, record, scene);
        self.awaits(earlier);
        self.completing = completing;
        self.into_plan(Some(Arc::clone(vm)))
    }

    /// What an earlier run has still at work on a disk, which is waited for; locks that are not its, and
    /// an HA manager that would have to act and gave up, are found.
    fn finds_locks(
        &mut self,
        vm: &DesiredVm,
        live: &VmObserved,
        record: &Record,
        scene: &Scene<'_>,
    ) -> Option<Earlier> {
        if ha::refuses(vm, live, &self.actions) {
            self.refuses(codes::HA_ERROR);
        }
        let earlier = earlier::disk_move(live, &self.changes, record, scene.observed);
        if let Some((_, disk)) = &earlier {
            self.finds([earlier::move_at_work(vm.vm_id, disk)]);
            self.finds(lock::locked(live));
        } else {
            self.finds(lock::lock(vm.vm_id, live, scene.observed));
        }
        earlier.map(|(earlier, _)| earlier)
    }

    /// Adds the stop of a VM that is not to run, or that cannot move while it does.
    fn shuts_down(&mut self, vm: &DesiredVm, live: &VmObserved, to_move: bool) {
        let (reason, cost) = if to_move {
            ("it cannot move while it runs", Disruption::Restart)
        } else if ha::recovers(vm, live) {
            ("the HA manager stops it when `disabled` takes it out of `error`", Disruption::Stop)
        } else {
            ("the VM is not to run", Disruption::Stop)
        };
        self.push(Action::does(Step::Stop, Outcome::Update, reason).costing(cost));
    }

    /// Adds the move to another node, of a VM that may not stay on its own.
    fn migrates(&mut self, vm: &DesiredVm, live: &VmObserved, scene: &Scene<'_>) {
        if let Some(step) = migrate::step(vm, live, scene) {
            let cost = if step.online { Disruption::Live } else { Disruption::None };
            let action =
                Action::does(Step::Migrate(Box::new(step)), Outcome::Update, "the file lets it be on other nodes");
            self.push(action.costing(cost));
        }
    }

    /// Whether an action starts or stops the VM.
    fn boots(&self) -> bool {
        let boots = [ActionKind::Restart, ActionKind::Start, ActionKind::Stop];
        self.actions.iter().any(|action| action.outcome.acts() && boots.contains(&action.kind))
    }

    /// Adds the record, which says `last` in the end.
    fn records(&mut self, record: &Record, last: Record) {
        let exports = |action: &Action| action.kind == ActionKind::ExportShare && action.outcome.acts();
        // An export to another address makes it forget what is mounted.
        let forgets = || self.actions.iter().any(exports) && self.looks_at_mounted();
        let reason = match () {
            () if last != *record => Some("something it says changes"),
            () if forgets() => Some("it says what is mounted"),
            () => None,
        };
        match reason {
            Some(reason) => self.does(Step::Record(Arc::new(last)), Outcome::Update, reason),
            None => self.idle(ActionKind::Record, "it says so already"),
        }
    }
}
