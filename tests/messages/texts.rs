//! What a file of Rust says to people: its string literals and documentation, without those of tests.

use std::ops::RangeInclusive;

use crate::scan::{Source, skipped};

/// A text and the line on which it begins.
pub(crate) struct Text {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// Lines that only tests have: items behind `#[cfg(test)]`.
fn lines_for_tests(source: &Source) -> Vec<RangeInclusive<usize>> {
    let starts = (0..source.len()).filter(|at| source.is_for_tests(*at));
    starts.map(|at| source.tokens[at].line..=source.tokens[source.after_item(at) - 1].line).collect()
}

/// String literals, escapes resolved, in order.
pub(crate) fn literals(path: &str, text: &str) -> Vec<Text> {
    let chars: Vec<char> = text.chars().collect();
    let for_tests = lines_for_tests(&Source::new(path, text));
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let length = skipped(&chars, at).max(1);
        let piece = &chars[at..at + length];
        if let Some(text) = value(piece)
            && !for_tests.iter().any(|lines| lines.contains(&line))
            && !is_for_developers(&chars[..at])
        {
            found.push(Text { line, text });
        }
        line += piece.iter().filter(|c| **c == '\n').count();
        at += length;
    }
    found
}

/// Whether what stands before a literal makes it no text for people: the reason of an `expect`, a panic that cannot
/// happen, bytes.
fn is_for_developers(before: &[char]) -> bool {
    let before: String = before[before.len().saturating_sub(20)..].iter().collect();
    ["reason = ", "expect(", "panic!(", "unreachable!(", "(b", " b", "[b"].iter().any(|call| before.ends_with(call))
}

/// What a string literal stands for. `None`: it is something else, or bytes.
fn value(piece: &[char]) -> Option<String> {
    match piece {
        ['"', inner @ .., '"'] => Some(resolved(inner)),
        ['r', rest @ ..] => {
            let hashes = rest.iter().take_while(|c| **c == '#').count();
            let inner = rest.get(hashes + 1..rest.len().checked_sub(hashes + 1)?)?;
            Some(inner.iter().collect())
        }
        _ => None,
    }
}

/// Resolves escapes; a backslash at the end of a line takes the break and the indentation with it.
fn resolved(inner: &[char]) -> String {
    let (mut out, mut rest) = (String::new(), inner.iter().copied().peekable());
    while let Some(c) = rest.next() {
        match (c, if c == '\\' { rest.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('\n')) => while rest.next_if(|c| c.is_whitespace()).is_some() {},
            ('\\', Some(other @ ('"' | '\'' | '\\'))) => out.push(other),
            ('\\', Some(other)) => out.extend(['\\', other]),
            _ => out.push(c),
        }
    }
    out
}

/// Documentation, a text for each block of `///` lines; breaks inside a paragraph become blanks.
pub(crate) fn documentation(path: &str, text: &str) -> Vec<Text> {
    let for_tests = lines_for_tests(&Source::new(path, text));
    let mut found: Vec<Text> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(text.lines()) {
        let Some(said) = line.trim_start().strip_prefix("///") else {
            goes_on = false;
            continue;
        };
        let said = said.strip_prefix(' ').unwrap_or(said);
        match found.last_mut().filter(|_| goes_on) {
            Some(block) if said.is_empty() || block.text.ends_with('\n') => {
                block.text.push_str(if said.is_empty() { "\n" } else { said });
            }
            Some(block) => block.text.push_str(&format!(" {said}")),
            None if for_tests.iter().any(|lines| lines.contains(&number)) => {}
            None => found.push(Text { line: number, text: said.to_owned() }),
        }
        goes_on = true;
    }
    found
}
