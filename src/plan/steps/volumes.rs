//! What is done for the volumes of a VM.

use core::net::IpAddr;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::draft::Draft;
use super::facts::Facts;
use crate::diag::Diagnostic;
use crate::model::{ActionKind, DesiredVm, Key, Outcome, Record, RecordState, VmId};
use crate::observed::Export;
use crate::plan::Scene;
use crate::plan::volumes::{self, Resolved};
use crate::plan::{Action, Mount, MountStep, Step, codes, diff, preflight};

/// Whether what the target exports to a running VM names the address that its guest has: if it does not, how, in words.
/// Where no agent gave one, nothing is wrong: a plan is the same whether or not a guest answers.
pub(super) struct Exported(Option<String>);

impl Exported {
    /// Compares the volumes that the record says are mounted with the address that the agent gave.
    pub(super) fn to(vm: VmId, record: &Record, mounts: &[Arc<Mount>], scene: &Scene<'_>) -> Self {
        let Some(address) = scene.observed.addresses.get(&vm) else { return Self(None) };
        let recorded =
            |mount: &&Arc<Mount>| record.volumes.get(&mount.mount_point).is_some_and(|old| mount.is_from(old));
        let own = scene.exports.own_of(vm);
        let covered = |mount: &Mount| {
            own.iter().chain(scene.exports.others_for(vm)).any(|export| export.covers(&mount.export, *address))
        };
        let mut served = mounts.iter().filter(|mount| mount.served).filter(recorded);
        Self(served.any(|mount| !covered(mount)).then(|| words(own, *address)))
    }

    /// Why something is to be done about it, if it is.
    pub(super) fn moved(&self) -> Option<&'static str> {
        self.0.as_ref().map(|_| "the guest has another address than the export names")
    }

    /// Says that the exports do not name the address.
    pub(super) fn problem(&self, vm: VmId) -> Option<Diagnostic> {
        let what = self.0.as_ref()?;
        let what = format!("the guest does not reach its volumes, or loses them when it boots: {what}");
        let hint = "`phoenix apply` exports them to that address and mounts what is not mounted; what was written in the \
                    meantime may lie on the guest's own disk";
        Some(Diagnostic::warning(codes::EXPORT_ADDRESS, what).vm(vm).about(Key::Volumes).hint(hint))
    }
}

/// What the exports of a VM name, and what its guest has.
fn words(own: &[&Export], address: IpAddr) -> String {
    let clients: BTreeSet<&str> = own.iter().map(|export| export.client.as_str()).collect();
    match clients.into_iter().collect::<Vec<_>>().join(" and ") {
        none if none.is_empty() => format!("no export names {address}, which the guest has"),
        clients => format!("the export names {clients}, the guest has {address}"),
    }
}

/// Why something is to be done for the volumes of a VM beyond what its record says.
pub(super) struct Need {
    /// What the guest's address says about the exports.
    pub(super) exported: Exported,
    /// The guest boots: it may come up without them.
    pub(super) boots: bool,
    /// Why the exports are looked at, if they are.
    pub(super) export: Option<&'static str>,
}

/// The volumes of a VM, resolved; among the problems, those that it may not have.
pub(super) fn granted(vm: &DesiredVm, scene: &Scene<'_>) -> Resolved {
    let Resolved { mounts, mut problems } = volumes::resolve(vm, &scene.desired.settings, scene.observed);
    problems.extend(scene.grants.refuses(vm, &mounts));
    if !scene.observed.capabilities.host_files {
        problems.extend(mounts.iter().filter_map(|mount| out_of_reach(vm, mount)));
    }
    Resolved { mounts, problems }
}

/// What is wrong with a volume of the node where the target reaches no files of it.
fn out_of_reach(vm: &DesiredVm, mount: &Mount) -> Option<Diagnostic> {
    let path = mount.host_path.as_deref()?;
    let what = format!(
        "this target reaches no files of the node, and `{path}`, the volume at `{}`, lies there",
        mount.mount_point
    );
    let hint = "name the `server` of a NAS instead, or run phoenix on the node or over ssh";
    Some(Diagnostic::error(codes::HOST_PATH, what).vm(vm.vm_id).about(mount.key()).hint(hint))
}

/// An action that acts only if its outcome says so.
fn some(step: impl FnOnce() -> Step, outcome: Outcome, reason: &'static str, kind: ActionKind) -> Action {
    if outcome.acts() { Action::does(step(), outcome, reason) } else { Action::idle(kind, reason) }
}

/// The export of all volumes that the target serves.
pub(super) fn exported(mounts: &[Arc<Mount>]) -> Step {
    Step::ExportShare(mounts.iter().filter(|mount| mount.served).map(Arc::clone).collect())
}

impl Draft {
    /// Adds what is done for volumes.
    pub(super) fn volumes(&mut self, facts: &Facts<'_>, need: &Need) {
        let Facts { vm, record, mounts, scene, .. } = *facts;
        let guest = facts.guest();
        let of = |mount: &Mount| match record.volumes.get(&mount.mount_point) {
            Some(source) if mount.is_from(source) && guest.lost_mount(&mount.mount_point) => {
                (Outcome::Update, "it is gone from the guest")
            }
            Some(source) if mount.is_from(source) => (Outcome::NoOp, "it is mounted"),
            Some(_) => (Outcome::Update, "its source changed"),
            None => (Outcome::Create, "it is not mounted yet"),
        };
        let own = scene.exports.own_of(vm.vm_id);
        for mount in mounts {
            let Some(path) = &mount.host_path else { continue };
            let (outcome, reason) = of(mount);
            let prepare = || Step::PrepareShare(path.as_str().into());
            self.push(some(prepare, outcome, reason, ActionKind::PrepareShare).to(mount.mount_point.as_str()));
            // What an interrupted build of a template mounted, its record does not say: the directory is its own.
            let its_own = record.is_template && record.state != RecordState::Creating
                || own.iter().any(|export| export.path == mount.export);
            if outcome == Outcome::Create && self.leaves_open().is_none() && !its_own {
                self.finds(preflight::directory(vm, mount, scene.observed));
            }
        }
        let mut exports = false;
        if mounts.iter().any(|mount| mount.served && !scene.exports.is_open(vm.vm_id, mount)) {
            let (outcome, reason) = match need.export {
                None if scene.node(vm.vm_id).nfs_ended => (Outcome::Update, "the node's NFS server has ended"),
                // An unchanged VM that is up has what it needs: it is mounted.
                None => (Outcome::NoOp, "the volumes are mounted"),
                Some(_) if own.is_empty() => (Outcome::Create, "the VM has no export of its own yet"),
                Some(_) => (Outcome::Update, need.exported.moved().unwrap_or("the VM's address may have changed")),
            };
            self.push(some(|| exported(mounts), outcome, reason, ActionKind::ExportShare));
            exports = need.export.is_some();
            if outcome.acts() && self.leaves_open().is_none() {
                self.finds(preflight::nfs_server(vm, scene.observed));
            }
        } else if !own.is_empty() {
            let reason = "no volume of the VM comes from this node any more";
            self.does(Step::ExportShare(Vec::new()), Outcome::Update, reason);
        }
        for mount in mounts {
            let (outcome, reason) = match of(mount) {
                (Outcome::NoOp, _) if need.boots => (Outcome::Update, "the guest boots, and may come up without it"),
                (Outcome::NoOp, _) if exports && mount.served => (Outcome::Update, "its export may be another one"),
                other => other,
            };
            let step = || Step::Mount(MountStep { mount: Arc::clone(mount), verify: facts.is_mounted(mount) });
            self.push(some(step, outcome, reason, ActionKind::Mount).to(mount.mount_point.as_str()));
        }
    }

    /// Whether a volume is looked at in the guest although the record says that it is mounted.
    pub(super) fn looks_at_mounted(&self) -> bool {
        let verifies = |action: &Action| matches!(&action.step, Some(Step::Mount(MountStep { verify: true, .. })));
        self.actions.iter().any(verifies)
    }

    /// Adds what changes about volumes, as people read it.
    pub(super) fn volume_changes(&mut self, facts: &Facts<'_>) {
        let Facts { vm, record, mounts, .. } = *facts;
        let guest = facts.guest();
        for mount in mounts {
            let old = record.volumes.get(&mount.mount_point);
            let same = old.is_some_and(|old| mount.is_from(old));
            let lost = same && guest.lost_mount(&mount.mount_point);
            if same && !lost {
                continue;
            }
            let source = mount.source();
            let note = match mount.implicit {
                _ if lost => "gone from the guest: it is mounted again",
                true => "implicit: scripts reach the guest through it",
                false => "",
            };
            let old = old.map(|old| if lost { String::new() } else { format!("{} from {old}", mount.mount_point) });
            let new = format!("{} from {source}", mount.mount_point);
            let origin = if mount.implicit { crate::model::Origin::BuiltIn } else { vm.origins.of(Key::Volumes) };
            self.changes.push(diff::told_by_actions(Key::Volumes, origin, old, new, note));
        }
        for (at, source) in facts.undeclared() {
            let (old, origin) = (Some(format!("{at} from {source}")), vm.origins.of(Key::Volumes));
            self.changes.push(diff::told_by_actions(
                Key::Volumes,
                origin,
                old,
                String::new(),
                "unmounted; the data stays",
            ));
        }
    }
}
