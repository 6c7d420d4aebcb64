//! Hostile values stay inert: wherever a value of a config or of a node goes, it arrives as it is and does nothing.
//!
//! One place at a time: the config, the argv of `qm`, ssh, `/etc/fstab` in a guest, exports on the node, the record in
//! the notes, the terminal.
#![cfg(unix)]

#[path = "hostile/cell.rs"]
mod cell;
#[path = "hostile/clean.rs"]
mod clean;
#[path = "hostile/documents.rs"]
mod documents;
#[path = "support/doubles.rs"]
mod doubles;
#[path = "support/executable.rs"]
mod executable;
#[path = "support/failure.rs"]
mod failure;
#[path = "hostile/fstab.rs"]
mod fstab;
#[path = "hostile/grow.rs"]
mod grow;
#[path = "hostile/mount_point.rs"]
mod mount_point;
#[path = "support/node.rs"]
mod node;
#[path = "hostile/race.rs"]
mod race;
#[path = "hostile/stage.rs"]
mod stage;
mod support;
#[path = "hostile/terminal.rs"]
mod terminal;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use node::{Node, server};
use phoenix::backend::qm::command::{commands, guest_exec};
use phoenix::backend::qm::{Layout, Qm};
use phoenix::backend::runner::{Command, Local, Output, Runner, Sockets, Ssh};
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::hypervisor::{ExportEntry, Fault, FileOp, HostFiles as _, HostOp};
use phoenix::model::{Desired, Digest, Record, RecordState, VmId};
use phoenix::observed::{ConfigWrite, VmObserved, encode_description, print_exports, split_notes, with_record};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Values that would do something wherever they are not taken literally.
pub(crate) const HOSTILE: [&str; 22] = [
    "a b",
    "it's",
    "\"quoted\"",
    "$(touch pwned)",
    "`touch pwned`",
    "x; touch pwned",
    "a\nb",
    "a\r\nb: c",
    "-rf",
    "--delete",
    "--",
    "${HOME}",
    "$$",
    "*",
    "\u{fc}ml\u{e4}ut \u{2713} \u{1f980}",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "abc\u{202e}cba\u{2066}",
    "zero\u{200b}width\u{feff}",
    "--> <!-- phoenix {\"v\":1} -->",
    "a,b=c:d%41#e\\040",
    "\u{9b}31m\u{7f}\u{8}",
    "../../etc/passwd",
];

/// Those, and one that is long.
pub(crate) fn hostile() -> Vec<String> {
    let long = "l\u{e4}ng ".repeat(60);
    HOSTILE.iter().map(|value| (*value).to_owned()).chain([long.trim_end().to_owned()]).collect()
}

/// Any text without NUL, with what hurts more often than by chance.
pub(crate) fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(hostile()),
        "[^\0]{0,40}",
        "[ -~\n\t\u{1b}\u{9b}\u{202e}\u{200b}'\"$`;\\\\-]{0,300}",
    ]
}

pub(crate) fn vm(id: u32) -> VmId {
    VmId::try_from(id).unwrap()
}

const LONG: Duration = Duration::from_mins(1);

/// A string of a config: where it stands, and where it arrives.
type Place = (&'static str, fn(&Desired) -> String);

const PLACES: [Place; 18] = [
    ("/hypervisor/project", |d| d.settings.project.clone()),
    ("/hypervisor/features_dir", |d| d.settings.features_dir.clone()),
    ("/hypervisor/persistent_storage/host_path", |d| d.settings.persistent_storage.host_path.clone()),
    ("/hypervisor/persistent_storage/server", |d| d.settings.persistent_storage.server.clone().unwrap()),
    ("/hypervisor/persistent_storage/mount_point", |d| d.settings.persistent_storage.mount_point.clone()),
    ("/hypervisor/nfs_shares/nas/server", |d| d.settings.nfs_shares["nas"].server.clone()),
    ("/hypervisor/nfs_shares/nas/export", |d| d.settings.nfs_shares["nas"].export.clone()),
    ("/hypervisor/nfs_shares/nas/host_path", |d| d.settings.nfs_shares["nas"].host_path.clone()),
    ("/virtual_machines/0/vm_name", |d| d.vms[0].vm_name.clone()),
    ("/virtual_machines/0/template_name", |d| d.vms[0].template_name.clone()),
    ("/virtual_machines/0/boot_disk_storage", |d| d.vms[0].boot_disk_storage.clone()),
    ("/virtual_machines/0/network_bridge", |d| d.vms[0].network_bridge.clone()),
    ("/virtual_machines/0/description", |d| d.vms[0].description.clone()),
    ("/virtual_machines/0/tags/0", |d| d.vms[0].tags[0].clone()),
    ("/virtual_machines/0/features/0", |d| d.vms[0].features[0].name.to_string()),
    ("/virtual_machines/0/volumes/0/share", |d| d.vms[0].volumes[0].share.clone().unwrap()),
    ("/virtual_machines/0/volumes/0/path", |d| d.vms[0].volumes[0].path.clone()),
    ("/virtual_machines/0/volumes/0/mount_point", |d| d.vms[0].volumes[0].mount_point.clone()),
];

/// What the config says, with one value replaced.
fn loaded_with(place: &str, value: &str) -> (Option<Desired>, usize) {
    let mut config = json!({
        "hypervisor": {
            "project": "p", "features_dir": "f",
            "persistent_storage": { "host_path": "/srv/p", "server": "192.0.2.1", "mount_point": "/p" },
            "nfs_shares": { "nas": { "server": "192.0.2.1", "export": "/srv/nfs", "host_path": "/srv/nfs" } },
        },
        "virtual_machines": [{
            "vm_id": 1000, "vm_name": "web", "template_name": "t", "boot_disk_storage": "local-zfs",
            "network_bridge": "vmbr0", "description": "d", "tags": ["a"], "features": ["base_setup"],
            "volumes": [{ "type": "nfs", "share": "nas", "path": "/x", "mount_point": "/srv/x" }],
        }],
    });
    *config.pointer_mut(place).unwrap() = Value::String(value.to_owned());
    let source = Source::new("test.json", config.to_string());
    // A directory with a script of every name: what is refused is refused for its name.
    let scripts = ["base_setup", value].map(|name| (format!("{name}.sh"), Ok(b"exit 0\n".to_vec())));
    let loaded = load(&source, &mut |_| FeatureFiles::Found(BTreeMap::from(scripts.clone())));
    let errors = loaded.diagnostics.iter().filter(|d| d.severity == phoenix::diag::Severity::Error).count();
    (loaded.desired, errors)
}

/// Either the config is refused with an error, or the value arrives.
fn refused_or_unchanged((place, arrived): Place, value: &str) -> Result<bool, String> {
    let (desired, errors) = loaded_with(place, value);
    let Some(desired) = desired else {
        return if errors > 0 { Ok(false) } else { Err(format!("{place}: {value:?} is refused without a word")) };
    };
    let found = arrived(&desired);
    // White space at the end of notes is lost in Proxmox too; tags are lower case there; `/a/` is `/a`.
    let same = found == value
        || found.trim_end() == value.replace("\r\n", "\n").trim_end()
        || (place.contains("tags") && found == value.to_lowercase())
        || (value.len() > 1 && found == value.trim_end_matches('/'));
    if same { Ok(true) } else { Err(format!("{place}: {value:?} became {found:?}")) }
}

#[test]
fn a_config_refuses_a_value_or_hands_it_on_unchanged() {
    let mut taken = Vec::new();
    for place in PLACES {
        let (desired, errors) = loaded_with(place.0, "/plain");
        let (other, _) = loaded_with(place.0, "plain");
        assert!(desired.or(other).is_some(), "{}: what is harmless is taken, {errors} errors", place.0);
        let values = hostile();
        let paths = values.iter().map(|value| format!("/{value}"));
        for value in paths.chain(values.clone()) {
            if refused_or_unchanged(place, &value).unwrap_or_else(|why| panic!("{why}")) {
                taken.push(format!("{} {value:?}", place.0));
            }
        }
    }
    // Only free text takes all of it; nothing that steers a terminal gets through anywhere.
    assert!(taken.iter().any(|one| one.contains("description") && one.contains("$(touch")), "{taken:#?}");
    for one in &taken {
        assert!(!one.contains("\\u{1b}") && !one.contains("\\u{202e}") && !one.contains("\\u{9b}"), "{one}");
        assert!(one.contains("description") || !one.contains("\\n"), "{one}");
    }
}

/// Operations with these values in every place that takes one.
fn operations(a: &str, b: &str) -> Vec<HostOp> {
    let mut write = ConfigWrite::default();
    write.set.insert("description".to_owned(), a.to_owned());
    write.set.insert("tags".to_owned(), b.to_owned());
    write.delete.insert("onboot".to_owned());
    let (text, digest) = (|text: &str| text.to_owned(), Digest(b.to_owned()));
    vec![
        HostOp::Clone {
            source: vm(9000),
            target: vm(1000),
            name: text(a),
            description: text(b),
            storage: Some(text(a)),
            node: Some(text(a)),
        },
        HostOp::Configure { vm: vm(1000), write, digest: digest.clone() },
        HostOp::Resize { vm: vm(1000), disk: text(a), size_gb: 5 },
        HostOp::Revert { vm: vm(1000), keys: vec![text(a)], digest },
    ]
}

/// Prints its arguments, each with a NUL behind it.
const ECHO: &str = "printf '%s\\0' qm \"$@\"";

fn words(output: &Output) -> Vec<String> {
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.strip_suffix('\0').unwrap().split('\0').map(ToOwned::to_owned).collect()
}

/// A command whose program is the stand-in.
fn aimed(argv: &[String], program: &Path) -> Command {
    let program = program.display().to_string();
    Command::look(std::iter::once(program).chain(argv[1..].iter().cloned()).collect(), LONG)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_value_is_one_word_of_a_command(a in any_text(), b in any_text()) {
        let node = Node::with(&[]);
        node.program("echo-qm", ECHO);
        for op in operations(&a, &b) {
            for argv in commands(&op) {
                prop_assert!(argv.contains(&a) || argv.contains(&b), "{:?}", argv);
                let output = Local.run(&aimed(&argv, &node.path("bin/echo-qm"))).unwrap();
                prop_assert_eq!(words(&output), argv);
            }
        }
        let argv = guest_exec(vm(1000), &[a.clone(), b.clone()], false);
        let output = Local.run(&aimed(&argv, &node.path("bin/echo-qm"))).unwrap();
        let told = words(&output);
        // Behind `--` nothing is an option of `qm`.
        prop_assert_eq!(&told[told.len() - 3..], ["--".to_owned(), a, b]);
    }

    #[test]
    fn an_options_value_follows_it_at_once(a in any_text(), b in any_text()) {
        // Proxmox takes the word behind an option as its value, whatever it begins with.
        for op in operations(&a, &b) {
            for argv in commands(&op) {
                let at = argv.iter().position(|word| *word == a || *word == b).unwrap();
                prop_assert!(argv[at - 1].starts_with("--") || argv[1] == "disk", "{:?}", argv);
            }
        }
    }

    #[test]
    fn a_record_cannot_be_broken_out_of(
        texts in prop::collection::vec(any_text(), 5), notes in any_text(),
    ) {
        let [project, template, key, value, digest] = <[String; 5]>::try_from(texts).unwrap();
        let mut record = Record::creating(&project, vm(1000));
        record.state = RecordState::Ready;
        record.template = template;
        record.uuid = Some(digest.clone());
        record.features.insert(key.clone(), digest);
        record.volumes.insert(key, value);
        // What the config takes as a description holds no record; only a person's own notes may.
        let notes = notes.replace("<!-- phoenix", "<!-- other");
        let text = with_record(&notes, &record).unwrap();
        prop_assert_eq!(text.matches("<!-- phoenix").count(), 1);
        prop_assert_eq!(&split_notes(&text).description, notes.trim_end());
        // And so through the file, as Proxmox keeps it.
        let conf = format!("{}name: web\nsmbios1: uuid=x\n", encode_description(&text));
        let live = VmObserved::from_conf(vm(1000), &conf, false);
        prop_assert_eq!(live.notes.trim_end(), text.trim_end());
        let found = split_notes(&live.notes).record;
        let phoenix::observed::FoundText::One(json) = found else { panic!("{found:?}") };
        prop_assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    }

    #[test]
    fn exports_are_written_as_printed(path in "/[^\0]{0,60}", last in 1_u8..255) {
        let node = Node::with(&["root"]);
        node.program("exportfs", "exit 0");
        let client = format!("192.0.2.{last}");
        let qm = Qm::new(Box::new(Here(node.search_path())), layout(&node));
        let entries = vec![ExportEntry { path: path.clone(), client: client.clone() }];
        qm.write(&FileOp::WriteExports { vm: vm(1000), entries }, LONG).unwrap();
        let written = fs::read_to_string(node.path("root/etc/exports.d/phoenix-1000.exports")).unwrap();
        prop_assert_eq!(written, print_exports([(path.as_str(), client.as_str())]));
        let exports = qm.exports(vm(1000)).unwrap();
        prop_assert_eq!(exports.iter().map(|export| export.path.as_str()).collect::<Vec<_>>(), [path.as_str()]);
        qm.write(&FileOp::WriteExports { vm: vm(1000), entries: Vec::new() }, LONG).unwrap();
        prop_assert_eq!(fs::read_dir(node.path("root/etc/exports.d")).unwrap().count(), 0);
        // An address is all that a client may be.
        let entries = vec![ExportEntry { path, client: format!("{client}(rw) *") }];
        let refused = qm.write(&FileOp::WriteExports { vm: vm(1000), entries }, LONG);
        prop_assert!(refused.is_err());
    }
}

#[test]
fn a_line_of_somebody_else_that_cannot_be_exported_is_no_obstacle() {
    let node = Node::with(&["root"]);
    let qm = Qm::new(Box::new(Here(node.search_path())), layout(&node));
    let export = || {
        let entries = vec![ExportEntry { path: "/quickOS/1000".to_owned(), client: "192.0.2.7".to_owned() }];
        qm.write(&FileOp::WriteExports { vm: vm(1000), entries }, LONG)
    };
    node.program("exportfs", "echo 'exportfs: Failed to stat /srv/gone: No such file or directory' >&2; exit 1");
    export().unwrap();
    for said in
        ["/quickOS/1000 does not support NFS export", "cannot open /etc/exports.d", "phoenix-1000.exports:2: syntax"]
    {
        node.program("exportfs", &format!("echo 'exportfs: {said}' >&2; exit 1"));
        assert!(export().unwrap_err().what.contains(said));
    }
}

fn layout(node: &Node) -> Layout {
    Layout { pve: node.dir.path().display().to_string(), root: node.path("root").display().to_string() }
}

/// Runs programs here, with the node's first in PATH.
struct Here(String);

impl Runner for Here {
    fn run(&self, command: &Command) -> Result<Output, Fault> {
        let mut command = command.clone();
        command.argv.splice(0..0, ["env".to_owned(), format!("PATH={}", self.0)]);
        Local.run(&command)
    }

    fn place(&self) -> String {
        Local.place()
    }
}

#[test]
fn values_travel_through_ssh_as_they_are() {
    if !(support::need("ssh", "openssh-client") && support::need("sshd", "openssh-server")) {
        return;
    }
    let node = Node::with(&[]);
    node.program("qm", ECHO);
    let server = server(&node, &node.search_path());
    let mut child = Process::new(std::env::current_exe().unwrap());
    child.args(["--exact", "through_ssh", "--ignored", "--nocapture"]).env("PATH", node.search_path());
    child.env("PHOENIX_TEST_NODE", node.dir.path()).env("PHOENIX_TEST_PORT", server.port.to_string());
    let output = child.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!node.path("pwned").exists());
    let path = format!("ControlPath={}", node.path("sockets/%C").display());
    let mut ssh = Process::new(node.path("bin/ssh"));
    ssh.args(["-O", "exit", "-p", &server.port.to_string(), "-o", &path, "127.0.0.1"]).stderr(Stdio::null());
    let _ = ssh.status().unwrap();
}

#[test]
#[ignore = "the other side of the test with a server: has its `ssh` in its PATH"]
fn through_ssh() {
    let (Some(dir), Some(port)) = (std::env::var_os("PHOENIX_TEST_NODE"), std::env::var_os("PHOENIX_TEST_PORT")) else {
        return;
    };
    let sockets = Path::new(&dir).join("sockets");
    fs::create_dir(&sockets).unwrap();
    let ssh = Ssh::new(None, "127.0.0.1", Some(port.to_str().unwrap().parse().unwrap()), Sockets::At(sockets));
    for value in hostile() {
        // One call for each value: a connection that is shared still costs a tenth of a second.
        let argv = commands(&operations(&value, &value)[1]).remove(0);
        let output = ssh.run(&Command::look(argv.clone(), LONG)).unwrap();
        assert_eq!(words(&output), argv);
    }
}
