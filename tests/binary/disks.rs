//! A boot disk that moves and grows: what the plan says, what forbids it, and each step broken, on every target.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, OnceLock};
use std::thread;

use super::places::{Place, until};
use super::world::{Scene, check, ids};
use serde_json::{Value, json};

const CONFIG: &str = r#"{
  "vm_defaults": { "boot_disk_size_gb": 8, "memory_mb": 1024 },
  "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "features": ["base_setup"] }]
}"#;

/// The same VM, elsewhere and larger.
fn wished() -> String {
    CONFIG.replace(r#""vm_name": "web""#, r#""vm_name": "web", "boot_disk_storage": "local", "boot_disk_size_gb": 9"#)
}

const KEEP: [&str; 3] = ["apply", "--auto-approve", "--json"];
const DELETE: [&str; 4] = ["apply", "--auto-approve", "--json", "--delete-source"];

/// A VM that is made and runs, and a config that wishes it otherwise.
fn prepare(scene: &Scene) {
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    scene.declare(&wished());
}

fn made() -> Scene {
    let scene = Scene::with_node(CONFIG);
    prepare(&scene);
    scene
}

/// What an undisturbed run does, and the world it leaves.
fn undisturbed(words: &[&str]) -> (Vec<String>, BTreeMap<String, String>) {
    let scene = made();
    let ran = scene.phoenix(words);
    check(&ran, 0, &[]);
    (ids(&ran.events, "action_started"), scene.world())
}

fn kept() -> &'static (Vec<String>, BTreeMap<String, String>) {
    static ONCE: OnceLock<(Vec<String>, BTreeMap<String, String>)> = OnceLock::new();
    ONCE.get_or_init(|| undisturbed(&KEEP))
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
    check(&scene.phoenix(&["apply"]), 4, &["nobody to ask"]);
    let started = fs::read(scene.node().join("run/1000")).unwrap();
    let ran = scene.phoenix(&KEEP);
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
        &["when scsi0 of VM 1000 has moved, local-zfs:vm-1000-disk-0 is erased"],
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
            "VM 1000 is protected: local-zfs:vm-1000-disk-0 must not be erased",
        ),
        ("locked", wished(), "lock: backup\n", &["plan"], "VM 1000 is locked (backup)"),
        (
            "a pending disk",
            wished(),
            "\n[PENDING]\nscsi0: local-zfs:vm-1000-disk-0,cache=none,size=8G\n",
            &["plan"],
            "another value of scsi0 waits for a restart of VM 1000",
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
    check(
        &scene.phoenix(&["plan"]),
        0,
        &["snapshots of VM 1000 do not move, they stay with local-zfs:vm-1000-disk-0: `before`"],
    );
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
    check(&scene.phoenix(&["plan"]), 0, &["storage `local` has 5 GiB free, the plan adds up to 9 GiB"]);
}

#[test]
fn a_disk_that_somebody_moves_is_left_alone() {
    let scene = made();
    let task = scene.node().join("tasks/active/UPID:pve:0000FFFF:00000001:60000000:qmmove:1000:root@pam:");
    fs::write(&task, "").unwrap();
    let held = fs::File::open(&task).unwrap();
    held.lock().unwrap();
    check(&scene.apply(), 1, &["a task is working on the disks of VM 1000 (qmmove)"]);
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

/// The node's operation behind an action.
fn fault(id: &str, how: &str) -> Value {
    let (op, program) = match id {
        "1000/move-disk" => ("move-disk", None),
        "1000/resize-disk" => ("resize", None),
        "1000/await-agent" => ("ping", None),
        "1000/await-cloud-init" => ("guest-start", Some("cloud-init")),
        "1000/grow-filesystem" => ("guest-start", Some("phoenix-grow")),
        // The context tells the size of the disk, too.
        "1000/stage-scripts" => ("replace-directory", None),
        // The mark that the guest has not followed, and its end, come first.
        "1000/record" => return json!([{ "op": "configure", "vm": 1000, "how": how, "skip": 3 }]),
        other => panic!("{other} is unknown"),
    };
    let mut entry = json!({ "op": op, "vm": 1000, "how": how });
    if let Some(program) = program {
        entry["program"] = program.into();
    }
    json!([entry])
}

/// One more apply ends in the world of an undisturbed one, and nothing is left to do; but for the copy that a killed move
/// leaves, which is named and stays.
#[track_caller]
fn check_healed(scene: &Scene, left: Option<&str>, case: &str) {
    let ran = scene.phoenix(&KEEP);
    assert_eq!(ran.code, Some(0), "{case}: {}{}", ran.out, ran.err);
    let mut world = scene.world();
    if let Some(left) = left {
        assert!(ran.out.contains(left), "{case}: it is not named\n{}", ran.out);
        let copy = world.remove("images/local/1000/vm-1000-disk-0.raw");
        assert_eq!(copy.as_deref(), Some("8589934592"), "{case}: it was erased");
        let moved = world.remove("images/local/1000/vm-1000-disk-1.raw").unwrap();
        world.insert("images/local/1000/vm-1000-disk-0.raw".to_owned(), moved);
        let conf = world.get_mut("qemu-server/1000.conf").unwrap();
        *conf = conf.replace("vm-1000-disk-1.raw", "vm-1000-disk-0.raw");
    }
    for (path, content) in &kept().1 {
        assert_eq!(world.get(path), Some(content), "{case}: {path} differs");
    }
    assert_eq!(world.len(), kept().1.len(), "{case}: {:?}", world.keys());
    assert_eq!(scene.plan_code(), Some(0), "{case}: the plan is not empty");
}

#[test]
fn each_step_fails_in_turn() {
    let actions = &kept().0;
    for (at, id) in actions.iter().enumerate() {
        let scene = made();
        scene.script_faults(&fault(id, "fail"));
        let ran = scene.phoenix(&KEEP);
        assert!(scene.all_faults_happened(), "{id}");
        assert_eq!(ran.code, Some(6), "{id}: {}{}", ran.out, ran.err);
        assert_eq!(ids(&ran.events, "action_failed"), [id.as_str()]);
        let skipped = ids(&ran.events, "action_skipped");
        assert!(actions[at + 1..].iter().all(|later| skipped.contains(later)), "{id}: {skipped:?}");
        check_healed(&scene, None, &format!("{id} failed"));
    }
}

#[test]
fn each_answer_is_lost_in_turn() {
    for id in &kept().0 {
        let scene = made();
        scene.script_faults(&fault(id, "lose"));
        let ran = scene.phoenix(&KEEP);
        assert!(scene.all_faults_happened(), "{id}");
        assert_eq!(ran.code, Some(0), "{id}: {}{}", ran.out, ran.err);
        check_healed(&scene, None, &format!("{id} lost its answer"));
    }
}

#[test]
fn killed_inside_each_step() {
    for id in &kept().0 {
        for how in ["die-before", "die-halfway", "die-after"] {
            let op = fault(id, how)[0]["op"].clone();
            if how == "die-halfway" && (op == "ping" || op == "guest-start") {
                continue;
            }
            let scene = made();
            scene.script_faults(&fault(id, how));
            let ran = scene.phoenix(&KEEP);
            assert!(scene.all_faults_happened(), "{id} {how}: did not happen");
            assert_eq!(ran.code, None, "{id} {how}: was not killed");
            let left = (id == "1000/move-disk" && how == "die-halfway").then_some("local:1000/vm-1000-disk-0.raw");
            check_healed(&scene, left, &format!("{id} {how}"));
        }
    }
}

/// On a node of Proxmox: what is lost or killed there is found out by looking. A move outlives phoenix and its connection.
#[track_caller]
fn check_at(place: Place) {
    if !place.is_possible() {
        return;
    }
    let cases = [
        ("move-disk", "fail"),
        ("move-disk", "lose"),
        ("move-disk", "die-before"),
        ("move-disk", "die-halfway"),
        ("move-disk", "die-after"),
        ("resize-disk", "lose"),
        ("resize-disk", "die-after"),
        ("grow-filesystem", "fail"),
        ("grow-filesystem", "die-after"),
    ];
    let left = Mutex::new(cases.iter());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((action, how)) = left.lock().unwrap().next() else { break };
                    let case = format!("{place:?}: {action} {how}");
                    let scene = place.scene(CONFIG);
                    prepare(&scene);
                    scene.script_faults(&fault(&format!("1000/{action}"), how));
                    let ran = scene.apply_as_victim();
                    assert!(scene.all_faults_happened(), "{case}: did not happen");
                    assert_eq!(ran.code.is_none(), how.starts_with("die"), "{case}: {}{}", ran.out, ran.err);
                    // A move goes on without phoenix, and is waited for.
                    until("the move ends", || !scene.phoenix(&["plan"]).err.contains("a task is working"));
                    scene.settle();
                    check_healed(&scene, None, &case);
                    let index = fs::read_to_string(scene.node().join("tasks/index")).unwrap();
                    let moves = index.lines().filter(|line| line.contains(":qmmove:") && line.ends_with(" OK")).count();
                    assert_eq!(moves, 1, "{case}: moved more than once\n{index}");
                }
            });
        }
    });
}

#[test]
fn moved_and_broken_here() {
    check_at(Place::Here);
}

#[test]
fn moved_and_broken_behind_ssh() {
    check_at(Place::Ssh);
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
