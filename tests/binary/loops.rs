//! Break every step: each action fails in turn, loses its answer in turn, and is killed in turn; and everything is
//! applied twice. After each, one more apply ends in the same world as an undisturbed run, and the plan is empty.

use std::sync::OnceLock;

use super::oracle::Oracle;
use super::world::{Scene, ids};
use serde_json::Value;

/// A VM with everything, and one with nothing but the defaults.
pub(crate) const CONFIG: &str = r#"{
  "vm_defaults": { "boot_disk_size_gb": 8, "memory_mb": 1024 },
  "virtual_machines": [
    {
      "vm_id": 1000, "vm_name": "full", "description": "two\nlines", "tags": ["b", "a"],
      "network_config": { "ip": "192.0.2.50/24", "gw": "192.0.2.1", "nameserver": "192.0.2.53" },
      "user_config": {
        "username": "admin",
        "ssh_authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@desk"]
      },
      "features": ["base_setup", "install_docker"],
      "volumes": [{ "type": "nfs", "share": "local-nfs", "path": "/data", "mount_point": "/srv/data" }]
    },
    { "vm_id": 1001, "vm_name": "plain" }
  ]
}"#;

fn scene() -> Scene {
    Scene::with_node(CONFIG)
}

/// The two VMs, made.
pub(crate) fn made() -> Scene {
    let scene = scene();
    assert_eq!(scene.apply().code, Some(0));
    scene
}

/// What an undisturbed run of it does and leaves.
pub(crate) fn oracle() -> &'static Oracle {
    static ONCE: OnceLock<Oracle> = OnceLock::new();
    ONCE.get_or_init(|| Oracle::of(CONFIG))
}

#[test]
fn applied_twice() {
    let scene = made();
    let before = scene.bytes();
    let again = scene.apply();
    assert_eq!(again.code, Some(0));
    assert!(ids(&again.events, "action_started").is_empty(), "nothing may begin");
    let ended: Vec<&Value> = again.events.iter().filter(|event| event["event"] == "action_ended").collect();
    assert_eq!(ended.len(), oracle().actions.len());
    assert!(ended.iter().all(|event| event["outcome"] == "no-op"));
    assert!(scene.bytes() == before, "the second apply wrote something");
}

#[test]
fn each_action_fails_in_turn() {
    for id in &oracle().actions {
        let scene = scene();
        scene.script_faults(&Oracle::fault(id, "fail"));
        let ran = scene.apply();
        assert!(scene.all_faults_happened(), "{id}: the failure did not happen");
        oracle().check_failed(&ran, id);
        oracle().check_healed(&scene, &format!("{id} failed"));
    }
}

#[test]
fn each_answer_is_lost_in_turn() {
    for id in &oracle().actions {
        let scene = scene();
        scene.script_faults(&Oracle::fault(id, "lose"));
        let ran = scene.apply();
        assert!(scene.all_faults_happened(), "{id}: the loss did not happen");
        // What happened is found out by looking: the run does not even fail.
        assert_eq!(ran.code, Some(0), "{id}: {}{}", ran.out, ran.err);
        let clones = scene.bytes().into_iter().filter(|(path, _)| path.ends_with("tasks/index"));
        let index: Vec<u8> = clones.flat_map(|(_, content)| content).collect();
        let clones = String::from_utf8(index).unwrap().matches(":qmclone:").count();
        assert_eq!(clones, 2, "{id}: a clone was repeated");
        oracle().check_healed(&scene, &format!("{id} lost its answer"));
    }
}

#[test]
fn killed_as_soon_as_each_action_has_begun() {
    for id in &oracle().actions {
        let scene = scene();
        scene.set_latency(15);
        let mut running = scene.begin();
        assert!(running.reaches(id), "{id} did not begin");
        running.kill();
        scene.set_latency(0);
        oracle().check_healed(&scene, &format!("killed in {id}"));
    }
}

#[test]
fn killed_inside_each_operation() {
    for id in &oracle().actions {
        for how in ["die-before", "die-halfway", "die-after"] {
            // Asking the guest has no middle.
            let op = Oracle::fault(id, how)[0]["op"].clone();
            if how == "die-halfway" && (op == "ping" || op == "guest-start") {
                continue;
            }
            let scene = scene();
            scene.script_faults(&Oracle::fault(id, how));
            let ran = scene.apply();
            assert!(scene.all_faults_happened(), "{id} {how}: did not happen");
            assert_eq!(ran.code, None, "{id} {how}: was not killed");
            oracle().check_healed(&scene, &format!("{id} {how}"));
        }
    }
}

#[test]
fn killed_again_while_healing() {
    let story = [
        ("1000/clone", "die-halfway"),
        ("1000/clone", "die-early"),
        ("1000/configure", "die-after"),
        ("1000/feature:base_setup", "die-after"),
        ("1000/record", "die-before"),
    ];
    let scene = scene();
    for (id, how) in story {
        let mut fault = Oracle::fault(id, how);
        // Earlier runs have done the earlier writes.
        fault[0]["skip"] = 0.into();
        scene.script_faults(&fault);
        let ran = scene.apply();
        assert_eq!((ran.code, scene.all_faults_happened()), (None, true), "{id} {how}: {}{}", ran.out, ran.err);
    }
    oracle().check_healed(&scene, "killed five times");
}

#[test]
fn what_a_killed_clone_leaves_is_announced() {
    for how in ["die-early", "die-halfway"] {
        let scene = scene();
        scene.script_faults(&Oracle::fault("1000/clone", how));
        assert_eq!(scene.apply().code, None);
        let plan = scene.phoenix(&["plan"]);
        assert_eq!(plan.code, Some(0));
        assert!(plan.err.contains("left over by an interrupted run"), "{how}: {}", plan.err);
        assert!(plan.out.contains("remove-leftover → clone"), "{how}: {}", plan.out);
    }
}

/// A run that was killed between the two steps of a removal has taken the lock away: what lies there is a leftover
/// still.
#[test]
fn what_has_lost_its_lock_is_removed_too() {
    for how in ["die-early", "die-halfway"] {
        let scene = scene();
        scene.script_faults(&Oracle::fault("1000/clone", how));
        assert_eq!(scene.apply().code, None);
        let path = scene.node().join("qemu-server/1000.conf");
        let conf = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, conf.replace("lock: clone\n", "")).unwrap();
        let plan = scene.phoenix(&["plan"]);
        assert!(plan.out.contains("remove-leftover → clone"), "{how}: {}{}", plan.out, plan.err);
        oracle().check_healed(&scene, how);
    }
}

/// A second person applies while the first one's run is in this action: both come to an end, nothing is done twice.
#[track_caller]
fn check_joined_in(id: &str) {
    let scene = scene();
    scene.set_latency(5);
    let mut first = scene.begin();
    assert!(first.reaches(id), "{id} did not begin");
    let second = scene.apply();
    while first.reaches("nothing") {}
    first.kill();
    // Done, refused, stale, or some actions failed because the other was faster.
    assert!(matches!(second.code, Some(0 | 1 | 5 | 6)), "{id}: {}{}", second.out, second.err);
    scene.set_latency(0);
    oracle().check_healed(&scene, &format!("joined in {id}"));
    let index = std::fs::read_to_string(scene.node().join("tasks/index")).unwrap();
    for task in [":qmclone:", ":qmstart:"] {
        let done = index.lines().filter(|line| line.contains(task) && line.ends_with(" OK")).count();
        assert_eq!(done, 2, "{id}: one {task} for each VM\n{index}");
    }
}

#[test]
fn two_people_apply_at_once() {
    for id in &oracle().actions {
        check_joined_in(id);
    }
}

#[test]
fn a_clone_that_may_be_of_another_process_is_left_alone() {
    let told = "creating a clone of VM 9000 with ID 1000\n";
    // What is only a placeholder has no record yet: it may be anybody's.
    let cases = [
        ("its log names the VM", told, "a clone into this VMID is running"),
        ("an empty log", "", "whose target is not known"),
    ];
    for (case, log, says) in cases {
        let scene = scene();
        scene.script_faults(&Oracle::fault("1000/clone", "die-early"));
        assert_eq!(scene.apply().code, None);
        // A task lives as long as somebody holds its file.
        let task = scene.node().join("tasks/active/UPID:pve:0000FFFF:00000001:60000000:qmclone:9000:root@pam:");
        std::fs::write(&task, log).unwrap();
        let held = std::fs::File::open(&task).unwrap();
        held.lock().unwrap();
        let conf = scene.node().join("qemu-server/1000.conf");
        let before = std::fs::read(&conf).unwrap();
        let plan = scene.phoenix(&["plan"]);
        assert!(plan.err.contains(says) && !plan.err.contains("VM 1000 was left over"), "{case}: {}", plan.err);
        assert_eq!(scene.apply().code, Some(1), "{case}");
        assert!(std::fs::read(&conf).unwrap() == before, "{case}: somebody else's clone was touched");
        drop(held);
        oracle().check_healed(&scene, case);
    }
}

#[test]
fn a_volume_that_comes_from_elsewhere_is_mounted_anew() {
    let scene = made();
    let moved = CONFIG.replace("\"/data\"", "\"/other\"");
    scene.declare(&moved);
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert_eq!(scene.plan_code(), Some(0));
    let fstab = std::fs::read_to_string(scene.node().join("guests/1000/fstab")).unwrap();
    assert_eq!(fstab.lines().filter(|line| line.contains("\t/srv/data\t")).count(), 1, "{fstab}");
    assert!(fstab.contains("/srv/nfs/other\t/srv/data\t"), "{fstab}");
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let vm = "name: theirs\nmemory: 512\nscsi0: local-zfs:vm-1001-disk-0,size=3G\nboot: order=scsi0\n";
    let cases = [
        ("a foreign VM", vm.to_owned(), "the VMID is taken by the VM `theirs`"),
        ("a foreign VM that is locked", format!("lock: backup\n{vm}"), "the VMID is taken"),
        ("a foreign half-made clone", format!("lock: clone\n{vm}"), "the VMID is taken"),
    ];
    for (case, conf, says) in cases {
        let scene = scene();
        let path = scene.node().join("qemu-server/1001.conf");
        std::fs::write(&path, &conf).unwrap();
        let ran = scene.apply();
        assert_eq!(ran.code, Some(1), "{case}");
        assert!(ran.err.contains(says), "{case}: {}", ran.err);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), conf, "{case}");
        assert!(!scene.has(1000), "{case}: nothing at all is done");
        assert_eq!(scene.phoenix(&["apply", "--auto-approve", "--exclude", "1001"]).code, Some(0), "{case}");
    }
}

#[test]
fn a_vm_of_ours_that_is_locked_is_not_touched() {
    let scene = made();
    let path = scene.node().join("qemu-server/1001.conf");
    let conf = std::fs::read_to_string(&path).unwrap().replace("memory: 1024", "lock: backup\nmemory: 2048");
    std::fs::write(&path, &conf).unwrap();
    let ran = scene.apply();
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains(": locked (backup)"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), conf);
}

#[test]
fn volumes_that_are_there_already_are_not_written_over() {
    let scene = scene();
    let dir = scene.node().join("images/local-zfs/1001");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("vm-1001-disk-0"), "1073741824").unwrap();
    let ran = scene.apply();
    assert_eq!(ran.code, Some(1));
    assert!(ran.events.is_empty() && ran.err.contains("`pvesm free local-zfs:vm-1001-disk-0`"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(dir.join("vm-1001-disk-0")).unwrap(), "1073741824");
}
