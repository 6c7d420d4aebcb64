//! The key `ha`: VMs that phoenix puts under the HA manager and takes out again, on every back end.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::broken::{Way, step};
use super::cluster::cluster;
use super::hardware::{everywhere, is_done};
use super::places::Place;
use super::world::{Scene, check, ids};

const OTHERS: &str = "ct: 1002\n\tstate disabled\n";

/// A file with a VM of which this is said.
fn config(vm: &Value) -> String {
    let mut own = json!({ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 8 });
    own.as_object_mut().unwrap().extend(vm.as_object().unwrap().clone());
    json!({ "virtual_machines": [own] }).to_string()
}

fn write(scene: &Scene, resources: &str) {
    fs::create_dir_all(scene.node().join("ha")).unwrap();
    fs::write(scene.node().join("ha/resources.cfg"), resources).unwrap();
}

fn resources(scene: &Scene) -> String {
    fs::read_to_string(scene.node().join("ha/resources.cfg")).unwrap_or_default()
}

fn managed(state: &str, max_restart: u32) -> String {
    format!("{OTHERS}\nvm: 1000\n\tstate {state}\n\tmax_restart {max_restart}\n\tmax_relocate 1\n")
}

#[track_caller]
fn started(ran: &super::world::Ran) -> Vec<String> {
    ids(&ran.events, "action_started")
}

#[test]
fn a_vm_is_put_under_the_ha_manager_changes_there_and_leaves() {
    everywhere(|scene, case| {
        if !scene.node().exists() {
            check(&scene.phoenix(&["node", "init"]), 0, &[]);
        }
        write(scene, OTHERS);
        scene.declare(&config(&json!({ "ha": { "state": "started" } })));
        let ran = scene.apply();
        check(&ran, 0, &[r#""results":{"planned":1,"created":1,"#]);
        // Last, when it is finished.
        let order = started(&ran);
        assert_eq!(order[order.len() - 2..], ["1000/set-ha", "1000/record"], "{case}");
        assert_eq!(resources(scene), managed("started", 1), "{case}");
        is_done(scene, case);

        scene.declare(&config(&json!({ "ha": { "max_restart": 3 } })));
        check(&scene.phoenix(&["plan"]), 0, &["started → started, max_restart 3"]);
        check(&scene.apply(), 0, &[r#""updated":1"#]);
        assert_eq!(resources(scene), managed("started", 3), "{case}");
        is_done(scene, case);

        // A stop and a start set the state themselves.
        check(&scene.phoenix(&["stop", "1000", "--auto-approve"]), 0, &[]);
        assert_eq!(resources(scene), managed("stopped", 3), "{case}");
        let plan = scene.phoenix(&["plan"]);
        assert!(!plan.err.contains("T050") && !plan.out.contains("set-ha"), "{case}: {}{}", plan.out, plan.err);
        check(&scene.apply(), 0, &[]);
        assert_eq!(resources(scene), managed("started", 3), "{case}");
        scene.declare(&config(&json!({ "ha": { "state": "disabled", "max_restart": 3 } })));
        let ran = scene.apply();
        check(&ran, 0, &[]);
        assert_eq!(started(&ran), ["1000/stop", "1000/set-ha", "1000/record"], "{case}");
        assert!(!scene.runs(1000), "{case}");
        assert_eq!(resources(scene), managed("disabled", 3), "{case}");
        is_done(scene, case);

        // What an administrator changes is seen, and made so again; and so where it was taken out.
        write(scene, &managed("stopped", 5));
        let said = ["changed outside phoenix", "stopped, max_restart 5 → disabled, max_restart 3"];
        let plan = scene.phoenix(&["plan"]);
        assert!(said.iter().all(|said| format!("{}{}", plan.out, plan.err).contains(said)), "{case}: {}", plan.out);
        check(&scene.apply(), 0, &[]);
        assert_eq!(resources(scene), managed("disabled", 3), "{case}");
        write(scene, OTHERS);
        check(&scene.apply(), 0, &[]);
        assert_eq!(resources(scene), managed("disabled", 3), "{case}");

        // Taken out of the file, it leaves.
        scene.declare(&config(&json!({ "started": false })));
        check(&scene.phoenix(&["plan"]), 0, &["disabled, max_restart 3 → (none)", "leave-ha"]);
        check(&scene.apply(), 0, &[r#""updated":1"#]);
        assert_eq!(resources(scene).trim_end(), OTHERS.trim_end(), "{case}");
        is_done(scene, case);
    });
}

#[test]
fn what_an_administrator_put_there_stays() {
    everywhere(|scene, case| {
        scene.declare(&config(&json!({})));
        check(&scene.apply(), 0, &[]);
        write(scene, &managed("started", 2));
        // The file says the same: nothing but the record changes, and the VM is still not phoenix's to take out.
        scene.declare(&config(&json!({ "ha": { "max_restart": 2 } })));
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        scene.declare(&config(&json!({ "ha": { "max_restart": 4 } })));
        check(&scene.apply(), 0, &[r#""updated":1"#]);
        assert_eq!(resources(scene), managed("started", 4), "{case}");
        for file in [json!({}), json!({ "ha": null })] {
            scene.declare(&config(&file));
            check(&scene.apply(), 0, &["T031"]);
            assert_eq!(resources(scene), managed("started", 4), "{case}");
            is_done(scene, case);
        }
        let destroy = ["destroy", "1000", "--yes-destroy", "web"];
        check(&scene.phoenix(&destroy), 1, &["error[T031]", "`ha-manager remove vm:1000` first"]);
    });
}

#[test]
fn a_vm_that_phoenix_put_there_leaves_before_it_is_destroyed_or_made_anew() {
    everywhere(|scene, case| {
        scene.declare(&config(&json!({ "ha": {} })));
        check(&scene.apply(), 0, &[]);
        let ran = scene.phoenix(&["apply", "--recreate", "1000", "--yes-destroy", "web", "--auto-approve", "--json"]);
        check(&ran, 0, &[]);
        let order = started(&ran);
        assert_eq!(order[..3], ["1000/stop", "1000/leave-ha", "1000/destroy"], "{case}");
        assert_eq!(order[order.len() - 2..], ["1000/set-ha", "1000/record"], "{case}");
        assert!(resources(scene).contains("vm: 1000\n\tstate started\n"), "{case}");
        is_done(scene, case);
        let ran = scene.phoenix(&["destroy", "1000", "--yes-destroy", "web", "--json"]);
        check(&ran, 0, &[]);
        assert_eq!(started(&ran), ["1000/stop", "1000/leave-ha", "1000/destroy"], "{case}");
        assert_eq!(resources(scene), "", "{case}");
        assert!(!scene.has(1000), "{case}");
    });
}

#[test]
fn a_vm_is_imported_with_its_ha() {
    let scene = Scene::with_node(&config(&json!({})));
    check(&scene.apply(), 0, &[]);
    write(&scene, &managed("started", 2));
    let file = |defaults: Value| json!({ "vm_defaults": defaults, "virtual_machines": [] }).to_string();
    scene.declare(&file(json!({})));
    let said = scene.phoenix(&["import", "1000"]);
    check(&said, 0, &[r#""ha":{"max_restart":2,"state":"started"}"#]);
    check(&scene.apply(), 0, &[]);
    is_done(&scene, "imported");
    scene.declare(&file(json!({ "ha": { "state": "started", "max_restart": 2 } })));
    let said = scene.phoenix(&["import", "1000"]);
    check(&said, 0, &[r#""boot_disk_size_gb":8}"#]);
    // What all VMs have, and this one not.
    scene.declare(&file(json!({ "ha": {} })));
    write(&scene, OTHERS);
    check(&scene.phoenix(&["import", "1000"]), 0, &[r#""ha":null"#]);
}

#[test]
fn what_changed_since_the_plan_is_not_written_over() {
    let scene = Scene::with_node(&config(&json!({})));
    check(&scene.apply(), 0, &[]);
    scene.declare(&config(&json!({ "ha": {} })));
    check(&scene.phoenix(&["plan", "--out", "p.plan"]), 0, &[]);
    write(&scene, &managed("ignored", 1));
    let ran = scene.phoenix(&["apply", "p.plan"]);
    assert_eq!(ran.code, Some(5), "{}{}", ran.out, ran.err);
    assert_eq!(resources(&scene), managed("ignored", 1));
}

#[test]
fn disks_of_one_node_are_no_obstacle_and_said() {
    for place in [Place::Embedded, Place::Here].into_iter().filter(|place| place.is_possible()) {
        let vms = json!([{ "vm_id": 1000, "vm_name": "web", "node": ["pve2", "pve3"], "ha": {} }]);
        let scene = place.copy_of(&cluster(&vms));
        check(&scene.phoenix(&["plan"]), 0, &["notice[T117]", "its disks lie on `local-zfs`"]);
        check(&scene.apply(), 0, &[]);
        is_done(&scene, &format!("{place:?}"));
        let plan = scene.phoenix(&["plan"]);
        assert!(!plan.err.contains("T117"), "said once: {}", plan.err);
    }
}

/// The world, and whom the HA manager looks after.
fn world(scene: &Scene) -> BTreeMap<String, String> {
    let mut world = scene.world();
    world.insert("resources.cfg".to_owned(), resources(scene));
    world
}

/// A running VM is put under the HA manager.
pub(crate) const PUT: Way = Way {
    begin: || {
        let scene = Scene::with_node(&config(&json!({})));
        check(&scene.apply(), 0, &[]);
        scene.declare(&config(&json!({ "ha": { "max_restart": 3 } })));
        scene
    },
    world,
    // What was applied is forgotten first, and that it is phoenix that puts it there is noted.
    steps: &[step("1000/set-ha", "configure"), step("1000/set-ha", "set-ha")],
    ..Way::PLAIN
};

/// One is stopped there, in a state that a stop does not set.
pub(crate) const DISABLED: Way = Way {
    begin: || {
        let scene = Scene::with_node(&config(&json!({ "ha": {} })));
        check(&scene.apply(), 0, &[]);
        scene.declare(&config(&json!({ "ha": { "state": "disabled" } })));
        scene
    },
    world,
    steps: &[step("1000/set-ha", "configure"), step("1000/set-ha", "set-ha")],
    ..Way::PLAIN
};

/// One leaves the HA manager.
pub(crate) const LEFT: Way = Way {
    begin: || {
        let scene = Scene::with_node(&config(&json!({ "ha": {} })));
        check(&scene.apply(), 0, &[]);
        scene.declare(&config(&json!({})));
        scene
    },
    world,
    steps: &[step("1000/leave-ha", "leave-ha")],
    ..Way::PLAIN
};

/// One leaves the HA manager and is destroyed.
pub(crate) const RETIRED: Way = Way {
    begin: || {
        let scene = Scene::with_node(&config(&json!({ "ha": {} })));
        check(&scene.apply(), 0, &[]);
        scene.declare(r#"{ "virtual_machines": [] }"#);
        scene
    },
    words: &["destroy", "1000", "--yes-destroy", "web", "--json"],
    plan: &[],
    world,
    steps: &[step("1000/leave-ha", "leave-ha")],
    ..Way::PLAIN
};
