//! The programs of a Proxmox VE node, for tests: `qm`, `pvesh`, `pvesm` and what else phoenix calls there, over an
//! embedded node. `doubles NODE_DIR PROGRAM ARGUMENT…`
//!
//! They answer as the recordings of a real node do: same output, same exit status. A call that they do not know ends
//! with status 99, so that a test notices. Failures of `faults.json` happen to the program: `lose` is carried out and
//! then kills it without a word, `hang` waits to be killed.

mod agent_socket;
mod answer;
mod clone_log;
mod cluster;
mod files;
mod guest;
mod json;
mod proxied;
mod pvesh;
mod pvesm;
mod qm;
mod scripts;
mod set;
mod storages;
mod words;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::Duration;

use answer::Answer;
use phoenix::backend::embedded::{self, Embedded};
use phoenix::hypervisor::{Fault, FaultKind, HostOp, Hypervisor as _};
use phoenix::model::VmId;
use phoenix::observed::VmObserved;

/// The node that a program works on.
struct Node {
    dir: PathBuf,
    core: Embedded,
}

impl Node {
    /// The configuration file of a VM, if there is one.
    fn config(&self, vm: VmId) -> Option<String> {
        let own = &self.core.settings().name;
        let node = self.node_of(vm);
        let dir = if node == *own { String::new() } else { format!("nodes/{node}/") };
        std::fs::read_to_string(self.dir.join(format!("{dir}qemu-server/{vm}.conf"))).ok()
    }

    /// The name of the node that has a VM; of one that is not there, of the own one.
    fn node_of(&self, vm: VmId) -> String {
        let settings = self.core.settings();
        let has = |node: &&String| self.dir.join(format!("nodes/{node}/qemu-server/{vm}.conf")).exists();
        settings.nodes.keys().find(has).unwrap_or(&settings.name).clone()
    }

    /// What is said of a VM that is not on a node.
    fn not_on(name: &str, vm: VmId) -> Fault {
        let what = format!("Configuration file 'nodes/{name}/qemu-server/{vm}.conf' does not exist");
        Fault::harmless(FaultKind::Missing, what)
    }

    /// Hands a result on, unless its answer shall be lost or never come.
    fn did<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        match &result {
            Err(fault) if fault.kind == FaultKind::Unreachable => self.lose(),
            Err(fault) if fault.kind == FaultKind::TimedOut => self.hang(),
            _ => {}
        }
        result
    }

    fn execute(&self, command: &embedded::Command) -> Result<(), Fault> {
        self.did(self.core.execute(command, Duration::MAX))
    }

    fn perform(&self, op: &HostOp) -> Result<(), Fault> {
        self.did(self.core.perform(op, Duration::MAX))
    }

    /// A VM that must be there.
    fn existing(&self, vm: VmId) -> Result<VmObserved, Fault> {
        self.core.vm(vm)?.ok_or_else(|| Self::not_on(&self.core.settings().name, vm))
    }

    /// Loses the answer: the connections of an ssh server break if there is one, and nobody hears what is said; else
    /// this process is killed.
    fn lose(&self) {
        let server = std::fs::read_to_string(self.dir.join("sshd.pid")).unwrap_or_default();
        if let Ok(server) = server.trim().parse() {
            children(server).into_iter().for_each(kill);
        } else {
            kill(std::process::id());
            self.hang();
        }
    }

    /// Waits to be killed; if nobody does, until the test is over and has removed its node.
    fn hang(&self) -> ! {
        while self.dir.exists() {
            sleep(Duration::from_millis(50));
        }
        std::process::abort()
    }
}

/// Processes whose parent is this one.
fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = Some(parent.to_string());
    let of = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it may hold anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1).map(ToOwned::to_owned)
    };
    pids.filter(|pid| of(pid) == parent).collect()
}

fn kill(pid: u32) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Appends the call to the file that `PHOENIX_DOUBLES_CALLS` names: one JSON array a line.
fn note(call: &[String]) -> std::io::Result<()> {
    let Some(path) = std::env::var_os("PHOENIX_DOUBLES_CALLS") else { return Ok(()) };
    let line = format!("{}\n", serde_json::json!(call));
    // At once: other programs write there, too.
    OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())
}

fn run(node: &Node, program: &str, words: &[&str]) -> Answer {
    let settings = node.core.settings();
    match (program, words) {
        ("qm", words) => qm::run(node, words),
        ("pvesh", words) => pvesh::run(node, words),
        ("pvesm", words) => pvesm::run(node, words),
        ("exportfs", ["-ra"]) | ("mkdir" | "sha256sum" | "sha512sum" | "mv" | "unlink", _) => {
            scripts::run(node, program, words)
        }
        ("perl", ["-e", _, path, ..]) => agent_socket::run(node, path),
        // As it was recorded.
        ("pveversion", []) => {
            Answer::said("pve-manager/9.2.11/14a22df35955d97d (running kernel: 6.18.44-fc-v669)\n".to_owned())
        }
        ("cat", [.., path]) => files::read(node, Path::new(path)),
        ("ip", ["-o", "-4", "addr", "show"]) => {
            let with_address = settings.bridges.iter().enumerate();
            let lines = with_address.filter_map(|(n, (bridge, address))| {
                let address = address.as_ref()?;
                Some(format!("{}: {bridge}    inet {address}/24 scope global {bridge}\n", n + 2))
            });
            Answer::said(lines.collect::<String>())
        }
        // What runs on the node is for the test to say.
        ("ps", ["-eo", "args="]) => Answer::said(std::fs::read_to_string(node.dir.join("ps")).unwrap_or_default()),
        _ => Answer::unknown(program, words),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, call @ ..] = arguments.as_slice() else { return ExitCode::from(answer::UNKNOWN) };
    let [program, words @ ..] = call else { return ExitCode::from(answer::UNKNOWN) };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // What is asked of an agent stands on standard input: it is noted there.
    let noted = if ["perl", "cat"].contains(&program.as_str()) { Ok(()) } else { note(call) };
    let noted = noted.map_err(|error| error.to_string());
    let opened = Embedded::open(Path::new(dir)).map_err(|fault| fault.what);
    let answer = match noted.and(opened) {
        Ok(core) => {
            let node = Node { dir: dir.into(), core };
            let answer = run(&node, program, &words);
            files::keep_pids(&node).map_or_else(Answer::broken, |()| answer)
        }
        Err(why) => Answer { err: format!("doubles: {why}\n"), status: answer::UNKNOWN, ..Answer::default() },
    };
    // Who does not listen any more does not want to know.
    let _ = std::io::stdout().write_all(answer.out.as_bytes());
    let _ = std::io::stderr().write_all(answer.err.as_bytes());
    ExitCode::from(answer.status)
}
