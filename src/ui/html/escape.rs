//! Values as text of a page: first what hides or steers, then what means something to HTML.

use crate::ui::text::{safe, safe_lines};

/// A value on one line, fit for an element and for an attribute in double quotes.
pub(super) fn text(value: &str) -> String {
    markup(&safe(value))
}

/// Does as [`text`], but keeps line breaks.
pub(super) fn lines(value: &str) -> String {
    markup(&safe_lines(value))
}

/// A message: what it quotes with backticks is code.
pub(super) fn prose(message: &str) -> String {
    let parts: Vec<&str> = message.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return text(message);
    }
    let part = |(at, part): (usize, &&str)| {
        if at % 2 == 1 { format!("<code>{}</code>", text(part)) } else { text(part) }
    };
    parts.iter().enumerate().map(part).collect()
}

fn markup(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 16);
    for c in value.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // No characters at all, by HTML and XML alike.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{lines, prose, text};

    #[test]
    fn nothing_in_a_value_means_anything() {
        assert_eq!(
            text("<a href=\"'x'\">&amp;\n\u{202e}"),
            "&lt;a href=&quot;&#39;x&#39;&quot;&gt;&amp;amp;\\n\\u{202e}"
        );
        assert_eq!(lines("a\n<b>"), "a\n&lt;b&gt;");
        assert_eq!(prose("set `<x>` & go"), "set <code>&lt;x&gt;</code> &amp; go");
        assert_eq!(prose("one ` only"), "one ` only");
    }
}
