//! The programs of a Proxmox node over an embedded one (`tests/doubles/node`), first in PATH.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use phoenix::backend::embedded::Embedded;
use phoenix::backend::qm::{Layout, Qm};
use phoenix::backend::runner::{self, Local, Runner};
use phoenix::hypervisor::Fault;
use tempfile::TempDir;

use crate::executable::executable;

/// What phoenix runs on a node.
const PROGRAMS: [&str; 8] = ["qm", "pvesh", "pvesm", "pveversion", "exportfs", "ip", "ps", "perl"];

/// Programs that are the real ones, until something is scripted to go wrong with the operation for which phoenix'
/// scripts need them.
const SHIMS: [(&str, &str); 5] = [
    ("mkdir", "make-directory"),
    ("sha256sum", "fetch-image"),
    ("sha512sum", "fetch-image"),
    ("mv", "write-snippet"),
    ("unlink", "remove-snippet"),
];

/// Programs that make an embedded node look like one of Proxmox.
pub(crate) struct Doubles {
    /// `bin/` with the programs, and the file with their calls.
    dir: TempDir,
    node: PathBuf,
}

// Not every test uses everything.
const _: fn(&Doubles) -> Vec<Vec<String>> = Doubles::calls;
const _: fn(&Doubles) = Doubles::clear_calls;
const _: fn(&Doubles) = Doubles::keep_pid_files;
const _: fn(&Doubles) -> Qm = Doubles::qm;
const _: fn(&Doubles, String) -> Command = Doubles::command;

/// Runs programs here, with the doubles first in PATH.
struct Here(String);

impl Runner for Here {
    fn run(&self, command: &runner::Command) -> Result<runner::Output, Fault> {
        let mut command = command.clone();
        command.argv.splice(0..0, ["env".to_owned(), format!("PATH={}", self.0)]);
        Local.run(&command)
    }

    fn place(&self) -> String {
        Local.place()
    }
}

impl Doubles {
    /// Programs for the embedded node in this directory, which is made if there is none.
    ///
    /// The host's own files that phoenix reads are written into its `root/`, from the node's settings as they are now.
    pub(crate) fn new(node: &Path) -> Self {
        let settings = Embedded::open(node).unwrap().settings().clone();
        let node = node.canonicalize().unwrap();
        let root = node.join("root");
        fs::create_dir_all(root.join("proc/sys/kernel")).unwrap();
        fs::write(root.join("proc/sys/kernel/hostname"), format!("{}.example.com\n", settings.name)).unwrap();
        fs::write(
            root.join("proc/meminfo"),
            format!("MemTotal: {0} kB\nMemAvailable: {0} kB\n", settings.memory_mb * 1024),
        )
        .unwrap();
        if settings.nfs_server {
            fs::create_dir_all(root.join("proc/fs/nfsd")).unwrap();
            fs::write(root.join("proc/fs/nfsd/threads"), "8\n").unwrap();
        }
        let cpus: Vec<String> = (0..settings.cpus).map(|n| format!("processor\t: {n}\n")).collect();
        fs::write(root.join("proc/cpuinfo"), cpus.concat()).unwrap();
        // The directory of the storage `local`.
        fs::create_dir_all(root.join("var/lib/vz")).unwrap();
        for bridge in settings.bridges.keys() {
            fs::create_dir_all(root.join("sys/class/net").join(bridge).join("bridge")).unwrap();
        }
        let doubles = Self { dir: tempfile::tempdir().unwrap(), node };
        fs::create_dir(doubles.bin()).unwrap();
        let (program, calls, node) = (program(), doubles.calls_path(), doubles.node.display());
        let write = |name: &str, script: String| {
            executable(&doubles.bin().join(name), &format!("#!/bin/sh\n{script}"));
        };
        // Settings stand in the script, because ssh hands on no environment.
        let stand_in = |name: &str| format!("exec '{}' '{node}' {name} \"$@\"\n", program.display());
        for name in PROGRAMS {
            write(name, format!("PHOENIX_DOUBLES_CALLS='{}' {}", calls.display(), stand_in(name)));
        }
        for (name, op) in SHIMS {
            let scripted = format!("grep -qs '\"{op}\"' '{node}/faults.json'");
            write(name, format!("{scripted} || exec /bin/{name} \"$@\"\n{}", stand_in(name)));
        }
        // Files of a node that this one keeps in another form.
        let kept = format!("'{node}/root/var/log/pve/tasks/'* | '{node}/.vmlist' | '{node}/.members'");
        let real = "exec /bin/cat \"$@\"\n";
        write(
            "cat",
            format!("for last; do :; done\ncase ${{last-}} in {kept}) {} ;; esac\n{real}", stand_in("cat").trim_end()),
        );
        doubles
    }

    /// Has the node keep pid files from now on, as a real one does. Only the programs of the node keep them true.
    pub(crate) fn keep_pid_files(&self) {
        fs::create_dir_all(self.node.join("root/var/run/qemu-server")).unwrap();
    }

    /// Directory of the programs.
    pub(crate) fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    /// PATH with the programs first.
    pub(crate) fn search_path(&self) -> String {
        format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", self.bin().display())
    }

    /// A program that finds the doubles, and phoenix the node: `qm:` means it.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", self.search_path()).env("PHOENIX_NODE_ROOT", &self.node);
        command.env_remove("PHOENIX_TARGET").env_remove("XDG_RUNTIME_DIR").env_remove("NO_COLOR");
        command.stdin(Stdio::null());
        command
    }

    /// The node as phoenix's back end for Proxmox sees it.
    pub(crate) fn qm(&self) -> Qm {
        let pve = self.node.to_str().unwrap().to_owned();
        let root = format!("{pve}/root");
        Qm::new(Box::new(Here(self.search_path())), Layout { pve, root })
    }

    /// The calls so far: each the program's name and its arguments.
    pub(crate) fn calls(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.calls_path()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Forgets the calls so far.
    pub(crate) fn clear_calls(&self) {
        fs::write(self.calls_path(), "").unwrap();
    }

    fn calls_path(&self) -> PathBuf {
        self.dir.path().join("calls")
    }
}

/// The program that plays all of them: cargo puts examples beside the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join("examples/doubles");
    assert!(path.is_file(), "{} is missing: `cargo build --example doubles` makes it", path.display());
    path
}
