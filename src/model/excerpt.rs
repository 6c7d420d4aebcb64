//! How much of the words of others is repeated.

use std::borrow::Cow;

/// Most lines that are repeated.
const LINES: usize = 20;

/// Most bytes that are repeated.
const BYTES: usize = 8 << 10;

/// Longest message in bytes, with everything that is repeated in it.
const MESSAGE: usize = 16 << 10;

/// Most bytes of a message that is one line on a screen.
const LINE: usize = 1 << 10;

/// The end of what a program said: its last 20 lines, and no more than 8 KiB of them. Says what was cut.
#[must_use]
pub fn excerpt(text: &str) -> Cow<'_, str> {
    let from = text.trim_end().rmatch_indices('\n').nth(LINES - 1).map_or(0, |(at, _)| at + 1);
    let from = from.max(text.ceil_char_boundary(text.len().saturating_sub(BYTES)));
    if from == 0 {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("(the first {from} bytes are left out)\n{}", &text[from..]))
}

/// A message of at most 16 KiB: how it begins and how it ends.
#[must_use]
pub fn message(text: String) -> String {
    if text.len() <= MESSAGE {
        return text;
    }
    let begin = line(text.split('\n').next().unwrap_or_default());
    format!("{begin}\n{}", excerpt(&text))
}

/// One line of at most 1 KiB.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if text.len() <= LINE {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}… (cut)", &text[..text.floor_char_boundary(LINE)]))
}

#[cfg(test)]
mod tests {
    use super::{excerpt, line, message};

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(excerpt(text), expected);
    }

    #[test]
    fn the_last_lines_are_kept() {
        check("", "");
        check("one\ntwo\n", "one\ntwo\n");
        let lines = |range: std::ops::Range<u32>| range.map(|n| n.to_string() + "\n").collect::<String>();
        check(&lines(10..30), &lines(10..30));
        check(&lines(10..31), &format!("(the first 3 bytes are left out)\n{}", lines(11..31)));
        check(&"ü".repeat(5000), &format!("(the first 1808 bytes are left out)\n{}", "ü".repeat(4096)));
        // A letter is not cut in two.
        check(
            &format!("{}x", "ü".repeat(5000)),
            &format!("(the first 1810 bytes are left out)\n{}x", "ü".repeat(4095)),
        );
    }

    #[test]
    fn messages_are_bounded_and_keep_their_beginning() {
        assert_eq!(message("short\nenough".to_owned()), "short\nenough");
        let long = message(format!("it failed:\n{}the end", "x\n".repeat(1 << 20)));
        assert!(long.starts_with("it failed:\n(the first ") && long.ends_with("x\nthe end"), "{long}");
        assert!(message("y".repeat(16 << 20)).len() < 16 << 10);
        assert_eq!(line("short"), "short");
        assert!(line(&"ü".repeat(1000)).len() < 1100);
    }
}
