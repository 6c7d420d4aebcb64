//! What the schema refuses, in the words of this program.

use std::collections::BTreeSet;

use jsonc_parser::ast::Value as Tree;
use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::codes::{self, Code};
use super::keys;
use super::nulls;
use super::problem::{Problem, Problems, named, shown};
use super::schema;
use super::spans::{Place, escaped, unescaped};
use super::types::Misfit;
use super::units;
use crate::diag::nearest;

/// How many violations of rules are held that a check of this program knows, too: it says nearly all of them.
const MOST_ALSO_KNOWN: usize = 10_000;

/// Applies the schema and removes from `value` what the types could not take.
///
/// What breaks a rule that a check of this program also knows (patterns, lengths) is not removed but returned; the
/// caller drops what more was said of.
pub(super) fn find(text: &str, root: &Tree<'_>, value: &mut Value, problems: &mut Problems) -> Vec<Problem> {
    let (Some(whole), Some(one)) = (schema::validator(), schema::vm_validator()) else { return Vec::new() };
    let mut found = Found { text, root, problems, also_known: Vec::new(), unfit: Vec::new() };
    // VM by VM: the validator keeps everything that is wrong with what it is given.
    let vms = value.get_mut("virtual_machines").and_then(Value::as_array_mut).map(std::mem::take);
    found.judge(value, whole, &At { pointer: "", schema: "", vm: None });
    for (n, vm) in vms.iter().flatten().enumerate() {
        let id = vm.get("vm_id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        found.judge(vm, one, &At { pointer: &format!("/virtual_machines/{n}"), schema: schema::VM, vm: id });
    }
    if let (Some(vms), Some(list)) = (vms, value.get_mut("virtual_machines")) {
        *list = Value::Array(vms);
    }
    let Found { also_known, unfit, .. } = found;
    for pointer in unfit {
        remove(value, &pointer);
    }
    also_known
}

/// Where in the config and in the schema a value stands, and whose it is.
struct At<'a> {
    pointer: &'a str,
    schema: &'a str,
    vm: Option<u32>,
}

/// One violation.
struct Violation<'a> {
    error: &'a ValidationError<'a>,
    /// Where in the config.
    pointer: String,
    /// Where in the schema the rules stand that belong together.
    rules: String,
}

impl<'a> Violation<'a> {
    fn of(error: &'a ValidationError<'_>, at: &At<'_>) -> Self {
        let rules = error.schema_path().as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
        let pointer = format!("{}{}", at.pointer, error.instance_path().as_str());
        Self { error, pointer, rules: format!("{}{rules}", at.schema) }
    }

    /// A rule beside the one that is broken.
    fn rule(&self, key: &str) -> &'static Value {
        schema::document().pointer(&format!("{}/{key}", self.rules)).unwrap_or(&Value::Null)
    }
}

/// What is found, and what it is found in.
struct Found<'a> {
    text: &'a str,
    root: &'a Tree<'a>,
    problems: &'a mut Problems,
    also_known: Vec<Problem>,
    unfit: Vec<String>,
}

impl Found<'_> {
    /// Applies a schema to a value.
    fn judge(&mut self, value: &Value, validator: &Validator, at: &At<'_>) {
        let mut wrong_type: BTreeSet<String> = BTreeSet::new();
        // Types first: what has the wrong type breaks other rules as well, and one word about it is enough.
        let is_type = |error: &ValidationError<'_>| matches!(error.kind(), Kind::Type { .. });
        // The table of Proxmox's options says more about their values than their types.
        let is_option = |error: &ValidationError<'_>| {
            ["/proxmox/", "/boot_disk_options/", "/options/"]
                .iter()
                .any(|own| error.instance_path().as_str().contains(own))
        };
        for error in validator.iter_errors(value).filter(|error| is_type(error) && !is_option(error)) {
            let violation = Violation::of(&error, at);
            self.tell(codes::WRONG_TYPE, &violation, at.vm);
            wrong_type.insert(violation.pointer);
        }
        for error in validator.iter_errors(value).filter(|error| !is_type(error)) {
            let violation = Violation::of(&error, at);
            if !wrong_type.contains(&violation.pointer) {
                self.broken(violation, at.vm);
            }
        }
        self.unfit.extend(wrong_type);
    }

    /// Takes one that is not about a type.
    fn broken(&mut self, violation: Violation<'_>, vm: Option<u32>) {
        let code = match violation.error.kind() {
            Kind::AdditionalProperties { unexpected } => return self.unknown_keys(&violation, unexpected, vm),
            Kind::Required { .. } => codes::MISSING_KEY,
            Kind::Minimum { .. } | Kind::Maximum { .. } => codes::OUT_OF_RANGE,
            Kind::OneOfNotValid { .. } if violation.error.instance().is_string() => codes::UNKNOWN_WORD,
            Kind::OneOfNotValid { .. } | Kind::OneOfMultipleValid { .. } => codes::SHARE_OR_SERVER,
            _ => {
                if self.also_known.len() < MOST_ALSO_KNOWN {
                    self.also_known.extend(said(&violation, self.text, self.root).map(|problem| problem.vm(vm)));
                }
                return;
            }
        };
        self.tell(code, &violation, vm);
        if code == codes::OUT_OF_RANGE || code == codes::UNKNOWN_WORD {
            self.unfit.push(violation.pointer);
        }
    }

    /// Unknown keys are one problem each.
    fn unknown_keys(&mut self, violation: &Violation<'_>, unexpected: &[String], vm: Option<u32>) {
        let pointer = &violation.pointer;
        let properties = violation.rule("properties").as_object();
        let known: Vec<&'static str> = properties.into_iter().flat_map(|all| all.keys()).map(String::as_str).collect();
        for key in unexpected {
            self.unfit.push(format!("{pointer}/{}", escaped(key)));
            if self.problems.has_room(codes::UNKNOWN_KEY) {
                let value = violation.error.instance().get(key);
                let is_switch = value.is_some_and(Value::is_boolean);
                self.problems.push(keys::unknown(pointer, key, &known, is_switch).vm(vm));
            } else {
                self.problems.count(codes::UNKNOWN_KEY);
            }
        }
    }

    fn tell(&mut self, code: Code, violation: &Violation<'_>, vm: Option<u32>) {
        if self.problems.has_room(code) {
            self.problems.extend(said(violation, self.text, self.root).map(|problem| problem.vm(vm)));
        } else {
            self.problems.count(code);
        }
    }
}

/// Takes a value out: a member from its object; an entry that should be an object becomes an empty one, so that the
/// others keep their numbers; any other entry takes its whole list along.
fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    match value.pointer_mut(parent) {
        Some(Value::Object(object)) => drop(object.remove(&unescaped(last))),
        Some(Value::Array(entries)) if parent == "/virtual_machines" || parent.ends_with("/volumes") => {
            if let Some(entry) = last.parse::<usize>().ok().and_then(|n| entries.get_mut(n)) {
                *entry = Value::Object(serde_json::Map::new());
            }
        }
        Some(Value::Array(_)) => remove(value, parent),
        _ => {}
    }
}

/// Says one violation.
fn said(violation: &Violation<'_>, text: &str, root: &Tree<'_>) -> Option<Problem> {
    let (error, pointer) = (violation.error, violation.pointer.as_str());
    let name = named(pointer);
    let rule = |key: &str| violation.rule(key);
    let one = match error.kind() {
        Kind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            Problem::new(codes::MISSING_KEY, format!("{name} has no `{property}`"), Place::opening(pointer))
                .hint(format!("add `{property}`"))
        }
        Kind::Type { .. } => {
            let (found, written) = (error.instance(), written(pointer, text, root));
            let shared = if found.is_null() { nulls::shared(root, pointer) } else { None };
            Misfit { pointer, name: &name, found, written: &written, rules: &violation.rules, shared }.problem()
        }
        Kind::Minimum { .. } | Kind::Maximum { .. } => {
            let written = written(pointer, text, root);
            let (least, most) = (rule("minimum"), rule("maximum"));
            Problem::new(
                codes::OUT_OF_RANGE,
                format!("{name} is {written}, but must be from {least} to {most}"),
                Place::value(pointer),
            )
            .hint_if(in_its_unit(pointer, error.instance(), least, most))
        }
        Kind::OneOfNotValid { .. } if let Value::String(word) = error.instance().as_ref() => {
            unknown_word(pointer, &name, word, rule("oneOf"))
        }
        Kind::OneOfNotValid { .. } | Kind::OneOfMultipleValid { .. } => {
            let both = matches!(error.kind(), Kind::OneOfMultipleValid { .. });
            let message = if both {
                "a volume has both `share` and `server`"
            } else {
                "a volume has neither `share` nor `server`"
            };
            Problem::new(codes::SHARE_OR_SERVER, message, Place::opening(pointer))
                .hint("give it exactly one of `share` and `server`")
        }
        Kind::MinLength { .. } | Kind::MinItems { .. } => {
            Problem::new(codes::BAD_LENGTH, format!("{name} is empty"), Place::value(pointer))
        }
        Kind::MaxLength { limit } => {
            Problem::new(codes::BAD_LENGTH, format!("{name} is longer than {limit} characters"), Place::value(pointer))
        }
        Kind::MaxItems { limit } => {
            Problem::new(codes::BAD_LENGTH, format!("{name} has more than {limit} entries"), Place::opening(pointer))
        }
        // The names of shares and repeated features: the checks of this program find each of them.
        Kind::PropertyNames { .. } | Kind::UniqueItems => return None,
        _ => Problem::new(codes::WRONG_TYPE, format!("{name} does not fit the schema"), Place::value(pointer)),
    };
    Some(one)
}

fn unknown_word(pointer: &str, name: &str, word: &str, choices: &Value) -> Problem {
    let words: Vec<&str> =
        choices.as_array().into_iter().flatten().filter_map(|choice| choice.get("const")?.as_str()).collect();
    let hint = keys::value_meant(pointer, word)
        .or_else(|| nearest(word, words.iter().copied()))
        .map_or_else(|| format!("one of: {}", words.join(", ")), |meant| format!("did you mean `{meant}`?"));
    Problem::new(codes::UNKNOWN_WORD, format!("{name} cannot be {}", shown(word)), Place::value(pointer)).hint(hint)
}

/// What a number out of range may have been meant as.
fn in_its_unit(pointer: &str, found: &Value, least: &Value, most: &Value) -> Option<String> {
    let key = pointer.rsplit('/').next().unwrap_or_default();
    units::other(key, found.as_u64()?, least.as_u64()?, most.as_u64()?)
}

/// The value as it stands in the text.
fn written(pointer: &str, text: &str, root: &Tree<'_>) -> String {
    let span = Place::value(pointer).find(root);
    shown(text.get(span.start..span.end).unwrap_or_default())
}
