//! A network card that changes: its guest is asked whether it still has it.
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
use phoenix::plan::{Goal, Plan, Power, Request, codes};
use scene::{Place, Told, carried_out, planned};

const VIRTIO: &str = r#""network_model": "virtio""#;
const E1000: &str = r#""network_model": "e1000""#;
const BRIDGE: &str = r#""network_bridge": "vmbr1""#;

fn plan(place: &Place, keys: &str, restart: bool) -> Plan {
    planned(keys, &*place.embedded(), &Request { restart, ..Request::default() })
}

fn apply(place: &Place, keys: &str, restart: bool) -> Told {
    carried_out(plan(place, keys, restart), (place.target)(), Load::Slow(1))
}

/// A node whose guests have no drivers for these models.
fn empty(place: &Place, missing: &str) {
    place.reset();
    let node = Embedded::open(&place.node).unwrap();
    let mut settings = node.settings().clone();
    settings.bridges.insert("vmbr1".to_owned(), None);
    settings.missing_drivers.extend(missing.split_whitespace().map(str::to_owned));
    node.save_settings(&settings).unwrap();
    fs::create_dir_all(place.node.join("root/sys/class/net/vmbr1/bridge")).unwrap();
}

/// A VM with a card of the model virtio there.
fn begin(place: &Place, missing: &str) {
    empty(place, missing);
    let made = carried_out(plan(place, VIRTIO, false), place.embedded(), Load::Slow(1));
    assert!(made.failures.is_empty(), "{:?}", made.failures);
}

/// What is left to do.
fn left(place: &Place, keys: &str) -> Vec<String> {
    let plan = plan(place, keys, false);
    let acting = (0..plan.action_count()).filter(|number| plan.action(*number).1.outcome.acts());
    acting.map(|number| plan.action_id(number)).collect()
}

#[track_caller]
fn fails(told: &Told, hint: &str) {
    let [(id, failure)] = told.failures.as_slice() else { panic!("{:?}", told.failures) };
    assert_eq!(id, "1000/await-network", "{failure:?}");
    assert!(failure.error.contains("no driver for `e1000`"), "{failure:?}");
    assert!(failure.hint.as_ref().is_some_and(|said| said.contains(hint)), "{failure:?}");
}

#[track_caller]
fn done(told: &Told, notice: Option<&str>) {
    assert!(told.failures.is_empty(), "{:?}", told.failures);
    let said: Vec<&str> = told.notices.iter().map(|(_, said)| said.as_str()).collect();
    match notice {
        None => assert!(said.is_empty(), "{said:?}"),
        Some(notice) => assert!(said.iter().any(|said| said.contains(notice)), "{said:?}"),
    }
}

fn no_driver(place: &Place) {
    begin(place, "e1000");
    fails(&apply(place, E1000, false), "set `network_model` back to `virtio` and apply");
    // Nothing is done as long as the guest has no card.
    assert_eq!(left(place, E1000)[0], "1000/await-network");
    fails(&apply(place, E1000, false), "set `network_model` back to what it was and apply");
    // The way back.
    done(&apply(place, VIRTIO, false), None);
    assert!(left(place, VIRTIO).is_empty());
}

fn driver(place: &Place) {
    for keys in [E1000, BRIDGE] {
        begin(place, "");
        done(&apply(place, keys, false), None);
        assert!(left(place, keys).is_empty());
    }
}

/// A driver that comes later, as from an administrator at the console.
fn driver_comes(place: &Place) {
    begin(place, "e1000");
    fails(&apply(place, E1000, false), "install the driver");
    let node = Embedded::open(&place.node).unwrap();
    let mut settings = node.settings().clone();
    settings.missing_drivers.clear();
    node.save_settings(&settings).unwrap();
    done(&apply(place, E1000, false), None);
    assert!(left(place, E1000).is_empty());
}

fn no_agent(place: &Place) {
    begin(place, "e1000");
    let path = place.node.join("qemu-server/1000.conf");
    let conf = fs::read_to_string(&path).unwrap();
    // It was started without one.
    let without = conf.replace("agent: enabled=1", "agent: enabled=0");
    assert_ne!(conf, without);
    fs::write(&path, without).unwrap();
    let planned = plan(place, E1000, false);
    let open = planned.problems.iter().find(|problem| problem.code == codes::LEFT_OPEN).unwrap();
    assert!(
        open.message.contains("is off until the VM restarts") && open.message.contains("await-network"),
        "{open:?}"
    );
    done(&apply(place, E1000, false), Some("waits for a restart: agent"));
    // The restart switches the agent on, and the guest is asked.
    fails(&apply(place, E1000, true), "install the driver");
}

/// A card that a running VM does not take over is asked for after the restart.
fn after_a_restart(place: &Place) {
    begin(place, "e1000");
    let path = place.node.join("qemu-server/1000.conf");
    let conf = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{conf}hotplug: disk\n")).unwrap();
    let told = apply(place, E1000, false);
    done(&told, Some("waits for a restart: network_model"));
    assert!(left(place, E1000).is_empty(), "{:?}", left(place, E1000));
    fails(&apply(place, E1000, true), "set `network_model` back");
    assert_eq!(left(place, E1000)[0], "1000/await-network");
}

/// A new VM whose card is not of the model that its template's is.
fn new(place: &Place) {
    empty(place, "e1000");
    fails(&apply(place, E1000, false), "set `network_model` back to the model of its template's card");
    assert!(left(place, E1000).contains(&"1000/await-network".to_owned()), "{:?}", left(place, E1000));
    fails(&apply(place, E1000, false), "set `network_model` back to what it was");
    done(&apply(place, VIRTIO, false), None);
    assert!(left(place, VIRTIO).is_empty());
    empty(place, "");
    done(&apply(place, E1000, false), None);
    assert!(left(place, E1000).is_empty());
    // One that nothing changes is not asked.
    empty(place, "virtio");
    done(&apply(place, VIRTIO, false), None);
    // Nor is one that is not to run, before it does.
    empty(place, "e1000");
    let off = format!("{E1000}, \"started\": false");
    done(&apply(place, &off, false), None);
    assert!(left(place, &off).is_empty(), "{:?}", left(place, &off));
    fails(&apply(place, E1000, false), "install the driver");
}

/// A card that waits is asked for by whatever restarts the VM.
fn restarted_by_name(place: &Place) {
    let vms = || vec![1000.try_into().unwrap()];
    for power in [Power::Restart, Power::Start] {
        begin(place, "e1000");
        let path = place.node.join("qemu-server/1000.conf");
        let conf = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{conf}hotplug: disk\n")).unwrap();
        done(&apply(place, E1000, false), Some("waits for a restart: network_model"));
        let asks = |power| {
            let goal = Goal::Power { power, vms: vms() };
            let plan = planned(E1000, &*place.embedded(), &Request { goal, ..Request::default() });
            carried_out(plan, (place.target)(), Load::Slow(1))
        };
        if power == Power::Start {
            done(&asks(Power::Stop), None);
        }
        fails(&asks(power), "install the driver");
        // The next apply asks again.
        assert_eq!(left(place, E1000)[0], "1000/await-network");
    }
}

const CHECKS: [fn(&Place); 7] = [no_driver, driver, driver_comes, no_agent, after_a_restart, new, restarted_by_name];

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

/// Only the node's end of the card moves: the plan says so.
#[test]
fn a_bridge_alone_disturbs_no_guest() {
    scene::embedded(|place| {
        begin(place, "");
        let plan = plan(place, BRIDGE, false);
        let change = plan.vms[0].changes.iter().find(|change| change.key == "network_bridge").unwrap();
        assert_eq!(change.disruption, phoenix::model::Disruption::Live);
        assert!(change.note.contains("keeps its address"), "{}", change.note);
    });
}
