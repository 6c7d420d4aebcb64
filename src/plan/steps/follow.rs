//! Everything between the clone and the record.

use std::sync::Arc;

use super::case::Case;
use super::draft::Draft;
use super::due::{Due, due};
use super::facts::Facts;
use super::{features, volumes};
use crate::model::proxmox::{BOOT_DISK, DISKS};
use crate::model::{ActionKind, Disruption, Key, Outcome, Ready};
use crate::observed::options::{Row, gib};
use crate::plan::{
    Action, Change, ConfigureStep, MoveStep, ResizeStep, Rows, Step, UnmountStep, attached, diff, further, ha, snippets,
};

/// Why a guest is not waited for.
const NOT_NEEDED: &str = "nothing needs the guest";

/// Why a disk moves.
const ELSEWHERE: &str = "the disk lies on another storage";

/// Which of the later steps act, and why.
pub(super) struct Steps {
    /// `create` for a VM that is being made, else `update`.
    pub(super) acting: Outcome,
    /// The VM is new or half made: all that the file says is written.
    pub(super) fresh: bool,
    pub(super) configure: Option<(&'static str, Disruption)>,
    /// What it costs that the boot disk moves, if it does.
    pub(super) moves: Option<Disruption>,
    pub(super) resize: Option<&'static str>,
    /// Why the cloud-init drive of a running VM is made anew.
    pub(super) cloud_init: Option<&'static str>,
    /// Why the guest is asked for its network card, if it is.
    pub(super) card: Option<&'static str>,
    /// The guest's root file system is to follow its disk.
    pub(super) grow: bool,
    pub(super) restart: bool,
    pub(super) start: Option<&'static str>,
    /// Why the guest is waited for even if nothing else needs it.
    pub(super) bring_up: Option<&'static str>,
}

impl Draft {
    /// Adds everything between the clone and the record.
    pub(super) fn follow(&mut self, case: &Case<'_>, steps: &Steps) {
        let facts = case.facts;
        let Facts { vm, record, mounts, scene, .. } = facts;
        let acting = steps.acting;
        let to_run = features::Features::of(scene, record).any_to_run(vm);
        let guest = facts.guest();
        let to_mount = mounts.iter().any(|mount| !facts.is_mounted(mount) || guest.lost_mount(&mount.mount_point));
        let removed: Vec<_> = facts.undeclared().collect();
        let disks = self.possible(&facts, due(&facts), steps.restart);

        self.unmount_disks(&facts, true);

        // Options of a disk that wait for a restart name the volume as it was when they were written.
        let disk_first = self.changes.iter().any(|change| {
            (change.key == BOOT_DISK || change.key.starts_with(DISKS)) && change.disruption == Disruption::Restart
        });
        for (part, step, reason) in snippets::to_write(vm, scene) {
            let own = |change: &&Change| change.key == part.key().name() && change.part == snippets::CONTENT;
            let cost = self.changes.iter().find(own).map_or(Disruption::None, |change| change.disruption);
            let write = Action::does(Step::WriteSnippet(Box::new(step)), acting, reason).to(part.as_str());
            self.push(write.costing(cost));
        }
        if disk_first {
            self.disk(case, steps);
        }
        match steps.configure {
            Some((reason, disruption)) => {
                let step = self.configures(case, steps.fresh);
                self.push(Action::does(step, acting, reason).costing(disruption));
            }
            None => self.idle(ActionKind::Configure, "values are up to date"),
        }
        if !disk_first {
            self.disk(case, steps);
        }
        self.attached_disks(case);
        self.imports(case, acting);
        if let Some(change) = self.changes.iter().find(|change| change.key == Key::Pool.name()) {
            let to = vm.pool.as_deref().filter(|pool| !pool.is_empty()).map(Into::into);
            let from = change.old.as_deref().filter(|old| !old.is_empty()).map(Into::into);
            self.does(Step::SetPool { from, to }, acting, "the file names its pool");
        }
        if let Some(reason) = steps.cloud_init {
            self.does(Step::UpdateCloudInit, Outcome::Update, reason);
        }
        if steps.restart {
            let restart = Action::does(Step::Restart, Outcome::Update, "values wait for it");
            self.push(restart.costing(Disruption::Restart));
        }
        let otherwise = if self.off { "the VM is not to run" } else { "the VM runs" };
        self.either(Step::Start, acting, steps.start, otherwise);
        for (file, path) in snippets::left_over(vm, &self.changes, scene) {
            let step = Step::RemoveSnippet(path.into());
            self.push(Action::does(step, acting, "the VM does not name it").to(file));
        }
        let boots = steps.bring_up.or(steps.start).or(steps.restart.then_some("the guest boots again"));
        let exported = volumes::Exported::to(vm.vm_id, record, mounts, scene);
        self.finds(exported.problem(vm.vm_id));
        let wanted = boots
            .or((!removed.is_empty()).then_some("a volume is to be unmounted"))
            .or(to_mount.then_some("a volume is to be mounted"))
            .or(disks.iter().any(Due::acts).then_some("a disk is to be mounted"))
            .or(exported.moved())
            .or(to_run.then_some("a feature is to run"))
            .or(guest.is_silent().then_some("it could not be looked into"));
        let awaited = wanted.or(steps.grow.then_some("its root file system is to grow"));
        let (awaited, otherwise) =
            if vm.asks_agent() { (awaited, NOT_NEEDED) } else { (None, "the file says that it is ready when it runs") };
        self.either(Step::AwaitAgent, acting, awaited, otherwise);
        if let Some(reason) = steps.card {
            self.does(Step::AwaitNetwork, acting, reason);
        }
        let (awaited, otherwise) = match vm.ready {
            Ready::CloudInit | Ready::Running => (awaited, otherwise),
            Ready::Agent => (None, "the file says that it is ready when its agent answers"),
        };
        self.either(Step::AwaitCloudInit(vm.cloud_init_errors), acting, awaited, otherwise);
        if steps.grow {
            self.does(Step::GrowFilesystem, Outcome::Update, "the disk grew");
        }

        self.format_disks(&disks);
        for (at, source) in removed {
            let step = Step::Unmount(Box::new(UnmountStep { mount_point: at.clone(), source: source.clone() }));
            self.push(Action::does(step, Outcome::Update, "it is no longer declared").to(at.as_str()));
        }
        self.unmount_disks(&facts, false);
        self.mount_disks(&facts, &disks);
        let need = volumes::Need { exported, boots: boots.is_some(), export: wanted };
        self.volumes(&facts, &need);
        if self.leaves_open().is_none() {
            self.filesystem_changes(&facts, &disks);
            self.volume_changes(&facts);
        }

        self.features(case);
        if self.changes.iter().any(|change| change.key == Key::Ha.name()) {
            self.finds(ha::stays(vm, scene));
            let reason = if vm.ha.is_some() { "the file puts it there" } else { "the file no longer names it" };
            self.does(ha::step(vm, scene), acting, reason);
        }
        if vm.is_template {
            self.does(Step::CleanGuest, acting, "its clones begin as new machines");
            self.does(Step::ConvertToTemplate, acting, "it becomes a template");
        }
    }

    /// Moves and grows disks.
    fn disk(&mut self, case: &Case<'_>, steps: &Steps) {
        let (Facts { vm, scene, .. }, last) = (case.facts, || case.last());
        if let Some(disruption) = steps.moves {
            let (storage, delete_source) = (vm.boot_disk_storage.clone(), scene.delete_source);
            let step = Step::MoveDisk(Box::new(MoveStep { disk: None, storage, delete_source, record: last() }));
            self.push(Action::does(step, Outcome::Update, ELSEWHERE).costing(disruption));
        }
        for (slot, storage, disruption) in further::moving(vm, case.facts.record, scene) {
            let (storage, delete_source) = (storage.to_owned(), scene.delete_source);
            let step = Step::MoveDisk(Box::new(MoveStep { disk: Some(slot), storage, delete_source, record: last() }));
            self.push(Action::does(step, Outcome::Update, ELSEWHERE).to(slot).costing(disruption));
        }
        match steps.resize {
            Some(reason) => {
                let (size_gb, grows_filesystem) = (vm.boot_disk_size_gb, steps.grow);
                let step = ResizeStep { disk: None, size_gb, grows_filesystem, record: last() };
                self.does(Step::ResizeDisk(Box::new(step)), steps.acting, reason);
            }
            None => self.idle(ActionKind::ResizeDisk, "the disk has its size"),
        }
        for (slot, size_gb) in further::growing(vm, case.facts.record, scene) {
            let step = ResizeStep { disk: Some(slot), size_gb, grows_filesystem: false, record: last() };
            let grows = Action::does(
                Step::ResizeDisk(Box::new(step)),
                Outcome::Update,
                "the disk is smaller than the file says",
            );
            self.push(grows.to(slot));
        }
    }

    /// Grows the volumes that are attached.
    fn attached_disks(&mut self, case: &Case<'_>) {
        let Facts { vm, scene, .. } = case.facts;
        for (slot, now, size_gb) in attached::growing(vm, scene) {
            let step = ResizeStep { disk: Some(slot), size_gb, grows_filesystem: false, record: case.last() };
            let grows = Step::ResizeDisk(Box::new(step));
            self.push(Action::does(grows, Outcome::Update, "the volume is smaller than the file says").to(slot));
            let (old, new) = (format!("{slot}: {} GiB", gib(now)), format!("{slot}: {size_gb} GiB"));
            let (origin, note) = (vm.origins.of(Key::Disks), "grows once it is attached; no disk is ever made smaller");
            self.changes.push(diff::told_by_actions(Key::Disks, origin, Some(old), new, note));
        }
    }

    /// The write of the values that the plan shows; of a VM that is `fresh`, of all.
    fn configures(&self, case: &Case<'_>, fresh: bool) -> Step {
        let Facts { vm, scene, .. } = case.facts;
        let live = scene.observed.vms.get(&vm.vm_id);
        let written = |row: &&'static Row| row.applied_by(vm, live) == ActionKind::Configure;
        let shown = || Rows(self.changes.iter().flat_map(Change::rows).filter(written).collect());
        Step::Configure(Box::new(ConfigureStep {
            values: (!fresh).then(shown),
            desired: Arc::clone(case.facts.vm),
            record: case.last(),
        }))
    }

    /// Adds an action that acts if there is a reason to.
    fn either(&mut self, step: Step, acting: Outcome, reason: Option<&'static str>, otherwise: &'static str) {
        match reason {
            Some(reason) => self.does(step, acting, reason),
            None => self.idle(step.kind(), otherwise),
        }
    }
}
