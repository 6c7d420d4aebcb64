//! The program that puts scripts into a volume of a guest.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use phoenix::guest::{self, Program};
use phoenix::hypervisor::GuestExit;

use crate::cell::Cell;

const SOURCE: &str = "192.0.2.1:/srv/a b";
const PARENT: &str = "/var/lib/vol ume";
const DIRECTORY: &str = "/var/lib/vol ume/.scripts";

/// A guest with a volume.
fn guest_with_volume() -> Option<Cell> {
    let cell = Cell::new()?;
    fs::create_dir(cell.path("lib/vol ume")).unwrap();
    cell.write("mounts", &format!("{SOURCE}\t{PARENT}\n"));
    Some(cell)
}

fn programs(files: &[(&str, &str)], limit: usize) -> Vec<Program> {
    guest::stage(DIRECTORY, SOURCE, files, limit).unwrap()
}

#[track_caller]
fn staged(cell: &Cell, programs: &[Program]) -> GuestExit {
    let mut last = GuestExit::default();
    for program in programs {
        last = cell.run(program);
        guest::read_staged(&last).unwrap_or_else(|problem| panic!("{problem}"));
    }
    assert_eq!(last.out, "staged\n");
    last
}

/// Names and contents of the scripts, and that nothing else lies beside them.
#[track_caller]
fn check(cell: &Cell, files: &[(&str, &str)], others: &[&str]) {
    let volume = cell.path("lib/vol ume");
    let names = |path: &std::path::Path| {
        let entries = fs::read_dir(path).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let wanted: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    assert_eq!(names(&volume.join(".scripts")), wanted);
    for (name, content) in files {
        let path = volume.join(".scripts").join(name);
        assert_eq!(fs::read_to_string(&path).unwrap(), *content, "{name}");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o644, "{name}");
    }
    assert_eq!(volume.join(".scripts").metadata().unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(names(&volume), [&[".scripts"], others].concat(), "what lies in the volume");
}

#[test]
fn files_arrive_as_they_are_in_as_many_pieces_as_it_takes() {
    let Some(cell) = guest_with_volume() else { return };
    let big = "0123456789abcdef\n".repeat(20_000);
    let files = [("a.sh", "echo $(x) '\u{fc}' \\n\n"), ("b_2-c", ""), ("big", big.as_str()), ("no-line-break", "x")];
    for limit in [60_000, 1 << 20] {
        staged(&cell, &programs(&files, limit));
        check(&cell, &files, &[]);
    }
    // Whatever was there is replaced, as a whole.
    let only = programs(&[("only", "1")], 1 << 20);
    staged(&cell, &only);
    check(&cell, &[("only", "1")], &[]);
    // The same again, and one whose answer was lost.
    staged(&cell, &only);
    let pieces = programs(&files, 60_000);
    staged(&cell, &pieces);
    staged(&cell, &pieces[pieces.len() - 1..]);
    check(&cell, &files, &[]);
    assert!(!cell.path("x").exists());
}

#[test]
fn what_a_killed_run_and_an_attacker_left_is_replaced_and_never_followed() {
    let Some(cell) = guest_with_volume() else { return };
    let volume = cell.path("lib/vol ume");
    cell.write("lib/secret", "kept");
    fs::create_dir(volume.join("..scripts.new.ABCDEF")).unwrap();
    symlink(cell.path("lib"), volume.join("..scripts.new.link")).unwrap();
    symlink(cell.path("lib/secret"), volume.join(".scripts")).unwrap();
    let files = [("secret", "mine")];
    staged(&cell, &programs(&files, 1 << 20));
    check(&cell, &files, &[]);
    assert_eq!(cell.read("lib/secret"), "kept");
}

#[test]
fn nothing_is_put_where_the_volume_is_not_mounted_or_what_arrived_is_another() {
    let Some(cell) = guest_with_volume() else { return };
    let sound = programs(&[("a", "1")], 1 << 20);
    let mut changed = sound.clone();
    let last = changed[0].input.len() - 1;
    changed[0].input[last] = b'A';
    let problem = guest::read_staged(&cell.run(&changed[0])).unwrap_err();
    assert!(problem.what.contains("what arrived is not what was sent"), "{problem}");
    cell.write("mounts", "192.0.2.9:/elsewhere\t/var/lib/vol ume\n");
    let problem = guest::read_staged(&cell.run(&sound[0])).unwrap_err();
    assert!(problem.what.contains("mounted at /var/lib/vol ume is '192.0.2.9:/elsewhere'"), "{problem}");
    assert!(problem.hint.unwrap().contains("--verify-guest"));
    assert_eq!(fs::read_dir(cell.path("lib/vol ume")).unwrap().count(), 0);
}

#[test]
fn without_a_volume_they_lie_on_the_guests_own_disk_and_do_not_stay_in_a_template() {
    let Some(cell) = Cell::new() else { return };
    fs::create_dir(cell.path("etc")).unwrap_or_default();
    let own = |text: &str| guest::stage(DIRECTORY, "", &[("a.sh", text)], 1 << 20).unwrap();
    for text in ["1", "2"] {
        staged(&cell, &own(text));
        check(&cell, &[("a.sh", text)], &[]);
    }
    fs::create_dir(cell.path("lib/vol ume/.phoenix_logs")).unwrap();
    cell.write("lib/vol ume/data", "a script's");
    // Not beneath a volume, which would take them away.
    cell.write("mounts", &format!("{SOURCE}\t{PARENT}\n"));
    let refused = guest::read_staged(&cell.run(&own("3")[0])).unwrap_err();
    assert!(refused.what.contains(&format!("mounted at {PARENT} is '{SOURCE}', not ''")), "{}", refused.what);
    assert!(refused.hint.unwrap().contains("own disk"));
    cell.write("mounts", "");
    fs::rename(cell.path("lib/vol ume/.scripts"), cell.path("lib/vol ume/.phoenix_scripts")).unwrap();
    guest::read_clean(&cell.run(&guest::clean())).unwrap_or_else(|problem| panic!("{problem}"));
    let left: Vec<_> =
        fs::read_dir(cell.path("lib/vol ume")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["data"], "what else lies there is the scripts' own");
}
