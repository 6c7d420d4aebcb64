//! Everything between the clone and the record.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::{features, volumes};
use crate::diag::Diagnostic;
use crate::model::{ActionKind, DesiredVm, Disruption, Outcome, Record};
use crate::plan::Mount;
use crate::plan::Scene;
use crate::plan::verified::Verified;

/// Which of the later steps act, and why.
pub(super) struct Steps<'a> {
    /// `create` for a VM that is being made, else `update`.
    pub(super) acting: Outcome,
    pub(super) configure: Option<(&'static str, Disruption)>,
    /// What it costs that the boot disk moves, if it does.
    pub(super) moves: Option<Disruption>,
    pub(super) resize: Option<&'static str>,
    /// Why the cloud-init drive of a running VM is made anew.
    pub(super) cloud_init: Option<&'static str>,
    /// The guest is asked for its network card, which changes or has changed.
    pub(super) card: bool,
    /// The guest's root file system is to follow its disk.
    pub(super) grow: bool,
    pub(super) restart: bool,
    pub(super) start: Option<&'static str>,
    /// Why the guest is waited for even if nothing else needs it.
    pub(super) bring_up: Option<&'static str>,
    /// Digests of what lies beside the scripts, by file name.
    pub(super) staged: &'a BTreeMap<String, String>,
}

impl Draft {
    /// Adds everything between the clone and the record.
    pub(super) fn follow(
        &mut self,
        vm: &DesiredVm,
        record: &Record,
        mounts: &[Mount],
        scene: &Scene<'_>,
        steps: &Steps<'_>,
        problems: &mut Vec<Diagnostic>,
    ) {
        let acting = steps.acting;
        let when = |reason: Option<&'static str>, otherwise: &'static str| match reason {
            Some(reason) => (acting, reason),
            None => (Outcome::NoOp, otherwise),
        };
        let to_run = features::Features::of(scene, record).any_to_run(vm);
        let mounted =
            |mount: &Mount| record.volumes.get(&mount.mount_point).is_some_and(|source| mount.is_from(source));
        let guest = Verified::of(vm.vm_id, scene.observed);
        let to_mount = mounts.iter().any(|mount| !mounted(mount) || guest.lost_mount(&mount.mount_point));
        let declared = |at: &str| mounts.iter().any(|mount| mount.mount_point == at);
        let removed: Vec<&String> = record.volumes.keys().filter(|at| !declared(at)).collect();

        let (outcome, reason) = when(steps.configure.map(|(reason, _)| reason), "values are as wished");
        let disruption = steps.configure.map_or(Disruption::None, |(_, disruption)| disruption);
        self.push_about(ActionKind::Configure, None, outcome, reason, disruption);
        if let Some(disruption) = steps.moves {
            let reason = "the disk lies on another storage";
            self.push_about(ActionKind::MoveDisk, None, Outcome::Update, reason, disruption);
        }
        let (outcome, reason) = when(steps.resize, "the disk has its size");
        self.push(ActionKind::ResizeDisk, outcome, reason);
        if let Some(reason) = steps.cloud_init {
            self.push(ActionKind::UpdateCloudInit, Outcome::Update, reason);
        }
        if steps.restart {
            let reason = "values wait for it";
            self.push_about(ActionKind::Restart, None, Outcome::Update, reason, Disruption::Restart);
        }
        let (outcome, reason) = when(steps.start, if self.off { "the VM is not to run" } else { "the VM runs" });
        self.push(ActionKind::Start, outcome, reason);
        let boots = steps.bring_up.or(steps.start).or(steps.restart.then_some("the guest boots again"));
        let exported = volumes::Exported::to(vm.vm_id, record, mounts, scene);
        exported.told(vm.vm_id, problems);
        let wanted = boots
            .or((!removed.is_empty()).then_some("a volume is to be unmounted"))
            .or(to_mount.then_some("a volume is to be mounted"))
            .or(exported.moved())
            .or(to_run.then_some("a feature is to run"))
            .or(guest.is_silent().then_some("it could not be looked into"));
        let (outcome, reason) =
            when(wanted.or(steps.grow.then_some("its root file system is to grow")), "nothing needs the guest");
        self.push(ActionKind::AwaitAgent, outcome, reason);
        if steps.card {
            self.push(ActionKind::AwaitNetwork, Outcome::Update, "its network card changes");
        }
        self.push(ActionKind::AwaitCloudInit, outcome, reason);
        if steps.grow {
            self.push(ActionKind::GrowFilesystem, Outcome::Update, "the disk grew");
        }

        for at in removed {
            let subject = Some(at.as_str().into());
            let reason = "it is no longer declared";
            self.push_about(ActionKind::Unmount, subject, Outcome::Update, reason, Disruption::None);
        }
        let need = volumes::Need { exported, boots: boots.is_some(), export: wanted };
        self.volumes(vm, record, mounts, &need, scene, problems);
        if !self.off {
            self.volume_changes(vm, record, mounts, guest);
        }

        self.features(vm, record, mounts, scene, steps.staged, problems);
        if vm.is_template {
            self.push(ActionKind::CleanGuest, acting, "its clones begin as new machines");
            self.push(ActionKind::ConvertToTemplate, acting, "it becomes a template");
        }
    }
}
