//! A boot disk that moves and grows: what the plan says, and what forbids it.

use std::fs;

use super::broken::{Way, inside, step};
use super::places::Place;
use super::world::{APPLY, Scene, check, ids};
use serde_json::{Value, json};

const CONFIG: &str = r#"{
  "vm_defaults": { "boot_disk_size_gb": 8, "memory_mb": 1024 },
  "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "features": ["base_setup"] }]
}"#;

/// The same VM, elsewhere and larger.
pub(crate) fn wished() -> String {
    CONFIG.replace(r#""vm_name": "web""#, r#""vm_name": "web", "boot_disk_storage": "local", "boot_disk_size_gb": 9"#)
}

const DELETE: [&str; 4] = ["apply", "--auto-approve", "--json", "--delete-source"];

/// A VM that is made and runs, and a config that wishes it otherwise.
fn prepare(scene: &Scene) {
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    scene.declare(&wished());
}

pub(crate) fn made() -> Scene {
    let scene = Scene::with_node(CONFIG);
    prepare(&scene);
    scene
}

#[test]
fn a_disk_moves_and_grows_while_its_vm_runs() {
    let scene = made();
    let source = "local-zfs:vm-1000-disk-0";
    check(
        &scene.phoenix(&["plan"]),
        0,
        &[
            "boot_disk_storage local-zfs → local",
            "scsi0 is copied while the VM runs",
            &format!("{source} stays as an unused disk"),
            "move-disk → resize-disk → await-agent",
            "grow-filesystem",
            "update, live",
        ],
    );
    check(&scene.phoenix(&["apply"]), 4, &["cannot ask"]);
    let started = fs::read(scene.node().join("run/1000")).unwrap();
    let ran = scene.phoenix(&APPLY);
    check(&ran, 0, &[]);
    let actions =
        ["move-disk", "resize-disk", "await-agent", "await-cloud-init", "grow-filesystem"].map(|a| format!("1000/{a}"));
    assert_eq!(ids(&ran.events, "action_started")[..5], actions);
    assert_eq!(fs::read(scene.node().join("run/1000")).unwrap(), started, "it was not restarted");
    assert!(
        scene.conf(1000).contains("scsi0: local:1000/vm-1000-disk-0.raw,discard=on,size=9G\n"),
        "{}",
        scene.conf(1000)
    );
    assert!(scene.conf(1000).contains(&format!("unused0: {source}\n")), "{}", scene.conf(1000));
    assert!(!scene.conf(1000).contains("grow"), "{}", scene.conf(1000));
    assert_eq!(fs::read_to_string(scene.node().join("guests/1000/filesystem")).unwrap(), (9_u64 << 30).to_string());
    let before = scene.bytes();
    check(&scene.apply(), 0, &[]);
    assert!(scene.bytes() == before, "the second apply wrote something");
    // And back: what it left behind is not in the way.
    scene.declare(&CONFIG.replace(r#""boot_disk_size_gb": 8"#, r#""boot_disk_size_gb": 9"#));
    check(&scene.phoenix(&DELETE), 0, &["local:1000/vm-1000-disk-0.raw is erased"]);
    assert!(scene.conf(1000).contains("scsi0: local-zfs:vm-1000-disk-1,discard=on,size=9G\n"), "{}", scene.conf(1000));
    assert!(!scene.node().join("images/local/1000/vm-1000-disk-0.raw").exists());
    assert_eq!(scene.plan_code(), Some(0));
}

#[test]
fn what_a_move_leaves_is_erased_only_when_asked() {
    let scene = made();
    check(
        &scene.phoenix(&["plan", "--delete-source"]),
        0,
        &["when scsi0 has moved, local-zfs:vm-1000-disk-0 is erased"],
    );
    check(&scene.phoenix(&DELETE), 0, &[]);
    assert!(!scene.conf(1000).contains("unused"), "{}", scene.conf(1000));
    assert!(!scene.node().join("images/local-zfs/1000/vm-1000-disk-0").exists());
    assert!(scene.node().join("images/local/1000/vm-1000-disk-0.raw").exists());
    assert_eq!(scene.plan_code(), Some(0));
}

#[test]
fn what_forbids_a_move_is_told_before() {
    let to = |storage: &str| wished().replace(r#""local""#, &format!("\"{storage}\""));
    let snapshot = "parent: before\n\n[before]\nscsi0: local-zfs:vm-1000-disk-0,size=8G\n";
    for (case, config, more, words, says) in [
        ("unknown", to("lokal"), "", &["plan"][..], "there is no storage `lokal`"),
        ("not for images", to("local-nfs"), "", &["plan"], "storage `local-nfs` does not take VM disks"),
        (
            "snapshots",
            wished(),
            snapshot,
            &["plan", "--delete-source"],
            "hold on to local-zfs:vm-1000-disk-0, which is to be erased: `before`",
        ),
        (
            "protected",
            wished(),
            "protection: 1\n",
            &["plan", "--delete-source"],
            "the VM is protected: local-zfs:vm-1000-disk-0 must not be erased",
        ),
        ("locked", wished(), "lock: backup\n", &["plan"], ": locked (backup)"),
        (
            "a pending disk",
            wished(),
            "\n[PENDING]\nscsi0: local-zfs:vm-1000-disk-0,cache=none,size=8G\n",
            &["plan"],
            "another value of scsi0 waits for a restart: the disk cannot move",
        ),
    ] {
        let scene = made();
        scene.declare(&config);
        scene.set_conf(1000, &(scene.conf(1000) + more));
        let before = scene.bytes();
        check(&scene.phoenix(words), 1, &[says]);
        let apply = [&["apply", "--auto-approve"], &words[1..]].concat();
        check(&scene.phoenix(&apply), 1, &["nothing was done"]);
        assert!(scene.bytes() == before, "{case}: something was written");
    }
    // Snapshots that are not erased stay where they are, which is said.
    let scene = made();
    scene.set_conf(1000, &(scene.conf(1000) + snapshot));
    check(&scene.phoenix(&["plan"]), 0, &["snapshots do not move, they stay with local-zfs:vm-1000-disk-0: `before`"]);
    check(&scene.apply(), 0, &[]);
    assert!(scene.conf(1000).ends_with("[before]\nscsi0: local-zfs:vm-1000-disk-0,size=8G\n"), "{}", scene.conf(1000));
}

#[test]
fn a_storage_that_is_too_small_is_told_before() {
    let scene = made();
    let path = scene.node().join("node.json");
    let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    settings["storage_gb"] = json!({ "local": 5 });
    fs::write(&path, settings.to_string()).unwrap();
    check(&scene.phoenix(&["plan"]), 0, &["storage `local` has 5 GiB free, the plan needs 9 GiB"]);
}

#[test]
fn a_disk_that_somebody_moves_is_left_alone() {
    let scene = made();
    let task = scene.node().join("tasks/active/UPID:pve:0000FFFF:00000001:60000000:qmmove:1000:root@pam:");
    fs::write(&task, "").unwrap();
    let held = fs::File::open(&task).unwrap();
    held.lock().unwrap();
    check(&scene.apply(), 1, &["a task is working on the disks (qmmove)"]);
    drop(held);
    check(&scene.apply(), 0, &[]);
}

#[test]
fn a_vm_that_does_not_run_grows_when_it_boots() {
    let scene = made();
    let stopped = wished().replace(r#""vm_name": "web""#, r#""vm_name": "web", "started": false"#);
    scene.declare(&stopped);
    check(&scene.apply(), 0, &[]);
    assert_eq!(scene.plan_code(), Some(0), "nothing to do while it is off");
    assert!(scene.conf(1000).contains("grow"), "the record knows: {}", scene.conf(1000));
    scene.declare(&wished());
    let ran = scene.apply();
    check(&ran, 0, &["1000/grow-filesystem"]);
    assert_eq!(scene.plan_code(), Some(0));
    assert!(!scene.conf(1000).contains("grow"), "{}", scene.conf(1000));
}

/// What an agent has to do that is off until a restart is left open and said; nothing waits for it in vain.
#[test]
fn what_the_guest_lacks_waits_for_the_restart_that_its_agent_waits_for() {
    let on = "agent: enabled=1\n";
    // Switched on since the VM was started; or not at all, and the plan does.
    for waits in [true, false] {
        for place in [Place::Embedded, Place::Here, Place::Ssh].into_iter().filter(|place| place.is_possible()) {
            let case = format!("{place:?}, {waits}");
            let scene = place.copy_of(&made());
            let volume = r#"{ "type": "nfs", "share": "local-nfs", "path": "/data", "mount_point": "/srv/data" }"#;
            scene.declare(&wished().replace(
                r#""base_setup"]"#,
                &format!(r#""base_setup", "install_docker"], "network_model": "e1000", "volumes": [{volume}]"#),
            ));
            scene.meddle(1000, |conf| {
                let pending = if waits { format!("\n[PENDING]\n{on}") } else { String::new() };
                conf.replace(on, "") + &pending
            });
            let open = "the guest agent is off until the VM restarts, so this waits until then: await-network, \
                        grow-filesystem, mount /srv/data, stage-scripts, feature install_docker";
            check(&scene.phoenix(&["plan"]), 0, &[open, "`phoenix apply --restart` restarts the VM and does it"]);
            let ran = scene.apply();
            check(&ran, 0, &[]);
            let begun = ids(&ran.events, "action_started");
            assert_eq!(
                begun,
                ["configure", "move-disk", "resize-disk", "record"].map(|a| format!("1000/{a}")),
                "{case}"
            );
            for _ in 0..2 {
                check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &[open]);
                let again = scene.apply();
                check(&again, 0, &[]);
                assert_eq!(ids(&again.events, "action_started"), [""; 0], "{case}");
            }
            let ran = scene.phoenix(&["apply", "--auto-approve", "--json", "--restart"]);
            check(&ran, 0, &["1000/grow-filesystem", "1000/mount:/srv/data", "1000/feature:install_docker"]);
            let plan = scene.phoenix(&["plan", "--detailed-exitcode"]);
            check(&plan, 0, &[]);
            assert!(
                !plan.err.contains("waits until then") && !scene.conf(1000).contains("PENDING"),
                "{case}: {}",
                plan.err
            );
        }
    }
}

/// The disk moves and grows while the VM runs.
pub(crate) const MOVED: Way = Way {
    begin: made,
    once: &["qmmove"],
    steps: &[
        // What a node leaves that is killed in the middle of it is a test of its own.
        step("1000/move-disk", "move-disk").without_middle(),
        step("1000/resize-disk", "resize"),
        step("1000/await-agent", "ping").without_middle(),
        inside("1000/await-cloud-init", "cloud-init"),
        inside("1000/grow-filesystem", "phoenix-grow"),
        // The context tells the size of the disk, too.
        inside("1000/stage-scripts", "phoenix-stage"),
        // The mark that the guest has not followed, and its end, come first.
        step("1000/record", "configure").after(3),
    ],
    ..Way::PLAIN
};

/// The copy that such a move leaves is named, and stays.
#[test]
fn a_move_that_is_killed_on_the_node_is_begun_anew() {
    let scene = made();
    scene.script_faults(&json!([{ "op": "move-disk", "vm": 1000, "how": "die-halfway" }]));
    assert_eq!((scene.apply().code, scene.all_faults_happened()), (None, true));
    check(&scene.apply(), 0, &["local:1000/vm-1000-disk-0.raw"]);
    let images = scene.node().join("images/local/1000");
    assert_eq!(fs::read_to_string(images.join("vm-1000-disk-0.raw")).unwrap(), (8_u64 << 30).to_string());
    assert_eq!(fs::read_to_string(images.join("vm-1000-disk-1.raw")).unwrap(), (9_u64 << 30).to_string());
    assert!(scene.conf(1000).contains("scsi0: local:1000/vm-1000-disk-1.raw,discard=on,size=9G\n"));
    assert_eq!(scene.plan_code(), Some(0));
}

/// Copies onto one storage only get in each other's way: disks that move are counted like clones.
#[test]
fn four_disks_at_most_move_onto_one_storage_at_once() {
    let vms: Vec<Value> = (1000..1006).map(|id| json!({ "vm_id": id, "vm_name": format!("vm{id}") })).collect();
    let config = |storage: &str| json!({ "vm_defaults": { "boot_disk_size_gb": 4, "boot_disk_storage": storage }, "virtual_machines": vms });
    let scene = Scene::with_node(&config("local-zfs").to_string());
    assert_eq!(scene.apply().code, Some(0));
    scene.declare(&config("local").to_string());
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let (mut running, mut most, mut moved) = (0, 0, 0);
    for event in ran.events.iter().filter(|event| event["id"].as_str().is_some_and(|id| id.ends_with("/move-disk"))) {
        match event["event"].as_str() {
            Some("action_started") => running += 1,
            Some("action_ended") => (running, moved) = (running - 1, moved + 1),
            _ => {}
        }
        most = most.max(running);
    }
    assert_eq!((moved, most), (6, 4), "{}", ran.out);
}
