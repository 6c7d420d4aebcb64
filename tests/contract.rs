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
#[path = "support/ssh.rs"]
mod ssh;
mod support;
#[path = "contract/templates.rs"]
mod templates;
#[path = "contract/vms.rs"]
mod vms;
#[path = "contract/world.rs"]
mod world;

use std::path::Path;

use doubles::Doubles;
use phoenix::backend::embedded::Embedded;
use phoenix::hypervisor::{Hypervisor, Plugged};
use world::World;

/// Makes the node, and says what lies on it before any back end looks.
fn prepare(dir: &Path) {
    let node = Embedded::open(dir).unwrap();
    let mut settings = node.settings().clone();
    // Long enough for a look at a clone that is under way.
    settings.latency_ms = 10;
    settings.missing_drivers.insert("rtl8139".to_owned());
    settings.leaves_offline.insert(Plugged::Memory);
    settings.holds.insert("net31".to_owned());
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
    ssh::other_side(&node, &doubles);
    assert!(!doubles.calls().is_empty(), "nothing went through ssh");
}

#[test]
#[ignore = "the other side of the test with a server: has its `ssh` in its PATH"]
fn other_side() {
    let Some((node, target)) = ssh::target() else { return };
    check("qm+ssh", &node, Box::new(target));
}
