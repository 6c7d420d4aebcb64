//! `phoenix schema`

use anyhow::{Context as _, Result};

use super::Exit;
use super::args::Schema;
use super::console::Console;
use super::exit::Refusal;
use crate::config::schema;

/// Prints the schema, or tells how a file differs from it.
pub(super) fn run(verb: &Schema, console: &Console) -> Result<Exit> {
    let Some(file) = &verb.check else {
        console.print(&schema::generate());
        return Ok(Exit::Done);
    };
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{name}`"))?;
    match schema::check(&text) {
        None => {
            console.print(&format!("{}: up to date\n", crate::ui::text::safe(&name.to_string())));
            Ok(Exit::Done)
        }
        Some(diff) => {
            console.print(&crate::ui::text::safe_lines(&diff));
            Err(Refusal::failed(
                format!("`{name}` is not the schema of this phoenix"),
                format!("refresh it with: phoenix schema > {name}"),
            ))
        }
    }
}
