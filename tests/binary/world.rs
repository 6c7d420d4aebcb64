//! A node, a config and the real binary in a directory of their own; and what the node's world looks like.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What is no part of the world: what only the tests put there among it.
const LEFT_OUT: [&str; 11] = [
    "tasks",
    "locks",
    "tmp",
    "processes",
    "faults.json",
    "node.json",
    "victim",
    "sshd.pid",
    "root/proc",
    "root/sys",
    "root/etc/phoenix",
];

/// What operations that run detached leave on a node for good. A job that is left in there is part of the world.
const JOBS: [&str; 4] = ["root/run", "root/run/phoenix", "root/run/phoenix/jobs", "root/run/phoenix/jobs/lock"];

/// Directories of a storage that Proxmox makes with it, and an embedded node when the storage is used.
const STORAGES: [&str; 4] = ["root/var", "root/var/lib", "root/var/lib/vz", "root/var/lib/vz/snippets"];

/// Name of the config.
const CONFIG: &str = "phoenix_vm_configs.json";

/// Applies without asking, and tells events.
pub(crate) const APPLY: [&str; 3] = ["apply", "--auto-approve", "--json"];

/// Says by its exit code whether anything is to be done.
pub(crate) const PLAN: [&str; 2] = ["plan", "--detailed-exitcode"];

/// The real binary.
const PHOENIX: &str = env!("CARGO_BIN_EXE_phoenix");

/// A directory with a config and, once something ran, an embedded node.
pub(crate) struct Scene {
    dir: TempDir,
    /// What phoenix finds in its environment; names its target unless that is the embedded node.
    environment: Vec<(&'static str, String)>,
}

/// How one run of phoenix went.
pub(crate) struct Ran {
    /// Exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// The events of its standard output, when it was asked for JSON.
    pub(crate) events: Vec<Value>,
    /// Standard output as it was.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Ran {
    /// How a run went that left this.
    pub(crate) fn of(output: Output) -> Self {
        let out = String::from_utf8(output.stdout).unwrap();
        let events = out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Self { code: output.status.code(), events, out, err: String::from_utf8(output.stderr).unwrap() }
    }
}

impl Scene {
    /// A scene with a config.
    pub(crate) fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(CONFIG), config).unwrap();
        Self { dir, environment: Vec::new() }
    }

    /// A scene with a config and an embedded node.
    pub(crate) fn with_node(config: &str) -> Self {
        let scene = Self::new(config);
        assert_eq!(scene.phoenix(&["node", "init"]).code, Some(0));
        scene.allow_images();
        scene
    }

    /// The node's administrator allows images where tests put them.
    pub(crate) fn allow_images(&self) {
        let dir = self.path(".phoenix/node/root/etc/phoenix");
        fs::create_dir_all(&dir).unwrap();
        let allowed = serde_json::json!({ "image_paths": [std::env::temp_dir().canonicalize().unwrap(), PathBuf::from("/no/such")] });
        fs::write(dir.join("allow.json"), allowed.to_string()).unwrap();
    }

    /// Another scene that is as this one is, on the embedded node.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new(&self.config());
        let made = fs::create_dir(copy.path(".phoenix")).is_ok()
            && Command::new("cp").arg("-a").arg(self.node()).arg(copy.node()).status().unwrap().success();
        assert!(made, "the node cannot be copied");
        copy
    }

    /// From now on phoenix has this in its environment.
    pub(crate) fn set_environment(&mut self, environment: Vec<(&'static str, String)>) {
        self.environment = environment;
    }

    /// The node's directory.
    pub(crate) fn node(&self) -> PathBuf {
        self.dir.path().join(".phoenix/node")
    }

    /// From now on the config is this.
    pub(crate) fn declare(&self, config: &str) {
        fs::write(self.path(CONFIG), config).unwrap();
    }

    /// The config.
    pub(crate) fn config(&self) -> String {
        fs::read_to_string(self.path(CONFIG)).unwrap()
    }

    /// Changes the first place of the config that says so.
    #[track_caller]
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = self.config();
        assert!(text.contains(from), "`{from}` is not in:\n{text}");
        self.declare(&text.replacen(from, to, 1));
    }

    fn conf_path(&self, vm: u32) -> PathBuf {
        self.node().join(format!("qemu-server/{vm}.conf"))
    }

    /// Whether the node has a VM.
    pub(crate) fn has(&self, vm: u32) -> bool {
        self.conf_path(vm).exists()
    }

    /// The configuration of a VM, which must be there.
    #[track_caller]
    pub(crate) fn conf(&self, vm: u32) -> String {
        fs::read_to_string(self.conf_path(vm)).unwrap()
    }

    /// Somebody else writes the configuration of a VM, or makes it.
    pub(crate) fn set_conf(&self, vm: u32, conf: &str) {
        fs::write(self.conf_path(vm), conf).unwrap();
    }

    /// Somebody else changes the configuration of a VM.
    #[track_caller]
    pub(crate) fn meddle(&self, vm: u32, change: impl FnOnce(&str) -> String) {
        let before = self.conf(vm);
        let after = change(&before);
        assert_ne!(after, before, "nothing was changed");
        self.set_conf(vm, &after);
    }

    /// Whether a VM runs.
    pub(crate) fn runs(&self, vm: u32) -> bool {
        self.node().join(format!("run/{vm}")).exists()
    }

    /// Somebody else starts a VM.
    pub(crate) fn set_running(&self, vm: u32) {
        fs::write(self.node().join(format!("run/{vm}")), "0").unwrap();
    }

    /// Where a file of the scene is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command that runs the real binary here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PHOENIX);
        command.args(arguments);
        self.furnish(&mut command);
        command
    }

    fn furnish(&self, command: &mut Command) {
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command.env_remove("PHOENIX_TARGET").env_remove("NO_COLOR").envs(self.environment.iter().cloned());
    }

    /// Runs the real binary here.
    pub(crate) fn phoenix(&self, arguments: &[&str]) -> Ran {
        Self::ran(&mut self.command(arguments))
    }

    fn ran(command: &mut Command) -> Ran {
        Ran::of(command.output().unwrap())
    }

    /// Applies and reads the events.
    pub(crate) fn apply(&self) -> Ran {
        self.phoenix(&APPLY)
    }

    /// Applies as the process that dies when the script of failures says so, instead of the one that works on the node.
    pub(crate) fn apply_as_victim(&self) -> Ran {
        self.as_victim(&APPLY)
    }

    /// Runs anything as that process.
    pub(crate) fn as_victim(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo $$ >"$0"; exec "$@""#]).arg(self.node().join("victim"));
        command.arg(PHOENIX).args(arguments);
        self.furnish(&mut command);
        Self::ran(&mut command)
    }

    /// Exit code of `plan --detailed-exitcode`: 0 when nothing is to be done, 2 when there are changes.
    pub(crate) fn plan_code(&self) -> Option<i32> {
        self.phoenix(&PLAN).code
    }

    /// Begins an apply whose events can be read while it runs.
    pub(crate) fn begin(&self) -> Running {
        let mut child = self.command(&APPLY).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Running { child, lines }
    }

    /// Scripts failures: the text of the node's `faults.json`.
    pub(crate) fn script_faults(&self, faults: &Value) {
        fs::write(self.node().join("faults.json"), faults.to_string()).unwrap();
    }

    /// Whether every scripted failure has happened.
    pub(crate) fn all_faults_happened(&self) -> bool {
        fs::read_to_string(self.node().join("faults.json")).is_ok_and(|text| text.trim() == "[]")
    }

    /// Sets how many milliseconds every operation of the node takes.
    pub(crate) fn set_latency(&self, ms: u64) {
        let path = self.node().join("node.json");
        let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        settings["latency_ms"] = ms.into();
        fs::write(path, settings.to_string()).unwrap();
    }

    /// The world: every file of the node by path, with what differs from run to run made the same.
    ///
    /// Left out are the history of tasks, lock files (empty), the moment a VM was started, programs of guests that
    /// nobody asked after, and what only the tests put there.
    pub(crate) fn world(&self) -> BTreeMap<String, String> {
        let mut world = BTreeMap::new();
        let node = self.node();
        collect(&node, &node, &mut world);
        world
    }

    /// The exact bytes of the node, history included.
    pub(crate) fn bytes(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut open = vec![self.node()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let content = fs::read(&path).unwrap();
                    files.insert(path, content);
                }
            }
        }
        files
    }
}

/// The run ended with this code, and said all of this, however its lines are broken.
#[track_caller]
pub(crate) fn check(ran: &Ran, code: i32, says: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}{}", ran.out, ran.err);
    let all = format!("{}{}", ran.out, ran.err);
    let one_line = all.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in says {
        assert!(all.contains(text) || one_line.contains(text), "`{text}` is missing in:\n{all}");
    }
}

/// An apply that runs.
pub(crate) struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Running {
    /// Reads on until the action begins. `false`: the run ended before.
    pub(crate) fn reaches(&mut self, action: &str) -> bool {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return false;
            }
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == "action_started" && event["id"] == action {
                return true;
            }
        }
    }

    /// Reads on until an action waits for something that is called like this. `false`: the run ended before.
    pub(crate) fn waits_for(&mut self, what: &str) -> bool {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return false;
            }
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == "action_waiting" && line.contains(what) {
                return true;
            }
        }
    }

    /// Reads on until the run ends: its exit code, and its other events.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<Value>) {
        let events = self.lines.by_ref().lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        (self.child.wait().unwrap().code(), events)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as the kernel does when memory runs out: without a word.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn collect(top: &Path, dir: &Path, world: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(top).unwrap().to_string_lossy().into_owned();
        let of_jobs = JOBS.contains(&name.as_str());
        if LEFT_OUT.contains(&name.as_str()) || (of_jobs && path.is_file()) {
            continue;
        }
        if path.is_dir() {
            if !of_jobs && !STORAGES.contains(&name.as_str()) {
                world.insert(format!("{name}/"), String::new());
            }
            collect(top, &path, world);
        } else if name.starts_with("run/") {
            world.insert(name, "running".to_owned());
        } else if name.ends_with("/fstab") {
            // Volumes do not wait for each other.
            let text = fs::read_to_string(&path).unwrap();
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            world.insert(name, lines.join("\n"));
        } else {
            world.insert(name, normal(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Makes uuids and MAC addresses the same in every run.
fn normal(text: &str) -> String {
    let mut text = text.replace("\\u002d", "-").replace("%3A", ":");
    for (length, groups, separator) in [(36, &[8, 4, 4, 4, 12][..], '-'), (17, &[2; 6][..], ':')] {
        let mut from = 0;
        while let Some(at) = (from..text.len().saturating_sub(length - 1)).find(|at| is(&text, *at, groups, separator))
        {
            text.replace_range(at..at + length, "SAME");
            from = at;
        }
    }
    text
}

/// Whether groups of hex digits with a separator between them stand at a place.
fn is(text: &str, at: usize, groups: &[usize], separator: char) -> bool {
    let mut rest = &text.as_bytes()[at..];
    for (n, length) in groups.iter().enumerate() {
        if n > 0 {
            if rest.first() != Some(&(separator as u8)) {
                return false;
            }
            rest = &rest[1..];
        }
        if rest.len() < *length || !rest[..*length].iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        rest = &rest[*length..];
    }
    true
}

/// The ids of the events of one kind, in order.
pub(crate) fn ids(events: &[Value], kind: &str) -> Vec<String> {
    let of_kind = events.iter().filter(|event| event["event"] == kind);
    of_kind.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}
