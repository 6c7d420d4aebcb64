//! Staging and running features.

use std::sync::Arc;

use super::case::Case;
use super::draft::Draft;
use super::facts::Facts;
use crate::diag::Diagnostic;
use crate::model::{ActionKind, Desired, DesiredVm, Key, Outcome, Record, is_noted};
use crate::plan::Scene;
use crate::plan::staging::Staging;
use crate::plan::verified::Verified;
use crate::plan::{Action, Channel, FeatureStep, StageStep, Step, codes, diff, preflight, volumes};

/// How it stands with a feature of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It ran to success.
    Ran,
    /// It ran, and its script is another one by now.
    Changed,
    /// It ran, and the operator wants it to run again.
    Again,
    /// It ran, and its result is gone from the guest.
    Lost,
    /// It has not run.
    Open,
}

/// How it stands with the features of a VM.
pub(super) struct Features<'a> {
    desired: &'a Desired,
    record: &'a Record,
    rerun: &'a [String],
    guest: Verified<'a>,
}

impl<'a> Features<'a> {
    pub(super) fn of(scene: &Scene<'a>, record: &'a Record) -> Self {
        let guest = Verified::of(record.vm, scene.observed);
        Self { desired: scene.desired, record, rerun: scene.rerun, guest }
    }

    fn standing(&self, name: &Arc<str>) -> Standing {
        let digest = self.desired.scripts.features.get(name).map_or("", |script| &*script.digest);
        match self.record.features.get(&**name) {
            None => Standing::Open,
            Some(ran) if !is_noted(ran, digest) => Standing::Changed,
            Some(_) if self.is_asked_for(name) => Standing::Again,
            Some(_) if self.guest.lost_result(name) => Standing::Lost,
            Some(_) => Standing::Ran,
        }
    }

    /// Whether it is to run whatever is known of earlier runs.
    pub(super) fn again(&self, name: &Arc<str>) -> bool {
        self.is_asked_for(name) || self.standing(name) == Standing::Lost
    }

    fn is_asked_for(&self, name: &str) -> bool {
        self.rerun.iter().any(|again| again == name)
    }

    /// Whether a feature of the VM is to run.
    pub(super) fn any_to_run(&self, vm: &DesiredVm) -> bool {
        vm.features.iter().any(|feature| self.standing(&feature.name) != Standing::Ran)
    }
}

impl Draft {
    /// Adds what is done for features.
    pub(super) fn features(&mut self, case: &Case<'_>) {
        let facts = case.facts;
        let Facts { vm, record, mounts, staging, scene, .. } = facts;
        let staged = &staging.digests;
        let at = &scene.desired.settings.persistent_storage.mount_point;
        if record.own_disk && mounts.iter().any(|mount| mount.mount_point == *at) {
            let what = format!("the volume at {at} hides what lies there on the VM's own disk");
            let hint = "copy that onto the volume first, or declare the volume at another place";
            let problem = Diagnostic::warning(codes::HIDES_OWN_DISK, what).vm(vm.vm_id);
            self.finds([problem.about(Key::Volumes).hint(hint)]);
        }
        if vm.features.is_empty() {
            return;
        }
        let volume = mounts.iter().find(|mount| mount.channel).map(|mount| Channel::Volume(Arc::clone(mount)));
        let own_disk = || volumes::on_own_disk(vm, &scene.desired.settings, scene.observed);
        let Some(channel) = volume.or_else(|| own_disk().map(|at| Channel::OwnDisk(at.to_owned()))).map(Arc::new)
        else {
            let what = "no volume brings the scripts of its features to the VM";
            let hint = "set `hypervisor.persistent_storage.server` to an address the guests reach";
            self.finds([Diagnostic::error(codes::NO_NODE_ADDRESS, what).vm(vm.vm_id).about(Key::Features).hint(hint)]);
            return;
        };
        let features = Features::of(scene, record);
        let moved = channel.volume().map_or(!record.own_disk, |mount| !facts.is_mounted(mount));
        let is_new = |standing| matches!(standing, Standing::Changed | Standing::Open);
        let changed = vm.features.iter().any(|feature| is_new(features.standing(&feature.name)));
        let reason = match () {
            () if record.staged.is_empty() => Some("nothing is staged yet"),
            () if changed => Some("a script changed"),
            () if record.staged != *staged => Some("what lies beside the scripts changed"),
            () if moved => Some("the place of the scripts changed"),
            () if features.any_to_run(vm) => Some("a feature runs again"),
            () => None,
        };
        if let Some(reason) = reason {
            let outcome = if record.staged.is_empty() { Outcome::Create } else { Outcome::Update };
            if channel.volume().is_none() && !record.own_disk && self.leaves_open().is_none() {
                let (origin, at) = (vm.origins.of(Key::Features), channel.guest_scripts());
                let note = "its scripts lie on its own disk";
                self.changes.push(diff::told_by_actions(Key::Features, origin, None, at, note));
            }
            let (channel, files) = (Arc::clone(&channel), Staging::files(vm, record, mounts, scene.desired));
            self.does(Step::StageScripts(Box::new(StageStep { channel, files })), outcome, reason);
            if outcome == Outcome::Update && self.leaves_open().is_none() {
                self.finds(preflight::utilities(vm, record, staged));
            }
        } else {
            self.idle(ActionKind::StageScripts, "it is all there");
        }
        for feature in &vm.features {
            let (outcome, reason, note) = match features.standing(&feature.name) {
                Standing::Ran => (Outcome::NoOp, "it ran successfully", ""),
                Standing::Changed => (Outcome::Update, "its script changed", "its script changed: it runs again"),
                Standing::Again => (Outcome::Update, "`--rerun` asks for it", "it runs again, as asked for"),
                Standing::Lost => {
                    let note = "its result is gone from the guest: it runs again";
                    (Outcome::Update, "its result is gone from the guest", note)
                }
                Standing::Open => (Outcome::Create, "it has not run yet", "it has not run yet"),
            };
            let script = scene.desired.scripts.features.get(&feature.name).filter(|_| outcome.acts());
            self.push(
                match script {
                    Some(script) => {
                        let step = FeatureStep {
                            name: Arc::clone(&feature.name),
                            file: script.file.clone(),
                            digest: Arc::clone(&script.digest),
                            again: features.again(&feature.name),
                            channel: Arc::clone(&channel),
                            record: case.last(),
                        };
                        Action::does(Step::Feature(Box::new(step)), outcome, reason)
                    }
                    None => Action::idle(ActionKind::Feature, reason),
                }
                .to(Arc::clone(&feature.name)),
            );
            if self.leaves_open().is_none() && outcome.acts() {
                let origin = vm.origins.of(Key::Features);
                self.changes.push(diff::told_by_actions(Key::Features, origin, None, feature.name.to_string(), note));
            }
        }
    }
}
