//! What the script does that makes a guest's root file system as large as its disk: on which layouts it acts, and how.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use phoenix::guest::{self, Grown};
use phoenix::hypervisor::GuestExit;
use tempfile::TempDir;

use crate::executable::executable;

/// A guest whose disk, partitions and file systems are files. `$S` is its directory.
struct Machine {
    dir: TempDir,
}

const PROGRAMS: [(&str, &str); 6] = [
    ("findmnt", r#"case $* in *FSTYPE*) cat "$S/type" ;; *MAJ*) echo 254:1 ;; *) cat "$S/source" ;; esac"#),
    ("stat", r#"echo "$(cat "$S/blocks" 2>/dev/null || echo 100) 4096""#),
    (
        "growpart",
        r#"echo "growpart $*" >>"$S/calls"
if [ -e "$S/broken" ]; then echo "FAILED: failed to get start and end"; exit 2; fi
[ -e "$S/may-grow" ] || { echo "NOCHANGE: partition $2 could only be grown by 2014"; exit 1; }
echo 16775168 >"$S/part/size"
echo "CHANGED: partition=$2""#,
    ),
    ("resize2fs", r#"echo "resize2fs $*" >>"$S/calls"; [ ! -e "$S/may-grow" ] || echo 200 >"$S/blocks""#),
    ("xfs_growfs", r#"echo "xfs_growfs $*" >>"$S/calls"; [ ! -e "$S/may-grow" ] || echo 200 >"$S/blocks""#),
    ("btrfs", r#"echo "btrfs $*" >>"$S/calls"; echo "ERROR: no" >&2; exit 1"#),
];

impl Machine {
    /// A machine whose root file system is of a type and on a source, as `findmnt` says. Its disk of 8 GiB has a
    /// partition of 6.
    fn new(source: &str, kind: &str) -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(machine.path("bin")).unwrap();
        for (name, text) in PROGRAMS {
            executable(&machine.path(&format!("bin/{name}")), &format!("#!/bin/sh\n{text}\n"));
        }
        machine.write("source", &format!("{source}\n"));
        machine.write("type", &format!("{kind}\n"));
        // The disk `vda` with the partition `vda1`, and a volume on device mapper.
        machine.write("sys/devices/vda/size", "16777216\n");
        machine.write("sys/devices/vda/device/rescan", "");
        machine.write("sys/devices/vda/vda1/partition", "1\n");
        machine.write("sys/devices/vda/vda1/start", "2048\n");
        machine.write("sys/devices/vda/vda1/size", "12582912\n");
        machine.write("sys/devices/dm-0/size", "1\n");
        for (name, to) in [("vda", "vda"), ("vda1", "vda/vda1"), ("dm-0", "dm-0")] {
            let link = machine.path(&format!("sys/class/block/{name}"));
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(machine.path(&format!("sys/devices/{to}")), link).unwrap();
        }
        std::os::unix::fs::symlink(machine.path("sys/devices/vda/vda1"), machine.path("part")).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }

    fn run(&self) -> GuestExit {
        let mut argv = guest::grow_filesystem().argv;
        assert_eq!(argv.pop().as_deref(), Some("/sys"));
        argv.push(self.path("sys").display().to_string());
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let output =
            Command::new(&argv[0]).args(&argv[1..]).env("PATH", path).env("S", self.dir.path()).output().unwrap();
        GuestExit {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn partition_and_file_system_grow() {
    for (kind, calls) in
        [("ext4", "growpart /dev/vda 1\nresize2fs /dev/vda1\n"), ("xfs", "growpart /dev/vda 1\nxfs_growfs /\n")]
    {
        let machine = Machine::new("/dev/vda1", kind);
        machine.write("may-grow", "");
        assert_eq!(guest::read_grown(&machine.run()).unwrap(), Grown::Now, "{kind}");
        assert_eq!(machine.calls(), calls);
        assert_eq!(fs::read_to_string(machine.path("sys/devices/vda/device/rescan")).unwrap(), "1\n");
        // Once more there is nothing to do.
        assert_eq!(guest::read_grown(&machine.run()).unwrap(), Grown::Already, "{kind}");
    }
}

#[test]
fn a_file_system_on_a_whole_disk_needs_no_partition() {
    let machine = Machine::new("/dev/vda", "ext4");
    machine.write("may-grow", "");
    assert_eq!(guest::read_grown(&machine.run()).unwrap(), Grown::Now);
    assert_eq!(machine.calls(), "resize2fs /dev/vda\n");
}

#[test]
fn a_root_without_a_name_is_found_by_its_number() {
    let machine = Machine::new("/dev/root", "ext4");
    machine.write("may-grow", "");
    fs::create_dir_all(machine.path("sys/dev/block")).unwrap();
    std::os::unix::fs::symlink(machine.path("sys/devices/vda/vda1"), machine.path("sys/dev/block/254:1")).unwrap();
    assert_eq!(guest::read_grown(&machine.run()).unwrap(), Grown::Now);
    assert_eq!(machine.calls(), "growpart /dev/vda 1\nresize2fs /dev/vda1\n");
}

#[test]
fn a_guest_that_grew_by_itself_is_left_alone() {
    let machine = Machine::new("/dev/vda1", "ext4");
    machine.write("sys/devices/vda/vda1/size", "16775168\n");
    assert_eq!(guest::read_grown(&machine.run()).unwrap(), Grown::Already);
}

#[test]
fn what_it_does_not_know_is_told_and_left_alone() {
    for (source, kind, says) in [
        ("/dev/dm-0", "ext4", "/ is on dm-0 (/dev/dm-0): LVM, encryption or RAID"),
        ("/dev/vda1", "zfs", "/ is of type zfs"),
        ("/dev/vda1", "", "/ is of type unknown"),
        ("overlay", "ext4", "/ is on overlay, which is no block device"),
    ] {
        let machine = Machine::new(source, kind);
        match guest::read_grown(&machine.run()).unwrap() {
            Grown::Unknown(why) => assert_eq!(why, says),
            other => panic!("{source} {kind}: {other:?}"),
        }
        assert_eq!(machine.calls(), "", "{source} {kind}");
    }
    // Another partition is behind it.
    let machine = Machine::new("/dev/vda1", "ext4");
    let Grown::Unknown(why) = guest::read_grown(&machine.run()).unwrap() else { panic!("it grew") };
    assert!(why.contains("partition 1 of /dev/vda cannot grow into the 2047 MiB that are free on it"), "{why}");
    assert_eq!(machine.calls(), "growpart /dev/vda 1\n");
    // Where the machine of the test has one, it would be found.
    if !Path::new("/usr/bin/growpart").exists() {
        fs::remove_file(machine.path("bin/growpart")).unwrap();
        let Grown::Unknown(why) = guest::read_grown(&machine.run()).unwrap() else { panic!("it grew") };
        assert!(why.contains("growpart is not installed in the guest"), "{why}");
    }
}

#[test]
fn what_fails_is_a_failure() {
    let machine = Machine::new("/dev/vda1", "ext4");
    machine.write("broken", "");
    let problem = guest::read_grown(&machine.run()).unwrap_err();
    assert!(problem.what.contains("growpart: FAILED: failed to get start and end"), "{problem}");
    let machine = Machine::new("/dev/vda1", "btrfs");
    machine.write("sys/devices/vda/vda1/size", "16775168\n");
    let problem = guest::read_grown(&machine.run()).unwrap_err();
    assert!(problem.what.contains("growing the btrfs file system on /dev/vda1: ERROR: no"), "{problem}");
}
