//! What the schema refuses, in the words of this program.

use jsonc_parser::ast::Value as Tree;
use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;

use super::codes;
use super::problem::{Problem, shown};
use super::schema;
use super::spans::{Place, escaped, unescaped};
use crate::diag::nearest;

/// Applies the schema and removes from `value` what the types could not take.
///
/// Rules that a check of this program also knows (patterns, lengths) are reported too and not removed; the caller
/// drops those about which more was said.
pub(super) fn find(text: &str, root: &Tree<'_>, value: &mut Value) -> Vec<Problem> {
    let Some(validator) = schema::validator() else { return Vec::new() };
    let mut problems = Vec::new();
    let mut unfit = Vec::new();
    let mut wrong_type: Vec<String> = Vec::new();
    let mut errors: Vec<ValidationError<'_>> = validator.iter_errors(value).collect();
    // Types first: what has the wrong type breaks other rules as well, and one word about it is enough.
    errors.sort_by_key(|error| !matches!(error.kind(), Kind::Type { .. }));
    for error in &errors {
        let pointer = error.instance_path().as_str();
        if matches!(error.kind(), Kind::Type { .. }) {
            wrong_type.push(pointer.to_owned());
        } else if wrong_type.iter().any(|wrong| wrong == pointer) {
            continue;
        }
        let vm = vm_of(value, pointer);
        for problem in said(error, text, root) {
            let place = problem.at.pointer.clone();
            if matches!(error.kind(), Kind::Type { .. } | Kind::AdditionalProperties { .. }) || is_number_or_word(error)
            {
                unfit.push(place);
            }
            problems.push(problem.vm(vm));
        }
    }
    drop(errors);
    for pointer in unfit {
        remove(value, &pointer);
    }
    problems
}

fn is_number_or_word(error: &ValidationError<'_>) -> bool {
    match error.kind() {
        Kind::Minimum { .. } | Kind::Maximum { .. } => true,
        Kind::OneOfNotValid { .. } => error.instance().is_string(),
        _ => false,
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

/// The VMID of the VM that a pointer leads into.
fn vm_of(value: &Value, pointer: &str) -> Option<u32> {
    let n = pointer.strip_prefix("/virtual_machines/")?.split('/').next()?;
    let id = value.pointer(&format!("/virtual_machines/{n}/vm_id"))?.as_u64()?;
    u32::try_from(id).ok()
}

/// Says one violation; unknown keys are one problem each.
fn said(error: &ValidationError<'_>, text: &str, root: &Tree<'_>) -> Vec<Problem> {
    let pointer = error.instance_path().as_str();
    let name = named(pointer);
    let rule = |key: &str| {
        let at = error.schema_path().as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
        schema::document().pointer(&format!("{at}/{key}")).cloned().unwrap_or_default()
    };
    let one = match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            let properties = rule("properties");
            let known: Vec<&str> =
                properties.as_object().into_iter().flat_map(|p| p.keys()).map(String::as_str).collect();
            return unexpected.iter().map(|key| unknown_key(pointer, key, &known)).collect();
        }
        Kind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            Problem::new(codes::MISSING_KEY, format!("{name} has no `{property}`"), Place::opening(pointer))
                .hint(format!("add `{property}`"))
        }
        Kind::Type { kind } => wrong_type(pointer, &name, kind, error.instance(), text, root),
        Kind::Minimum { .. } | Kind::Maximum { .. } => {
            let written = written(pointer, text, root);
            let (least, most) = (rule("minimum"), rule("maximum"));
            Problem::new(
                codes::OUT_OF_RANGE,
                format!("{name} is {written}, but must be from {least} to {most}"),
                Place::value(pointer),
            )
        }
        Kind::OneOfNotValid { .. } if let Value::String(word) = error.instance().as_ref() => {
            unknown_word(pointer, &name, word, &rule("oneOf"))
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
        Kind::PropertyNames { .. } | Kind::UniqueItems => return Vec::new(),
        _ => Problem::new(codes::WRONG_TYPE, format!("{name} does not fit the schema"), Place::value(pointer)),
    };
    vec![one]
}

fn unknown_key(object: &str, key: &str, known: &[&str]) -> Problem {
    let message = match key {
        "vm_id" | "vm_name" | "adopt" | "is_template" if object == "/vm_defaults" => {
            return Problem::new(
                codes::UNKNOWN_KEY,
                format!("`{key}` cannot stand in `vm_defaults`"),
                Place::key(format!("{object}/{key}")),
            )
            .hint(format!("give each VM its own `{key}`"));
        }
        _ if object.is_empty() => format!("{} is not a key of the config", shown(key)),
        _ => format!("{} is not a key of {}", shown(key), named(object)),
    };
    let hint = nearest(key, known.iter().copied())
        .map_or_else(|| format!("known here: {}", known.join(", ")), |meant| format!("did you mean `{meant}`?"));
    Problem::new(codes::UNKNOWN_KEY, message, Place::key(format!("{object}/{}", escaped(key)))).hint(hint)
}

fn unknown_word(pointer: &str, name: &str, word: &str, choices: &Value) -> Problem {
    let words: Vec<&str> =
        choices.as_array().into_iter().flatten().filter_map(|choice| choice.get("const")?.as_str()).collect();
    let hint = nearest(word, words.iter().copied())
        .map_or_else(|| format!("one of: {}", words.join(", ")), |meant| format!("did you mean `{meant}`?"));
    Problem::new(codes::UNKNOWN_WORD, format!("{name} cannot be {}", shown(word)), Place::value(pointer)).hint(hint)
}

fn wrong_type(pointer: &str, name: &str, kind: &TypeKind, found: &Value, text: &str, root: &Tree<'_>) -> Problem {
    let wanted = match kind {
        TypeKind::Single(only) => only.to_string(),
        TypeKind::Multiple(_) => String::new(),
    };
    let expected = match wanted.as_str() {
        "integer" => "a whole number",
        "string" => "a string",
        "array" => "a list",
        "object" => "an object",
        _ => "something else",
    };
    let is = match found {
        Value::Null => "`null`".to_owned(),
        Value::Bool(_) | Value::Number(_) => written(pointer, text, root),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    let hint = match (found, wanted.as_str()) {
        (Value::Null, _) => Some("leave the key out to have its default".to_owned()),
        (Value::String(digits), "integer") if digits.parse::<u64>().is_ok() => {
            Some(format!("write `{digits}` without the quotes"))
        }
        (Value::String(word), "array") if word.len() < 64 => Some(format!("write `[\"{word}\"]`")),
        (Value::Number(_) | Value::Bool(_), "string") => Some("put it in double quotes".to_owned()),
        _ => None,
    };
    let place = if found.is_object() || found.is_array() { Place::opening(pointer) } else { Place::value(pointer) };
    Problem::new(codes::WRONG_TYPE, format!("{name} must be {expected}, not {is}"), place).hint_if(hint)
}

/// The value as it stands in the text.
fn written(pointer: &str, text: &str, root: &Tree<'_>) -> String {
    let span = Place::value(pointer).find(root);
    shown(text.get(span.start..span.end).unwrap_or_default())
}

/// Names what a pointer leads to.
fn named(pointer: &str) -> String {
    match pointer.rsplit_once('/') {
        None => "the config".to_owned(),
        Some(("/virtual_machines", _)) => "a VM".to_owned(),
        Some(("/hypervisor/nfs_shares", name)) => format!("the share {}", shown(&unescaped(name))),
        Some((list, entry)) if entry.bytes().all(|b| b.is_ascii_digit()) && !entry.is_empty() => {
            match list.rsplit('/').next().unwrap_or_default() {
                "volumes" => "a volume".to_owned(),
                list => format!("an entry of `{list}`"),
            }
        }
        Some((_, key)) => shown(&unescaped(key)),
    }
}
