//! What a killed run began and what works on without it: the next run waits for it, and goes on from what it finds.

use std::fs::{self, File};
use std::sync::OnceLock;

use super::disks::{made, wished};
use super::oracle::Oracle;
use super::places::{Place, Reached};
use super::targets::{CONFIG, oracle};
use super::world::{Scene, check, ids};
use serde_json::{Value, json};

const PLACES: [Place; 3] = [Place::Embedded, Place::Here, Place::Ssh];

/// A task that works until this is dropped.
fn task(scene: &Scene, kind: &str, vm: u32, log: &str) -> File {
    let path = scene.node().join(format!("tasks/active/UPID:pve:0000FFFF:00000001:60000000:{kind}:{vm}:root@pam:"));
    fs::write(&path, log).unwrap();
    let held = File::open(&path).unwrap();
    held.lock().unwrap();
    held
}

/// A node whose clone was killed like this.
fn cloned(how: &str) -> Scene {
    let scene = Scene::with_node(CONFIG);
    scene.script_faults(&Oracle::fault("1000/clone", how));
    assert_eq!(scene.apply().code, None);
    scene
}

/// What the copy of an earlier run wrote so far: its job, or its task on the embedded node.
const FAR: &str = "transferred 1.0 GiB of 4.0 GiB (25.00%)\n";

/// Where the jobs of a node are.
const JOBS: &str = "root/run/phoenix";

/// The job of an earlier run that still copies.
fn job(scene: &Reached, name: &str) {
    if scene.place() != Place::Embedded {
        let job = scene.node().join(JOBS).join("jobs").join(name);
        fs::create_dir_all(&job).unwrap();
        fs::write(job.join("out"), FAR).unwrap();
    }
}

fn half() -> &'static Scene {
    static ONCE: OnceLock<Scene> = OnceLock::new();
    ONCE.get_or_init(|| cloned("die-halfway"))
}

/// What came of an action.
fn outcome<'e>(events: &'e [Value], id: &str) -> &'e Value {
    &events.iter().find(|event| event["event"] == "action_ended" && event["id"] == id).unwrap()["outcome"]
}

#[test]
fn a_clone_that_works_on_is_waited_for_and_gone_on_from() {
    let told = &format!("creating a clone of VM 9000 with ID 1000\n{FAR}");
    let known = "the clone into it, started by an earlier run, is still running: apply waits";
    let unknown = "half made by an earlier run, and a clone is at work whose target is not known";
    let whole = cloned("die-after").conf(1000);
    for place in PLACES.into_iter().filter(|place| place.is_possible()) {
        for (log, says) in [(told.as_str(), known), ("starting\n", unknown)] {
            for ends in [true, false] {
                let case = format!("{place:?}, {says}, {ends}");
                let scene = place.copy_of(half());
                let clones = scene.clones();
                let before = scene.conf(1000);
                let held = task(&scene, "qmclone", 9000, log);
                if log == told {
                    job(&scene, "clone-1000");
                }
                check(&scene.phoenix(&["plan"]), 0, &[says]);
                let mut waiting = scene.begin();
                let goal = "the clone or import into VM 1000 that an earlier run began";
                let far = "the copy of an earlier run: 25 % (1.0 of 4.0 GiB)";
                assert!(waiting.waits_for(if log == told { far } else { goal }), "{case}");
                assert_eq!(scene.conf(1000), before, "{case}: it was touched");
                if ends {
                    scene.set_conf(1000, &whole);
                }
                drop(held);
                let _ = fs::remove_dir_all(scene.node().join(JOBS));
                let (code, events) = waiting.end();
                assert_eq!(code, Some(0), "{case}: {events:?}");
                let outcomes = ["1000/remove-leftover", "1000/clone"].map(|id| outcome(&events, id));
                assert_eq!(outcomes, if ends { ["no-op"; 2] } else { ["update", "create"] }, "{case}");
                assert_eq!(scene.clones(), clones + usize::from(!ends), "{case}");
                oracle().check_world(&scene, &case);
            }
        }
    }
}

#[test]
fn how_a_clone_ended_is_told_to_its_own_project() {
    let says = "the clone into VM 1000 of an interrupted run ended with status 0";
    let is_told = |place: Place| {
        let scene = place.scene(CONFIG);
        scene.script_faults(&Oracle::fault("1000/clone", "die-halfway"));
        assert_eq!(scene.apply_as_victim().code, None);
        scene.settle();
        let other =
            r#"{ "hypervisor": { "project": "other" }, "virtual_machines": [{ "vm_id": 1001, "vm_name": "b" }] }"#;
        scene.declare(other);
        let ran = scene.apply();
        assert!(ran.code == Some(0) && !ran.err.contains("interrupted run"), "{place:?}: {}", ran.err);
        scene.declare(CONFIG);
        let first = scene.apply();
        assert_eq!(first.code, Some(0), "{place:?}: {}{}", first.out, first.err);
        let again = scene.apply();
        assert!(again.code == Some(0) && !again.err.contains("interrupted run"), "{place:?}: {}", again.err);
        let said = format!("{} {}", first.out, first.err);
        said.split_whitespace().collect::<Vec<_>>().join(" ").contains(says)
    };
    for place in [Place::Here, Place::Ssh].into_iter().filter(|place| place.is_possible()) {
        // ssh may take the answer of a clone that ends in that very moment before it notices that phoenix was killed:
        // then it was told, to nothing that lives.
        let tries = if place == Place::Ssh { 3 } else { 1 };
        assert!((0..tries).any(|_| is_told(place)), "{place:?}");
    }
}

/// What the file says may have changed since the clone began: then it is planned anew.
#[test]
fn a_clone_that_ends_otherwise_than_planned_is_not_taken_for_it() {
    let whole = cloned("die-after").conf(1000);
    let used = |conf: &str| conf.replace("\"state\"%3A\"creating\"", "\"state\"%3A\"setup\"");
    let elsewhere = |conf: &str| conf.replace("scsi0: local-zfs:", "scsi0: local:1000/");
    let cases = [
        (elsewhere(&whole), "an earlier run made VM 1000 from another template or image than the file now names"),
        (used(&whole), "VM 1000 is no longer the leftover that was planned"),
    ];
    for (ended, says) in cases {
        assert_ne!(ended, whole);
        let scene = half().copy();
        let held = task(&scene, "qmclone", 9000, "creating a clone of VM 9000 with ID 1000\n");
        let mut waiting = scene.begin();
        assert!(waiting.waits_for("that an earlier run began"));
        scene.set_conf(1000, &ended);
        drop(held);
        let (code, events) = waiting.end();
        assert_eq!((code, ids(&events, "action_failed")), (Some(5), vec!["1000/remove-leftover".to_owned()]), "{says}");
        assert!(events.iter().any(|event| event["error"] == says), "{says}: {events:?}");
        assert_eq!(scene.conf(1000), ended, "it was touched");
    }
}

/// A VM whose disk was being moved when its run was killed.
fn moving(place: Place) -> Reached {
    static ONCE: OnceLock<Scene> = OnceLock::new();
    let scene = ONCE.get_or_init(|| {
        let scene = made();
        scene.script_faults(&json!([{ "op": "move-disk", "vm": 1000, "how": "die-halfway" }]));
        assert_eq!(scene.apply().code, None);
        // The first thing that the next run does is another one.
        scene.declare(&wished().replace(r#""boot_disk_storage""#, r#""description": "other", "boot_disk_storage""#));
        scene
    });
    place.copy_of(scene)
}

#[test]
fn a_move_that_works_on_is_waited_for_and_gone_on_from() {
    for place in PLACES.into_iter().filter(|place| place.is_possible()) {
        for ends in [true, false] {
            let case = format!("{place:?}, {ends}");
            let scene = moving(place);
            let held = task(&scene, "qmmove", 1000, if ends { FAR } else { "" });
            if ends {
                job(&scene, "move-1000");
            }
            let says = "the move of the boot disk, started by an earlier run, is still running: apply waits";
            check(&scene.phoenix(&["plan"]), 0, &[says]);
            let before = scene.conf(1000);
            let mut waiting = scene.begin();
            let goal = "the move of a disk of VM 1000 that an earlier run began (qmmove)";
            let far = "the copy of an earlier run: 25 % (1.0 of 4.0 GiB)";
            assert!(waiting.waits_for(if ends { far } else { goal }), "{case}");
            assert_eq!(scene.conf(1000), before, "{case}: it was touched");
            if ends {
                // As Proxmox writes it: the copy, and what it was copied from.
                scene.meddle(1000, |conf| {
                    conf.replace("scsi0: local-zfs:vm-1000-disk-0", "scsi0: local:1000/vm-1000-disk-0.raw")
                        .replace("smbios1:", "unused0: local-zfs:vm-1000-disk-0\nsmbios1:")
                });
            }
            drop(held);
            let (code, events) = waiting.end();
            assert_eq!(code, Some(0), "{case}: {events:?}");
            assert_eq!(outcome(&events, "1000/move-disk"), if ends { "no-op" } else { "update" }, "{case}");
            assert!(scene.conf(1000).contains("scsi0: local:1000/vm-1000-disk-"), "{case}: {}", scene.conf(1000));
            assert_eq!(scene.plan_code(), Some(0), "{case}");
        }
    }
}

#[test]
fn a_move_of_a_further_disk_that_works_on_is_waited_for_and_gone_on_from() {
    let config = |storage: &str, description: &str| {
        let disks = json!({ "scsi1": { "size_gb": 3, "storage": storage } });
        let vm = json!({ "vm_id": 1000, "vm_name": "web", "description": description, "disks": disks });
        json!({ "virtual_machines": [vm] }).to_string()
    };
    let begun = Scene::with_node(&config("local-zfs", ""));
    assert_eq!(begun.apply().code, Some(0));
    begun.declare(&config("local", ""));
    begun.script_faults(&json!([{ "op": "move-disk", "vm": 1000, "how": "die-halfway" }]));
    assert_eq!(begun.apply().code, None);
    begun.declare(&config("local", "other"));
    for place in PLACES.into_iter().filter(|place| place.is_possible()) {
        for (change, code, outcomes) in [("moved", 0, "no-op"), ("", 0, "update"), ("grown", 5, "")] {
            let case = format!("{place:?}, {change}");
            let scene = place.copy_of(&begun);
            let held = task(&scene, "qmmove", 1000, "");
            let says = "the move of scsi1, started by an earlier run, is still running: apply waits";
            check(&scene.phoenix(&["plan"]), 0, &[says]);
            let mut waiting = scene.begin();
            assert!(waiting.waits_for("the move of a disk of VM 1000 that an earlier run began (qmmove)"), "{case}");
            let volume = "scsi1: local-zfs:vm-1000-disk-1,size=3G";
            assert!(scene.conf(1000).contains(volume), "{case}: {}", scene.conf(1000));
            match change {
                // As Proxmox writes it: the copy, and what it was copied from.
                "moved" => scene.meddle(1000, |conf| {
                    conf.replace(volume, "scsi1: local:1000/vm-1000-disk-0.raw,size=3G")
                        .replace("smbios1:", "unused0: local-zfs:vm-1000-disk-1\nsmbios1:")
                }),
                "grown" => scene.meddle(1000, |conf| conf.replace(volume, &volume.replace("=3G", "=4G"))),
                _ => {}
            }
            drop(held);
            let (ended, events) = waiting.end();
            assert_eq!(ended, Some(code), "{case}: {events:?}");
            if code == 0 {
                assert_eq!(outcome(&events, "1000/move-disk:scsi1"), outcomes, "{case}");
                assert!(scene.conf(1000).contains("scsi1: local:1000/vm-1000-disk-"), "{case}: {}", scene.conf(1000));
                assert_eq!(scene.plan_code(), Some(0), "{case}");
            } else {
                let says = "scsi1 of VM 1000 is neither on its old storage nor on the new one";
                assert!(events.iter().any(|event| event["error"] == says), "{case}: {events:?}");
            }
        }
    }
}

#[test]
fn what_another_process_changes_during_a_move_is_no_part_of_it() {
    let changes: [&dyn Fn(&str) -> String; 2] =
        [&|conf| conf.replace("smbios1:", "scsi1: local-zfs:vm-1000-disk-7,size=1G\nsmbios1:"), &|conf| {
            conf.replace("scsi0: local-zfs:", "scsi0: elsewhere:")
        }];
    for change in changes {
        let scene = moving(Place::Embedded);
        let held = task(&scene, "qmmove", 1000, "");
        let mut waiting = scene.begin();
        assert!(waiting.waits_for("that an earlier run began"));
        scene.meddle(1000, change);
        let after = scene.conf(1000);
        drop(held);
        let (code, events) = waiting.end();
        assert_eq!(code, Some(5), "{events:?}");
        assert_eq!(scene.conf(1000), after, "it was touched");
    }
}
