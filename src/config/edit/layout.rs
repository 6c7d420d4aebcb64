//! How a config is laid out: what stands between its parts, and where something new goes.

use jsonc_parser::ast::Object;
use jsonc_parser::common::Ranged as _;
use serde_json::Value;

use crate::config::comments;
use crate::model::VmId;

/// Longest line that several keys share.
pub(super) const LONG: usize = 100;

/// A stretch of the text that is replaced by pieces; those of a VM are remembered.
pub(super) struct Splice {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) pieces: Vec<(Option<VmId>, String)>,
}

/// A stretch between two things of a list or an object, or between one and its bracket: white space, comments, and at
/// most one comma.
pub(super) struct Gap<'t> {
    whole: &'t str,
    pub(super) start: usize,
    pub(super) text: &'t str,
    /// It ends at the bracket that closes.
    is_last: bool,
}

impl<'t> Gap<'t> {
    pub(super) fn of(whole: &'t str, start: usize, end: usize) -> Self {
        let is_last = matches!(whole.as_bytes()[end], b']' | b'}');
        Self { whole, start, text: &whole[start..end], is_last }
    }

    /// Where its comma stands.
    pub(super) fn comma(&self) -> Option<usize> {
        comments::without(self.text).find(',')
    }

    /// Whether it is as in JSON: without comments, and without a comma that nothing follows.
    pub(super) fn is_plain(&self) -> bool {
        !(self.text.contains('/') || self.is_last && self.text.contains(','))
    }

    /// Puts new things where a comment keeps its neighbour: behind the comments in the line of what stands before, and
    /// before those in the lines below. `between` is what stands between two things where there are no comments.
    pub(super) fn filled(&self, between: &str, new: Vec<(VmId, String)>) -> Vec<Splice> {
        let comma = self.comma();
        let behind = comma.map_or(0, |comma| comma + 1);
        let end_of_line = self.end_of_line(behind);
        let at = self.start + end_of_line.unwrap_or(behind);
        let mut lead = between.trim_start_matches(',').to_owned();
        if end_of_line.is_some() && !lead.contains('\n') {
            lead = format!("{}{}", eol(self.whole), indentation_of_line(self.whole, self.start));
        }
        let needs_comma = self.is_last && comma.is_none();
        let mut pieces = Vec::new();
        for (n, (vm, piece)) in new.into_iter().enumerate() {
            pieces.push((None, if needs_comma && n > 0 { format!(",{lead}") } else { lead.clone() }));
            pieces.push((Some(vm), piece));
            pieces.extend((!needs_comma).then(|| (None, ",".to_owned())));
        }
        let splice = Splice { start: at, end: at, pieces };
        let comma = || Splice { start: self.start, end: self.start, pieces: vec![(None, ",".to_owned())] };
        needs_comma.then(comma).into_iter().chain([splice]).collect()
    }

    /// Where the line ends, if nothing but comments stands in it from here on.
    pub(super) fn end_of_line(&self, from: usize) -> Option<usize> {
        let (mut at, mut end) = (from, from);
        loop {
            let rest = self.text[at..].trim_start_matches([' ', '\t']);
            at = self.text.len() - rest.len();
            if rest.starts_with(['\n', '\r']) {
                return Some(end);
            }
            at = comments::found(self.text).into_iter().find(|comment| comment.start == at)?.end;
            end = at;
        }
    }
}

/// How an entry is laid out: what stands between its parts.
#[derive(Clone)]
pub(super) struct Form {
    pub(super) open: String,
    pub(super) comma: String,
    pub(super) colon: String,
    pub(super) close: String,
    /// What stands after a comma within a line.
    pub(super) space: &'static str,
    /// How to lay it out where that would make a line too long.
    long: Option<Box<Form>>,
}

impl Form {
    /// Everything in one line, as spacious as this colon.
    pub(super) fn line(colon: &str) -> Self {
        let space = if colon.ends_with(' ') { " " } else { "" };
        let colon = if colon.trim() == colon { ":" } else { ": " };
        Self {
            open: space.to_owned(),
            comma: format!(",{space}"),
            colon: colon.to_owned(),
            close: space.to_owned(),
            space,
            long: None,
        }
    }

    /// The layout of an entry that is there; it has at least a VMID and a name.
    pub(super) fn of(text: &str, entry: &Object<'_>) -> Self {
        let [first, second, ..] = entry.properties.as_slice() else { return Self::line(": ") };
        let line = Self::line(&text[first.name.range().end..first.value.range().start]);
        let own = indentation(text, entry.range.start);
        if text[entry.range.start..entry.range.end].contains('\n') {
            // One key a line, even where the entry has several on some.
            let of_key = entry.properties.iter().find_map(|property| indentation(text, property.range.start));
            let close = indentation(text, entry.range.end - 1).or(own).unwrap_or_default();
            return line.broken(eol(text), of_key.unwrap_or(&format!("{close}  ")), close);
        }
        let end = entry.properties.last().map_or(second.range.end, |last| last.range.end);
        let step = if own.is_some_and(|own| own.contains('\t')) { "\t" } else { "  " };
        let long = own.map(|own| Box::new(line.clone().broken(eol(text), &format!("{own}{step}"), own)));
        // Comments, and a comma behind the last key, are not repeated.
        let taken = |start: usize, end: usize, plain: &str| {
            let gap = Gap::of(text, start, end);
            if gap.is_plain() { gap.text.to_owned() } else { plain.to_owned() }
        };
        Self {
            open: taken(entry.range.start + 1, first.range.start, &line.open),
            comma: taken(first.range.end, second.range.start, &line.comma),
            close: taken(end, entry.range.end - 1, &line.close),
            long,
            ..line
        }
    }

    /// One key a line, keys and closing bracket indented like this.
    pub(super) fn broken(self, eol: &str, keys: &str, close: &str) -> Self {
        let inner = format!("{eol}{keys}");
        Self { comma: format!(",{inner}"), open: inner, close: format!("{eol}{close}"), ..self }
    }

    pub(super) fn print(&self, keys: &[(&'static str, Value)]) -> String {
        let keys_and_values: Vec<String> =
            keys.iter().map(|(key, value)| format!("\"{key}\"{}{}", self.colon, printed(value, self.space))).collect();
        let text = format!("{{{}{}{}}}", self.open, keys_and_values.join(&self.comma), self.close);
        match &self.long {
            Some(long) if text.chars().count() > LONG => long.print(keys),
            _ => text,
        }
    }
}

/// A value in one line.
pub(in crate::config) fn printed(value: &Value, space: &str) -> String {
    let joined = |items: Vec<String>| items.join(&format!(",{space}"));
    match value {
        Value::Array(items) => format!("[{}]", joined(items.iter().map(|item| printed(item, space)).collect())),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                format!("{}:{space}{}", Value::from(key.as_str()), printed(value, space))
            };
            format!("{{{space}{}{space}}}", joined(members.iter().map(member).collect()))
        }
        other => other.to_string(),
    }
}

/// The white space that the line of a place begins with.
pub(super) fn indentation_of_line(text: &str, at: usize) -> &str {
    let line = &text[text[..at].rfind('\n').map_or(0, |at| at + 1)..];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// The white space before a place, if nothing else stands before it on its line, and it is not the first one.
pub(super) fn indentation(text: &str, at: usize) -> Option<&str> {
    let start = text[..at].rfind('\n')? + 1;
    let before = &text[start..at];
    before.trim().is_empty().then_some(before)
}

pub(super) fn eol(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}
