//! A plan that is only shown.

use std::mem::ManuallyDrop;

use super::console::Console;
use crate::config::Source;
use crate::diag::Diagnostic;
use crate::hypervisor::About;
use crate::plan::codes;
use crate::plan::document::PlanDocument;
use crate::ui;

/// A plan of which only the document is left.
pub(super) struct Shown {
    pub(super) document: PlanDocument,
    /// What the plan found.
    pub(super) problems: Vec<Diagnostic>,
    /// Where it would be done.
    pub(super) about: About,
    /// The text of the config.
    pub(super) source: ManuallyDrop<Option<Source>>,
}

/// Tells what a plan found. What lasts and asks for nothing is told only where more is asked for: a plan is read for
/// what it does.
pub(super) fn tell_findings(found: &[Diagnostic], source: Option<&Source>, console: &Console) {
    let told = |found: &&Diagnostic| console.is_verbose() || !codes::is_lasting(found.code);
    console.findings(&found.iter().filter(told).cloned().collect::<Vec<_>>(), source);
}

/// How people see a plan.
pub(super) fn view<'a>(document: &'a PlanDocument, about: &'a About, console: &Console) -> ui::plan::View<'a> {
    ui::plan::View {
        verbose: console.is_verbose(),
        style: console.style(),
        width: console.width(),
        about,
        config: &document.config.path,
    }
}
