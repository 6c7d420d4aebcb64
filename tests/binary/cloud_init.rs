//! What cloud-init is told changes while a VM runs, on the embedded node and through the node's programs; and each of the
//! operations that takes is broken in turn.

use std::fs;

use super::places::Place;
use super::world::{Scene, ids};
use serde_json::{Value, json};

const BEFORE: &str = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 8 }] }"#;

/// With the key of somebody who is nobody.
const AFTER: &str = r#"{ "virtual_machines": [{
  "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 8,
  "network_config": { "ip": "192.0.2.77/24", "gw": "192.0.2.1", "searchdomain": "example.org" },
  "user_config": {
    "username": "admin",
    "ssh_authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@desk"]
  }
}] }"#;

/// A VM that runs as the first file says, and the second file beside it.
fn changed(scene: &Scene) {
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    scene.declare(AFTER);
}

/// The configuration is as the second file wishes, the drive has every value, and nothing is left to do.
#[track_caller]
fn check_done(scene: &Scene, case: &str) {
    let conf = scene.conf(1000);
    let key = "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f%20me%40desk%0A";
    let wished = ["ciuser: admin\n", "ipconfig0: ip=192.0.2.77/24,gw=192.0.2.1\n", "searchdomain: example.org\n"];
    for line in wished.into_iter().chain([&*format!("sshkeys: {key}\n")]) {
        assert!(conf.contains(line), "{case}: {line}\n{conf}");
    }
    assert!(!conf.contains("special:"), "{case}: {conf}");
    assert_eq!(scene.plan_code(), Some(0), "{case}: the plan is not empty");
}

fn without_drive(conf: &str) -> String {
    conf.split_inclusive('\n').filter(|line| !line.starts_with("ide2:")).collect()
}

fn reached(check: impl Fn(&Scene)) {
    check(&Scene::with_node(BEFORE));
    for place in [Place::Here, Place::Ssh] {
        if place.is_possible() {
            check(&place.scene(BEFORE));
        }
    }
}

#[test]
fn a_running_vm_is_told_and_reads_it_when_it_boots_next() {
    reached(|scene| {
        changed(scene);
        let plan = scene.phoenix(&["plan"]);
        assert!(plan.out.contains("update, needs a restart"), "{}", plan.out);
        assert!(plan.out.contains("configure → update-cloud-init"), "{}", plan.out);
        let ran = scene.phoenix(&["apply", "--auto-approve", "--json", "--detailed-exitcode"]);
        assert_eq!(ran.code, Some(8), "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("reads what cloud-init tells it when it boots next"), "{}", ran.out);
        check_done(scene, "told");
    });
}

#[test]
fn a_restart_makes_the_drive_by_itself() {
    reached(|scene| {
        changed(scene);
        let ran = scene.phoenix(&["apply", "--auto-approve", "--json", "--restart", "--detailed-exitcode"]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        let started = ids(&ran.events, "action_started");
        assert!(started.iter().any(|id| id == "1000/restart"), "{started:?}");
        assert!(!started.iter().any(|id| id.ends_with("update-cloud-init")), "{started:?}");
        check_done(scene, "restarted");
    });
}

/// Breaks one operation in every way; one more apply ends as if nothing had been.
fn check_broken(op: &str, prepare: fn(&Scene)) {
    for how in ["fail", "lose", "die-before", "die-halfway", "die-after"] {
        let check = |scene: &Scene, case: &str, dies: bool| {
            changed(scene);
            prepare(scene);
            scene.script_faults(&json!([{ "op": op, "vm": 1000, "how": how }]));
            let ran = if dies { scene.apply_as_victim() } else { scene.apply() };
            assert!(scene.all_faults_happened(), "{case}: it did not happen");
            let expected = match how {
                "fail" => Some(6),
                "lose" => Some(0),
                _ => None,
            };
            assert_eq!(ran.code, expected, "{case}: {}{}", ran.out, ran.err);
            // Who dies alone leaves the node's programs to come to their end.
            let path = scene.node().join("victim");
            drop(fs::remove_file(path));
            let ran = scene.apply();
            assert_eq!(ran.code, Some(0), "{case}: {}{}", ran.out, ran.err);
            check_done(scene, case);
        };
        check(&Scene::with_node(BEFORE), &format!("embedded, {op} {how}"), false);
        let here = Place::Here.scene(BEFORE);
        check(&here, &format!("qm, {op} {how}"), how.starts_with("die"));
    }
}

#[test]
fn telling_a_running_vm_is_broken_in_every_way() {
    check_broken("configure", |_| ());
    check_broken("update-cloud-init", |_| ());
}

#[test]
fn adding_a_drive_is_broken_in_every_way() {
    check_broken("configure", |scene| {
        fs::remove_file(scene.node().join("run/1000")).unwrap();
        fs::remove_file(scene.node().join("images/local-zfs/1000/vm-1000-cloudinit")).unwrap();
        scene.meddle(1000, without_drive);
    });
}

#[test]
fn a_drive_that_is_added_to_a_running_vm_waits_for_a_restart() {
    reached(|scene| {
        changed(scene);
        fs::remove_file(scene.node().join("images/local-zfs/1000/vm-1000-cloudinit")).unwrap();
        scene.meddle(1000, without_drive);
        let plan = scene.phoenix(&["plan"]);
        assert!(plan.out.contains("cloud_init_drive    none → ide2 on local-zfs"), "{}", plan.out);
        let ran = scene.apply();
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        let plan = scene.phoenix(&["plan"]);
        assert!(plan.out.contains("ide2"), "it waits: {}", plan.out);
        let ran = scene.phoenix(&["apply", "--auto-approve", "--json", "--restart"]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        assert!(scene.conf(1000).contains("ide2: local-zfs:vm-1000-cloudinit,media=cdrom\n"), "{}", scene.conf(1000));
        check_done(scene, "restarted");
    });
}

/// What somebody else set is neither shown nor written back.
#[test]
fn a_password_is_left_alone() {
    let scene = Scene::with_node(BEFORE);
    changed(&scene);
    scene.meddle(1000, |conf| format!("{conf}cipassword: $5$salt$hash\n"));
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(scene.conf(1000).contains("cipassword: $5$salt$hash\n"));
    let started: Vec<&Value> = ran.events.iter().filter(|event| event.to_string().contains("cipassword")).collect();
    assert!(started.is_empty(), "{started:?}");
}
