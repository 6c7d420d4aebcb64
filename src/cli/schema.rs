//! `phoenix schema`

use anyhow::Result;

use super::Exit;
use super::args::{Schema, SchemaOf};
use super::console::Console;
use super::exit::Refusal;
use crate::config::schema;
use crate::observed::allow_schema;
use crate::plan::{doctor, document, inventory, status};
use crate::ui::{report, run};

/// Prints the schema, or tells how a file differs from it.
pub(super) fn run(verb: &Schema, console: &Console) -> Result<Exit> {
    let (own, word) = match verb.of {
        SchemaOf::Config => (schema::generate(), ""),
        SchemaOf::Plan => (document::schema(), " --of plan"),
        SchemaOf::Status => (status::schema(), " --of status"),
        SchemaOf::Doctor => (doctor::schema(), " --of doctor"),
        SchemaOf::Inventory => (inventory::schema(), " --of inventory"),
        SchemaOf::Validate => (report::json::schema(), " --of validate"),
        SchemaOf::Run => (report::run::schema(), " --of run"),
        SchemaOf::Event => (run::schema(), " --of event"),
        SchemaOf::Allow => (allow_schema(), " --of allow"),
    };
    if verb.check.is_empty() {
        console.print(&own);
    }
    for file in &verb.check {
        let name = file.display();
        // A link in a repository could lead to a file that its readers may not read, and a difference would show it.
        if std::fs::symlink_metadata(file).is_ok_and(|meta| meta.is_symlink()) {
            let hint = format!("put the schema itself there: phoenix schema{word} > FILE");
            return Err(Refusal::usage(format!("`{name}` is a link"), hint));
        }
        let text = super::files::text(file)?;
        if let Some(diff) = schema::check(&text, &own) {
            console.print(&crate::ui::text::safe_lines(&diff));
            return Err(Refusal::failed(
                format!("`{name}` is not the schema of this phoenix"),
                format!("refresh it with: phoenix schema{word} > {name}"),
            ));
        }
        console.print(&format!("{}: up to date\n", crate::ui::text::safe(&name.to_string())));
    }
    Ok(Exit::Done)
}
