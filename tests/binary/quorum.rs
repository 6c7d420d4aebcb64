//! A node whose cluster has lost its quorum: that is said first, and nothing is begun.

use std::fs;

use super::places::{Place, Reached, stories};
use super::world::check;

const CONFIG: &str = r#"{ "vm_defaults": { "boot_disk_size_gb": 8 }, "virtual_machines": [
  { "vm_id": 1000, "vm_name": "web" }, { "vm_id": 1001, "vm_name": "new" }
] }"#;

/// What the cluster file system says of a node in a cluster of two.
fn members(scene: &Reached, quorate: u8) {
    let text = format!(
        r#"{{ "nodename": "pve", "version": 3, "cluster": {{ "name": "lab", "version": 2, "nodes": 2, "quorate": {quorate} }},
             "nodelist": {{ "pve": {{ "id": 1, "online": 1 }}, "pve2": {{ "id": 2, "online": {quorate} }} }} }}"#
    );
    fs::write(scene.node().join(".members"), text).unwrap();
}

fn nothing_is_begun_without_quorum(place: Place) {
    let scene = place.scene(CONFIG);
    members(&scene, 1);
    check(&scene.phoenix(&["apply", "--auto-approve", "--only", "1000"]), 0, &[]);
    check(&scene.phoenix(&["plan", "--out", "plan.json"]), 0, &["Plan: 1 to create"]);
    scene.settle();

    members(&scene, 0);
    let before = scene.world();
    let says = [
        "whose cluster has no quorum",
        "error[T090]: the node's cluster has no quorum; node `pve2` is not online",
        "hint: bring the other nodes back; `pvecm status`",
    ];
    let plan = scene.phoenix(&["plan"]);
    check(&plan, 1, &says);
    let first = plan.out.split("Config").next().unwrap();
    assert!(first.contains("no quorum") && !plan.err.contains("root"), "{}{}", plan.out, plan.err);
    check(&scene.phoenix(&["status"]), 0, &says);
    let refused = ["error[T090]", "the plan has errors; nothing was done"];
    check(&scene.phoenix(&["apply", "--auto-approve"]), 1, &refused);
    check(&scene.phoenix(&["apply", "plan.json"]), 1, &refused[..1]);
    check(&scene.phoenix(&["restart", "1000", "--auto-approve"]), 1, &refused);
    check(&scene.phoenix(&["destroy", "1000", "--yes-destroy", "web"]), 1, &refused);
    assert!(scene.world() == before && scene.runs(1000), "something was begun");
    // VMs can still be stopped.
    check(&scene.phoenix(&["stop", "1000", "--auto-approve"]), 0, &["warning[T090]"]);
    assert!(!scene.runs(1000));

    members(&scene, 1);
    check(&scene.phoenix(&["start", "1000", "--auto-approve"]), 0, &[]);
    check(&scene.phoenix(&["apply", "--auto-approve"]), 0, &[]);
    let status = scene.phoenix(&["status"]);
    let label = match place {
        Place::Embedded => "2 virtual machines on embedded node at",
        Place::Here => "2 virtual machines on Proxmox VE on this node:",
        Place::Ssh => "2 virtual machines on Proxmox VE on 127.0.0.1:",
    };
    check(&status, 0, &[label]);
}

/// A disk that grew before its size could be written down is found by looking.
fn a_disk_that_grew_all_the_same_is_found(place: Place) {
    let scene = place.scene(CONFIG);
    let only = ["apply", "--auto-approve", "--only", "1000"];
    check(&scene.phoenix(&only), 0, &[]);
    scene.declare(&CONFIG.replace("8 }", "16 }"));
    scene.script_faults(&serde_json::json!([{ "op": "resize", "vm": 1000, "how": "lose-quorum" }]));
    let lost = scene.phoenix(&only);
    check(&lost, 6, &["1000.conf.tmp.", "- Permission denied", "the cluster has no quorum", "`pvecm status`"]);
    assert!(!lost.err.contains("root") && scene.conf(1000).contains("size=8G"), "{}{}", lost.err, scene.conf(1000));
    check(&scene.phoenix(&only), 1, &["error[T090]"]);
    fs::remove_file(scene.node().join(".members")).unwrap();
    if place != Place::Embedded {
        let says = [
            "scsi0 has 16 GiB already, and the configuration of VM 1000 does not say it",
            "`qm disk rescan --vmid 1000`",
        ];
        check(&scene.phoenix(&only), 6, &says);
        scene.set_conf(1000, &scene.conf(1000).replace("size=8G", "size=16G"));
    }
    check(&scene.phoenix(&only), 0, &[]);
    assert!(scene.conf(1000).contains("size=16G"));
    check(&scene.phoenix(&["plan", "--detailed-exitcode", "--only", "1000"]), 0, &[]);
}

stories! {
    nothing_is_begun_without_quorum,
    a_disk_that_grew_all_the_same_is_found,
}
