//! Saved plans: writing them, showing them, and holding an apply to them.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::args::{Args, Show};
use super::console::Console;
use super::exit::Refusal;
use super::output::{self, Format, Output};
use super::plan::Planned;
use super::{Exit, load};
use crate::hypervisor::About;
use crate::model::{Desired, content_digest};
use crate::plan::Goal;
use crate::plan::document::{DOCUMENT_VERSION, Moved, PlanDocument};
use crate::ui;
use crate::ui::story::Spared;

/// Digest of everything a plan was made from that people write: the config's text and the scripts its VMs use.
pub(super) fn digest(config: &load::Config, desired: &Desired) -> String {
    let mut text = config.source.as_ref().map(|source| source.text.clone()).unwrap_or_default();
    for (name, script) in &desired.scripts.features {
        text.push_str(&format!("\0{name}\0{}", script.digest));
    }
    if let Some(common) = &desired.scripts.common {
        text.push_str(&format!("\0\0{}", common.digest));
    }
    content_digest(text.as_bytes())
}

/// Writes a file as a whole or not at all.
pub(super) fn write(file: &Path, text: &str) -> Result<()> {
    let name = file.display();
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = || -> std::io::Result<()> {
        let mut new = tempfile::NamedTempFile::new_in(parent)?;
        std::io::Write::write_all(&mut new, text.as_bytes())?;
        new.persist(file).map_err(|error| error.error)?;
        Ok(())
    };
    written().with_context(|| format!("cannot write `{name}`"))
}

/// A plan as JSON, with a line break at the end.
pub(super) fn json(document: &PlanDocument) -> Result<String> {
    let text = serde_json::to_string_pretty(document).context("the plan cannot be written as JSON")?;
    Ok(ui::text::safe_pretty_json(&text))
}

/// Reads a saved plan.
pub(super) fn read(file: &Path) -> Result<PlanDocument> {
    let name = file.display();
    let text = super::files::text(file)?;
    let hint = "save one with `phoenix plan --out FILE`";
    let document: PlanDocument = serde_json::from_str(&text)
        .map_err(|error| Refusal::usage(format!("`{name}` is no saved plan: {error}"), hint))?;
    if document.format_version != DOCUMENT_VERSION {
        let what = format!("`{name}` has format {}, this phoenix reads {DOCUMENT_VERSION}", document.format_version);
        return Err(Refusal::usage(what, hint));
    }
    Ok(document)
}

/// Prints a document in each wanted format; `human` is how it looks to people.
pub(super) fn print(
    document: &PlanDocument,
    outputs: &[Output],
    human: &dyn Fn() -> String,
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
            // `Output` lets no other format in.
            Format::Human | Format::Jsonl | Format::Gitlab | Format::Junit => human(),
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
    let about = About { label: document.target.label.clone(), simulated: document.target.simulated };
    let view =
        ui::plan::View { style: console.style(), width: console.width(), about: &about, config: &document.config.path };
    let human = || ui::plan::render(&document, &view);
    print(&document, &verb.format, &human, console)?;
    Ok(Exit::Done)
}

/// Plans anew what a saved plan was made for, and holds the new plan to it.
///
/// Returns the plan of the VMs for which it still holds. Every other one is told, and put into `spared`.
pub(super) fn held_to(
    file: &Path,
    args: &Args,
    spared: &mut Vec<Spared>,
    console: &Console,
) -> Result<Result<Planned, Exit>> {
    let document = read(file)?;
    if document.summary.blocked > 0 || document.problems.iter().any(|problem| problem.severity == "error") {
        let hint = "mend what it says, and plan again";
        return Err(Refusal::failed(format!("the plan in `{}` has errors; nothing was done", file.display()), hint));
    }
    if args.target.as_ref().is_some_and(|target| *target != document.target.name) {
        let what =
            format!("the plan is for {}, not for {}", document.target.name, args.target.as_deref().unwrap_or(""));
        return Err(Refusal::usage(what, "leave `--target` out: the plan knows its target"));
    }
    let mut wish = super::plan::Wish {
        config: document.config.path.clone().into(),
        features_dir: args.features_dir.clone(),
        target: Some(document.target.name.clone()),
        guests: args.guests,
        selection: document.selection.clone(),
        restart: document.restart,
        goal: Goal::Config { prune: document.options.prune, prune_many: document.options.prune_many },
        options: document.options.clone(),
        against: None,
    };
    let planned = match super::plan::planned(&wish, console)? {
        Ok(planned) => planned,
        Err(exit) => return Ok(Err(exit)),
    };
    if planned.document.config.digest != document.config.digest {
        let what = format!("`{}` or a script changed since it was planned; nothing was done", document.config.path);
        return Err(Refusal::stale(what, "plan again, and have the new plan approved"));
    }
    let moved = document.moved(&planned.plan);
    if moved.is_empty() {
        return Ok(Ok(planned));
    }
    for moved in &moved {
        console.error(&Refusal::stale(
            format!("VM {} moved since it was planned: {}", moved.vm, moved.what),
            "nothing is done to it; plan again, and have the new plan approved",
        ));
    }
    wish.selection.exclude.extend(moved.iter().map(|moved| moved.vm.to_string()));
    spared.extend(moved.into_iter().map(|Moved { vm, what }| Spared { vm, what }));
    super::plan::planned(&wish, console)
}
