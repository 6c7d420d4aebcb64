//! A net under changes: a snapshot before a VM is disturbed, gone when it is ready again, kept when something fails;
//! and the way back.

use std::collections::BTreeMap;
use std::fs;

use super::broken::{Way, step};
use super::world::{Scene, check, ids};
use serde_json::{Value, json};

const CONFIG: &str = r#"{
  "vm_defaults": { "boot_disk_size_gb": 8, "memory_mb": 1024 },
  "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "features": ["base_setup"] }]
}"#;

const APPLY: [&str; 5] = ["apply", "--auto-approve", "--json", "--snapshot", "--restart"];

/// One operation on the VM that goes wrong.
fn fault(op: &str, how: &str) -> Value {
    json!([{ "op": op, "vm": 1000, "how": how }])
}

/// A VM that is made and runs, and a config that wishes it larger and otherwise.
fn prepare(scene: &Scene) {
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let wished =
        CONFIG.replace(r#""vm_name": "web""#, r#""vm_name": "web", "memory_mb": 2048, "boot_disk_size_gb": 9"#);
    scene.declare(&wished);
}

fn made() -> Scene {
    let scene = Scene::with_node(CONFIG);
    prepare(&scene);
    scene
}

/// The names of the VM's snapshots.
fn snapshots(scene: &Scene) -> Vec<String> {
    let conf = scene.conf(1000);
    conf.lines()
        .filter_map(|line| Some(line.strip_prefix('[')?.strip_suffix(']')?.to_owned()))
        .filter(|name| name != "PENDING")
        .collect()
}

/// What an undisturbed run does, and the world it leaves.
fn undisturbed() -> (Vec<String>, BTreeMap<String, String>) {
    let scene = made();
    let ran = scene.phoenix(&APPLY);
    check(&ran, 0, &[]);
    (ids(&ran.events, "action_started"), scene.world())
}

#[test]
fn a_net_is_spanned_only_where_it_is_asked_for_and_needed() {
    let scene = made();
    assert!(!scene.phoenix(&["plan"]).out.contains("snapshot"));
    check(&scene.phoenix(&["plan", "--snapshot"]), 0, &["snapshot phoenix_", "→ remove-snapshot phoenix_"]);
    // Commands to do it by hand.
    check(
        &scene.phoenix(&["plan", "--snapshot", "--commands"]),
        0,
        &["qm snapshot 1000 phoenix_", "qm delsnapshot 1000 phoenix_"],
    );
    let (actions, _) = undisturbed();
    assert!(actions[0].starts_with("1000/snapshot:phoenix_"), "{actions:?}");
    assert!(actions.last().unwrap().starts_with("1000/remove-snapshot:phoenix_"), "{actions:?}");
    let ran = scene.phoenix(&APPLY);
    check(&ran, 0, &[]);
    assert_eq!(snapshots(&scene), Vec::<String>::new());
    assert!(!scene.conf(1000).contains("parent:") && !scene.node().join("snapshots/1000").exists());
    // Nothing to do, no snapshot; and a change that disturbs nobody needs none.
    let before = scene.bytes();
    check(&scene.phoenix(&APPLY), 0, &[]);
    assert!(scene.bytes() == before, "the second apply wrote something");
    let config = scene.config();
    scene.declare(&config.replace(r#""vm_name""#, r#""tags": ["x"], "vm_name""#));
    assert!(!scene.phoenix(&["plan", "--snapshot"]).out.contains("phoenix_7"));
    let ran = scene.phoenix(&APPLY);
    assert!(!ran.out.contains("snapshot"), "{}", ran.out);
}

#[test]
fn what_forbids_a_snapshot_is_told_before() {
    let scene = made();
    let raw = scene.conf(1000).replace("scsi0: local-zfs:vm-1000-disk-0", "scsi0: local:1000/vm-1000-disk-0.raw");
    scene.set_conf(1000, &raw);
    let config = scene.config();
    let here = config.replace(r#""vm_name""#, r#""boot_disk_storage": "local", "vm_name""#);
    scene.declare(&here);
    let before = scene.bytes();
    check(
        &scene.phoenix(&APPLY),
        1,
        &["no snapshot can be taken: scsi0 (local:1000/vm-1000-disk-0.raw) is not a qcow2 file"],
    );
    scene.declare(&config);
    check(&scene.phoenix(&APPLY), 1, &["a disk moves, and a snapshot would stay where it was"]);
    assert!(scene.bytes() == before, "something was written");
}

#[test]
fn a_further_disk_that_is_a_device_of_the_node_forbids_a_snapshot() {
    let scene = made();
    let conf = scene.conf(1000);
    scene.set_conf(
        1000,
        &conf.replace(
            "\nscsi0:",
            "\nsata0: local:iso/x.iso,media=cdrom\nsata1: /dev/disk/by-id/wwn-7:1,size=1T\nscsi0:",
        ),
    );
    let before = scene.bytes();
    let says = "no snapshot can be taken: sata1 is the device `/dev/disk/by-id/wwn-7:1` of the node";
    check(&scene.phoenix(&["plan", "--snapshot"]), 1, &[says]);
    check(&scene.phoenix(&APPLY), 1, &[says]);
    assert!(scene.bytes() == before, "something was written");
}

/// What a worker that was killed leaves: its lock, and a snapshot that is none.
#[test]
fn a_snapshot_task_that_was_killed_is_told_with_what_helps() {
    let scene = made();
    let conf = scene.conf(1000);
    let half = "\n[phoenix_0123456789abcdef]\ncores: 2\nsnapstate: prepare\nsnaptime: 7\n";
    for (lock, hint) in [
        ("snapshot", "`qm unlock 1000`, then `qm delsnapshot 1000 phoenix_0123456789abcdef --force`"),
        ("snapshot-delete", "`qm unlock 1000`, then `qm delsnapshot 1000 phoenix_0123456789abcdef --force`"),
        ("rollback", "`qm unlock 1000`, then go back again (`phoenix rollback 1000`"),
        ("backup", "wait until the backup has ended; if its task was killed, `qm unlock 1000`"),
        ("suspended", "`qm resume 1000` wakes it; then plan again"),
        ("migrate", "wait until the migration has ended"),
    ] {
        let locked = conf.replace("\nmemory:", &format!("\nlock: {lock}\nmemory:"));
        scene.set_conf(1000, &format!("{locked}{half}"));
        check(&scene.phoenix(&["plan"]), 1, &[&format!(": locked ({lock})"), hint]);
    }
    // Unlocked, the snapshot is still no way back.
    scene.set_conf(1000, &format!("{conf}{half}"));
    let says = "snapshot `phoenix_0123456789abcdef` is half made or half removed";
    check(&scene.phoenix(&["plan"]), 0, &[says, "`qm delsnapshot 1000 phoenix_0123456789abcdef --force`"]);
    check(&scene.phoenix(&["status"]), 0, &[says]);
    let before = scene.bytes();
    check(&scene.phoenix(&["rollback", "1000", "--yes-rollback", "web"]), 1, &["half removed, and of no use"]);
    assert!(scene.bytes() == before, "something was written");
}

#[test]
fn a_run_that_fails_keeps_its_snapshot_and_the_way_back_works() {
    let scene = made();
    fs::write(scene.node().join("guests/1000/letter"), "dear all").unwrap();
    scene.script_faults(&fault("start", "fail"));
    let ran = scene.phoenix(&APPLY);
    assert_eq!(ran.code, Some(6), "{}{}", ran.out, ran.err);
    let kept = snapshots(&scene);
    assert_eq!(kept.len(), 1);
    assert!(ran.out.contains(&format!("remove-snapshot:{}", kept[0])), "it is named: {}", ran.out);
    fs::write(scene.node().join("guests/1000/letter"), "spoilt").unwrap();
    check(&scene.phoenix(&["plan"]), 0, &[&format!("snapshot `{}` is left of a run that did not", kept[0])]);
    // Nobody goes back by accident.
    let before = scene.bytes();
    for (words, code, says) in [
        (&["rollback", "1000"][..], 4, "give `--yes-rollback web`"),
        (&["rollback", "1000", "--yes-rollback", "other"], 4, "the plan also rolls back 1000 `web`; nothing was done"),
        (&["rollback", "1000", "--to", "nosuch", "--yes-rollback", "web"], 1, "there is no snapshot `nosuch`"),
        (&["rollback", "9000", "--yes-rollback", "x"], 1, "which phoenix did not make"),
        (&["rollback", "4000", "--yes-rollback", "x"], 1, "VM 4000: there is no such VM"),
    ] {
        check(&scene.phoenix(words), code, &[says]);
    }
    assert!(scene.bytes() == before, "something was written");
    check(&scene.phoenix(&["start", "1000"]), 0, &[]);
    let ran = scene.phoenix(&["rollback", "1000", "--yes-rollback", "web"]);
    check(&ran, 0, &["everything written to its disks since snapshot", "rollback"]);
    assert_eq!(fs::read_to_string(scene.node().join("guests/1000/letter")).unwrap(), "dear all");
    let main = scene.conf(1000);
    let main = main.split("\n[").next().unwrap();
    assert!(main.contains("memory: 1024\n") && main.contains("size=8G\n"), "{main}");
    assert!(scene.runs(1000), "it runs again");
    assert_eq!(snapshots(&scene), kept, "the snapshot stays");
    // The record came back, too: the file's wishes are differences again, and applied once more.
    check(&scene.phoenix(&["plan"]), 0, &["memory_mb 1024 → 2048", "boot_disk_size_gb 8 → 9"]);
    check(&scene.phoenix(&["apply", "--auto-approve", "--restart"]), 0, &[]);
    assert_eq!(scene.plan_code(), Some(0));
}

/// Killed before it is back, what the VM has and had is phoenix's own doing: nobody is accused.
#[test]
fn going_back_that_is_killed_accuses_nobody() {
    let scene = made();
    scene.script_faults(&fault("start", "fail"));
    assert_eq!(scene.phoenix(&APPLY).code, Some(6));
    check(&scene.phoenix(&["apply", "--auto-approve", "--restart"]), 0, &[]);
    let applied = |scene: &Scene| scene.conf(1000).contains(r#""memory_mb"%3A"1024""#);
    for how in ["die-before", "die-after"] {
        scene.script_faults(&fault("rollback", how));
        assert_eq!(scene.phoenix(&["rollback", "1000", "--yes-rollback", "web"]).code, None);
        let config = scene.config();
        scene.declare(&config.replace(r#""memory_mb": 2048"#, r#""memory_mb": 3072"#));
        let plan: Value = serde_json::from_str(&scene.phoenix(&["plan", "--format", "json"]).out).unwrap();
        let change = &plan["vms"][0]["changes"][0];
        assert_eq!((&change["key"], change.get("changed_by")), (&json!("memory_mb"), None), "{how}");
        scene.declare(&config);
    }
    // Whoever comes to the end knows again what was applied then.
    check(&scene.phoenix(&["rollback", "1000", "--yes-rollback", "web"]), 0, &[]);
    assert!(applied(&scene), "{}", scene.conf(1000));
    let plan: Value = serde_json::from_str(&scene.phoenix(&["plan", "--format", "json"]).out).unwrap();
    assert_eq!(plan["vms"][0]["changes"][0]["changed_by"], "file");
}

#[test]
fn who_is_locked_does_not_go_back() {
    let scene = made();
    scene.script_faults(&fault("start", "fail"));
    assert_eq!(scene.phoenix(&APPLY).code, Some(6));
    scene.set_conf(1000, &format!("lock: backup\n{}", scene.conf(1000)));
    check(&scene.phoenix(&["rollback", "1000", "--yes-rollback", "web"]), 1, &[": locked (backup)"]);
}

/// The world but for snapshots: those of runs that did not come to their end stay, and every plan tells of them.
fn without_snapshots(scene: &Scene) -> BTreeMap<String, String> {
    let told = scene.phoenix(&["plan"]).err;
    for name in snapshots(scene) {
        assert!(told.contains(&name), "{name} is not told: {told}");
    }
    let mut world = scene.world();
    world.retain(|path, _| !path.starts_with("snapshots/"));
    let conf = world.get_mut("qemu-server/1000.conf").unwrap();
    let main = conf.split("\n\n[").next().unwrap().trim_end();
    *conf = main.lines().filter(|line| !line.starts_with("parent:")).collect::<Vec<_>>().join("\n");
    world
}

/// A change with a net.
pub(crate) const NETTED: Way = Way {
    begin: made,
    words: &APPLY,
    world: without_snapshots,
    steps: &[step("1000/snapshot", "snapshot"), step("1000/remove-snapshot", "remove-snapshot")],
    ..Way::PLAIN
};

/// The way back to the snapshot of a run that failed.
pub(crate) const GONE_BACK: Way = Way {
    begin: || {
        let scene = made();
        scene.script_faults(&fault("start", "fail"));
        assert_eq!(scene.phoenix(&APPLY).code, Some(6));
        scene
    },
    words: &["rollback", "1000", "--yes-rollback", "web", "--json"],
    plan: &[],
    again: true,
    steps: &[step("1000/rollback", "configure"), step("1000/rollback", "rollback")],
    ..Way::PLAIN
};
