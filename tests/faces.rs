//! Plans and runs in every format: cases under `fixtures/faces/`, reviewed as text.
//!
//! A case is a directory: `config.json`; `before.json`, if VMs were made from another config before; `args`, more
//! arguments of `plan` and `apply`; `consent`, more of `apply` alone. Beside them lies what the real binary writes:
//! `plan.*` and `run.*`, one file per format, and `doctor.txt`, with what differs from run to run made the same. A
//! page's own style and script are left out. `SNAPSHOTS=overwrite cargo test --test faces` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::Regex;
use serde_json::Value;
use snapbox::{Assert, Data};

#[path = "support/sarif.rs"]
mod sarif_schema;

/// Formats of a plan, and the ending of their files.
const OF_PLANS: [(&str, &str); 6] = [
    ("human", "txt"),
    ("json", "json"),
    ("markdown", "md"),
    ("html", "html"),
    ("github", "github.txt"),
    ("sarif", "sarif"),
];

/// Formats of a run, likewise.
const OF_RUNS: [(&str, &str); 7] = [
    ("human", "txt"),
    ("json", "json"),
    ("jsonl", "jsonl"),
    ("markdown", "md"),
    ("html", "html"),
    ("github", "github.txt"),
    ("junit", "xml"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the real binary; a terminal of 80 columns is what it finds without one.
fn phoenix(dir: &Path, arguments: &[String]) -> (Option<i32>, String) {
    let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
    phoenix.args(arguments).args(["--config", "config.json", "--target", "embedded:node"]);
    phoenix.current_dir(dir).stdin(Stdio::null()).env_remove("PHOENIX_TARGET").env_remove("GITHUB_STEP_SUMMARY");
    let output = phoenix.output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn words(case: &Path, file: &str) -> Vec<String> {
    let text = fs::read_to_string(case.join(file)).unwrap_or_default();
    text.split_whitespace().map(ToOwned::to_owned).collect()
}

/// Makes the same what differs from run to run and from version to version.
fn normal(text: &str) -> String {
    let rules = [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(-\d+)?", "RUN"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "TIME"),
        (r#"("[a-z_]*ms": ?)\d+"#, "${1}0"),
        (r"\b\d+(\.\d+)? (ms|s)\b", "DURATION"),
        (r"\b\d+ GiB free\b", "FREE GiB free"),
        (r#"time="[\d.]+""#, r#"time="0""#),
        // Bars and their scale are as long as the run took.
        (r#"(?s)<svg class="(bars|scale)".*?</svg>"#, r#"<svg class="$1"/>"#),
        (r"\bBC:24:11(:[0-9A-F]{2}){3}\b", "MAC"),
        (r"sha256-[A-Za-z0-9+/=]+", "SHA256"),
        (r"\b[0-9a-f]{16}([0-9a-f]{48})?\b", "DIGEST"),
        (r"\b[0-9a-f]{40}\b", "DIGEST"),
        (r#""directory [^"]*/node""#, r#""directory DIR""#),
        (r"(?s)<style>.*?</style>", "<style/>"),
        (r"(?s)<script>.*?</script>", "<script/>"),
        // An address of the simulated network is no version.
        (r"\b198\.18\.3\.(\d+)\b", "2001:db8::$1"),
        (r"\b\d+\.\d+\.\d+\b( \(simulated\))?", "VERSION"),
    ];
    let mut text = text.to_owned();
    for (pattern, same) in rules {
        text = Regex::new(pattern).unwrap().replace_all(&text, same).into_owned();
    }
    text
}

#[track_caller]
fn compare(case: &Path, name: &str, text: &str) {
    let expected = case.join(name);
    Assert::new().action_env("SNAPSHOTS").eq(normal(text), Data::read_from(&expected, None).raw());
}

/// Each format is what its users take it for.
#[track_caller]
fn well_formed(what: &str, format: &str, text: &str) {
    let valid = |of: &str, text: &str| {
        let schema = fs::read_to_string(root().join(format!("schema/{of}.schema.json"))).unwrap();
        let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{what}: {error}\n{text}"));
        jsonschema::draft7::validate(&serde_json::from_str(&schema).unwrap(), &value)
            .unwrap_or_else(|error| panic!("{what}: {error}\n{text}"));
    };
    match format {
        "json" => valid(what, text),
        "sarif" => {
            let value: Value = serde_json::from_str(text).unwrap();
            if let Err(error) = sarif_schema::validator().validate(&value) {
                panic!("{what}: {error}\n{text}");
            }
        }
        "jsonl" => text.lines().for_each(|line| valid("event", line)),
        "junit" => _ = roxmltree::Document::parse(text).unwrap(),
        "html" => {
            let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
            roxmltree::Document::parse_with_options(text, options).unwrap();
        }
        _ => {}
    }
}

fn check(case: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.json");
    let word = |text: &str| text.to_owned();
    assert_eq!(phoenix(dir.path(), &["node", "init"].map(word)).0, Some(0));
    if case.join("before.json").is_file() {
        fs::copy(case.join("before.json"), &config).unwrap();
        let (code, said) = phoenix(dir.path(), &["apply", "--auto-approve"].map(word));
        assert_eq!(code, Some(0), "{}: {said}", case.display());
    }
    fs::copy(case.join("config.json"), &config).unwrap();
    let (_, said) = phoenix(dir.path(), &["doctor", "--color", "never"].map(word));
    compare(case, "doctor.txt", &said);
    phoenix(dir.path(), &["doctor", "--format", "json=doctor.json"].map(word));
    well_formed("doctor", "json", &fs::read_to_string(dir.path().join("doctor.json")).unwrap());
    let options = words(case, "args");
    for (format, ending) in OF_PLANS {
        let arguments = [["plan", "--format", format].map(word).to_vec(), options.clone()].concat();
        let (_, said) = phoenix(dir.path(), &[arguments, vec![word("--color"), word("never")]].concat());
        // What is no data is on the other channel, behind the data.
        let file = dir.path().join(format!("plan.{ending}"));
        let to_file = format!("{format}={}", file.display());
        let arguments = [["plan", "--format", &to_file].map(word).to_vec(), options.clone()].concat();
        phoenix(dir.path(), &arguments);
        well_formed("plan", format, &fs::read_to_string(&file).unwrap());
        compare(case, &format!("plan.{ending}"), &said);
    }
    let mut arguments = ["apply", "--auto-approve", "--parallelism", "1"].map(word).to_vec();
    arguments.extend(options);
    arguments.extend(words(case, "consent"));
    for (format, ending) in OF_RUNS {
        arguments.extend([word("--format"), format!("{format}=run.{ending}")]);
    }
    let (code, said) = phoenix(dir.path(), &arguments);
    assert!(matches!(code, Some(0 | 1)), "{}: {said}", case.display());
    for (format, ending) in OF_RUNS {
        let name = format!("run.{ending}");
        let text = fs::read_to_string(dir.path().join(&name)).unwrap();
        well_formed("run", format, &text);
        compare(case, &name, &text);
    }
}

#[test]
fn every_format_says_what_it_said() {
    let mut cases: Vec<PathBuf> =
        fs::read_dir(root().join("fixtures/faces")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 5, "the cases are gone");
    for case in &cases {
        check(case);
    }
}
