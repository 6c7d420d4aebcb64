//! Directories, files and exports of the node.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use phoenix::hypervisor::{Effect, ExportEntry, FaultKind, FileContent, HostOp};
use phoenix::observed::Export;

use crate::world::{Check, World, id};

pub(crate) const CHECKS: [Check; 9] = [
    ("a directory is made", make),
    ("a directory behind a link is refused", make_behind_a_link),
    ("a path that is no plain one", no_plain_path),
    ("a directory is replaced", replace),
    ("whatever has the name is replaced", replace_anything),
    ("what cannot be replaced", replace_refused),
    ("exports", exports),
    ("a file is read in parts", read),
    ("what is no plain file is not read", read_no_file),
];

fn make(world: &World) {
    let make = HostOp::MakeDirectory { path: "/srv/a b/$(x)/'1000".to_owned() };
    world.done(&make);
    let path = "root/srv/a b/$(x)/'1000";
    for part in ["root/srv", "root/srv/a b", path] {
        let mode = world.path(part).metadata().unwrap().permissions().mode();
        world.same("mode", format!("{:o}", mode & 0o7777), "755".to_owned());
    }
    world.write(&format!("{path}/kept"), "content");
    fs::set_permissions(world.path(path), fs::Permissions::from_mode(0o700)).unwrap();
    world.done(&make);
    world.same("content", world.read(&format!("{path}/kept")), "content".to_owned());
    let mode = world.path(path).metadata().unwrap().permissions().mode();
    world.same("the mode of what is there", mode & 0o777, 0o700);
    world.write("root/srv/file", "");
    for path in ["/srv/file", "/srv/file/below"] {
        world.fails(path, world.perform(&HostOp::MakeDirectory { path: path.to_owned() }), FaultKind::Failed);
    }
    world.same("siblings", world.names("root/srv/a b"), vec!["$(x)".to_owned()]);
}

fn make_behind_a_link(world: &World) {
    world.write("root/links/target/kept", "");
    symlink(world.path("root/links/target"), world.path("root/links/there")).unwrap();
    symlink("target", world.path("root/links/relative")).unwrap();
    symlink("nowhere", world.path("root/links/dangling")).unwrap();
    for link in ["there", "relative", "dangling"] {
        for below in ["", "/new", "/new/er"] {
            let path = format!("/links/{link}{below}");
            world.refused(&HostOp::MakeDirectory { path }, FaultKind::Refused, Effect::None);
        }
    }
    world.same("nothing is made behind it", world.names("root/links/target"), vec!["kept".to_owned()]);
    world.same("nor beside it", world.names("root/links").len(), 4);
}

fn no_plain_path(world: &World) {
    for path in ["relative", "/srv/../etc", "/..", "/srv/./a", "", "/srv/a\0b"] {
        let path = path.to_owned();
        world.refused(&HostOp::MakeDirectory { path: path.clone() }, FaultKind::Refused, Effect::None);
        let replace = HostOp::ReplaceDirectory { path: path.clone(), files: Vec::new() };
        world.refused(&replace, FaultKind::Refused, Effect::None);
        world.fails(&path, world.target.read_file(&path, 0, 9), FaultKind::Refused);
    }
    world.refused(
        &HostOp::ReplaceDirectory { path: "/".to_owned(), files: Vec::new() },
        FaultKind::Refused,
        Effect::None,
    );
}

/// A replacement of `/swap/scripts` by files of these names and contents.
fn replacement(path: &str, files: &[(&str, &str)]) -> HostOp {
    let file = |(name, content): &(&str, &str)| FileContent { name: (*name).to_owned(), content: (*content).into() };
    HostOp::ReplaceDirectory { path: path.to_owned(), files: files.iter().map(file).collect() }
}

fn replace(world: &World) {
    fs::create_dir_all(world.path("root/swap")).unwrap();
    let big = "0123456789abcdef".repeat(20_000);
    let files = [("a.sh", "echo $(x) 'ü' \\n\n"), ("b_2-c", ""), ("no-line-break", "x"), ("big", big.as_str())];
    world.done(&replacement("/swap/scripts", &files));
    for (name, content) in files {
        let path = format!("root/swap/scripts/{name}");
        world.holds(name, world.read(&path) == content);
        let mode = world.path(&path).metadata().unwrap().permissions().mode();
        world.same("mode", format!("{:o}", mode & 0o7777), "644".to_owned());
    }
    let mode = world.path("root/swap/scripts").metadata().unwrap().permissions().mode();
    world.same("mode of the directory", format!("{:o}", mode & 0o7777), "755".to_owned());
    world.write("root/swap/scripts/deep/er", "");
    world.done(&replacement("/swap/scripts", &[("only", "1")]));
    world.same("whole content", world.names("root/swap/scripts"), vec!["only".to_owned()]);
    world.done(&replacement("/swap/scripts", &[]));
    world.same("no content", world.names("root/swap/scripts"), Vec::new());
    world.same("nothing is left beside it", world.names("root/swap"), vec!["scripts".to_owned()]);
}

fn replace_anything(world: &World) {
    world.write("root/over/target/kept", "content");
    world.write("root/over/file", "x");
    symlink(world.path("root/over/target"), world.path("root/over/link")).unwrap();
    symlink("nowhere", world.path("root/over/dangling")).unwrap();
    for name in ["file", "link", "dangling"] {
        world.done(&replacement(&format!("/over/{name}"), &[("new", "1")]));
        let path = world.path(&format!("root/over/{name}"));
        world.holds("it is a directory of its own", path.symlink_metadata().unwrap().is_dir());
        world.same("content", world.names(&format!("root/over/{name}")), vec!["new".to_owned()]);
    }
    world.same("what a link led to", world.read("root/over/target/kept"), "content".to_owned());
    world.same("nothing is put there", world.names("root/over/target"), vec!["kept".to_owned()]);
    let names = ["dangling", "file", "link", "target"].map(str::to_owned);
    world.same("nothing is left beside them", world.names("root/over"), names.into());
}

fn replace_refused(world: &World) {
    world.write("root/held/scripts/old", "1");
    symlink(world.path("root/held"), world.path("root/held-link")).unwrap();
    for name in ["", ".", "..", "a/b", "../a", ".hidden", "-x", "a b", "a\nb", "$(x)", "ü"] {
        let op = replacement("/held/scripts", &[("good", "1"), (name, "2")]);
        world.refused(&op, FaultKind::Refused, Effect::None);
    }
    world.refused(&replacement("/held-link/scripts", &[("a", "1")]), FaultKind::Refused, Effect::None);
    world.refused(&replacement("/held/none/scripts", &[("a", "1")]), FaultKind::Missing, Effect::None);
    world.same("the old content", world.names("root/held/scripts"), vec!["old".to_owned()]);
    world.same("nothing is left beside it", world.names("root/held"), vec!["scripts".to_owned()]);
}

fn exports(world: &World) {
    let entry = |path: &str, client: &str| ExportEntry { path: path.to_owned(), client: client.to_owned() };
    let write = |entries: Vec<ExportEntry>| HostOp::WriteExports { vm: id(1000), entries };
    // Without any, there is nothing to remove.
    world.done(&write(Vec::new()));
    world.write("root/etc/exports", "/all *(ro)\n");
    world.write("root/etc/exports.d/theirs.exports", "/theirs 192.0.2.0/24(rw,no_root_squash)\n");
    world.write("root/etc/exports.d/phoenix-1001.exports", "/1001 192.0.2.8(rw,no_root_squash)\n");
    world.write("root/etc/exports.d/phoenix-1x.exports", "/1x *(ro)\n");
    for client in ["*", "host", "192.0.2.0/24", "", "192.0.2.7(rw) *"] {
        world.refused(&write(vec![entry("/a", "192.0.2.7"), entry("/b", client)]), FaultKind::Refused, Effect::None);
    }
    world.same("no file", world.names("root/etc/exports.d").len(), 3);
    world.done(&write(vec![entry("/srv/a b", "192.0.2.7"), entry("/srv/c", "fe80::1")]));
    let options = "(rw,sync,subtree_check,no_root_squash)";
    let text = format!(
        "# Written by phoenix; it is replaced whenever the VM's exports change.\n/srv/a\\040b 192.0.2.7{options}\n\
         /srv/c fe80::1{options}\n"
    );
    world.same("text", world.read("root/etc/exports.d/phoenix-1000.exports"), text);
    let export = |vm: Option<u32>, path: &str, client: &str, full: bool| Export {
        vm: vm.map(id),
        path: path.to_owned(),
        client: client.to_owned(),
        full,
    };
    let ours = [export(Some(1000), "/srv/a b", "192.0.2.7", true), export(Some(1000), "/srv/c", "fe80::1", true)];
    let others = [
        export(None, "/all", "*", false),
        export(Some(1001), "/1001", "192.0.2.8", true),
        export(None, "/1x", "*", false),
        export(None, "/theirs", "192.0.2.0/24", true),
    ];
    let found = || world.answer("exports", world.target.exports(id(1000)));
    // Those of phoenix's for another VM do not matter to this one.
    world.same("exports", found(), [&others[..1], &ours[..], &others[2..]].concat());
    let wanted = [&others[..1], &ours[..], &others[1..]].concat();
    world.same("exports, observed", world.answer("observe", world.target.observe()).exports, wanted);
    world.done(&write(vec![entry("/srv/d", "192.0.2.7")]));
    world.same("they are replaced", found().iter().filter(|export| export.vm == Some(id(1000))).count(), 1);
    world.done(&write(Vec::new()));
    world.same("others' stay", found(), [&others[..1], &others[2..]].concat());
    let names = ["phoenix-1001.exports", "phoenix-1x.exports", "theirs.exports"].map(str::to_owned);
    world.same("files", world.names("root/etc/exports.d"), names.into());
}

fn read(world: &World) {
    world.write("root/logs/run.log", "0123456789\nü\n");
    let read = |from: u64, most: usize| world.answer("read", world.target.read_file("/logs/run.log", from, most));
    world.same("all", read(0, 1000), Some("0123456789\nü\n".into()));
    world.same("a part", read(2, 3), Some("234".into()));
    world.same("the rest", read(9, 100), Some("9\nü\n".into()));
    world.same("at the end", read(14, 100), Some(Vec::new()));
    world.same("behind the end", read(100, 100), Some(Vec::new()));
    world.same("nothing", read(0, 0), Some(Vec::new()));
    for path in ["/logs/none", "/none/none"] {
        world.same(path, world.answer(path, world.target.read_file(path, 0, 9)), None);
    }
    world.write("root/logs/none.log", "");
    world.same("an empty file", world.target.read_file("/logs/none.log", 0, 9).unwrap(), Some(Vec::new()));
}

fn read_no_file(world: &World) {
    world.write("root/secret/key", "secret");
    fs::create_dir_all(world.path("root/logs")).unwrap();
    symlink(world.path("root/secret/key"), world.path("root/logs/link")).unwrap();
    symlink("../secret/key", world.path("root/logs/relative")).unwrap();
    symlink(world.path("root/secret"), world.path("root/logs/dir")).unwrap();
    symlink("/dev/zero", world.path("root/logs/endless")).unwrap();
    for path in ["/logs/link", "/logs/relative", "/logs/dir/key", "/logs/endless", "/logs/dir", "/logs"] {
        let found = world.target.read_file(path, 0, 100);
        world.holds(&format!("{path} is refused, or not there"), !matches!(found, Ok(Some(_))));
    }
}
