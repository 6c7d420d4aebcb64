//! Further disks that move to another storage: what the plan says, what forbids it, and what an interruption leaves.

use std::fs;

use serde_json::{Value, json};

use super::broken::{Way, inside, step};
use super::hardware::{everywhere, is_done, options};
use super::world::{APPLY, Scene, check, ids};

/// A VM with these disks whose boot disk lies on this storage.
fn config(storage: &str, disks: &Value) -> String {
    let vm = json!({
        "vm_id": 1000, "vm_name": "db", "boot_disk_size_gb": 8, "boot_disk_storage": storage, "disks": disks
    });
    json!({ "virtual_machines": [vm] }).to_string()
}

/// The volumes of these slots.
fn volumes(scene: &Scene, slots: &[&str]) -> Vec<String> {
    let values = options(scene, slots);
    values.iter().map(|value| value.split(',').next().unwrap_or_default().to_owned()).collect()
}

fn storages(scene: &Scene) -> Vec<String> {
    let of = |volume: &String| volume.split(':').next().unwrap_or_default().to_owned();
    volumes(scene, &["scsi0", "scsi1", "scsi2"]).iter().map(of).collect()
}

/// Another `boot_disk_storage` moves every disk that names no storage, and `storage` a disk alone.
#[test]
fn further_disks_move_as_the_boot_disk_does() {
    everywhere(|scene, case| {
        let unmoved = json!({ "size_gb": 1, "storage": "local-zfs" });
        let data =
            json!({ "size_gb": 20, "options": { "backup": 0 }, "filesystem": "ext4", "mount_point": "/srv/data" });
        scene.declare(&config("local-zfs", &json!({ "scsi1": data, "scsi2": unmoved })));
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        let first = volumes(scene, &["scsi0", "scsi1"]);

        scene.declare(&config("local", &json!({ "scsi1": data, "scsi2": unmoved })));
        let source = format!("scsi1 (20 GiB) is copied while the VM runs; {} stays as an unused disk", first[1]);
        let says = [
            "boot_disk_storage local-zfs → local",
            "disks.scsi1.storage local-zfs → local",
            &source,
            "move-disk → move-disk scsi1",
            "update, live",
        ];
        check(&scene.phoenix(&["plan"]), 0, &says);
        let ran = scene.phoenix(&APPLY);
        check(&ran, 0, &[]);
        assert_eq!(ids(&ran.events, "action_started")[..2], ["1000/move-disk", "1000/move-disk:scsi1"], "{case}");
        assert_eq!(storages(scene), ["local", "local", "local-zfs"], "{case}");
        assert_eq!(volumes(scene, &["unused0", "unused1"]), first, "{case}");
        assert!(options(scene, &["scsi1"])[0].contains("backup=0,size=20G"), "{case}: {}", scene.conf(1000));
        is_done(scene, case);
        let again = scene.phoenix(&APPLY);
        assert_eq!(ids(&again.events, "action_started"), [""; 0], "{case}");

        // One alone, which grows as well; its file system follows, and what it leaves is erased.
        let left = volumes(scene, &["scsi1"]).remove(0);
        let mut back = data.clone();
        (back["storage"], back["size_gb"]) = (json!("local-zfs"), json!(21));
        scene.declare(&config("local", &json!({ "scsi1": back, "scsi2": unmoved })));
        let erased = format!("when scsi1 has moved, {left} is erased");
        check(&scene.phoenix(&["plan", "--delete-source"]), 0, &["disks.scsi1.storage local → local-zfs", &erased]);
        let ran = scene.phoenix(&["apply", "--auto-approve", "--json", "--delete-source"]);
        check(&ran, 0, &["1000/resize-disk:scsi1", "1000/mount-disk:/srv/data"]);
        assert!(!ran.out.contains("format-disk"), "{case}: {}", ran.out);
        assert_eq!(storages(scene), ["local", "local-zfs", "local-zfs"], "{case}");
        assert!(!scene.conf(1000).contains(&left), "{case}: {}", scene.conf(1000));
        is_done(scene, case);
    });
}

/// A further disk that a clone gets of its template lies where its boot disk does, and moves before the VM starts.
#[test]
fn a_disk_of_a_template_moves_to_where_the_file_says() {
    let file = config("local-zfs", &json!({ "scsi1": { "size_gb": 2, "storage": "local" } }));
    let scene = Scene::with_node(&file);
    let conf = scene.conf(9000);
    fs::write(scene.node().join("images/local-zfs/9000/base-9000-disk-7"), (1_u64 << 30).to_string()).unwrap();
    scene.set_conf(9000, &(conf + "scsi1: local-zfs:base-9000-disk-7,size=1G\n"));
    let ran = scene.phoenix(&APPLY);
    check(&ran, 0, &["1000/move-disk:scsi1", "1000/resize-disk:scsi1"]);
    assert_eq!(storages(&scene)[..2], ["local-zfs", "local"], "{}", scene.conf(1000));
    is_done(&scene, "of a template");
}

/// What cannot move is said before anything is done, and how the file says that it stays.
#[test]
fn what_forbids_the_move_of_a_further_disk_is_said_before() {
    everywhere(|scene, case| {
        let disks = |storage: &str| json!({ "scsi1": { "size_gb": 1, "storage": storage } });
        let state = json!({ "scsi1": { "size_gb": 1 }, "efidisk0": {}, "tpmstate0": {} });
        scene.declare(&config("local-zfs", &state));
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        let whole = scene.conf(1000);
        let volume = volumes(scene, &["scsi1"]).remove(0);
        let snapshot = format!("parent: before\n\n[before]\nscsi1: {volume},size=1G\n");
        let pending = format!("\n[PENDING]\nscsi1: {volume},cache=none,size=1G\n");
        let with_state = |storage: &str| {
            let mut disks = disks(storage);
            disks["efidisk0"] = json!({});
            disks["tpmstate0"] = json!({});
            disks
        };
        for (to, disks, more, says) in [
            (
                "local",
                state.clone(),
                "",
                &[
                    "efidisk0 lies on `local-zfs`, the file says `local`",
                    "tpmstate0 lies on",
                    r#"give it `"storage": "local-zfs"`"#,
                ][..],
            ),
            ("local-zfs", with_state("lokal"), "", &["there is no storage `lokal`"]),
            ("local-zfs", with_state("local-nfs"), "", &["storage `local-nfs` takes no disks of VMs"]),
            (
                "local-zfs",
                with_state("local"),
                &pending,
                &[
                    "another value of scsi1 waits for a restart: the disk cannot move",
                    r#"until then give it `"storage": "local-zfs"`"#,
                ],
            ),
            ("local-zfs", with_state("local"), &snapshot, &["hold on to", "which is to be erased: `before`"]),
        ] {
            scene.set_conf(1000, &(whole.clone() + more));
            scene.declare(&config(to, &disks));
            let before = scene.world();
            check(&scene.phoenix(&["apply", "--auto-approve", "--delete-source"]), 1, says);
            assert!(scene.world() == before, "{case}: something was done");
        }
        // Where they say where they lie, they are not in the way of the others.
        scene.set_conf(1000, &whole);
        let stays = json!({ "storage": "local-zfs" });
        scene.declare(&config("local", &json!({ "scsi1": { "size_gb": 1 }, "efidisk0": stays, "tpmstate0": stays })));
        check(&scene.apply(), 0, &["1000/move-disk:scsi1"]);
        is_done(scene, case);
    });
}

#[test]
fn a_storage_that_is_too_small_for_a_further_disk_is_said_before() {
    let scene = Scene::with_node(&config("local-zfs", &json!({ "scsi1": { "size_gb": 7 } })));
    check(&scene.apply(), 0, &[]);
    let path = scene.node().join("node.json");
    let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    settings["storage_gb"] = json!({ "local": 5 });
    fs::write(&path, settings.to_string()).unwrap();
    scene.declare(&config("local-zfs", &json!({ "scsi1": { "size_gb": 7, "storage": "local" } })));
    check(&scene.phoenix(&["plan"]), 0, &["storage `local` has 5 GiB free, the plan needs 7 GiB"]);
    scene.declare(&config("local", &json!({ "scsi1": { "size_gb": 7 } })));
    check(&scene.phoenix(&["plan"]), 0, &["storage `local` has 5 GiB free, the plan needs 15 GiB"]);
}

/// The entries of a record that say where further disks lie, which earlier versions did not make.
fn without_storage(conf: &str) -> String {
    let entry = |slot: &str| format!(r#""disks.{slot}.storage"%3A"local\u002dzfs","#);
    conf.replace(&entry("scsi1"), "").replace(&entry("scsi2"), "")
}

/// A record of an earlier version says nothing of where further disks lie: that is no change, and no move that was
/// begun.
#[test]
fn a_record_of_an_earlier_version_knows_of_no_move() {
    let disks = |storage: &str| json!({ "scsi1": { "size_gb": 1, "storage": storage }, "scsi2": { "size_gb": 1 } });
    let scene = Scene::with_node(&config("local-zfs", &disks("local-zfs")));
    check(&scene.apply(), 0, &[]);
    scene.meddle(1000, without_storage);
    assert!(!scene.conf(1000).contains(".storage"), "{}", scene.conf(1000));
    is_done(&scene, "of an earlier version");
    let before = scene.bytes();
    check(&scene.apply(), 0, &[]);
    assert!(scene.bytes() == before, "something was written");

    scene.declare(&config("local-zfs", &disks("local")));
    let task = scene.node().join("tasks/active/UPID:pve:0000FFFF:00000001:60000000:qmmove:1000:root@pam:");
    fs::write(&task, "").unwrap();
    let held = fs::File::open(&task).unwrap();
    held.lock().unwrap();
    check(&scene.apply(), 1, &["a task is working on the disks (qmmove)"]);
    drop(held);
    check(&scene.apply(), 0, &["1000/move-disk:scsi1"]);
    is_done(&scene, "moved");
    assert!(scene.conf(1000).contains("disks.scsi1.storage"), "{}", scene.conf(1000));
}

/// What another process moved is said as drift, and moved back.
#[test]
fn a_further_disk_that_another_process_moved_is_said() {
    let scene = Scene::with_node(&config("local-zfs", &json!({ "scsi1": { "size_gb": 1, "storage": "local" } })));
    check(&scene.apply(), 0, &[]);
    let data = config("local-zfs", &json!({ "scsi1": { "size_gb": 1, "storage": "local-zfs" } }));
    let file = scene.config();
    scene.declare(&data);
    let record = |conf: &str| conf.lines().find(|line| line.starts_with('#')).unwrap_or_default().to_owned();
    let old = scene.conf(1000);
    check(&scene.apply(), 0, &[]);
    // As if it had been moved by hand: the disk lies elsewhere, the notes are as they were.
    scene.meddle(1000, |conf| conf.replace(&record(conf), &record(&old)));
    scene.declare(&file);
    check(&scene.phoenix(&["plan"]), 0, &["changed outside phoenix since the last apply: `disks.scsi1.storage`"]);
    check(&scene.apply(), 0, &["1000/move-disk:scsi1"]);
    is_done(&scene, "moved back");
}

/// A move that was begun and is not wanted any more leaves nothing to do but to say so in the record.
#[test]
fn a_move_that_failed_is_taken_back_by_the_file() {
    let disks = |storage: &str| json!({ "scsi1": { "size_gb": 1, "storage": storage } });
    let scene = Scene::with_node(&config("local-zfs", &disks("local-zfs")));
    check(&scene.apply(), 0, &[]);
    scene.declare(&config("local-zfs", &disks("local")));
    scene.script_faults(&json!([{ "op": "move-disk", "vm": 1000, "how": "fail" }]));
    let failed = scene.phoenix(&APPLY);
    assert_eq!(failed.code, Some(6), "{}{}", failed.out, failed.err);
    assert!(failed.out.contains(r#""keys":["disks.scsi1"]"#), "{}", failed.out);
    scene.declare(&config("local-zfs", &disks("local-zfs")));
    let ran = scene.phoenix(&APPLY);
    check(&ran, 0, &[]);
    assert_eq!(ids(&ran.events, "action_started"), ["1000/record"], "{}", ran.out);
    is_done(&scene, "taken back");
}

/// The copy that a move leaves which is killed on the node is named, and stays.
#[test]
fn a_move_of_a_further_disk_that_is_killed_on_the_node_is_begun_anew() {
    let disks = |storage: &str| json!({ "scsi1": { "size_gb": 1, "storage": storage } });
    let scene = Scene::with_node(&config("local-zfs", &disks("local-zfs")));
    check(&scene.apply(), 0, &[]);
    scene.declare(&config("local-zfs", &disks("local")));
    scene.script_faults(&json!([{ "op": "move-disk", "vm": 1000, "how": "die-halfway" }]));
    assert_eq!((scene.apply().code, scene.all_faults_happened()), (None, true));
    check(&scene.apply(), 0, &["local:1000/vm-1000-disk-0.raw"]);
    assert_eq!(volumes(&scene, &["scsi1"]), ["local:1000/vm-1000-disk-1.raw"]);
    is_done(&scene, "begun anew");
}

fn with_data(storage: &str, size_gb: u32) -> Value {
    json!({ "scsi1": { "size_gb": size_gb, "storage": storage, "filesystem": "ext4", "mount_point": "/srv/a" } })
}

/// A disk with a file system moves and grows while the VM runs.
pub(crate) const MOVED: Way = Way {
    begin: || {
        let scene = Scene::with_node(&config("local-zfs", &with_data("local-zfs", 1)));
        check(&scene.apply(), 0, &[]);
        scene.declare(&config("local-zfs", &with_data("local", 2)));
        scene
    },
    once: &["qmmove"],
    steps: &[
        // That it is begun is noted first. What a node leaves that is killed in the middle of it is a test of its own.
        step("1000/move-disk:scsi1", "configure"),
        step("1000/move-disk:scsi1", "move-disk").without_middle(),
        step("1000/resize-disk:scsi1", "resize"),
        inside("1000/mount-disk:/srv/a", "phoenix-disk-mount"),
        step("1000/record", "configure").after(3),
    ],
    ..Way::PLAIN
};

/// All disks of a VM move at once, one after another.
pub(crate) const MOVED_ALL: Way = Way {
    begin: || {
        let disks = json!({ "scsi1": { "size_gb": 1 }, "scsi2": { "size_gb": 1 } });
        let scene = Scene::with_node(&config("local-zfs", &disks));
        check(&scene.apply(), 0, &[]);
        scene.declare(&config("local", &disks));
        scene
    },
    steps: &[
        step("1000/move-disk:scsi1", "move-disk").after(1).without_middle(),
        step("1000/move-disk:scsi2", "configure").after(2),
        step("1000/move-disk:scsi2", "move-disk").after(2).without_middle(),
        step("1000/record", "configure").after(3),
    ],
    ..Way::PLAIN
};
