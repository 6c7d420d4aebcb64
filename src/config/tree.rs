//! Syntax tree to plain value, with a word on numbers that are not written as whole numbers.

use jsonc_parser::ast::Value as Tree;
use serde_json::{Map, Number, Value};

use super::codes;
use super::limits::{MAX_ENTRIES, MAX_VMS};
use super::problem::{Problem, Problems, shown};
use super::spans::{Place, escaped};
use super::syntax::is_huge;

/// Makes the value that the schema and the types are applied to.
pub(super) fn to_value(root: &Tree<'_>, problems: &mut Problems) -> Value {
    convert(root, &mut String::new(), problems)
}

/// Recursion is bounded: the parser was not started on a text nested deeper than `syntax::MAX_DEPTH`.
fn convert(tree: &Tree<'_>, pointer: &mut String, problems: &mut Problems) -> Value {
    let here = pointer.len();
    match tree {
        Tree::NullKeyword(_) => Value::Null,
        Tree::BooleanLit(boolean) => Value::Bool(boolean.value),
        Tree::StringLit(string) => Value::String(string.value.to_string()),
        Tree::NumberLit(number) => self::number(number.value, pointer, problems),
        Tree::Array(list) if list.elements.len() > longest(pointer) => {
            too_long(list.elements.len(), pointer, problems);
            Value::Array(Vec::new())
        }
        Tree::Object(object)
            if [SHARES, PROFILES, SECRETS].contains(&pointer.as_str()) && object.properties.len() > MAX_ENTRIES =>
        {
            too_long(object.properties.len(), pointer, problems);
            Value::Object(Map::new())
        }
        Tree::Array(list) => {
            let mut items = Vec::with_capacity(list.elements.len());
            for (n, item) in list.elements.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&n.to_string());
                items.push(convert(item, pointer, problems));
                pointer.truncate(here);
            }
            Value::Array(items)
        }
        Tree::Object(object) => {
            let mut members = Map::new();
            for property in &object.properties {
                let name = property.name.as_str();
                pointer.push('/');
                pointer.push_str(&escaped(name));
                members.insert(name.to_owned(), convert(&property.value, pointer, problems));
                pointer.truncate(here);
            }
            Value::Object(members)
        }
    }
}

const SHARES: &str = "/hypervisor/nfs_shares";
const PROFILES: &str = "/profiles";
const SECRETS: &str = "/secrets";

/// Most entries of a list.
fn longest(pointer: &str) -> usize {
    if pointer == "/virtual_machines" { MAX_VMS } else { MAX_ENTRIES }
}

/// Says that there is more than this program takes on; nothing is said about the entries.
fn too_long(entries: usize, pointer: &str, problems: &mut Problems) {
    let name = shown(pointer.rsplit('/').next().unwrap_or_default());
    let what = format!("{name} has {entries} entries; {} are possible", longest(pointer));
    problems.push(Problem::new(codes::BAD_LENGTH, what, Place::opening(pointer)).hint("split the file, or shorten it"));
}

fn number(text: &str, pointer: &str, problems: &mut Problems) -> Value {
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'-')
        && text != "-0"
        && let Ok(number) = text.parse::<Number>()
    {
        return Value::Number(number);
    }
    if is_huge(text) {
        let largest = if text.starts_with('-') { f64::MIN } else { f64::MAX };
        return Number::from_f64(largest).map_or(Value::Null, Value::Number);
    }
    let Ok(number) = text.parse::<Number>() else {
        // Not JSON, and told as such; what was meant goes on to the other checks.
        return meant(text).map_or(Value::Null, Value::Number);
    };
    match number.as_f64().and_then(as_whole) {
        Some(whole) => {
            problems.push(
                Problem::new(
                    codes::NUMBER_FORM,
                    format!("{} is not written as a whole number", shown(text)),
                    Place::value(pointer),
                )
                .hint(format!("write `{whole}`")),
            );
            Value::Number(whole.into())
        }
        None => Value::Number(number),
    }
}

/// The number that a text stands for outside of JSON: `+4`, `0x10`, `4.`
fn meant(text: &str) -> Option<Number> {
    let text = text.trim_start_matches('+');
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return i64::from_str_radix(digits, 16).ok().map(Number::from);
    }
    let number = text.parse::<f64>().ok()?;
    as_whole(number).map(Number::from).or_else(|| Number::from_f64(number))
}

/// The whole number a float stands for, if it is one and exact.
fn as_whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "the number is whole and within the range of exact floats")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}
