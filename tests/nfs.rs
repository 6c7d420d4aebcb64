//! The NFS server of a node with real guests, without any guest: what it takes up and refuses, and how it ends.
#![cfg(unix)]

mod support;

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use phoenix::backend::embedded::{Embedded, NfsState};
use phoenix::hypervisor::{ExportEntry, Fault, FaultKind, FileOp, HostFiles as _};
use phoenix::model::VmId;
use tempfile::TempDir;

/// A node whose guests QEMU would run. Its server ends with it.
struct Node {
    dir: TempDir,
}

impl Node {
    /// `None`, said aloud, where there can be no server.
    #[expect(clippy::print_stdout, reason = "whoever runs the tests shall see what was not tested")]
    fn new() -> Option<Self> {
        if !support::need("ganesha.nfsd", "nfs-ganesha nfs-ganesha-vfs") || !support::need("socat", "socat") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        if fs::metadata(dir.path()).unwrap().uid() != 0 {
            println!("SKIPPED: the NFS server needs root");
            return None;
        }
        Embedded::open(dir.path()).unwrap();
        let settings = fs::read_to_string(dir.path().join("node.json")).unwrap();
        let real = settings.replace(r#""guests": "simulated""#, r#""guests": "qemu""#);
        assert_ne!(settings, real);
        fs::write(dir.path().join("node.json"), real).unwrap();
        Some(Self { dir })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Exports directories to a VM, which are made if need be.
    fn export(&self, vm: u32, paths: &[&str]) -> Result<(), Fault> {
        let entry = |path: &&str| ExportEntry { path: (*path).to_owned(), client: "10.0.2.15".to_owned() };
        let entries = paths.iter().map(entry).collect();
        let op = FileOp::WriteExports { vm: VmId::try_from(vm).unwrap(), entries };
        Embedded::open(self.dir.path()).unwrap().write(&op, Duration::from_secs(5))
    }

    fn make(&self, path: &str) {
        fs::create_dir_all(self.path("root").join(path.trim_start_matches('/'))).unwrap();
    }

    fn state(&self) -> NfsState {
        Embedded::open(self.dir.path()).unwrap().summary().unwrap().nfs.unwrap()
    }

    #[track_caller]
    fn serving(&self) -> (u32, u16) {
        match self.state() {
            NfsState::Serves { pid, port } => (pid, port),
            other => panic!("{other:?}: {}", fs::read_to_string(self.path("nfs/log")).unwrap_or_default()),
        }
    }

    /// The line of the server's configuration for a directory, if it is served.
    fn served(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.path("nfs/ganesha.conf")).unwrap();
        text.lines().find(|line| line.contains(&format!("Pseudo = \"{path}\";"))).map(str::to_owned)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = Embedded::reset(self.dir.path());
    }
}

fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[track_caller]
fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn what_is_exported_is_served_to_its_guests_and_nothing_else() {
    let Some(node) = Node::new() else { return };
    assert_eq!(node.state(), NfsState::Stopped);
    for path in ["/data/1000", "/data/1001", "/mnt/pve/local-nfs/x"] {
        node.make(path);
    }
    node.export(1000, &["/data/1000"]).unwrap();
    let (pid, port) = node.serving();
    // Only this machine reaches it.
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    let listens = fs::read_to_string("/proc/net/tcp6").unwrap() + &fs::read_to_string("/proc/net/tcp").unwrap();
    let mine: Vec<&str> = listens.lines().filter(|line| line.contains(&format!(":{port:04X} "))).collect();
    assert!(mine.iter().all(|line| line.contains("0100007F:")), "{mine:?}");
    let first = node.served("/data/1000").unwrap();
    assert!(first.contains("Clients = 127.0.4.232;") && first.contains("PrivilegedPort = true;"), "{first}");

    // Another VM's directory is taken up by the same process, and the first keeps its number.
    node.export(1001, &["/data/1001", "/data"]).unwrap();
    assert_eq!(node.serving(), (pid, port));
    assert!(node.served("/data/1001").unwrap().contains("Clients = 127.0.4.233;"));
    // Who may use a directory may use what is below it.
    let now = node.served("/data/1000").unwrap();
    assert!(now.contains("Clients = 127.0.4.232, 127.0.4.233;"), "{now}");
    assert_eq!(now[..40], first[..40]);
    // The node's storage of type nfs lies elsewhere than it is exported.
    node.export(1001, &["/srv/nfs/x"]).unwrap();
    assert!(node.served("/srv/nfs/x").unwrap().contains("root/mnt/pve/local-nfs/x\""));
    assert_eq!(node.served("/data/1001"), None);

    // Everybody's exports are everybody's.
    fs::write(node.path("root/etc/exports"), "/data/1001 *(rw,no_root_squash)\n/data *(ro)\n/ 10.0.2.15(rw)\n")
        .unwrap();
    node.export(1000, &["/data/1000"]).unwrap();
    assert!(node.served("/data/1001").unwrap().contains("Clients = 127.0.0.0/8;"));
    assert!(node.served("/data").is_none() && node.served("/").is_none());

    // A directory that is taken away is no reason to refuse others.
    fs::remove_dir_all(node.path("root/mnt")).unwrap();
    node.export(1000, &[]).unwrap();
    assert!(node.served("/data/1000").is_none() && node.served("/srv/nfs/x").is_none());
    assert_eq!(node.serving().0, pid);

    Embedded::reset(node.dir.path()).unwrap();
    soon("it goes with its node", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

#[test]
fn names_that_mean_something_to_the_server() {
    let Some(node) = Node::new() else { return };
    for path in ["/d/a b", "/d/q\"uo'te", "/d/x;} EXPORT { Export_Id = 9; Path = /etc; ", "/d/#%$é"] {
        node.make(path);
        node.export(1000, &[path]).unwrap();
        node.serving();
    }
    for path in ["/d/new\nline", "/d/back\\slash"] {
        node.make(path);
        let fault = node.export(1000, &[path]).unwrap_err();
        assert!(fault.kind == FaultKind::Refused && fault.what.contains("takes no path with"), "{fault:?}");
    }
    symlink("/etc", node.path("root/d/link")).unwrap();
    for path in ["/d/link", "/d/link/ssh", "/d/../d", "/d/absent"] {
        assert!(node.export(1000, &[path]).is_err(), "{path}");
    }
    // What was refused left the exports as they were.
    assert!(node.served("/d/#%$é").is_some());
}

#[test]
fn a_server_that_died_is_started_again_and_one_that_is_stuck_is_told() {
    let Some(node) = Node::new() else { return };
    node.make("/data");
    node.export(1000, &["/data"]).unwrap();
    let (pid, port) = node.serving();
    signal("-KILL", pid);
    soon("it is gone", || node.state() == NfsState::Stopped);
    // Its pid is somebody else's now, who does not have the file open.
    fs::write(node.path("nfs/pid"), std::process::id().to_string()).unwrap();
    assert_eq!(node.state(), NfsState::Stopped);
    node.export(1000, &["/data"]).unwrap();
    let (second, same) = node.serving();
    assert!(second != pid && same == port, "guests find it where it was");

    signal("-STOP", second);
    let fault = node.export(1000, &["/data"]).unwrap_err();
    assert_eq!(fault.kind, FaultKind::TimedOut);
    assert!(fault.what.contains("does not answer within"), "{fault:?}");
    let hint = fault.hint.unwrap();
    assert!(hint.contains(&format!("`kill -9 {second}`")) && hint.contains("its log is"), "{hint}");
    assert_eq!(node.state(), NfsState::Silent { pid: second });
    signal("-KILL", second);
    soon("it is gone", || node.state() == NfsState::Stopped);

    // Somebody took its port, and no guest knows that one: another does.
    let mut taken = None;
    soon("its port is free", || {
        taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
        taken.is_some()
    });
    node.export(1000, &["/data"]).unwrap();
    assert_ne!(node.serving().1, port);
    drop(taken);
}
