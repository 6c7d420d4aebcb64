//! Snapshots before changes: taken before a VM is disturbed, removed when the VM is ready again; and the way back.

use std::sync::Arc;

use super::draft::Draft;
use crate::diag::Diagnostic;
use crate::model::{ActionKind, DesiredVm, Disruption, Outcome, VmId, content_digest};
use crate::observed::{OWN_SNAPSHOT, VmObserved};
use crate::plan::Scene;
use crate::plan::existing::{absent, owned};
use crate::plan::{Action, Step, VmPlan, codes, lock};

/// Kinds of storage whose volumes are files, of which qcow2 alone has snapshots.
const FILES: [&str; 5] = ["dir", "nfs", "cifs", "cephfs", "glusterfs"];

/// Kinds of storage without snapshots.
const WITHOUT: [&str; 3] = ["lvm", "iscsi", "iscsidirect"];

/// Whether an action is one that a snapshot is taken before: it disturbs the VM, or changes a disk.
fn disturbs(action: &Action) -> bool {
    let disk = matches!(action.kind, ActionKind::MoveDisk | ActionKind::ResizeDisk);
    action.outcome.acts() && (disk || action.disruption >= Disruption::Network)
}

/// The snapshots of runs that did not come to their end.
pub(super) fn kept(live: &VmObserved) -> impl Iterator<Item = Diagnostic> {
    let id = live.id;
    live.own_snapshots().map(move |name| {
        let (what, hint) = if live.half_snapshots.contains(name) {
            let what = format!("snapshot `{name}` is half made or half removed, and of no use");
            (what, format!("`qm delsnapshot {id} {name} --force` on its node removes it, once no task works on it"))
        } else {
            let what = format!("snapshot `{name}` is left of a run that did not finish");
            (what, format!("`phoenix rollback {id}` takes the VM back to it; `qm delsnapshot {id} {name}` on its node removes it"))
        };
        Diagnostic::notice(codes::SNAPSHOT_KEPT, what).vm(id).hint(hint)
    })
}

/// What keeps Proxmox from taking a snapshot of a VM: the disk and why.
fn refused(live: &VmObserved, scene: &Scene<'_>) -> Option<String> {
    if !scene.observed.capabilities.takes_snapshots {
        return Some("an embedded node with real guests takes no snapshots".to_owned());
    }
    if let Some((device, path)) = live.passed_through.first_key_value() {
        return Some(format!("{device} is the device `{path}` of the node"));
    }
    let disks = live.volumes.iter().filter(|volume| {
        volume.belongs_to(live.id) && !volume.device.starts_with("unused") && !volume.volume.contains("-cloudinit")
    });
    disks.into_iter().find_map(|disk| {
        let id = disk.volume.split(':').next().unwrap_or_default();
        let kind = scene.node(live.id).storages.get(id)?.kind.as_str();
        let raw = FILES.contains(&kind) && disk.volume.rsplit('.').next() != Some("qcow2");
        let why = if raw { "is not a qcow2 file".to_owned() } else { format!("lies on storage `{id}` of type {kind}") };
        (raw || WITHOUT.contains(&kind)).then(|| format!("{} ({}) {why}", disk.device, disk.volume))
    })
}

impl Draft {
    /// Spans a net under the actions, if one of them disturbs the VM.
    pub(super) fn net(&mut self, vm: &DesiredVm, live: &VmObserved, scene: &Scene<'_>) {
        if !self.actions.iter().any(disturbs) {
            return;
        }
        let id = vm.vm_id;
        self.finds(refused(live, scene).map(|why| {
            let what = format!("no snapshot can be taken: {why}");
            Diagnostic::error(codes::NO_SNAPSHOT, what).vm(id).hint("leave out `--snapshot` for this VM")
        }));
        if self.actions.iter().any(|action| action.kind == ActionKind::MoveDisk) {
            let what = "a disk moves, and a snapshot would stay where it was";
            let hint = "move it without `--snapshot`: the volume that it leaves is kept, unless `--delete-source` says \
                        otherwise";
            self.finds([Diagnostic::error(codes::NO_SNAPSHOT, what).vm(id).hint(hint)]);
        }
        // Tells snapshots of one VM apart; Proxmox takes forty characters.
        let state = content_digest(format!("{id} {}", live.digest.0).as_bytes());
        let name = format!("{OWN_SNAPSHOT}{}", &state[..16]);
        let name: Arc<str> = name.into();
        // Where it comes to be: a disk with snapshots may not get there.
        let after = |kind: ActionKind| self.actions.iter().position(|action| action.kind > kind);
        let moves = self.actions.iter().any(|action| action.kind == ActionKind::Migrate);
        let at = after(if moves { ActionKind::Migrate } else { ActionKind::Snapshot }).unwrap_or(0);
        let reason = "the disks as they are now, without memory";
        self.push(Action::does(Step::Snapshot(Arc::clone(&name)), Outcome::Update, reason).to(Arc::clone(&name)));
        self.actions[at..].rotate_right(1);
        let step = Step::RemoveSnapshot(Arc::clone(&name));
        self.push(Action::does(step, Outcome::Update, "the VM is ready again").to(name));
    }
}

/// Plans that a VM goes back to a snapshot of phoenix's own, and says what was found.
pub(in crate::plan) fn plan_rollback(vm: VmId, to: Option<&str>, scene: &Scene<'_>) -> (VmPlan, Vec<Diagnostic>) {
    let declared = scene.desired.vm(vm);
    let mut draft = Draft::of(vm, declared.map(|vm| vm.vm_name.clone()).unwrap_or_default(), declared);
    let Some(live) = scene.observed.vms.get(&vm) else {
        draft.finds([absent(vm, scene.observed)]);
        return draft.into_plan(None);
    };
    draft.name.clone_from(&live.name);
    draft.finds(owned(live, &scene.desired.settings.project).err().map(|problem| problem.vm(vm)));
    draft.finds(lock::lock(vm, live, scene.observed));
    let name = match chosen(live, to) {
        Ok(name) => name,
        Err(problem) => {
            draft.finds([problem.vm(vm)]);
            return draft.into_plan(None);
        }
    };
    if draft.is_refused() {
        return draft.into_plan(None);
    }
    let what = format!(
        "everything written to its disks since snapshot `{name}` is lost, and every change of its configuration since then"
    );
    let hint = format!("data on shares stays; the snapshot, too: `qm delsnapshot {vm} {name}` on its node removes it");
    draft.finds([Diagnostic::warning(codes::ROLLED_BACK, what).vm(vm).hint(hint)]);
    draft.basis = Some(live.digest.clone());
    // Without it, going back fails before anything is done.
    let then = live.recorded_in(&name, &scene.desired.settings.project);
    let disruption = if live.running { Disruption::Stop } else { Disruption::None };
    let reason = "the command line asks for it";
    let name: Arc<str> = name.into();
    let rollback = Action::does(Step::Rollback(Arc::clone(&name)), Outcome::Update, reason);
    draft.push(rollback.to(name).costing(disruption));
    // A VM that was off stays off.
    let desired = then.filter(|_| live.running).and_then(|then| draft.sees_to_guest(live, &then, true, scene));
    draft.into_plan(desired)
}

/// The snapshot to go back to.
fn chosen(live: &VmObserved, to: Option<&str>) -> Result<String, Diagnostic> {
    let id = live.id;
    let own: Vec<&String> = live.own_snapshots().collect();
    let error = |what: String| Diagnostic::error(codes::SNAPSHOTS, what);
    let listed = || own.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let whole = |name: String| {
        if live.half_snapshots.contains(&name) {
            Err(error(format!("snapshot `{name}` is half made or half removed, and of no use"))
                .hint(format!("`qm delsnapshot {id} {name} --force` on its node removes it")))
        } else {
            Ok(name)
        }
    };
    match (to, own.as_slice()) {
        (Some(to), own) if own.iter().any(|name| *name == to) => whole(to.to_owned()),
        (Some(to), _) if live.snapshots.iter().any(|name| name == to) => {
            Err(error(format!("snapshot `{to}` is not phoenix's own")).hint(format!("`qm rollback {id} {to}`")))
        }
        (Some(to), []) => Err(error(format!("there is no snapshot `{to}`"))),
        (Some(to), _) => Err(error(format!("there is no snapshot `{to}`")).hint(format!("it has {}", listed()))),
        (None, [name]) => whole((*name).clone()),
        (None, []) => Err(error("there is no snapshot of phoenix's own".to_owned())
            .hint("`phoenix apply --snapshot` takes one before it disturbs a VM, and keeps it when something fails")),
        (None, _) => Err(error(format!("there are several snapshots of phoenix's own: {}", listed()))
            .hint("say which with `--to NAME`")),
    }
}
