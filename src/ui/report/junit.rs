//! `validate --format junit`: a suite per file, a case per diagnostic, and one for a file without errors.

use super::xml::{escaped, escaped_lines};
use super::{Checked, Mark, words};
use crate::diag::{Diagnostic, Severity};

/// Renders the XML document, with a line break at the end.
#[must_use]
pub fn render(checked: &[Checked]) -> String {
    let failures: usize = checked.iter().map(|file| file.count(Severity::Error)).sum();
    let tests: usize = checked.iter().map(cases).sum();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str(&format!(
        "<testsuites name=\"phoenix validate\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">\n"
    ));
    for file in checked {
        suite(file, &mut out);
    }
    out + "</testsuites>\n"
}

/// A file without errors is one passed case, beside what else is said about it.
fn cases(file: &Checked) -> usize {
    file.diagnostics.len() + usize::from(file.is_valid())
}

fn suite(file: &Checked, out: &mut String) {
    let name = escaped(&file.name);
    let (tests, failures) = (cases(file), file.count(Severity::Error));
    out.push_str(&format!(
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\">\n"
    ));
    if file.is_valid() {
        out.push_str(&format!("    <testcase classname=\"{name}\" name=\"valid\"/>\n"));
    }
    for (found, mark) in file.placed() {
        case(found, &mark, out);
    }
    out.push_str("  </testsuite>\n");
}

fn case(found: &Diagnostic, mark: &Mark<'_>, out: &mut String) {
    let name = escaped(mark.file);
    let place = mark.region.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
    let line = mark.region.map(|at| format!(" line=\"{}\"", at.line)).unwrap_or_default();
    let message = escaped(&found.message);
    let text = format!("{name}{place}\n{}", escaped_lines(&words(found, "\n")));
    // What is no error does not fail: it is a passed case with something to say.
    let body = if found.is_error() {
        format!("<failure type=\"{}\" message=\"{message}\">{text}</failure>", found.code)
    } else {
        format!("<system-out>{}: {text}</system-out>", found.severity.as_str())
    };
    out.push_str(&format!(
        "    <testcase classname=\"{name}\" name=\"{}{place} {message}\" file=\"{name}\"{line}>\n      {body}\n    \
         </testcase>\n",
        found.code
    ));
}
