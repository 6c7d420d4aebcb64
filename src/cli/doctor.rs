//! `phoenix doctor`: what is missing before the first plan.

use std::path::Path;

use anyhow::Result;

use super::args::{Args, DEFAULT_CONFIG, Doctor};
use super::connect::{Chosen, Intent};
use super::console::Console;
use super::exit::Refusal;
use super::format::Format;
use super::load::{Config, Given};
use super::scripts::Checks;
use super::{Exit, connect, load, observe, output};
use crate::diag::{Diagnostic, has_errors};
use crate::hypervisor::{About, Examine, Fault, Hypervisor};
use crate::model::Desired;
use crate::observed::{Examined, Observed};
use crate::plan::doctor::{
    Area, Check, CheckState, DoctorDocument, There, images, of_config, of_target, servers, without_config,
};
use crate::plan::document::DocumentTarget;
use crate::plan::{Agreed, Request, codes, give_names, plan};
use crate::ui;
use crate::ui::layout::count;

/// Checks the target, and what the config needs of it. Changes nothing.
pub(super) fn run(args: &Args, verb: &Doctor, console: &Console) -> Result<Exit> {
    // One that was named must be there; without one, the target alone is looked at.
    let is_meant = load::is_there(&args.config) || args.config != Path::new(DEFAULT_CONFIG);
    let mut checks = Vec::new();
    let desired = if is_meant { of_file(args, console, &mut checks) } else { None };
    let is_valid = !is_meant || desired.is_some();
    let chosen = connect::target(&args.config, args.named().as_ref(), desired.as_ref())?;
    let mut target =
        DocumentTarget { name: chosen.target.to_string(), origin: Some(chosen.origin), ..DocumentTarget::default() };
    target.label.clone_from(&target.name);
    let request = Request {
        allow_host_paths: verb.allowing.allow_host_path.clone(),
        allow_host_options: verb.allowing.allow_host_option.clone(),
        ..Request::default()
    };
    look(args, &chosen, (desired.as_ref(), &request), (&mut target, &mut checks));
    target.observed_at = jiff::Timestamp::now().to_string();
    let config = is_meant.then(|| load::name(&args.config));
    let document = DoctorDocument::new(target, &There::of(&chosen.target), config, checks);
    output::each(&verb.format, console, &mut |output| {
        Ok(Some(match output.format {
            Format::Json => ui::doctor::json(&document),
            // `Output::of_doctor` lets no other format in.
            _ => ui::doctor::render(&document, console.width(), console.style()),
        }))
    })?;
    Ok(match (is_valid, document.well) {
        (false, _) => Exit::Config,
        (true, true) => Exit::Done,
        (true, false) => Exit::Failed,
    })
}

/// Looks at the target and checks it, as far as it lets itself be looked at.
fn look(
    args: &Args,
    chosen: &Chosen,
    (desired, request): (Option<&Desired>, &Request),
    (target, checks): (&mut DocumentTarget, &mut Vec<Check>),
) {
    let hypervisor = match connect::open(chosen, desired, args.guests, Intent::Look) {
        Ok(hypervisor) => hypervisor,
        Err(error) => return checks.push(not_opened(&error)),
    };
    let About { label, simulated } = hypervisor.about();
    (target.label, target.simulated) = (label, simulated);
    let now = || jiff::Timestamp::now().as_second();
    let before = now();
    let examined = match examined(hypervisor.as_ref(), desired) {
        Ok(examined) => examined,
        Err(fault) => return checks.push(Check::not_seen("it cannot be asked", &fault)),
    };
    let moment = (before, now());
    let observed = match observed(hypervisor.as_ref(), desired) {
        Ok(observed) => Some(observed),
        Err(fault) => {
            checks.push(Check::not_seen("it cannot be looked at", &fault));
            None
        }
    };
    if let Some(observed) = &observed {
        target.node.clone_from(&observed.here);
        target.identity.clone_from(&observed.identity);
        let node = format!("node `{}` answers", observed.here);
        checks.push(Check::ok(Area::Target, node));
    }
    let there = There::of(&chosen.target);
    checks.extend(of_target(examined.as_ref(), observed.as_ref(), moment, &there));
    let Some(observed) = &observed else { return };
    match desired {
        Some(desired) => {
            let mut plan = plan(desired, observed, request);
            give_names(&mut plan.problems, desired, observed);
            checks.extend(of_config(desired, observed, &plan, examined.as_ref(), &there));
        }
        None => checks.extend(without_config(observed, &there)),
    }
}

fn examined(hypervisor: &dyn Hypervisor, desired: Option<&Desired>) -> Result<Option<Examined>, Fault> {
    let asked = desired.map(|desired| Examine { servers: servers(desired), images: images(desired) });
    hypervisor.examine(&asked.unwrap_or_default())
}

fn observed(hypervisor: &dyn Hypervisor, desired: Option<&Desired>) -> Result<Observed, Fault> {
    match desired {
        Some(desired) => observe::observed(hypervisor, desired, &Agreed::new()),
        None => hypervisor.observe(),
    }
}

/// Why a target cannot be opened.
fn not_opened(error: &anyhow::Error) -> Check {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return Check::not_seen("it cannot be opened", fault);
    }
    let found = Diagnostic::error(codes::NOT_SEEN, format!("it cannot be opened: {error:#}"));
    let hint = error.downcast_ref::<Refusal>().map(|refusal| refusal.hint.clone());
    Check { hint, ..Check::of(Area::Target, &found) }
}

/// Reads the config, with the values of its secrets, and its scripts.
fn of_file(args: &Args, console: &Console, checks: &mut Vec<Check>) -> Option<Desired> {
    let name = load::name(&args.config);
    let Config { source, mut loaded } = load::load(&args.config, &args.given());
    console.diagnostics(&loaded.diagnostics, source.as_ref());
    let Some(desired) = loaded.desired.take() else {
        let found = loaded.diagnostics.iter().filter(|found| found.is_error());
        let what = format!("{name} is not valid: {}", count(found.clone().count(), "error"));
        let code = found.clone().next().map(|found| found.code.to_owned());
        let hint = Some("correct what is shown above; until then the target alone is checked".to_owned());
        checks.push(Check { state: CheckState::Error, code, hint, ..Check::ok(Area::Config, what) });
        return None;
    };
    checks.push(Check::ok(Area::Config, format!("{name} is valid: {}", count(desired.vms.len(), "virtual machine"))));
    let with_secrets = Given { needs_secrets: true, ..args.given() };
    let secrets = load::load(&args.config, &with_secrets).loaded.diagnostics;
    checks.extend(secrets.iter().filter(|found| found.is_error()).map(|found| Check::of(Area::Config, found)));
    let (unchecked, scripts) = Checks::new().of(&loaded.scripts, (&args.config, source.as_ref()), &args.given());
    checks.extend(unchecked.iter().map(|found| Check::of(Area::Config, found)));
    let broken = scripts.iter().filter(|script| has_errors(&script.diagnostics));
    let broken: Vec<Check> = broken
        .flat_map(|script| script.diagnostics.iter().map(|found| (&script.name, found)))
        .filter(|(_, found)| found.is_error())
        .map(|(name, found)| {
            let check = Check::of(Area::Config, found);
            Check { message: format!("{name}: {}", found.message), ..check }
        })
        .collect();
    if broken.is_empty() && unchecked.is_empty() && !loaded.scripts.is_empty() {
        let scripts = count(loaded.scripts.len(), "script");
        checks.push(Check::ok(Area::Config, format!("{scripts}: their shells can read")));
    }
    checks.extend(broken);
    Some(desired)
}
