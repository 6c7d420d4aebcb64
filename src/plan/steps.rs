//! The actions of one VM.

pub(super) mod adopt;
mod features;
mod follow;
mod guest;
mod origin;
pub(super) mod power;
pub(super) mod retire;
pub(super) mod snapshot;
mod template;
mod volumes;

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::follow::Steps;
use self::origin::{Origin, made_by};
pub(super) use self::volumes::Exports;
use super::existing::{Situation, situation};
use super::grants::Grants;
use super::staging::{self, Staging};
use super::verified::Verified;
use super::volumes::resolve;
use super::{Action, Change, CloneTask, Mount, Retired, Source, Task, VmPlan};
use super::{cloud_init, diff, disk, drift, image, preflight};
use crate::diag::Diagnostic;
use crate::model::{
    ActionKind, CloudImage, Desired, DesiredVm, Digest, Disruption, Outcome, Record, RecordState, Timeouts, VmId,
};
use crate::observed::{Observed, VmObserved};

/// What all VMs of one plan look at.
pub(super) struct Scene<'a> {
    pub desired: &'a Desired,
    pub observed: &'a Observed,
    pub templates: &'a BTreeMap<&'a str, Vec<VmId>>,
    pub names: &'a BTreeMap<&'a str, Vec<VmId>>,
    /// What the target exports.
    pub exports: &'a Exports<'a>,
    /// What VMs may have of the node.
    pub grants: &'a Grants<'a>,
    /// Restart VMs with values that wait for it.
    pub restart: bool,
    /// Erase the sources of disks that move.
    pub delete_source: bool,
    /// Take a snapshot of each VM before it is disturbed.
    pub snapshot: bool,
    /// Features that run again although they ran.
    pub rerun: &'a [String],
    /// The fixed addresses of VMs that the file does not declare.
    pub addresses: &'a BTreeMap<IpAddr, VmId>,
    /// The VMs that go.
    pub going: &'a BTreeSet<VmId>,
}

/// Plans one VM. What stands in the way goes to `problems`; such a VM gets no actions.
pub(super) fn plan_vm(vm: &DesiredVm, scene: &Scene<'_>, problems: &mut Vec<Diagnostic>) -> VmPlan {
    let before = problems.len();
    let project = &scene.desired.settings.project;
    let found = situation(vm, project, scene.observed, problems);
    let mut draft = Draft::empty(vm);
    match found {
        Situation::Blocked => return draft.into_plan(None),
        Situation::Absent(leftover) => {
            let source = match &vm.cloud_image {
                Some(image) => Some(image::source(vm, image, scene, problems)),
                None => preflight::template(vm, scene, problems).map(Source::Template),
            };
            disk::storage(vm, scene.observed, problems);
            if vm.is_template {
                super::template::storage(vm, scene, problems);
            }
            let mounts = mounts(vm, scene, problems);
            preflight::host(vm, scene, problems);
            if let Some(source) = source
                && !has_errors(&problems[before..])
            {
                let full = match &source {
                    Source::Template(template) => preflight::full_clone(vm, *template, scene),
                    Source::Image(_) => true,
                };
                let clone = CloneTask { source, storage: full.then(|| vm.boot_disk_storage.clone()), leftover };
                return draft.create(vm, clone, mounts, scene, problems);
            }
            draft.changes = diff::new_values(vm, None);
        }
        Situation::Ours(live, record) => {
            disk::boot_disk(vm, live, scene, problems);
            cloud_init::preflight(vm, Some(live), problems);
            snapshot::kept(live, problems);
            if vm.is_template {
                super::template::snapshots(live, problems);
                super::template::storage(vm, scene, problems);
            }
            let mounts = mounts(vm, scene, problems);
            preflight::host(vm, scene, problems);
            preflight::removed(vm, record, &mounts, problems);
            if !has_errors(&problems[before..]) {
                return draft.update(vm, live, record, mounts, scene, problems);
            }
            draft.changes = drift::changes(vm, live, record, scene, problems);
        }
        Situation::Template(live, record) => return draft.template(vm, live, record, scene, problems),
        Situation::Adopted(live, record) => return adopt::plan_adopted(draft, vm, (live, record), scene, problems),
    }
    draft.into_plan(None)
}

/// The volumes of a VM, resolved. What it may not have is told in `problems`.
fn mounts(vm: &DesiredVm, scene: &Scene<'_>, problems: &mut Vec<Diagnostic>) -> Vec<Mount> {
    let mounts = resolve(vm, &scene.desired.settings, scene.observed, problems);
    scene.grants.judge(vm, &mounts, problems);
    mounts
}

fn has_errors(problems: &[Diagnostic]) -> bool {
    problems.iter().any(Diagnostic::is_error)
}

/// A VM's plan in the making.
struct Draft {
    vm: VmId,
    name: String,
    changes: Vec<Change>,
    waiting: Vec<super::Waiting>,
    actions: Vec<Action>,
    basis: Option<Digest>,
    retired: Option<Box<Retired>>,
    /// The VM is not to run: whatever its guest lacks is left open.
    off: bool,
    timeouts: Timeouts,
}

impl Draft {
    fn empty(vm: &DesiredVm) -> Self {
        Self { off: !vm.started, ..Self::of(vm.vm_id, vm.vm_name.clone(), Some(vm)) }
    }

    fn of(vm: VmId, name: String, declared: Option<&DesiredVm>) -> Self {
        Self {
            vm,
            name,
            changes: Vec::new(),
            waiting: Vec::new(),
            actions: Vec::with_capacity(12),
            basis: None,
            retired: None,
            off: false,
            timeouts: declared.map(|vm| vm.timeouts).unwrap_or_default(),
        }
    }

    fn into_plan(self, task: Option<Box<Task>>) -> VmPlan {
        let acts = self.actions.iter().any(|action| action.outcome.acts());
        let made = [ActionKind::Clone, ActionKind::CreateFromImage];
        let created = self.actions.iter().any(|a| made.contains(&a.kind) && a.outcome == Outcome::Create);
        let outcome = if self.retired.is_some() {
            Outcome::Destroy
        } else if created {
            Outcome::Create
        } else if acts {
            Outcome::Update
        } else {
            Outcome::NoOp
        };
        let disruption = self.actions.iter().map(|a| a.disruption).max().unwrap_or(Disruption::None);
        VmPlan {
            vm: self.vm,
            name: self.name,
            outcome,
            disruption,
            changes: self.changes,
            waiting: self.waiting,
            actions: self.actions,
            blocked: false,
            basis: self.basis.filter(|_| acts),
            force_stop: false,
            retired: self.retired,
            task: task.filter(|_| acts),
        }
    }

    fn push(&mut self, kind: ActionKind, outcome: Outcome, reason: &'static str) {
        self.push_about(kind, None, outcome, reason, Disruption::None);
    }

    fn push_about(
        &mut self,
        kind: ActionKind,
        subject: Option<Arc<str>>,
        outcome: Outcome,
        reason: &'static str,
        disruption: Disruption,
    ) {
        let (outcome, reason) =
            if self.off && guest::is_inside(kind) { (Outcome::NoOp, guest::LEFT_OPEN) } else { (outcome, reason) };
        let disruption = if outcome.acts() { disruption } else { Disruption::None };
        let timeout_seconds = kind.timeout_seconds(&self.timeouts);
        self.actions.push(Action { kind, subject, outcome, reason, disruption, timeout_seconds });
    }

    fn create(
        mut self,
        vm: &DesiredVm,
        clone: CloneTask,
        mounts: Vec<Mount>,
        scene: &Scene<'_>,
        problems: &mut Vec<Diagnostic>,
    ) -> VmPlan {
        let origin = Origin::of(vm, &clone, scene);
        self.changes = diff::new_values(vm, origin.mode);
        self.changes.extend(origin.drives.into_iter().flat_map(|template| diff::drive(vm, template, scene)));
        cloud_init::preflight(vm, origin.drives, problems);
        if vm.is_template {
            super::template::drive(vm, origin.drives, problems);
        }
        if clone.leftover.is_some() {
            self.push(ActionKind::RemoveLeftover, Outcome::Update, "left over by an interrupted run");
        }
        if vm.cloud_image.as_ref().is_some_and(CloudImage::is_checked) {
            self.push(ActionKind::FetchImage, Outcome::Create, "it must be there, and be what the file says");
        }
        self.push(made_by(vm), Outcome::Create, "no VM has this VMID");
        let staging = Staging::of(vm, &mounts, scene.desired);
        let steps = Steps {
            acting: Outcome::Create,
            configure: Some((origin.values, Disruption::None)),
            moves: None,
            resize: (origin.size != Some(diff::wanted_bytes(vm))).then_some(origin.smaller),
            cloud_init: None,
            grow: false,
            card: false,
            restart: false,
            start: vm.started.then_some("the VM is new"),
            bring_up: vm.started.then_some("the guest boots for the first time"),
            staged: &staging.digests,
        };
        let nothing =
            Record { is_template: vm.is_template, ..Record::creating(&scene.desired.settings.project, vm.vm_id) };
        self.follow(vm, &nothing, &mounts, scene, &steps, problems);
        self.push(ActionKind::Record, Outcome::Create, "the VM gets a record");
        guest::left_open(vm, &nothing, &mounts, scene.desired, problems);
        let mut record = guest::wished(vm, &nothing, &mounts, scene.desired, &staging.digests);
        preflight::notes(vm, &mut record, problems);
        self.basis = clone.leftover.and_then(|_| scene.observed.vms.get(&vm.vm_id)).map(|live| live.digest.clone());
        let task = Task {
            desired: vm.clone(),
            clone: Some(clone),
            adopt: None,
            fresh: true,
            completing: true,
            scripts: staging::feature_scripts(vm, scene.desired, &|_| false),
            verify: BTreeSet::new(),
            mounts,
            files: staging.files(vm, scene.desired),
            unmount: BTreeMap::new(),
            delete_source: false,
            record,
        };
        self.into_plan(Some(Box::new(task)))
    }

    /// Whether the guest has a changed network card when everything planned is done.
    fn sees_card(&self, vm: &DesiredVm, live: &VmObserved, restart: bool) -> bool {
        let waits = live.running && !restart && diff::card_waits(live, &self.changes);
        vm.started && !vm.is_template && !waits
    }

    fn update(
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
        if wished != *record {
            self.push(ActionKind::Record, Outcome::Update, "something it says changes");
        } else if forgets {
            self.push(ActionKind::Record, Outcome::Update, "it says what is mounted");
        } else {
            self.push(ActionKind::Record, Outcome::NoOp, "it says so already");
        }
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
