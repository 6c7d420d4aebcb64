//! Who changed a value: the file, or somebody outside phoenix since the last apply.

use std::fs;

use super::loops::{CONFIG, made};
use super::world::Scene;
use serde_json::{Value, json};

/// Changes the configuration of the plain VM behind phoenix's back.
fn meddle(scene: &Scene, from: &str, to: &str) {
    let path = scene.node().join("qemu-server/1001.conf");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in\n{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Gives the plain VM more keys in the file.
fn declare(scene: &Scene, more: &str) {
    let config = CONFIG.replace("\"vm_name\": \"plain\"", &format!("\"vm_name\": \"plain\", {more}"));
    scene.declare(&config);
}

/// The only change of the plain VM: who made it, and the value at the last apply.
#[track_caller]
fn change(scene: &Scene) -> Value {
    let plan: Value = serde_json::from_str(&scene.phoenix(&["plan", "--format", "json"]).out).unwrap();
    let changes = plan["vms"][1]["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{changes:?}");
    json!([changes[0]["key"], changes[0].get("changed_by"), changes[0].get("applied")])
}

#[test]
fn the_file_changed() {
    let scene = made();
    declare(&scene, "\"memory_mb\": 2048");
    assert_eq!(change(&scene), json!(["memory_mb", "file", 1024]));
    let plan = scene.phoenix(&["plan"]);
    assert!(
        plan.out.contains("    memory_mb           1024 → 2048  memory hotplug is off; the file changed\n"),
        "{}",
        plan.out
    );
    assert_eq!(plan.err, "");
    // What was applied is written down: the next difference is told from it.
    assert_eq!(scene.apply().code, Some(0));
    meddle(&scene, "memory: 2048", "memory: 4096");
    meddle(&scene, "memory: 1024", "memory: 4096");
    assert_eq!(change(&scene), json!(["memory_mb", "outside", 2048]));
}

#[test]
fn somebody_changed_the_vm() {
    let scene = made();
    let before = scene.world();
    meddle(&scene, "cores: 2", "cores: 8");
    assert_eq!(change(&scene), json!(["cpu_cores", "outside", 2]));
    let plan = scene.phoenix(&["plan"]);
    assert!(plan.out.contains("  ! cpu_cores           8 → 2\n"), "{}", plan.out);
    let words = plan.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("changed outside phoenix, was 2 at the last apply"), "{}", plan.out);
    assert!(plan.out.lines().all(|line| line.chars().count() <= 80), "{}", plan.out);
    assert!(plan.err.contains(": changed outside phoenix since the last apply: `cpu_cores`"));
    for (format, says) in
        [("markdown", "**!** cores cannot change"), ("html", "<em class=\"drift\">! cores cannot change")]
    {
        let shown = scene.phoenix(&["plan", "--format", format]).out;
        assert!(shown.contains(says) && shown.contains("was 2 at the last apply"), "{format}: {shown}");
    }
    let status = scene.phoenix(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["vms"][0].get("drift"), None);
    assert_eq!(status["vms"][1]["drift"], json!([{ "key": "cpu_cores", "applied": 2, "now": 8, "wished": 2 }]));
    let shown = scene.phoenix(&["status"]).out;
    assert!(
        shown.contains("cpu_cores is 8, was 2 at the last apply; the file says 2\n")
            && shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
    // Applied, it is as it was, to the record.
    assert_eq!(scene.phoenix(&["apply", "--auto-approve", "--restart"]).code, Some(0));
    assert_eq!(scene.plan_code(), Some(0));
    assert!(scene.world() == before, "something else changed");
}

#[test]
fn both_changed() {
    let scene = made();
    meddle(&scene, "memory: 1024", "memory: 4096");
    declare(&scene, "\"memory_mb\": 2048");
    assert_eq!(change(&scene), json!(["memory_mb", "both", 1024]));
    let shown = scene.phoenix(&["plan", "--format", "markdown"]).out;
    assert!(shown.contains("was 1024 at the last apply; the file changed, too"), "{shown}");
}

#[test]
fn what_the_file_has_come_to_say_needs_nothing() {
    let scene = made();
    meddle(&scene, "memory: 1024", "memory: 4096");
    declare(&scene, "\"memory_mb\": 4096");
    let before = scene.bytes();
    let plan = scene.phoenix(&["plan", "--detailed-exitcode"]);
    assert_eq!((plan.code, plan.err.as_str()), (Some(0), ""));
    assert_eq!(scene.apply().code, Some(0));
    assert!(scene.bytes() == before, "something was written");
}

#[test]
fn a_record_that_does_not_say_what_was_applied_tells_nothing() {
    let scene = made();
    let path = scene.node().join("qemu-server/1001.conf");
    let text = fs::read_to_string(&path).unwrap();
    let (start, end) = (text.find(",\"applied\"%3A{").unwrap(), text.find("}} -->").unwrap());
    fs::write(&path, format!("{}{}", &text[..start], &text[end + 1..])).unwrap();
    let before = scene.bytes();
    assert_eq!(scene.apply().code, Some(0));
    assert!(scene.bytes() == before, "that alone is no reason to write");
    meddle(&scene, "cores: 2", "cores: 8");
    assert_eq!(change(&scene), json!(["cpu_cores", null, null]));
    assert_eq!(scene.phoenix(&["plan"]).err, "");
    assert_eq!(scene.apply().code, Some(0));
    meddle(&scene, "cores: 2", "cores: 3");
    assert_eq!(change(&scene), json!(["cpu_cores", "outside", 2]));
}

#[test]
fn a_long_value_is_known_by_its_digest() {
    let scene = made();
    let long = "x".repeat(300);
    declare(&scene, &format!("\"description\": \"{long}\""));
    assert_eq!(scene.apply().code, Some(0));
    let notes = scene.conf(1001);
    assert_eq!(notes.matches(&long).count(), 1, "{notes}");
    meddle(&scene, &long, "short");
    assert_eq!(change(&scene), json!(["description", "outside", null]));
    let plan = scene.phoenix(&["plan"]).out;
    assert!(plan.contains("changed outside phoenix since the last apply"), "{plan}");
}

/// Killed between a write and the word that it was applied, nobody knows who changed that value: nobody is accused.
#[test]
fn a_run_that_was_killed_accuses_nobody() {
    let scene = made();
    declare(&scene, "\"memory_mb\": 2048");
    scene.script_faults(&json!([{ "op": "configure", "vm": 1001, "how": "die-after" }]));
    assert_eq!(scene.apply().code, None);
    declare(&scene, "\"memory_mb\": 3072");
    assert_eq!(change(&scene), json!(["memory_mb", null, null]));
    meddle(&scene, "cores: 2", "cores: 8");
    let plan: Value = serde_json::from_str(&scene.phoenix(&["plan", "--format", "json"]).out).unwrap();
    assert_eq!(plan["vms"][1]["changes"][0]["changed_by"], "outside", "what it did not touch is known");
}

/// A disk, too: its size is the doing of the run that was killed, whether its guest had to follow or not.
#[test]
fn a_run_that_was_killed_after_a_disk_grew_accuses_nobody() {
    for started in ["true", "false"] {
        let scene = Scene::with_node(CONFIG);
        let sized = |gb: u32| declare(&scene, &format!("\"started\": {started}, \"boot_disk_size_gb\": {gb}"));
        sized(8);
        assert_eq!(scene.apply().code, Some(0));
        sized(9);
        scene.script_faults(&json!([{ "op": "resize", "vm": 1001, "how": "die-after" }]));
        assert_eq!(scene.apply().code, None);
        sized(10);
        assert_eq!(change(&scene), json!(["boot_disk_size_gb", null, null]), "started: {started}");
    }
}

/// The notes are anybody's to write: what stands there as applied stays text.
#[test]
fn a_hostile_word_about_what_was_applied_stays_a_word() {
    let scene = made();
    meddle(&scene, r#""cpu_cores"%3A"2""#, r#""cpu_cores"%3A"\u001b[31m|<b>\u202e`""#);
    meddle(&scene, "cores: 2", "cores: 8");
    assert_eq!(change(&scene)[1], "both");
    for format in ["human", "json", "markdown", "html", "github"] {
        let ran = scene.phoenix(&["plan", "--format", format]);
        let all = ran.out + &ran.err;
        assert!(!all.contains(['\u{1b}', '\u{202e}']), "{format}: {all:?}");
        assert!(!matches!(format, "markdown" | "html") || !all.contains("|<b>"), "{all}");
    }
}

#[test]
fn notes_without_room_do_without_it() {
    let scene = made();
    // As long as a description may be: the record has the rest.
    let long = "d".repeat(6692);
    let features: Vec<String> = (0..9).map(|n| format!("a-feature-with-quite-a-long-name-{n:02}")).collect();
    fs::create_dir(scene.path("features")).unwrap();
    for feature in &features {
        fs::write(scene.path(&format!("features/{feature}.sh")), "#!/bin/bash\n").unwrap();
    }
    declare(&scene, &format!("\"description\": \"{long}\", \"features\": {}", json!(features)));
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let notes = scene.conf(1001);
    assert!(!notes.contains("applied") && notes.contains("name\\u002d08"), "{notes}");
    assert_eq!(scene.plan_code(), Some(0));
}
