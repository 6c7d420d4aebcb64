//! VMs that the HA manager looks after: what is asked of them it does later, and phoenix waits for it; on every back
//! end.

use std::fs;

use serde_json::{Value, json};

use super::cluster::{cluster, node_of};
use super::hardware::{everywhere, is_done};
use super::places::Place;
use super::world::{Scene, check, ids};

fn config(started: bool, memory: u32) -> String {
    let vm =
        json!({ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 8, "memory_mb": memory, "started": started });
    json!({ "virtual_machines": [vm] }).to_string()
}

const OTHERS: &str = "ct: 1002\n\tstate disabled\n\n";

/// As an administrator puts a VM under it.
fn look_after(scene: &Scene, state: &str) {
    fs::create_dir_all(scene.node().join("ha")).unwrap();
    fs::write(scene.node().join("ha/resources.cfg"), resources(state)).unwrap();
}

fn resources(state: &str) -> String {
    format!("{OTHERS}vm: 1000\n\tstate {state}\n\tmax_restart 2\n")
}

#[track_caller]
fn is_to_be(scene: &Scene, state: &str) {
    let now = fs::read_to_string(scene.node().join("ha/resources.cfg")).unwrap();
    assert_eq!(now, resources(state));
}

fn find_it_in(scene: &Scene, state: &str) {
    let status = json!({ "master_node": "pve", "node_status": { "pve": "online" },
        "service_status": { "vm:1000": { "node": "pve", "state": state } } });
    fs::write(scene.node().join("ha/manager_status"), status.to_string()).unwrap();
}

/// The kinds of the tasks of the node, the newest last.
fn tasks(scene: &Scene) -> Vec<String> {
    let index = fs::read_to_string(scene.node().join("tasks/index")).unwrap();
    index.lines().filter_map(|line| Some(line.split(':').nth(5)?.to_owned())).collect()
}

#[test]
fn the_ha_manager_does_later_what_it_is_asked() {
    everywhere(|scene, case| {
        scene.declare(&config(true, 1024));
        check(&scene.apply(), 0, &[]);
        look_after(scene, "started");
        check(&scene.phoenix(&["plan"]), 0, &["notice[T031]", "at any time: the requested state is `started`"]);
        is_done(scene, case);
        check(&scene.phoenix(&["status"]), 0, &["HA to be started"]);

        // A restart ends in the state that it had before.
        scene.declare(&config(true, 2048));
        let ran = scene.phoenix(&["apply", "--restart", "--auto-approve", "--json"]);
        check(&ran, 0, &["the HA manager, which is to shut down the VM", "the HA manager, which is to start the VM"]);
        assert!(scene.runs(1000), "{case}");
        is_to_be(scene, "started");
        let tasks = tasks(scene);
        assert_eq!(tasks[tasks.len() - 4..], ["hastop", "qmshutdown", "hastart", "qmstart"], "{case}");
        is_done(scene, case);

        check(&scene.phoenix(&["stop", "1000", "--auto-approve"]), 0, &["1 VM: 1 updated"]);
        assert!(!scene.runs(1000), "{case}");
        is_to_be(scene, "stopped");
        let status = scene.phoenix(&["status", "--format", "json"]);
        let status: Value = serde_json::from_str(&status.out).unwrap();
        assert_eq!(status["vms"][0]["ha"], json!({ "state": "stopped", "acts": true }), "{case}");

        check(&scene.apply(), 0, &[]);
        assert!(scene.runs(1000), "{case}");
        is_to_be(scene, "started");

        // A VM that it is to ignore is nobody's but the node's.
        look_after(scene, "ignored");
        let plan = scene.phoenix(&["plan"]);
        assert!(!plan.err.contains("T031"), "{case}: {}", plan.err);
        check(&scene.phoenix(&["stop", "1000", "--auto-approve"]), 0, &[]);
        is_to_be(scene, "ignored");

        let destroy = ["destroy", "1000", "--yes-destroy", "web"];
        check(&scene.phoenix(&destroy), 1, &["error[T031]", "`ha-manager remove vm:1000` first"]);
        fs::write(scene.node().join("ha/resources.cfg"), OTHERS).unwrap();
        check(&scene.phoenix(&destroy), 0, &[]);
        assert!(!scene.has(1000), "{case}");
    });
}

#[test]
fn a_vm_that_the_ha_manager_gave_up_is_called_so() {
    everywhere(|scene, case| {
        scene.declare(&config(true, 1024));
        check(&scene.apply(), 0, &[]);
        look_after(scene, "started");
        find_it_in(scene, "error");
        // Nothing is asked of it: that is no reason to stop.
        check(&scene.phoenix(&["plan"]), 0, &["warning[T116]", "its state is `error`", "--state disabled"]);
        check(&scene.phoenix(&["status"]), 0, &["to be started, is error now", "the HA manager gave up on the VM"]);
        check(&scene.phoenix(&["restart", "1000", "--auto-approve"]), 1, &["error[T116]"]);
        scene.declare(&config(false, 1024));
        check(&scene.phoenix(&["apply", "--auto-approve"]), 1, &["error[T116]", "nothing was done"]);
        assert!(scene.runs(1000), "{case}");
        is_to_be(scene, "started");
        // The file has the way out: it stops the VM.
        scene.declare(&config(false, 1024).replacen("\"started\":false", "\"ha\":{\"state\":\"disabled\"}", 1));
        let ran = scene.apply();
        check(&ran, 0, &["warning[T116]"]);
        assert_eq!(ids(&ran.events, "action_started"), ["1000/stop", "1000/set-ha", "1000/record"], "{case}");
        assert!(!scene.runs(1000), "{case}");
        let resources = fs::read_to_string(scene.node().join("ha/resources.cfg")).unwrap();
        assert!(resources.contains("vm: 1000\n\tstate disabled\n"), "{case}: {resources}");
        check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &[]);
    });
}

#[test]
fn a_vm_that_the_ha_manager_cannot_start_is_no_longer_waited_for() {
    everywhere(|scene, case| {
        scene.declare(&config(false, 1024));
        check(&scene.apply(), 0, &[]);
        look_after(scene, "stopped");
        scene.meddle(1000, |conf| format!("{conf}net3: virtio=BC:24:11:00:00:01,bridge=vmbr9\n"));
        let ran = scene.phoenix(&["start", "1000", "--auto-approve"]);
        check(&ran, 6, &["the HA manager gave up on VM 1000: its state is `error`", "ha-manager set vm:1000"]);
        assert!(!scene.runs(1000), "{case}");
    });
}

#[test]
fn a_vm_that_it_is_stopping_is_not_restarted() {
    everywhere(|scene, case| {
        scene.declare(&config(true, 1024));
        check(&scene.apply(), 0, &[]);
        look_after(scene, "disabled");
        let ran = scene.phoenix(&["restart", "1000", "--auto-approve"]);
        check(&ran, 6, &["VM 1000 runs, but the HA manager should keep it off", "ha-manager status"]);
        assert!(scene.runs(1000), "{case}");
        is_to_be(scene, "disabled");
    });
}

#[test]
fn the_ha_manager_moves_a_vm() {
    for place in [Place::Embedded, Place::Here, Place::Ssh].into_iter().filter(|place| place.is_possible()) {
        let vm = |node: &str| json!([{ "vm_id": 1000, "vm_name": "web", "node": node }]);
        let scene = place.copy_of(&cluster(&vm("pve2")));
        check(&scene.apply(), 0, &[]);
        look_after(&scene, "started");
        for node in ["pve3", "pve", "pve2"] {
            scene.edit(&node_of(&scene, 1000), node);
            let ran = scene.apply();
            check(&ran, 0, &["the HA manager, which is to move the VM"]);
            assert_eq!(ids(&ran.events, "action_started"), ["1000/migrate"], "{place:?}");
            assert_eq!(node_of(&scene, 1000), node, "{place:?}");
            assert!(scene.runs(1000), "{place:?}");
            is_to_be(&scene, "started");
            check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &[]);
        }
        let done = tasks(&scene);
        assert_eq!(done[done.len() - 2..], ["hamigrate", "qmigrate"], "{place:?}");
        // One that was handed on by a run that died is waited for, and not asked for again. Programs of a node die
        // alone.
        if place == Place::Embedded {
            scene.edit("pve2", "pve3");
            scene.script_faults(&json!([{ "op": "migrate", "vm": 1000, "how": "die-after" }]));
            scene.apply();
            assert!(scene.all_faults_happened());
            let ran = scene.apply();
            check(&ran, 0, &["VM 1000 `web` is being moved by the HA manager: waiting until it has arrived"]);
            assert_eq!(ids(&ran.events, "action_started"), [""; 0]);
            assert_eq!((node_of(&scene, 1000).as_str(), tasks(&scene).len()), ("pve3", done.len() + 2));
        }
    }
}

fn restarted(fault: &str, op: &str) -> (Scene, Option<i32>) {
    let scene = Scene::with_node(&config(true, 1024));
    check(&scene.apply(), 0, &[]);
    look_after(&scene, "started");
    scene.declare(&config(true, 2048));
    scene.script_faults(&json!([{ "op": op, "vm": 1000, "how": fault }]));
    let ran = scene.phoenix(&["apply", "--restart", "--auto-approve"]);
    assert!(scene.all_faults_happened(), "{fault} {op}: {}{}", ran.out, ran.err);
    (scene, ran.code)
}

#[test]
fn an_answer_that_is_lost_or_a_run_that_dies_leaves_the_vm_as_it_was_to_be() {
    for (op, waits) in [
        ("shutdown", "is to be stopped by the HA manager: waiting until it is off"),
        ("start", "is to be started by the HA manager: waiting until it runs"),
    ] {
        let (scene, code) = restarted("lose", op);
        assert_eq!(code, Some(0), "{op}");
        is_to_be(&scene, "started");
        assert!(scene.runs(1000), "{op}");
        // What it was handed by a run that died, the next one waits for.
        for fault in ["die-before", "die-halfway", "die-after"] {
            let (scene, code) = restarted(fault, op);
            assert_eq!(code, None, "{fault} {op}");
            let ran = scene.phoenix(&["apply", "--restart", "--auto-approve"]);
            check(&ran, 0, &[]);
            assert_eq!(ran.err.contains(waits), fault == "die-after", "{fault} {op}: {}", ran.err);
            check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &[]);
            is_to_be(&scene, "started");
            assert!(scene.runs(1000), "{fault} {op}");
        }
    }
}
