//! The later life of VMs: changed, switched on and off by name, retired, pruned.

use std::fs;

use super::broken::{Way, inside, step};
use super::loops::{CONFIG, made};
use super::world::{Scene, check, ids};
use serde_json::{Value, json};

/// A config that declares the last one alone.
fn without_the_first() -> String {
    let mut config: Value = serde_json::from_str(CONFIG).unwrap();
    config["virtual_machines"].as_array_mut().unwrap().remove(0);
    config["hypervisor"] = json!({ "project": "default" });
    config.to_string()
}

/// Two VMs that are made, and a config that declares the last one alone.
fn one_too_many() -> Scene {
    let scene = made();
    scene.declare(&without_the_first());
    scene
}

const PRUNE: [&str; 6] = ["apply", "--prune", "--auto-approve", "--yes-destroy", "full", "--json"];

/// The file no longer declares the first VM.
pub(crate) const PRUNED: Way = Way {
    begin: one_too_many,
    words: &PRUNE,
    plan: &["plan", "--prune", "--detailed-exitcode"],
    steps: &[
        step("1000/stop", "shutdown"),
        step("1000/export-share", "write-exports"),
        step("1000/destroy", "destroy"),
    ],
    ..Way::PLAIN
};

/// More memory, which takes a restart, and a volume less.
pub(crate) const CHANGED: Way = Way {
    begin: || {
        let scene = made();
        let mut config: Value = serde_json::from_str(CONFIG).unwrap();
        let vm = config["virtual_machines"][0].as_object_mut().unwrap();
        vm.insert("memory_mb".to_owned(), 2048.into());
        vm.remove("volumes");
        scene.declare(&config.to_string());
        scene
    },
    words: &["apply", "--restart", "--auto-approve", "--json"],
    steps: &[
        step("1000/configure", "configure"),
        step("1000/restart", "shutdown"),
        step("1000/restart", "start"),
        inside("1000/unmount", "phoenix-unmount"),
        inside("1000/stage-scripts", "phoenix-stage"),
        step("1000/record", "configure").after(1),
    ],
    ..Way::PLAIN
};

/// A running VM gets another network card.
pub(crate) const CARDED: Way = Way {
    begin: || {
        let scene = made();
        let mut config: Value = serde_json::from_str(CONFIG).unwrap();
        config["virtual_machines"][0].as_object_mut().unwrap().insert("network_model".to_owned(), "e1000".into());
        scene.declare(&config.to_string());
        scene
    },
    steps: &[step("1000/configure", "configure"), step("1000/await-network", "configure").after(1)],
    ..Way::PLAIN
};

/// A VM is shut down by its name.
pub(crate) const STOPPED: Way = Way {
    begin: made,
    words: &["stop", "1000", "--auto-approve", "--json"],
    plan: &[],
    steps: &[step("1000/stop", "shutdown")],
    ..Way::PLAIN
};

/// A VM whose guest does not react is stopped by force.
pub(crate) const FORCED: Way = Way {
    begin: made,
    words: &["stop", "1000", "--auto-approve", "--force-stop", "--json"],
    plan: &[],
    steps: &[step("1000/stop", "stop").once_failed("shutdown")],
    ..Way::PLAIN
};

/// A VM that somebody shut down is started by its name.
pub(crate) const STARTED: Way = Way {
    begin: || {
        let scene = made();
        check(&scene.phoenix(STOPPED.words), 0, &[]);
        scene
    },
    words: &["start", "1000", "--json"],
    steps: &[step("1000/start", "start"), step("1000/await-agent", "ping").without_middle()],
    ..Way::PLAIN
};

/// A VM is restarted by its name.
pub(crate) const RESTARTED: Way = Way {
    begin: made,
    words: &["restart", "1000", "--auto-approve", "--json"],
    again: true,
    steps: &[step("1000/restart", "shutdown"), step("1000/restart", "start")],
    ..Way::PLAIN
};

/// A run was killed in the middle of a clone.
pub(crate) const TAKEN_UP_AGAIN: Way = Way {
    begin: || {
        let scene = Scene::with_node(r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web" }] }"#);
        scene.script_faults(&json!([{ "op": "clone", "vm": 1000, "how": "die-halfway" }]));
        assert_eq!(scene.apply().code, None);
        scene
    },
    once: &["qmclone"],
    steps: &[step("1000/remove-leftover", "remove-leftover")],
    ..Way::PLAIN
};

#[test]
fn a_vm_goes_and_its_data_stays() {
    let scene = made();
    let data = scene.node().join("root/quickOS/vm-persistent-data/1000");
    fs::write(data.join("letters"), "dear all").unwrap();
    let other = scene.conf(1001);
    let ran = scene.phoenix(&["destroy", "1000", "--yes-destroy", "full", "--json"]);
    check(&ran, 0, &[]);
    assert_eq!(ids(&ran.events, "action_started"), ["1000/stop", "1000/export-share", "1000/destroy"]);
    assert_eq!((scene.has(1000), scene.conf(1001)), (false, other));
    assert!(!scene.bytes().keys().any(|path| path.to_string_lossy().contains("/vm-1000-")), "its volumes are there");
    let exports = fs::read_to_string(scene.node().join("root/etc/exports")).unwrap_or_default();
    assert!(!exports.contains("1000"), "{exports}");
    assert_eq!(fs::read_to_string(data.join("letters")).unwrap(), "dear all");
    // Asked again it is no failure; and the file still declares it.
    check(&scene.phoenix(&["destroy", "1000", "--yes-destroy", "full"]), 0, &["there is no such VM"]);
    check(&scene.phoenix(&["plan"]), 0, &["Plan: 1 to create"]);
}

#[test]
fn nobody_agrees_by_accident() {
    let scene = made();
    let before = scene.bytes();
    for (arguments, code, says) in [
        (&["destroy", "1000"][..], 4, "cannot ask whether VMs may be destroyed"),
        (&["destroy", "1000", "--auto-approve"], 4, "--auto-approve"),
        (&["destroy", "1000", "--yes-destroy", "plain"], 4, "the plan also destroys 1000 `full`; nothing was done"),
        (&["destroy", "1000", "1001", "--yes-destroy", "full"], 4, "the plan also destroys 1001 `plain`"),
        (&["destroy", "full"], 4, "cannot ask whether VMs may be destroyed"),
        (&["destroy", "fulll", "--yes-destroy", "full"], 4, "did you mean `full`?"),
        (&["destroy", "77", "--yes-destroy", "77"], 4, "`77` is not a VMID"),
        (&["destroy"], 4, "<VM>"),
    ] {
        check(&scene.phoenix(arguments), code, &[says]);
    }
    scene.declare(&without_the_first());
    check(&scene.phoenix(&["apply", "--prune", "--auto-approve"]), 4, &["give `--yes-destroy full`"]);
    check(&scene.phoenix(&["apply", "--auto-approve"]), 0, &[": not declared, and left alone"]);
    assert!(scene.bytes() == before, "something was written");
}

#[test]
fn what_must_not_go_stays() {
    type Meddling = fn(&str) -> String;
    let cases: [(&str, Meddling, &str); 6] = [
        ("protected on the node", |conf| format!("{conf}protection: 1\n"), ": the VM is protected"),
        ("locked", |conf| format!("{conf}lock: backup\n"), ": locked (backup)"),
        (
            "another VM by now",
            |conf| conf.replace("smbios1: uuid=", "smbios1: uuid=0000"),
            "record in its notes is of a VM with another uuid",
        ),
        (
            "of another project",
            |conf| conf.replace(r#""project"%3A"default""#, r#""project"%3A"theirs""#),
            "belongs to project `theirs`",
        ),
        ("without a record", |conf| conf.replace("#<!-- phoenix ", "#<!-- "), "which phoenix did not make"),
        ("with a broken record", |conf| conf.replace(r#""project"%3A"#, r#""project"%3A["#), "is broken"),
    ];
    for (case, change, says) in cases {
        let scene = made();
        scene.meddle(1000, change);
        let before = scene.bytes();
        let ran = scene.phoenix(&["destroy", "1000", "1001", "--yes-destroy", "full,plain"]);
        check(&ran, 1, &[says]);
        assert!(scene.bytes() == before, "{case}: something was written");
    }
}

#[test]
fn who_is_no_longer_declared_goes_only_when_asked() {
    let scene = one_too_many();
    check(&scene.phoenix(&["plan"]), 0, &["0 to destroy", ": not declared, and left alone", "--prune"]);
    check(
        &scene.phoenix(&["plan", "--prune"]),
        0,
        &["1 to destroy", "local-zfs:vm-1000-disk-0", "192.0.2.1:/quickOS/vm-persistent-data/1000"],
    );
    let other = scene.conf(1001);
    check(&scene.phoenix(&PRUNE), 0, &[]);
    assert_eq!((scene.has(1000), scene.conf(1001)), (false, other));
    // Applied twice: nothing is left, and what was agreed to is only mentioned.
    let before = scene.bytes();
    check(&scene.phoenix(&PRUNE), 0, &["names what the plan does not destroy: `full`"]);
    assert!(scene.bytes() == before, "the second apply wrote something");
}

#[test]
fn an_emptied_file_destroys_nobody() {
    let scene = made();
    let empty = r#"{ "hypervisor": { "project": "default" }, "virtual_machines": [] }"#;
    scene.declare(empty);
    let before = scene.bytes();
    let consent = ["apply", "--prune", "--auto-approve", "--yes-destroy", "full,plain"];
    check(&scene.phoenix(&consent), 1, &["2 of the 2", "--prune-many 2"]);
    check(&scene.phoenix(&[&consent[..], &["--prune-many", "1"]].concat()), 1, &["--prune-many 2"]);
    assert!(scene.bytes() == before, "something was written");
    check(&scene.phoenix(&[&consent[..], &["--prune-many", "2"]].concat()), 0, &[]);
    assert_eq!((scene.has(1000), scene.has(1001)), (false, false));
}

/// Each is the file of a project of three VMs that lost most of them.
#[test]
fn a_file_that_lost_its_vms_destroys_nobody() {
    let scene = made();
    let config =
        |rest: &str| format!(r#"{{ "hypervisor": {{ "project": "default" }}, "virtual_machines": [{rest}] }}"#);
    let consent = ["--auto-approve", "--yes-destroy", "full,plain"];
    let before = scene.bytes();
    let other = r#"{ "vm_id": 1009, "vm_name": "other" }"#;
    for (text, code, says) in [
        (config(""), 1, "2 of the 2"),
        (config(other), 1, "2 of the 2"),
        (String::new(), 3, "error"),
        (CONFIG[..CONFIG.len() / 2].to_owned(), 3, "error"),
    ] {
        scene.declare(&text);
        check(&scene.phoenix(&[&["apply", "--prune"][..], &consent].concat()), code, &[says]);
        let saved = scene.phoenix(&["plan", "--prune", "--out", "plan.json"]);
        assert_ne!(saved.code, Some(0), "{}", saved.err);
        let applied = scene.phoenix(&[&["apply", "plan.json"][..], &["--yes-destroy", "full,plain"]].concat());
        assert_ne!(applied.code, Some(0), "{}{}", applied.out, applied.err);
        for selecting in ["--only", "--exclude"] {
            let ran = scene.phoenix(&[&["apply", "--prune", selecting, "9999"][..], &consent].concat());
            assert_ne!(ran.code, Some(0), "{selecting}: {}{}", ran.out, ran.err);
        }
        assert!(scene.bytes() == before, "something was written");
        drop(fs::remove_file(scene.path("plan.json")));
    }
    // One of two is not more than half: the guard is for accidents, consent is by name. A plan that was saved for that
    // does not hold for a file that lost more.
    scene.declare(&without_the_first());
    check(&scene.phoenix(&["plan", "--prune", "--out", "plan.json"]), 0, &["1 to destroy"]);
    scene.declare(&config(""));
    check(&scene.phoenix(&["apply", "plan.json", "--yes-destroy", "full,plain"]), 5, &["changed since it was planned"]);
    assert!(scene.bytes() == before, "something was written");
    // What leaves out a VM is a word by which the plan knows it: of a declared one the file's, of another the target's.
    scene.declare(&config(r#"{ "vm_id": 1001, "vm_name": "renamed" }"#));
    let excluding = |word| scene.phoenix(&["plan", "--prune", "--exclude", word]);
    check(&excluding("plain"), 4, &["`plain`", "renamed"]);
    check(&excluding("renamed"), 0, &["1 to destroy"]);
    check(&excluding("full"), 0, &["1 to update"]);
}

#[test]
fn a_guest_that_does_not_react_is_stopped_only_by_force() {
    let scene = made();
    let deaf = json!([{ "op": "shutdown", "vm": 1000, "how": "fail" }]);
    scene.script_faults(&deaf);
    let ran = scene.phoenix(&["destroy", "1000", "--yes-destroy", "full", "--json"]);
    assert_eq!(ran.code, Some(6), "{}{}", ran.out, ran.err);
    assert_eq!(ids(&ran.events, "action_skipped"), ["1000/export-share", "1000/destroy"]);
    assert!(scene.runs(1000));
    scene.script_faults(&deaf);
    check(&scene.phoenix(&["destroy", "1000", "--yes-destroy", "full", "--force-stop"]), 0, &["stopped by force"]);
    assert!(!scene.has(1000));
    let deaf = json!([{ "op": "shutdown", "vm": 1001, "how": "fail" }]);
    scene.script_faults(&deaf);
    check(&scene.phoenix(&["stop", "1001", "--auto-approve"]), 6, &[]);
    assert!(scene.runs(1001));
    scene.script_faults(&deaf);
    check(&scene.phoenix(&["stop", "1001", "--auto-approve", "--force-stop"]), 0, &["stopped by force"]);
    assert!(!scene.runs(1001));
}

#[test]
fn vms_are_switched_by_name() {
    let scene = made();
    check(&scene.phoenix(&["stop", "1001"]), 4, &["cannot ask"]);
    let other = scene.runs(1000);
    check(&scene.phoenix(&["stop", "1001", "--auto-approve"]), 0, &["the next apply starts it again"]);
    assert_eq!((scene.runs(1001), scene.runs(1000)), (false, other));
    let before = scene.bytes();
    check(&scene.phoenix(&["stop", "1001", "--auto-approve"]), 0, &["1 no-op"]);
    assert!(scene.bytes() == before, "the second stop wrote something");
    check(&scene.phoenix(&["start", "1001"]), 0, &["start → await-agent"]);
    assert!(scene.runs(1001));
    let ran = scene.phoenix(&["restart", "1001", "--auto-approve", "--json"]);
    assert_eq!(
        (ran.code, ids(&ran.events, "action_started")),
        (Some(0), vec!["1001/restart".to_owned(), "1001/await-agent".to_owned()])
    );
    for verb in ["start", "stop", "restart"] {
        check(&scene.phoenix(&[verb, "9000"]), 1, &["the VMID is taken by the template"]);
        check(&scene.phoenix(&[verb, "4000"]), 1, &["VM 4000: there is no such VM"]);
    }
    assert_eq!(scene.plan_code(), Some(0));
}

#[test]
fn vms_are_named_by_vmid_name_or_tag() {
    let scene = made();
    let both = CONFIG
        .replace(r#""tags": ["b", "a"]"#, r#""tags": ["both", "plain"]"#)
        .replace(r#""vm_name": "plain""#, r#""vm_name": "small", "tags": ["Both"]"#);
    // The target still calls the second VM `plain`, which is a tag of the first one in the file.
    scene.declare(&both);
    scene.set_conf(3000, "name: theirs\ntags: other\n");
    let before = scene.bytes();
    for (word, says) in [
        ("plain", "`plain` is the name of VM 1001 `plain`, `small` and a tag of VM 1000 `full`; nothing was done"),
        ("theirs", "no VM of the project has the name or tag `theirs`"),
        ("other", "the project has 1000 `full`, 1001 `plain`, `small`"),
        ("smal", "did you mean `small`?"),
        ("", "`` is not a VMID"),
        ("01", "`01` is not a VMID"),
    ] {
        for verb in ["start", "stop", "restart", "destroy", "rollback"] {
            check(&scene.phoenix(&[verb, word]), 4, &[says]);
        }
    }
    // A tag is no consent to the end of each VM that has it.
    for consent in ["both", "full"] {
        let ran = scene.phoenix(&["destroy", "both", "--yes-destroy", consent]);
        check(&ran, 4, &["`both` names 2 VMs: 1000 `full`, 1001 `plain`, `small`", "the plan also destroys"]);
    }
    assert!(scene.bytes() == before, "something was written");
    check(&scene.phoenix(&["stop", "SMALL", "1001", "--auto-approve"]), 0, &["`SMALL` names 1 VM: 1001"]);
    assert_eq!((scene.runs(1000), scene.runs(1001)), (true, false));
    check(&scene.phoenix(&["stop", "BOTH", "--auto-approve"]), 0, &["`BOTH` names 2 VMs"]);
    assert_eq!((scene.runs(1000), scene.runs(1001)), (false, false));
    check(&scene.phoenix(&["start", "full"]), 0, &[]);
    assert_eq!((scene.runs(1000), scene.runs(1001)), (true, false));
    // One that the file no longer declares is named as the target knows it.
    scene.declare(&without_the_first());
    check(&scene.phoenix(&["destroy", "full", "small", "--yes-destroy", "full"]), 4, &["name or tag `small`"]);
    check(&scene.phoenix(&["destroy", "full", "--yes-destroy", "full"]), 0, &["`full` names 1 VM: 1000 `full`"]);
    assert_eq!((scene.has(1000), scene.has(1001), scene.has(3000)), (false, true, true));
    check(&scene.phoenix(&["create", "plain"]), 0, &[]);
}

#[test]
fn several_vms_of_one_name_are_told_apart_by_vmid() {
    let scene = made();
    // Two names that were swapped in the file stand for both VMs until they are applied.
    let swapped =
        CONFIG.replace(r#""full""#, r#""x""#).replace(r#""plain""#, r#""full""#).replace(r#""x""#, r#""plain""#);
    scene.declare(&swapped);
    let before = scene.bytes();
    let says = "several VMs have the name `full`: 1000 `full`, `plain`, 1001 `full`, `plain`; nothing was done";
    for verb in ["start", "stop", "restart", "destroy", "rollback"] {
        check(&scene.phoenix(&[verb, "full"]), 4, &[says, "name the VMs that you mean by VMID"]);
    }
    assert!(scene.bytes() == before, "something was written");
}

#[test]
fn a_feature_runs_again_when_asked() {
    let scene = made();
    let ran = scene.phoenix(&["apply", "--rerun", "base_setup", "--auto-approve", "--json"]);
    check(&ran, 0, &[]);
    let features: Vec<String> =
        ids(&ran.events, "action_started").into_iter().filter(|id| id.contains("feature:")).collect();
    assert_eq!(features, ["1000/feature:base_setup"]);
    assert_eq!(scene.plan_code(), Some(0), "once asked, once run");
    // Broken in the middle it is still to run, without being asked for again.
    scene.script_faults(&json!([{ "op": "guest-start", "vm": 1000, "program": "phoenix-feature", "how": "fail" }]));
    check(&scene.phoenix(&["apply", "--rerun", "base_setup", "--auto-approve"]), 6, &[]);
    let ran = scene.apply();
    check(&ran, 0, &["1000/feature:base_setup"]);
    assert_eq!(scene.plan_code(), Some(0));
    check(&scene.phoenix(&["apply", "--rerun", "no_such", "--auto-approve"]), 4, &["no_such"]);
}

#[test]
fn who_stops_a_vm_that_is_asked_for_stops_before_it_is_configured() {
    let scene = made();
    let config = CONFIG.replace(r#""vm_name": "plain""#, r#""vm_name": "plain", "started": false, "cpu_cores": 3"#);
    scene.declare(&config);
    for how in ["fail", "lose", "die-before", "die-after"] {
        scene.script_faults(&json!([{ "op": "shutdown", "vm": 1001, "how": how }]));
        let ran = scene.apply();
        let code = match how {
            "fail" => Some(6),
            "lose" => Some(0),
            _ => None,
        };
        assert_eq!(ran.code, code, "{how}: {}{}", ran.out, ran.err);
        assert_eq!(scene.apply().code, Some(0), "{how}");
        assert_eq!((scene.runs(1001), scene.plan_code()), (false, Some(0)), "{how}");
        assert_eq!(scene.phoenix(&["start", "1001"]).code, Some(0), "{how}");
    }
}
