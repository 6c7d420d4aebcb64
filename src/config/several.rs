//! A config in several files: each is parsed by itself, and what they say together is judged as one.

use jsonc_parser::ast::{Object, ObjectProp, ObjectPropName, Value};
use jsonc_parser::common::{Range, Ranged as _};

use super::codes;
use super::problem::shown;
use super::source::Source;
use super::syntax::{self, Parsed, Told};
use crate::diag::{Diagnostic, Span};

/// The list that every file may have.
const VMS: &str = "virtual_machines";

/// Parses a config whose text is `json`. There is a tree only if each file has one.
pub(super) fn parse<'t>(source: &Source, json: &'t str) -> Parsed<'t> {
    if source.files.is_empty() {
        return syntax::parse(json);
    }
    let mut told = Told::default();
    let mut roots = Vec::new();
    for (_, range) in source.stretches() {
        let start = range.start;
        let parsed = syntax::parse(&json[range]);
        told.append(parsed.told, |found| further(found, start));
        roots.push(parsed.root.and_then(|mut root| {
            shift(&mut root, start);
            object(root, &mut told)
        }));
    }
    let roots: Option<Vec<Object<'t>>> = roots.into_iter().collect();
    let root = roots.and_then(|roots| roots.into_iter().reduce(|whole, file| merged(whole, file, &mut told)));
    Parsed { root: root.map(Value::Object), told }
}

/// What a file must be.
fn object<'t>(root: Value<'t>, told: &mut Told) -> Option<Object<'t>> {
    let at = span(root.range());
    let Value::Object(object) = root else {
        told.add(codes::WRONG_TYPE, || {
            let what = "a file of a config is an object";
            codes::WRONG_TYPE.diagnostic(what).at(Some(at), "").hint("write `{ \"virtual_machines\": [] }`")
        });
        return None;
    };
    Some(object)
}

/// Two files as one: their VMs one after the other, and of everything else what one of them has.
fn merged<'t>(mut whole: Object<'t>, file: Object<'t>, told: &mut Told) -> Object<'t> {
    for property in file.properties {
        let name = property.name.as_str();
        let is_same = |one: &&mut ObjectProp<'_>| one.name.as_str() == name && one.range.end <= file.range.start;
        match whole.properties.iter_mut().find(is_same) {
            None => whole.properties.push(property),
            Some(first) => match (&mut first.value, property.value) {
                (Value::Array(list), Value::Array(mut more)) if name == VMS => list.elements.append(&mut more.elements),
                // If it is the first that is no list, the schema says so.
                (_, Value::Array(_)) if name == VMS => {}
                (_, other) if name == VMS => told.add(codes::WRONG_TYPE, || {
                    let what = format!("`{VMS}` must be a list");
                    codes::WRONG_TYPE
                        .diagnostic(what)
                        .at(Some(span(other.range())), "")
                        .hint("put the VMs into `[ … ]`")
                }),
                _ if name == "$schema" => {}
                _ => told.add(codes::SECTION_TWICE, || {
                    codes::SECTION_TWICE
                        .diagnostic(format!("{} stands in two files", shown(name)))
                        .at(Some(span(property.name.range())), "again here")
                        .also(Some(span(first.name.range())), "first here")
                        .hint(format!("keep it in one of them; each file may have its own `{VMS}`"))
                }),
            },
        }
    }
    whole
}

fn span(range: Range) -> Span {
    Span { start: range.start, end: range.end }
}

/// What was found in a text that stands `by` bytes behind the start of another one.
fn further(mut found: Diagnostic, by: usize) -> Diagnostic {
    let spans = found.span.iter_mut().chain(found.others.iter_mut().map(|(span, _)| span));
    spans.for_each(|span| *span = Span { start: span.start + by, end: span.end + by });
    found
}

/// Makes places in a file places in the config. Recursion is bounded by `syntax::MAX_DEPTH`.
fn shift(value: &mut Value<'_>, by: usize) {
    let shifted = |range: &mut Range| {
        range.start += by;
        range.end += by;
    };
    match value {
        Value::StringLit(text) => shifted(&mut text.range),
        Value::NumberLit(number) => shifted(&mut number.range),
        Value::BooleanLit(boolean) => shifted(&mut boolean.range),
        Value::NullKeyword(null) => shifted(&mut null.range),
        Value::Array(list) => {
            shifted(&mut list.range);
            list.elements.iter_mut().for_each(|element| shift(element, by));
        }
        Value::Object(object) => {
            shifted(&mut object.range);
            for property in &mut object.properties {
                shifted(&mut property.range);
                match &mut property.name {
                    ObjectPropName::String(name) => shifted(&mut name.range),
                    ObjectPropName::Word(name) => shifted(&mut name.range),
                }
                shift(&mut property.value, by);
            }
        }
    }
}
