//! Mount points of volumes: guarded while nothing is mounted there, and free again when the volume goes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use phoenix::guest::{self, Mounted};

use crate::cell::Cell;
use crate::executable::executable;

const A: &str = "192.0.2.1:/a";
const B: &str = "192.0.2.1:/b";

#[track_caller]
fn mounted(cell: &Cell, source: &str, at: &str) {
    let exit = cell.run(&guest::mount(source, at, false));
    assert_eq!(guest::read_mount(&exit), Ok(Mounted::Now));
}

#[track_caller]
fn unmounted(cell: &Cell, source: &str, at: &str) {
    guest::read_unmount(&cell.run(&guest::unmount(source, at))).unwrap_or_else(|problem| panic!("{problem}"));
}

#[test]
fn nothing_can_be_written_where_a_volume_is_missing() {
    let Some(cell) = Cell::new() else { return };
    let at = "/var/lib/vol";
    let mount = || cell.run(&guest::mount(A, at, false));
    let exit = mount();
    assert_eq!((guest::read_mount(&exit), guest::mount_notice(&exit)), (Ok(Mounted::Now), None));
    assert_eq!(cell.read("attributes"), "+i /var/lib/vol\n", "before it is mounted");
    assert_eq!(guest::read_mount(&mount()), Ok(Mounted::Already));
    assert_eq!(cell.read("attributes"), "+i /var/lib/vol\n", "never while something is mounted there");
    // The guest boots without it.
    cell.write("mounts", "");
    assert_eq!(guest::read_mount(&mount()), Ok(Mounted::Now));
    unmounted(&cell, A, at);
    assert_eq!(cell.read("attributes"), "+i /var/lib/vol\n+i /var/lib/vol\n-i /var/lib/vol\n");
    // What lies there is somebody's: it is spoken of, and stays.
    cell.write("attributes", "");
    cell.write("lib/vol/letter", "dear all");
    let exit = mount();
    let notice = guest::mount_notice(&exit).unwrap();
    assert_eq!(guest::read_mount(&exit), Ok(Mounted::Now));
    assert!(notice.contains("/var/lib/vol holds files on the guest's own disk, which the volume hides"), "{notice}");
    assert_eq!((cell.read("attributes"), cell.read("lib/vol/letter")), (String::new(), "dear all".to_owned()));
    // Another source at the same place.
    fs::remove_file(cell.path("lib/vol/letter")).unwrap();
    mounted(&cell, B, at);
    assert_eq!(cell.read("attributes"), "+i /var/lib/vol\n");
    // Something else is mounted there when the volume goes.
    cell.write("mounts", "/dev/sdb1\t/var/lib/vol\n");
    guest::read_unmount(&cell.run(&guest::unmount(B, at))).unwrap();
    assert_eq!(cell.read("attributes"), "+i /var/lib/vol\n");
}

#[test]
fn a_file_system_without_the_attribute_is_told() {
    let Some(cell) = Cell::new() else { return };
    let mode = || fs::metadata(cell.path("lib/vol")).unwrap().permissions().mode() & 0o7777;
    executable(&cell.path("bin/chattr"), "#!/bin/sh\necho 'Operation not supported while reading flags' >&2\nexit 1\n");
    let exit = cell.run(&guest::mount(A, "/var/lib/vol", false));
    assert_eq!((guest::read_mount(&exit), mode()), (Ok(Mounted::Now), 0o555));
    let notice = guest::mount_notice(&exit).unwrap();
    assert!(notice.contains("the file system of /var/lib/vol knows no immutable directories"), "{notice}");
    unmounted(&cell, A, "/var/lib/vol");
    assert_eq!(mode(), 0o755);
}

/// The real `chattr`, where the test may use it on the file system of its directory.
#[test]
fn an_immutable_mount_point_keeps_root_out() {
    let Some(cell) = Cell::new() else { return };
    fs::remove_file(cell.path("bin/chattr")).unwrap();
    let probe = cell.path("lib/probe");
    fs::create_dir(&probe).unwrap();
    let chattr = |flag: &str, path: &std::path::Path| {
        std::process::Command::new("chattr").arg(flag).arg(path).output().is_ok_and(|output| output.status.success())
    };
    if !chattr("+i", &probe) {
        crate::support::need("chattr", "nothing: run as root, with TMPDIR on ext4, XFS or btrfs");
        return;
    }
    assert!(chattr("-i", &probe));
    mounted(&cell, A, "/var/lib/vol");
    let dir = cell.path("lib/vol");
    let refused = fs::write(dir.join("x"), "").is_err();
    // A volume is mounted upon it all the same.
    let mount =
        "mount --bind /etc /var/lib/vol && touch /var/lib/vol/x && umount /var/lib/vol && ! touch /var/lib/vol/x";
    let program = guest::Program { argv: ["/bin/sh", "-c", mount].map(ToOwned::to_owned).to_vec(), input: Vec::new() };
    fs::remove_file(cell.path("bin/mount")).unwrap();
    fs::rename(cell.path("bin/umount"), cell.path("bin/umount.double")).unwrap();
    let exit = cell.run(&program);
    fs::rename(cell.path("bin/umount.double"), cell.path("bin/umount")).unwrap();
    unmounted(&cell, A, "/var/lib/vol");
    let free = fs::write(dir.join("x"), "").is_ok();
    chattr("-i", &dir);
    assert!(refused && exit.code == Some(0) && free, "{refused} {exit:?} {free}");
}

#[test]
fn a_volume_that_is_mounted_otherwise_is_mounted_anew() {
    let Some(cell) = Cell::new() else { return };
    mounted(&cell, A, "/var/lib/vol");
    let double = fs::read_to_string(cell.path("bin/findmnt")).unwrap();
    // Somebody mounted it read-only; so it is until it is mounted by what fstab says.
    cell.write("options", "ro,relatime,vers=4.2,hard");
    let options = "case $* in *OPTIONS*) cat \"$STATE/options\"; exit ;; esac\n";
    executable(&cell.path("bin/findmnt"), &double.replacen('\n', &format!("\n{options}"), 1));
    let program = guest::mount(A, "/var/lib/vol", false);
    let problem = guest::read_mount(&cell.run(&program)).unwrap_err();
    assert!(problem.what.contains("otherwise than /etc/fstab says: ro,relatime"), "{problem}");
    assert_eq!(cell.read("mounts"), format!("{A}\t/var/lib/vol\n"), "it was mounted again");
    cell.write("options", "rw,relatime,vers=4.2,hard");
    assert_eq!(guest::read_mount(&cell.run(&program)), Ok(Mounted::Already));
}
