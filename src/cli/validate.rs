//! `phoenix validate`

use anyhow::Result;

use super::args::{Args, Validate};
use super::console::Console;
use super::{Exit, load};
use crate::diag::Severity;

/// Checks the files and tells everything that is wrong with them.
pub(super) fn run(args: &Args, verb: &Validate, console: &Console) -> Result<Exit> {
    let files = if verb.files.is_empty() { std::slice::from_ref(&args.config) } else { &verb.files };
    let mut exit = Exit::Done;
    for file in files {
        let config = load::load(file);
        console.diagnostics(&config.loaded.diagnostics, config.source.as_ref());
        let name = file.display().to_string();
        let name = crate::ui::text::safe(&name);
        match &config.loaded.desired {
            Some(desired) => console.print(&format!("{name}: valid, {} VMs\n", desired.vms.len())),
            None => {
                let errors = config.loaded.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
                let plural = if errors == 1 { "" } else { "s" };
                console.print(&format!("{name}: {errors} error{plural}\n"));
                exit = Exit::Config;
            }
        }
    }
    Ok(exit)
}
