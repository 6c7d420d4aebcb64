//! What changes in a text of several lines.

use similar::TextDiff;

use super::escape::lines;

/// A unified diff, line by line.
pub(super) fn diff(old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let unified = diff.unified_diff().context_radius(3).missing_newline_hint(false).to_string();
    let mut out = String::from("<pre class=\"diff\">");
    for line in lines(&unified).lines() {
        match line.as_bytes().first() {
            Some(b'+') => out.push_str(&format!("<ins>{line}</ins>\n")),
            Some(b'-') => out.push_str(&format!("<del>{line}</del>\n")),
            Some(b'@') => out.push_str(&format!("<i>{line}</i>\n")),
            _ => out.push_str(&format!("{line}\n")),
        }
    }
    out.push_str("</pre>");
    out
}
