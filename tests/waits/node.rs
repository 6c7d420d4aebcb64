//! An embedded node on which one call of one VM goes as it went on a real node.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use phoenix::backend::embedded::Embedded;
use phoenix::backend::qm::{Layout, Qm};
use phoenix::backend::runner::{self, Output, Runner, Sockets, Ssh};
use phoenix::hypervisor::{Cloning, Fault, GuestAddress, GuestStatus, Guests, HostOp, Hypervisor, Plugged};
use phoenix::model::{ActionKind, VmId};
use phoenix::observed::VmObserved;

use crate::around::Around;

/// The VM with the trouble.
const VM: u32 = 1000;

/// Recorded: what cloud-init printed where the image lacked a locale.
pub(crate) const CLOUD_INIT_ERROR: &str = r#"{
  "_schema_version": "1",
  "boot_status_code": "enabled-by-generator",
  "datasource": "nocloud",
  "detail": "('locale', ProcessExecutionError(\"Unexpected error while running command.\\nCommand: ['update-locale', '--locale-file=/etc/default/locale', 'LANG=en_US.UTF-8']\\nExit code: 255\\nReason: -\\nStdout: -\\nStderr: -\"))",
  "errors": [
    "('locale', ProcessExecutionError(\"Unexpected error while running command.\\nCommand: ['update-locale', '--locale-file=/etc/default/locale', 'LANG=en_US.UTF-8']\\nExit code: 255\\nReason: -\\nStdout: -\\nStderr: -\"))"
  ],
  "status": "error"
}
"#;

/// The call that goes wrong.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum At {
    #[default]
    Clone,
    Ping,
    /// Asking for the guest's addresses.
    Addresses,
    /// Starting this program in the guest.
    Start(&'static str),
    /// Asking how this program went.
    Status(&'static str),
}

/// How it goes.
#[derive(Clone, Copy, Default)]
pub(crate) enum Goes {
    /// `qm` ends with this status and these words.
    Refused(i32, &'static str),
    /// So it does, and the VM is off.
    Stopped(i32, &'static str),
    /// `qm` prints this.
    Prints(&'static str),
    /// The job on the node ends with this status and prints this.
    Job(i32, &'static str, &'static str),
    /// The program in the guest ends with this code and prints this.
    Ends(i32, &'static str, &'static str),
    /// The program in the guest does not end.
    Runs,
    /// Nobody answers any more, whatever is asked.
    #[default]
    Unreachable,
}

/// One thing that goes wrong, and what shall come of it.
pub(crate) struct Case<'a> {
    pub(crate) at: At,
    pub(crate) goes: Goes,
    /// How often it goes so.
    pub(crate) times: u32,
    /// What fails; `None`: nothing does.
    pub(crate) fails: Option<ActionKind>,
    /// What the error says.
    pub(crate) error: &'a [&'a str],
    /// What the hint says.
    pub(crate) hint: &'a [&'a str],
    /// What is told although nothing fails.
    pub(crate) notices: &'a [&'a str],
    /// The action fails because its time is over.
    pub(crate) late: bool,
    /// Keys of the VM besides its id, name and feature.
    pub(crate) keys: &'a str,
}

impl Default for Case<'_> {
    fn default() -> Self {
        let (at, goes) = (At::default(), Goes::default());
        Self { at, goes, times: u32::MAX, fails: None, error: &[], hint: &[], notices: &[], late: false, keys: "" }
    }
}

/// Id of the action of this kind that fails.
pub(crate) fn id(kind: ActionKind) -> String {
    let id = match kind {
        ActionKind::Clone => "clone",
        ActionKind::AwaitAgent => "await-agent",
        ActionKind::AwaitCloudInit => "await-cloud-init",
        ActionKind::ExportShare => "export-share",
        ActionKind::Mount => "mount:/persistent-storage",
        ActionKind::StageScripts => "stage-scripts",
        ActionKind::Feature => "feature:base_setup",
        other => panic!("no case fails at {other:?}"),
    };
    format!("{VM}/{id}")
}

/// What the node's programs print.
struct Scripted(Goes);

impl Runner for Scripted {
    fn run(&self, command: &runner::Command) -> Result<Output, Fault> {
        let words: Vec<&str> = command.argv.iter().map(String::as_str).collect();
        let (status, stdout, stderr) = match (self.0, words.as_slice()) {
            (Goes::Job(status, stdout, stderr), ["/bin/sh", "-c", _, "phoenix-job", ..]) => {
                (0, format!("phoenix-job ended {status}\n{stdout}"), stderr)
            }
            (Goes::Refused(status, stderr) | Goes::Stopped(status, stderr), ["qm", ..]) => {
                (status, String::new(), stderr)
            }
            (Goes::Prints(stdout), ["qm", ..]) => (0, stdout.to_owned(), ""),
            (Goes::Ends(code, out, err), ["qm", "guest", "exec-status", ..]) => {
                let ended = serde_json::json!({ "exited": 1, "exitcode": code, "out-data": out, "err-data": err });
                (0, ended.to_string(), "")
            }
            (Goes::Runs, ["qm", "guest", "exec-status", ..]) => (0, r#"{ "exited": 0 }"#.to_owned(), ""),
            // No socket of the agent here: `qm` is asked.
            (_, ["perl", ..]) => (3, String::new(), "no such socket"),
            (_, other) => panic!("nobody said how {other:?} goes"),
        };
        Ok(Output { status, stdout: stdout.into_bytes(), stderr: stderr.to_owned() })
    }

    fn place(&self) -> String {
        "the node".to_owned()
    }
}

/// The node.
pub(crate) struct Troubled {
    node: Embedded,
    /// The node as phoenix's back end for Proxmox sees it while there is trouble.
    qm: Qm,
    dir: PathBuf,
    at: At,
    goes: Goes,
    left: AtomicU32,
    /// The connection is gone.
    gone: AtomicBool,
    /// Whether the program asked after is the one with the trouble.
    asked: AtomicBool,
}

/// Any pid that the embedded node does not give.
const PID: u64 = 12;

impl Troubled {
    pub(crate) fn new(dir: &Path, case: &Case<'_>) -> Self {
        let runner: Box<dyn Runner> = if matches!(case.goes, Goes::Unreachable) {
            // A port that was free a moment ago: nobody listens there.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let sockets = Sockets::Own(Arc::new(tempfile::tempdir().unwrap()));
            Box::new(Ssh::new(None, "127.0.0.1", Some(port), sockets))
        } else {
            Box::new(Scripted(case.goes))
        };
        Self {
            node: Embedded::open(dir).unwrap(),
            qm: Qm::new(runner, Layout::default()),
            dir: dir.to_owned(),
            at: case.at,
            goes: case.goes,
            left: AtomicU32::new(case.times),
            gone: AtomicBool::new(false),
            asked: AtomicBool::new(false),
        }
    }

    /// Whether this call goes wrong.
    fn is_at(&self, at: At) -> bool {
        if self.at != at || self.left.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.left.fetch_sub(1, Ordering::Relaxed);
        match self.goes {
            Goes::Unreachable => self.gone.store(true, Ordering::Relaxed),
            Goes::Stopped(..) => drop(fs::remove_file(self.dir.join(format!("run/{VM}")))),
            _ => {}
        }
        true
    }

    fn looked(&self, vm: VmId) -> &dyn Hypervisor {
        if vm.get() == VM && self.gone.load(Ordering::Relaxed) { &self.qm } else { &self.node }
    }
}

impl Around for Troubled {
    fn inner(&self) -> &dyn Hypervisor {
        &self.node
    }
    fn vm(&self, vm: VmId) -> Result<Option<VmObserved>, Fault> {
        self.looked(vm).vm(vm)
    }
    fn volumes(&self, vm: VmId) -> Result<Vec<String>, Fault> {
        self.looked(vm).volumes(vm)
    }
    fn cloning(&self, vm: VmId) -> Result<Cloning, Fault> {
        self.looked(vm).cloning(vm)
    }
    fn working(&self, vm: VmId) -> Result<Option<String>, Fault> {
        self.looked(vm).working(vm)
    }
    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        let clone = matches!(op, HostOp::Clone { target, .. } if target.get() == VM);
        if clone && self.is_at(At::Clone) { self.qm.perform(op, deadline) } else { self.node.perform(op, deadline) }
    }
    fn guests(&self) -> &dyn Guests {
        self
    }
}

impl Guests for Troubled {
    fn ping(&self, vm: VmId) -> Result<(), Fault> {
        if vm.get() == VM && self.is_at(At::Ping) { self.qm.ping(vm) } else { self.node.guests().ping(vm) }
    }
    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault> {
        let ours = vm.get() == VM && self.is_at(At::Addresses);
        if ours { self.qm.addresses(vm) } else { self.node.guests().addresses(vm) }
    }
    fn online(&self, vm: VmId, what: Plugged) -> Result<u64, Fault> {
        self.node.guests().online(vm, what)
    }
    fn start(&self, vm: VmId, argv: &[String], input: &[u8]) -> Result<u64, Fault> {
        // The name of a script is its `$0`.
        let program: &'static str = PROGRAMS.iter().find(|name| argv.iter().any(|word| word == *name)).unwrap();
        let ours = vm.get() == VM;
        if ours && self.is_at(At::Start(program)) {
            return self.qm.start(vm, argv, input);
        }
        let asked = ours && self.is_at(At::Status(program));
        self.asked.store(asked, Ordering::Relaxed);
        if asked { Ok(PID) } else { self.node.guests().start(vm, argv, input) }
    }
    fn status(&self, vm: VmId, pid: u64) -> Result<GuestStatus, Fault> {
        if self.asked.load(Ordering::Relaxed) && pid == PID {
            self.qm.status(vm, pid)
        } else {
            self.node.guests().status(vm, pid)
        }
    }
}

/// What phoenix runs in guests.
const PROGRAMS: [&str; 6] =
    ["cloud-init", "phoenix-mount", "phoenix-unmount", "phoenix-stage", "phoenix-feature", "phoenix-feature-result"];
