//! The action for GitHub and the examples of pipelines: they are YAML, what they call exists, and the action's script
//! runs.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use saphyr::{LoadableYamlNode as _, Yaml};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

const FILES: [&str; 5] = [
    ".github/actions/phoenix-plan/action.yml",
    ".github/examples/phoenix.yml",
    ".github/examples/phoenix.gitlab-ci.yml",
    ".github/workflows/test.yml",
    ".github/workflows/release.yml",
];

/// Every text of a document that is run, with where it stands.
fn scripts(yaml: &Yaml<'_>, found: &mut Vec<String>) {
    if let Some(mapping) = yaml.as_mapping() {
        for (key, value) in mapping {
            match (key.as_str(), value.as_str()) {
                (Some("run"), Some(script)) => found.push(script.to_owned()),
                (Some("script"), None) => {
                    let lines = value.as_vec().unwrap().iter().map(|line| line.as_str().unwrap());
                    found.push(lines.collect::<Vec<_>>().join("\n"));
                }
                _ => scripts(value, found),
            }
        }
    }
    for item in yaml.as_vec().into_iter().flatten() {
        scripts(item, found);
    }
}

fn all_scripts() -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for file in FILES {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let documents = Yaml::load_from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(documents.len(), 1, "{file}");
        let mut found = Vec::new();
        scripts(&documents[0], &mut found);
        assert!(!found.is_empty(), "{file} runs nothing");
        all.extend(found.into_iter().map(|script| (file, script)));
    }
    all
}

#[test]
fn no_value_becomes_part_of_a_script() {
    for (file, script) in all_scripts() {
        assert!(!script.contains("${{"), "{file}: {script}");
    }
}

#[test]
fn what_is_called_can_be_typed() {
    let mut calls = 0;
    for (file, script) in all_scripts() {
        for line in script.lines().filter(|line| line.starts_with("phoenix ")) {
            calls += 1;
            // Asked for help after everything else, phoenix reads its arguments and does nothing.
            let words = shlex::split(line).unwrap();
            let known = |arguments: &[String]| {
                let output = Command::new(env!("CARGO_BIN_EXE_phoenix"))
                    .args(arguments)
                    .env("PHOENIX_TARGET", "embedded:/proc/no")
                    .current_dir(std::env::temp_dir())
                    .stdin(Stdio::null())
                    .output()
                    .unwrap();
                (output.status.code(), String::from_utf8(output.stderr).unwrap())
            };
            for word in words.iter().skip(1).filter(|word| word.starts_with("--")) {
                let (code, help) = known(&[words[1].clone(), "--help".to_owned()]);
                assert_eq!(code, Some(0), "{file}: {line}: {help}");
                let output = Command::new(env!("CARGO_BIN_EXE_phoenix")).args([&words[1], "--help"]).output().unwrap();
                let help = String::from_utf8(output.stdout).unwrap();
                assert!(help.contains(word.as_str()), "{file}: {line}: {word} is unknown");
            }
        }
    }
    assert!(calls >= 4, "the examples call nothing");
}

#[test]
fn shellcheck_has_nothing_to_say() {
    if !support::need("shellcheck", "shellcheck") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (file, script) in all_scripts() {
        let path = dir.path().join("script");
        fs::write(&path, script).unwrap();
        let output = Command::new("shellcheck").args(["--norc", "--shell=bash"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// A runner of GitHub, as far as the action's script sees it.
struct Runner {
    dir: tempfile::TempDir,
}

impl Runner {
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("vms.json"), config).unwrap();
        let runner = Self { dir };
        assert_eq!(runner.phoenix(&["node", "init", "node"]), Some(0));
        runner
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The action: exit code and what it says; the outputs start anew.
    fn act(&self, more: &[(&str, &str)]) -> (Option<i32>, String) {
        fs::write(self.path("summary"), "").unwrap();
        self.bash(&root().join(".github/actions/phoenix-plan/plan"), more)
    }

    /// A step of an example, as GitHub runs it.
    fn step(&self, script: &str, more: &[(&str, &str)]) -> (Option<i32>, String) {
        let file = self.path("step");
        fs::write(&file, format!("set -eo pipefail\n{script}")).unwrap();
        self.bash(&file, more)
    }

    fn bash(&self, script: &Path, more: &[(&str, &str)]) -> (Option<i32>, String) {
        fs::write(self.path("output"), "").unwrap();
        let bin = Path::new(env!("CARGO_BIN_EXE_phoenix")).parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let own = [self.path("bin"), bin];
        let path = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path))).unwrap();
        let output = Command::new("bash")
            .arg(script)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .env_remove("PHOENIX_TARGET")
            .envs([("PATH", path.as_os_str()), ("RUNNER_TEMP", self.path("temp dir").as_os_str())])
            .envs([("GITHUB_OUTPUT", self.path("output")), ("GITHUB_STEP_SUMMARY", self.path("summary"))])
            .envs([("CONFIG", "vms.json"), ("TARGET", "embedded:node"), ("AGAINST", ""), ("ONLY", "")])
            .envs(more.iter().copied())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    fn phoenix(&self, arguments: &[&str]) -> Option<i32> {
        let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        phoenix.args(arguments).args(["--config", "vms.json"]).current_dir(self.dir.path()).stdin(Stdio::null());
        phoenix.env_remove("PHOENIX_TARGET").output().unwrap().status.code()
    }
}

const TWO: &str =
    r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web" }, { "vm_id": 1001, "vm_name": "db" }] }"#;

#[test]
fn the_action_plans_and_what_it_gives_can_be_applied() {
    let runner = Runner::new(TWO);
    let (code, said) = runner.act(&[]);
    assert_eq!(code, Some(0), "{said}");
    let output = runner.read("output");
    let given = |key: &str| output.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
    assert_eq!(given("changes"), "true");
    assert!(fs::read_to_string(given("markdown")).unwrap().starts_with("**Plan: 2 to create"));
    assert!(runner.read("summary").contains("**Plan: 2 to create"), "{}", runner.read("summary"));
    let expect = ["apply", "--target", "embedded:node", "--expect"];
    assert_eq!(runner.phoenix(&[&expect[..], &["0123456789abcdef".repeat(4).as_str()]].concat()), Some(5));
    assert_eq!(runner.phoenix(&[&expect[..], &[given("hash")]].concat()), Some(0));
    let (code, said) = runner.act(&[("ONLY", "web")]);
    assert_eq!(code, Some(0), "{said}");
    assert!(runner.read("output").contains("changes=false\n"));
}

#[test]
fn after_the_merge_the_plan_that_was_agreed_to_is_applied_and_no_other() {
    let runner = Runner::new(TWO);
    fs::rename(runner.path("vms.json"), runner.path("phoenix_vm_configs.json")).unwrap();
    let example = ".github/examples/phoenix.yml";
    let steps: Vec<String> = all_scripts()
        .into_iter()
        .filter(|(file, script)| *file == example && script.starts_with("phoenix "))
        .map(|(_, script)| script.replace("qm+ssh://root@pve1", "embedded:node"))
        .collect();
    let [apply, record] = &steps[..] else { panic!("{steps:?}") };
    let (code, said) = runner.act(&[("CONFIG", "phoenix_vm_configs.json")]);
    assert_eq!(code, Some(0), "{said}");
    let output = runner.read("output");
    let hash = output.lines().find_map(|line| line.strip_prefix("hash=")).unwrap();
    // Nothing was agreed to: nothing is applied.
    let (code, said) = runner.step(apply, &[("HASH", "")]);
    assert_eq!(code, Some(4), "{said}");
    let (code, said) = runner.step(apply, &[("HASH", hash)]);
    assert_eq!(code, Some(0), "{said}");
    // What was merged beside it plans otherwise.
    let (code, said) = runner.step(apply, &[("HASH", hash)]);
    assert_eq!(code, Some(5), "{said}");
    // A pull request is planned against what is recorded then, and needs no way to the node.
    let (code, said) = runner.step(record, &[]);
    assert_eq!(code, Some(0), "{said}");
    fs::remove_dir_all(runner.path("node")).unwrap();
    let against = [("CONFIG", "phoenix_vm_configs.json"), ("TARGET", ""), ("AGAINST", "live.json")];
    let (code, said) = runner.act(&against);
    assert_eq!(code, Some(0), "{said}");
    assert!(runner.read("output").contains("changes=false\n"));
}

/// The jobs of an example: name and content.
fn jobs<'y>(file: &str, document: &'y Yaml<'_>) -> Vec<(String, &'y Yaml<'y>)> {
    let all = if file.ends_with("phoenix.yml") { &document["jobs"] } else { document };
    let mapping = all.as_mapping().unwrap();
    let jobs = mapping.iter().filter(|(_, job)| job.as_mapping().is_some());
    jobs.map(|(name, job)| (name.as_str().unwrap().to_owned(), job)).collect()
}

#[test]
fn what_a_pull_request_says_reaches_no_runner_with_rights() {
    for file in [".github/examples/phoenix.yml", ".github/examples/phoenix.gitlab-ci.yml"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        // It would run with the rights of the repository.
        assert!(!text.contains("pull_request_target") && !text.contains("workflow_run"), "{file}");
        let documents = Yaml::load_from_str(&text).unwrap();
        let (mut proposed, mut trusted) = (0, 0);
        for (name, job) in jobs(file, &documents[0]) {
            let comment = text.split(&format!("\n{name}:\n")).next().unwrap();
            let comment = comment.split(&format!("\n  {name}:\n")).next().unwrap();
            let comment: Vec<&str> = comment.lines().rev().take_while(|line| line.trim().starts_with('#')).collect();
            let trust = comment.last().unwrap_or_else(|| panic!("{file}: no word about {name}")).trim();
            let content = format!("{job:?}");
            let of_merged = ["refs/heads/main", "CI_PIPELINE_SOURCE != ", "environment", "\"apply\""];
            if of_merged.iter().any(|words| content.contains(words)) {
                assert!(trust.starts_with("# Trust: the node."), "{file}, {name}: {trust}");
                trusted += 1;
                continue;
            }
            proposed += 1;
            assert!(trust.starts_with("# Trust: none."), "{file}, {name}: {trust}");
            // A runner with rights, a way to the node, a token that writes, or what the checkout brings along.
            for never in ["proxmox", "self-hosted", "qm", "--target", "\"write\"", "\"./", "--out "] {
                assert!(!content.contains(never), "{file}, {name}: {never}\n{content}");
            }
        }
        assert!(proposed >= 1 && trusted >= 3, "{file}: {proposed}, {trusted}");
    }
}

#[test]
fn the_action_fails_where_phoenix_does_and_runs_no_value() {
    let runner = Runner::new(&TWO.replace("\"db\"", "\"a_b\""));
    let (code, said) = runner.act(&[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("::error file=vms.json,line=1"), "{said}");
    assert_eq!(runner.read("output"), "");
    let runner = Runner::new(TWO);
    for hostile in ["$(touch pwned)", "`touch pwned`", "; touch pwned", "--out=pwned"] {
        for key in ["CONFIG", "TARGET", "AGAINST", "ONLY"] {
            let (code, said) = runner.act(&[(key, hostile)]);
            assert_ne!(code, Some(0), "{key}={hostile}: {said}");
            assert!(!runner.path("pwned").exists(), "{key}={hostile} was run");
            assert_eq!(runner.read("output"), "");
        }
    }
}
