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
    fn says_numbers_for_people() {
        assert_eq!(number(9_997), "9,997");
        assert_eq!(number(1_000_000), "1,000,000");
        assert_eq!(count(1, "VM"), "1 VM");
        assert_eq!(duration(59_949), "59.9 s");
        assert_eq!(duration(61_000), "1 min 01 s");
    }
}
