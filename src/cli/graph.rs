//! `phoenix graph`

use anyhow::Result;

use super::Exit;
use super::args::{Args, Graph, GraphFormat};
use super::console::Console;
use super::planning::{Wish, planned};
use crate::ui::graph;

/// Prints the graph of all actions of the plan.
pub(super) fn run(args: &Args, verb: &Graph, console: &Console) -> Result<Exit> {
    let planned = match planned(&Wish::new(args, &verb.selecting).allowing(&verb.allowing), console)? {
        Ok(planned) => planned,
        Err(exit) => return Ok(exit),
    };
    console.print(&match verb.format {
        GraphFormat::Mermaid => graph::mermaid(&planned.plan),
        GraphFormat::Dot => graph::dot(&planned.plan),
    });
    console.findings(&planned.plan.problems, planned.source.as_ref());
    Ok(if planned.plan.is_blocked() { Exit::Failed } else { Exit::Done })
}
