//! A problem that knows its place by name; the bytes are looked up only when it is told.

use jsonc_parser::ast::Value;

use super::codes::Code;
use super::spans::{LineIndex, Place};
use crate::diag::Diagnostic;
use crate::model::{PRIVATE_KEY, VmId};

/// A diagnostic whose places are still names.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) diagnostic: Diagnostic,
    pub(super) at: Place,
    pub(super) others: Vec<(Place, String)>,
    /// Begins the hint that ends with the line of the first other place.
    line_hint: Option<String>,
}

impl Problem {
    pub(super) fn new(code: Code, message: impl Into<String>, at: Place) -> Self {
        Self { diagnostic: code.diagnostic(message), at, others: Vec::new(), line_hint: None }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.diagnostic.label = label.into();
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.diagnostic.hint = Some(hint.into());
        self
    }

    pub(super) fn hint_if(mut self, hint: Option<String>) -> Self {
        self.diagnostic.hint = hint;
        self
    }

    pub(super) fn also(mut self, at: Place, label: impl Into<String>) -> Self {
        self.others.push((at, label.into()));
        self
    }

    /// Hints at the first other place by its line: `{start} at line 31`.
    pub(super) fn line_hint(mut self, start: impl Into<String>) -> Self {
        self.line_hint = Some(start.into());
        self
    }

    pub(super) fn vm(mut self, vm: Option<u32>) -> Self {
        self.diagnostic.vm = vm.and_then(|id| VmId::try_from(id).ok());
        self
    }

    /// Looks its places up in the text.
    pub(super) fn placed(self, root: &Value<'_>, lines: &LineIndex) -> Diagnostic {
        let mut diagnostic = self.diagnostic;
        diagnostic.span = Some(self.at.find(root));
        diagnostic.others = self.others.into_iter().map(|(place, label)| (place.find(root), label)).collect();
        if let (Some(start), Some((span, _))) = (self.line_hint, diagnostic.others.first()) {
            diagnostic.hint = Some(format!("{start} at line {}", lines.line(span.start)));
        }
        diagnostic
    }
}

/// Longest text that a message repeats.
const SHOWN: usize = 80;

/// Shows a text of the config in a message: in backticks, and not all of it if it is long.
///
/// Control characters stay; whoever prints a message makes it safe. A private key is not repeated at all.
pub(super) fn shown(text: &str) -> String {
    if text.contains(PRIVATE_KEY) {
        return "a private key".to_owned();
    }
    match text.char_indices().nth(SHOWN) {
        _ if text.is_empty() => "`\"\"`".to_owned(),
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}
