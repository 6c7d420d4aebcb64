//! Options of disks that are in the configuration at once, and that QEMU takes over at its next start: Proxmox shows
//! nothing pending, so the record knows that a restart is due.

use serde_json::json;

use super::places::{Place, Reached, stories};
use super::world::{Scene, check, ids};

fn config(disk: &str, further: &str) -> String {
    let of = |serial: &str| if serial.is_empty() { json!({}) } else { json!({ "serial": serial, "werror": "stop" }) };
    json!({ "virtual_machines": [{
        "vm_id": 1000, "vm_name": "web", "memory_mb": 1024, "boot_disk_size_gb": 4,
        "boot_disk_options": of(disk),
        "disks": { "scsi1": { "size_gb": 1, "options": of(further) } }
    }] })
    .to_string()
}

fn made(place: Place) -> Reached {
    let scene = Scene::with_node(&config("", ""));
    check(&scene.apply(), 0, &[]);
    place.copy_of(&scene)
}

#[track_caller]
fn waits(scene: &Scene, keys: &[&str]) {
    let plan = scene.phoenix(&["plan"]);
    check(&plan, 0, &["1 unchanged; 1 waits for a restart"]);
    for key in ["boot_disk_options", "disks.scsi1"] {
        let said = plan.out.contains(&format!("! {key}"));
        assert_eq!(said, keys.contains(&key), "{key}: {}", plan.out);
    }
}

fn what_qemu_has_not_got_waits_until_a_restart(place: Place) {
    let scene = made(place);
    scene.declare(&config("disk-1", ""));
    check(&scene.phoenix(&["plan"]), 0, &["the disk is opened at a start only", "1 waits for a restart"]);
    let says = ["waits for a restart: boot_disk_options", "1 VM: 1 updated; 1 waits for a restart"];
    check(&scene.phoenix(&["apply", "--auto-approve"]), 0, &says);
    assert!(scene.conf(1000).contains("serial=disk-1,") && !scene.conf(1000).contains("[PENDING]"));
    waits(&scene, &["boot_disk_options"]);
    // The other one joins it.
    scene.declare(&config("disk-1", "disk-2"));
    check(&scene.phoenix(&["apply", "--auto-approve"]), 0, &["waits for a restart: disks.scsi1"]);
    waits(&scene, &["boot_disk_options", "disks.scsi1"]);
    let ran = scene.phoenix(&["apply", "--auto-approve", "--restart"]);
    check(&ran, 0, &["1 VM: 1 updated"]);
    check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &["1 unchanged."]);
}

fn a_run_that_dies_forgets_no_restart(place: Place) {
    let scene = made(place);
    scene.declare(&config("disk-1", ""));
    scene.script_faults(&json!([{ "op": "configure", "vm": 1000, "skip": 1, "how": "die-after" }]));
    let ran = if place == Place::Embedded { scene.apply() } else { scene.apply_as_victim() };
    assert!(scene.all_faults_happened(), "{}{}", ran.out, ran.err);
    scene.settle();
    let ran = scene.apply();
    check(&ran, 0, &[]);
    assert_eq!(ids(&ran.events, "action_started"), ["1000/record"]);
    waits(&scene, &["boot_disk_options"]);
}

fn a_start_takes_all_over(place: Place) {
    let scene = made(place);
    scene.declare(&config("disk-1", ""));
    check(&scene.apply(), 0, &[]);
    for verb in ["stop", "start"] {
        check(&scene.phoenix(&[verb, "1000", "--auto-approve"]), 0, &[]);
    }
    check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &["1 unchanged."]);
}

stories! {
    what_qemu_has_not_got_waits_until_a_restart,
    a_run_that_dies_forgets_no_restart,
    a_start_takes_all_over,
}
