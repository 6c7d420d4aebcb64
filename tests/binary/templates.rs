//! Templates that are built from the file, and the VMs that wait for them.

use super::broken::{Way, inside, step};
use super::images::image;
use super::world::{PLAN, Scene, check, ids};
use serde_json::{Value, json};

fn config() -> Value {
    json!({
        "vm_defaults": { "boot_disk_size_gb": 4, "memory_mb": 1024, "template_name": "base" },
        "virtual_machines": [
            { "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 8, "features": ["base_setup"] },
            { "vm_id": 1001, "vm_name": "db", "full_clone": false },
            {
                "vm_id": 9100, "vm_name": "base", "is_template": true, "features": ["base_setup"],
                "cloud_image": { "source": image().display().to_string() },
            },
        ]
    })
}

/// A template is built and a VM cloned from it, each of them step by step.
pub(crate) const BUILT: Way = Way {
    begin: || {
        let mut config = config();
        // The clones are the same as of any other template.
        config["virtual_machines"].as_array_mut().unwrap().drain(..2);
        Scene::with_node(&config.to_string())
    },
    once: &["qmtemplate"],
    steps: &[
        inside("9100/mount", "phoenix-mount"),
        inside("9100/feature:base_setup", "phoenix-feature"),
        inside("9100/clean-guest", "phoenix-clean"),
        inside("9100/convert-to-template", "phoenix-cleaned"),
        step("9100/convert-to-template", "shutdown"),
        step("9100/convert-to-template", "write-exports").after(1),
        step("9100/convert-to-template", "template"),
        step("9100/record", "configure").after(2),
    ],
    ..Way::PLAIN
};

/// The position of an event about an action.
#[track_caller]
fn at(events: &[Value], event: &str, id: &str) -> usize {
    let found = events.iter().position(|e| e["event"] == event && e["id"] == id);
    found.unwrap_or_else(|| panic!("{event} {id}"))
}

#[test]
fn a_template_is_built_before_it_is_cloned() {
    let scene = Scene::with_node(&config().to_string());
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let built = at(&ran.events, "action_ended", "9100/record");
    for clone in ["1000/clone", "1001/clone"] {
        assert!(at(&ran.events, "action_started", clone) > built, "{}", ran.out);
    }
    let template = scene.conf(9100);
    assert!(template.contains("\ntemplate: 1\n") && template.contains("base-9100-disk-0"), "{template}");
    assert!(!scene.runs(9100));
    assert!(scene.conf(1001).contains("base-9100-disk-0/vm-1001-disk-0"), "a linked clone");
    assert!(!scene.path(".phoenix/node/root/etc/exports.d/phoenix-9100.exports").exists());
    assert!(
        !scene.path(".phoenix/node/guests/9100/fstab").exists()
            && !scene.path(".phoenix/node/guests/9100/runs").exists()
    );
    // What the template's features did does not count for its clones.
    assert!(ids(&ran.events, "action_ended").contains(&"1000/feature:base_setup".to_owned()));
    assert_eq!(scene.plan_code(), Some(0));
}

#[test]
fn a_built_template_stays_as_it_is() {
    let scene = Scene::with_node(&config().to_string());
    assert_eq!(scene.apply().code, Some(0));
    let before = scene.conf(9100);
    scene.edit(r#""vm_id":9100"#, r#""memory_mb":2048,"tags":["golden"],"vm_id":9100"#);
    let plan = scene.phoenix(&[&PLAN[..], &["--rerun", "base_setup", "--only", "base"]].concat());
    assert_eq!(plan.code, Some(0), "{}{}", plan.out, plan.err);
    assert!(plan.err.contains("T052") && plan.err.contains("`memory_mb`, `tags`"), "{}", plan.err);
    assert_eq!(scene.apply().code, Some(0));
    assert_eq!(scene.conf(9100), before);
    // A VM that comes later is cloned from it as it is.
    scene.edit(r#""vm_name":"db""#, r#""vm_name":"db"},{"vm_id":1002,"vm_name":"app""#);
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ids(&ran.events, "action_started").iter().all(|id| id.starts_with("1002/")), "{}", ran.out);
}

#[test]
fn whoever_is_cloned_from_it_takes_its_template_along() {
    let scene = Scene::with_node(&config().to_string());
    let left_out = scene.phoenix(&["plan", "--only", "web", "--exclude", "base"]);
    assert_eq!(left_out.code, Some(1), "{}{}", left_out.out, left_out.err);
    assert!(left_out.err.contains("T033") && left_out.err.contains("9100 `base`"), "{}", left_out.err);
    let ran = scene.phoenix(&["create", "1001", "--json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(scene.has(9100) && scene.has(1001) && !scene.has(1000));
    // It is there now: nobody needs it in the plan.
    let plan = scene.phoenix(&["plan", "--only", "web", "--exclude", "base"]);
    assert_eq!(plan.code, Some(0), "{}{}", plan.out, plan.err);
}

#[test]
fn a_template_that_fails_keeps_its_clones_back() {
    let scene = Scene::with_node(&config().to_string());
    scene.script_faults(&json!([{ "op": "guest-start", "vm": 9100, "program": "phoenix-clean", "how": "fail" }]));
    let ran = scene.apply();
    assert_eq!(ran.code, Some(6), "{}{}", ran.out, ran.err);
    assert_eq!(ids(&ran.events, "action_failed"), ["9100/clean-guest"]);
    assert!(ids(&ran.events, "action_skipped").contains(&"1000/clone".to_owned()), "{}", ran.out);
    assert!(!scene.has(1000) && !scene.has(1001));
    let again = scene.phoenix(&["plan"]);
    assert!(again.err.contains("T028") && !again.err.contains("T030"), "the directory is its own: {}", again.err);
    assert_eq!(scene.apply().code, Some(0));
    assert_eq!(scene.plan_code(), Some(0));
}

#[test]
fn what_ran_in_a_template_stays_what_its_record_says() {
    let scene = Scene::with_node(&config().to_string());
    scene.script_faults(&json!([{ "op": "template", "vm": 9100, "how": "die-after" }]));
    assert_eq!(scene.apply().code, None);
    let status: Value = serde_json::from_str(&scene.phoenix(&["status", "--json"]).out).unwrap();
    assert_eq!((&status["vms"][2]["unfinished"], &status["vms"][2]["well"]), (&json!(true), &json!(false)));
    scene.edit(
        r#""features":["base_setup"],"is_template":true"#,
        r#""features":["base_setup","install_docker"],"memory_mb":2048,"is_template":true"#,
    );
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let of_template: Vec<String> =
        ids(&ran.events, "action_started").into_iter().filter(|id| id.starts_with("9100")).collect();
    assert_eq!(of_template, ["9100/convert-to-template", "9100/record"]);
    let plan = scene.phoenix(&["plan"]);
    assert!(plan.err.contains("T052") && plan.err.contains("`memory_mb`, `features`"), "{}", plan.err);
}

#[test]
fn a_build_that_does_not_shut_down_is_stopped_by_force_only_where_that_is_asked_for() {
    let scene = Scene::with_node(&config().to_string());
    let deaf = json!([{ "op": "shutdown", "vm": 9100, "how": "fail" }]);
    scene.script_faults(&deaf);
    let ran = scene.phoenix(&["create", "9100", "--json"]);
    assert_eq!((ran.code, ids(&ran.events, "action_failed")), (Some(6), vec!["9100/convert-to-template".to_owned()]));
    assert!(scene.runs(9100), "nobody asked for force");
    scene.script_faults(&deaf);
    let plan = scene.phoenix(&["plan", "--only", "base", "--force-stop"]);
    assert!((plan.out + &plan.err).contains("by force"), "it is said before");
    let ran = scene.phoenix(&["apply", "--auto-approve", "--only", "base", "--force-stop", "--json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(!scene.runs(9100) && scene.conf(9100).contains("\ntemplate: 1\n"));
}

#[test]
fn a_template_that_goes_is_not_cloned() {
    let mut config = config();
    config["hypervisor"] = json!({ "project": "lab" });
    let scene = Scene::with_node(&config.to_string());
    assert_eq!(scene.phoenix(&["create", "9100"]).code, Some(0));
    config["virtual_machines"].as_array_mut().unwrap().truncate(2);
    scene.declare(&config.to_string());
    let words = ["apply", "--auto-approve", "--prune", "--prune-many", "1", "--yes-destroy", "base", "--json"];
    check(&scene.phoenix(&words), 1, &["T001", "template `base` (9100) is no longer declared and would be removed"]);
    assert!(scene.has(9100) && !scene.has(1001));
}

#[test]
fn a_storage_without_templates_is_told_before_anything_is_made() {
    let scene = Scene::with_node(&config().to_string());
    let path = scene.path(".phoenix/node/storage.cfg");
    let storages = std::fs::read_to_string(&path).unwrap() + "\nlvm: thick\n\tvgname pve\n\tcontent images\n";
    std::fs::write(path, storages).unwrap();
    scene.edit(r#""vm_id":9100"#, r#""boot_disk_storage":"thick","vm_id":9100"#);
    check(&scene.apply(), 1, &["T003", "storage `thick` is of type lvm, which has no templates"]);
    assert!(!scene.has(9100));
}

#[test]
fn a_template_goes_only_without_its_linked_clones() {
    let scene = Scene::with_node(&config().to_string());
    assert_eq!(scene.apply().code, Some(0));
    let status = scene.phoenix(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status.out).unwrap();
    let template = &status["vms"][2];
    assert_eq!((&template["state"], &template["well"]), (&json!("template"), &json!(true)), "{template}");
    assert_eq!(template["features"], json!({ "base_setup": "ran" }));
    for verb in ["start", "stop", "restart"] {
        let refused = scene.phoenix(&[verb, "9100"]);
        assert!(refused.code == Some(1) && refused.err.contains("templates do not run"), "{}", refused.err);
    }
    let refused = scene.phoenix(&["destroy", "9100", "--yes-destroy", "base"]);
    assert!(refused.code == Some(1) && refused.err.contains("linked clones are built on its disks: 1001"));
    let ran = scene.phoenix(&["destroy", "1001", "--yes-destroy", "db"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let ran = scene.phoenix(&["destroy", "9100", "--yes-destroy", "base"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(!scene.has(9100));
    // Lost, it is built again, for the one that has to be made again.
    assert_eq!(scene.apply().code, Some(0));
    assert!(scene.has(9100) && scene.has(1001));
}

#[test]
fn a_template_goes_after_the_linked_clones_that_go_with_it() {
    let mut config = config();
    config["hypervisor"] = json!({ "project": "lab" });
    let scene = Scene::with_node(&config.to_string());
    assert_eq!(scene.apply().code, Some(0));
    let names = ["--yes-destroy", "db", "--yes-destroy", "base", "--json"];
    let other = scene.copy();
    let ran = other.phoenix(&[&["destroy", "9100", "1001"][..], &names].concat());
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(at(&ran.events, "action_started", "9100/destroy") > at(&ran.events, "action_ended", "1001/destroy"));
    config["virtual_machines"].as_array_mut().unwrap().drain(1..);
    config["virtual_machines"][0]["template_name"] = json!("ubuntu-22.04-cloud-template-v3");
    scene.declare(&config.to_string());
    let ran = scene.phoenix(&[&["apply", "--auto-approve", "--prune", "--prune-many", "2"][..], &names].concat());
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(!scene.has(9100) && !scene.has(1001) && scene.has(1000));
}

#[test]
fn a_template_that_the_file_lost_is_written_back() {
    let scene = Scene::with_node(&config().to_string());
    assert_eq!(scene.apply().code, Some(0));
    let whole: Value = serde_json::from_str(&scene.config()).unwrap();
    let mut less = whole.clone();
    less["vm_defaults"]["cloud_image"] =
        less["virtual_machines"].as_array_mut().unwrap().remove(2)["cloud_image"].take();
    for vm in less["virtual_machines"].as_array_mut().unwrap() {
        vm["template_name"] = json!("base");
    }
    less["vm_defaults"].as_object_mut().unwrap().remove("template_name");
    scene.declare(&less.to_string());
    let ran = scene.phoenix(&["import", "9100"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let now: Value = serde_json::from_str(&scene.config()).unwrap();
    let entry = &now["virtual_machines"][2];
    assert_eq!((&entry["is_template"], &entry["features"]), (&json!(true), &json!(["base_setup"])), "{entry}");
    assert_eq!(scene.plan_code(), Some(0), "{}", scene.phoenix(&["plan"]).out);
}
