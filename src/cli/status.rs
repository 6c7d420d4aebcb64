//! `phoenix status`

use anyhow::Result;

use super::Exit;
use super::args::{Args, Status};
use super::console::Console;
use super::format::{Format, Output};
use super::output;
use super::planning::{Wish, planned};
use super::reach;
use crate::apply::at_once;
use crate::hypervisor::{Fault, FaultKind, Hypervisor};
use crate::model::VmId;
use crate::plan::document::DocumentTarget;
use crate::plan::status::{Agents, less_than_cloud_init, status, with_agents};
use crate::plan::{Plan, give_names};
use crate::ui;

/// Tells how the VMs are. Changes nothing.
pub(super) fn run(args: &Args, verb: &Status, console: &Console) -> Result<Exit> {
    let mut wish = Wish::new(args, &verb.selecting).allowing(&verb.allowing);
    wish.request.verify_guest = verb.verify_guest;
    let mut planned = match planned(&wish, console)? {
        Ok(planned) => planned,
        Err(exit) => return Ok(exit),
    };
    let asked = with_agents(&planned.plan, &planned.observed);
    let (answer, faults) = planned.hypervisor.as_deref().map(|target| answering(target, &asked)).unwrap_or_default();
    let silent: Vec<VmId> = asked.into_iter().filter(|vm| !answer.contains(vm)).collect();
    let mut agents = Agents { reach: reach::of_plan(&planned, &silent, console), answering: answer };
    // Of those that are not shown it is enough that they were asked.
    agents.reach.notices.retain(|notice| notice.vm.is_some_and(|vm| shows(&planned.plan, vm)));
    give_names(&mut agents.reach.notices, &planned.desired, &planned.observed);
    planned.plan.problems.append(&mut agents.reach.notices);
    let target = DocumentTarget { label: planned.about.label.clone(), ..planned.document.target.clone() };
    let mut status = status(&planned.plan, &planned.observed, &agents, target);
    for vm in &mut status.vms {
        let declared = VmId::try_from(vm.vm).ok().and_then(|id| planned.desired.vm(id));
        vm.ready = declared.and_then(less_than_cloud_init);
    }
    let config = planned.document.config.path.as_str();
    let mut outputs = verb.format.clone();
    outputs.extend(verb.json.then_some(Output { format: Format::Json, file: None }));
    output::each(&outputs, console, &mut |output| {
        Ok(Some(match output.format {
            Format::Json => ui::status::json(&status),
            Format::Markdown => ui::status::markdown(&status, config),
            Format::Html => ui::html::status(&status, config),
            // `Output::of_status` lets no other format in.
            _ => ui::status::render(&status, config, console.width(), console.style()),
        }))
    })?;
    for (vm, fault) in faults {
        console.error(&anyhow::Error::new(fault).context(format!("the guest agent of VM {vm} cannot be asked")));
    }
    let shown = |output: &Output| output.file.is_none() && output.format == Format::Human;
    let mut untold = planned.plan.problems;
    if outputs.is_empty() || outputs.iter().any(shown) {
        untold.retain(|problem| !status.tells(problem));
    }
    console.findings(&untold, planned.source.as_ref());
    let well = status.vms.iter().all(|vm| vm.well);
    Ok(if verb.detailed_exitcode && !well { Exit::Changes } else { Exit::Done })
}

/// Whether a VM is shown: one of the plan, or one that it says is no longer declared.
fn shows(plan: &Plan, vm: VmId) -> bool {
    plan.vms
        .iter()
        .map(|shown| shown.vm)
        .chain(plan.problems.iter().filter_map(|problem| problem.vm))
        .any(|id| id == vm)
}

/// Those of the VMs whose guest agents answer, and why others cannot even be asked. Silent ones cost seconds: several
/// are asked at once.
fn answering(target: &dyn Hypervisor, vms: &[VmId]) -> (Vec<VmId>, Vec<(VmId, Fault)>) {
    let (mut answering, mut faults) = (Vec::new(), Vec::new());
    for (vm, answer) in vms.iter().zip(at_once(vms, |vm| target.guests().ping(*vm))) {
        match answer {
            Ok(()) => answering.push(*vm),
            Err(fault) if fault.kind == FaultKind::Failed => faults.push((*vm, fault)),
            Err(_) => {}
        }
    }
    (answering, faults)
}
