//! `phoenix status`: how the VMs are, in every format, and that looking changes nothing.

use std::fs;

use super::loops::{CONFIG, made};
use super::world::Scene;
use serde_json::{Value, json};

/// The status as JSON, valid by its schema, of a world that looking left alone.
#[track_caller]
fn status(scene: &Scene, arguments: &[&str]) -> (Option<i32>, Value) {
    let before = scene.world();
    let ran = scene.phoenix(&[&["status", "--json", "--detailed-exitcode"], arguments].concat());
    assert!(scene.world() == before, "looking changed something");
    let status: Value =
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err));
    let schema: Value = serde_json::from_str(include_str!("../../schema/status.schema.json")).unwrap();
    jsonschema::draft7::validate(&schema, &status).unwrap_or_else(|error| panic!("{error}"));
    (ran.code, status)
}

#[test]
fn from_nothing_to_well() {
    let scene = Scene::with_node(CONFIG);
    let (code, before) = status(&scene, &[]);
    assert_eq!(code, Some(2));
    assert_eq!(before["vms"][0]["state"], "absent");
    assert_eq!((&before["vms"][0]["outcome"], &before["vms"][0]["differs"]), (&json!("create"), &json!([])));
    assert_eq!(before["vms"][0]["features"]["install_docker"], "to-run");
    assert_eq!(scene.apply().code, Some(0));
    let (code, after) = status(&scene, &[]);
    assert_eq!(code, Some(0), "{after}");
    let vm = &after["vms"][0];
    assert_eq!((&vm["state"], &vm["agent"], &vm["outcome"]), (&json!("running"), &json!("answers"), &json!("no-op")));
    assert_eq!(vm["features"], json!({ "base_setup": "ran", "install_docker": "ran" }));
    let shown = scene.phoenix(&["status"]);
    assert_eq!(shown.code, Some(0));
    let words = shown.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("2 of 2") && words.contains("2 up to date and healthy."), "{}", shown.out);
    assert!(words.contains("2 virtual machines on embedded node at .phoenix/node (simulated)"), "{}", shown.out);
    assert!(shown.out.lines().all(|line| line.chars().count() <= 80), "{}", shown.out);
}

#[test]
fn what_is_not_well_is_told() {
    let scene = made();
    let fault = json!([{ "op": "ping", "vm": 1000, "how": "fail" }]);
    scene.script_faults(&fault);
    let (code, silent) = status(&scene, &["--only", "1000"]);
    assert_eq!((code, &silent["vms"][0]["agent"]), (Some(2), &json!("silent")));
    assert_eq!(silent["vms"].as_array().unwrap().len(), 1);
    scene.declare(&CONFIG.replace("\"memory_mb\": 1024", "\"memory_mb\": 2048"));
    let (code, other) = status(&scene, &[]);
    assert_eq!((code, &other["vms"][1]["differs"]), (Some(2), &json!(["memory_mb"])));
    assert_eq!(scene.apply().code, Some(0));
    let (code, waits) = status(&scene, &[]);
    assert_eq!((code, &waits["vms"][1]["waiting"]), (Some(2), &json!(["memory"])));
    assert_eq!(scene.phoenix(&["status"]).code, Some(0), "a look is no failure");
    assert!(scene.phoenix(&["status"]).out.contains("  pending     memory_mb: 1024 → 2048 after a restart\n"));
    assert_eq!(
        waits["vms"][1]["pending"],
        json!([{ "option": "memory", "key": "memory_mb", "active": 1024, "pending": 2048 }])
    );
    assert_eq!(scene.phoenix(&["restart", "1000", "1001", "--auto-approve"]).code, Some(0));
    assert_eq!(scene.phoenix(&["stop", "1001", "--auto-approve"]).code, Some(0));
    let (code, off) = status(&scene, &[]);
    assert_eq!(
        (code, &off["vms"][1]["state"], &off["vms"][1]["outcome"]),
        (Some(2), &json!("stopped"), &json!("update"))
    );
}

#[test]
fn others_are_told_apart_and_not_asked() {
    let scene = made();
    let mut config: Value = serde_json::from_str(CONFIG).unwrap();
    config["virtual_machines"].as_array_mut().unwrap().remove(0);
    config["virtual_machines"].as_array_mut().unwrap().push(json!({ "vm_id": 1002, "vm_name": "third" }));
    scene.declare(&config.to_string());
    let foreign = "name: theirs\nagent: 1\nlock: backup\nmemory: 512\nscsi0: local-zfs:vm-1002-disk-0,size=3G\n";
    fs::write(scene.node().join("qemu-server/1002.conf"), foreign).unwrap();
    fs::write(scene.node().join("run/1002"), "0").unwrap();
    // Whoever asks it is caught.
    scene.script_faults(&json!([{ "op": "ping", "vm": 1002, "how": "fail" }]));
    let (code, status) = status(&scene, &[]);
    assert_eq!(code, Some(2));
    assert!(!scene.all_faults_happened(), "somebody else's guest was asked");
    let [gone, _, taken] = &status["vms"].as_array().unwrap()[..] else { panic!("{status}") };
    assert_eq!((&gone["vm"], &gone["declared"], &gone["agent"]), (&json!(1000), &json!(false), &json!("answers")));
    assert_eq!((&taken["blocked"], &taken["lock"], taken.get("agent")), (&json!(true), &json!("backup"), None));
    assert!(status["problems"].to_string().contains("the VMID is taken by the VM `theirs`"), "{status}");
    scene.set_conf(1002, "name: theirs\nscsi0: local-zfs:base-1002-disk-0,size=3G\ntemplate: 1\n");
    assert_eq!(self::status(&scene, &[]).1["vms"][2]["state"], "template");
    scene.set_conf(1002, foreign);
    let markdown = scene.phoenix(&["status", "--format", "markdown"]).out;
    assert!(markdown.contains("| 1000 | full | no | running | answers |"), "{markdown}");
    assert!(markdown.contains("- error `T010`"), "{markdown}");
}

/// Whoever is no longer declared, and what a failed run kept, needs attention, too.
#[test]
fn drift_of_what_is_not_declared_and_kept_snapshots_are_told() {
    let scene = made();
    let changed = CONFIG.replace("\"memory_mb\": 1024", "\"memory_mb\": 2048");
    fs::write(scene.path("phoenix_vm_configs.json"), &changed).unwrap();
    scene.script_faults(&json!([{ "op": "configure", "vm": 1000, "how": "fail" }]));
    let failed = scene.phoenix(&["apply", "--auto-approve", "--snapshot", "--only", "1000"]);
    assert_eq!(failed.code, Some(6), "{}", failed.err);
    let path = scene.node().join("qemu-server/1001.conf");
    let conf = fs::read_to_string(&path)
        .unwrap()
        .replace("cores: 2", "cores: 8")
        .replace("agent: enabled=1", "agent: enabled=0");
    fs::write(path, conf).unwrap();
    let mut config: Value = serde_json::from_str(&changed).unwrap();
    config["virtual_machines"].as_array_mut().unwrap().remove(1);
    fs::write(scene.path("phoenix_vm_configs.json"), config.to_string()).unwrap();
    let (code, status) = status(&scene, &[]);
    let [kept, gone] = &status["vms"].as_array().unwrap()[..] else { panic!("{status}") };
    assert_eq!((code, &gone["declared"], &gone["well"]), (Some(2), &json!(false), &json!(false)));
    let [cores, agent] = &gone["drift"].as_array().unwrap()[..] else { panic!("{gone}") };
    assert_eq!(cores, &json!({ "key": "cpu_cores", "applied": 2, "now": 8 }));
    assert_eq!(agent, &json!({ "key": "guest_agent", "applied": "on", "now": "off" }));
    let snapshot = kept["snapshots"][0].as_str().unwrap();
    assert!(snapshot.starts_with("phoenix_"), "{kept}");
    let shown = scene.phoenix(&["status"]);
    assert!(shown.out.contains("  drift       cpu_cores is 8, was 2 at the last apply\n"), "{}", shown.out);
    assert!(shown.out.contains(snapshot) && shown.out.contains("`phoenix rollback 1000`"), "{}", shown.out);
    assert!(shown.out.lines().all(|line| line.chars().count() <= 80), "{}", shown.out);
    assert_eq!(shown.err, "", "it is told once");
}

/// A long name is broken, and nothing else about the table.
#[test]
fn a_narrow_table_stays_a_table() {
    let scene = Scene::with_node(&CONFIG.replace("\"plain\"", "\"a-name-that-is-longer-than-most-names-are\""));
    let shown = scene.phoenix(&["status"]).out;
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    assert!(shown.starts_with("Target  embedded node at ") && shown.contains("\n\nVM   name "), "{shown}");
    assert!(shown.contains("declared state  agent drift pending features problems"), "{shown}");
    assert!(shown.contains("1001 a-name-that-is-longer-than-most-names-are\n  next apply  create\n"), "{shown}");
}

#[test]
fn hostile_words_of_a_node_stay_words() {
    let scene = made();
    let path = scene.node().join("qemu-server/1001.conf");
    let conf = fs::read_to_string(&path).unwrap() + "lock: \u{1b}[31m|<b>\u{202e}\n";
    fs::write(path, conf).unwrap();
    for format in ["human", "json", "markdown", "html"] {
        let ran = scene.phoenix(&["status", "--format", format]);
        let all = ran.out + &ran.err;
        assert!(!all.contains(['\u{1b}', '\u{202e}']), "{format}: {all:?}");
        assert!(!["markdown", "html"].contains(&format) || !all.contains("|<b>"), "{all}");
    }
    assert_eq!(scene.phoenix(&["status", "--format", "mermaid"]).code, Some(4));
}
