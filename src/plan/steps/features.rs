//! Staging and running features.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::draft::Draft;
use crate::diag::Diagnostic;
use crate::model::{ActionKind, Desired, DesiredVm, Disruption, Key, Outcome, Record, is_noted};
use crate::plan::Scene;
use crate::plan::verified::Verified;
use crate::plan::{Mount, diff, preflight};

/// How it stands with a feature of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It ran to success.
    Ran,
    /// It ran, and its script is another one by now.
    Changed,
    /// It ran, and somebody wants it to run again.
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
    pub(super) fn features(
        &mut self,
        vm: &DesiredVm,
        record: &Record,
        mounts: &[Mount],
        scene: &Scene<'_>,
        staged: &BTreeMap<String, String>,
        problems: &mut Vec<Diagnostic>,
    ) {
        let features = Features::of(scene, record);
        if !vm.features.is_empty() {
            let mounted =
                |mount: &Mount| record.volumes.get(&mount.mount_point).is_some_and(|source| mount.is_from(source));
            let moved = mounts.iter().any(|mount| mount.channel && !mounted(mount));
            let changed = vm
                .features
                .iter()
                .any(|feature| matches!(features.standing(&feature.name), Standing::Changed | Standing::Open));
            let (outcome, reason) = if record.staged.is_empty() {
                (Outcome::Create, "nothing is staged yet")
            } else if changed {
                (Outcome::Update, "a script changed")
            } else if record.staged != *staged {
                (Outcome::Update, "what lies beside the scripts changed")
            } else if moved {
                (Outcome::Update, "the channel moved")
            } else if features.any_to_run(vm) {
                (Outcome::Update, "a feature runs again")
            } else {
                (Outcome::NoOp, "it is all there")
            };
            self.push(ActionKind::StageScripts, outcome, reason);
            if outcome == Outcome::Update && !self.off {
                preflight::utilities(vm, record, staged, problems);
            }
        }
        for feature in &vm.features {
            let (outcome, reason, note) = match features.standing(&feature.name) {
                Standing::Ran => (Outcome::NoOp, "it ran to success", ""),
                Standing::Changed => (Outcome::Update, "its script changed", "its script changed: it runs again"),
                Standing::Again => (Outcome::Update, "somebody asks for it", "it runs again, as asked for"),
                Standing::Lost => {
                    let note = "its result is gone from the guest: it runs again";
                    (Outcome::Update, "its result is gone from the guest", note)
                }
                Standing::Open => (Outcome::Create, "it has not run yet", "it has not run yet"),
            };
            self.push_about(ActionKind::Feature, Some(feature.name.clone()), outcome, reason, Disruption::None);
            if !self.off && outcome.acts() {
                let origin = vm.origins.of(Key::Features);
                self.changes.push(diff::told_by_actions(Key::Features, origin, None, feature.name.to_string(), note));
            }
        }
    }
}
