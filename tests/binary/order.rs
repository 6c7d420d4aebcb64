//! VMs that depend on each other: who goes first, and what becomes of those who wait.

use serde_json::{Value, json};

use super::world::{Ran, Scene};

/// `web` (1000) needs `app` (1001), which needs `database` (1002); `other` (1003) needs nobody.
fn tiers() -> Scene {
    let config = json!({
        "vm_defaults": { "boot_disk_size_gb": 8 },
        "virtual_machines": [
            { "vm_id": 1000, "vm_name": "web", "depends_on": ["app"] },
            { "vm_id": 1001, "vm_name": "app", "depends_on": [1002], "features": ["base_setup"] },
            { "vm_id": 1002, "vm_name": "database", "features": ["base_setup"], "start_at_boot": true, "boot_order": 1 },
            { "vm_id": 1003, "vm_name": "other" },
        ],
    });
    Scene::with_node(&config.to_string())
}

/// Position of the first event of this kind about an action of this VM, and of the last.
fn span(ran: &Ran, kind: &str, vm: u32) -> Option<(usize, usize)> {
    let of_vm = |event: &Value| event["event"] == kind && event["vm"] == vm;
    let first = ran.events.iter().position(of_vm)?;
    Some((first, ran.events.iter().rposition(of_vm)?))
}

fn begun_after(ran: &Ran, vm: u32, other: u32) -> bool {
    let (Some((begun, _)), Some((_, ended))) = (span(ran, "action_started", vm), span(ran, "action_ended", other))
    else {
        panic!("VM {vm} or {other} has no events:\n{}", ran.out)
    };
    begun > ended
}

/// The VMs that something was done to.
fn touched(ran: &Ran) -> Vec<u64> {
    let begun = ran.events.iter().filter(|event| event["event"] == "action_started");
    let mut vms: Vec<u64> = begun.map(|event| event["vm"].as_u64().unwrap()).collect();
    vms.sort_unstable();
    vms.dedup();
    vms
}

#[test]
fn a_vm_waits_until_what_it_depends_on_is_ready() {
    let scene = tiers();
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(begun_after(&ran, 1000, 1001), "{}", ran.out);
    assert!(begun_after(&ran, 1001, 1002), "{}", ran.out);
    assert!(!begun_after(&ran, 1003, 1002), "who depends on nobody waits for nobody:\n{}", ran.out);
    let conf = scene.conf(1002);
    assert!(conf.contains("\nonboot: 1\n") && conf.contains("\nstartup: order=1\n"), "{conf}");
    assert_eq!(scene.plan_code(), Some(0));
    assert_eq!(touched(&scene.apply()), [] as [u64; 0]);
}

#[test]
fn a_failure_keeps_back_who_depends_on_it_and_nobody_else() {
    let scene = tiers();
    scene.script_faults(&json!([{ "op": "start", "vm": 1001, "how": "fail" }]));
    let ran = scene.apply();
    assert_eq!(ran.code, Some(6), "{}{}", ran.out, ran.err);
    assert_eq!(touched(&ran), [1001, 1002, 1003]);
    let skipped = ran.events.iter().find(|event| event["event"] == "action_skipped" && event["vm"] == 1000).unwrap();
    assert_eq!(skipped["because"], "1001/start");
    assert!(!scene.has(1000));
    // The next run goes on there.
    let ran = scene.apply();
    assert_eq!((ran.code, touched(&ran)), (Some(0), vec![1000, 1001]), "{}", ran.out);
    assert_eq!(scene.plan_code(), Some(0));
}

#[test]
fn what_is_not_ready_is_taken_along() {
    let scene = tiers();
    let ran = scene.phoenix(&["create", "1001", "--json"]);
    assert_eq!((ran.code, touched(&ran)), (Some(0), vec![1001, 1002]), "{}{}", ran.out, ran.err);
    // Now it is ready, and stays out.
    let ran = scene.phoenix(&["apply", "--only", "web", "--auto-approve", "--json"]);
    assert_eq!((ran.code, touched(&ran)), (Some(0), vec![1000]), "{}{}", ran.out, ran.err);
}

#[test]
fn who_leaves_out_what_is_needed_is_told() {
    let scene = tiers();
    let plan = scene.phoenix(&["plan", "--only", "1001", "--exclude", "database"]);
    assert_eq!(plan.code, Some(0));
    assert!(
        plan.err.contains("VM 1001 `app`: depends on VM 1002 `database`, which is left out and not ready"),
        "{}",
        plan.err
    );
    assert!(plan.out.contains("Plan: 1 to create"), "{}", plan.out);
}

/// Three VMs with values that wait for a restart; 1000 depends on 1001, and all three bear a tag of `never_together`.
fn waiting() -> Scene {
    let config = |cores: u32| {
        let vm = |id: u32, name: &str| json!({ "vm_id": id, "vm_name": name, "tags": ["Db"], "cpu_cores": cores });
        let mut vms = [vm(1000, "a"), vm(1001, "b"), vm(1002, "c")];
        vms[0]["depends_on"] = json!(["b"]);
        json!({
            "hypervisor": { "never_together": ["db"] },
            "vm_defaults": { "boot_disk_size_gb": 8 },
            "virtual_machines": vms,
        })
        .to_string()
    };
    let scene = Scene::with_node(&config(2));
    assert_eq!(scene.apply().code, Some(0));
    scene.declare(&config(4));
    scene
}

#[test]
fn vms_that_are_never_down_together_are_restarted_one_after_the_other() {
    let scene = waiting();
    let plan = scene.phoenix(&["plan", "--restart"]);
    let told = "restarted one after the other (`never_together` has tag `db`): 1001, 1000, 1002";
    assert!(plan.err.contains(told), "{}", plan.err);
    assert!(!scene.phoenix(&["plan"]).err.contains("one after the other"), "nothing is restarted unasked");
    let ran = scene.phoenix(&["apply", "--restart", "--auto-approve", "--json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let restart = |vm: u32| {
        let begins = |event: &Value| event["event"] == "action_started" && event["id"] == format!("{vm}/restart");
        ran.events.iter().position(begins).unwrap()
    };
    let ready = |vm: u32| span(&ran, "action_ended", vm).unwrap().1;
    assert!(restart(1000) > ready(1001) && restart(1002) > ready(1000), "{}", ran.out);
    assert_eq!(scene.plan_code(), Some(0));
}

/// The verb keeps to it, too.
#[test]
fn vms_that_somebody_restarts_by_name_are_restarted_one_after_the_other() {
    let scene = waiting();
    let ran = scene.phoenix(&["restart", "1000", "1001", "1002", "--auto-approve", "--json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let at = |event: &str, id: &str| ran.events.iter().position(|e| e["event"] == event && e["id"] == id).unwrap();
    for (before, after) in [(1001, 1000), (1000, 1002)] {
        let ready = at("action_ended", &format!("{before}/await-agent"));
        assert!(at("action_started", &format!("{after}/restart")) > ready, "{}", ran.out);
    }
}

#[test]
fn a_restart_that_fails_keeps_the_others_up() {
    let scene = waiting();
    scene.script_faults(&json!([{ "op": "shutdown", "vm": 1000, "how": "fail" }]));
    let ran = scene.phoenix(&["apply", "--restart", "--auto-approve", "--json"]);
    assert_eq!(ran.code, Some(6), "{}{}", ran.out, ran.err);
    let skipped = ran.events.iter().find(|event| event["event"] == "action_skipped" && event["vm"] == 1002).unwrap();
    assert_eq!((&skipped["id"], &skipped["because"]), (&json!("1002/restart"), &json!("1000/restart")));
    assert_eq!(scene.phoenix(&["apply", "--restart", "--auto-approve"]).code, Some(0));
}

/// One that is off, of a run that was killed perhaps, is up again before the others are touched; one that needs one of
/// them, behind it.
#[test]
fn a_vm_that_is_off_is_up_before_others_are_restarted() {
    for (off, order) in [(1002, [1002, 1001, 1000]), (1000, [1001, 1000, 1002])] {
        let scene = waiting();
        assert_eq!(scene.phoenix(&["stop", &off.to_string(), "--auto-approve"]).code, Some(0));
        let ran = scene.phoenix(&["apply", "--restart", "--auto-approve", "--json"]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        let at = |event: &str, id: &str| ran.events.iter().position(|e| e["event"] == event && e["id"] == id);
        for pair in order.windows(2) {
            let ready = at("action_ended", &format!("{}/await-agent", pair[0])).unwrap();
            let boot = |how: &str| at("action_started", &format!("{}/{how}", pair[1]));
            assert!(boot(if pair[1] == off { "start" } else { "restart" }).unwrap() > ready, "{off}: {}", ran.out);
        }
    }
}

/// What the file does not declare is down no less while it restarts: its tags are those that it has.
#[test]
fn a_vm_that_is_no_longer_declared_waits_like_the_others() {
    let scene = waiting();
    let mut config: Value = serde_json::from_str(&scene.config()).unwrap();
    config["virtual_machines"].as_array_mut().unwrap().remove(2);
    scene.declare(&config.to_string());
    let ran = scene.phoenix(&["restart", "1002", "1001", "1000", "--auto-approve", "--json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("(`never_together` has tag `db`): 1001, 1000, 1002"), "{}", ran.err);
    let at = |event: &str, id: &str| ran.events.iter().position(|e| e["event"] == event && e["id"] == id).unwrap();
    assert!(at("action_started", "1002/restart") > at("action_ended", "1000/await-agent"), "{}", ran.out);
}
