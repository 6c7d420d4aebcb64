//! Reports for programs: one face per format. Those of `validate` are folds over the same files, those of a run over
//! the same story; a plan only needs annotations of its own.
//!
//! Every text goes through [`safe`] first, so that no control character, no line break and nothing invisible is left;
//! each format then escapes what it gives a meaning to.

use super::diagnostics;
use super::layout::count;
use super::text::safe;
use crate::config::Source;
use crate::config::spans::LineIndex;
use crate::diag::{Diagnostic, Severity, Span, has_errors};

mod annotations;
pub mod github;
pub mod gitlab;
pub mod json;
pub mod junit;
mod places;
pub mod plan;
pub mod run;
pub mod sarif;
mod xml;

pub use places::Places;

/// A file that was checked: a config, or a script of one of which something is to be said.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The file as the user named it.
    pub name: String,
    /// Its text, as far as it could be read.
    pub source: Option<Source>,
    /// How many VMs it declares; `None` when it is not valid, and of a script.
    pub vms: Option<usize>,
    /// What is to be said about it.
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    /// Whether nothing in it is an error.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        !has_errors(&self.diagnostics)
    }

    /// The line that people read after the diagnostics.
    #[must_use]
    pub fn verdict(&self) -> String {
        let says = match self.vms {
            Some(vms) => format!("valid, {}", count(vms, "virtual machine")),
            None if self.is_valid() => "valid".to_owned(),
            None => count(self.count(Severity::Error), "error"),
        };
        format!("{}: {says}\n", safe(&self.name))
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|found| found.severity == severity).map(Diagnostic::number).sum()
    }

    /// Each diagnostic with its place.
    fn placed(&self) -> Vec<(&Diagnostic, Mark<'_>)> {
        let lines = self.lines();
        let mark = |found: &Diagnostic| found.span.and_then(|span| lines.mark(span));
        let whole = || Mark { file: &self.name, region: None };
        self.diagnostics.iter().map(|found| (found, mark(found).unwrap_or_else(whole))).collect()
    }

    fn lines(&self) -> Lines<'_> {
        // A valid file without a word about it needs no index.
        let source = self.source.as_ref().filter(|_| !self.diagnostics.is_empty());
        Lines(source.map(|source| (source, LineIndex::new(&source.text))))
    }
}

/// The lines of a file, if it could be read.
struct Lines<'a>(Option<(&'a Source, LineIndex)>);

impl<'a> Lines<'a> {
    fn mark(&self, span: Span) -> Option<Mark<'a>> {
        let (source, lines) = self.0.as_ref()?;
        let region = Some(Region::of(span, source, lines));
        Some(Mark { file: source.file(span.start).1, region })
    }
}

/// Where something stands: a file as the user named it, and what of it is marked.
struct Mark<'a> {
    file: &'a str,
    region: Option<Region>,
}

/// Lines and columns from 1, columns in characters; the end is one past the last character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Region {
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

impl Region {
    fn of(span: Span, source: &Source, lines: &LineIndex) -> Self {
        let (line, column) = source.place(lines, span.start);
        let (end_line, end_column) = source.place(lines, span.end.max(span.start));
        Self { line, column, end_line, end_column }
    }
}

/// A message and, after `between`, its hint.
fn words(found: &Diagnostic, between: &str) -> String {
    let hint = found.hint.as_ref().map(|hint| format!("{between}hint: {}", safe(hint))).unwrap_or_default();
    format!("{}{hint}", safe(&found.message))
}

/// As people read it, for a file: without colours.
#[must_use]
pub fn human(checked: &[Checked]) -> String {
    let one = |file: &Checked| {
        format!("{}{}", diagnostics::render(&file.diagnostics, file.source.as_ref(), false), file.verdict())
    };
    checked.iter().map(one).collect()
}
