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
use phoenix::model::RestartDue;
use phoenix::observed::VmObserved;
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

/// The VM with a second card.
fn two_cards() -> String {
    format!(r#"{FEW}, "networks": {{ "net1": {{ "bridge": "vmbr0" }} }}"#)
}

/// A running VM whose guest does not let go of these.
fn held(place: &Place, keys: &str, options: &[&str]) {
    place.reset();
    let node = Embedded::open(&place.node).unwrap();
    let mut settings = node.settings().clone();
    settings.holds.extend(options.iter().map(|option| (*option).to_owned()));
    node.save_settings(&settings).unwrap();
    says(&carried_out(planned(keys, &*place.embedded(), &Request::default()), place.embedded(), Load::Slow(1)), &[]);
}

fn live(place: &Place) -> VmObserved {
    place.embedded().vm(1000.try_into().unwrap()).unwrap().unwrap()
}

/// One action fails, and says this.
#[track_caller]
fn fails(told: &Told, parts: &[&str]) {
    let [(action, failure)] = &told.failures[..] else { panic!("{:?}", told.failures) };
    assert_eq!(action, "1000/configure");
    let said = format!("{}\n{}", failure.error, failure.hint.clone().unwrap_or_default());
    for part in parts {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// What a guest does not let go of waits for the restart: nothing differs any more, and nothing is forgotten.
#[track_caller]
fn is_due(place: &Place, keys: &str, waits: &[&str]) {
    assert_eq!(live(place).pending.keys().map(String::as_str).collect::<Vec<_>>(), waits);
    let plan = planned(keys, &*place.embedded(), &Request::default());
    assert!(!plan.acts() && plan.problems.is_empty(), "{:?}", plan.problems);
    assert_eq!(plan.restarts(RestartDue::Later), 1);
}

fn card_held(place: &Place) {
    held(place, &two_cards(), &["net1"]);
    let card = live(place).options.get("net1").unwrap().to_owned();
    let busy = "net1: hotplug problem - error on hot-unplugging device 'net1' - still busy in guest?";
    let waits =
        ["does not take over the change of net1: it waits for the next restart of the VM", "`phoenix apply --restart`"];
    fails(&apply(place, FEW, false), &[&[busy][..], &waits].concat());
    is_due(place, FEW, &["net1"]);
    // Said again in the file, it is the card that the guest has.
    says(&apply(place, &two_cards(), false), &[]);
    assert_eq!((live(place).options.get("net1"), live(place).pending.len()), (Some(card.as_str()), 0));
    assert!(!planned(&two_cards(), &*place.embedded(), &Request::default()).acts());
    // Changed in what needs no plug, its removal is taken back, too.
    fails(&apply(place, FEW, false), &[busy]);
    let walled = two_cards().replace(r#""bridge": "vmbr0""#, r#""bridge": "vmbr0", "firewall": true"#);
    says(&apply(place, &walled, false), &[]);
    assert_eq!(live(place).options.get("net1"), Some(format!("{card},firewall=1").as_str()));
    fails(&apply(place, FEW, false), &[busy]);
    says(&apply(place, FEW, true), &[]);
    assert_eq!((live(place).options.get("net1"), live(place).pending.len()), (None, 0));
    assert!(!planned(FEW, &*place.embedded(), &Request::default()).acts());
}

fn less_held(place: &Place) {
    held(place, FEW, &["memory", "vcpus"]);
    // That it may wait the plan had said.
    let less = with("2048", "1024");
    says(&apply(place, &less, false), &["waits for a restart: memory_mb"]);
    is_due(place, &less, &["memory"]);
    let fewer = less.replace("\"vcpus\": 2", "\"vcpus\": 1");
    let unplugs = ["error unplugging cpu2", "the change of proxmox.vcpus: it waits for the next restart of the VM"];
    fails(&apply(place, &fewer, false), &unplugs);
    is_due(place, &fewer, &["memory", "vcpus"]);
    // A restart in the same run brings it in.
    let sockets = format!("{FEW}, \"cpu_sockets\": 2");
    says(&apply(place, &sockets, true), &[]);
    let both = sockets.replace("\"vcpus\": 2", "\"vcpus\": 1").replace("\"cpu_sockets\": 2", "\"cpu_sockets\": 1");
    says(&apply(place, &both, true), &[]);
    assert!(live(place).pending.is_empty());
    assert!(!planned(&both, &*place.embedded(), &Request::default()).acts());
}

const CHECKS: [fn(&Place); 8] = [brought_online, left_offline, restarted, waiting, less, unasked, card_held, less_held];

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
