//! `phoenix apply` and `phoenix create`

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::again::{again, allowed, asked, word};
use super::args::{Apply, Args, Create, Running, Selecting};
use super::choosing::selectors;
use super::console::Console;
use super::exit::Refusal;
use super::planning::{Planned, Wish, planned};
use super::printer::Patience;
use super::reach::After;
use super::reports::Reports;
use super::runs::Log;
use super::{Exit, consent, load, saved};
use crate::apply::{Inbox, Limits, RealClock, Run, run as carry_out};
use crate::event::{Event, Summary};
use crate::hypervisor::Hypervisor;
use crate::model::{ActionKind, Outcome, RestartDue};
use crate::plan::{Goal, Plan, VmPlan};
use crate::ui;
use crate::ui::report::Places;

/// Shows the plan, asks, and carries it out.
pub(super) fn run(args: &Args, verb: &Apply, console: &Console) -> Result<Exit> {
    Reports::wanted(&verb.running)?.around(&args.config, console, |reports| reported(args, verb, reports, console))
}

fn reported(args: &Args, verb: &Apply, reports: &mut Reports, console: &Console) -> Result<Exit> {
    let (planned, moved) = match &verb.plan {
        Some(file) => match saved::held_to(file, args, verb.expect.as_deref(), &mut reports.spared, console)? {
            Ok(planned) => (planned, reports.spared.len()),
            Err(exit) => return Ok(exit),
        },
        None => match planned(
            &Wish::asking(args, &verb.selecting, &verb.options).allowing(&verb.allowing).making(),
            console,
        )? {
            Ok(planned) => (planned, 0),
            Err(exit) => return Ok(exit),
        },
    };
    // A saved plan, or one whose hash was given, was agreed to before.
    let agreed = verb.auto_approve || verb.plan.is_some() || verb.expect.is_some();
    let asks = planned.plan.acts() && !agreed;
    show(&planned, reports, asks, console)?;
    let hash = &planned.document.hash;
    if let Some(expected) = verb.expect.as_ref().filter(|expected| verb.plan.is_none() && *expected != hash) {
        return Err(Refusal::stale(
            format!("the plan has hash {hash}, but {expected} was expected; nothing was done"),
            "look at `phoenix plan`, and have it approved",
        ));
    }
    let agreed = match consent::to_plan(&planned, asks, console)? {
        Ok(()) => consent::to_destruction(&planned, &verb.losing.yes_destroy, console)?,
        no => no,
    };
    let agreed = match agreed {
        Ok(()) => consent::to_erasure(&planned, &verb.yes_delete_unused, console)?,
        no => no,
    };
    if let Err(exit) = agreed {
        return Ok(exit);
    }
    let continue_with = if let Some(file) = &verb.plan {
        format!("phoenix apply {}", word(&file.display().to_string()))
    } else {
        let mut words = asked(&verb.selecting, &verb.options);
        words.extend(allowed(&verb.allowing));
        again("apply", args, &words)
    };
    let exit = execute(planned, &verb.running, continue_with, reports, console)?;
    Ok(if moved > 0 && matches!(exit, Exit::Done | Exit::RestartPending) { Exit::Stale } else { exit })
}

/// Creates VMs, or completes them; refuses to change anything about a finished one.
pub(super) fn create(args: &Args, verb: &Create, console: &Console) -> Result<Exit> {
    Reports::wanted(&verb.running)?.around(&args.config, console, |reports| completed(args, verb, reports, console))
}

fn completed(args: &Args, verb: &Create, reports: &mut Reports, console: &Console) -> Result<Exit> {
    selectors(&verb.vms, "create")?;
    let selecting = Selecting { only: verb.vms.clone(), exclude: Vec::new() };
    let planned = match planned(&Wish::new(args, &selecting).allowing(&verb.allowing).making(), console)? {
        Ok(planned) => planned,
        Err(exit) => return Ok(exit),
    };
    show(&planned, reports, false, console)?;
    let finished: Vec<&VmPlan> = planned.plan.vms.iter().filter(|vm| !only_completes(vm)).collect();
    if let Some(vm) = finished.first() {
        let ids = finished.iter().map(|vm| vm.vm.to_string()).collect::<Vec<_>>().join(",");
        return Err(Refusal::failed(
            format!("VM {} exists, and `create` changes nothing about a finished VM", vm.vm),
            format!("`phoenix apply --only {ids}` makes the changes above"),
        ));
    }
    let mut words = verb.vms.clone();
    words.extend(allowed(&verb.allowing));
    execute(planned, &verb.running, again("create", args, &words), reports, console)
}

/// Whether everything a VM's plan does is creating or completing it.
fn only_completes(vm: &VmPlan) -> bool {
    match vm.outcome {
        Outcome::Create | Outcome::NoOp => true,
        Outcome::Recreate | Outcome::Destroy => false,
        Outcome::Update => {
            vm.completing || {
                let changes = |kind: ActionKind| {
                    use ActionKind::{
                        Configure, ImportDisk, LeaveHa, MoveDisk, RemoveSnippet, ResizeDisk, SetHa, SetPool, Stop,
                        UpdateCloudInit, WriteSnippet,
                    };
                    matches!(
                        kind,
                        Stop | WriteSnippet
                            | RemoveSnippet
                            | Configure
                            | ImportDisk
                            | MoveDisk
                            | ResizeDisk
                            | SetPool
                            | SetHa
                            | LeaveHa
                            | UpdateCloudInit
                    )
                };
                !vm.actions.iter().any(|action| {
                    action.kind == ActionKind::Adopt
                        || action.outcome == Outcome::Update
                            && (changes(action.kind) || action.kind == ActionKind::Feature)
                })
            }
        }
    }
}

/// Shows the plan, and refuses to go on if it has errors. No one is asked about a plan they have not seen: where
/// standard output belongs to a program, it stands beside the question.
pub(super) fn show(planned: &Planned, reports: &Reports, asks: bool, console: &Console) -> Result<()> {
    if reports.for_people() {
        console.print(&planned.shown(console));
    } else if asks {
        console.note(&planned.shown(&console.without_color()));
    }
    planned.tell_findings(console);
    if planned.plan.is_blocked() {
        let hint = match planned.document.request.goal {
            Goal::Config { .. } => "fix them, or leave VMs out with `--exclude VM`",
            Goal::Destroy(_) | Goal::Forget(_) | Goal::Rollback { .. } | Goal::Power { .. } => {
                "leave out the VMs named above"
            }
        };
        return Err(Refusal::failed("the plan has errors; nothing was done", hint));
    }
    Ok(())
}

/// Carries out a plan that was shown and agreed to.
pub(super) fn execute(
    planned: Planned,
    running: &Running,
    continue_with: String,
    reports: &mut Reports,
    console: &Console,
) -> Result<Exit> {
    let Some(hypervisor) = planned.hypervisor else {
        return Err(Refusal::usage("a recording cannot be acted on", "plan against the target itself"));
    };
    if planned.plan.acts() {
        hypervisor.begin().context("cannot start")?;
    }
    // Also when there is nothing to do: a clone whose answer was lost may have ended since, and have left its output.
    tidy(hypervisor.as_ref(), console);
    let inbox = Inbox::default();
    let interrupter = inbox.interrupter();
    let printer = console.printer();
    let heard = move || {
        printer.signalled();
        interrupter.interrupt();
    };
    ctrlc::set_handler(heard).context("cannot listen for Ctrl-C")?;
    let run = Run {
        plan: Arc::new(planned.plan),
        hypervisor,
        clock: Arc::new(RealClock::start()),
        limits: Limits { parallel: usize::from(running.parallelism), ..Limits::default() },
        config: planned.document.config.path,
        left_alone: reports.spared.len(),
    };
    let mut log = Log::begin(Path::new(&run.config), console);
    reports.name.clone_from(&log.name);
    let streams = reports.streams();
    let for_people = reports.for_people();
    let mut seq = 0;
    let places = OnceCell::new();
    let config = Path::new(&run.config);
    let after = After {
        desired: &planned.desired,
        before: &planned.observed,
        said: &planned.said,
        plan: &run.plan,
        target: run.hypervisor.as_ref(),
    };
    let mut note = |event: Event| {
        let mut event = placed(event, &|| places.get_or_init(|| load::places(config)));
        if let Event::RunEnded { summary, vms, .. } = &mut event {
            *vms = after.vms(summary);
        }
        let time = jiff::Timestamp::now().to_string();
        reports.on(&event, &time);
        let line = log.line(&event, &time);
        seq += 1;
        match &event {
            _ if !streams => {}
            Event::ActionStarted { .. } | Event::ActionWaiting { .. } => printer.progress(&line),
            Event::RunEnded { .. } => {
                console.print(&(ui::run::last_json_line(&event, seq, &time, printer.dropped()) + "\n"));
            }
            _ => console.print(&line),
        }
        event
    };
    let summary = if for_people {
        watch(&run, &inbox, &mut note, continue_with, console)
    } else {
        carry_out(&run, &inbox, &mut |event| drop(note(event)))
    };
    printer.lose_patience(if summary.left_running.is_empty() { Patience::RUN } else { Patience::LEFT });
    Ok(exit(&summary, &run.plan, running.detailed_exitcode))
}

/// Adds to a failure where what it is about stands in the config as it is now.
fn placed<'p>(mut event: Event, places: &dyn Fn() -> &'p Places) -> Event {
    if let Event::ActionFailed { action, failure, .. } = &mut event {
        failure.places = places().of_keys(action.vm.get(), &failure.keys);
    }
    event
}

/// Tells how operations of interrupted runs ended. Whatever is wrong with what they left, it stops no run.
fn tidy(hypervisor: &dyn Hypervisor, console: &Console) {
    let sentences = hypervisor
        .tidy()
        .unwrap_or_else(|fault| vec![format!("cannot follow up operations of interrupted runs: {fault}")]);
    for sentence in sentences {
        console.note(&format!("{}\n", ui::text::safe_lines(&sentence)));
    }
}

/// Carries out a plan under the eyes of a person. `note` takes note of an event and returns what is to be shown of it.
fn watch(
    run: &Run,
    inbox: &Inbox,
    note: &mut dyn FnMut(Event) -> Event,
    continue_with: String,
    console: &Console,
) -> Summary {
    let mut human = ui::run::Human::new(&run.plan, console.style(), console.width(), continue_with)
        .verbose(console.is_verbose())
        .sparse(!console.is_live());
    let mut progress = console.is_live().then(ui::progress::Progress::new);
    let printer = console.printer();
    // Thousands of no-ops are not worth a system call each.
    let mut held = String::new();
    console.print("\n");
    carry_out(run, inbox, &mut |event: Event| {
        let event = note(event);
        let said = human.on(&event);
        let is_due = ui::run::is_milestone(&event) || matches!(event, Event::ActionWaiting { .. }) && !said.is_empty();
        held.push_str(&said);
        if let Some(progress) = &mut progress {
            progress.on(&event);
            match event {
                Event::RunStarted { .. } => printer.live(progress.live()),
                Event::RunEnded { .. } => printer.end_live(),
                _ => {}
            }
        }
        if held.len() < 1 << 16 && !is_due {
            return;
        }
        if !held.is_empty() {
            console.print(&held);
            held.clear();
        }
    })
}

fn exit(summary: &Summary, plan: &Plan, detailed: bool) -> Exit {
    if !summary.failed.is_empty() {
        // Interrupted and failed: what failed weighs more, and the summary tells both.
        if summary.stale == summary.failed.len() { Exit::Stale } else { Exit::Partial }
    } else if summary.interrupted && !summary.is_complete() {
        Exit::Interrupted
    } else if summary.results.is_some_and(|results| results.blocked > 0) {
        Exit::Partial
    } else if detailed && plan.restarts(RestartDue::Later) > 0 {
        Exit::RestartPending
    } else {
        Exit::Done
    }
}
