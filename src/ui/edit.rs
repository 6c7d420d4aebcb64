//! A file before and after, as people read it.

use similar::TextDiff;

use super::secrets::without_secrets;
use super::style::{Role, Style};
use super::text::safe;

/// Renders a change of a file as a unified diff, without secrets.
#[must_use]
pub fn render(name: &str, old: &str, new: &str, style: Style) -> String {
    let (old, new) = (without_secrets(old), without_secrets(new));
    let diff = TextDiff::from_lines(&*old, &*new);
    // Where the last lines look the same, this is what differs.
    let hint = old.ends_with('\n') != new.ends_with('\n');
    let text = diff.unified_diff().header(name, name).missing_newline_hint(hint).to_string();
    let mut out = String::new();
    for line in text.lines() {
        let role = match line.as_bytes().first() {
            _ if line.starts_with("+++ ") || line.starts_with("--- ") => Role::Strong,
            Some(b'+') => Role::Create,
            Some(b'-') => Role::Failure,
            Some(b'@') => Role::Faint,
            _ => Role::Plain,
        };
        out.push_str(&style.paint(role, &safe(line)));
        out.push('\n');
    }
    out
}
