//! Directories, files and exports of the node.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use phoenix::hypervisor::{Effect, ExportEntry, FaultKind, FileOp};
use phoenix::model::{DataText, Secret, SecretName};
use phoenix::observed::{Export, SnippetSeen};

use crate::world::{Check, World, id};

pub(crate) const CHECKS: [Check; 5] = [
    ("a directory is made", make),
    ("a directory behind a link is refused", make_behind_a_link),
    ("a path that is no plain one", no_plain_path),
    ("exports", exports),
    ("snippets", snippets),
];

fn make(world: &World) {
    let make = FileOp::MakeDirectory { path: "/srv/a b/$(x)/'1000".to_owned() };
    world.done(&make);
    let path = "root/srv/a b/$(x)/'1000";
    let modes = [("root/srv", "700"), ("root/srv/a b", "700"), ("root/srv/a b/$(x)", "700"), (path, "755")];
    for (part, wanted) in modes {
        let mode = world.path(part).metadata().unwrap().permissions().mode();
        world.same(part, format!("{:o}", mode & 0o7777), wanted.to_owned());
    }
    world.write(&format!("{path}/kept"), "content");
    fs::set_permissions(world.path(path), fs::Permissions::from_mode(0o700)).unwrap();
    world.done(&make);
    world.same("content", world.read(&format!("{path}/kept")), "content".to_owned());
    let mode = world.path(path).metadata().unwrap().permissions().mode();
    world.same("the mode of what is there", mode & 0o777, 0o700);
    world.write("root/srv/file", "");
    for path in ["/srv/file", "/srv/file/below"] {
        world.fails(path, world.perform(&FileOp::MakeDirectory { path: path.to_owned() }), FaultKind::Failed);
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
            world.refused(&FileOp::MakeDirectory { path }, FaultKind::Refused, Effect::None);
        }
    }
    world.same("nothing is made behind it", world.names("root/links/target"), vec!["kept".to_owned()]);
    world.same("nor beside it", world.names("root/links").len(), 4);
}

fn no_plain_path(world: &World) {
    for path in ["relative", "/srv/../etc", "/..", "/srv/./a", "", "/srv/a\0b"] {
        let path = path.to_owned();
        world.refused(&FileOp::MakeDirectory { path: path.clone() }, FaultKind::Refused, Effect::None);
    }
}

fn exports(world: &World) {
    let entry = |path: &str, client: &str| ExportEntry { path: path.to_owned(), client: client.to_owned() };
    let write = |entries: Vec<ExportEntry>| FileOp::WriteExports { vm: id(1000), entries };
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
    let found = || world.answer("exports", world.target.files().unwrap().exports(id(1000)));
    // Those of phoenix's for another VM do not matter to this one.
    world.same("exports", found(), [&others[..1], &ours[..], &others[2..]].concat());
    let wanted = [&others[..1], &ours[..], &others[1..]].concat();
    world.same("exports, observed", world.answer("observe", world.target.observe()).own_node().exports.clone(), wanted);
    world.done(&write(vec![entry("/srv/d", "192.0.2.7")]));
    world.same("they are replaced", found().iter().filter(|export| export.vm == Some(id(1000))).count(), 1);
    world.done(&write(Vec::new()));
    world.same("others' stay", found(), [&others[..1], &others[2..]].concat());
    let names = ["phoenix-1001.exports", "phoenix-1x.exports", "theirs.exports"].map(str::to_owned);
    world.same("files", world.names("root/etc/exports.d"), names.into());
}

fn snippets(world: &World) {
    let dir = "root/var/lib/vz/snippets";
    let file = "phoenix-lab-1000-user-0a.yaml";
    let path = format!("/var/lib/vz/snippets/{file}");
    let text = "#!/bin/sh\necho \"$(x)\" '${y}' \\n é\n";
    let write =
        |path: &str, text: &str| FileOp::WriteSnippet { vm: id(1000), path: path.to_owned(), text: text.into() };
    let remove = |path: &str| FileOp::RemoveSnippet { vm: id(1000), path: path.to_owned() };
    let found = || world.answer("observe", world.target.observe()).own_node().snippets.clone();
    // Without any, there is nothing to remove.
    world.done(&remove(&path));
    world.done(&write(&path, "#cloud-config\n"));
    world.done(&write(&path, text));
    world.same("text", world.read(&format!("{dir}/{file}")), text.to_owned());
    let mode = world.path(&format!("{dir}/{file}")).metadata().unwrap().permissions().mode();
    world.same("mode", mode & 0o777, 0o600);
    // Others' are neither read nor touched, nor is a link.
    world.write(&format!("{dir}/theirs.yaml"), "theirs");
    world.write("root/etc/secret", "secret");
    let link = "phoenix-lab-1000-vendor-0b.yaml";
    symlink(world.path("root/etc/secret"), world.path(&format!("{dir}/{link}"))).unwrap();
    world.same(
        "what is read",
        found(),
        [(format!("local:snippets/{file}"), SnippetSeen::Text(text.to_owned()))].into(),
    );
    // One with secrets is written with their values, and of what is there only the digest is read.
    let (sealed, shown) = ("phoenix-lab-1000-user-0a.0b.yaml", "#cloud-config\npassword: ${secret.db}\n");
    let secret = Secret::new(SecretName::Env("PHOENIX_SECRET_DB".to_owned()), Some("hunter2".into()));
    let secrets = DataText::new(shown, vec![(24..36, secret)]);
    let path_of_sealed = format!("/var/lib/vz/snippets/{sealed}");
    world.done(&FileOp::WriteSnippet { vm: id(1000), path: path_of_sealed.clone(), text: secrets.clone() });
    let content = world.read(&format!("{dir}/{sealed}"));
    world.same("secrets", content.as_str(), "#cloud-config\npassword: hunter2\n");
    let mode = world.path(&format!("{dir}/{sealed}")).metadata().unwrap().permissions().mode();
    world.same("mode of secrets", mode & 0o777, 0o600);
    let seen = found().remove(&format!("local:snippets/{sealed}")).unwrap();
    world.same("what is seen of secrets", seen.clone(), SnippetSeen::of(content, true));
    world.same("it holds what was written", seen.holds(&secrets), true);
    world.write(&format!("{dir}/{sealed}"), shown);
    let changed = found()[&format!("local:snippets/{sealed}")].clone();
    world.same("another text is seen", changed.holds(&secrets), false);
    world.done(&remove(&path_of_sealed));
    world.done(&write(&format!("/var/lib/vz/snippets/{link}"), "mine"));
    world.same("what a link led to", world.read("root/etc/secret"), "secret".to_owned());
    world.same("in the place of a link", world.read(&format!("{dir}/{link}")), "mine".to_owned());
    world.done(&remove(&format!("/var/lib/vz/snippets/{link}")));
    world.done(&remove(&path));
    // What a killed write left is seen as what is not whole, unless the file of its name is there, and goes with it.
    for (name, seen) in [(file, SnippetSeen::in_part(false)), (sealed, SnippetSeen::in_part(true))] {
        world.write(&format!("{dir}/.{name}.new"), "#cloud-config\n");
        world.same("part", found(), [(format!("local:snippets/{name}"), seen)].into());
        world.done(&remove(&format!("/var/lib/vz/snippets/{name}")));
    }
    world.same("what stays", world.names(dir), vec!["theirs.yaml".to_owned()]);
    // A directory that is a link, or above which there is none.
    fs::create_dir_all(world.path("root/mnt/a")).unwrap();
    symlink(world.path(dir), world.path("root/mnt/a/snippets")).unwrap();
    world.refused(&write("/mnt/a/snippets/x.yaml", "x"), FaultKind::Refused, Effect::None);
    world.refused(&remove("/mnt/a/snippets/theirs.yaml"), FaultKind::Refused, Effect::None);
    let nowhere = world.perform(&write("/mnt/b/snippets/x.yaml", "x"));
    world.holds("nothing is made where there is no storage", nowhere.is_err() && !world.path("root/mnt/b").exists());
    for path in ["relative", "/srv/../etc/x", "/x.yaml", "/srv/"] {
        world.refused(&write(path, "x"), FaultKind::Refused, Effect::None);
    }
}
