//! Annotations of GitHub Actions: workflow commands, one per line, within what GitHub shows.

use super::{Mark, Region};
use crate::diag::Severity;
use crate::ui::layout::count;
use crate::ui::text::safe;

/// GitHub shows no more annotations of one severity per step.
pub const MOST_ANNOTATIONS: usize = 10;

/// Collects annotations; errors come first, and what GitHub would not show is counted.
#[derive(Default)]
pub(super) struct Annotations {
    shown: [String; 3],
    number: [usize; 3],
}

impl Annotations {
    /// Adds one. The text may have several lines, of values that are [`safe`] already.
    pub(super) fn push(&mut self, severity: Severity, at: &Mark<'_>, title: &str, text: &str) {
        let level = match severity {
            Severity::Error => 0,
            Severity::Warning => 1,
            Severity::Notice => 2,
        };
        self.number[level] += 1;
        if self.number[level] > MOST_ANNOTATIONS {
            return;
        }
        let out = &mut self.shown[level];
        out.push_str(&format!("::{} file={}", severity.as_str(), property(at.file)));
        if let Some(Region { line, column, end_line, end_column }) = at.region {
            out.push_str(&format!(",line={line},endLine={end_line},col={column}"));
            // GitHub takes columns only of one line. Its end is the last column, not one past it.
            if end_line == line && end_column > column {
                out.push_str(&format!(",endColumn={}", end_column - 1));
            }
        }
        out.push_str(&format!(",title={}::{}\n", property(title), data(text)));
    }

    /// The commands, each on its line.
    pub(super) fn render(self) -> String {
        let words = ["error", "warning", "notice"];
        let more = self.number.iter().map(|number| number.saturating_sub(MOST_ANNOTATIONS)).zip(words);
        let rest: Vec<String> =
            more.filter(|(more, _)| *more > 0).map(|(more, word)| count(more, &format!("more {word}"))).collect();
        let rest = if rest.is_empty() { String::new() } else { format!("and {}\n", rest.join(", ")) };
        self.shown.concat() + &rest
    }
}

/// A line that is no command, whatever stands in it; it must not begin with a value.
pub(super) fn inert(line: &str) -> String {
    safe(line).replace("##[", "## [") + "\n"
}

/// Text after the `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(&safe(text)).replace(':', "%3A").replace(',', "%2C")
}
