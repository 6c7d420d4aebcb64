//! Places in the config's text: bytes to lines and columns, JSON pointers to bytes.

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged as _;

use crate::diag::Span;

/// Finds lines and columns of byte offsets in one text.
///
/// Lines end at `\n`; a `\r` before it belongs to the line break. Every question is answered without reading more
/// than a few KiB of the text, however long its lines are.
#[derive(Debug, Clone)]
pub struct LineIndex {
    /// Where each line begins.
    starts: Vec<usize>,
    /// Characters before each block of [`BLOCK`] bytes.
    blocks: Vec<usize>,
}

const BLOCK: usize = 4096;

impl LineIndex {
    /// Reads the text once.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let breaks = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(breaks).collect();
        let mut blocks = Vec::with_capacity(bytes.len() / BLOCK + 1);
        let mut before = 0;
        for block in bytes.chunks(BLOCK) {
            blocks.push(before);
            before += characters(block);
        }
        Self { starts, blocks }
    }

    /// The line of a byte, from 1.
    #[must_use]
    pub fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|&start| start <= offset)
    }

    /// The line and the column of a byte, both from 1; the column counts characters.
    ///
    /// `text` is the text the index was made of.
    #[must_use]
    pub fn place(&self, text: &str, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        (line, self.characters_before(text, offset) - self.characters_before(text, start) + 1)
    }

    /// The bytes of a line (from 1) without its line break.
    #[must_use]
    pub fn bytes_of(&self, text: &str, line: usize) -> Span {
        let start = self.starts.get(line - 1).copied().unwrap_or(text.len());
        let next = self.starts.get(line).copied();
        let mut end = next.map_or(text.len(), |next| next - 1);
        if next.is_some() && end > start && text.as_bytes()[end - 1] == b'\r' {
            end -= 1;
        }
        Span { start, end }
    }

    fn characters_before(&self, text: &str, offset: usize) -> usize {
        let offset = offset.min(text.len());
        let block = offset / BLOCK;
        let Some(before) = self.blocks.get(block) else {
            return self.blocks.last().copied().unwrap_or(0)
                + characters(&text.as_bytes()[self.blocks.len().saturating_sub(1) * BLOCK..offset]);
        };
        before + characters(&text.as_bytes()[block * BLOCK..offset])
    }
}

/// Counts characters: the bytes that do not continue one.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| **b & 0xc0 != 0x80).count()
}

/// A place in the document, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// JSON pointer, e.g. `/virtual_machines/3/vm_name`.
    pub(super) pointer: String,
    /// What of it.
    pub(super) part: Part,
}

/// Which part of a member is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Part {
    /// The key.
    Key,
    /// The value, as far as it stands on one line.
    Value,
    /// The bracket that opens the value.
    Opening,
}

impl Place {
    pub(super) fn value(pointer: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), part: Part::Value }
    }

    pub(super) fn key(pointer: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), part: Part::Key }
    }

    pub(super) fn opening(pointer: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), part: Part::Opening }
    }

    /// Finds the place in a document. What is not there is shown at the object or list that lacks it.
    pub(super) fn find(&self, root: &Value<'_>) -> Span {
        let mut at = root;
        let mut key = None;
        for step in self.pointer.split('/').skip(1) {
            let step = unescaped(step);
            let child = match at {
                Value::Object(object) => member(object, &step).map(|property| {
                    key = Some(property.name.range());
                    &property.value
                }),
                Value::Array(list) => step.parse::<usize>().ok().and_then(|n| list.elements.get(n)),
                _ => None,
            };
            let Some(child) = child else { return opening(at) };
            at = child;
        }
        match (self.part, key) {
            (Part::Key, Some(key)) => Span { start: key.start, end: key.end },
            (Part::Opening, _) => opening(at),
            (Part::Key | Part::Value, _) => {
                let range = at.range();
                Span { start: range.start, end: range.end }
            }
        }
    }
}

fn opening(value: &Value<'_>) -> Span {
    let range = value.range();
    match value {
        Value::Object(_) | Value::Array(_) => Span { start: range.start, end: range.start + 1 },
        _ => Span { start: range.start, end: range.end },
    }
}

/// The member that counts: of several with one name the last, as in every JSON parser.
fn member<'a, 'b>(object: &'b Object<'a>, name: &str) -> Option<&'b jsonc_parser::ast::ObjectProp<'a>> {
    object.properties.iter().rev().find(|property| property.name.as_str() == name)
}

/// Writes one step of a JSON pointer.
pub(super) fn escaped(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

/// Reads one step of a JSON pointer.
pub(super) fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::LineIndex;

    #[track_caller]
    fn check(text: &str, cases: &[(usize, (usize, usize))]) {
        let index = LineIndex::new(text);
        for &(offset, place) in cases {
            assert_eq!(index.place(text, offset), place, "byte {offset}");
        }
    }

    #[test]
    fn counts_lines_and_characters_from_one() {
        check("", &[(0, (1, 1))]);
        check("ab\ncd", &[(0, (1, 1)), (1, (1, 2)), (2, (1, 3)), (3, (2, 1)), (5, (2, 3))]);
        check("é→x\nz", &[(2, (1, 2)), (5, (1, 3)), (7, (2, 1))]);
        let long = format!("{}\n{}x", "ü".repeat(5000), "ö".repeat(9000));
        check(&long, &[(9998, (1, 5000)), (10_001 + 18_000, (2, 9001)), (10_001 + 18_001, (2, 9002))]);
    }

    #[test]
    fn a_line_break_of_windows_is_not_part_of_the_line() {
        let text = "ab\r\ncd\r\n";
        let index = LineIndex::new(text);
        assert_eq!(index.place(text, 4), (2, 1));
        let line = |n| index.bytes_of(text, n);
        assert_eq!((&text[line(1).start..line(1).end], &text[line(2).start..line(2).end]), ("ab", "cd"));
        assert_eq!(line(3).start, line(3).end);
    }
}
