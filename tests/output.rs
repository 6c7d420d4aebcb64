//! Where output goes that is not read, or cannot be written: work goes on without it, and its loss is told.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long what must happen may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// So many VMs that their events do not fit into a pipe.
const MANY: u32 = 90;

struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new(vms: u32) -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap() };
        let vms: Vec<Value> = (0..vms)
            .map(|n| serde_json::json!({ "vm_id": 1000 + n, "vm_name": format!("v{n}"), "memory_mb": 64 }))
            .collect();
        let config = serde_json::json!({ "virtual_machines": vms });
        fs::write(scene.path("phoenix_vm_configs.json"), config.to_string()).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn phoenix(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        for name in ["PHOENIX_TARGET", "NO_COLOR", "GITHUB_STEP_SUMMARY"] {
            command.env_remove(name);
        }
        command
    }

    fn made(&self) -> usize {
        let named = |id: u32| self.path(&format!(".phoenix/node/qemu-server/{id}.conf")).exists();
        (1000..1000 + MANY).filter(|id| named(*id)).count()
    }
}

/// A child that a failed test leaves nothing of.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn until(what: &str, is: &mut dyn FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Neither stream is read until all VMs are made, and then everything is there.
#[test]
fn an_apply_goes_on_while_its_output_is_not_read() {
    for arguments in [&["apply", "--auto-approve", "--json"][..], &["apply", "--auto-approve"]] {
        let scene = Scene::new(MANY);
        let (mut out, writer) = std::io::pipe().unwrap();
        // Where both streams are one file, the order of what stands there stays; what is said to people is no JSON.
        let (_never_read, other) = std::io::pipe().unwrap();
        let json = arguments.contains(&"--json");
        let errors = if json { other } else { writer.try_clone().unwrap() };
        let mut phoenix = Running(scene.phoenix(arguments).stdout(writer).stderr(errors).spawn().unwrap());
        until("making all VMs", &mut || scene.made() == usize::try_from(MANY).unwrap());
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        assert_eq!(phoenix.0.wait().unwrap().code(), Some(0), "{text}");
        assert!(text.len() > 1 << 16, "what was not read fits into a pipe: {}", text.len());
        if json {
            let seqs: Vec<u64> = text
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap())
                .collect();
            assert_eq!(seqs, (1..=u64::try_from(seqs.len()).unwrap()).collect::<Vec<_>>());
            assert!(text.lines().last().unwrap().contains("run_ended"), "{text}");
        } else {
            assert!(text.contains("Actions in"), "{text}");
        }
    }
}

/// Output that is never read ends nothing but itself: the work is done, and that its output is lost is an error.
#[test]
fn output_that_is_never_read_is_an_error_at_the_end() {
    let scene = Scene::new(MANY);
    let (_never_read, writer) = std::io::pipe().unwrap();
    let apply = ["apply", "--auto-approve", "--json", "--format", "json=report.json"];
    let output = scene.phoenix(&apply).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: nothing reads standard output: its last ") && said.contains("hint: "), "{said}");
    let report: Value = serde_json::from_str(&fs::read_to_string(scene.path("report.json")).unwrap()).unwrap();
    assert_eq!(report["summary"]["failed"].as_array().map(Vec::len), Some(0), "{report}");
    assert_eq!(scene.made(), usize::try_from(MANY).unwrap());
}

/// Whatever a verb prints, that it cannot be printed is an error, and `| head` is none.
#[test]
fn what_cannot_be_written_is_an_error_for_every_verb() {
    let scene = Scene::new(2);
    let done = scene.phoenix(&["apply", "--auto-approve", "--format", "jsonl=run.jsonl"]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    fs::write(scene.path("old.json"), r#"{ "vms": [{ "vmid": 1000, "name": "web" }] }"#).unwrap();
    let saved = scene.phoenix(&["plan", "--out", "saved.plan"]).output().unwrap();
    assert!(saved.status.success(), "{saved:?}");
    let help = scene.phoenix(&["--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let listed = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let mut untold: BTreeSet<&str> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    let table: &[&[&str]] = &[
        &["--help"],
        &["--version"],
        &["help"],
        &["apply", "--help"],
        &["validate"],
        &["validate", "--format", "json"],
        &["fmt", "--check"],
        &["plan"],
        &["plan", "--commands"],
        &["plan", "--format", "markdown"],
        &["plan", "--detailed-exitcode"],
        &["status"],
        &["status", "--format", "json"],
        &["doctor"],
        &["doctor", "--format", "json"],
        &["observe"],
        &["inventory"],
        &["inventory", "--format", "json"],
        &["log"],
        &["show", "run.jsonl"],
        &["show", "saved.plan", "--format", "html"],
        &["graph"],
        &["schema"],
        &["schema", "--of", "plan"],
        &["init", "new"],
        &["node", "show"],
        &["completions", "bash"],
        &["complete", "1", "--", "phoenix", ""],
        &["stop", "1000", "--auto-approve"],
        &["start", "1000", "--json"],
        &["restart", "1000", "--auto-approve"],
        &["create", "1001", "--format", "json"],
        &["apply", "--auto-approve"],
        &["apply", "--auto-approve", "--json"],
        &["apply", "--auto-approve", "--format", "markdown"],
        &["destroy", "1001", "--yes-destroy", "1001"],
        &["forget", "1000", "--auto-approve"],
        &["convert", "old.json"],
    ];
    for arguments in table {
        untold.remove(arguments[0]);
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = scene.phoenix(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        let wanted = "error: cannot write standard output\n  because: No space left on device";
        assert!(said.contains(wanted), "{arguments:?}: {said}");
        // Destroying ended a VM; everything else can be asked for again.
        let (closed, writer) = std::io::pipe().unwrap();
        drop(closed);
        let output = scene.phoenix(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("standard output") && !said.contains("ipe"), "{arguments:?}: {said}");
    }
    // They need a terminal, print only to people, become another program, or need what no other verb does.
    let silent = ["console", "man", "import", "rollback", "ssh"];
    assert_eq!(untold.into_iter().collect::<Vec<_>>(), Vec::from_iter(BTreeSet::from(silent)));
}

/// The same for the files that formats go to.
#[test]
fn a_format_that_cannot_be_written_is_an_error_that_names_its_file() {
    let scene = Scene::new(2);
    fs::write(scene.path("run.jsonl"), "").unwrap();
    let verbs: &[&[&str]] =
        &[&["apply", "--auto-approve"], &["create", "1000"], &["plan"], &["validate"], &["status"], &["show", "plan"]];
    let saved = scene.phoenix(&["plan", "--out", "plan"]).output().unwrap();
    assert!(saved.status.success(), "{saved:?}");
    for verb in verbs {
        for (file, why) in [("/dev/full", "No space left on device"), ("missing/file", "No such file or directory")] {
            let format = format!("json={file}");
            let output = scene.phoenix(&[verb, &["--format", &format][..]].concat()).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{verb:?} {file}: {said}");
            assert!(said.contains(&format!("error: cannot write `{file}`\n  because: {why}")), "{verb:?}: {said}");
        }
    }
    let full = fs::metadata("/dev/full").unwrap();
    assert!(!full.is_file(), "a device is written to, and not replaced");
    let output = scene.phoenix(&["validate", "--format", "json=/dev/stdout"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("\n{\n"));
}
