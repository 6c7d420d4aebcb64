//! Volumes that no configuration names: said by plan and status, in the way of a VM that is to be made, and never
//! erased.

use std::fs;

use super::places::{Place, Reached};
use super::world::check;

const CONFIG: &str = r#"{ "vm_defaults": { "boot_disk_size_gb": 8 }, "virtual_machines": [
  { "vm_id": 1000, "vm_name": "web" }, { "vm_id": 1001, "vm_name": "new" }
] }"#;

/// What a move that was killed leaves on the node.
fn left_behind(scene: &Reached) -> std::path::PathBuf {
    let volume = scene.node().join("images/local-zfs/1000/vm-1000-disk-7");
    fs::create_dir_all(volume.parent().unwrap()).unwrap();
    fs::write(&volume, "1073741824").unwrap();
    volume
}

fn check_place(place: Place) {
    if !place.is_possible() {
        return;
    }
    let scene = place.scene(CONFIG);
    let volume = left_behind(&scene);
    let before = scene.world();
    let says = [
        "there are volumes of this VMID that no VM's configuration names: local-zfs:vm-1000-disk-7",
        "`pvesm free local-zfs:vm-1000-disk-7`",
    ];
    check(&scene.phoenix(&["plan"]), 1, &[&["error[T091]"], &says[..]].concat());
    check(&scene.phoenix(&["status"]), 0, &says);
    let refused = ["error[T091]", "the plan has errors; nothing was done"];
    check(&scene.phoenix(&["apply", "--auto-approve"]), 1, &refused);
    assert!(scene.world() == before, "something was done");
    // It is in the way of its own VM alone.
    check(&scene.phoenix(&["plan", "--only", "1001"]), 0, &["Plan: 1 to create"]);

    fs::remove_file(&volume).unwrap();
    check(&scene.phoenix(&["apply", "--auto-approve", "--only", "1000"]), 0, &[]);
    scene.settle();
    left_behind(&scene);
    // Listing the storages costs nothing more where another VM is to be made.
    let named = scene.phoenix(&["plan"]);
    check(
        &named,
        0,
        &[&["notice[T091]", "an interrupted move or import leaves such volumes, and nothing removes them"], &says[..]]
            .concat(),
    );
    assert!(!named.err.contains("vm-1000-disk-0"), "{}", named.err);
    let alone = scene.phoenix(&["plan", "--only", "1000"]);
    assert!(!alone.err.contains("T091"), "{}", alone.err);
    let kept = ["volumes that its configuration did not name stay: local-zfs:vm-1000-disk-7", says[1]];
    check(&scene.phoenix(&["destroy", "1000", "--yes-destroy", "web"]), 0, &kept);
    assert!(volume.exists());
    fs::remove_file(&volume).unwrap();

    // A write of the configuration that was killed when it had made a further disk. On a node of Proxmox it is a program
    // of its own, which comes to its end.
    if place != Place::Embedded {
        return;
    }
    check(&scene.phoenix(&["apply", "--auto-approve", "--only", "1001"]), 0, &[]);
    scene.settle();
    let disk = "\"vm_name\": \"new\", \"disks\": { \"scsi1\": { \"size_gb\": 2 } }";
    scene.declare(&CONFIG.replace("\"vm_name\": \"new\"", disk));
    scene.script_faults(&serde_json::json!([{ "op": "configure", "vm": 1001, "how": "die-halfway" }]));
    scene.as_victim(&["apply", "--auto-approve", "--only", "1001"]);
    scene.settle();
    let left = "there are volumes of this VMID that no VM's configuration names: local-zfs:vm-1001-disk-1";
    let ran = scene.phoenix(&["apply", "--auto-approve", "--only", "1001"]);
    check(&ran, 0, &["notice[T091]", left, "1 VM: 1 updated"]);
}

#[test]
fn on_the_embedded_node() {
    check_place(Place::Embedded);
}

#[test]
fn on_a_node_of_proxmox() {
    check_place(Place::Here);
}

#[test]
fn behind_ssh() {
    check_place(Place::Ssh);
}
