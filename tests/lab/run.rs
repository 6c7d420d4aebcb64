//! A lab with a config and its applies: what the stories about guests share.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::guest::Guest;
use crate::node::Lab;

/// A lab with a config and phoenix's own features, and what was done to them since.
pub(crate) struct Story {
    pub(crate) lab: Lab,
    pub(crate) config: Value,
}

/// The events of an apply.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    events: Vec<Value>,
    err: String,
}

impl Run {
    /// The actions that came to this end, in their order.
    pub(crate) fn ids(&self, event: &str) -> Vec<String> {
        let of = self.events.iter().filter(|e| e["event"] == event);
        of.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
    }

    /// The actions that did something.
    pub(crate) fn acted(&self) -> Vec<String> {
        let of = self.events.iter().filter(|e| e["event"] == "action_ended" && e["outcome"] != "no-op");
        of.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
    }

    /// The scripts that ran.
    pub(crate) fn features(&self) -> Vec<String> {
        self.acted().into_iter().filter(|id| id.contains("/feature:")).collect()
    }

    /// Error and hint of the only action that failed.
    #[track_caller]
    pub(crate) fn failure(&self, id: &str) -> String {
        assert_eq!(self.ids("action_failed"), [id], "{self}");
        assert_eq!(self.code, Some(6), "{self}");
        self.told(id).0
    }

    /// Error and hint of an action that failed, and how long it took.
    #[track_caller]
    pub(crate) fn told(&self, id: &str) -> (String, Duration) {
        let of = |event: &&Value| event["event"] == "action_failed" && event["id"] == id;
        let failed = self.events.iter().find(of).unwrap_or_else(|| panic!("{id} did not fail: {self}"));
        let text = format!("{}\n{}", failed["error"].as_str().unwrap(), failed["hint"].as_str().unwrap_or_default());
        (text, Duration::from_millis(failed["elapsed_ms"].as_u64().unwrap()))
    }

    /// What an action said on its way.
    pub(crate) fn notices(&self, id: &str) -> Vec<&str> {
        let of = self.events.iter().filter(|event| event["event"] == "action_noticed" && event["id"] == id);
        of.map(|event| event["message"].as_str().unwrap()).collect()
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "exit code {:?}\n{}", self.code, self.err)?;
        self.events.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}

impl Story {
    #[track_caller]
    pub(crate) fn begin(config: Value) -> Self {
        let lab = Lab::new();
        for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("features")).unwrap().flatten() {
            fs::copy(file.path(), lab.path("features").join(file.file_name())).unwrap();
        }
        let story = Self { lab, config };
        story.save();
        story
    }

    pub(crate) fn save(&self) {
        fs::write(self.lab.path("phoenix_vm_configs.json"), format!("{:#}\n", self.config)).unwrap();
    }

    pub(crate) fn script(&self, name: &str, text: &str) {
        fs::write(self.lab.path(&format!("features/{name}.sh")), format!("#!/usr/bin/env bash\nset -eu\n{text}\n"))
            .unwrap();
    }

    /// An apply.
    pub(crate) fn apply(&self, more: &[&str]) -> Run {
        self.watched(more, |_| {})
    }

    /// An apply whose events are seen as they happen.
    pub(crate) fn watched(&self, more: &[&str], mut see: impl FnMut(&Value)) -> Run {
        // A file, as nobody reads it before the end.
        let err = self.lab.path("stderr");
        let mut command = self.lab.command(&[&["apply", "--auto-approve", "--json"], more].concat());
        let mut apply = command.stdout(Stdio::piped()).stderr(File::create(&err).unwrap()).spawn().unwrap();
        let mut events = Vec::new();
        for line in BufReader::new(apply.stdout.take().unwrap()).lines() {
            let event = serde_json::from_str(&line.unwrap()).unwrap();
            see(&event);
            events.push(event);
        }
        let code = apply.wait().unwrap().code();
        Run { code, events, err: fs::read_to_string(err).unwrap() }
    }

    #[track_caller]
    pub(crate) fn done(&self) -> Run {
        let run = self.apply(&[]);
        assert_eq!(run.code, Some(0), "{run}");
        run
    }

    pub(crate) fn guest(&self, vm: u32) -> Guest {
        Guest::of(&self.lab.node(), vm)
    }

    /// A path of the node's own file system.
    pub(crate) fn on_node(&self, path: &str) -> PathBuf {
        self.lab.node().join("root").join(path)
    }

    pub(crate) fn nfs_pid(&self) -> String {
        fs::read_to_string(self.lab.node().join("nfs/pid")).unwrap().trim().to_owned()
    }
}

#[track_caller]
pub(crate) fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args([name, pid]).status().unwrap().success());
}

/// Presses the reset button of a guest, by QEMU's own monitor.
#[track_caller]
pub(crate) fn reset(node: &Path, vm: u32) {
    let mut monitor = UnixStream::connect(node.join(format!("qemu/{vm}/qmp"))).unwrap();
    let mut answers = BufReader::new(monitor.try_clone().unwrap()).lines();
    let mut answer = || answers.next().unwrap().unwrap();
    assert!(answer().contains("QMP"));
    for order in ["qmp_capabilities", "system_reset"] {
        writeln!(monitor, "{}", json!({ "execute": order })).unwrap();
        while !answer().contains("\"return\"") {}
    }
}

/// Waits until something holds that must come to hold.
#[track_caller]
pub(crate) fn soon(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !holds() {
        assert!(Instant::now() < end, "not within {seconds} s: {what}");
        sleep(Duration::from_millis(200));
    }
}
