//! `phoenix plan`

use anyhow::{Result, anyhow};

use super::args::{self, Args};
use super::console::Console;
use super::format::Format;
use super::planning::{Wish, drafted};
use super::shown::{Shown, tell_findings, view};
use super::write::write;
use super::{Exit, commands, load, saved};
use crate::diag::has_errors;
use crate::ui;

/// Shows what would be done.
pub(super) fn run(args: &Args, verb: &args::Plan, console: &Console) -> Result<Exit> {
    load::refuse_within(&args.config, verb.out.as_deref())?;
    let wish = Wish {
        against: verb.against.clone(),
        ..Wish::asking(args, &verb.selecting, &verb.options).allowing(&verb.allowing).with_secrets()
    };
    let drafted = match drafted(&wish, console)? {
        Ok(drafted) => drafted,
        Err(exit) => return Ok(exit),
    };
    let previews = verb.commands.then(|| drafted.preview());
    let to_people = verb.out.is_none() && verb.format.iter().all(|output| output.format == Format::Human);
    let Shown { document, problems, about, source } = drafted.shown(to_people);
    if let Some(file) = &verb.out {
        write(file, &saved::json(&document)?)?;
    }
    saved::print(&document, &verb.format, &view(&document, &about, console), console)?;
    if let Some(previews) = previews {
        let previews = previews.map_err(|failure| anyhow!(failure.error))?;
        console.print(&ui::commands::render(&commands::lines(&previews)?, console.style()));
    }
    tell_findings(&problems, source.as_ref(), console);
    if let Some(file) = &verb.out {
        let name = ui::text::safe(&file.display().to_string()).into_owned();
        console.note(&format!("saved in {name}: `phoenix apply {name}` does exactly this\n"));
    }
    Ok(if has_errors(&problems) || document.vms.iter().any(|vm| vm.blocked) {
        Exit::Failed
    } else if verb.detailed_exitcode && document.vms.iter().any(|vm| vm.outcome.acts()) {
        Exit::Changes
    } else {
        Exit::Done
    })
}
