//! Reports of plans and runs, as the real binary writes them: every format, however the apply ended.

#[path = "support/failure.rs"]
mod failure;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use failure::failure_saying;
use phoenix::event::{ActionName, Event, Summary};
use phoenix::model::{Outcome, VmId};
use phoenix::ui::report::{Places, run};
use phoenix::ui::story::{Moment, Refused, Spared, Story};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

const CONFIG: &str = r#"{ "virtual_machines": [
  { "vm_id": 1000, "vm_name": "web",
    "memory_mb": 1024 },
  { "vm_id": 1001, "vm_name": "db", "memory_mb": 2048 }
] }"#;

/// Every format of a run, each into a file of its own.
const FILES: [&str; 7] =
    ["human=r.txt", "json=r.json", "jsonl=r.jsonl", "markdown=r.md", "html=r.html", "github=r.github", "junit=r.xml"];

struct Scene {
    dir: TempDir,
}

/// Exit code, standard output, standard error.
struct Ran(i32, String, String);

impl Scene {
    fn new() -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap() };
        scene.write("phoenix_vm_configs.json", CONFIG);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        phoenix.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        phoenix.env_remove("PHOENIX_TARGET").env("GITHUB_STEP_SUMMARY", self.path("summary.md"));
        phoenix
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran(output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Applies with every format into a file.
    fn apply(&self, more: &[&str]) -> Ran {
        let mut arguments = vec!["apply"];
        arguments.extend(more);
        arguments.extend(FILES.iter().flat_map(|file| ["--format", file]));
        self.run(&arguments)
    }

    /// Checks what is true of all reports, and gives the JSON one.
    #[track_caller]
    fn reported(&self, result: &str) -> Value {
        let report = self.json("r.json");
        assert_eq!((&report["format_version"], &report["result"]), (&json!(1), &json!(result)), "{report:#}");
        valid("run", &report);
        for line in self.read("r.jsonl").lines() {
            valid("event", &serde_json::from_str(line).unwrap());
        }
        let xml = self.read("r.xml");
        let xml = roxmltree::Document::parse(&xml).unwrap();
        let number = |name: &str| xml.descendants().filter(|node| node.has_tag_name(name)).count().to_string();
        let root = xml.root_element();
        for (attribute, element) in [("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")] {
            assert_eq!(root.attribute(attribute), Some(number(element).as_str()), "{attribute}");
        }
        assert_eq!(root.attribute("failures") == Some("0"), matches!(result, "done" | "interrupted"));
        report
    }
}

#[track_caller]
fn valid(of: &str, value: &Value) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("schema/{of}.schema.json"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    jsonschema::draft7::validate(&schema, value).unwrap_or_else(|error| panic!("{of}: {error}\n{value:#}"));
    // A schema that takes anything would say the same.
    for key in value.as_object().unwrap().keys().filter(|key| *key == "format_version" || *key == "event") {
        let mut broken = value.clone();
        broken.as_object_mut().unwrap().remove(key);
        assert!(!jsonschema::draft7::is_valid(&schema, &broken), "{of} does not need `{key}`");
    }
}

#[test]
fn a_run_is_reported_in_every_format_and_shown_again_the_same() {
    let scene = Scene::new();
    let Ran(code, out, _) = scene.apply(&["--auto-approve"]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("Plan: 2 to create") && out.contains("Actions in "),
        "files leave the screen to people: {out}"
    );
    let report = scene.reported("done");
    assert_eq!(report["summary"]["created"], report["actions"].as_array().unwrap().len());
    assert!(scene.read("r.md").starts_with("**Apply: done after "));
    let name = report["run"].as_str().unwrap();
    assert_eq!(scene.read("r.jsonl"), scene.read(&format!(".phoenix/runs/{name}.jsonl")));
    for file in FILES {
        let (format, file) = file.split_once('=').unwrap();
        let Ran(code, out, err) = scene.run(&["show", name, "--format", format]);
        assert_eq!((code, err.as_str()), (0, ""), "{format}");
        assert_eq!(out, scene.read(file), "{format}");
    }
}

#[test]
fn failures_are_reported_at_their_place() {
    let scene = Scene::new();
    scene.run(&["node", "init"]);
    scene.write(".phoenix/node/faults.json", r#"[{ "op": "start", "vm": 1001, "how": "fail" }]"#);
    let Ran(code, ..) = scene.apply(&["--auto-approve"]);
    assert_eq!(code, 6);
    let report = scene.reported("failed");
    assert_eq!(report["summary"]["failed"], json!(["1001/start"]));
    let actions = report["actions"].as_array().unwrap();
    let of = |id: &str| actions.iter().find(|action| action["id"] == id).unwrap();
    assert_eq!(of("1001/start")["outcome"], "failed");
    assert!(!of("1001/start")["error"].as_str().unwrap().is_empty());
    assert_eq!(
        (&of("1001/record")["outcome"], &of("1001/record")["because"]),
        (&json!("skipped"), &json!("1001/start"))
    );
    let github = scene.read("r.github");
    assert!(github.contains(
        "::error file=phoenix_vm_configs.json,line=4,endLine=4,col=14,endColumn=17,title=1001 db%3A start::"
    ));
    assert!(scene.read("summary.md").contains("- `1001/start`"));
    assert!(scene.read("r.xml").contains("<skipped message=\"because of 1001/start\"/>"));
}

#[test]
fn a_failure_says_which_key_it_is_about_and_where_that_stands() {
    let scene = Scene::new();
    let config = r#"{
  "vm_defaults": { "boot_disk_size_gb": 40 },
  "virtual_machines": [
    { "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 50 },
    { "vm_id": 1001, "vm_name": "db" }
  ]
}"#;
    scene.write("phoenix_vm_configs.json", config);
    scene.run(&["node", "init"]);
    let faults = r#"[{ "op": "resize", "vm": 1000, "how": "fail" }, { "op": "resize", "vm": 1001, "how": "fail" }]"#;
    scene.write(".phoenix/node/faults.json", faults);
    let Ran(code, out, err) = scene.apply(&["--auto-approve"]);
    assert_eq!(code, 6, "{out}{err}");
    let (own, shared) = ("phoenix_vm_configs.json:4:40", "phoenix_vm_configs.json:2:20");
    for place in [own, shared] {
        assert!(out.contains(&format!("      --> {place}: boot_disk_size_gb\n")), "{place}: {out}");
        assert!(scene.read("r.xml").contains(&format!("--&gt; {place}: boot_disk_size_gb")), "{}", scene.read("r.xml"));
        assert!(scene.read("r.html").contains(place), "{place}");
    }
    assert!(
        scene.read("r.md").contains("- `1000/resize-disk` (`boot_disk_size_gb` at `phoenix_vm_configs.json:4`): "),
        "{}",
        scene.read("r.md")
    );
    assert!(scene.read("r.github").contains("::error file=phoenix_vm_configs.json,line=4,endLine=4,col=40,"));
    let report = scene.reported("failed");
    let actions = report["actions"].as_array().unwrap();
    let failed = actions.iter().find(|action| action["id"] == "1001/resize-disk").unwrap();
    assert_eq!(failed["fault"], json!({ "kind": "failed", "effect": "none", "what": "rehearsed failure" }));
    assert_eq!(failed["keys"], json!(["boot_disk_size_gb"]));
    let place = json!({ "file": "phoenix_vm_configs.json", "line": 2, "column": 20, "keys": ["boot_disk_size_gb"] });
    assert_eq!(failed["places"], json!([place]));
    // Shown again, it is where it stood then, whatever the file says by now.
    scene.write("phoenix_vm_configs.json", "{}");
    let Ran(_, again, _) = scene.run(&["show", report["run"].as_str().unwrap()]);
    assert!(again.contains(&format!("--> {own}: boot_disk_size_gb\n")), "{again}");
}

#[test]
fn a_log_that_knows_no_faults_keys_or_places_is_shown() {
    let scene = Scene::new();
    let failed = json!({
        "v": 1, "seq": 1, "time": "2026-01-02T03:04:05Z", "event": "action_failed", "id": "1000/start", "vm": 1000,
        "name": "web", "action": "start", "error": "no", "hint": "yes", "may_have_happened": false, "stale": false,
        "elapsed_ms": 1
    });
    scene.write("old.jsonl", &format!("{failed}\n"));
    let Ran(code, out, err) = scene.run(&["show", "old.jsonl"]);
    assert_eq!((code, out.as_str()), (0, "✗ 1000 web  start  failed  1 ms\n      no\n      hint: yes\n"), "{err}");
    for format in ["json", "markdown", "junit", "html", "github"] {
        assert_eq!(scene.run(&["show", "old.jsonl", "--format", format]).0, 0, "{format}");
    }
}

#[test]
fn what_was_refused_is_reported_too() {
    let scene = Scene::new();
    // A report of an earlier run must not be taken for one of this.
    scene.write("r.json", "{}");
    let Ran(code, _, err) = scene.apply(&["--expect", &"0123456789abcdef".repeat(4)]);
    assert_eq!(code, 5, "{err}");
    let report = scene.reported("refused");
    assert!(report["refused"]["error"].as_str().unwrap().contains("but 0123456789abcdef"), "{report:#}");
    assert_eq!((report["actions"].as_array().unwrap().len(), scene.read("r.jsonl").as_str()), (0, ""));
    assert!(scene.read("r.txt").starts_with("Nothing was started: the plan has hash "));
    assert!(scene.read("r.html").contains("<b>Nothing was started</b></li>"));
    assert!(scene.read("r.github").starts_with("::error file=phoenix_vm_configs.json,title=nothing was started::"));
    assert_eq!(scene.apply(&[]).0, 4, "nobody to ask");
    assert!(scene.reported("refused")["refused"]["hint"].as_str().unwrap().contains("--auto-approve"));
    scene.write("phoenix_vm_configs.json", "{");
    assert_eq!(scene.apply(&["--auto-approve"]).0, 3);
    assert_eq!(scene.reported("refused")["refused"]["error"], "the config is invalid");
}

#[test]
fn a_moved_vm_of_a_saved_plan_is_reported() {
    let scene = Scene::new();
    assert_eq!(scene.run(&["apply", "--auto-approve"]).0, 0);
    scene.write("phoenix_vm_configs.json", &CONFIG.replace("1024", "512").replace("2048", "768"));
    assert_eq!(scene.run(&["plan", "--out", "plan.json"]).0, 0);
    let conf = scene.path(".phoenix/node/qemu-server/1001.conf");
    fs::write(&conf, fs::read_to_string(&conf).unwrap().replace("memory: 2048", "memory: 4096")).unwrap();
    assert_eq!(scene.apply(&["plan.json"]).0, 5);
    let report = scene.reported("stale");
    assert_eq!(report["moved"][0]["vm"], 1001);
    assert!(report["moved"][0]["what"].as_str().unwrap().contains("found `4096`"), "{report:#}");
    assert!(scene.read("r.md").contains("- 1001: memory\\_mb: planned from `2048`, found `4096`"));
}

#[test]
fn an_interrupted_run_is_reported() {
    use std::io::{BufRead as _, BufReader};
    let scene = Scene::new();
    scene.run(&["node", "init"]);
    let settings = scene.path(".phoenix/node/node.json");
    let mut node: Value = serde_json::from_str(&fs::read_to_string(&settings).unwrap()).unwrap();
    node["latency_ms"] = 60.into();
    fs::write(&settings, node.to_string()).unwrap();
    let mut arguments = vec!["apply", "--auto-approve", "--json", "--parallelism", "1"];
    arguments.extend(FILES.iter().flat_map(|file| ["--format", file]));
    let mut child = scene.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("action_started")));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert!(lines.last().unwrap().contains("run_ended"));
    assert_eq!(child.wait().unwrap().code(), Some(7));
    let report = scene.reported("interrupted");
    assert!(!report["summary"]["not_started"].as_array().unwrap().is_empty());
    assert!(scene.read("r.xml").contains("not started: the run was interrupted"));
}

#[test]
fn standard_output_belongs_to_one_format() {
    let scene = Scene::new();
    let Ran(code, _, err) = scene.run(&["apply", "--auto-approve", "--json", "--format", "markdown"]);
    assert_eq!(code, 4);
    assert!(err.contains("only one format of an apply fits on standard output"), "{err}");
    assert!(!scene.path(".phoenix").exists());
    let Ran(code, out, _) = scene.run(&["create", "1000", "--format", "json"]);
    assert_eq!(code, 0);
    valid("run", &serde_json::from_str(&out).unwrap());
    let Ran(code, out, _) = scene.run(&["apply", "--auto-approve", "--format", "jsonl"]);
    assert_eq!(code, 0);
    for line in out.lines() {
        valid("event", &serde_json::from_str(line).unwrap());
    }
    let Ran(code, _, err) = scene.run(&["apply", "--format", "sarif"]);
    assert_eq!(code, 4);
    assert!(err.contains("it is a format of plans and `phoenix validate`"), "{err}");
}

#[test]
fn one_report_that_cannot_be_written_keeps_no_other() {
    let scene = Scene::new();
    let apply = ["apply", "--auto-approve", "--format", "json=no/where.json", "--format", "junit=r.xml"];
    let Ran(code, _, err) = scene.run(&apply);
    assert_eq!(code, 1);
    assert!(err.contains("cannot write `no/where.json`"), "{err}");
    roxmltree::Document::parse(&scene.read("r.xml")).unwrap();
}

#[test]
fn a_plan_is_annotated_where_it_disrupts() {
    let scene = Scene::new();
    assert_eq!(scene.run(&["apply", "--auto-approve"]).0, 0);
    scene.write("phoenix_vm_configs.json", &CONFIG.replace("1024", "512"));
    let Ran(code, out, err) = scene.run(&["plan", "--format", "github", "--format", "json=plan.json"]);
    assert_eq!(code, 0, "{err}");
    let warning = "::warning file=phoenix_vm_configs.json,line=3,endLine=3,col=5,endColumn=15,title=1000 web%3A update%2C \
                   waits for a restart::memory_mb: 1024 → 512";
    assert!(out.starts_with(warning), "{out}");
    assert!(out.lines().last().unwrap().starts_with("plan "), "{out}");
    assert!(
        scene
            .read("summary.md")
            .starts_with("**Plan: 0 to create, 1 to update, 0 to destroy, 1 unchanged; 1 waits for a restart.")
    );
    valid("plan", &scene.json("plan.json"));
    let Ran(code, shown, _) = scene.run(&["show", "plan.json", "--format", "github"]);
    assert_eq!((code, shown), (0, out));
    let Ran(code, _, err) = scene.run(&["show", "plan.json", "--format", "junit"]);
    assert_eq!(code, 4);
    assert!(err.contains("a plan has no format `junit`"), "{err}");
}

#[test]
fn a_change_that_a_profile_makes_is_annotated_at_the_profile() {
    let scene = Scene::new();
    let config = |memory: u32, cores: u32| {
        format!(
            "{{\n  \"vm_defaults\": {{ \"cpu_cores\": {cores} }},\n  \"profiles\": {{ \"small\": {{\n    \
             \"memory_mb\": {memory} }} }},\n  \"virtual_machines\": [\n    {{ \"vm_id\": 1000, \"vm_name\": \"web\", \
             \"profile\": \"small\" }}\n  ]\n}}\n"
        )
    };
    scene.write("phoenix_vm_configs.json", &config(1024, 2));
    assert_eq!(scene.run(&["apply", "--auto-approve"]).0, 0);
    for (memory, cores, line) in [(512, 2, "line=4"), (1024, 1, "line=2")] {
        scene.write("phoenix_vm_configs.json", &config(memory, cores));
        let Ran(_, out, err) = scene.run(&["plan", "--format", "github"]);
        assert!(out.starts_with(&format!("::warning file=phoenix_vm_configs.json,{line},")), "{out}{err}");
    }
}

/// A story with a text in every place that has one.
fn story(text: &str) -> Story {
    let action =
        ActionName { id: text.into(), vm: VmId::try_from(1000).unwrap(), name: text.into(), action: text.into() };
    let other = ActionName { id: format!("{text}2"), ..action.clone() };
    let failure = failure_saying(text);
    let summary = Summary { failed: vec![text.into()], not_started: vec![text.into()], ..Summary::default() };
    let events = [
        Event::RunStarted { target: text.into(), simulated: true, config: text.into(), vms: 1, actions: 2, acting: 2 },
        Event::ActionStarted { action: action.clone(), expected: Outcome::Create, timeout_seconds: 1 },
        Event::ActionNoticed { action: action.clone(), message: text.into() },
        Event::ActionFailed { action, failure, elapsed_ms: 2_000 },
        Event::ActionSkipped { action: other, because: text.into() },
        Event::RunEnded { summary, vms: Vec::new(), elapsed_ms: 4_000 },
    ];
    let at = |(second, event)| Moment { time: format!("2026-01-02T03:04:0{second}Z"), event };
    let moments: Vec<Moment> = events.into_iter().enumerate().map(at).collect();
    Story::of(text, &moments).sparing(vec![Spared { vm: 1001, what: text.into() }])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_of_a_run_stay_inert(text in prop_oneof![
        Just("a\n::error::owned\r##[error]x\u{1b}]0;t\u{7}\u{202e}</failure>]]><script>`|".to_owned()),
        "[<>&\"'`|:#\\[\\]@! a-z\n\r\t\u{1b}\u{9b}\u{202e}\u{ffff}]{1,40}",
    ]) {
        let refused = Story::refused(&text, "now", Refused { why: text.clone(), hint: Some(text.clone()) });
        for story in [story(&text), refused] {
            let places = Places::of(&text, None);
            let github = run::github(&story, &places);
            for report in [&run::json(&story), &run::markdown(&story), &run::junit(&story), &github] {
                prop_assert!(!report.contains(['\r', '\u{1b}', '\u{9b}', '\u{7}', '\u{202e}']), "{report:?}");
            }
            for line in github.lines() {
                let ours = line.starts_with("::error file=") || line.starts_with("::notice file=");
                prop_assert!(ours || line.starts_with("apply: "), "{line:?}");
                prop_assert!(ours || !line.contains("##["), "{line:?}");
            }
            let junit = run::junit(&story);
            let xml = roxmltree::Document::parse(&junit).unwrap();
            let known = ["testsuites", "testsuite", "testcase", "failure", "skipped", "system-out"];
            prop_assert!(xml.descendants().filter(roxmltree::Node::is_element).all(|e| known.contains(&e.tag_name().name())));
            prop_assert!(!run::markdown(&story).contains("<script>") || text.contains('`'), "only inside of code");
        }
    }
}
