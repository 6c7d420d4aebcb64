//! Lines that fit the screen.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::text::is_plain;

/// Columns that a text takes.
pub fn columns(text: &str) -> usize {
    // Most texts are plain, and counted in one go.
    if is_plain(text) { text.len() } else { text.width() }
}

/// Breaks text at spaces so that each line fits into `width` columns; a word that is longer than that is broken
/// anywhere, so that nothing is cut off.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    if text.len() <= width && is_plain(text) && !text.starts_with(' ') {
        return vec![text.to_owned()];
    }
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word;
        if !line.is_empty() && columns(&line) + 1 + columns(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        while line.is_empty() && columns(word) > width {
            let cut = fitting(word, width);
            lines.push(word[..cut].to_owned());
            word = &word[cut..];
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// Breaks the sentences of a text, which may have colours, at spaces so that no line has more than `width` columns. Lines
/// of a source, which stand behind `|`, a word that is longer than a line, and what is quoted stay as they are: a
/// command can be copied.
pub fn fitted(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let shown = without_color(line);
        let is_source = shown.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
        if is_source || columns(shown.trim_end_matches('\n')) <= width {
            out.push_str(line);
            continue;
        }
        let indent = shown.len() - shown.trim_start_matches(' ').len() + 2;
        let (mut taken, mut is_first, mut is_empty) = (0, true, true);
        for word in words(line) {
            let wide = columns(without_color(&word).trim_end_matches('\n'));
            if !is_empty && wide > 0 && taken + 1 + wide > width {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                taken = indent;
            } else if !is_first {
                out.push(' ');
                taken += 1;
            }
            out.push_str(&word);
            taken += wide;
            is_first = false;
            is_empty &= wide == 0;
        }
    }
    out
}

/// The words of a line; what stands between two backticks is one.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let quotes = |text: &str| text.matches('`').count() % 2 == 1;
    let is_whole = !quotes(line);
    for word in line.split(' ') {
        match words.last_mut() {
            Some(open) if is_whole && quotes(open) => *open = format!("{open} {word}"),
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// A text as it stands on a screen, without the sequences that colour it.
fn without_color(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shown, part| shown + part.split_once('m').map_or("", |(_, rest)| rest))
}

/// Joins items with arrows so that each line fits into `width` columns; an item is broken only if it does not fit
/// alone.
pub fn chain(items: &[String], width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for (at, item) in items.iter().enumerate() {
        let arrow = if at + 1 < items.len() { " →" } else { "" };
        if !line.is_empty() && columns(&line) + 1 + columns(item) + columns(arrow) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(item);
        line.push_str(arrow);
    }
    lines.push(line);
    lines.iter().flat_map(|line| wrap(line, width)).collect()
}

/// Length in bytes of the longest start of a word that fits.
fn fitting(word: &str, width: usize) -> usize {
    let mut used = 0;
    for (at, c) in word.char_indices() {
        used += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if used > width && at > 0 {
            return at;
        }
    }
    word.len()
}

/// Text that fits into `width` columns: if it is longer, cut, with `…` at its end.
pub fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= width
    };
    let mut out: String = text.chars().take_while(fits).collect();
    if width > 0 {
        out.push('…');
    }
    out
}

/// Text followed by spaces up to a width in columns.
pub fn pad(text: &str, width: usize) -> String {
    let gap = width.saturating_sub(columns(text));
    let mut padded = String::with_capacity(text.len() + gap);
    padded.push_str(text);
    for _ in 0..gap {
        padded.push(' ');
    }
    padded
}

/// A number with a comma between thousands.
pub fn number(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "1 virtual machine", "3 virtual machines".
pub fn count(n: usize, thing: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", number(n))
}

/// How long something took, in a unit people read at a glance.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_without_losing_anything() {
        assert_eq!(wrap("one two three", 9), ["one two", "three"]);
        assert_eq!(wrap("averyveryverylongword x", 10), ["averyveryv", "erylongwor", "d x"]);
        assert_eq!(wrap("", 10), [""]);
    }

    #[test]
    fn sentences_are_broken_at_words() {
        let red = "\u{1b}[31merror\u{1b}[0m: one two\n";
        assert_eq!(fitted(red, 14), red);
        assert_eq!(fitted(red, 13), "\u{1b}[31merror\u{1b}[0m: one\n  two\n");
        assert_eq!(fitted("  hint: `a` b\nx\n", 11), "  hint: `a`\n    b\nx\n");
        assert_eq!(fitted("a `b c d` e", 8), "a\n  `b c d`\n  e");
        assert_eq!(fitted("a ` b c d e f", 8), "a ` b c\n  d e f");
        assert_eq!(fitted("12 | a source is not broken\n", 9), "12 | a source is not broken\n");
        assert_eq!(fitted("averyveryverylongword x", 10), "averyveryverylongword\n  x");
    }

    #[test]
    fn says_numbers_for_people() {
        assert_eq!(number(9_997), "9,997");
        assert_eq!(number(1_000_000), "1,000,000");
        assert_eq!(count(1, "VM"), "1 VM");
        assert_eq!(duration(59_949), "59.9 s");
        assert_eq!(duration(61_000), "1 min 01 s");
    }
}
