//! A guest's root that changes its directory while phoenix works there: whatever it puts in the way, nothing outside of
//! the directory is made, changed or read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use phoenix::backend::embedded::Embedded;
use phoenix::guest;
use phoenix::hypervisor::{ExportEntry, FileOp, HostOp, Hypervisor};

use crate::doubles::Doubles;
use crate::vm;

/// How many rounds: all of them where every loop runs whole.
fn rounds(sample: usize) -> usize {
    if std::env::var_os("PHOENIX_LOOPS").is_some_and(|loops| loops == "all") { 1000 } else { sample }
}

/// A directory outside, with a file in it that nobody may touch.
struct Outside(tempfile::TempDir);

const SECRET: &str = "PARTITION TABLE OF THE HOST";

impl Outside {
    fn new() -> Self {
        let outside = Self(tempfile::tempdir().unwrap());
        fs::write(outside.file(), SECRET).unwrap();
        fs::create_dir(outside.0.path().join("dir")).unwrap();
        outside
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("disk")
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("dir")
    }

    /// Nothing in it is other than it was.
    #[track_caller]
    fn check(&self, round: usize) {
        assert_eq!(fs::read_to_string(self.file()).unwrap(), SECRET, "round {round}");
        // A link is the guest's own work: it follows the links it made itself.
        let entries = fs::read_dir(self.dir()).unwrap().map(Result::unwrap);
        let made: Vec<_> = entries.filter(|entry| !entry.file_type().is_ok_and(|is| is.is_symlink())).collect();
        assert!(made.is_empty(), "round {round}: {made:?}");
        assert_eq!(fs::read_dir(self.0.path()).unwrap().count(), 2, "round {round}");
    }
}

/// Runs `work` for so many rounds while `guest` does its worst again and again.
fn race(rounds: usize, guest: impl Fn() + Send + Sync, mut work: impl FnMut(usize)) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                guest();
            }
        });
        // A failed assertion must not leave the other thread behind.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (0..rounds).for_each(&mut work)));
        over.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Puts a link, and then nothing, a directory or a FIFO, where a name is expected.
fn in_the_way(path: &Path, outside: &Path) {
    let _ = fs::rename(path, path.with_extension("away"));
    let _ = symlink(outside, path);
    let _ = fs::remove_file(path);
    let _ = Command::new("mkfifo").arg(path).stderr(Stdio::null()).status();
    let _ = fs::remove_file(path);
    let _ = fs::rename(path.with_extension("away"), path);
    let _ = fs::create_dir(path);
}

const LONG: Duration = Duration::from_mins(1);

/// Directories are made below one that changes at every moment.
fn check_directories(target: &dyn Hypervisor, node: &Path, rounds: usize) {
    let outside = Outside::new();
    let share = node.join("root/srv/share");
    fs::create_dir_all(&share).unwrap();
    race(
        rounds,
        || in_the_way(&share.join("vm"), &outside.dir()),
        |round| {
            // It succeeds or is refused, as it comes.
            let _ = target
                .files()
                .unwrap()
                .write(&FileOp::MakeDirectory { path: format!("/srv/share/vm/{round}/deep") }, LONG);
            outside.check(round);
        },
    );
}

#[test]
fn a_directory_is_never_made_outside_of_the_embedded_node() {
    let dir = tempfile::tempdir().unwrap();
    let node = Embedded::open(dir.path()).unwrap();
    check_directories(&node, dir.path(), rounds(1000));
}

#[test]
fn a_directory_is_never_made_outside_of_a_node() {
    let dir = tempfile::tempdir().unwrap();
    let doubles = Doubles::new(dir.path());
    check_directories(&doubles.qm(), dir.path(), rounds(100));
}

/// Scripts are put into a volume whose owner puts links to the host's files in the way.
fn check_scripts(target: &dyn Hypervisor, node: &Path, rounds: usize) {
    const SHARE: &str = "/quickOS/vm-persistent-data/101";
    let conf = "agent: 1\nboot: order=scsi0\ncores: 2\nmemory: 1024\nname: g1\n\
                net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n";
    fs::write(node.join("qemu-server/101.conf"), conf).unwrap();
    let done = |op: HostOp| target.perform(&op, LONG).unwrap();
    let written = |op: FileOp| target.files().unwrap().write(&op, LONG).unwrap();
    done(HostOp::Start { vm: vm(101) });
    written(FileOp::MakeDirectory { path: SHARE.to_owned() });
    let client = target.guests().addresses(vm(101)).unwrap().pop().unwrap().address.unwrap().to_string();
    written(FileOp::WriteExports { vm: vm(101), entries: vec![ExportEntry { path: SHARE.to_owned(), client }] });
    let source = format!("192.0.2.1:{SHARE}");
    let run = |program: &guest::Program| {
        let guests = target.guests();
        guests.start(vm(101), &program.argv, &program.input).map(|pid| guests.status(vm(101), pid).map(drop))
    };
    let mount = guest::mount(&source, "/persistent-storage", true);
    run(&mount).unwrap().unwrap();
    let outside = Outside::new();
    let share = node.join("root").join(&SHARE[1..]);
    let names = [".phoenix_scripts", "..phoenix_scripts.new", "..phoenix_scripts.old"];
    let hostile = || {
        for name in names {
            let path = share.join(name);
            for file in ["web.sh", "vm_context.json", ".web.sh.new"] {
                let _ = symlink(outside.file(), path.join(file));
                let _ = fs::remove_file(path.join(file));
                let _ = symlink(outside.file(), path.join(file));
            }
            in_the_way(&path, &outside.dir());
        }
    };
    race(rounds, hostile, |round| {
        let files = [("vm_context.json", "{}"), ("web.sh", "#!/bin/bash\ntrue\n")];
        for program in guest::stage("/persistent-storage/.phoenix_scripts", &source, &files, 1 << 20).unwrap() {
            let _ = run(&program);
        }
        outside.check(round);
    });
}

#[test]
fn scripts_are_never_written_outside_of_the_embedded_node() {
    let dir = tempfile::tempdir().unwrap();
    let node = Embedded::open(dir.path()).unwrap();
    check_scripts(&node, dir.path(), rounds(1000));
}

#[test]
fn scripts_are_never_written_outside_of_a_node() {
    let dir = tempfile::tempdir().unwrap();
    let doubles = Doubles::new(dir.path());
    check_scripts(&doubles.qm(), dir.path(), rounds(50));
}
