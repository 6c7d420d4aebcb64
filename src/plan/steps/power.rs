//! Starting, stopping and restarting what somebody named.

use super::{Draft, Scene};
use crate::diag::Diagnostic;
use crate::model::{ActionKind, Disruption, Outcome, RecordState, VmId};
use crate::plan::existing::{absent, owned};
use crate::plan::{Power, VmPlan, codes, preflight};

/// Plans what is to be done to the power of a VM. What stands in the way goes to `problems`.
pub(in crate::plan) fn plan_power(vm: VmId, power: Power, scene: &Scene<'_>, problems: &mut Vec<Diagnostic>) -> VmPlan {
    let declared = scene.desired.vms.iter().find(|declared| declared.vm_id == vm);
    let mut draft = Draft::of(vm, declared.map(|vm| vm.vm_name.clone()).unwrap_or_default(), declared);
    let Some(live) = scene.observed.vms.get(&vm) else {
        problems.push(absent(vm, scene.observed));
        return draft.into_plan(None);
    };
    draft.name.clone_from(&live.name);
    let before = problems.len();
    match owned(live, &scene.desired.settings.project) {
        Err(problem) => problems.push(problem.vm(vm)),
        Ok(_) if live.template => {
            let what = format!("VM {vm} is a template: templates do not run");
            problems.push(Diagnostic::error(codes::IS_TEMPLATE, what).vm(vm));
        }
        Ok(record) if record.state == RecordState::Creating && power != Power::Stop => {
            let what = format!("VM {vm} was not finished by an earlier run");
            let hint = format!("`phoenix create {vm}` completes it");
            problems.push(Diagnostic::error(codes::UNFINISHED, what).vm(vm).hint(hint));
        }
        Ok(_) => {}
    }
    preflight::lock(vm, live, scene.observed, problems);
    if problems.len() > before {
        return draft.into_plan(None);
    }
    let against = match (power, declared.map(|vm| vm.started)) {
        (Power::Stop, Some(true)) => Some("starts it again"),
        (Power::Start | Power::Restart, Some(false)) => Some("shuts it down"),
        _ => None,
    };
    if let Some(then) = against {
        let what = format!("the file wishes VM {vm} otherwise: the next apply {then}");
        problems.push(Diagnostic::notice(codes::POWER_AGAINST_FILE, what).vm(vm).hint("`started` says what is wished"));
    }
    draft.basis = Some(live.digest.clone());
    let asked = "somebody asks for it";
    let (kind, outcome, reason, disruption) = match (power, live.running) {
        (Power::Start, true) => (ActionKind::Start, Outcome::NoOp, "the VM runs", Disruption::None),
        (Power::Start, false) => (ActionKind::Start, Outcome::Update, asked, Disruption::None),
        (Power::Stop, true) => (ActionKind::Stop, Outcome::Update, asked, Disruption::Stop),
        (Power::Stop, false) => (ActionKind::Stop, Outcome::NoOp, "the VM is stopped", Disruption::None),
        (Power::Restart, true) => (ActionKind::Restart, Outcome::Update, asked, Disruption::Restart),
        (Power::Restart, false) => (ActionKind::Start, Outcome::Update, "the VM is stopped", Disruption::None),
    };
    draft.push_about(kind, None, outcome, reason, disruption);
    if outcome.acts() && power != Power::Stop && live.agent {
        draft.push(ActionKind::AwaitAgent, Outcome::Update, "the guest boots");
    }
    draft.into_plan(None)
}
