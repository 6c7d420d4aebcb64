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

/// Does as [`safe`], but keeps line breaks, and makes four spaces of a tab.
#[must_use]
pub fn safe_lines(text: &str) -> Cow<'_, str> {
    if text.contains('\t') {
        return Cow::Owned(escaped(&text.replace('\t', "    "), |c| c == '\n').into_owned());
    }
    escaped(text, |c| c == '\n')
}

/// The same for a text of phoenix's own in which texts of others may stand: each further line is marked as one of it,
/// so that none of them is read as a line of phoenix's own, or as a command by what runs phoenix.
#[must_use]
pub fn safe_block(text: &str) -> Cow<'_, str> {
    let safe = safe_lines(text);
    if safe.contains('\n') { Cow::Owned(safe.replace('\n', "\n  | ")) } else { safe }
}

/// JSON in which every character that [`safe`] replaces is written as `\uXXXX`: it means the same, and does nothing to
/// a terminal. The text has no line breaks between its values.
#[must_use]
pub fn safe_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unsafe) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// JSON of many lines, made safe line by line, with a line break at the end: what separates lines is no part of a
/// value.
#[must_use]
pub fn safe_pretty_json(json: &str) -> String {
    json.lines().flat_map(|line| [safe_json(line), Cow::Borrowed("\n")]).collect()
}

/// Whether a text has nothing but what is seen of ASCII, and spaces.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
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
    if is_plain(text) || !text.contains(replace) {
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
    use super::{safe, safe_block, safe_json, safe_lines};

    #[test]
    fn escapes_what_steers_or_hides() {
        for (raw, shown) in [
            ("plain é→🦀", "plain é→🦀"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("a\0b\u{7f}c\u{9b}d", "a\\u{0}b\\u{7f}c\\u{9b}d"),
            ("one\ntwo\tthree\r", "one\\ntwo\\tthree\\r"),
            ("abc\u{202e}cba\u{2066}", "abc\\u{202e}cba\\u{2066}"),
            ("blank\u{3164}\u{2800}", "blank\\u{3164}\\u{2800}"),
            ("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}"),
        ] {
            assert_eq!(safe(raw), shown);
        }
        assert_eq!(safe_block("found `x`\n::error::own\u{1b}"), "found `x`\n  | ::error::own\\u{1b}");
        assert_eq!(safe_lines("one\n\ttwo\u{1b}"), "one\n    two\\u{1b}");
        let hidden = "a\u{7f}\u{9b}\u{202e}\u{e0041}b\u{1b}";
        let json = serde_json::to_string(hidden).unwrap();
        assert_eq!(safe_json(&json), r#""a\u007f\u009b\u202e\udb40\udc41b\u001b""#);
        assert_eq!(serde_json::from_str::<String>(&safe_json(&json)).unwrap(), hidden);
    }
}
