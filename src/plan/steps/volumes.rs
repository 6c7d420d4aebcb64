//! What is done for the volumes of a VM.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Draft, Scene};
use crate::diag::Diagnostic;
use crate::model::{ActionKind, DesiredVm, Disruption, Key, Outcome, Record, RecordState, VmId};
use crate::observed::{Export, Observed};
use crate::plan::verified::Verified;
use crate::plan::{Mount, diff, preflight};

/// What a target exports, looked through once for all VMs.
pub(in crate::plan) struct Exports<'a> {
    /// VMs that have an export of phoenix's.
    pub own: BTreeSet<VmId>,
    /// The exports of everybody else.
    pub others: Vec<&'a Export>,
}

impl<'a> Exports<'a> {
    pub(in crate::plan) fn of(observed: &'a Observed) -> Self {
        let own = observed.exports.iter().filter_map(|export| export.vm).collect();
        Self { own, others: observed.exports.iter().filter(|export| export.vm.is_none()).collect() }
    }
}

impl Draft {
    /// Adds what is done for volumes. `wanted`: why the guest is brought up, if it is.
    pub(super) fn volumes(
        &mut self,
        vm: &DesiredVm,
        record: &Record,
        mounts: &[Mount],
        wanted: Option<&'static str>,
        scene: &Scene<'_>,
        problems: &mut Vec<Diagnostic>,
    ) {
        let guest = Verified::of(vm.vm_id, scene.observed);
        let of = |mount: &Mount| match record.volumes.get(&mount.mount_point) {
            Some(source) if mount.is_from(source) && guest.lost_mount(&mount.mount_point) => {
                (Outcome::Update, "it is gone from the guest")
            }
            Some(source) if mount.is_from(source) => (Outcome::NoOp, "it is mounted"),
            Some(_) => (Outcome::Update, "its source changed"),
            None => (Outcome::Create, "it is not mounted yet"),
        };
        let subject = |mount: &Mount| Some(Arc::from(mount.mount_point.as_str()));
        for mount in mounts.iter().filter(|mount| mount.host_path.is_some()) {
            let (outcome, reason) = of(mount);
            self.push_about(ActionKind::PrepareShare, subject(mount), outcome, reason, Disruption::None);
            // What an interrupted build of a template mounted, its record does not say: the directory is its own.
            let its_own = record.is_template && record.state != RecordState::Creating;
            if outcome == Outcome::Create && !self.off && !its_own {
                preflight::directory(vm, mount, scene.observed, problems);
            }
        }
        let exported = scene.exports.own.contains(&vm.vm_id);
        let open = |mount: &Mount| scene.exports.others.iter().any(|export| export.is_open(&mount.export));
        if mounts.iter().any(|mount| mount.served && !open(mount)) {
            let (outcome, reason) = match wanted {
                None if scene.observed.node.nfs_ended => (Outcome::Update, "the node's NFS server has ended"),
                // An unchanged VM that is up has what it needs: it is mounted.
                None => (Outcome::NoOp, "the volumes are mounted"),
                Some(_) if exported => (Outcome::Update, "the VM's address may have changed"),
                Some(_) => (Outcome::Create, "the VM has no export of its own yet"),
            };
            self.push(ActionKind::ExportShare, outcome, reason);
            if outcome.acts() && !self.off {
                preflight::nfs_server(vm, scene.observed, problems);
            }
        } else if exported {
            self.push(ActionKind::ExportShare, Outcome::Update, "no volume of the VM comes from this node any more");
        }
        for mount in mounts {
            let (outcome, reason) = of(mount);
            self.push_about(ActionKind::Mount, subject(mount), outcome, reason, Disruption::None);
        }
    }

    pub(super) fn volume_changes(&mut self, vm: &DesiredVm, record: &Record, mounts: &[Mount], guest: Verified<'_>) {
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
        let declared = |at: &str| mounts.iter().any(|mount| mount.mount_point == at);
        for (at, source) in record.volumes.iter().filter(|(at, _)| !declared(at)) {
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
