//! A VM that is there and becomes what the file says.

use super::draft::Draft;
use super::follow::Steps;
use super::origin::made_by;
use super::{features, guest};
use crate::diag::Diagnostic;
use crate::model::{ActionKind, DesiredVm, Disruption, Outcome, Record, RecordState};
use crate::observed::VmObserved;
use crate::plan::staging::{self, Staging};
use crate::plan::verified::Verified;
use crate::plan::{Action, Change, Mount, Scene, Task, VmPlan, cloud_init, diff, drift, preflight};

impl Draft {
    /// Whether the guest has a changed network card when everything planned is done.
    fn sees_card(&self, vm: &DesiredVm, live: &VmObserved, restart: bool) -> bool {
        let waits = live.running && !restart && diff::card_waits(live, &self.changes);
        vm.started && !vm.is_template && !waits
    }

    pub(super) fn update(
        mut self,
        vm: &DesiredVm,
        live: &VmObserved,
        record: &Record,
        mounts: Vec<Mount>,
        scene: &Scene<'_>,
        problems: &mut Vec<Diagnostic>,
    ) -> VmPlan {
        // What is shut down first changes without being disturbed.
        let shut_down = (live.running && self.off).then(|| VmObserved { running: false, ..live.clone() });
        let live = shut_down.as_ref().unwrap_or(live);
        let staging = Staging::of(vm, &mounts, scene.desired);
        let record = &staging::brought_up(record, vm, scene.desired, &staging);
        self.changes = drift::changes(vm, live, record, scene, problems);
        if !self.off {
            self.waiting = diff::waiting(live);
        }
        let fresh = record.state == RecordState::Creating;
        let completing = record.state != RecordState::Ready;
        if completing && vm.started {
            preflight::completed(vm, problems);
        } else if shut_down.is_some() || live.running != vm.started {
            self.changes.push(diff::power(vm));
        }
        let step = |change: &&Change, step: ActionKind| change.rows().any(|row| row.step == step);
        let written = self.changes.iter().filter(|change| step(change, ActionKind::Configure));
        let disruption = written.map(|change| change.disruption).max();
        let configure = match disruption {
            _ if fresh => Some(("an interrupted run did not get to it", Disruption::None)),
            Some(disruption) => Some(("values differ", disruption)),
            None => None,
        };
        let acts = |kind: ActionKind| self.changes.iter().any(|change| step(&change, kind));
        let (grows, moves) = (acts(ActionKind::ResizeDisk), acts(ActionKind::MoveDisk));
        let restart = scene.restart
            && live.running
            && (disruption == Some(Disruption::Restart) || !diff::waiting(live).is_empty());
        let card = record.card || (!fresh && diff::changes_card(&self.changes).is_some());
        let asks_for_card = card && self.sees_card(vm, live, restart);
        let steps = Steps {
            acting: Outcome::Update,
            configure,
            moves: moves.then_some(if live.running { Disruption::Live } else { Disruption::None }),
            resize: grows.then_some("the disk is smaller than wished"),
            card: asks_for_card,
            // A guest that has never been up grows by itself when it boots.
            grow: record.grow || (grows && !fresh),
            // A start makes it anew by itself.
            cloud_init: cloud_init::drive_waits(vm, live, &self.changes).filter(|_| !restart),
            restart,
            start: (!live.running && vm.started).then_some("the VM is stopped"),
            bring_up: (completing && vm.started).then_some("the guest has not been up yet"),
            staged: &staging.digests,
        };
        self.push(made_by(vm), Outcome::NoOp, "the VM exists");
        if live.record.valid().is_none() {
            self.push(ActionKind::Adopt, Outcome::Create, "the VM is taken over");
        }
        if shut_down.is_some() {
            self.push_about(ActionKind::Stop, None, Outcome::Update, "the VM is not to run", Disruption::Stop);
        }
        guest::left_open(vm, record, &mounts, scene.desired, problems);
        Verified::of(vm.vm_id, scene.observed).told(vm.vm_id, problems);
        self.follow(vm, record, &mounts, scene, &steps, problems);
        // Whatever the record says of the VM is done by one of the actions: if none acts, it says so already. But for what a
        // run that was killed between an action and the record has forgotten.
        let acts = self.actions.iter().any(|action| action.outcome.acts()) || drift::has_forgotten(vm, record);
        let boots = |action: &Action| matches!(action.kind, ActionKind::Restart | ActionKind::Start | ActionKind::Stop);
        // What becomes a template is shut down.
        let unread = !vm.is_template && ((live.running && record.unread) || steps.cloud_init.is_some());
        let unread = unread && !self.actions.iter().any(|action| action.outcome.acts() && boots(action));
        let card = card && !asks_for_card;
        let wished = acts.then(|| Record {
            unread,
            card,
            ..guest::wished(vm, record, &mounts, scene.desired, &staging.digests)
        });
        let Some(mut wished) = wished else {
            self.push(ActionKind::Record, Outcome::NoOp, "it says so already");
            return self.into_plan(None);
        };
        preflight::notes(vm, &mut wished, problems);
        // An export to another address makes it forget what is mounted.
        let exports = |action: &Action| action.kind == ActionKind::ExportShare && action.outcome.acts();
        let verify = self.looked_at(record, &mounts);
        let forgets = !verify.is_empty() && self.actions.iter().any(exports);
        let (outcome, reason) = match () {
            () if wished != *record => (Outcome::Update, "something it says changes"),
            () if forgets => (Outcome::Update, "it says what is mounted"),
            () => (Outcome::NoOp, "it says so already"),
        };
        self.push(ActionKind::Record, outcome, reason);
        self.basis = Some(live.digest.clone());
        if scene.snapshot && !vm.is_template {
            self.net(vm, live, scene, problems);
        }
        preflight::lock(vm.vm_id, live, scene.observed, problems);
        let declared = |at: &String| mounts.iter().any(|mount| mount.mount_point == *at);
        let unmount = record.volumes.clone().into_iter().filter(|(at, _)| !declared(at)).collect();
        let ran = features::Features::of(scene, record);
        let task = Task {
            desired: vm.clone(),
            unmount,
            delete_source: scene.delete_source,
            clone: None,
            adopt: live.record.valid().is_none().then(|| record.clone()),
            fresh,
            completing,
            scripts: staging::feature_scripts(vm, scene.desired, &|name| ran.again(name)),
            verify,
            mounts,
            files: staging.files(vm, scene.desired),
            record: wished,
        };
        self.into_plan(Some(Box::new(task)))
    }
}
