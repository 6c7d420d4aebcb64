//! Scripts on a VM's own disk: a VM that may be on several nodes gets no volume that one of them serves.

use serde_json::{Value, json};

use super::broken::{Way, inside};
use super::cluster::{cluster, config, node_of};
use super::places::{Place, Reached, stories};
use super::world::{Scene, check, ids};

fn vm(node: &Value) -> Value {
    json!([{ "vm_id": 1000, "vm_name": "web", "node": node, "features": ["base_setup"] }])
}

fn without_node() -> Value {
    json!([{ "vm_id": 1000, "vm_name": "web", "features": ["base_setup"] }])
}

/// Whether the VM's script lies on its own disk.
fn is_on_own_disk(scene: &Scene, vm: u32) -> bool {
    scene.node().join(format!("guests/{vm}/own/persistent-storage/.phoenix_scripts/base_setup.sh")).is_file()
}

#[track_caller]
fn is_done(scene: &Scene) {
    let plan = scene.phoenix(&["plan", "--verify-guest", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{}{}", plan.out, plan.err);
}

fn reached(place: Place, vms: &Value) -> Reached {
    place.copy_of(&cluster(vms))
}

fn features_follow_a_vm_to_other_nodes(place: Place) {
    let scene = reached(place, &vm(&json!("pve2")));
    let said = ["/persistent-storage/.phoenix_scripts its scripts lie on its own disk"];
    check(&scene.phoenix(&["plan"]), 0, &said);
    let ran = scene.apply();
    check(&ran, 0, &[]);
    let begun = ids(&ran.events, "action_started");
    assert!(!begun.iter().any(|id| ["share", "mount"].iter().any(|part| id.contains(part))), "{begun:?}");
    assert!(is_on_own_disk(&scene, 1000));
    is_done(&scene);
    scene.declare(&config(&vm(&json!("pve3"))));
    let ran = scene.apply();
    check(&ran, 0, &[]);
    assert_eq!(ids(&ran.events, "action_started"), ["1000/migrate"]);
    assert_eq!(node_of(&scene, 1000), "pve3");
    // On the target's own node what its scripts left is not covered by a volume.
    scene.declare(&config(&vm(&json!("pve"))));
    let ran = scene.apply();
    check(&ran, 0, &[]);
    assert_eq!(ids(&ran.events, "action_started"), ["1000/migrate"]);
    is_done(&scene);
    let ran = scene.phoenix(&["apply", "--auto-approve", "--rerun", "base_setup"]);
    check(&ran, 0, &["1 updated"]);
    is_done(&scene);
    check(&scene.phoenix(&["destroy", "1000", "--yes-destroy", "1000"]), 0, &[]);
}

fn a_volume_of_a_node_is_not_left_behind(place: Place) {
    let scene = reached(place, &without_node());
    check(&scene.apply(), 0, &[]);
    assert!(!is_on_own_disk(&scene, 1000));
    scene.declare(&config(&vm(&json!("any"))));
    let says = ["error[T102]: VM 1000 `web`: the volume at /persistent-storage is served by a node of the target"];
    check(&scene.phoenix(&["plan"]), 1, &says);
    // What is declared at the directory of the scripts takes their place.
    scene.declare(&config(&json!([{
        "vm_id": 1000, "vm_name": "web", "node": "any", "features": ["base_setup"],
        "volumes": [{ "type": "nfs", "server": "192.0.2.9", "path": "/export/1000", "mount_point": "/persistent-storage" }]
    }])));
    check(&scene.apply(), 0, &[]);
    is_done(&scene);
    // Taken out again, it is no reason to refuse anything.
    scene.declare(&config(&vm(&json!("any"))));
    check(&scene.apply(), 0, &[]);
    assert!(is_on_own_disk(&scene, 1000));
    is_done(&scene);
}

fn a_run_that_dies_in_a_script_forgets_no_disk(place: Place) {
    let scene = reached(place, &vm(&json!(["pve", "pve2"])));
    scene.script_faults(&json!([{ "op": "guest-start", "vm": 1000, "program": "phoenix-feature", "how": "fail" }]));
    assert_ne!(scene.apply().code, Some(0));
    assert!(scene.all_faults_happened());
    // By now the VM could have a volume of the node.
    scene.declare(&config(&without_node()));
    check(&scene.apply(), 0, &[]);
    assert!(is_on_own_disk(&scene, 1000));
    is_done(&scene);
    let volume =
        json!([{ "type": "nfs", "server": "192.0.2.9", "path": "/export/1000", "mount_point": "/persistent-storage" }]);
    let mut with_volume = without_node();
    with_volume[0]["volumes"] = volume;
    scene.declare(&config(&with_volume));
    check(
        &scene.phoenix(&["plan"]),
        0,
        &["warning[T141]: VM 1000 `web`: the volume at /persistent-storage hides what lies there"],
    );
}

fn a_template_keeps_no_script_on_its_disk(place: Place) {
    let base =
        json!({ "vm_id": 1000, "vm_name": "base", "node": "any", "features": ["base_setup"], "is_template": true });
    let web = json!({ "vm_id": 1001, "vm_name": "web", "template_name": "base" });
    let scene = reached(place, &json!([base, web]));
    check(&scene.apply(), 0, &[]);
    assert!(!is_on_own_disk(&scene, 1000) && !is_on_own_disk(&scene, 1001));
    assert!(!scene.node().join("guests/1001/own").exists());
}

stories! {
    features_follow_a_vm_to_other_nodes,
    a_volume_of_a_node_is_not_left_behind,
    a_run_that_dies_in_a_script_forgets_no_disk,
    a_template_keeps_no_script_on_its_disk,
}

/// Scripts are put on the VM's own disk, and run.
pub(crate) const OWN_DISK: Way = Way {
    begin: || cluster(&vm(&json!(["pve2", "pve3"]))),
    steps: &[inside("1000/stage-scripts", "phoenix-stage"), inside("1000/feature:base_setup", "phoenix-feature")],
    ..Way::PLAIN
};
