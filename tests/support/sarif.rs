//! SARIF's own schema.

use serde_json::Value;

/// The official schema of OASIS; `fixtures/sarif/NOTICE` says where it is from.
pub(crate) fn validator() -> jsonschema::Validator {
    let text = include_str!("../../fixtures/sarif/sarif-schema-2.1.0.json");
    let mut schema: Value = serde_json::from_str(text).unwrap();
    // A slip of the schema: these patterns have a stray `]`, which strict engines refuse. Nothing here has the members.
    for of in ["run", "toolComponent"] {
        schema["definitions"][of]["properties"]["language"].as_object_mut().unwrap().remove("pattern").unwrap();
    }
    jsonschema::draft7::new(&schema).unwrap()
}
