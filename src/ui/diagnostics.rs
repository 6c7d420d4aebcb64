//! Diagnostics as people and programs read them.

use annotate_snippets::renderer::{DEFAULT_EMPHASIS_STYLE, DEFAULT_LINE_NUM_STYLE, DecorStyle, Style};
use annotate_snippets::{Annotation, AnnotationKind, Element, Group, Level, Origin, Padding, Renderer, Snippet};
use serde_json::{Value, json};

use super::secrets::without_secrets;
use super::text::{escape, is_unsafe, safe};
use crate::config::Source;
use crate::config::spans::LineIndex;
use crate::diag::{Diagnostic, Severity, Span};

/// Most columns of a source line that are shown; of a longer one, the part around the marker.
const WIDTH: usize = 200;
/// Columns shown before the marker of a line that is too long.
const LEAD: usize = 60;
/// Most lines between two places that are shown in one picture; what lies between them is folded.
const FAR: usize = 2000;
/// Lines around a marker that may be shown unfolded.
const AROUND: usize = 3;

/// Shows diagnostics with the lines they are about, one after the other, each ended by an empty line.
///
/// Nothing of the source or of a message reaches the result unescaped; the only escape sequences are the colours,
/// and those only if `color` says so. A span counts only if there is a source.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], source: Option<&Source>, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let source = source.filter(|_| diagnostics.iter().any(|diagnostic| diagnostic.span.is_some()));
    let shown = source.map(|source| Source { text: without_secrets(&source.text).into_owned(), ..source.clone() });
    let source = shown.as_ref();
    let lines = source.map(|source| LineIndex::new(&source.text));
    let source = source.zip(lines.as_ref());
    let mut out = String::new();
    for diagnostic in diagnostics {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Notice => Level::NOTE.with_name("notice"),
        };
        let title = level.primary_title(safe(&diagnostic.message)).id(diagnostic.code);
        let mut elements: Vec<Element<'_>> = Vec::new();
        // What only is to be known says where it stands, without the lines.
        let is_short = diagnostic.severity == Severity::Notice;
        let place = source.zip(diagnostic.span).map(|((source, lines), span)| {
            let widest = if is_short { 1 } else { show(diagnostic, span, (source, lines), &mut elements) };
            location(span, source, lines, widest, color)
        });
        if let Some(hint) = diagnostic.hint.as_ref().filter(|_| place.is_some() && !is_short) {
            elements.push(Level::HELP.with_name("hint").message(safe(hint)).into());
        }
        if place.is_some() && elements.len() > 1 {
            elements.insert(1, Padding.into());
        }
        let report = renderer.render(&[Group::with_title(title).elements(elements)]);
        // The renderer would count columns in what is shown, not in the file; so its own header is left out.
        let (title, rest) = report.split_once('\n').unwrap_or((&report, ""));
        let rest = rest.lines().filter(|line| !is_empty_header(line));
        for part in [Some(title), place.as_deref()].into_iter().flatten().chain(rest) {
            out.push_str(part);
            out.push('\n');
        }
        if let Some(hint) = diagnostic.hint.as_ref().filter(|_| place.is_none() || is_short) {
            out.push_str("  ");
            out.push_str(&painted("hint:", DEFAULT_EMPHASIS_STYLE, color));
            out.push(' ');
            out.push_str(&safe(hint));
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

fn painted(text: &str, style: Style, color: bool) -> String {
    if color { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

/// The line that names file, line and column.
fn location(span: Span, source: &Source, lines: &LineIndex, widest: usize, color: bool) -> String {
    let arrow = painted("-->", DEFAULT_LINE_NUM_STYLE, color);
    format!("{:width$}{arrow} {}", "", named(source, lines, span), width = widest.to_string().len())
}

/// Whether the renderer began a picture of another file, which has a header already. Lines of a file stand behind `|`.
fn is_empty_header(line: &str) -> bool {
    let line = line.trim_end_matches("\u{1b}[0m").trim_end();
    line.ends_with(":::") && !line.contains('|')
}

/// A place as `file:line:column`.
fn named(source: &Source, lines: &LineIndex, span: Span) -> String {
    let (line, column) = source.place(lines, span.start);
    format!("{}:{line}:{column}", safe(source.file(span.start).1))
}

/// A diagnostic as one value for programs. Lines and columns count from 1, columns in characters.
#[must_use]
pub fn json_line(diagnostic: &Diagnostic, source: Option<&Source>) -> Value {
    let source = source.map(|source| (source, LineIndex::new(&source.text)));
    let place = |span: Span| {
        source.as_ref().map(|(source, lines)| {
            let (line, column) = source.place(lines, span.start);
            json!({ "file": safe(source.file(span.start).1), "line": line, "column": column })
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
            if let Some((source, _)) = &source {
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

/// A stretch of the text that is marked: its line, itself, and with what.
type Mark<'a> = (usize, Span, AnnotationKind, &'a str);

/// Puts the source lines of a diagnostic into its report, those of each file in a picture of their own, and returns the
/// largest line number among them.
fn show<'a>(
    diagnostic: &'a Diagnostic,
    span: Span,
    (source, lines): (&'a Source, &LineIndex),
    out: &mut Vec<Element<'a>>,
) -> usize {
    let file = |span: Span| source.file(span.start).0;
    let mut pictures = vec![vec![(lines.line(span.start), span, AnnotationKind::Primary, diagnostic.label.as_str())]];
    let mut notes = Vec::new();
    for (span, label) in &diagnostic.others {
        let at = lines.line(span.start);
        let mark = (at, *span, AnnotationKind::Context, label.as_str());
        match pictures.iter_mut().find(|marks| file(marks[0].1) == file(*span)) {
            None => pictures.push(vec![mark]),
            Some(marks) if at.abs_diff(marks[0].0) <= FAR => marks.push(mark),
            Some(_) => {
                let label = if label.is_empty() { "see also" } else { label };
                let note = format!("{}: {}", safe(label), named(source, lines, *span));
                notes.push(Level::NOTE.message(note).into());
            }
        }
    }
    let mut widest = 0;
    for (n, marks) in pictures.into_iter().enumerate() {
        if n > 0 {
            out.push(Origin::path(named(source, lines, marks[0].1)).into());
        }
        let (picture, last) = picture(marks, source, lines);
        out.push(picture.into());
        widest = widest.max(last);
    }
    out.extend(notes);
    widest
}

/// The lines of one file that are marked, and the number of the last.
fn picture<'a>(mut marks: Vec<Mark<'a>>, source: &Source, lines: &LineIndex) -> (Snippet<'a, Annotation<'a>>, usize) {
    let before = source.lines_before(lines, marks[0].1.start);
    marks.sort_by_key(|(line, span, ..)| (*line, span.start));
    let (first, last) = (marks[0].0, marks[marks.len() - 1].0);
    let mut text = String::new();
    let mut annotations = Vec::new();
    for number in first..=last {
        let here = || marks.iter().filter(|(at, ..)| *at == number);
        // What is folded away is not looked at.
        if marks.iter().any(|(at, ..)| at.abs_diff(number) <= AROUND) {
            let mut spans: Vec<Span> = here().map(|(_, span, ..)| *span).collect();
            excerpt(&source.text, lines.bytes_of(&source.text, number), &mut spans, &mut text);
            for ((.., kind, label), span) in here().zip(spans) {
                let annotation = kind.span(span.start..span.end);
                annotations.push(if label.is_empty() { annotation } else { annotation.label(safe(label)) });
            }
        }
        text.push('\n');
    }
    (Snippet::source(text).line_start(first - before).annotations(annotations), last - before)
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
