//! `phoenix destroy`, `forget`, `rollback`, `start`, `stop` and `restart`: what is done to exactly the VMs named.

use anyhow::Result;

use super::again::again;
use super::apply::{execute, show};
use super::args::{Args, Destroy, Forget, Restart, Rollback, Running, Selecting, Start, Stop};
use super::choosing::selectors;
use super::console::Console;
use super::planning::{Wish, planned};
use super::reports::Reports;
use super::{Exit, consent};
use crate::model::Disruption;
use crate::plan::{Goal, Power};

/// Removes VMs, after the operator typed their names.
pub(super) fn destroy(args: &Args, verb: &Destroy, console: &Console) -> Result<Exit> {
    let goal = Goal::Destroy(Vec::new());
    let vms = selectors(&verb.vms, "destroy")?;
    let mut wish = Wish::new(args, &Selecting::default()).aiming(goal).about(vms);
    wish.request.force_stop = verb.force_stop;
    let reports = Reports::wanted(&verb.running)?;
    reports.around(&args.config, console, |reports| {
        let planned = match planned(&wish, console)? {
            Ok(planned) => planned,
            Err(exit) => return Ok(exit),
        };
        show(&planned, reports, verb.losing.yes_destroy.is_empty(), console)?;
        if let Err(exit) = consent::to_destruction(&planned, &verb.losing.yes_destroy, console)? {
            return Ok(exit);
        }
        let mut words = planned.ids();
        words.extend(verb.force_stop.then(|| "--force-stop".to_owned()));
        execute(planned, &verb.running, again("destroy", args, &words), reports, console)
    })
}

/// Takes phoenix's record out of VMs' notes.
pub(super) fn forget(args: &Args, verb: &Forget, console: &Console) -> Result<Exit> {
    let vms = selectors(&verb.vms, "forget")?;
    let wish = Wish::new(args, &Selecting::default()).aiming(Goal::Forget(Vec::new())).about(vms);
    Reports::wanted(&verb.running)?.around(&args.config, console, |reports| {
        let planned = match planned(&wish, console)? {
            Ok(planned) => planned,
            Err(exit) => return Ok(exit),
        };
        let asks = planned.plan.acts() && !verb.auto_approve;
        show(&planned, reports, asks, console)?;
        if let Err(exit) = consent::to_plan(&planned, asks, console)? {
            return Ok(exit);
        }
        let words = planned.ids();
        execute(planned, &verb.running, again("forget", args, &words), reports, console)
    })
}

/// Takes VMs back to a snapshot, after the operator typed their names.
pub(super) fn rollback(args: &Args, verb: &Rollback, console: &Console) -> Result<Exit> {
    let goal = Goal::Rollback { to: verb.to.clone(), vms: Vec::new() };
    let vms = selectors(&verb.vms, "rollback")?;
    let wish = Wish::new(args, &Selecting::default()).aiming(goal).about(vms);
    Reports::wanted(&verb.running)?.around(&args.config, console, |reports| {
        let planned = match planned(&wish, console)? {
            Ok(planned) => planned,
            Err(exit) => return Ok(exit),
        };
        show(&planned, reports, verb.agreed.is_empty(), console)?;
        if let Err(exit) = consent::to_rollback(&planned, &verb.agreed, console)? {
            return Ok(exit);
        }
        let mut words = planned.ids();
        words.extend(verb.to.iter().flat_map(|to| ["--to".to_owned(), to.clone()]));
        execute(planned, &verb.running, again("rollback", args, &words), reports, console)
    })
}

/// Starts VMs.
pub(super) fn start(args: &Args, verb: &Start, console: &Console) -> Result<Exit> {
    let auto_approve = verb.auto_approve;
    let wish = Switch { power: Power::Start, vms: &verb.vms, running: &verb.running, force_stop: false, auto_approve };
    switch(args, &wish, console)
}

/// Shuts VMs down.
pub(super) fn stop(args: &Args, verb: &Stop, console: &Console) -> Result<Exit> {
    let (force_stop, auto_approve) = (verb.force, verb.auto_approve);
    let wish = Switch { power: Power::Stop, vms: &verb.vms, running: &verb.running, force_stop, auto_approve };
    switch(args, &wish, console)
}

/// Restarts VMs.
pub(super) fn restart(args: &Args, verb: &Restart, console: &Console) -> Result<Exit> {
    let (force_stop, auto_approve) = (verb.force_stop, verb.auto_approve);
    let wish = Switch { power: Power::Restart, vms: &verb.vms, running: &verb.running, force_stop, auto_approve };
    switch(args, &wish, console)
}

/// What a power verb was asked for.
struct Switch<'a> {
    power: Power,
    vms: &'a [String],
    running: &'a Running,
    force_stop: bool,
    auto_approve: bool,
}

/// Starts, stops or restarts VMs. Whatever disturbs one is asked about.
fn switch(args: &Args, switch: &Switch<'_>, console: &Console) -> Result<Exit> {
    let verb = match switch.power {
        Power::Start => "start",
        Power::Stop => "stop",
        Power::Restart => "restart",
    };
    let goal = Goal::Power { power: switch.power, vms: Vec::new() };
    let vms = selectors(switch.vms, verb)?;
    let mut wish = Wish::new(args, &Selecting::default()).aiming(goal).about(vms);
    wish.request.force_stop = switch.force_stop;
    Reports::wanted(switch.running)?.around(&args.config, console, |reports| {
        let planned = match planned(&wish, console)? {
            Ok(planned) => planned,
            Err(exit) => return Ok(exit),
        };
        let disturbs = planned.plan.vms.iter().any(|vm| vm.disruption > Disruption::None);
        let asks = disturbs && !switch.auto_approve;
        show(&planned, reports, asks, console)?;
        if let Err(exit) = consent::to_plan(&planned, asks, console)? {
            return Ok(exit);
        }
        let mut words = planned.ids();
        words.extend(switch.force_stop.then(|| "--force-stop".to_owned()));
        execute(planned, switch.running, again(verb, args, &words), reports, console)
    })
}
