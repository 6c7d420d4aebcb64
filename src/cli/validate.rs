//! `phoenix validate`

use super::args::{Args, Validate};
use super::console::Console;
use super::{Exit, load};
use crate::ui::layout::count;

/// Checks the files and tells everything that is wrong with them.
pub(super) fn run(args: &Args, verb: &Validate, console: &Console) -> Exit {
    let files = if verb.files.is_empty() { std::slice::from_ref(&args.config) } else { &verb.files };
    let mut exit = Exit::Done;
    for file in files {
        let config = load::load(file);
        console.diagnostics(&config.loaded.diagnostics, config.source.as_ref());
        let name = file.display().to_string();
        let name = crate::ui::text::safe(&name);
        if let Some(desired) = &config.loaded.desired {
            console.print(&format!("{name}: valid, {}\n", count(desired.vms.len(), "virtual machine")));
        } else {
            let errors = config.loaded.diagnostics.iter().filter(|d| d.is_error()).count();
            console.print(&format!("{name}: {}\n", count(errors, "error")));
            exit = Exit::Config;
        }
    }
    exit
}
