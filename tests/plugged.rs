//! Memory and CPUs that a VM gets while it runs: its guest is asked whether it uses them.
#![cfg(unix)]

mod around;
#[path = "support/doubles.rs"]
mod doubles;
#[path = "support/executable.rs"]
mod executable;
#[path = "load/node.rs"]
mod loaded;
#[path = "support/node.rs"]
mod node;
#[path = "load/scene.rs"]
mod scene;
#[path = "support/ssh.rs"]
mod ssh;
mod support;

use std::fs;

use loaded::Load;
use phoenix::backend::embedded::Embedded;
use phoenix::hypervisor::Plugged;
use phoenix::plan::Request;
use scene::{Place, Told, carried_out, planned};

const FEW: &str = r#""memory_mb": 2048, "cpu_cores": 4, "proxmox": { "numa": true, "hotplug": "network,disk,cpu,memory", "vcpus": 2 }"#;

/// The VM with this in place of what it has.
fn with(was: &str, is: &str) -> String {
    let more = FEW.replace(was, is);
    assert_ne!(FEW, more);
    more
}

fn memory() -> String {
    with("2048", "4096")
}

fn cpus() -> String {
    with("\"vcpus\": 2", "\"vcpus\": 4")
}

fn apply(place: &Place, keys: &str, restart: bool) -> Told {
    let request = Request { restart, ..Request::default() };
    carried_out(planned(keys, &*place.embedded(), &request), (place.target)(), Load::Slow(1))
}

/// A running VM on a node whose guests leave this offline.
fn begin(place: &Place, offline: &[Plugged]) {
    place.reset();
    let node = Embedded::open(&place.node).unwrap();
    let mut settings = node.settings().clone();
    settings.leaves_offline.extend(offline);
    node.save_settings(&settings).unwrap();
    says(&carried_out(planned(FEW, &*place.embedded(), &Request::default()), place.embedded(), Load::Slow(1)), &[]);
}

/// Nothing fails, and each notice has its part.
#[track_caller]
fn says(told: &Told, parts: &[&str]) {
    assert!(told.failures.is_empty(), "{:?}", told.failures);
    let told: Vec<&str> = told.notices.iter().map(|(_, said)| said.as_str()).collect();
    assert_eq!(told.len(), parts.len(), "{told:?}");
    for (told, part) in told.iter().zip(parts) {
        assert!(told.contains(part), "{told}");
    }
}

/// The configuration of the VM as `change` makes it, behind phoenix's back.
fn edit(place: &Place, was: &str, is: &str) {
    let path = place.node.join("qemu-server/1000.conf");
    let conf = fs::read_to_string(&path).unwrap();
    assert!(conf.contains(was), "{conf}");
    fs::write(&path, conf.replace(was, is)).unwrap();
}

fn brought_online(place: &Place) {
    for keys in [memory(), cpus()] {
        begin(place, &[]);
        says(&apply(place, &keys, false), &[]);
    }
}

fn left_offline(place: &Place) {
    begin(place, &[Plugged::Memory, Plugged::Cpus]);
    says(&apply(place, &memory(), false), &["uses 2048 MiB of memory of the 4096 MiB of memory that the VM has"]);
    begin(place, &[Plugged::Memory, Plugged::Cpus]);
    says(&apply(place, &cpus(), false), &["uses 2 CPUs of the 4 CPUs that the VM has"]);
    // Each is asked for by itself.
    begin(place, &[Plugged::Memory]);
    says(&apply(place, &cpus(), false), &[]);
}

/// What a restart brings in is not asked for.
fn restarted(place: &Place) {
    begin(place, &[Plugged::Memory, Plugged::Cpus]);
    says(&apply(place, &memory(), true), &[]);
    says(&apply(place, &memory(), false), &[]);
}

/// What waits for a restart, nobody has yet.
fn waiting(place: &Place) {
    begin(place, &[Plugged::Memory]);
    edit(place, "network,disk,cpu,memory", "network,disk");
    let keys = memory().replace("network,disk,cpu,memory", "network,disk");
    says(&apply(place, &keys, false), &["waits for a restart: memory_mb"]);
}

fn less(place: &Place) {
    begin(place, &[Plugged::Memory]);
    says(&apply(place, &with("2048", "1024"), false), &["waits for a restart: memory_mb"]);
}

/// A guest that is not to be asked, or cannot be.
fn unasked(place: &Place) {
    begin(place, &[Plugged::Memory]);
    let keys = format!("{}, \"ready\": \"running\"", memory());
    says(&apply(place, &keys, false), &["the VM has more memory now; not checked whether its guest uses it all"]);
    begin(place, &[Plugged::Memory]);
    let node = Embedded::open(&place.node).unwrap();
    let mut settings = node.settings().clone();
    settings.agent_delay_ms = u64::MAX;
    node.save_settings(&settings).unwrap();
    says(
        &apply(place, &memory(), false),
        &["not checked whether its guest uses it all: QEMU guest agent is not running"],
    );
}

const CHECKS: [fn(&Place); 6] = [brought_online, left_offline, restarted, waiting, less, unasked];

fn check(place: &Place) {
    for check in CHECKS {
        check(place);
    }
}

#[test]
fn embedded() {
    scene::embedded(check);
}

#[test]
fn qm() {
    scene::programs(check);
}

#[test]
fn qm_through_ssh() {
    scene::through_ssh();
}

#[test]
#[ignore = "the other side of the test with a server: has its `ssh` in its PATH"]
fn other_side() {
    scene::other_side(check);
}
