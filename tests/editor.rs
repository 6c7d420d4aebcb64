//! The schema as an editor sees it: VS Code's own JSON language service completes, explains and complains.

mod support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use phoenix::config::builtin::FEATURES;
use phoenix::config::spans::LineIndex;
use phoenix::config::{FeatureFiles, Source, load};
use serde_json::{Value, json};

/// What an editor can know of a file by its schema. Everything else needs the rules of the program: what refers to
/// something else, what is derived, what two values mean together.
const BY_SCHEMA: [&str; 20] = [
    "P009", "P010", "P011", "P012", "P014", "P015", "P016", "P017", "P018", "P019", "P023", "P024", "P025", "P026",
    "P027", "P030", "P033", "P038", "P044", "P046",
];

const PACKAGE: &str = "vscode-json-languageservice@5.7.2";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether the language service is there; if not, says how it comes here.
#[expect(clippy::print_stdout, reason = "whoever runs the tests shall see what was not tested")]
fn has_service() -> bool {
    if !support::need("node", "nodejs") {
        return false;
    }
    if root().join("target/tools/node_modules/vscode-json-languageservice").is_dir() {
        return true;
    }
    let missing = format!(
        "the language service is not installed (npm install --no-save --no-package-lock --prefix target/tools {PACKAGE})"
    );
    assert!(std::env::var_os("PHOENIX_REQUIRE_ALL").is_none_or(|value| value != "1"), "{missing}");
    println!("SKIPPED: {missing}");
    false
}

/// Asks the service about texts; places in them are byte offsets of ASCII.
fn ask(texts: &Value) -> Vec<Value> {
    let schema: Value = serde_json::from_str(phoenix::config::schema::embedded()).unwrap();
    let mut node = Command::new("node")
        .arg(root().join("tests/editor/service.js"))
        .env("NODE_PATH", root().join("target/tools/node_modules"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let request = json!({ "schema": schema, "texts": texts }).to_string();
    node.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the service says at the `|` of a text.
fn at(text: &str) -> Value {
    let offset = text.find('|').unwrap();
    let mut answers = ask(&json!([{ "text": text.replacen('|', "", 1), "at": [offset] }]));
    answers[0]["at"][0].take()
}

fn labels(answer: &Value) -> Vec<&str> {
    answer["completions"].as_array().unwrap().iter().map(|item| item["label"].as_str().unwrap()).collect()
}

#[test]
fn keys_and_values_are_completed_with_words() {
    if !has_service() {
        return;
    }
    let top = at("{ | }");
    assert!(["virtual_machines", "vm_defaults", "hypervisor"].iter().all(|key| labels(&top).contains(key)), "{top}");
    let keys = at(r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", | }] }"#);
    for key in ["memory_mb", "features", "volumes", "depends_on", "timeouts"] {
        assert!(labels(&keys).contains(&key), "{key}: {keys}");
    }
    assert!(!labels(&keys).contains(&"vm_id"), "what stands there is not offered again");
    for item in keys["completions"].as_array().unwrap() {
        assert!(item["words"].as_str().unwrap().ends_with('.'), "{item} is not explained");
    }
    let models = at(r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "network_model": | }] }"#);
    for model in models["completions"].as_array().unwrap() {
        assert!(!model["words"].as_str().unwrap().is_empty(), "{model} is not explained");
    }
    assert!(labels(&models).contains(&"\"virtio\""), "{models}");
    let volumes = at(r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "volumes": [{ | }] }] }"#);
    assert!(["type", "share", "path", "mount_point"].iter().all(|key| labels(&volumes).contains(key)), "{volumes}");
    let features = at(r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "features": [|] }] }"#);
    for (name, _) in FEATURES {
        let all = features["completions"].as_array().unwrap();
        let of: Vec<&Value> = all.iter().filter(|item| item["text"] == format!("\"{name}\"")).collect();
        let [one] = of[..] else { panic!("{name}: {features}") };
        assert!(one["words"].as_str().unwrap().starts_with("Built-in: "), "{one}");
    }
    let own = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "features": ["my_own"] }] }"#;
    assert_eq!(ask(&json!([{ "text": own, "at": [] }]))[0]["problems"], json!([]), "other names are as good");
}

#[test]
fn keys_are_explained_under_the_cursor() {
    if !has_service() {
        return;
    }
    let of = |text: &str| at(text)["hover"].as_str().unwrap().to_owned();
    let memory = of(r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "mem|ory_mb": 1024 }] }"#);
    for words in ["MiB", "Default: `4096`", "Example: `8192`", "at its next restart"] {
        assert!(memory.contains(words), "{memory:?}");
    }
    let model = of(r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "network_model": "virt|io" }] }"#);
    assert!(!model.is_empty());
    assert!(!of(r#"{ "hypervisor": { "never_tog|ether": ["db"] }, "virtual_machines": [] }"#).is_empty());
}

#[test]
fn what_is_wrong_by_the_schema_is_wrong_in_the_editor_on_the_same_line() {
    if !has_service() {
        return;
    }
    let entries = fs::read_dir(root().join("fixtures/config")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let request: Vec<Value> = texts.iter().map(|text| json!({ "text": text, "at": [] })).collect();
    let mut told = 0;
    for ((file, text), answer) in files.iter().zip(texts).zip(ask(&json!(request))) {
        let problems = answer["problems"].as_array().unwrap();
        let lines: Vec<u64> = problems.iter().map(|problem| problem["line"].as_u64().unwrap()).collect();
        let source = Source::new("config", text);
        let found = load(&source, &mut |_| FeatureFiles::Missing).diagnostics;
        let index = LineIndex::new(&source.text);
        for diagnostic in found.iter().filter(|found| BY_SCHEMA.contains(&found.code)) {
            let line = index.place(&source.text, diagnostic.span.unwrap().start).0;
            let name = file.file_name().unwrap().to_string_lossy();
            assert!(lines.contains(&(line as u64)), "{name}: {} in line {line} is not told: {answer}", diagnostic.code);
            told += 1;
        }
        // What a pattern asks for is said in words.
        let said = |problem: &Value| problem["message"].as_str().unwrap().to_owned();
        assert!(!problems.iter().map(said).any(|said| said.contains("does not match the pattern")), "{answer}");
        // And nothing that we take for right is wrong there.
        assert!(problems.is_empty() || !found.is_empty(), "{}: {answer}", file.display());
    }
    assert!(told > 50, "only {told} diagnostics were compared");
}

#[test]
fn the_example_is_right_and_the_schema_is_found() {
    let settings: Value =
        serde_json::from_str(&fs::read_to_string(root().join(".vscode/settings.json")).unwrap()).unwrap();
    let mapping = &settings["json.schemas"][0];
    assert!(root().join(mapping["url"].as_str().unwrap()).is_file());
    assert!(root().join(mapping["fileMatch"][0].as_str().unwrap()).is_file());
    // Both ways to name a schema inside a file are right.
    for named in ["./schema/phoenix_vm_configs.schema.json", "https://example.org/phoenix_vm_configs.schema.json"] {
        let text = json!({ "$schema": named, "virtual_machines": [] }).to_string();
        let source = Source::new("config", text);
        assert_eq!(load(&source, &mut |_| FeatureFiles::Missing).diagnostics, [], "{named}");
    }
    if !has_service() {
        return;
    }
    let example = fs::read_to_string(root().join(Path::new("phoenix_vm_configs.json"))).unwrap();
    assert_eq!(ask(&json!([{ "text": example, "at": [] }]))[0]["problems"], json!([]));
}
