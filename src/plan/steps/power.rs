//! Starting, stopping and restarting the VMs that were named.

use std::sync::Arc;

use super::draft::Draft;
use super::volumes::Exported;
use crate::diag::{Diagnostic, Severity, has_errors};
use crate::model::{ActionKind, DesiredVm, Disruption, Key, Origin, Outcome, Record, RecordState, VmId};
use crate::observed::VmObserved;
use crate::plan::Scene;
use crate::plan::existing::{absent, owned};
use crate::plan::volumes::{self, Resolved};
use crate::plan::{Action, Change, Mount, MountStep, Power, Step, VmPlan, codes, ha, lock};

/// Plans what is to be done to the power of a VM, and says what was found.
pub(in crate::plan) fn plan_power(vm: VmId, power: Power, scene: &Scene<'_>) -> (VmPlan, Vec<Diagnostic>) {
    let declared = scene.desired.vm(vm);
    let mut draft = Draft::of(vm, declared.map(|vm| vm.vm_name.clone()).unwrap_or_default(), declared);
    let Some(live) = scene.observed.vms.get(&vm) else {
        draft.finds([absent(vm, scene.observed)]);
        return draft.into_plan(None);
    };
    draft.name.clone_from(&live.name);
    draft.finds(lock::lock(vm, live, scene.observed));
    draft.finds(ha::looks_after(vm, true, scene.observed));
    let record = match able(live, power, scene) {
        Ok(record) if !draft.is_refused() => record,
        refused => {
            draft.finds(refused.err().map(|problem| problem.vm(vm)));
            return draft.into_plan(None);
        }
    };
    let against = match (power, declared.map(|vm| vm.started)) {
        (Power::Stop, Some(true)) => Some("starts it again"),
        (Power::Start | Power::Restart, Some(false)) => Some("shuts it down"),
        _ => None,
    };
    if let Some(then) = against {
        let what = format!("the file says something else: the next apply {then}");
        let against = Diagnostic::notice(codes::POWER_AGAINST_FILE, what).vm(vm);
        draft.finds([against.about(Key::Started).hint("set `started` in the file to what you want")]);
    }
    draft.basis = Some(live.digest.clone());
    let asked = "the command line asks for it";
    let does = |step, reason| Action::does(step, Outcome::Update, reason);
    let action = match (power, live.running) {
        (Power::Start, true) => Action::idle(ActionKind::Start, "the VM runs"),
        (Power::Start, false) => does(Step::Start, asked),
        (Power::Stop, true) => does(Step::Stop, asked).costing(Disruption::Stop),
        (Power::Stop, false) => Action::idle(ActionKind::Stop, "the VM is stopped"),
        (Power::Restart, true) => does(Step::Restart, asked).costing(Disruption::Restart),
        (Power::Restart, false) => does(Step::Start, "the VM is stopped"),
    };
    let boots = action.outcome.acts();
    if boots && action.kind != ActionKind::Restart {
        draft.changes.push(started(power));
    }
    draft.push(action);
    if power == Power::Stop {
        return draft.into_plan(None);
    }
    let desired = draft.sees_to_guest(live, record, boots, scene);
    draft.into_plan(desired)
}

/// What the verb changes: `started`, whatever the file says of it.
fn started(power: Power) -> Change {
    let runs = power != Power::Stop;
    let (disruption, note) = if runs {
        (Disruption::None, "the command line asks for it")
    } else {
        (Disruption::Stop, "the command line asks for it; the guest is asked to shut down")
    };
    Change {
        key: Key::Started.name(),
        old: Some((!runs).to_string()),
        new: runs.to_string(),
        origin: Origin::Vm,
        disruption,
        note: note.to_owned(),
        ..Change::default()
    }
}

/// The record of a VM whose power is to change; why it cannot, otherwise.
fn able<'o>(live: &'o VmObserved, power: Power, scene: &Scene<'_>) -> Result<&'o Record, Diagnostic> {
    let vm = live.id;
    let record = owned(live, &scene.desired.settings.project)?;
    if live.template {
        let what = "the VM is a template, and templates do not run";
        return Err(Diagnostic::error(codes::IS_TEMPLATE, what));
    }
    if record.state == RecordState::Creating && power != Power::Stop {
        let what = "an earlier run did not finish the VM";
        return Err(Diagnostic::error(codes::UNFINISHED, what).hint(format!("`phoenix create {vm}` completes it")));
    }
    Ok(record)
}

/// The volumes of a VM that is started, as the last apply left them.
struct Volumes<'a> {
    vm: &'a DesiredVm,
    record: &'a Record,
    mounts: Vec<Arc<Mount>>,
}

impl<'a> Volumes<'a> {
    /// What the file says of the volumes, if that is what was applied; otherwise, why they are not looked after. The
    /// record alone counts for nothing here: every account with rights on the VM can write it.
    fn of(
        live: &VmObserved,
        record: &'a Record,
        declared: Option<&'a DesiredVm>,
        scene: &Scene<'a>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let own = scene.exports.own_of(live.id);
        let left = |why: &str| {
            let what = format!("the volumes are not checked or mounted: {why}");
            Diagnostic::notice(codes::VOLUMES_LEFT, what).vm(live.id).about(Key::Volumes)
        };
        let Some(vm) = declared else { return Err(vec![left("the file does not declare it")]) };
        if !live.agent {
            return Err(vec![left("its guest agent is switched off; the next apply switches it on")]);
        }
        let Resolved { mounts, problems: mut refused } = volumes::resolve(vm, &scene.desired.settings, scene.observed);
        refused.extend(scene.grants.refuses(vm, &mounts));
        if has_errors(&refused) {
            // A start alone gives a VM nothing; so it is no error here.
            let refused = refused.into_iter().map(|problem| Diagnostic { severity: Severity::Warning, ..problem });
            return Err(std::iter::once(left("the target refuses what they need")).chain(refused).collect());
        }
        // A run that died between an export and its mount has taken it out of the record.
        let applied = |mount: &Mount| {
            record.volumes.get(&mount.mount_point).map_or_else(
                || mount.served && own.iter().any(|export| export.path == mount.export),
                |source| mount.is_from(source),
            )
        };
        let named = |at: &String| mounts.iter().any(|mount| mount.mount_point == *at);
        if !mounts.iter().all(|mount| applied(mount)) || !record.volumes.keys().all(named) {
            return Err(vec![left("the file says something else than was applied; the next apply mounts them")]);
        }
        Ok(Self { vm, record, mounts })
    }
}

impl Draft {
    /// Adds what is done for the guest of a VM that boots, or runs already, as the last apply left it: it is waited
    /// for, and its volumes are looked after. Returns the VM as the file has it, where that is needed.
    pub(super) fn sees_to_guest(
        &mut self,
        live: &VmObserved,
        record: &Record,
        boots: bool,
        scene: &Scene<'_>,
    ) -> Option<Arc<DesiredVm>> {
        let has_volumes = !record.volumes.is_empty() || !scene.exports.own_of(live.id).is_empty();
        let declared = scene.desired.vm(live.id);
        let volumes = has_volumes.then(|| Volumes::of(live, record, declared, scene)).transpose();
        let volumes = volumes.unwrap_or_else(|left| {
            self.finds(left);
            None
        });
        if boots && live.agent && scene.asks_agent(live.id) {
            self.does(Step::AwaitAgent, Outcome::Update, "the guest boots");
            if record.card {
                self.does(Step::AwaitNetwork, Outcome::Update, "its network card changed");
            }
        }
        volumes.and_then(|volumes| self.look_after(volumes, boots, scene))
    }

    /// Adds what is done for the volumes of a VM that boots, or whose guest has another address than it had.
    fn look_after(&mut self, volumes: Volumes<'_>, boots: bool, scene: &Scene<'_>) -> Option<Arc<DesiredVm>> {
        let Volumes { vm, record, mounts } = volumes;
        let recorded = |mount: &Mount| record.volumes.contains_key(&mount.mount_point);
        let exported = Exported::to(vm.vm_id, record, &mounts, scene);
        let forgotten = mounts.iter().any(|mount| !recorded(mount)).then_some("an earlier run did not see it mounted");
        let why =
            if boots { Some("the guest boots, and may come up without it") } else { exported.moved().or(forgotten) };
        let why = why?;
        if mounts.iter().any(|mount| mount.served && !scene.exports.is_open(vm.vm_id, mount)) {
            let reason = exported.moved().unwrap_or("the VM's address may have changed");
            self.does(super::volumes::exported(&mounts), Outcome::Update, reason);
        }
        for mount in &mounts {
            let step = Step::Mount(MountStep { mount: Arc::clone(mount), verify: recorded(mount) });
            self.push(Action::does(step, Outcome::Update, why).to(mount.mount_point.as_str()));
        }
        let volumes = mounts.iter().map(|mount| (mount.mount_point.clone(), mount.source())).collect();
        let mut last = Record { volumes, unread: record.unread && !boots, ..record.clone() };
        if boots {
            last.late.clear();
        }
        self.does(Step::Record(Arc::new(last)), Outcome::Update, "it says what is mounted");
        Some(Arc::new(vm.clone()))
    }
}
