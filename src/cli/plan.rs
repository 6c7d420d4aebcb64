//! `phoenix plan`

use anyhow::{Result, anyhow};

use super::args::{self, Args};
use super::console::Console;
use super::planning::{Wish, planned};
use super::write::write;
use super::{Exit, commands, load, saved};
use crate::apply::preview;
use crate::ui;

/// Shows what would be done.
pub(super) fn run(args: &Args, verb: &args::Plan, console: &Console) -> Result<Exit> {
    load::refuse_within(&args.config, verb.out.as_deref())?;
    let wish = Wish {
        against: verb.against.clone(),
        ..Wish::asking(args, &verb.selecting, &verb.options).allowing(&verb.allowing).with_secrets()
    };
    let planned = match planned(&wish, console)? {
        Ok(planned) => planned,
        Err(exit) => return Ok(exit),
    };
    if let Some(file) = &verb.out {
        write(file, &saved::json(&planned.document)?)?;
    }
    saved::print(&planned.document, &verb.format, &|| planned.shown(console), console)?;
    if verb.commands {
        let previews = preview(&planned.plan, &planned.observed).map_err(|failure| anyhow!(failure.error))?;
        console.print(&ui::commands::render(&commands::lines(&previews)?, console.style()));
    }
    planned.tell_findings(console);
    if let Some(file) = &verb.out {
        let name = ui::text::safe(&file.display().to_string()).into_owned();
        console.note(&format!("saved in {name}: `phoenix apply {name}` does exactly this\n"));
    }
    Ok(if planned.plan.is_blocked() || planned.plan.vms.iter().any(|vm| vm.blocked) {
        Exit::Failed
    } else if verb.detailed_exitcode && planned.plan.acts() {
        Exit::Changes
    } else {
        Exit::Done
    })
}
