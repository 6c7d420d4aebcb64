//! Values as text of XML.

use crate::ui::text::safe;

/// A value on one line, fit for text and for quotes.
pub(super) fn escaped(text: &str) -> String {
    escaped_lines(&safe(text))
}

/// Escapes for text and for values in quotes. What XML cannot say at all is replaced.
pub(super) fn escaped_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
