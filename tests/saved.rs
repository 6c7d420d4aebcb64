//! Saved plans, recordings and formats: what was reviewed is what is done, and nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A directory with a config and an embedded node.
struct Scene {
    dir: TempDir,
}

const CONFIG: &str = r#"{ "virtual_machines": [
  { "vm_id": 1000, "vm_name": "web", "memory_mb": 1024, "features": ["base_setup"] },
  { "vm_id": 1001, "vm_name": "db", "memory_mb": 2048, "tags": ["data"] }
] }"#;

/// How a run of phoenix went: exit code, standard output, standard error.
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

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        phoenix.args(arguments).current_dir(self.dir.path()).env_remove("PHOENIX_TARGET").stdin(Stdio::null());
        let output = phoenix.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran(output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn check(&self, arguments: &[&str], code: i32, says: &[&str]) -> String {
        let Ran(found, out, err) = self.run(arguments);
        assert_eq!(found, code, "{arguments:?}\n{out}{err}");
        for text in says {
            assert!(out.contains(text) || err.contains(text), "`{text}` is missing in\n{out}{err}");
        }
        out
    }

    fn edit_node(&self, vm: u32, from: &str, to: &str) {
        let path = self.path(&format!(".phoenix/node/qemu-server/{vm}.conf"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }
}

#[test]
fn a_saved_plan_is_carried_out_without_a_question_and_twice_is_nothing() {
    let scene = Scene::new();
    scene.check(&["plan", "--out", "plan.json"], 0, &["saved in plan.json", "Plan hash "]);
    let shown = scene.check(&["show", "plan.json"], 0, &["2 to create"]);
    let fresh = scene.check(&["plan"], 0, &[]);
    assert_eq!(shown, fresh, "a saved plan looks like a fresh one");
    scene.check(&["apply", "plan.json"], 0, &["Actions in"]);
    scene.check(&["apply", "plan.json"], 0, &["0 create, 0 update"]);
    scene.check(&["plan", "--detailed-exitcode"], 0, &[]);
}

#[test]
fn a_vm_that_moved_is_left_alone_and_the_others_are_done() {
    let scene = Scene::new();
    scene.check(&["apply", "--auto-approve"], 0, &[]);
    scene.write("phoenix_vm_configs.json", &CONFIG.replace("1024", "512").replace("2048", "768"));
    scene.check(&["plan", "--out", "plan.json"], 0, &[]);
    scene.edit_node(1000, "memory: 1024", "memory: 640");
    let says = ["VM 1000 changed since the plan: memory_mb: planned from `1024`, found `640`"];
    scene.check(&["apply", "plan.json"], 5, &says);
    assert!(scene.read(".phoenix/node/qemu-server/1000.conf").contains("memory: 640"));
    assert!(scene.read(".phoenix/node/qemu-server/1001.conf").contains("memory: 768"));
    // Something that was not planned for the VM is not done either.
    let scene = Scene::new();
    scene.check(&["apply", "--auto-approve"], 0, &[]);
    scene.write("phoenix_vm_configs.json", &CONFIG.replace("1024", "512"));
    scene.check(&["plan", "--out", "plan.json"], 0, &[]);
    scene.edit_node(1001, "tags: data", "tags: other");
    let says = ["VM 1001 changed since the plan: tags: no change was planned, found `other`"];
    scene.check(&["apply", "plan.json"], 5, &says);
    assert!(scene.read(".phoenix/node/qemu-server/1001.conf").contains("tags: other"));
    assert!(scene.read(".phoenix/node/qemu-server/1000.conf").contains("memory: 512"));
}

#[test]
fn a_changed_config_or_script_makes_a_saved_plan_stale() {
    let scene = Scene::new();
    fs::create_dir(scene.path("features")).unwrap();
    scene.write("features/base_setup.sh", "true\n");
    scene.check(&["plan", "--out", "plan.json"], 0, &[]);
    scene.write("features/base_setup.sh", "false\n");
    scene.check(&["apply", "plan.json"], 5, &["or a script changed since it was planned; nothing was done"]);
    scene.write("features/base_setup.sh", "true\n");
    scene.write("phoenix_vm_configs.json", &CONFIG.replace("1024", "512"));
    scene.check(&["apply", "plan.json"], 5, &["changed since it was planned"]);
    assert!(!scene.path(".phoenix/node/qemu-server/1000.conf").exists());
    scene.write("phoenix_vm_configs.json", CONFIG);
    scene.check(&["apply", "plan.json"], 0, &[]);
}

#[test]
fn only_the_expected_plan_is_carried_out() {
    let scene = Scene::new();
    let out = scene.check(&["plan"], 0, &[]);
    let hash = out.split_once("Plan hash ").unwrap().1.lines().next().unwrap().to_owned();
    let other = "0123456789abcdef".repeat(4);
    scene.check(&["apply", "--expect", &other], 5, &["but 0123456789abcdef", "nothing was done"]);
    // The beginning of a hash is none, nor is one written otherwise.
    for none in [&hash[..16], &hash[..63], &format!("{hash}0"), &hash.to_uppercase(), ""] {
        scene.check(&["apply", "--expect", none], 4, &["a plan hash has 64 characters"]);
    }
    assert!(!scene.path(".phoenix/node/qemu-server/1000.conf").exists());
    scene.check(&["apply", "--expect", &hash], 0, &[]);
    scene.check(&["apply", "--expect", &hash], 5, &["nothing was done"]);
}

#[test]
fn a_plan_against_a_recording_is_the_plan_of_the_target() {
    let scene = Scene::new();
    scene.check(&["apply", "--auto-approve"], 0, &[]);
    scene.edit_node(1000, "memory: 1024", "cipassword: hunter2\nmemory: 640");
    scene.check(&["observe", "--out", "live.json"], 0, &["recorded embedded:"]);
    assert!(!scene.read("live.json").contains("hunter2"), "a recording has no secret");
    let hash = |arguments: &[&str]| {
        let out = scene.check(arguments, 0, &[]);
        out.split_once("Plan hash ").unwrap().1.lines().next().unwrap().to_owned()
    };
    let live = hash(&["plan"]);
    // Without any node.
    fs::rename(scene.path(".phoenix"), scene.path("gone")).unwrap();
    assert_eq!(hash(&["plan", "--against", "live.json"]), live);
    scene.check(&["plan", "--against", "live.json"], 0, &["as recorded just now", "640 → 1024"]);
    assert!(!scene.path(".phoenix").exists(), "nothing is made where nothing is looked at");
    scene.write("live.json", "{}");
    scene.check(&["plan", "--against", "live.json"], 4, &["`live.json` is not a recording", "phoenix observe --out"]);
}

#[test]
fn formats_are_printed_and_written() {
    let scene = Scene::new();
    let out = scene.check(&["plan", "--format", "json", "--format", "markdown=plan.md"], 0, &[]);
    let document: Value = serde_json::from_str(&out).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../schema/plan.schema.json")).unwrap();
    jsonschema::draft7::validate(&schema, &document).unwrap();
    assert_eq!((&document["summary"]["create"], &document["vms"][0]["vm"]), (&2.into(), &1000.into()));
    let markdown = scene.read("plan.md");
    assert!(markdown.starts_with("**Plan: 2 to create, 0 to update, 0 to destroy, 0 unchanged.**\n"), "{markdown}");
    // A file alone leaves the screen to people.
    let out = scene.check(&["plan", "--format", "json=plan.json"], 0, &[]);
    assert!(out.starts_with("Target ") && scene.json("plan.json")["hash"] == document["hash"]);
    scene.check(&["plan", "--format", "gitlab"], 4, &["`gitlab` is not one of human, json, markdown, html"]);
}

#[test]
fn markdown_takes_nothing_from_a_value_and_stays_short() {
    let scene = Scene::new();
    let hostile = "`</details><script>alert(1)</script> | @all **x** ";
    let vm = |n: u32| format!(r#"{{ "vm_id": {n}, "vm_name": "vm{n}", "description": "{}" }}"#, hostile.repeat(3));
    let config = |count: u32| {
        let vms: Vec<String> = (0..count).map(|n| vm(2000 + n)).collect();
        format!(r#"{{ "virtual_machines": [{}] }}"#, vms.join(","))
    };
    scene.write("phoenix_vm_configs.json", &config(2));
    let out = scene.check(&["plan", "--format", "markdown"], 0, &[]);
    let rows: Vec<&str> = out.lines().filter(|line| line.contains("alert(1)")).collect();
    assert_eq!(rows.len(), 2, "{out}");
    for row in rows {
        // One code span in one cell, that nothing in the text ends.
        assert!(row.starts_with("| `description` |  | `` `</details><script>"), "{row}");
        assert_eq!(row.replace("\\|", "").matches('|').count(), 5, "{row}");
        assert_eq!(row.matches("``").count(), 2, "{row}");
    }
    scene.write("phoenix_vm_configs.json", &config(300));
    let out = scene.check(&["plan", "--format", "markdown"], 0, &["more VMs are left out here"]);
    assert!(out.chars().count() <= 65_000 && out.chars().count() > 50_000, "{}", out.chars().count());
}

#[test]
fn a_run_is_logged_and_told_again() {
    let scene = Scene::new();
    scene.check(&["log"], 0, &["No run has been logged here yet"]);
    let out = scene.check(&["apply", "--auto-approve"], 0, &[]);
    let lived = out.split_once("0 unchanged.\n\n").unwrap().1;
    let runs = || {
        let mut names: Vec<String> = fs::read_dir(scene.path(".phoenix/runs"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let first = runs()[0].trim_end_matches(".jsonl").to_owned();
    assert_eq!(scene.check(&["show", &first], 0, &[]), lived);
    scene.check(&["show", &first, "--format", "sarif"], 4, &["a run has no format `sarif`", "junit"]);
    let listed = scene.check(&["log"], 0, &["2 VMs: 2 created (embedded node)"]);
    assert!(listed.contains(&first), "{listed}");
    // One that was killed has half a line at its end.
    let text = scene.read(&format!(".phoenix/runs/{first}.jsonl"));
    let cut = text.lines().take(5).collect::<Vec<_>>().join("\n");
    scene.write(".phoenix/runs/0.jsonl", &cut[..cut.len() - 7]);
    scene.check(&["show", "0"], 0, &["The run did not finish"]);
    scene.write(".phoenix/runs/0.jsonl", "{\"v\":1}\nx\n");
    scene.check(&["show", "0"], 1, &["line 1: not an event"]);
    // Fifty are kept.
    for n in 0..60 {
        scene.write(&format!(".phoenix/runs/{n:02}.jsonl"), "");
    }
    scene.check(&["apply", "--auto-approve"], 0, &[]);
    let kept = runs();
    assert_eq!(kept.len(), 50);
    assert!(kept.contains(&format!("{first}.jsonl")) && !kept.contains(&"00.jsonl".to_owned()));
    // Where nothing can be written, it is told, and done all the same.
    fs::remove_dir_all(scene.path(".phoenix/runs")).unwrap();
    scene.write(".phoenix/runs", "");
    scene.check(&["apply", "--auto-approve"], 0, &["are not logged in"]);
}
