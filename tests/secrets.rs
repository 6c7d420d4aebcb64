//! One canary for all secrets: put wherever one can come from, it must not come out anywhere, whatever is run and
//! however it ends: on no stream, in no report, log, saved plan or recording.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Nothing else looks like it.
const CANARY: &str = "Kanarienvogel7";

const CONFIG: &str = r#"{ "virtual_machines": [
  { "vm_id": 1000, "vm_name": "web", "memory_mb": 1024, "features": ["base_setup"] },
  { "vm_id": 1001, "vm_name": "db", "memory_mb": 2048, "network_config": { "ip": "192.0.2.9/24" }, "user_config": {
    "username": "admin",
    "ssh_authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@desk"]
  } }
] }"#;

/// A directory with a config and an embedded node that holds secrets.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap() };
        scene.config(CONFIG);
        scene.run(&["node", "init"], 0);
        scene.taint(9000);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self, text: &str) {
        fs::write(self.path("phoenix_vm_configs.json"), text).unwrap();
    }

    /// The VM has a password of cloud-init, another that waits for a restart, one in a snapshot, and keys with a
    /// comment.
    fn taint(&self, vm: u32) {
        let path = self.path(&format!(".phoenix/node/qemu-server/{vm}.conf"));
        let text = fs::read_to_string(&path).unwrap();
        let main = text.split("\n\n[").next().unwrap();
        let keys = format!("ssh-ed25519%20AAAA%20{CANARY}");
        let secrets = format!("cipassword: {CANARY}\nsshkeys: {keys}\n");
        let text = format!(
            "{}\n{secrets}\n[PENDING]\ncipassword: {CANARY}2\nsshkeys: {keys}2\n\n[before]\n{secrets}snaptime: 1\n",
            main.trim_end()
        );
        fs::write(path, text).unwrap();
    }

    /// Runs phoenix; the canary is on no stream and in no file but those of the node.
    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) {
        let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        phoenix.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        phoenix.env_remove("PHOENIX_TARGET").env("GITHUB_STEP_SUMMARY", self.path("summary.md"));
        self.checked(&mut phoenix, arguments, code);
    }

    #[track_caller]
    fn checked(&self, phoenix: &mut Command, arguments: &[&str], code: i32) {
        // Whatever a CI system puts there.
        for name in ["PHOENIX_PASSWORD", "PVE_TOKEN", "GITHUB_TOKEN", "SSHPASS"] {
            phoenix.env(name, CANARY);
        }
        let output = phoenix.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&said);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}");
        assert!(!text.contains(CANARY), "{arguments:?} says it:\n{text}");
        search(self.dir.path(), arguments);
    }
}

/// No file below the directory holds it, except the node itself and the config.
#[track_caller]
fn search(dir: &Path, arguments: &[&str]) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with(".phoenix/node") || path.ends_with("phoenix_vm_configs.json") {
            continue;
        }
        if path.is_dir() {
            search(&path, arguments);
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            assert!(!text.contains(CANARY), "{arguments:?} writes it to {}:\n{text}", path.display());
        }
    }
}

/// Every format, on the screen and into a file.
fn everywhere(formats: &[&str], verb: &[&str], run: impl Fn(&[&str])) {
    let files: Vec<String> = formats.iter().map(|format| format!("{format}=report.{format}")).collect();
    let mut words = verb.to_vec();
    words.extend(files.iter().flat_map(|file| ["--format", file.as_str()]));
    run(&words);
    for format in formats {
        run(&[verb, &["--format", format]].concat());
    }
}

const OF_PLANS: [&str; 6] = ["human", "json", "markdown", "html", "github", "sarif"];
const OF_STATUS: [&str; 3] = ["human", "json", "markdown"];
const OF_RUNS: [&str; 7] = ["human", "json", "jsonl", "markdown", "html", "github", "junit"];
const OF_FILES: [&str; 5] = ["human", "json", "github", "sarif", "junit"];

#[test]
fn what_a_node_keeps_secret_stays_there() {
    let scene = Scene::new();
    let ok = |words: &[&str]| scene.run(words, 0);
    everywhere(&OF_FILES, &["validate"], ok);
    everywhere(&OF_PLANS, &["plan"], ok);
    ok(&["plan", "--commands"]);
    // A failed run, then one that mends it.
    fs::write(
        scene.path(".phoenix/node/faults.json"),
        r#"[{ "op": "configure", "vm": 1001, "how": "lose" }, { "op": "start", "vm": 1000, "how": "fail" }]"#,
    )
    .unwrap();
    everywhere(&OF_RUNS[..1], &["apply", "--auto-approve", "--only", "1000"], |words| {
        scene.run(words, if words.contains(&"human=report.human") { 6 } else { 0 });
    });
    everywhere(&OF_RUNS, &["apply", "--auto-approve"], ok);
    for vm in [1000, 1001] {
        scene.taint(vm);
    }
    scene.config(&CONFIG.replace("1024", "512").replace("2048", "768"));
    ok(&["observe"]);
    ok(&["observe", "--out", "live.json"]);
    everywhere(&OF_PLANS, &["plan", "--against", "live.json"], ok);
    everywhere(&OF_PLANS, &["plan"], ok);
    everywhere(&OF_STATUS, &["status"], ok);
    for words in
        [&["plan", "--commands"][..], &["plan", "--out", "plan.json"], &["graph"], &["graph", "--format", "dot"]]
    {
        ok(words);
    }
    everywhere(&OF_PLANS, &["show", "plan.json"], ok);
    everywhere(&OF_RUNS, &["apply", "plan.json"], ok);
    // Refused, and moved since it was planned.
    let conf = scene.path(".phoenix/node/qemu-server/1000.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text.replace("memory: 512", "memory: 640")).unwrap();
    everywhere(&OF_RUNS, &["apply", "plan.json"], |words| scene.run(words, 5));
    everywhere(&OF_RUNS, &["apply", "--expect", &"0123456789abcdef".repeat(4)], |words| scene.run(words, 5));
    for words in [&["log"][..], &["node", "show"]] {
        ok(words);
    }
    let runs: Vec<PathBuf> =
        fs::read_dir(scene.path(".phoenix/runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(runs.len() > 10);
    everywhere(&OF_RUNS, &["show", runs[0].to_str().unwrap()], ok);
}

/// Somebody puts the wrong half of a key there, or a password where none belongs.
#[test]
fn a_private_key_or_password_in_the_config_is_repeated_nowhere() {
    let scene = Scene::new();
    let key = format!("-----BEGIN OPENSSH PRIVATE KEY-----\\nb3Bl{CANARY}\\n-----END OPENSSH PRIVATE KEY-----\\n");
    let user = |value: &str| CONFIG.replace("\"user_config\": {", &format!("\"user_config\": {{ {value},"));
    for config in [
        CONFIG.replace("\"ssh-ed25519", &format!("\"{key}\", \"ssh-ed25519")),
        CONFIG.replace("[\"ssh-ed25519", &format!("\"{key}\"}} }}, [\"")),
        CONFIG.replace("\"admin\"", &format!("\"{key}\"")),
        CONFIG.replace("\"web\"", &format!("\"{key}\"")),
        user(&format!("\"password\": \"{CANARY}\"")),
        user(&format!("\"cipassword\" :\"{CANARY}\"")),
    ] {
        scene.config(&config);
        everywhere(&OF_FILES, &["validate"], |words| scene.run(words, 3));
        scene.run(&["plan"], 3);
        everywhere(&OF_RUNS, &["apply", "--auto-approve"], |words| scene.run(words, 3));
    }
}

#[test]
fn a_password_in_a_target_is_repeated_nowhere() {
    let scene = Scene::new();
    for target in [format!("qm+ssh://root:{CANARY}@pve1"), format!("https://root@pam:{CANARY}@pve1:8006")] {
        everywhere(&OF_PLANS, &["plan", "--target", &target], |words| scene.run(words, 4));
        everywhere(&OF_RUNS, &["apply", "--auto-approve", "--target", &target], |words| scene.run(words, 4));
        scene.run(&["observe", "--target", &target], 4);
        let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        phoenix.arg("plan").current_dir(scene.dir.path()).env("PHOENIX_TARGET", &target).stdin(Stdio::null());
        scene.checked(&mut phoenix, &["plan"], 4);
        let block = format!(r#"{{ "hypervisor": {{ "target": "{target}" }}, "#);
        scene.config(&CONFIG.replacen('{', &block, 1));
        everywhere(&OF_FILES, &["validate"], |words| scene.run(words, 3));
        scene.run(&["plan"], 3);
        scene.config(CONFIG);
    }
}
