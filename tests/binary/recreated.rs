//! VMs that are destroyed and made anew in one run: with consent, of this project alone, and to the end.

use serde_json::{Value, json};

use super::broken::{Way, step};
use super::hardware::{everywhere, is_done, options};
use super::loops::made;
use super::places::Place;
use super::world::{Scene, check, ids};

fn config() -> String {
    let vm = json!({ "vm_id": 1000, "vm_name": "db", "boot_disk_size_gb": 8, "disks": { "scsi1": { "size_gb": 2 } } });
    let other =
        json!({ "vm_id": 1001, "vm_name": "web", "boot_disk_size_gb": 8, "tags": ["front"], "depends_on": [1000] });
    json!({ "virtual_machines": [vm, other] }).to_string()
}

/// A VM with everything is made anew.
pub(crate) const RECREATED: Way = Way {
    begin: made,
    words: &["apply", "--recreate", "full", "--yes-destroy", "full", "--auto-approve", "--json"],
    again: true,
    steps: &[
        step("1000/stop", "shutdown"),
        step("1000/destroy", "destroy"),
        step("1000/clone", "clone"),
        step("1000/configure", "configure"),
        step("1000/export-share", "write-exports"),
    ],
    ..Way::PLAIN
};

fn uuid(scene: &Scene) -> String {
    let smbios = options(scene, &["smbios1"]).remove(0);
    smbios.split(',').find(|part| part.starts_with("uuid=")).map(ToOwned::to_owned).unwrap()
}

#[test]
fn a_vm_is_made_anew_with_consent_alone() {
    everywhere(|scene, case| {
        scene.declare(&config());
        check(&scene.apply(), 0, &[]);
        let (world, before) = (scene.world(), uuid(scene));
        let plan = [
            "± 1000 db",
            "recreate, erases its disks",
            "scsi1 local-zfs:vm-1000-disk-1 (2G)",
            "stop → destroy → clone → configure",
            "1 to recreate, 0 to destroy, 1 unchanged",
            "warning[T125]",
            "warning[T127]",
            "these VMs lose it",
            "1001 `web`",
        ];
        check(&scene.phoenix(&["plan", "--recreate", "db"]), 0, &plan);
        let apply = |words: &[&str]| scene.phoenix(&[&["apply", "--auto-approve"], words].concat());
        // No other consent counts, and none for another VM.
        let asked = ["cannot ask whether VMs may be destroyed", "if they may, give `--yes-destroy db`"];
        check(&apply(&["--recreate", "1000"]), 4, &asked);
        let other = ["the plan also destroys 1000 `db`; nothing was done"];
        check(&apply(&["--recreate", "db", "--yes-destroy", "web"]), 4, &other);
        check(&apply(&["--recreate", "front", "--yes-destroy", "web"]), 4, &["`front` is a tag"]);
        check(&apply(&["--recreate", "1005"]), 4, &["no VM of the project has the VMID 1005"]);
        check(&apply(&["--recreate", "bd", "--yes-destroy", "db"]), 4, &["did you mean `db`?"]);
        check(&apply(&["--recreate", "db", "--exclude", "db"]), 1, &["error[T124]"]);
        assert!(scene.world() == world, "{case}: something was done");

        let ran = scene.phoenix(&["apply", "--recreate", "db", "--yes-destroy", "db", "--auto-approve", "--json"]);
        check(&ran, 0, &[r#""recreated":1"#, r#""unchanged":1"#]);
        let begun = ids(&ran.events, "action_started");
        assert_eq!(begun[..3], ["1000/stop", "1000/destroy", "1000/clone"], "{case}");
        assert_ne!(uuid(scene), before, "{case}: it is the same VM");
        is_done(scene, case);
        assert!(scene.world() == world, "{case}: it is another one than before");
    });
}

#[test]
fn a_saved_plan_is_held_to_the_vm_that_was_there() {
    everywhere(|scene, case| {
        scene.declare(&config());
        check(&scene.apply(), 0, &[]);
        check(&scene.phoenix(&["plan", "--recreate", "db", "--out", "plan.json"]), 0, &["saved in plan.json"]);
        check(&scene.phoenix(&["show", "plan.json"]), 0, &["1 to recreate"]);
        let before = uuid(scene);
        check(&scene.phoenix(&["apply", "plan.json"]), 4, &["give `--yes-destroy db`"]);
        assert_eq!(uuid(scene), before, "{case}");
        let agreed = ["apply", "plan.json", "--yes-destroy", "db"];
        check(&scene.phoenix(&agreed), 0, &["2 VMs: 1 recreated, 1 unchanged."]);
        let after = uuid(scene);
        assert_ne!(after, before, "{case}");
        // Once is what was agreed to.
        let stale = ["VM 1000 changed since the plan: it is to be destroyed, and its configuration is not the one"];
        check(&scene.phoenix(&agreed), 5, &stale);
        assert_eq!(uuid(scene), after, "{case}");

        // So does one that anybody changed.
        check(&scene.phoenix(&["plan", "--recreate", "db", "--out", "plan.json"]), 0, &[]);
        scene.meddle(1000, |conf| conf.replace("scsi1:", "startup: order=3\nscsi1:"));
        check(&scene.phoenix(&agreed), 5, &stale);
        assert_eq!(uuid(scene), after, "{case}");
    });
}

#[test]
fn what_ends_halfway_is_only_created() {
    for place in [Place::Embedded, Place::Here, Place::Ssh].into_iter().filter(|place| place.is_possible()) {
        let (scene, case) = (place.scene(&config()), format!("{place:?}"));
        check(&scene.apply(), 0, &[]);
        let (world, before) = (scene.world(), uuid(&scene));
        scene.script_faults(&json!([{ "op": "clone", "vm": 1000, "how": "fail" }]));
        let words = ["apply", "--recreate", "db", "--yes-destroy", "db", "--auto-approve"];
        check(&scene.phoenix(&words), 6, &["clone", "phoenix apply"]);
        assert!(scene.all_faults_happened(), "{case}");
        scene.settle();
        assert!(!scene.has(1000), "{case}");
        let says = ["+ 1000 db", "notice[T126]", "it is only created", "1 to create, 0 to update, 0 to destroy"];
        check(&scene.phoenix(&["plan", "--recreate", "db"]), 0, &says);
        // No consent is needed for what destroys nothing.
        check(&scene.apply(), 0, &[r#""created":1"#]);
        is_done(&scene, &case);
        assert!(scene.world() == world && uuid(&scene) != before, "{case}");
    }
}

#[test]
fn what_is_not_of_the_project_is_refused() {
    let scene = Scene::with_node(&config());
    check(&scene.apply(), 0, &[]);
    let ask = ["apply", "--recreate", "db", "--yes-destroy", "db", "--auto-approve"];
    let refuses = |says: &[&str]| {
        let before = scene.world();
        check(&scene.phoenix(&ask), 1, &[says, &["nothing was done"][..]].concat());
        assert!(scene.world() == before, "something was done: {says:?}");
    };
    let conf = scene.conf(1000);
    scene.meddle(1000, |conf| conf.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n") + "\n");
    refuses(&["error[T010]"]);
    scene.set_conf(1000, &conf.replace("project\"%3A\"default", "project\"%3A\"another"));
    refuses(&["error[T010]", "belongs to project `another`"]);
    scene.set_conf(1000, &(conf.clone() + "protection: 1\n"));
    refuses(&["error[T039]"]);
    scene.set_conf(1000, &(conf.clone() + "lock: backup\n"));
    refuses(&["error[T013]"]);
    scene.set_conf(1000, &conf);
    // A volume that no configuration names would be in the way of the new VM.
    let volume = scene.node().join("images/local-zfs/1000/vm-1000-disk-7");
    std::fs::write(&volume, "1073741824").unwrap();
    refuses(&["error[T091]", "local-zfs:vm-1000-disk-7"]);
    std::fs::remove_file(&volume).unwrap();
    check(&scene.phoenix(&ask), 0, &["1 recreated"]);
}

#[test]
fn a_built_template_is_made_anew_before_what_is_cloned_from_it() {
    let template = json!({ "vm_id": 900, "vm_name": "base", "is_template": true, "boot_disk_size_gb": 8 });
    let mut vms =
        vec![template, json!({ "vm_id": 1000, "vm_name": "web", "template_name": "base", "boot_disk_size_gb": 8 })];
    let declare = |vms: &[Value]| json!({ "virtual_machines": vms }).to_string();
    let scene = Scene::with_node(&declare(&vms));
    check(&scene.apply(), 0, &[]);
    vms.push(json!({ "vm_id": 1001, "vm_name": "new", "template_name": "base", "boot_disk_size_gb": 8 }));
    scene.declare(&declare(&vms));
    let ran = scene.phoenix(&["apply", "--recreate", "base", "--yes-destroy", "base", "--auto-approve", "--json"]);
    check(&ran, 0, &[r#""created":1,"recreated":1"#]);
    let begun = ids(&ran.events, "action_started");
    let at = |id: &str| begun.iter().position(|begun| begun == id).unwrap();
    assert!(at("900/destroy") < at("900/clone") && at("900/record") < at("1001/clone"), "{begun:?}");
}
