//! Where directories of the node lie, what its administrator allows, and how that is exported.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use phoenix::hypervisor::{Effect, ExportEntry, FaultKind, FileOp, Wanted};
use phoenix::observed::{Allowed, Place};

use crate::world::{Check, World, id};

pub(crate) const CHECKS: [Check; 4] = [
    ("where directories lie", places),
    ("what the administrator allows", allowed),
    ("what is exported behind a link is refused", export_behind_a_link),
    ("a file system of its own is exported whole", own_file_system),
];

/// The mounts of the node: what lies on `/` and what does not.
const MOUNTS: &str = "\
26 1 8:2 / / rw - ext4 /dev/sda2 rw
30 26 0:40 / /places/own rw - zfs a rw
31 26 8:2 /etc /places/bound rw - ext4 /dev/sda2 rw
32 26 0:41 / /places/a\\040b rw - zfs b rw
";

fn places(world: &World) {
    let place =
        |real: &str, own_file_system: bool, on_root: bool| Place { real: real.to_owned(), own_file_system, on_root };
    for dir in ["plain/below", "own/below", "bound", "a b"] {
        fs::create_dir_all(world.path(&format!("root/places/{dir}"))).unwrap();
    }
    let link = |target: &str, name: &str| symlink(target, world.path(&format!("root/places/{name}"))).unwrap();
    link("plain", "relative");
    link("../etc", "upwards");
    link("/etc/x", "absolute");
    link(&world.path("root/places/plain").canonicalize().unwrap().display().to_string(), "here");
    link("nowhere/at/all", "dangling");
    link("ring", "ring");
    link("two\nlines", "lines");
    let wanted = [
        ("/places/plain", place("/places/plain", false, false)),
        ("/places/none/below", place("/places/none/below", false, false)),
        ("/places/relative/below", place("/places/plain/below", false, false)),
        ("/places/relative/none", place("/places/plain/none", false, false)),
        ("/places/upwards/x", place("/etc/x", false, false)),
        ("/places/absolute", place("/etc/x", false, false)),
        ("/places/here", place("/places/plain", false, false)),
        ("/places/dangling/x", place("/places/nowhere/at/all/x", false, false)),
        ("/places/lines/x", place("/places/two\nlines/x", false, false)),
        ("/places/own", place("/places/own", false, false)),
        ("/places/own/below", place("/places/own/below", false, false)),
        ("/places/bound", place("/places/bound", false, false)),
        ("/places/a b", place("/places/a b", false, false)),
    ];
    let asked: Vec<String> = wanted.iter().map(|(path, _)| (*path).to_owned()).collect();
    let ring = world.answer("places", world.target.files().unwrap().places(&["/places/ring/x".to_owned()]));
    world
        .holds("a ring of links leads nowhere", ["", "/places/ring/x"].contains(&ring["/places/ring/x"].real.as_str()));
    // Without mounts nothing is known of file systems.
    let same = |mounted: &dyn Fn(&str, &Place) -> Place| {
        let observed = world.answer("observe", world.target.observe_with(&Wanted::directories(asked.clone())));
        for (path, place) in &wanted {
            world.same(path, observed.own_node().places[*path].clone(), mounted(path, place));
        }
        world.same(
            "the same by itself",
            world.answer("places", world.target.files().unwrap().places(&asked)),
            observed.own_node().places.clone(),
        );
        let counted = ["/places/own", "/places/plain", "/places/here"]
            .map(|path| observed.own_node().directories.get(path).copied());
        world.same("entries", counted, [Some(1), Some(1), Some(1)]);
    };
    same(&|_, place| place.clone());
    world.write("root/proc/self/mountinfo", MOUNTS);
    same(&|path, place| Place {
        own_file_system: ["/places/own", "/places/a b"].contains(&path),
        on_root: !(place.real.starts_with("/places/own") || path == "/places/a b"),
        ..place.clone()
    });
    fs::remove_file(world.path("root/proc/self/mountinfo")).unwrap();
}

fn allowed(world: &World) {
    let file = "root/etc/phoenix/allow.json";
    let found = || world.answer("observe", world.target.observe()).own_node().allowed.clone();
    let mode = |name: &str, mode: u32| fs::set_permissions(world.path(name), Permissions::from_mode(mode)).unwrap();
    let broken = |why: &str| {
        let allowed = found();
        world.holds(why, allowed.broken.as_ref().is_some_and(|broken| broken.contains(why)));
        world.holds("nothing is allowed", allowed.host_paths.is_empty());
    };
    world.same("without a file", found(), Allowed::default());
    world.write(file, r#"{ "host_paths": ["/tank/"], "image_paths": ["/images"] }"#);
    let write = |mode_of_file: u32, mode_of_directory: u32| {
        mode(file, mode_of_file);
        mode("root/etc/phoenix", mode_of_directory);
    };
    write(0o644, 0o755);
    let paths = |path: &str| vec![path.to_owned()];
    world.same(
        "allowed",
        found(),
        Allowed { host_paths: paths("/tank"), image_paths: paths("/images"), ..Allowed::default() },
    );
    write(0o664, 0o755);
    broken("may write to it: its mode is 0664");
    write(0o644, 0o777);
    broken("may write to its directory");
    write(0o644, 0o755);
    world.write(file, r#"{ "host_paths": ["/etc"] }"#);
    broken("`/etc` in `host_paths` belongs to the operating system");
    world.write(file, "{");
    broken("it cannot be understood");
    fs::remove_file(world.path(file)).unwrap();
    world.write("root/tank/allow.json", r#"{ "host_paths": ["/tank"] }"#);
    symlink(world.path("root/tank/allow.json"), world.path(file)).unwrap();
    broken("it is not a regular file");
    fs::remove_file(world.path(file)).unwrap();
    fs::create_dir(world.path(file)).unwrap();
    broken("it is not a regular file");
    fs::remove_dir_all(world.path("root/etc/phoenix")).unwrap();
    // The directory counts as it is, too.
    mode("root/tank", 0o755);
    mode("root/tank/allow.json", 0o644);
    symlink(world.path("root/tank"), world.path("root/etc/phoenix")).unwrap();
    broken("its directory is not a directory");
    fs::remove_file(world.path("root/etc/phoenix")).unwrap();
}

fn write(paths: &[&str]) -> FileOp {
    let entry = |path: &&str| ExportEntry { path: (*path).to_owned(), client: "192.0.2.7".to_owned() };
    FileOp::WriteExports { vm: id(1000), entries: paths.iter().map(entry).collect() }
}

fn export_behind_a_link(world: &World) {
    fs::create_dir_all(world.path("root/linked/real/below")).unwrap();
    symlink("real", world.path("root/linked/link")).unwrap();
    for path in ["/linked/link", "/linked/link/", "/linked/link/below"] {
        world.refused(&write(&["/linked/real", path]), FaultKind::Refused, Effect::None);
    }
    world.same(
        "nothing is exported",
        world.names("root/etc/exports.d").contains(&"phoenix-1000.exports".into()),
        false,
    );
    world.done(&write(&["/linked/real/below/"]));
    world.done(&write(&[]));
}

fn own_file_system(world: &World) {
    let options = |path: &str| {
        let text = world.read("root/etc/exports.d/phoenix-1000.exports");
        let line = text.lines().find(|line| line.starts_with(&format!("{path} "))).unwrap_or_default().to_owned();
        (line.contains(",no_subtree_check,"), line.contains(",subtree_check,"))
    };
    let exported =
        ["/places/own", "/places/own/below", "/places/bound", "/places/a b", "/places/plain", "/places/own/"];
    let written = exported.map(|path| path.replace(' ', "\\040"));
    let (whole, part) = ((true, false), (false, true));
    world.done(&write(&exported));
    world.same("unknown", written.clone().map(|path| options(&path)), [part; 6]);
    world.write("root/proc/self/mountinfo", MOUNTS);
    world.done(&write(&exported));
    world.same("known", written.clone().map(|path| options(&path)), [whole, part, part, whole, part, whole]);
    // Something that was mounted over it later hides it.
    world.write("root/proc/self/mountinfo", &format!("{MOUNTS}40 26 0:50 / /places rw - zfs c rw\n"));
    world.done(&write(&exported));
    world.same("hidden", written.map(|path| options(&path)), [part; 6]);
    fs::remove_file(world.path("root/proc/self/mountinfo")).unwrap();
    world.done(&write(&[]));
}
