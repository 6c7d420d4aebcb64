//! Maps whose keys are names: each stands once; and the options of Proxmox by their own names.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::marker::PhantomData;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use crate::model::proxmox::{self, Kind};

/// Makes the schema of the options of Proxmox from the table of what they take.
pub(super) fn proxmox_options(_: &mut SchemaGenerator) -> Schema {
    let mut named = serde_json::Map::new();
    let mut numbered = serde_json::Map::new();
    for (name, spec) in proxmox::specs() {
        let mut schema = proxmox_option(&spec.kind);
        let words = schema["description"].as_str().map(|words| format!("{words} ")).unwrap_or_default();
        schema["description"] = format!("{words}A running VM has it {}.", spec.taken.words()).into();
        match (name.strip_suffix('N'), spec.numbers) {
            (Some(stem), Some(numbers)) => {
                let last: Vec<String> = (0..numbers).map(|n| n.to_string()).collect();
                numbered.insert(format!("^{stem}({})$", last.join("|")), schema);
            }
            _ => drop(named.insert(name.clone(), schema)),
        }
    }
    json_schema!({
        "type": "object",
        "properties": named,
        "patternProperties": numbered,
        "additionalProperties": false,
    })
}

/// Makes the schema of one option. Its texts are judged by the table itself, which says more.
pub(super) fn proxmox_option(kind: &Kind) -> serde_json::Value {
    use serde_json::json;
    let with = |mut schema: serde_json::Value, default: &Option<String>| {
        if let Some(default) = default {
            schema["description"] = format!("Proxmox's default: {default}.").into();
        }
        schema
    };
    match kind {
        Kind::Switch { default } => with(json!({ "type": ["boolean", "integer", "string", "null"] }), default),
        Kind::Integer { default, .. } => with(json!({ "type": ["integer", "string", "null"] }), default),
        Kind::Number { default, .. } => with(json!({ "type": ["number", "string", "null"] }), default),
        Kind::Words { words, default } => {
            with(json!({ "type": ["string", "integer", "null"], "examples": words }), default)
        }
        Kind::Text { default, .. } => with(json!({ "type": ["string", "integer", "null"] }), default),
        Kind::Parts { first, parts } => {
            let names: Vec<&str> = parts.keys().map(String::as_str).filter(|name| name != first).collect();
            let bare = if first.is_empty() { String::new() } else { format!("{first} first, then ") };
            let text = format!("A property string, `name=value` parted by commas: {bare}{}.", names.join(", "));
            json!({ "type": ["string", "integer", "null"], "description": text })
        }
    }
}

/// Reads a map of options and refuses one that stands twice.
pub(super) fn some_options<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<BTreeMap<String, serde_json::Value>>, D::Error> {
    each_name_once(from).map(Some)
}

/// Reads a map and refuses a key that stands twice, as structs do by themselves.
pub(super) fn each_name_once<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    struct Once<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Once<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((name, value)) = entries.next_entry::<String, T>()? {
                match map.entry(name) {
                    Entry::Vacant(free) => drop(free.insert(value)),
                    Entry::Occupied(taken) => return Err(A::Error::custom(format!("`{}` stands twice", taken.key()))),
                }
            }
            Ok(map)
        }
    }
    from.deserialize_map(Once(PhantomData))
}
