//! What phoenix's own scripts do to a guest's `/etc/fstab`, and how a script of a feature runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use phoenix::guest::{self, FeatureProgress, FeatureRun, FeatureStart, Mounted};
use phoenix::model::Record;
use phoenix::observed::GuestSeen;
use proptest::prelude::*;

use crate::cell::Cell;
use crate::executable::executable;

const FOREIGN: &str = "# /etc/fstab: static file system information.\n\
                       UUID=79ef10b8-ac1e  /\text4  defaults,errors=remount-ro 0  1\n\n\
                       192.0.2.9:/srv/old   /srv/old nfs  ro 0 0 # theirs\n\
                       //nas/caf\u{e9}\\040x /mnt/nas cifs guest 0 0";

const A: &str = "192.0.2.1:/a";
const B: &str = "192.0.2.1:/b";

/// Lines that are phoenix's own, and all the others.
fn parted(fstab: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut own, mut others, mut inside) = (Vec::new(), Vec::new(), false);
    for line in fstab.lines() {
        inside |= line.starts_with("# BEGIN phoenix");
        if inside {
            own.push(line);
        } else {
            others.push(line);
        }
        inside &= !line.starts_with("# END phoenix");
    }
    (own, others)
}

#[track_caller]
fn mounted(cell: &Cell, source: &str, at: &str) -> Mounted {
    let exit = cell.run(&guest::mount(source, at, false));
    let mounted = guest::read_mount(&exit).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(cell.read("mounts").lines().any(|line| line == format!("{source}\t{at}")), "{}", cell.read("mounts"));
    mounted
}

#[track_caller]
fn unmounted(cell: &Cell, source: &str, at: &str) {
    guest::read_unmount(&cell.run(&guest::unmount(source, at))).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(!cell.read("mounts").contains(&format!("\t{at}\n")), "{}", cell.read("mounts"));
}

#[test]
fn foreign_lines_stay_and_our_own_follow_the_volumes() {
    for foreign in ["", FOREIGN, "/swap none swap sw 0 0\n", "# one\r\n\tx  /y \u{1b}[0m\n\n\n"] {
        let Some(cell) = Cell::new() else { return };
        cell.write("etc/fstab", foreign);
        let lines: Vec<&str> = foreign.lines().collect();
        let own = |expected: &[(&str, &str)]| {
            let fstab = cell.read("etc/fstab");
            let (own, others) = parted(&fstab);
            assert_eq!(others, lines, "{fstab}");
            let wanted: Vec<String> =
                expected.iter().map(|(s, at)| format!("{s} {at} nfs rw,hard,noatime,nofail,_netdev 0 0")).collect();
            assert_eq!(own.get(1..own.len().saturating_sub(1)).unwrap_or_default(), wanted, "{fstab}");
            assert_eq!(own.len(), if wanted.is_empty() { 0 } else { wanted.len() + 2 }, "{fstab}");
        };
        assert_eq!(mounted(&cell, A, "/srv/a"), Mounted::Now);
        own(&[(A, "/srv/a")]);
        let once = cell.read("etc/fstab");
        assert_eq!(mounted(&cell, A, "/srv/a"), Mounted::Already);
        assert_eq!(cell.read("etc/fstab"), once, "twice is the same as once");
        mounted(&cell, B, "/srv/b");
        own(&[(A, "/srv/a"), (B, "/srv/b")]);
        // Changed: the old source leaves neither a line nor a mount.
        mounted(&cell, B, "/srv/a");
        own(&[(B, "/srv/b"), (B, "/srv/a")]);
        assert!(!cell.read("mounts").contains(A));
        unmounted(&cell, B, "/srv/a");
        own(&[(B, "/srv/b")]);
        unmounted(&cell, B, "/srv/b");
        own(&[]);
        let empty = cell.read("etc/fstab");
        unmounted(&cell, B, "/srv/b");
        assert_eq!(cell.read("etc/fstab"), empty);
        assert_eq!(fs::read_dir(cell.path("etc")).unwrap().count(), 1, "no scratch file is left");
    }
}

#[test]
fn a_guest_without_fstab_gets_one() {
    let Some(cell) = Cell::new() else { return };
    unmounted(&cell, A, "/srv/a");
    mounted(&cell, A, "/srv/a");
    assert_eq!(parted(&cell.read("etc/fstab")).0.len(), 3);
}

#[test]
fn what_somebody_else_mounts_there_is_refused() {
    for line in ["192.0.2.7:/x /srv/a nfs defaults 0 0", "  /dev/sdb1\t/srv/a/ ext4 defaults 0 2"] {
        let Some(cell) = Cell::new() else { return };
        let fstab = format!("{FOREIGN}\n{line}\n");
        cell.write("etc/fstab", &fstab);
        let problem = guest::read_mount(&cell.run(&guest::mount(A, "/srv/a", false))).unwrap_err();
        assert!(problem.what.contains(line.trim()), "{problem}");
        assert!(problem.hint.unwrap().contains("remove that line"));
        assert_eq!(cell.read("etc/fstab"), fstab);
        // A comment and another directory are no obstacle.
        cell.write("etc/fstab", "#/dev/sdb1 /srv/a ext4\n/dev/sdb1 /srv/ab ext4 defaults 0 2\n");
        mounted(&cell, A, "/srv/a");
    }
}

#[test]
fn a_package_manager_that_is_locked_is_told() {
    let Some(cell) = Cell::new() else { return };
    // Where the client is installed nobody asks for it.
    if std::path::Path::new("/sbin/mount.nfs").exists() {
        return;
    }
    fs::remove_file(cell.path("bin/mount.nfs")).unwrap();
    cell.write("etc/fstab", FOREIGN);
    cell.write("apt", "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 712 (apt-get)\n");
    let problem = guest::read_mount(&cell.run(&guest::mount(A, "/srv/a", false))).unwrap_err();
    assert!(problem.what.contains("held by process 712"), "{problem}");
    assert!(problem.hint.unwrap().contains("another package manager"));
    assert_eq!(cell.read("etc/fstab"), FOREIGN);
}

#[test]
fn a_lock_of_apts_lists_is_waited_for() {
    let Some(cell) = Cell::new() else { return };
    if std::path::Path::new("/sbin/mount.nfs").exists() {
        return;
    }
    fs::remove_file(cell.path("bin/mount.nfs")).unwrap();
    cell.write("etc/fstab", FOREIGN);
    cell.write("held", "40");
    assert_eq!(mounted(&cell, A, "/srv/a"), Mounted::Now);
    assert_eq!(cell.read("clock"), "40\n");
    let ran = cell.read("apt-ran");
    let words: Vec<_> = ran.lines().map(|line| line.split(' ').nth(2).unwrap_or_default()).collect();
    assert_eq!(words, ["update", "install"]);
}

#[test]
fn what_a_killed_run_left_goes_and_fstab_keeps_its_mode() {
    let Some(cell) = Cell::new() else { return };
    cell.write("etc/fstab", FOREIGN);
    cell.write("etc/.fstab.phoenix.x1y2z3", "half");
    fs::set_permissions(cell.path("etc/fstab"), fs::Permissions::from_mode(0o640)).unwrap();
    mounted(&cell, A, "/srv/a");
    assert_eq!(fs::read_dir(cell.path("etc")).unwrap().count(), 1);
    assert_eq!(fs::metadata(cell.path("etc/fstab")).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_cloud_init_without_json_is_asked_for_its_text() {
    let Some(cell) = Cell::new() else { return };
    let exit = cell.run(&guest::cloud_init_status());
    assert_eq!(guest::read_cloud_init(&exit), guest::CloudInit::Done, "{exit:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever a config lets into a path stays one field of one line, and runs nothing.
    #[test]
    fn a_path_is_one_field(parts in prop::collection::vec("[!$%&()*+;<=>?@\\[\\]^{|}~a-z0-9_.\u{e9}\u{2713}-]{1,12}", 1..4)) {
        let Some(cell) = Cell::new() else { return Ok(()) };
        let path = format!("{}/{}", cell.path("lib").display(), parts.join("/").replace("..", "._"));
        let source = format!("192.0.2.1:{path}");
        cell.write("etc/fstab", FOREIGN);
        prop_assert_eq!(mounted(&cell, &source, &path), Mounted::Now);
        prop_assert_eq!(mounted(&cell, &source, &path), Mounted::Already);
        let fstab = cell.read("etc/fstab");
        let (own, others) = parted(&fstab);
        prop_assert_eq!(others, FOREIGN.lines().collect::<Vec<_>>());
        let fields: Vec<&str> = own[1].split(' ').collect();
        prop_assert_eq!(&fields[..2], [source.as_str(), path.as_str()]);
        unmounted(&cell, &source, &path);
        prop_assert_eq!(parted(&cell.read("etc/fstab")).0.len(), 0);
    }
}

/// A script of a feature in the guest, below `/var/lib`; gives the log's name there.
fn feature<'a>(cell: &Cell, directory: &'a str, vm_name: &'a str, script: &str, log: &'a str) -> FeatureRun<'a> {
    let dir = cell.path("lib").join(directory.strip_prefix("/var/lib/").unwrap());
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("try.sh"), script).unwrap();
    let (feature, digest, uuid, file, vm_id, timeout) = ("try", "d1", "u1", "try.sh", "1000", "1770");
    FeatureRun { feature, digest, uuid, directory, file, vm_id, vm_name, timeout, log }
}

#[test]
fn a_script_gets_its_values_as_they_are() {
    let Some(cell) = Cell::new() else { return };
    let name = "${HOME} $$ $(touch /var/lib/pwned) 'a' \"b\" ;\n\u{1b}[31m \u{2713}";
    let directory = "/var/lib/${HOME}$$;touch pwned;\u{2713}";
    let log = format!("{directory}/logs/try.log");
    let script = "printf '%s' \"$PHOENIX_VM_NAME\" >/var/lib/name\nprintf '%s' \"$1 $PHOENIX_SCRIPTS_DIR\"\n";
    let run = feature(&cell, directory, name, script, &log);
    let start = cell.run(&guest::start_feature(&run));
    assert_eq!(guest::read_feature_start(&start), Ok(FeatureStart::Running), "{start:?}");
    assert_eq!(guest::read_feature_result(&cell.run(&guest::feature_result(&run)), &run), Ok(FeatureProgress::Done));
    assert_eq!(cell.read("lib/name"), name);
    assert_eq!(cell.read(log.strip_prefix("/var/").unwrap()), format!("1000 {directory}"));
    assert!(!cell.path("lib/pwned").exists() && !cell.path("pwned").exists());
    // Started again, it has ended well; with another script, it has not.
    let again = guest::read_feature_start(&cell.run(&guest::start_feature(&run)));
    assert_eq!(again, Ok(FeatureStart::Finished));
    // Another text runs, and so does the first one when it comes back; results of other features stay.
    fs::create_dir_all(cell.path("lib/phoenix/runs/try-it-d1")).unwrap();
    cell.write("lib/phoenix/runs/try-it-d1/exit", "0");
    for digest in ["d2", "d1"] {
        let run = FeatureRun { digest, ..run };
        let started = guest::read_feature_start(&cell.run(&guest::start_feature(&run)));
        assert_eq!(started, Ok(FeatureStart::Running), "{digest}");
    }
    assert!(cell.path("lib/phoenix/runs/try-it-d1").exists());
}

#[test]
fn what_is_gone_from_a_guest_is_seen() {
    let Some(cell) = Cell::new() else { return };
    let at = "/srv/\u{2713} $(x)";
    let run = feature(&cell, "/var/lib/s", "web", "exit 0\n", "/var/lib/s/logs/try.log");
    let mut record = Record::creating("p", 1000.try_into().unwrap());
    record.volumes = [("/srv/a".to_owned(), A.to_owned()), (at.to_owned(), B.to_owned())].into();
    record.features = [("try".to_owned(), "d1".to_owned())].into();
    let look = |uuid: &str| guest::read_look(&cell.run(&guest::look(&record, uuid)), &record).unwrap();
    let lost = |mounts: &[&str], results: &[&str]| {
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        GuestSeen::Looked {
            lost_mounts: set(mounts),
            lost_results: set(results),
            offline: std::collections::BTreeMap::new(),
        }
    };
    assert_eq!(look("u1"), lost(&["/srv/a", at], &["try"]));
    cell.write("mounts", &format!("{A}\t/srv/a\n{A}\t{at}\n"));
    cell.run(&guest::start_feature(&run));
    assert_eq!(look("u1"), lost(&[at], &[]), "from elsewhere is not there");
    assert_eq!(look("u2"), lost(&[at], &["try"]), "made for another VM");
    cell.write("lib/phoenix/runs/try-d1/exit", "3");
    assert_eq!(look("u1"), lost(&[at], &["try"]), "it failed");
    cell.write("active", "");
    assert_eq!(look("u1"), lost(&[at], &[]), "it runs again");
    assert!(!cell.path("x").exists());
}

#[test]
fn the_end_of_a_script_is_told_apart() {
    let Some(cell) = Cell::new() else { return };
    let log = "/var/lib/s/logs/try.log";
    let run = feature(&cell, "/var/lib/s", "web", "echo 'E: no such package'; exit 3\n", log);
    let started = || {
        let exit = cell.run(&guest::start_feature(&run));
        assert_eq!(guest::read_feature_start(&exit), Ok(FeatureStart::Running), "{exit:?}");
    };
    let said = || guest::read_feature_result(&cell.run(&guest::feature_result(&run)), &run);
    started();
    assert_eq!(said().unwrap_err().what, "the script exited 3; its last lines:\nE: no such package");
    // From here on the unit ends without the script having said how.
    cell.write("hangs", "");
    started();
    cell.write("active", "");
    cell.write("lib/s/logs/try.log", "fetching\nunpacking\n");
    assert_eq!(said(), Ok(FeatureProgress::Running("unpacking".to_owned())));
    cell.write("lib/s/logs/try.log", "");
    fs::remove_file(cell.path("active")).unwrap();
    // Systemd that cannot be asked has not said that the script ended.
    cell.write("unreachable", "");
    assert_eq!(said(), Ok(FeatureProgress::Running(String::new())));
    fs::remove_file(cell.path("unreachable")).unwrap();
    for (result, words) in [
        ("timeout", "had not ended after 1770 s, and systemd ended it"),
        ("oom-kill", "ran out of memory"),
        ("signal", "systemd ended the script: signal"),
        ("success", "another process ended it"),
    ] {
        cell.write("result", result);
        assert!(said().unwrap_err().what.contains(words), "{result}");
    }
    cell.write("lib/phoenix/runs/try-d1/boot", "an earlier one\n");
    assert!(said().unwrap_err().what.contains("the guest was restarted while the script ran"));
    // A copy of the disk in another VM knows nothing of it.
    cell.write("lib/phoenix/runs/try-d1/uuid", "another");
    assert!(said().unwrap_err().what.contains("another process ended it"));
}

#[test]
fn a_mount_proves_that_the_volume_carries_what_is_written() {
    let Some(cell) = Cell::new() else { return };
    let at = "/var/lib/vol$(x)";
    let mount = || guest::read_mount(&cell.run(&guest::mount(A, at, true)));
    assert_eq!(mount(), Ok(Mounted::Now));
    assert_eq!(mount(), Ok(Mounted::Already));
    assert_eq!(fs::read_dir(cell.path("lib/vol$(x)")).unwrap().count(), 0, "nothing is left behind");
    // A server that gives other bytes than it got.
    executable(&cell.path("bin/dd"), "#!/bin/sh\necho other\n");
    assert!(mount().unwrap_err().what.contains("the guest reads other bytes there than it wrote"));
    assert_eq!(fs::read_dir(cell.path("lib/vol$(x)")).unwrap().count(), 0, "nor when it failed");
    executable(&cell.path("bin/mktemp"), "#!/bin/sh\necho Read-only file system >&2; exit 1\n");
    let problem = mount().unwrap_err();
    assert!(problem.what.contains(&format!("{A}: the guest cannot write to it")), "{problem}");
    assert!(problem.hint.unwrap().contains("read-write"));
}

#[test]
fn shellcheck_has_nothing_to_say() {
    if !crate::support::need("shellcheck", "shellcheck") {
        return;
    }
    let (file, log) = ("try.sh", "/s/log");
    let (feature, digest, uuid, directory, vm_id, vm_name, timeout) = ("try", "d1", "u1", "/s", "1000", "web", "9");
    let run = FeatureRun { feature, digest, uuid, directory, file, vm_id, vm_name, timeout, log };
    for program in [
        guest::cloud_init_status(),
        guest::mount(A, "/srv/a", false),
        guest::unmount(A, "/srv/a"),
        guest::stage("/srv/a/.s", A, &[("a", "b")], 1 << 20).unwrap().remove(0),
        guest::clean(),
        guest::cleaned(),
        guest::start_feature(&run),
        guest::feature_result(&run),
        guest::look(&Record::creating("p", 1000.try_into().unwrap()), "u1"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("script.sh");
        fs::write(&path, format!("#!/bin/sh\n{}", program.argv[2])).unwrap();
        // SC2016: what stands in single quotes is meant for another shell, or for awk.
        let output = std::process::Command::new("shellcheck").args(["-e", "SC2016"]).arg(path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
