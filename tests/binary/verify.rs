//! `--verify-guest`: what is gone from a guest comes back, and a guest that does not answer is told; on every kind of
//! node.

use std::fs;

use super::loops::{CONFIG, made};
use super::places::Place;
use super::world::{Scene, ids};
use serde_json::{Value, json};

/// Takes a mount and a result out of the guest of the first VM, behind phoenix's back.
fn lose(scene: &Scene) {
    let guest = scene.node().join("guests/1000");
    let fstab = fs::read_to_string(guest.join("fstab")).unwrap();
    let kept: Vec<&str> = fstab.lines().filter(|line| !line.contains("/srv/data")).collect();
    assert_eq!(kept.len(), 1, "{fstab}");
    fs::write(guest.join("fstab"), kept.join("\n") + "\n").unwrap();
    let runs: Vec<_> = fs::read_dir(guest.join("runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let lost = runs.iter().find(|run| run.to_string_lossy().contains("install_docker")).unwrap();
    fs::remove_file(lost).unwrap();
}

/// What is gone is seen with the flag alone, comes back, and nothing else changes.
#[track_caller]
fn check_lost_and_found(scene: &Scene) {
    let before = scene.world();
    let plan = scene.phoenix(&["plan", "--verify-guest", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "it is all there: {}{}", plan.out, plan.err);
    lose(scene);
    assert_eq!(scene.plan_code(), Some(0), "without the flag nobody looks");
    let plan = scene.phoenix(&["plan", "--verify-guest", "--format", "json"]);
    let plan: Value = serde_json::from_str(&plan.out).unwrap_or_else(|error| panic!("{error}: {}", plan.err));
    let notes: Vec<&Value> =
        plan["vms"][0]["changes"].as_array().unwrap().iter().map(|change| &change["note"]).collect();
    assert_eq!(notes, ["gone from the guest: it is mounted again", "its result is gone from the guest: it runs again"]);
    assert_eq!(plan["vms"][1]["outcome"], "no-op");
    let ran = scene.phoenix(&["apply", "--verify-guest", "--auto-approve", "--json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let begun: Vec<String> = ids(&ran.events, "action_started").into_iter().filter(|id| id.contains(':')).collect();
    // Where the exports are looked at, so is whatever is mounted from there.
    let mounts = ["1000/mount:/persistent-storage", "1000/mount:/srv/data"];
    assert_eq!(begun, [&["1000/prepare-share:/srv/data"][..], &mounts, &["1000/feature:install_docker"]].concat());
    let ended = |event: &&Value| event["event"] == "action_ended" && event["id"] == mounts[0];
    assert_eq!(ran.events.iter().find(ended).unwrap()["outcome"], "no-op");
    assert!(scene.world() == before, "the world is not what it was");
    assert_eq!(scene.phoenix(&["plan", "--verify-guest", "--detailed-exitcode"]).code, Some(0));
}

#[test]
fn what_is_gone_comes_back() {
    check_lost_and_found(&made());
}

#[test]
fn what_is_gone_comes_back_here() {
    on(Place::Here);
}

#[test]
fn what_is_gone_comes_back_behind_ssh() {
    on(Place::Ssh);
}

#[track_caller]
fn on(place: Place) {
    if place.is_possible() {
        let scene = place.scene(CONFIG);
        assert_eq!(scene.apply().code, Some(0));
        scene.settle();
        check_lost_and_found(&scene);
    }
}

#[test]
fn a_guest_that_does_not_answer_is_told_and_waited_for() {
    let scene = made();
    lose(&scene);
    let path = scene.node().join("run/1000");
    let set_delay = |ms: u64| {
        let file = scene.node().join("node.json");
        let mut settings: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        settings["agent_delay_ms"] = ms.into();
        fs::write(file, settings.to_string()).unwrap();
    };
    set_delay(u64::MAX / 2);
    let plan = scene.phoenix(&["plan", "--verify-guest"]);
    assert_eq!(plan.code, Some(0));
    let told =
        "warning[T051]: 2 VMs: 1000 full, 1001 plain: the guest could not be verified: QEMU guest agent is not running";
    assert!(plan.err.contains(told), "{}", plan.err);
    assert!(plan.out.contains("await-agent → await-cloud-init"), "{}", plan.out);
    let status = scene.phoenix(&["status", "--verify-guest", "--json", "--detailed-exitcode"]);
    assert_eq!(status.code, Some(2));
    assert!(status.out.contains("T051") && status.out.contains("silent"), "{}", status.out);
    set_delay(0);
    assert!(path.exists());
    let status = scene.phoenix(&["status", "--verify-guest", "--json"]);
    let status: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["vms"][0]["differs"], json!(["volumes", "features"]));
    assert_eq!(status["vms"][0]["features"], json!({ "base_setup": "ran", "install_docker": "to-run" }));
}

/// A run that was killed before it asked the guest whether it uses what its VM got leaves a look for later to find
/// that.
#[track_caller]
fn check_left_offline(place: Place) {
    if !place.is_possible() {
        return;
    }
    let config = |memory: u32| {
        json!({ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "memory_mb": memory,
            "proxmox": { "numa": true, "hotplug": "network,disk,cpu,memory" } }] })
    };
    let scene = place.scene(&config(2048).to_string());
    assert_eq!(scene.apply().code, Some(0));
    let file = scene.node().join("node.json");
    let mut settings: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    settings["leaves_offline"] = json!(["memory"]);
    fs::write(file, settings.to_string()).unwrap();
    scene.declare(&config(4096).to_string());
    assert_eq!(scene.apply().code, Some(0));
    let plan = scene.phoenix(&["plan", "--detailed-exitcode"]);
    assert!(plan.code == Some(0) && !plan.err.contains("T098"), "{}{}", plan.out, plan.err);
    let plan = scene.phoenix(&["plan", "--verify-guest", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{}{}", plan.out, plan.err);
    let parts =
        ["warning[T098]", "uses 2048 MiB of memory of the 4096 MiB of memory that the VM has", "memhp_default_state"];
    for part in parts {
        assert!(plan.err.contains(part), "{part}: {}", plan.err);
    }
    assert_eq!(scene.phoenix(&["restart", "1000", "--auto-approve"]).code, Some(0));
    let plan = scene.phoenix(&["plan", "--verify-guest"]);
    assert!(!plan.err.contains("T098"), "{}", plan.err);
}

#[test]
fn what_a_guest_leaves_offline_is_seen_later() {
    check_left_offline(Place::Embedded);
}

#[test]
fn what_a_guest_leaves_offline_is_seen_later_here() {
    check_left_offline(Place::Here);
}

#[test]
fn what_a_guest_leaves_offline_is_seen_later_behind_ssh() {
    check_left_offline(Place::Ssh);
}

/// An agent that answers the ping and then fails, or answers nonsense, is no guest that has everything.
#[test]
fn a_look_that_fails_proves_nothing() {
    for how in ["fail", "lose"] {
        let scene = made();
        scene.script_faults(&json!([{ "op": "guest-start", "vm": 1000, "how": how }]));
        let plan = scene.phoenix(&["plan", "--verify-guest"]);
        assert!(scene.all_faults_happened(), "{how}");
        assert_eq!(plan.code, Some(0), "{}", plan.err);
        assert_eq!(plan.err.contains("T051"), how == "fail", "{how}: {}", plan.err);
    }
}

/// Somebody else's guests, guests that are off and guests nobody selected are not asked.
#[test]
fn nobody_elses_guest_is_asked() {
    let scene = made();
    let path = scene.node().join("qemu-server/1001.conf");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"project\"%3A\"default\"", "\"project\"%3A\"theirs\"")).unwrap();
    let faults = json!([{ "op": "ping", "vm": 1001, "how": "fail" }]);
    scene.script_faults(&faults);
    scene.phoenix(&["plan", "--verify-guest"]);
    assert!(!scene.all_faults_happened(), "somebody else's guest was asked");
    scene.script_faults(&json!([{ "op": "ping", "vm": 1000, "how": "fail" }]));
    scene.phoenix(&["plan", "--verify-guest", "--exclude", "1000,1001", "--only", "plain"]);
    assert!(!scene.all_faults_happened(), "a guest that nobody selected was asked");
    assert_eq!(scene.phoenix(&["stop", "1000", "--auto-approve"]).code, Some(0));
    scene.phoenix(&["plan", "--verify-guest", "--exclude", "1001"]);
    assert!(!scene.all_faults_happened(), "a guest that is off was asked");
}

#[test]
fn a_saved_plan_looks_again() {
    let scene = made();
    lose(&scene);
    assert_eq!(scene.phoenix(&["plan", "--verify-guest", "--out", "plan.json"]).code, Some(0));
    let ran = scene.phoenix(&["apply", "plan.json", "--json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ids(&ran.events, "action_started").contains(&"1000/mount:/srv/data".to_owned()));
    // What came back meanwhile needs nothing.
    let again = scene.phoenix(&["apply", "plan.json", "--json"]);
    assert_eq!((again.code, ids(&again.events, "action_started").len()), (Some(0), 0), "{}", again.err);
}

#[test]
fn a_recording_has_no_guests() {
    let scene = made();
    assert_eq!(scene.phoenix(&["observe", "--out", "live.json"]).code, Some(0));
    let ran = scene.phoenix(&["plan", "--against", "live.json", "--verify-guest"]);
    assert_eq!(ran.code, Some(4), "{}", ran.err);
    assert!(ran.err.contains("a recording has no guests to look into"), "{}", ran.err);
}

/// The plan says that it runs, so it does: the log on the volume is written anew.
#[test]
fn a_text_that_comes_back_runs_again() {
    let scene = Scene::with_node(CONFIG);
    fs::create_dir(scene.path("features")).unwrap();
    let log = scene.node().join("root/quickOS/vm-persistent-data/1000/.phoenix_logs/base_setup.log");
    for text in ["echo one\n", "echo two\n", "echo one\n"] {
        fs::write(scene.path("features/base_setup.sh"), format!("#!/bin/bash\n{text}")).unwrap();
        let ran = scene.apply();
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        assert!(fs::remove_file(&log).is_ok(), "it did not run");
    }
}
