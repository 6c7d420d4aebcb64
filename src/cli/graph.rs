//! `phoenix graph`

use anyhow::Result;

use super::Exit;
use super::args::{Args, Graph, GraphFormat};
use super::console::Console;
use super::planning::{Wish, planned};
use crate::ui::graph;

/// Prints the graph of the actions of the plan.
pub(super) fn run(args: &Args, verb: &Graph, console: &Console) -> Result<Exit> {
    let planned = match planned(&Wish::new(args, &verb.selecting).allowing(&verb.allowing), console)? {
        Ok(planned) => planned,
        Err(exit) => return Ok(exit),
    };
    let chart = match verb.format {
        GraphFormat::Mermaid => graph::mermaid(&planned.plan, verb.all),
        GraphFormat::Dot => graph::dot(&planned.plan, verb.all),
    };
    console.print(&chart);
    if !verb.all && !planned.plan.acts() {
        console.note("Nothing changes: `--all` draws every VM.\n");
    }
    if let (GraphFormat::Mermaid, Some(why)) = (verb.format, graph::beyond_mermaid(&chart)) {
        console.note(&format!("{why}.\nhint: `--only VM` draws less, and `--format dot` is for Graphviz\n"));
    }
    planned.tell_findings(console);
    Ok(if planned.plan.is_blocked() { Exit::Failed } else { Exit::Done })
}
