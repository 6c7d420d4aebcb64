//! Text made safe for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::config::lexis::{is_control, is_invisible};

/// Escapes every character that would steer a terminal or not be seen: control characters (C0, DEL, C1), those that
/// turn the direction of text, and those without width. Line breaks and tabs are escaped too.
///
/// Anything from a config or a node goes through here before it is printed.
#[must_use]
pub fn safe(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// Does as [`safe`], but keeps line breaks and tabs.
#[must_use]
pub fn safe_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

/// Tells whether [`safe`] replaces a character.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    is_control(c) || is_invisible(c)
}

/// Writes what stands for an unsafe character.
pub(super) fn escape(c: char, out: &mut String) {
    match c {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        _ => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
    }
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let replace = |c: char| is_unsafe(c) && !keep(c);
    if !text.contains(replace) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if replace(c) { escape(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::{safe, safe_lines};

    #[test]
    fn escapes_what_steers_or_hides() {
        for (raw, shown) in [
            ("plain é→🦀", "plain é→🦀"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("a\0b\u{7f}c\u{9b}d", "a\\u{0}b\\u{7f}c\\u{9b}d"),
            ("one\ntwo\tthree\r", "one\\ntwo\\tthree\\r"),
            ("abc\u{202e}cba\u{2066}", "abc\\u{202e}cba\\u{2066}"),
            ("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}"),
        ] {
            assert_eq!(safe(raw), shown);
        }
        assert_eq!(safe_lines("one\n\ttwo\u{1b}"), "one\n\ttwo\\u{1b}");
    }
}
