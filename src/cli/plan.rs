//! `phoenix plan`, and what every verb that plans does first.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};

use super::args::{self, Args, Selecting};
use super::console::Console;
use super::exit::Refusal;
use super::{Exit, commands, connect, load};
use crate::apply::preview;
use crate::hypervisor::{About, Hypervisor};
use crate::model::Desired;
use crate::observed::Observed;
use crate::plan::{Plan, Policy, Selection, Selector, directories, lint, plan};
use crate::ui;

/// A plan with what it was made from.
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// Never taken apart piece by piece: the process ends soon enough.
    pub(super) observed: std::mem::ManuallyDrop<Observed>,
    pub(super) hypervisor: Arc<dyn Hypervisor>,
    pub(super) about: About,
    /// Name of the config, for people.
    pub(super) config: String,
}

/// Reads the config, looks at the target and plans. `Err(exit)` inside: it has been told why there is no plan.
pub(super) fn planned(
    args: &Args,
    selecting: &Selecting,
    restart: bool,
    console: &Console,
) -> Result<Result<Planned, Exit>> {
    let config = load::load(&args.config);
    console.diagnostics(&config.loaded.diagnostics, config.source.as_ref());
    let Some(desired) = config.loaded.desired else { return Ok(Err(Exit::Config)) };
    let selection = selection(selecting);
    let unmatched = selection.unmatched(&desired.vms);
    if !unmatched.is_empty() {
        return Err(nobody(&unmatched, &desired));
    }
    let target = connect::target(args, Some(&desired))?;
    let hypervisor = connect::open(&target).with_context(|| format!("cannot open {target}"))?;
    let observed =
        hypervisor.observe_with(&directories(&desired)).with_context(|| format!("cannot look at {target}"))?;
    let plan = plan(&desired, &observed, &Policy { selection, restart });
    if let Some(broken) = lint::lint(&plan).first() {
        return Err(anyhow!("the plan contradicts itself: {broken} (a bug in phoenix; nothing was done)"));
    }
    let about = hypervisor.about();
    // What is freed at the end of the process need not be taken apart piece by piece before.
    std::mem::forget(desired);
    let observed = std::mem::ManuallyDrop::new(observed);
    Ok(Ok(Planned { plan, hypervisor, about, observed, config: args.config.display().to_string() }))
}

/// Selectors that name no VM are refused: a typing error must not turn into "nothing to do".
fn nobody(unmatched: &[&Selector], desired: &Desired) -> anyhow::Error {
    let words = unmatched.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let known = || desired.vms.iter().flat_map(|vm| std::iter::once(&vm.vm_name).chain(&vm.tags)).map(String::as_str);
    let near = unmatched.iter().find_map(|word| crate::diag::nearest(&word.to_string(), known()));
    let hint = if let Some(near) = near {
        format!("did you mean `{near}`?")
    } else {
        let vms = desired.vms.iter().take(10).map(|vm| format!("{} {}", vm.vm_id, vm.vm_name)).collect::<Vec<_>>();
        let more = desired.vms.len().saturating_sub(vms.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("declared are {}{more}", vms.join(", "))
    };
    Refusal::usage(format!("no declared VM has the VMID, name or tag {words}"), hint)
}

fn selection(selecting: &Selecting) -> Selection {
    let parse = |words: &[String]| words.iter().map(|word| Selector::parse(word)).collect();
    Selection { only: parse(&selecting.only), exclude: parse(&selecting.exclude) }
}

impl Planned {
    /// How the plan is shown on a console.
    pub(super) fn view(&self, console: &Console) -> ui::plan::View<'_> {
        ui::plan::View { style: console.style(), width: console.width(), about: &self.about, config: &self.config }
    }
}

/// Shows what would be done.
pub(super) fn run(args: &Args, verb: &args::Plan, console: &Console) -> Result<Exit> {
    let planned = match planned(args, &verb.selecting, verb.restart, console)? {
        Ok(planned) => planned,
        Err(exit) => return Ok(exit),
    };
    console.print(&ui::plan::render(&planned.plan, &planned.view(console)));
    if verb.commands {
        let previews = preview(&planned.plan, &planned.observed).map_err(|failure| anyhow!(failure.error))?;
        console.print(&ui::commands::render(&commands::lines(&previews)?, console.style()));
    }
    console.diagnostics(&planned.plan.problems, None);
    Ok(if planned.plan.is_blocked() {
        Exit::Failed
    } else if verb.detailed_exitcode && planned.plan.acts() {
        Exit::Changes
    } else {
        Exit::Done
    })
}
