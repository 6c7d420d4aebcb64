//! What every back end promises: one list of checks, for each of them in turn.
//!
//! Behind each stands an embedded node: itself, through the programs that stand in for Proxmox's own, and through those
//! and a real ssh server. Where it matters, a check looks into the node's directory instead of asking the back end.

#[path = "contract/disks.rs"]
mod disks;
#[path = "support/doubles.rs"]
mod doubles;
#[path = "support/executable.rs"]
mod executable;
#[path = "contract/files.rs"]
mod files;
#[path = "contract/guests.rs"]
mod guests;
#[path = "support/node.rs"]
mod node;
#[path = "contract/places.rs"]
mod places;
#[path = "contract/snapshots.rs"]
mod snapshots;
mod support;
#[path = "contract/templates.rs"]
mod templates;
#[path = "contract/vms.rs"]
mod vms;
#[path = "contract/world.rs"]
mod world;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use doubles::Doubles;
use node::{Node, server};
use phoenix::backend::embedded::Embedded;
use phoenix::backend::qm::{Layout, Qm};
use phoenix::backend::runner::{Sockets, Ssh};
use phoenix::hypervisor::Hypervisor;
use world::World;

/// Makes the node, and says what lies on it before any back end looks.
fn prepare(dir: &Path) {
    let node = Embedded::open(dir).unwrap();
    let mut settings = node.settings().clone();
    // Long enough for a look at a clone that is under way.
    settings.latency_ms = 10;
    node.save_settings(&settings).unwrap();
}

fn check(about: &'static str, node: &Path, target: Box<dyn Hypervisor>) {
    let world = World::new(about, node, target);
    for (name, check) in vms::CHECKS
        .iter()
        .chain(&files::CHECKS)
        .chain(&places::CHECKS)
        .chain(&guests::CHECKS)
        .chain(&disks::CHECKS)
        .chain(&snapshots::CHECKS)
        .chain(&templates::CHECKS)
    {
        world.begin(name);
        check(&world);
    }
}

#[test]
fn embedded() {
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("node");
    prepare(&node);
    // The programs are not used; the files of the host are the same for every back end.
    let _doubles = Doubles::new(&node);
    check("embedded", &node, Box::new(Embedded::open(&node).unwrap()));
}

#[test]
fn qm() {
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("node");
    prepare(&node);
    let doubles = Doubles::new(&node);
    check("qm", &node, Box::new(doubles.qm()));
    assert!(!doubles.calls().is_empty());
}

#[test]
fn qm_through_ssh() {
    if !(support::need("ssh", "openssh-client") && support::need("sshd", "openssh-server")) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("node");
    prepare(&node);
    let doubles = Doubles::new(&node);
    let place = Node::with(&["sockets"]);
    for program in doubles.bin().read_dir().unwrap() {
        let program = program.unwrap();
        symlink(program.path(), place.path("bin").join(program.file_name())).unwrap();
    }
    let server = server(&place, &place.search_path());
    // Only a process of its own can have another `ssh` in its PATH.
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "other_side", "--ignored", "--nocapture"]).env("PATH", place.search_path());
    child.env("PHOENIX_TEST_NODE", node.canonicalize().unwrap()).env("PHOENIX_TEST_PORT", server.port.to_string());
    let output = child.env("PHOENIX_TEST_SOCKETS", place.path("sockets")).stdin(Stdio::null()).output().unwrap();
    let path = format!("ControlPath={}", place.path("sockets/%C").display());
    let mut ssh = Command::new(place.path("bin/ssh"));
    ssh.args(["-O", "exit", "-p", &server.port.to_string(), "-o", &path, "127.0.0.1"]).stderr(Stdio::null());
    let _ = ssh.status().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let all = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{all}");
    assert!(!doubles.calls().is_empty(), "nothing went through ssh");
}

#[test]
#[ignore = "the other side of the test with a server: has its `ssh` in its PATH"]
fn other_side() {
    let variable = |name: &str| std::env::var_os(format!("PHOENIX_TEST_{name}"))?.into_string().ok();
    let (Some(node), Some(port), Some(sockets)) = (variable("NODE"), variable("PORT"), variable("SOCKETS")) else {
        return;
    };
    let ssh = Ssh::new(None, "127.0.0.1", Some(port.parse().unwrap()), Sockets::At(sockets.into()));
    let layout = Layout { pve: node.clone(), root: format!("{node}/root") };
    check("qm+ssh", Path::new(&node), Box::new(Qm::new(Box::new(ssh), layout)));
}
