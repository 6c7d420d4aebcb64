//! Saved plans: reading them, showing them, and holding an apply to them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::args::{Args, Show};
use super::connect::{Intent, Named};
use super::console::Console;
use super::exit::Refusal;
use super::format::{Format, Output};
use super::load::Given;
use super::output;
use super::planning::{Planned, Wish, about, planned};
use super::shown::view;
use super::{Exit, load};
use crate::model::VmId;
use crate::plan::Request;
use crate::plan::document::{Moved, PlanDocument, TargetOrigin};
use crate::ui;
use crate::ui::story::Spared;

/// A plan as JSON, with a line break at the end.
pub(super) fn json(document: &PlanDocument) -> Result<String> {
    let text = serde_json::to_string_pretty(&document.sealed()).context("the plan cannot be written as JSON")?;
    Ok(ui::text::safe_pretty_json(&text))
}

/// Reads a saved plan.
pub(super) fn read(file: &Path) -> Result<PlanDocument> {
    let name = file.display();
    let text = super::files::text(file)?;
    PlanDocument::read(&text).map_err(|broken| {
        Refusal::usage(format!("`{name}` cannot be used: {broken}"), "save one with `phoenix plan --out FILE`")
    })
}

/// Prints a document in each wanted format; `view` is how people see it.
pub(super) fn print(
    document: &PlanDocument,
    outputs: &[Output],
    view: &ui::plan::View<'_>,
    console: &Console,
) -> Result<()> {
    let places = || load::places(Path::new(&document.config.path));
    output::each(outputs, console, &mut |output| {
        Ok(Some(match output.format {
            Format::Json => json(document)?,
            Format::Markdown => ui::markdown::render(document),
            Format::Html => ui::html::plan(document),
            Format::Github => {
                output::summarize(&ui::markdown::render(document))?;
                ui::report::plan::github(document, &places())
            }
            Format::Sarif => ui::report::plan::sarif(document, &places()),
            // `Output` lets none of the last ones in.
            Format::Human
            | Format::Jsonl
            | Format::Gitlab
            | Format::Junit
            | Format::Ansible
            | Format::SshConfig
            | Format::Hosts => {
                if output.file.is_none() {
                    ui::plan::print(document, view, &mut |part| console.print(part));
                    return Ok(None);
                }
                ui::plan::render(document, view)
            }
        }))
    })
}

/// `phoenix show FILE`: a saved plan, or a run that is over.
pub(super) fn show(args: &Args, verb: &Show, console: &Console) -> Result<Exit> {
    if let Some(told) = super::runs::replay(args, verb, console) {
        return told;
    }
    Output::fit_for_plans(&verb.format)?;
    let document = read(&verb.file)?;
    let about = about(&document.target);
    print(&document, &verb.format, &view(&document, &about, console), console)?;
    Ok(Exit::Done)
}

/// Plans anew what a saved plan was made for, and holds the new plan to it. The config is read, and the target looked
/// at, once.
///
/// Returns what is both in the saved plan and in the new one. Every VM of which that is not the same is told, and put
/// into `spared`; so is every VM that depends on one of them.
pub(super) fn held_to(
    file: &Path,
    args: &Args,
    expected: Option<&str>,
    spared: &mut Vec<Spared>,
    console: &Console,
) -> Result<Result<Planned, Exit>> {
    let document = read(file)?;
    if let Some(expected) = expected.filter(|expected| *expected != document.hash) {
        let what = format!(
            "the plan in `{}` has hash {}, but {expected} was expected; nothing was done",
            file.display(),
            document.hash
        );
        return Err(Refusal::stale(what, "look at it with `phoenix show`, and have it approved"));
    }
    if document.problems.iter().any(|problem| problem.severity == "error") {
        let hint = "correct the errors that it lists, and plan again";
        return Err(Refusal::failed(format!("the plan in `{}` has errors; nothing was done", file.display()), hint));
    }
    if args.target.as_ref().is_some_and(|target| *target != document.target.name) {
        let what =
            format!("the plan is for {}, not for {}", document.target.name, args.target.as_deref().unwrap_or(""));
        return Err(Refusal::usage(what, "leave `--target` out: the plan knows its target"));
    }
    if load::is_stdin(Path::new(&document.config.path)) && !load::is_stdin(&args.config) {
        let what = format!("the plan in `{}` was made for a config on standard input", file.display());
        return Err(Refusal::usage(what, "give the same config again, with `--config -`"));
    }
    let wish = Wish {
        about: Vec::new(),
        recreate: Vec::new(),
        delete_unused: Vec::new(),
        plan_names_it: Path::new(&document.config.path) != args.config,
        config: document.config.path.clone().into(),
        given: Given { needs_secrets: true, ..args.given() },
        target: Some(Named {
            text: document.target.name.clone(),
            origin: document.target.origin.unwrap_or(TargetOrigin::CommandLine),
        }),
        guests: args.guests,
        request: Request { agreed: true, ..document.request.clone() },
        against: None,
        nodes: document.nodes(),
        intent: Intent::Make,
    };
    let planned = match planned(&wish, console)? {
        Ok(planned) => planned,
        Err(exit) => return Ok(Err(exit)),
    };
    if let Some(why) = document.contradicts(&planned.document) {
        return Err(Refusal::stale(format!("{why}; nothing was done"), "plan again, and have the new plan approved"));
    }
    let exists = |vm: u32| VmId::try_from(vm).is_ok_and(|vm| planned.observed.vms.contains_key(&vm));
    let mut moved = document.moved(&planned.document, &exists);
    let mut left_out: BTreeSet<VmId> = moved.iter().filter_map(|moved| VmId::try_from(moved.vm).ok()).collect();
    for (vm, other) in planned.plan.dependants(&left_out) {
        moved.push(Moved { vm: vm.get(), what: format!("it depends on VM {other}, which is left out") });
        left_out.insert(vm);
    }
    for moved in &moved {
        console.error(&Refusal::stale(
            format!("VM {} changed since the plan: {}", moved.vm, moved.what),
            "nothing is done to it; plan again, and have the new plan approved",
        ));
    }
    spared.extend(moved.into_iter().map(|Moved { vm, what }| Spared { vm, what }));
    Ok(Ok(if left_out.is_empty() { planned } else { planned.without(&left_out) }))
}
