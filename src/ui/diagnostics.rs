//! Diagnostics as people and programs read them.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Padding, Renderer, Snippet};
use serde_json::{Value, json};

use super::text::{escape, is_unsafe, safe};
use crate::config::Source;
use crate::config::spans::LineIndex;
use crate::diag::{Diagnostic, Severity, Span};

/// Most columns of a source line that are shown; of a longer one, the part around the marker.
const WIDTH: usize = 200;
/// Columns shown before the marker of a line that is too long.
const LEAD: usize = 60;
/// Most lines between two places that are shown together.
const NEAR: usize = 20;

/// Shows diagnostics with the lines they are about, one after the other, each ended by an empty line.
///
/// Nothing of the source or of a message reaches the result unescaped; the only escape sequences are the colours,
/// and those only if `color` says so. A span counts only if there is a source.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], source: Option<&Source>, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let source = source.map(|source| (source, LineIndex::new(&source.text)));
    let mut out = String::new();
    for diagnostic in diagnostics {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Notice => Level::NOTE.with_name("notice"),
        };
        let title = level.primary_title(safe(&diagnostic.message)).id(diagnostic.code);
        let mut elements: Vec<Element<'_>> = Vec::new();
        if let (Some((source, lines)), Some(span)) = (&source, diagnostic.span) {
            show(diagnostic, span, source, lines, &mut elements);
        }
        if let Some(hint) = &diagnostic.hint {
            if !elements.is_empty() {
                elements.push(Padding.into());
            }
            elements.push(Level::HELP.with_name("hint").message(safe(hint)).into());
        }
        let group = Group::with_title(title).elements(elements);
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    out
}

/// A diagnostic as one value for programs. Lines and columns count from 1, columns in characters.
#[must_use]
pub fn json_line(diagnostic: &Diagnostic, source: Option<&Source>) -> Value {
    let lines = source.map(|source| LineIndex::new(&source.text));
    json_value(diagnostic, source.zip(lines.as_ref()))
}

/// Does as [`json_line`] with an index made before: for many diagnostics of one source.
#[must_use]
pub fn json_value(diagnostic: &Diagnostic, source: Option<(&Source, &LineIndex)>) -> Value {
    let place = |span: Span| {
        source.map(|(source, lines)| {
            let (line, column) = lines.place(&source.text, span.start);
            json!({ "file": safe(&source.name), "line": line, "column": column })
        })
    };
    let mut value = json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": safe(&diagnostic.message),
    });
    let Value::Object(members) = &mut value else { return value };
    match diagnostic.span.and_then(place) {
        Some(Value::Object(at)) => members.extend(at),
        _ => {
            if let Some((source, _)) = source {
                members.insert("file".into(), safe(&source.name).into());
            }
        }
    }
    if let Some(hint) = &diagnostic.hint {
        members.insert("hint".into(), safe(hint).into());
    }
    if let Some(vm) = diagnostic.vm {
        members.insert("vm_id".into(), vm.get().into());
    }
    let others: Vec<Value> = diagnostic
        .others
        .iter()
        .filter_map(|(span, label)| {
            let mut at = place(*span)?;
            if !label.is_empty() {
                at["label"] = safe(label).into();
            }
            Some(at)
        })
        .collect();
    if !others.is_empty() {
        members.insert("others".into(), others.into());
    }
    value
}

/// Puts the place and the source lines of a diagnostic into its report.
fn show<'a>(diagnostic: &'a Diagnostic, span: Span, source: &'a Source, lines: &LineIndex, out: &mut Vec<Element<'a>>) {
    let (line, column) = lines.place(&source.text, span.start);
    out.push(Origin::path(safe(&source.name)).line(line).char_column(column).into());
    let mut marks = vec![(line, span, AnnotationKind::Primary, diagnostic.label.as_str())];
    for (span, label) in &diagnostic.others {
        marks.push((lines.line(span.start), *span, AnnotationKind::Context, label.as_str()));
    }
    marks.sort_by_key(|(line, span, ..)| (*line, span.start));
    // Places near each other are shown with what stands between them, others each by itself.
    for (n, near) in marks.chunk_by(|a, b| b.0 - a.0 <= NEAR).enumerate() {
        if n > 0 || near.iter().all(|(at, ..)| *at != line) {
            let (at, column) = lines.place(&source.text, near[0].1.start);
            if at != line {
                out.push(Origin::path(safe(&source.name)).line(at).char_column(column).into());
            }
        }
        let (first, last) = (near[0].0, near[near.len() - 1].0);
        let mut text = String::new();
        let mut annotations = Vec::new();
        for number in first..=last {
            let mut spans: Vec<Span> =
                near.iter().filter(|(at, ..)| *at == number).map(|(_, span, ..)| *span).collect();
            let bounds = lines.bytes_of(&source.text, number);
            excerpt(&source.text, bounds, &mut spans, &mut text);
            let here = near.iter().filter(|(at, ..)| *at == number);
            for ((.., kind, label), span) in here.zip(spans) {
                let annotation = kind.span(span.start..span.end);
                annotations.push(if label.is_empty() { annotation } else { annotation.label(safe(label)) });
            }
            text.push('\n');
        }
        out.push(Snippet::source(text).line_start(first).annotations(annotations).into());
    }
}

/// Appends the part of a line that is shown, escaped, and turns the spans (ascending) into places in `out`.
///
/// Reads no more of the text than it shows.
fn excerpt(text: &str, line: Span, spans: &mut [Span], out: &mut String) {
    let mut start = line.start;
    let mut end = line.end;
    if end - start > WIDTH {
        let first = spans.first().map_or(start, |span| span.start.clamp(start, end));
        if first > start + LEAD {
            start = boundary(text, first - LEAD);
            out.push('…');
        }
        end = boundary(text, end.min(start + WIDTH));
    }
    let begin = out.len();
    let mut places: Vec<(Option<usize>, Option<usize>)> = vec![(None, None); spans.len()];
    let mut note = |at: usize, out: usize| {
        for (span, place) in spans.iter().zip(&mut places) {
            if place.0.is_none() && at >= span.start {
                place.0 = Some(out);
            }
            if place.1.is_none() && at >= span.end {
                place.1 = Some(out);
            }
        }
    };
    for (at, c) in text[start..end].char_indices() {
        note(start + at, out.len());
        // Tabs are widened where the marker is drawn.
        if is_unsafe(c) && c != '\t' { escape(c, out) } else { out.push(c) }
    }
    let done = out.len();
    if end < line.end {
        out.push('…');
    }
    for (span, place) in spans.iter_mut().zip(places) {
        let from = place.0.unwrap_or(done).max(begin);
        *span = Span { start: from, end: place.1.unwrap_or(done).max(from) };
    }
}

/// The nearest character boundary at or before a byte.
fn boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
