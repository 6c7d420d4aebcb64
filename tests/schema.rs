//! The committed schema: fresh, complete, and in agreement with the rules of the program.

use std::fs;
use std::path::Path;

use phoenix::backend::embedded::Embedded;
use phoenix::config::{self, FeatureFiles, Source, schema};
use phoenix::hypervisor::Hypervisor as _;
use phoenix::model::DesiredVm;
use phoenix::observed::allow_schema;
use phoenix::plan::document::DocumentValue;
use phoenix::plan::{Request, doctor, document, inventory, status};
use phoenix::ui::{report, run};
use serde_json::Value;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    if let Some(diff) = schema::check(&read(schema::FILE), &schema::generate()) {
        panic!("{} is stale; refresh it with\n\n    {}\n\n{diff}", schema::FILE, schema::REFRESH);
    }
    assert_eq!(schema::embedded(), schema::generate());
    let others = [
        ("plan", document::schema()),
        ("status", status::schema()),
        ("doctor", doctor::schema()),
        ("validate", report::json::schema()),
        ("run", report::run::schema()),
        ("event", run::schema()),
        ("allow", allow_schema()),
        ("inventory", inventory::schema()),
    ];
    for (of, own) in others {
        let committed = read(&format!("schema/{of}.schema.json"));
        if let Some(diff) = schema::check(&committed, &own) {
            panic!("stale; refresh it with\n\n    cargo run -- schema --of {of} > schema/{of}.schema.json\n\n{diff}");
        }
        assert!(jsonschema::draft7::meta::is_valid(&serde_json::from_str(&committed).unwrap()), "{of}");
    }
}

#[test]
fn numbers_are_numbers_in_documents() {
    let schema: Value = serde_json::from_str(schema::embedded()).unwrap();
    let keys = schema["properties"]["virtual_machines"]["items"]["properties"].as_object().unwrap();
    let mut numbers = 0;
    for (key, property) in keys {
        let is = |word: &str| {
            property["type"] == *word || property["type"].as_array().is_some_and(|all| all.contains(&word.into()))
        };
        let shown = |text: &str| serde_json::to_value(DocumentValue::of(key, text.to_owned())).unwrap();
        assert_eq!(shown("2").is_number(), is("integer") || is("number"), "{key}: plan::document::value");
        assert_eq!(shown("true").is_boolean(), is("boolean"), "{key}: plan::document::value");
        numbers += usize::from(shown("2").is_number());
    }
    assert!(numbers > 5);
    for (key, text, expected) in [
        ("proxmox.cpulimit", "1.5", Value::from(1.5)),
        ("proxmox.tablet", "default (1)", "default (1)".into()),
        ("disks.scsi1.size_gb", "20", 20.into()),
        ("proxmox.machine", "1", "1".into()),
        ("memory_mb", "007", "007".into()),
    ] {
        assert_eq!(serde_json::to_value(DocumentValue::of(key, text.to_owned())).unwrap(), expected, "{key}");
    }
}

#[test]
fn the_examples_are_valid() {
    let schema: Value = serde_json::from_str(schema::embedded()).unwrap();
    for file in ["fixtures/spec/example-2.1.json", "fixtures/spec/example-4.1.json", "phoenix_vm_configs.json"] {
        let source = Source::new(file, read(file));
        let value: Value = serde_json::from_str(&source.text).unwrap();
        jsonschema::draft7::validate(&schema, &value).unwrap_or_else(|error| panic!("{file}: {error}"));
        let loaded = config::load(&source, &mut |_| FeatureFiles::Missing);
        assert_eq!(loaded.diagnostics, [], "{file}");
        assert!(!loaded.desired.unwrap().vms.is_empty(), "{file}");
    }
    assert!(jsonschema::draft7::meta::is_valid(&schema));
}

#[test]
fn every_key_is_described() {
    let schema: Value = serde_json::from_str(schema::embedded()).unwrap();
    let mut keys = 0;
    walk(&schema, "", &mut keys);
    assert!(keys > 40, "only {keys} keys found");
}

/// Looks at every property of every object in a schema.
fn walk(schema: &Value, at: &str, keys: &mut usize) {
    if at.ends_with("/networks") || at.ends_with("/disks") {
        let cards = schema["patternProperties"].as_object().into_iter().flat_map(serde_json::Map::values);
        cards.for_each(|card| walk(card, &format!("{at}/*"), keys));
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    if schema.get("patternProperties").is_some() {
        // Options of Proxmox: each says when a running VM takes it over.
        let known =
            |option: &Value| option["description"].as_str().is_some_and(|text| text.contains("A running VM has it"));
        assert!(properties.len() > 30 && properties.values().all(known), "{at}");
        return;
    }
    assert_eq!(schema["additionalProperties"], false, "{at} accepts unknown keys");
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, property) in properties {
        let at = format!("{at}/{key}");
        *keys += 1;
        complete(property, &at, required.contains(&key.as_str()));
        for below in [Some(property), property.get("items"), property.get("additionalProperties")].into_iter().flatten()
        {
            walk(below, &at, keys);
        }
    }
}

/// Asserts what an editor needs to show and complete a key.
fn complete(property: &Value, at: &str, required: bool) {
    // Keys without which something is derived, not defaulted.
    const DERIVED: [&str; 43] = [
        "/password/env",
        "/password/file",
        "/user_config/password",
        "/node",
        "/pool",
        "/ha",
        "/ha/state",
        "/adopt",
        "/$schema",
        "/persistent_storage/server",
        "/volumes/share",
        "/volumes/server",
        // Left as they are where the file says nothing.
        "/start_at_boot",
        "/boot_order",
        "/boot_delay",
        "/shutdown_timeout",
        "/protected",
        "/project_tag",
        "/proxmox",
        "/boot_disk_options",
        "/networks",
        "/disks",
        "/cdrom",
        "/boot_devices",
        "/network_config",
        "/network_config/ip",
        "/network_config/gw",
        "/network_config/ip6",
        "/network_config/gw6",
        "/network_config/nameserver",
        "/network_config/searchdomain",
        "/user_config",
        "/user_config/username",
        "/user_config/ssh_authorized_keys",
        "/secrets/env",
        "/secrets/file",
        "/user_data/file",
        "/user_data/text",
        "/vendor_data/file",
        "/vendor_data/text",
        "/cloud_image",
        "/cloud_image/sha256",
        "/cloud_image/sha512",
    ];
    let text = |key: &str| property[key].as_str().unwrap_or_default();
    assert!(!text("title").is_empty(), "{at} has no title");
    let description = text("description");
    assert!(description.ends_with('.') && description.len() > 10, "{at} has no description: {description:?}");
    assert!(!description.contains('\n'), "{at}: line breaks of the source do not belong into a description");
    assert!(property["examples"].as_array().is_some_and(|e| !e.is_empty()), "{at} has no example");
    let derived = DERIVED.iter().any(|end| at.ends_with(end)) || at.contains("/networks/") || at.contains("/disks/");
    assert_eq!(property.get("default").is_none(), required || derived, "{at}: a default or `required`, one of them");
    let limit = |keys: &[&str]| keys.iter().any(|key| property.get(key).is_some());
    let limited = |kind: &str| match kind {
        "integer" | "number" => limit(&["minimum"]) && limit(&["maximum"]),
        "string" => limit(&["pattern", "oneOf", "maxLength"]),
        "array" => property.get("items").is_some() && (limit(&["maxItems"]) || at == "/virtual_machines"),
        "boolean" | "null" => true,
        "object" => limit(&["properties", "additionalProperties"]),
        other => panic!("{at} has the type {other:?}"),
    };
    let kinds = property["type"].as_array().cloned().unwrap_or_else(|| vec![property["type"].clone()]);
    let limited = kinds.iter().all(|kind| limited(kind.as_str().unwrap_or_default()));
    assert!(limited, "{at} has neither range nor pattern nor words");
    for word in property["oneOf"].as_array().into_iter().flatten() {
        let named = word["const"].is_string() || word.get("const") == Some(&Value::Null);
        assert!(named && word["description"].is_string(), "{at}: {word} is not described");
    }
    for example in property["examples"].as_array().into_iter().flatten().chain(property.get("default")) {
        assert!(jsonschema::draft7::is_valid(property, example), "{at}: {example} is no valid example or default");
    }
}

#[test]
fn defaults_of_the_schema_are_those_of_the_program() {
    let schema: Value = serde_json::from_str(schema::embedded()).unwrap();
    let text = |vm: &str| format!(r#"{{ "virtual_machines": [{{ "vm_id": 1000, "vm_name": "web"{vm} }}] }}"#);
    let load = |text: String| {
        let source = Source::new("config", text);
        let desired = config::load(&source, &mut |_| FeatureFiles::Missing).desired.unwrap();
        let mut vm = DesiredVm::clone(&desired.vms[0]);
        vm.origins = phoenix::model::Origins::default();
        (desired.settings, vm)
    };
    let plain = load(text(""));
    for keys in ["/properties/virtual_machines/items/properties", "/properties/vm_defaults/properties"] {
        for (key, property) in schema.pointer(keys).unwrap().as_object().unwrap() {
            if let Some(default) = property.get("default") {
                assert_eq!(load(text(&format!(r#", "{key}": {default}"#))), plain, "{key}");
            }
        }
    }
    let settings = &plain.0;
    let default = |key: &str| schema.pointer(&format!("/properties/hypervisor/properties/{key}/default")).unwrap();
    assert_eq!(default("project"), &settings.project);
    assert_eq!(default("features_dir"), &settings.features_dir);
    assert_eq!(default("persistent_storage/properties/host_path"), &settings.persistent_storage.host_path);
    assert_eq!(default("persistent_storage/properties/mount_point"), &settings.persistent_storage.mount_point);
}

/// What a plan says that another value costs a VM that runs.
fn cost_in_a_plan(node: &Path, key: &str, value: &Value) -> String {
    let mut vm = serde_json::json!({ "vm_id": 1000, "vm_name": "web" });
    vm[key] = value.clone();
    let config = serde_json::json!({ "virtual_machines": [vm] }).to_string();
    let source = Source::new("config", config);
    let desired = config::load(&source, &mut |_| FeatureFiles::Missing).desired.unwrap();
    let observed = Embedded::open(node).unwrap().observe().unwrap();
    let planned = phoenix::plan::plan(&desired, &observed, &Request::default());
    let changes = planned.vms[0].changes.iter().filter(|change| change.key == key);
    changes.map(|change| format!("{:?}", change.disruption)).collect::<Vec<_>>().concat()
}

#[test]
fn what_the_schema_says_of_costs_is_what_a_plan_says() {
    let dir = tempfile::tempdir().unwrap();
    let config = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web" }] }"#;
    fs::write(dir.path().join("phoenix_vm_configs.json"), config).unwrap();
    let mut phoenix = std::process::Command::new(env!("CARGO_BIN_EXE_phoenix"));
    phoenix.args(["apply", "--auto-approve", "--target", "embedded:node"]).current_dir(dir.path());
    assert!(phoenix.output().unwrap().status.success());
    let schema: Value = serde_json::from_str(schema::embedded()).unwrap();
    let keys = schema.pointer("/properties/virtual_machines/items/properties").unwrap();
    let costs = [
        ("Another value takes effect at once.", "Live"),
        ("It grows at once", "Live"),
        ("Another value moves the disk, also while the VM runs", "Live"),
        ("Another value unplugs the card of a running VM", "Network"),
        ("A running VM takes another value at its next restart", "Restart"),
        ("`false` shuts a running VM down.", "Stop"),
        ("It counts when the VM is made", ""),
    ];
    let values = serde_json::json!({
        "boot_delay": 7, "boot_disk_size_gb": 60, "boot_disk_storage": "local", "boot_order": 3, "cpu_cores": 4,
        "cpu_sockets": 2, "description": "other", "full_clone": false, "memory_mb": 8192, "network_bridge": "vmbr9",
        "network_config": { "ip": "192.0.2.9/24" }, "network_model": "e1000", "os_type": "w2k", "protected": true,
        "shutdown_timeout": 9, "start_at_boot": true, "started": false, "tags": ["other"], "template_name": "other",
        "user_config": { "username": "other" }, "user_data": { "text": "#cloud-config\n" },
        "vendor_data": { "text": "#cloud-config\n" }, "vm_name": "other"
    });
    let mut seen = 0;
    for (key, property) in keys.as_object().unwrap() {
        let words = property["markdownDescription"].as_str().unwrap_or_default();
        let Some((_, cost)) = costs.iter().find(|(said, _)| words.contains(said)) else { continue };
        // An image and a template are alternatives.
        if key != "cloud_image" {
            assert_eq!(cost_in_a_plan(&dir.path().join("node"), key, &values[key]), *cost, "{key}");
        }
        seen += 1;
    }
    assert_eq!(seen, 24, "each key with a cost is compared");
}

#[test]
fn each_pattern_has_words_for_editors() {
    fn check(at: &str, part: &Value) {
        if part["pattern"].is_string() {
            assert!(part["patternErrorMessage"].as_str().is_some_and(|words| words.starts_with("must be ")), "{at}");
        }
        match part {
            Value::Object(object) => object.iter().for_each(|(key, inner)| check(&format!("{at}/{key}"), inner)),
            Value::Array(items) => items.iter().for_each(|inner| check(at, inner)),
            _ => {}
        }
    }
    check("", &serde_json::from_str(schema::embedded()).unwrap());
}

#[test]
fn patterns_agree_with_the_rules_of_the_program() {
    let schema: Value = serde_json::from_str(schema::embedded()).unwrap();
    let properties = schema.pointer("/properties/virtual_machines/items/properties").unwrap();
    let long = [15, 16, 63, 64, 65, 100, 101].map(|n| "a".repeat(n));
    let short = ["", "a", "ab", "A1", "a-b", "-a", "a-", "a_b", "a.b", "a..b", ".a", "9", "9a", "a b", "a/b", "ä"];
    let words =
        short.iter().copied().chain(["a+b", "+a", "vmbr0", "a\n", "../a"]).chain(long.iter().map(String::as_str));
    for word in words {
        for key in ["vm_name", "adopt", "template_name", "boot_disk_storage", "network_bridge", "features", "tags"] {
            let is_list = properties[key].get("items").is_some();
            let written = if is_list { serde_json::json!([word]) } else { serde_json::json!(word) };
            let mut vm = serde_json::json!({ "vm_id": 1000, "vm_name": "web" });
            vm[key] = written.clone();
            let text = serde_json::json!({ "virtual_machines": [vm] }).to_string();
            let source = Source::new("config", text);
            let script = (format!("{word}.sh"), Ok(b"true\n".to_vec()));
            let files = FeatureFiles::Found([script].into());
            let accepted = config::load(&source, &mut |_| files.clone()).desired.is_some();
            assert_eq!(accepted, jsonschema::draft7::is_valid(&properties[key], &written), "{key}: {word:?}");
        }
    }
}
