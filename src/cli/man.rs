//! `phoenix man`: the manual pages, made from what can be typed.

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;

use super::Exit;
use super::args::{Args, Man};
use super::console::Console;

/// Writes `phoenix.1` and a page for each verb.
pub(super) fn run(verb: &Man, console: &Console) -> Result<Exit> {
    let dir = &verb.dir;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    // A page for `help VERB` would say nothing that the page of the verb does not.
    let command = Args::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, dir).with_context(|| format!("cannot write pages into {}", dir.display()))?;
    console.note(&format!("Read the first with `man {}`.\n", dir.join("phoenix.1").display()));
    Ok(Exit::Done)
}
