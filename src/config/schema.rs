//! The JSON schema: generated from the types of `raw`, committed, embedded, and used to validate.

mod builtins;
mod hovers;
mod patterns;

use std::sync::OnceLock;

use jsonschema::{Draft, PatternOptions, Validator};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::limits::{MAX_ENTRIES, MAX_VMS};
use super::raw::{NULLABLE, Raw, SECRET_NAME};

/// Where the schema is committed, from the top of the project.
pub const FILE: &str = "schema/phoenix_vm_configs.schema.json";
/// The command that writes it anew.
pub const REFRESH: &str = "cargo run -- schema > schema/phoenix_vm_configs.schema.json";

/// Generates the schema as it is committed: pretty, with a line break at the end.
#[must_use]
pub fn generate() -> String {
    format!("{:#}\n", value())
}

/// Generates the schema from the types: draft-07, because editors know it best.
pub(super) fn value() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Raw>().to_value();
    polish(&mut schema);
    if let Some(Value::Object(vms)) = schema.pointer_mut("/properties/virtual_machines") {
        vms.insert("maxItems".into(), MAX_VMS.into());
    }
    let require = |schema: &mut Value, at: &str, keys: &[&str]| {
        if let Some(Value::Object(object)) = schema.pointer_mut(at) {
            object.insert("required".into(), json!(keys));
            for key in keys {
                if let Some(Value::Object(property)) = object.get_mut("properties").and_then(|all| all.get_mut(key)) {
                    property.remove("default");
                }
            }
        }
    };
    require(&mut schema, "", &["virtual_machines"]);
    require(
        &mut schema,
        "/properties/hypervisor/properties/nfs_shares/additionalProperties",
        &["server", "export", "host_path"],
    );
    if let Some(Value::Object(shares)) = schema.pointer_mut("/properties/hypervisor/properties/nfs_shares") {
        shares.insert("maxProperties".into(), MAX_ENTRIES.into());
        shares.insert("propertyNames".into(), json!({ "pattern": super::lexis::STORAGE }));
    }
    if let Some(Value::Object(profiles)) = schema.pointer_mut("/properties/profiles") {
        profiles.insert("maxProperties".into(), MAX_ENTRIES.into());
        profiles.insert("propertyNames".into(), json!({ "pattern": super::lexis::PROFILE }));
    }
    if let Some(Value::Object(secrets)) = schema.pointer_mut("/properties/secrets") {
        secrets.insert("maxProperties".into(), MAX_ENTRIES.into());
        secrets.insert("propertyNames".into(), json!({ "pattern": SECRET_NAME }));
    }
    for vm in ["/properties/vm_defaults", PROFILE, VM] {
        let volume = format!("{vm}/properties/volumes/items");
        require(&mut schema, &volume, &["type", "path", "mount_point"]);
        require(&mut schema, &format!("{vm}/properties/cloud_image"), &["source"]);
        if let Some(Value::Object(volume)) = schema.pointer_mut(&volume) {
            volume.insert("oneOf".into(), json!([{ "required": ["share"] }, { "required": ["server"] }]));
        }
        if let Some(feature) = schema.pointer_mut(&format!("{vm}/properties/features/items")) {
            builtins::offer(feature);
        }
    }
    require(&mut schema, VM, &["vm_id", "vm_name"]);
    for shared in ["/properties/vm_defaults", PROFILE] {
        if let Some(Value::Object(shared)) = schema.pointer_mut(&format!("{shared}/properties")) {
            for key in OF_ONE_VM {
                shared.remove(key);
            }
        }
    }
    patterns::explain(&mut schema);
    hovers::explain(&mut schema, false);
    for vm in ["/properties/vm_defaults", PROFILE, VM] {
        if let Some(vm) = schema.pointer_mut(vm) {
            hovers::explain(vm, true);
        }
    }
    schema
}

/// The schema as committed and built into this program.
#[must_use]
pub fn embedded() -> &'static str {
    include_str!("../../schema/phoenix_vm_configs.schema.json")
}

/// Compares a text with a schema that this program generates; `None` when it is the same, else a unified diff.
#[must_use]
pub fn check(text: &str, generated: &str) -> Option<String> {
    (text != generated).then(|| {
        similar::TextDiff::from_lines(text, generated).unified_diff().header("committed", "generated").to_string()
    })
}

/// The embedded schema, ready to validate. `None` if the committed file is no schema, which a test rules out.
pub(super) fn validator() -> Option<&'static Validator> {
    static VALIDATOR: OnceLock<Option<Validator>> = OnceLock::new();
    VALIDATOR.get_or_init(|| ready(document())).as_ref()
}

/// Keys that only a VM itself can have.
pub(super) const OF_ONE_VM: [&str; 5] = ["vm_id", "vm_name", "adopt", "is_template", "profile"];

/// Where the embedded schema says what a profile is.
const PROFILE: &str = "/properties/profiles/additionalProperties";

/// Where the embedded schema says what a VM is.
pub(super) const VM: &str = "/properties/virtual_machines/items";

/// What the embedded schema says of one VM, ready to validate.
pub(super) fn vm_validator() -> Option<&'static Validator> {
    static VALIDATOR: OnceLock<Option<Validator>> = OnceLock::new();
    VALIDATOR.get_or_init(|| ready(document().pointer(VM)?)).as_ref()
}

fn ready(schema: &Value) -> Option<Validator> {
    jsonschema::options()
        .with_draft(Draft::Draft7)
        // The linear-time engine: a config cannot make a pattern run away.
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .ok()
}

/// Whether a value fits a part of the embedded schema.
pub(super) fn fits(part: &Value, value: &Value) -> bool {
    ready(part).is_some_and(|validator| validator.is_valid(value))
}

/// The embedded schema as a value, to look up what a key's object knows.
pub(super) fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(embedded()).unwrap_or(Value::Bool(false)))
}

/// Takes away what schemars derives from Rust and JSON has no use for: `null` for options, integer formats, empty
/// defaults and the line breaks of doc comments.
fn polish(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let means_null = object.remove(NULLABLE).is_some();
            if let Some(Value::Array(types)) = object.get_mut("type") {
                // Where it has a meaning, it stays.
                types.retain(|word| word != "null" || means_null);
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.remove("anyOf") {
                unwrap_option(object, choices);
            }
            if object.get("format").is_some_and(|format| format.as_str().is_some_and(|f| f.starts_with("uint"))) {
                object.remove("format");
            }
            if object.get("default") == Some(&Value::Null) {
                object.remove("default");
            }
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            // What was made by hand has no traces of Rust, and `null` has a meaning there.
            if let Some(Value::Object(slots)) = object.get_mut("patternProperties") {
                slots.values_mut().filter_map(|slot| slot.get_mut("properties")).for_each(polish);
            } else {
                object.values_mut().for_each(polish);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(polish),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Replaces "this or null" by this; what the field says wins over what its type says.
fn unwrap_option(object: &mut Map<String, Value>, choices: Vec<Value>) {
    let null = json!({ "type": "null" });
    for choice in choices.into_iter().filter(|choice| *choice != null) {
        if let Value::Object(choice) = choice {
            for (key, value) in choice {
                object.entry(key).or_insert(value);
            }
        }
    }
}
