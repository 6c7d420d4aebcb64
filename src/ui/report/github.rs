//! `validate --format github`: annotations of GitHub Actions, and the page of the step.

use super::annotations::{Annotations, inert};
use super::{Checked, words};
use crate::diag::Severity;
use crate::ui::layout::count;
use crate::ui::markdown::{self, MOST_CHARACTERS};

pub use super::annotations::MOST_ANNOTATIONS;

/// One workflow command per line, errors first; what is beyond [`MOST_ANNOTATIONS`] is counted.
#[must_use]
pub fn render(checked: &[Checked]) -> String {
    let mut annotations = Annotations::default();
    for file in checked {
        for (found, mark) in file.placed() {
            annotations.push(found.severity, &mark, found.code, &words(found, "\n"));
        }
    }
    let verdict = |file: &Checked| inert(format!("checked {}", file.verdict()).trim_end());
    annotations.render() + &checked.iter().map(verdict).collect::<String>()
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
            None if file.is_valid() => "valid".to_owned(),
            None => format!("**{}**", count(file.count(Severity::Error), "error")),
        };
        out.push_str(&format!("\n{}: {verdict}\n\n", markdown::code(&file.name)));
        for (found, mark) in file.placed() {
            let place = mark.region.map(|at| format!("line {}, column {}: ", at.line, at.column)).unwrap_or_default();
            let of = if mark.file == file.name { String::new() } else { format!("{}, ", markdown::code(mark.file)) };
            let hint = found.hint.as_ref().map(|hint| format!(" ({})", markdown::plain(hint))).unwrap_or_default();
            let message = markdown::plain(&found.message);
            let line = format!("- {} `{}` {of}{place}{message}{hint}\n", found.severity.as_str(), found.code);
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
