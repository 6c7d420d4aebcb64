//! What `validate` finds, in every format: golden files, the rules of each format, and hostile values.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use phoenix::config::{self, FeatureFiles, Source};
use phoenix::ui::report::{Checked, github, gitlab, human, json, junit, sarif};
use proptest::prelude::*;
use serde_json::Value;
use snapbox::{Assert, Data};

#[path = "support/sarif.rs"]
mod sarif_schema;

fn checked(name: &str, text: &str) -> Checked {
    of(Source::new(name, text))
}

/// A directory with these files.
fn several(name: &str) -> Checked {
    let mut files: Vec<PathBuf> =
        fs::read_dir(fixtures().join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let file = |path: &PathBuf| {
        let name = format!("{name}/{}", path.file_name().unwrap().to_str().unwrap());
        Source::new(name, fs::read_to_string(path).unwrap())
    };
    of(Source::joined(name, files.iter().map(file).collect()))
}

fn of(source: Source) -> Checked {
    let name = source.name.clone();
    let loaded = config::load(&source, &mut |_| FeatureFiles::Missing);
    let vms = loaded.desired.map(|desired| desired.vms.len());
    Checked { name, source: Some(source), vms, diagnostics: loaded.diagnostics }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/formats")
}

/// The published schema of the JSON document.
fn document_validator() -> jsonschema::Validator {
    jsonschema::draft7::new(&parsed(include_str!("../schema/validate.schema.json"))).unwrap()
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

#[test]
fn every_format_says_what_it_said() {
    let validator = sarif_schema::validator();
    for case in ["valid", "many", "no-json", "several", "several-valid"] {
        let name = format!("{case}.json");
        let files = [match fs::read_to_string(fixtures().join(&name)) {
            Ok(text) => checked(&name, &text),
            Err(_) => several(case),
        }];
        // The version of the program would change the golden file with every release.
        let sarif = sarif::render(&files).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        if let Err(error) = validator.validate(&parsed(&sarif)) {
            panic!("{case}: {error} at {}", error.instance_path());
        }
        roxmltree::Document::parse(&junit::render(&files)).unwrap();
        if let Err(error) = document_validator().validate(&parsed(&json::render(&files))) {
            panic!("{case}: {error} at {}", error.instance_path());
        }
        for (kind, text) in [
            ("human.txt", human(&files)),
            ("out.json", json::render(&files)),
            ("github.txt", github::render(&files)),
            ("summary.md", github::summary(&files)),
            ("gitlab.json", gitlab::render(&files)),
            ("sarif", sarif),
            ("junit.xml", junit::render(&files)),
        ] {
            let expected = fixtures().join(format!("{case}.{kind}"));
            // `SNAPSHOTS=overwrite cargo test --test formats` writes them anew.
            Assert::new().action_env("SNAPSHOTS").eq(text, Data::read_from(&expected, None).raw());
        }
    }
}

#[test]
fn gitlab_knows_a_finding_again_when_lines_move() {
    let prints = |text: &str| {
        let report = parsed(&gitlab::render(&[checked("a.json", text)]));
        let of = |key: &str| report.as_array().unwrap().iter().map(|f| f.pointer(key).unwrap().clone()).collect();
        let (prints, lines): (Vec<Value>, Vec<Value>) = (of("/fingerprint"), of("/location/lines/begin"));
        (prints, lines)
    };
    let (vm, tail) = (r#"{ "vm_id": 1000, "vm_name": "a_b" }"#, "]}");
    let before = prints(&format!(r#"{{ "virtual_machines": [{vm}{tail}"#));
    let after = prints(&format!("{{\n\n\"virtual_machines\": [\n{vm}{tail}"));
    assert_eq!(before.0, after.0);
    assert_ne!(before.1, after.1);
    let other = prints(&format!(r#"{{ "virtual_machines": [{}{tail}"#, vm.replace("a_b", "a_c")));
    assert_ne!(before.0, other.0);
}

#[test]
fn github_shows_ten_and_counts_the_rest() {
    let vms: Vec<String> = (0..25).map(|n| format!(r#"{{"vm_id":{},"vm_name":"a_{n}"}}"#, 1000 + n)).collect();
    let files = [checked("a,b:c%.json", &format!("{{\"virtual_machines\":[{}]}}", vms.join(",\n")))];
    let text = github::render(&files);
    assert_eq!(text.lines().filter(|line| line.starts_with("::error file=a%2Cb%3Ac%25.json,line=")).count(), 10);
    assert!(text.contains("\nand 15 more errors\n"), "{text}");
    assert_eq!(github::summary(&files).matches("- error ").count(), 25);
}

/// Texts made of what means something to a format, a terminal or a page.
fn hostile() -> impl Strategy<Value = String> {
    let parts = [
        "\n",
        "\r",
        "::",
        "::error::",
        "##[error]",
        "]]>",
        "<script>",
        "</failure>",
        "\u{1b}[31m",
        "\u{202e}",
        "\u{200b}",
        "\u{9b}",
        "\"",
        "'",
        "&amp;",
        "%0A",
        "](https://x)",
        "[a",
        "`",
        "{0}",
        "\u{ffff}",
        "é",
        "a",
        " ",
        ",",
    ];
    proptest::collection::vec(proptest::sample::select(parts.to_vec()), 1..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_values_stay_inert(value in hostile(), file in hostile()) {
        let quoted = serde_json::to_string(&value).unwrap();
        let config = format!(
            r#"{{ "virtual_machines": [ {{ "vm_id": 1000, "vm_name": {quoted}, {quoted}: 1, "tags": [{quoted}],
                "features": [{quoted}] }} ] }}"#
        );
        let files = [checked(&file, &config), checked(&file, &value)];
        let found: usize = files.iter().map(|file| file.diagnostics.len()).sum();
        let renders = [
            ("human", human(&files)),
            ("json", json::render(&files)),
            ("github", github::render(&files)),
            ("summary", github::summary(&files)),
            ("gitlab", gitlab::render(&files)),
            ("sarif", sarif::render(&files)),
            ("junit", junit::render(&files)),
        ];
        for (format, text) in &renders {
            let raw = |c: char| c == '\r' || c == '\u{1b}' || c == '\u{202e}' || c == '\u{200b}' || c == '\u{9b}';
            prop_assert!(!text.contains(raw), "{format}: {text:?}");
        }
        let [_, json, github, summary, gitlab, sarif, junit] = renders.map(|(_, text)| text);
        let document = parsed(&json);
        let told: usize =
            document["files"].as_array().unwrap().iter().map(|f| f["diagnostics"].as_array().unwrap().len()).sum();
        prop_assert_eq!(told, found);
        let findings = parsed(&gitlab);
        let findings = findings.as_array().unwrap();
        prop_assert_eq!(findings.len(), found);
        let prints: std::collections::BTreeSet<&str> =
            findings.iter().map(|finding| finding["fingerprint"].as_str().unwrap()).collect();
        prop_assert_eq!(prints.len(), found, "each finding is one of its own");
        // A command per diagnostic, and no line that a value began.
        let commands = github.lines().filter(|line| line.starts_with("::error file=")).count();
        prop_assert_eq!(commands, found.min(github::MOST_ANNOTATIONS));
        for line in github.lines().filter(|line| !line.starts_with("::error file=")) {
            prop_assert!(line.starts_with("and ") || line.starts_with("checked "), "{line:?}");
            prop_assert!(!line.contains("##["), "{line:?}");
        }
        for line in github.lines().filter(|line| line.starts_with("::")) {
            let properties = line[2..].split_once("::").unwrap().0;
            prop_assert!(properties.split_once(' ').unwrap().1.split(',').all(|p| p.contains('=')), "{line:?}");
            prop_assert!(properties.contains(",title=P"), "{line:?}");
        }
        prop_assert_eq!(summary.lines().filter(|line| line.starts_with("- ")).count(), found);
        let sarif = parsed(&sarif);
        prop_assert!(sarif_schema::validator().is_valid(&sarif), "{sarif:#}");
        prop_assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), found);
        for result in sarif["runs"][0]["results"].as_array().unwrap() {
            let text = result["message"]["text"].as_str().unwrap();
            prop_assert!(!text.replace("\\\\", "").replace("\\]", "").contains("]("), "{text}");
        }
        let xml = roxmltree::Document::parse(&junit).unwrap();
        let known = ["testsuites", "testsuite", "testcase", "failure", "system-out"];
        prop_assert!(xml.descendants().filter(roxmltree::Node::is_element).all(|e| known.contains(&e.tag_name().name())));
        prop_assert_eq!(xml.descendants().filter(|e| e.has_tag_name("failure")).count(), found);
    }
}

#[test]
fn formats_go_where_they_are_sent() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], summary: &str| {
        let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        phoenix.arg("validate").args(arguments).current_dir(dir.path()).stdin(Stdio::null());
        let output = phoenix.env("GITHUB_STEP_SUMMARY", summary).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    fs::copy(fixtures().join("valid.json"), dir.path().join("valid.json")).unwrap();
    fs::copy(fixtures().join("many.json"), dir.path().join("many.json")).unwrap();

    let both = ["valid.json", "many.json", "missing.json", "--format", "json", "--format", "junit=report.xml"];
    let (code, out, err) = run(&both, "");
    assert_eq!((code, err.as_str()), (3, ""));
    let document = parsed(&out);
    assert_eq!((&document["format_version"], &document["valid"]), (&1.into(), &false.into()));
    assert_eq!(document["files"][0]["virtual_machines"], 1);
    assert_eq!(document["files"][2]["diagnostics"][0]["code"], "P004");
    assert!(read("report.xml").contains("<testsuite name=\"missing.json\" tests=\"1\" failures=\"1\""));
    // A file alone leaves the screen to people.
    let (code, out, _) = run(&["valid.json", "--format", "sarif=a.sarif"], "");
    assert_eq!((code, out.as_str()), (0, "valid.json: valid, 1 virtual machine\n"));
    assert_eq!(parsed(&read("a.sarif"))["version"], "2.1.0");
    for _ in 0..2 {
        let (code, out, err) = run(&["many.json", "--format", "github"], "summary.md");
        assert_eq!((code, err.as_str()), (3, ""));
        assert!(out.starts_with("::error file=many.json,line="), "{out}");
    }
    assert_eq!(read("summary.md").matches("### phoenix validate\n").count(), 2, "it is appended");
    let (code, _, err) = run(&["--format", "markdown"], "");
    assert_eq!(code, 4);
    assert!(
        err.contains(
            "`markdown` is not one of human, json, github, gitlab, sarif, junit; it is a format of plans and runs of \
                apply"
        ),
        "{err}"
    );
    let (code, _, err) = run(&["valid.json", "--format", "json=no/where.json"], "");
    assert_eq!(code, 1);
    assert!(err.contains("cannot write `no/where.json`"), "{err}");
}
