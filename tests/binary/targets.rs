//! The loops on nodes that are reached as Proxmox is: through its programs, here and behind ssh. What is broken heals
//! there as on the embedded node, and to the same world.

use std::sync::OnceLock;

use super::broken::is_one_of;
use super::loops;
use super::oracle::Oracle;
use super::places::{Place, Reached, two_at_a_time};
use super::world::{Ran, ids};
use serde_json::{Value, json};

/// A VM with everything.
pub(crate) const CONFIG: &str = r#"{
  "vm_defaults": { "boot_disk_size_gb": 8, "memory_mb": 1024 },
  "virtual_machines": [{
    "vm_id": 1000, "vm_name": "full", "description": "two\nlines", "tags": ["b", "a"],
    "network_config": { "ip": "192.0.2.50/24", "gw": "192.0.2.1", "nameserver": "192.0.2.53" },
    "user_config": {
      "username": "admin",
      "ssh_authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@desk"]
    },
    "features": ["base_setup"],
    "volumes": [{ "type": "nfs", "share": "local-nfs", "path": "/data", "mount_point": "/srv/data" }]
  }]
}"#;

/// What an undisturbed run of it does and leaves.
pub(crate) fn oracle() -> &'static Oracle {
    static ONCE: OnceLock<Oracle> = OnceLock::new();
    ONCE.get_or_init(|| Oracle::of(CONFIG))
}

/// One more apply heals everything, and no clone was carried out twice.
#[track_caller]
fn heal(scene: &Reached, case: &str) {
    oracle().check_healed(scene, case);
    assert_eq!(scene.clones(), 1, "{case}: a clone was repeated");
    assert!(scene.is_exported(), "{case}: the server does not know what it exports");
}

/// Does something for each case in a node of its own: of many cases every other one, on a node that is reached here the
/// one half, behind ssh the other (`is_one_of`).
fn each<T: Sync>(place: Place, config: &str, cases: &[T], check: impl Fn(&T, &Reached) + Sync) {
    if place.is_possible() {
        let is_sampled = |number: &usize| cases.len() < 3 || is_one_of(2, *number, place);
        let sampled: Vec<usize> = (0..cases.len()).filter(is_sampled).collect();
        two_at_a_time(&sampled, |&number| check(&cases[number], &place.scene(config)));
    }
}

#[track_caller]
fn check_twice(place: Place) {
    each(place, CONFIG, &[()], |(), scene| {
        let ran = scene.apply();
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        // The world is that of the embedded node.
        oracle().check_world(scene, "undisturbed");
        assert!(scene.was_reached(), "the node's own programs were called");
        scene.settle();
        let before = scene.bytes();
        let again = scene.apply();
        assert_eq!(again.code, Some(0));
        assert!(ids(&again.events, "action_started").is_empty(), "nothing may begin");
        assert!(scene.bytes() == before, "the second apply wrote something");
    });
}

#[track_caller]
fn check_failing(place: Place) {
    each(place, CONFIG, &oracle().actions, |id, scene| {
        scene.script_faults(&Oracle::fault(id, "fail"));
        let ran = scene.apply();
        assert!(scene.all_faults_happened(), "{id}: the failure did not happen");
        oracle().check_failed(&ran, id);
        heal(scene, &format!("{id} failed"));
    });
}

/// A run that lost an answer found out what happened, or says that it does not know.
#[track_caller]
pub(crate) fn check_honest(ran: &Ran, case: &str) {
    if ran.code == Some(0) {
        return;
    }
    assert_eq!(ran.code, Some(6), "{case}: {}{}", ran.out, ran.err);
    for failed in ran.events.iter().filter(|event| event["event"] == "action_failed") {
        let error = failed["error"].as_str().unwrap();
        let unsure = failed["may_have_happened"] == true || error.contains("connection");
        assert!(unsure, "{case}: {failed}");
    }
}

#[track_caller]
fn check_losing(place: Place) {
    each(place, CONFIG, &oracle().actions, |id, scene| {
        scene.script_faults(&Oracle::fault(id, "lose"));
        let ran = scene.apply();
        assert!(scene.all_faults_happened(), "{id}: the loss did not happen");
        check_honest(&ran, id);
        scene.settle();
        heal(scene, &format!("{id} lost its answer"));
    });
}

#[track_caller]
fn check_killed_in_each(place: Place) {
    each(place, CONFIG, &oracle().actions, |id, scene| {
        let mut running = scene.begin();
        assert!(running.reaches(id), "{id} did not begin");
        running.kill();
        heal_after_death(scene, id);
    });
}

/// Heals once nothing that the killed run began goes on any more. A clone does for long, and is waited for.
#[track_caller]
fn heal_after_death(scene: &Reached, case: &str) {
    scene.await_clone();
    scene.settle();
    heal(scene, case);
}

#[track_caller]
fn check_killed_inside(place: Place) {
    let mut cases = Vec::new();
    for id in &oracle().actions {
        let op = Oracle::fault(id, "")[0]["op"].clone();
        for how in ["die-before", "die-early", "die-halfway", "die-after"] {
            let possible = match how {
                "die-early" => op == "clone",
                // Asking the guest has no middle.
                "die-halfway" => op != "ping" && op != "guest-start",
                _ => true,
            };
            // What a program does after phoenix died does not depend on how it was reached; a clone runs detached.
            if possible && (place == Place::Here || op == "clone" || how == "die-after") {
                cases.push((id, how));
            }
        }
    }
    each(place, CONFIG, &cases, |(id, how), scene| {
        scene.script_faults(&Oracle::fault(id, how));
        let ran = scene.apply_as_victim();
        assert!(scene.all_faults_happened(), "{id} {how}: did not happen");
        assert_eq!(ran.code, None, "{id} {how}: was not killed");
        heal_after_death(scene, &format!("{id} {how}"));
    });
}

#[track_caller]
fn check_clone_killed(place: Place) {
    each(place, CONFIG, &["die-early", "die-halfway"], |how, scene| {
        scene.script_faults(&Oracle::fault("1000/clone", how));
        let ran = scene.apply();
        assert!(scene.all_faults_happened(), "{how}: did not happen");
        oracle().check_failed(&ran, "1000/clone");
        let failed: &Value = ran.events.iter().find(|event| event["event"] == "action_failed").unwrap();
        let error = failed["error"].as_str().unwrap();
        assert!(error.contains("a half-made VM is there and no clone is running"), "{how}: {error}");
        let plan = scene.phoenix(&["plan"]);
        assert!(plan.err.contains(": left over by an interrupted run"), "{how}: {}", plan.err);
        assert!(plan.out.contains("remove-leftover → clone"), "{how}: {}", plan.out);
        heal(scene, how);
    });
}

#[track_caller]
fn check_removal_killed(place: Place) {
    let mut cases = Vec::new();
    let left: &[&str] = if place == Place::Here { &["die-early", "die-halfway"] } else { &["die-halfway"] };
    for left in left {
        for op in ["unlock", "unprotect", "remove-leftover"] {
            // A placeholder has no protection to be taken away.
            if (*left, op) != ("die-early", "unprotect") {
                cases.extend(["fail", "lose", "die-before", "die-after"].map(|how| (*left, op, how)));
            }
        }
    }
    each(place, CONFIG, &cases, |(left, op, how), scene| {
        let case = format!("{left}, then {op} {how}");
        scene.script_faults(&Oracle::fault("1000/clone", left));
        assert_eq!(scene.apply().code, Some(6), "{case}");
        scene.script_faults(&json!([{ "op": op, "how": how }]));
        let ran = scene.apply_as_victim();
        assert!(scene.all_faults_happened(), "{case}: did not happen");
        match *how {
            "fail" => assert_eq!(ran.code, Some(6), "{case}: {}{}", ran.out, ran.err),
            "lose" => check_honest(&ran, &case),
            _ => assert_eq!(ran.code, None, "{case}: was not killed"),
        }
        heal_after_death(scene, &case);
    });
}

/// Two VMs, one of them with nothing but the defaults.
#[test]
fn undisturbed_worlds_are_the_same_on_all_targets() {
    for place in [Place::Here, Place::Ssh] {
        each(place, loops::CONFIG, &[()], |(), scene| {
            let ran = scene.apply();
            assert_eq!(ran.code, Some(0), "{place:?}: {}{}", ran.out, ran.err);
            assert!(scene.world() == loops::oracle().world, "{place:?}");
            loops::oracle().check_world(scene, &format!("{place:?}"));
        });
    }
}

/// Whoever applies at once after a death meets what the dead run began and what still goes on: that run ends, for
/// better or for worse, nothing is done twice, and the next one heals.
#[test]
fn applied_at_once_after_a_death() {
    each(Place::Here, CONFIG, &oracle().actions, |id, scene| {
        scene.script_faults(&Oracle::fault(id, "die-before"));
        let mut dying = scene.begin();
        std::fs::write(scene.node().join("victim"), dying.pid().to_string()).unwrap();
        assert!(dying.reaches(id), "{id} did not begin");
        // Long enough for what it begins now to be still going on for the next run.
        scene.set_latency(300);
        while dying.reaches("its end") {}
        scene.set_latency(0);
        let ran = scene.apply();
        // Done, refused, stale, or some actions failed because the dead run's were faster.
        assert!(matches!(ran.code, Some(0 | 1 | 5 | 6)), "{id}: {}{}", ran.out, ran.err);
        dying.kill();
        heal_after_death(scene, &format!("{id}, at once"));
    });
}

#[test]
fn a_vm_that_somebody_else_starts_meanwhile_runs_all_the_same() {
    each(Place::Here, CONFIG, &[()], |(), scene| {
        scene.start_twice();
        let ran = scene.apply();
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        oracle().check_world(scene, "started by somebody else");
    });
}

/// All VMs share one connection: a broken one takes the answers of the others along.
#[test]
fn a_lost_answer_of_one_vm_behind_ssh_stops_no_other() {
    let actions = ["clone", "configure", "start", "await-cloud-init", "export-share", "stage-scripts"];
    each(Place::Ssh, loops::CONFIG, &actions, |action, scene| {
        scene.script_faults(&Oracle::fault(&format!("1000/{action}"), "lose"));
        let ran = scene.apply();
        assert!(scene.all_faults_happened(), "{action}: the loss did not happen");
        check_honest(&ran, action);
        scene.settle();
        loops::oracle().check_healed(scene, &format!("{action} lost its answer"));
        assert_eq!(scene.clones(), 2, "{action}: a clone was repeated");
    });
}

macro_rules! loops {
    ($place:ident: $($name:ident => $check:ident,)*) => {
        $(#[test]
        fn $name() {
            $check(Place::$place);
        })*
    };
}

loops! { Here:
    applied_twice_here => check_twice,
    each_action_fails_in_turn_here => check_failing,
    each_answer_is_lost_in_turn_here => check_losing,
    killed_as_soon_as_each_action_has_begun_here => check_killed_in_each,
    killed_inside_each_operation_here => check_killed_inside,
    a_clone_is_killed_here => check_clone_killed,
    removing_a_leftover_is_disturbed_here => check_removal_killed,
}

loops! { Ssh:
    applied_twice_behind_ssh => check_twice,
    each_action_fails_in_turn_behind_ssh => check_failing,
    each_answer_is_lost_in_turn_behind_ssh => check_losing,
    killed_as_soon_as_each_action_has_begun_behind_ssh => check_killed_in_each,
    killed_inside_each_operation_behind_ssh => check_killed_inside,
    a_clone_is_killed_behind_ssh => check_clone_killed,
    removing_a_leftover_is_disturbed_behind_ssh => check_removal_killed,
}
