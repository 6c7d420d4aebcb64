//! What cloud-init is told changes while a VM runs, on the embedded node and through the node's programs.

use std::fs;

use super::broken::{Way, step};
use super::places::Place;
use super::world::{Scene, check, ids};
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
        assert!(plan.out.contains("update, waits for a restart"), "{}", plan.out);
        assert!(plan.out.contains("configure → update-cloud-init"), "{}", plan.out);
        let ran = scene.phoenix(&["apply", "--auto-approve", "--json", "--detailed-exitcode"]);
        assert_eq!(ran.code, Some(8), "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("reads the new cloud-init values when it boots next"), "{}", ran.out);
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

/// A running VM gets other values.
pub(crate) const TOLD: Way = Way {
    begin: || {
        let scene = Scene::with_node(BEFORE);
        changed(&scene);
        scene
    },
    steps: &[step("1000/configure", "configure"), step("1000/update-cloud-init", "update-cloud-init")],
    ..Way::PLAIN
};

/// A VM that is off gets values and the drive for them.
pub(crate) const GIVEN_A_DRIVE: Way = Way {
    begin: || {
        let scene = Scene::with_node(BEFORE);
        changed(&scene);
        fs::remove_file(scene.node().join("run/1000")).unwrap();
        fs::remove_file(scene.node().join("images/local-zfs/1000/vm-1000-cloudinit")).unwrap();
        scene.meddle(1000, without_drive);
        scene
    },
    steps: &[step("1000/configure", "configure")],
    ..Way::PLAIN
};

/// Until the guest boots, every look says that it has not read what changed; whoever restarts it ends that.
#[test]
fn what_a_running_guest_has_not_read_waits_for_a_restart() {
    let waits = "! cloud-init the values of its last boot → newer ones waits for a restart";
    reached(|scene| {
        changed(scene);
        check(&scene.apply(), 0, &[]);
        check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &[waits]);
        let status: Value = serde_json::from_str(&scene.phoenix(&["status", "--json"]).out).unwrap();
        assert_eq!((&status["vms"][0]["waiting"], &status["vms"][0]["well"]), (&json!(["cloud-init"]), &json!(false)));
        let ran = scene.phoenix(&["apply", "--auto-approve", "--json", "--detailed-exitcode"]);
        assert_eq!((ran.code, ids(&ran.events, "action_started").len()), (Some(8), 0), "{}{}", ran.out, ran.err);
        // A value that changes meanwhile makes no difference to that.
        scene.declare(&AFTER.replace("192.0.2.77", "192.0.2.78").replace("\"web\"", "\"web\", \"tags\": [\"x\"]"));
        check(&scene.apply(), 0, &[]);
        check(&scene.phoenix(&["plan"]), 0, &[waits]);
        check(&scene.phoenix(&["plan", "--restart"]), 0, &["actions restart → "]);
        let ran = scene.phoenix(&["apply", "--auto-approve", "--json", "--restart", "--detailed-exitcode"]);
        check(&ran, 0, &[]);
        assert!(ids(&ran.events, "action_started").contains(&"1000/restart".to_owned()), "{}", ran.out);
        let plan = scene.phoenix(&["plan"]);
        assert!(!plan.out.contains("waits"), "{}", plan.out);
        assert!(!scene.conf(1000).contains("unread"), "{}", scene.conf(1000));
    });
}

#[test]
fn whoever_stops_or_restarts_the_vm_by_name_ends_the_waiting() {
    for words in [&["restart", "1000", "--auto-approve"][..], &["stop", "1000", "--auto-approve"]] {
        let scene = Scene::with_node(BEFORE);
        changed(&scene);
        check(&scene.apply(), 0, &[]);
        assert!(scene.conf(1000).contains("unread"), "{}", scene.conf(1000));
        check(&scene.phoenix(words), 0, &[]);
        let conf = scene.conf(1000);
        assert!(!conf.contains("unread"), "{words:?}: {conf}");
        assert!(!scene.phoenix(&["plan"]).out.contains("waits"), "{words:?}");
    }
    // Somebody else switched it off: it reads everything when it starts.
    let scene = Scene::with_node(BEFORE);
    changed(&scene);
    check(&scene.apply(), 0, &[]);
    fs::remove_file(scene.node().join("run/1000")).unwrap();
    assert!(!scene.phoenix(&["plan"]).out.contains("waits"));
    check(&scene.apply(), 0, &[]);
    assert!(!scene.conf(1000).contains("unread"), "{}", scene.conf(1000));
}

/// What others set waits for the same restart, and is no reason to break it off.
#[test]
fn what_others_set_meanwhile_is_applied_by_the_same_restart() {
    reached(|scene| {
        changed(scene);
        check(&scene.apply(), 0, &[]);
        scene.meddle(1000, |conf| format!("{conf}\n[PENDING]\nballoon: 512\n"));
        check(&scene.phoenix(&["apply", "--auto-approve", "--restart"]), 0, &[]);
        let conf = scene.conf(1000);
        assert!(conf.contains("balloon: 512\n") && !conf.contains("PENDING") && !conf.contains("unread"), "{conf}");
    });
}

/// Who changed what cloud-init is told, part by part.
#[test]
fn somebody_else_is_told_from_the_file() {
    let scene = Scene::with_node(AFTER);
    check(&scene.apply(), 0, &[]);
    scene.meddle(1000, |conf| {
        conf.replace("ciuser: admin", "ciuser: eve").replace("ipconfig0: ip=192.0.2.77", "ipconfig0: ip=192.0.2.99")
    });
    scene.declare(&AFTER.replace("192.0.2.77", "192.0.2.78").replace("example.org", "example.com"));
    let plan: Value = serde_json::from_str(&scene.phoenix(&["plan", "--format", "json"]).out).unwrap();
    let told = |at: usize| {
        let change = &plan["vms"][0]["changes"][at];
        json!([change["key"], change["old"], change["changed_by"], change["applied"]])
    };
    let ip = |last: &str| format!("ip=192.0.2.{last}/24, gw=192.0.2.1");
    assert_eq!(told(0), json!(["network_config", ip("99"), "both", ip("77")]));
    assert_eq!(told(1), json!(["network_config", "searchdomain=example.org", "file", "searchdomain=example.org"]));
    assert_eq!(told(2), json!(["user_config", "username=eve", "outside", "username=admin"]));
    // A key that somebody added is named by its fingerprint.
    scene.declare(AFTER);
    check(&scene.apply(), 0, &[]);
    let mallory = "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIH8gHh0cGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIB%20mallory%0A";
    scene.meddle(1000, |conf| conf.replace("me%40desk%0A", &format!("me%40desk%0A{mallory}")));
    let plan = scene.phoenix(&["plan"]);
    check(&plan, 0, &["! user_config", "changed outside phoenix", "warning[T050]", "`user_config`"]);
    assert!(!format!("{}{}", plan.out, plan.err).contains("mallory"), "{}", plan.out);
}

#[test]
fn an_address_is_taken_away_where_the_file_says_none() {
    reached(|scene| {
        let ran = scene.apply();
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        for (network, line) in [
            (
                r#""ip": "none", "ip6": "2001:db8::10/64", "gw6": "fe80::1""#,
                "ipconfig0: gw6=fe80::1,ip6=2001:db8::10/64",
            ),
            (r#""ip": "192.0.2.7/24", "ip6": "none""#, "ipconfig0: ip=192.0.2.7/24"),
            (r#""ip": "none", "ip6": "none""#, ""),
            (r#""ip": "dhcp""#, "ipconfig0: ip=dhcp"),
            (r#""ip": "none""#, ""),
        ] {
            scene.declare(&format!(
                r#"{{ "virtual_machines": [{{ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 8,
                     "network_config": {{ {network} }} }}] }}"#
            ));
            let plan = scene.phoenix(&["plan"]);
            assert!(plan.out.contains("network_config"), "{network}: {}", plan.out);
            let ran = scene.apply();
            assert_eq!(ran.code, Some(0), "{network}: {}{}", ran.out, ran.err);
            let conf = scene.conf(1000);
            let now = conf.lines().find(|line| line.starts_with("ipconfig0")).unwrap_or_default();
            let sorted = |line: &str| {
                let mut parts: Vec<String> = line.split([' ', ',']).map(str::to_owned).collect();
                parts.sort();
                parts
            };
            assert_eq!(sorted(now), sorted(line), "{network}: {conf}");
            assert_eq!(scene.plan_code(), Some(0), "{network}: the plan is not empty");
        }
    });
}
