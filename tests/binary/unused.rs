//! Unused volumes that are erased: with consent, those of the named VM alone, and none that is still needed.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::broken::{Way, step};
use super::hardware::{everywhere, is_done, options};
use super::world::{Scene, check, ids};

fn config(disks: &Value) -> String {
    let vm = |vm: u32, name: &str| json!({ "vm_id": vm, "vm_name": name, "boot_disk_size_gb": 8, "disks": disks });
    json!({ "virtual_machines": [vm(1000, "db"), vm(1001, "web")] }).to_string()
}

const ASK: [&str; 6] = ["apply", "--delete-unused", "db", "--yes-delete-unused", "db", "--auto-approve"];

/// Two VMs, each with a disk that was taken out of the file again.
fn detach(scene: &Scene) {
    scene.declare(&config(&json!({ "scsi1": { "size_gb": 2 } })));
    check(&scene.apply(), 0, &[]);
    scene.declare(&config(&json!({})));
    check(&scene.apply(), 0, &[]);
}

/// One VM loses two volumes; the other one keeps its own.
pub(crate) const ERASED: Way = Way {
    begin: || {
        let scene = Scene::with_node(&config(&json!({})));
        scene.declare(&config(&json!({ "scsi1": { "size_gb": 2 }, "scsi2": { "size_gb": 3 } })));
        check(&scene.apply(), 0, &[]);
        scene.declare(&config(&json!({})));
        check(&scene.apply(), 0, &[]);
        scene
    },
    words: &["apply", "--delete-unused", "1000", "--yes-delete-unused", "1000", "--auto-approve", "--json"],
    plan: &["plan", "--delete-unused", "1000", "--detailed-exitcode"],
    steps: &[step("1000/delete-unused:unused0", "configure"), step("1000/delete-unused:unused1", "configure").after(1)],
    ..Way::PLAIN
};

/// The file of a volume.
fn file(scene: &Scene, vm: u32, name: &str) -> PathBuf {
    scene.node().join(format!("images/local-zfs/{vm}/{name}"))
}

#[test]
fn unused_volumes_are_erased_with_consent_alone() {
    everywhere(|scene, case| {
        detach(scene);
        let world = scene.world();
        let volume = options(scene, &["unused0"]).remove(0);
        let name = volume.rsplit(':').next().unwrap();
        // Without the flag, they are only named, and no plan says it unasked.
        let named = ["notice[T144]", "and they stay", &volume, "--delete-unused 1000"];
        check(&scene.phoenix(&["plan", "--verbose"]), 0, &named);
        let plan = scene.phoenix(&["plan"]);
        check(&plan, 0, &[]);
        assert!(!plan.err.contains("T144"), "{case}: {}", plan.err);
        check(&scene.phoenix(&["status"]), 0, &["notice[T144]", &volume]);
        is_done(scene, case);

        let erases = format!("unused0 {volume} (2G)");
        let says = ["~ 1000 db", "erases", &erases, "delete-unused unused0", "warning[T128]", "erased permanently"];
        check(&scene.phoenix(&["plan", "--delete-unused", "1000"]), 0, &says);
        let apply = |words: &[&str]| scene.phoenix(&[&["apply", "--auto-approve"], words].concat());
        let asked = ["cannot ask whether unused volumes may be erased", "if they may, give `--yes-delete-unused db`"];
        check(&apply(&["--delete-unused", "1000"]), 4, &asked);
        // Another consent is none, and neither is one for another VM.
        check(&apply(&["--delete-unused", "db", "--yes-destroy", "db"]), 4, &asked);
        let other = ["the plan also erases unused volumes of 1000 `db`; nothing was done"];
        check(&apply(&["--delete-unused", "db", "--yes-delete-unused", "web"]), 4, &other);
        check(&apply(&["--delete-unused", "1005", "--yes-delete-unused", "1005"]), 4, &["no VM of the project"]);
        check(&apply(&["--delete-unused", "db", "--exclude", "db"]), 1, &["error[T129]"]);
        assert!(scene.world() == world, "{case}: something was done");

        let ran = scene.phoenix(&[&ASK[..], &["--json"]].concat());
        check(&ran, 0, &[r#""updated":1"#, r#""unchanged":1"#]);
        assert_eq!(ids(&ran.events, "action_started"), ["1000/delete-unused:unused0"], "{case}");
        assert_eq!(options(scene, &["unused0"]), [""], "{case}");
        assert!(!file(scene, 1000, name).exists(), "{case}: the volume is there still");
        // That of the other VM stays.
        assert!(scene.conf(1001).contains("unused0: local-zfs:vm-1001-disk-1"), "{case}");
        assert!(file(scene, 1001, "vm-1001-disk-1").exists(), "{case}");
        check(&scene.phoenix(&ASK), 0, &["notice[T128]", "no unused volume of the VM to erase", "2 unchanged."]);
    });
}

#[test]
fn what_is_still_needed_stays() {
    everywhere(|scene, case| {
        detach(scene);
        let volume = options(scene, &["unused0"]).remove(0);
        let name = volume.rsplit(':').next().unwrap();
        // A snapshot that has it as a disk.
        let conf = scene.conf(1000);
        let snapshot = format!("\n[before]\ncores: 2\nscsi1: {volume},size=2G\nsnaptime: 1700000000\n");
        scene.set_conf(1000, &(conf.replace("ostype:", "parent: before\nostype:") + &snapshot));
        check(&scene.phoenix(&ASK), 0, &["warning[T129]", "a snapshot", "2 unchanged."]);
        assert!(file(scene, 1000, name).exists(), "{case}");
        // One of another VM.
        scene.set_conf(1000, &conf.replace(&volume, "local-zfs:vm-1001-disk-1"));
        check(&scene.phoenix(&ASK), 0, &["warning[T129]", "its name does not say", "2 unchanged."]);
        assert!(file(scene, 1001, "vm-1001-disk-1").exists(), "{case}");
        scene.set_conf(1000, &conf);
        // One that the same plan attaches.
        let mut config: Value = serde_json::from_str(&scene.config()).unwrap();
        config["virtual_machines"][0]["disks"] = json!({ "scsi1": { "volume": volume } });
        scene.declare(&config.to_string());
        check(&scene.phoenix(&ASK), 0, &["warning[T129]", "the file attaches it", "1 updated"]);
        assert!(file(scene, 1000, name).exists(), "{case}");
        assert!(options(scene, &["scsi1"])[0].starts_with(&volume), "{case}");
        is_done(scene, case);
    });
}

#[test]
fn a_saved_plan_is_held_to_the_volumes_that_it_names() {
    everywhere(|scene, case| {
        detach(scene);
        let volume = options(scene, &["unused0"]).remove(0);
        check(&scene.phoenix(&["plan", "--delete-unused", "db", "--out", "plan.json"]), 0, &["saved in plan.json"]);
        check(&scene.phoenix(&["apply", "plan.json"]), 4, &["give `--yes-delete-unused db`"]);
        let agreed = ["apply", "plan.json", "--yes-delete-unused", "db"];
        // Another volume stands in its place.
        let other = "local-zfs:vm-1000-disk-7";
        std::fs::write(file(scene, 1000, "vm-1000-disk-7"), "1073741824").unwrap();
        let conf = scene.conf(1000);
        scene.set_conf(1000, &conf.replace(&volume, other));
        check(&scene.phoenix(&agreed), 5, &["VM 1000 changed since the plan"]);
        assert!(file(scene, 1000, "vm-1000-disk-7").exists(), "{case}");
        std::fs::remove_file(file(scene, 1000, "vm-1000-disk-7")).unwrap();
        scene.set_conf(1000, &conf);
        check(&scene.phoenix(&agreed), 0, &["2 VMs: 1 updated, 1 unchanged."]);
        assert_eq!(options(scene, &["unused0"]), [""], "{case}");
    });
}

#[test]
fn a_vm_of_others_keeps_its_volumes() {
    let scene = Scene::with_node(&config(&json!({})));
    detach(&scene);
    let conf = scene.conf(1000);
    let refuses = |conf: &str, says: &[&str]| {
        scene.set_conf(1000, conf);
        let before = scene.world();
        check(&scene.phoenix(&ASK), 1, &[says, &["nothing was done"][..]].concat());
        assert!(scene.world() == before, "something was done: {says:?}");
    };
    refuses(&conf.replace("project\"%3A\"default", "project\"%3A\"another"), &["error[T010]"]);
    refuses(&(conf.clone() + "protection: 1\n"), &["error[T129]", "protected"]);
    refuses(&(conf.clone() + "lock: backup\n"), &["error[T013]"]);
}
