//! `validate --format github`: annotations of GitHub Actions, and the page of the step.

use super::{Checked, Region, words};
use crate::diag::{Diagnostic, Severity};
use crate::ui::layout::count;
use crate::ui::markdown::{self, MOST_CHARACTERS};
use crate::ui::text::safe;

/// GitHub shows no more annotations of one severity per step.
pub const MOST_ANNOTATIONS: usize = 10;

/// One workflow command per line, errors first; what is beyond [`MOST_ANNOTATIONS`] is counted.
#[must_use]
pub fn render(checked: &[Checked]) -> String {
    let mut out = String::new();
    let mut rest = Vec::new();
    for severity in [Severity::Error, Severity::Warning, Severity::Notice] {
        let all = checked.iter().flat_map(|file| file.placed().into_iter().map(move |placed| (file, placed)));
        let of_severity = all.filter(|(_, (found, _))| found.severity == severity);
        for (file, (found, region)) in of_severity.take(MOST_ANNOTATIONS) {
            out.push_str(&annotation(file, found, region));
        }
        let more = checked.iter().map(|file| file.count(severity)).sum::<usize>().saturating_sub(MOST_ANNOTATIONS);
        if more > 0 {
            rest.push(count(more, &format!("more {}", severity.as_str())));
        }
    }
    if !rest.is_empty() {
        out.push_str(&format!("and {}\n", rest.join(", ")));
    }
    // As it begins with no `::`, it is no command, whatever the file is called: `safe` left it one line.
    for file in checked {
        out.push_str(&format!("checked {}", file.verdict().replace("##[", "## [")));
    }
    out
}

fn annotation(file: &Checked, found: &Diagnostic, region: Option<Region>) -> String {
    let mut out = format!("::{} file={}", found.severity.as_str(), property(&file.name));
    if let Some(Region { line, column, end_line, end_column }) = region {
        out.push_str(&format!(",line={line},endLine={end_line},col={column}"));
        // GitHub takes columns only of one line. Its end is the last column, not one past it.
        if end_line == line && end_column > column {
            out.push_str(&format!(",endColumn={}", end_column - 1));
        }
    }
    out.push_str(&format!(",title={}::{}\n", property(found.code), data(&words(found, "\n"))));
    out
}

/// Text after the `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(&safe(text)).replace(':', "%3A").replace(',', "%2C")
}

/// Markdown for the page of the step: everything, as far as it fits.
#[must_use]
pub fn summary(checked: &[Checked]) -> String {
    let mut out = String::from("### phoenix validate\n");
    let mut room = MOST_CHARACTERS;
    let mut left_out = 0;
    for file in checked {
        let verdict = match file.vms {
            Some(vms) => format!("valid, {}", count(vms, "virtual machine")),
            None => format!("**{}**", count(file.count(Severity::Error), "error")),
        };
        out.push_str(&format!("\n{}: {verdict}\n\n", markdown::code(&file.name)));
        for (found, region) in file.placed() {
            let place = region.map(|at| format!("line {}, column {}: ", at.line, at.column)).unwrap_or_default();
            let hint = found.hint.as_ref().map(|hint| format!(" ({})", markdown::plain(hint))).unwrap_or_default();
            let message = markdown::plain(&found.message);
            let line = format!("- {} `{}` {place}{message}{hint}\n", found.severity.as_str(), found.code);
            match room.checked_sub(line.chars().count()) {
                Some(less) if left_out == 0 => {
                    room = less;
                    out.push_str(&line);
                }
                _ => left_out += 1,
            }
        }
    }
    if left_out > 0 {
        out.push_str(&format!("\n**{left_out} more are left out here.**\n"));
    }
    out
}
