//! A guest whose address changes keeps its volumes: they are exported to the address that it has, and mounted in it,
//! whichever way it came to another one; on each kind of target alike.

use std::fs;

use super::broken::{Way, inside, step};
use super::places::{Place, Reached, two_at_a_time};
use super::world::{Scene, check, ids};
use serde_json::{Value, json};

/// A VM with a volume of the node, and one that lies elsewhere.
const CONFIG: &str = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web",
  "volumes": [
    { "type": "nfs", "share": "local-nfs", "path": "/data", "mount_point": "/srv/data" },
    { "type": "nfs", "server": "192.0.2.99", "path": "/export", "mount_point": "/srv/far" }
  ] }] }"#;

/// The usual address of the VM in the simulated network, and another one.
const USUAL: &str = "198.18.3.232";
const OTHER: &str = "198.18.7.7";

/// A VM that is off, and whose network gives it another address when it is started by its name.
pub(crate) const STARTED: Way = Way {
    begin: || {
        let scene = Scene::with_node(
            r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web",
            "volumes": [{ "type": "nfs", "share": "local-nfs", "path": "/data", "mount_point": "/srv/data" }] }] }"#,
        );
        check(&scene.apply(), 0, &[]);
        check(&scene.phoenix(&["stop", "1000", "--auto-approve"]), 0, &[]);
        lease(&scene, OTHER);
        scene
    },
    words: &["start", "1000", "--json"],
    steps: &[
        step("1000/start", "start"),
        step("1000/await-agent", "ping").without_middle(),
        step("1000/export-share", "configure"),
        step("1000/export-share", "write-exports"),
        inside("1000/mount", "phoenix-mount"),
        step("1000/record", "configure").after(1),
    ],
    ..Way::PLAIN
};

const EACH: [Place; 3] = [Place::Embedded, Place::Here, Place::Ssh];

/// The VM, made and running.
fn made(place: Place) -> Reached {
    let scene = place.scene(CONFIG);
    check(&scene.apply(), 0, &[]);
    assert_eq!((exported(&scene), missing(&scene)), (USUAL.to_owned(), String::new()));
    scene
}

/// To which address the volume is exported.
#[track_caller]
fn exported(scene: &Reached) -> String {
    let text = fs::read_to_string(scene.node().join("root/etc/exports.d/phoenix-1000.exports")).unwrap();
    let lines: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(lines.len(), 1, "{text}");
    lines[0].split([' ', '(']).nth(1).unwrap().to_owned()
}

/// What the guest has in its fstab and not mounted.
fn missing(scene: &Reached) -> String {
    fs::read_to_string(scene.node().join("guests/1000/not-mounted")).unwrap_or_default()
}

/// From now on the network gives the guest this address.
fn lease(scene: &Scene, address: &str) {
    let path = scene.node().join("node.json");
    let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    settings["leases"] = json!({ "1000": address });
    fs::write(path, settings.to_string()).unwrap();
}

/// The guest has its volumes under this address, and nothing is left to do.
#[track_caller]
fn check_mounted(scene: &Reached, address: &str, case: &str) {
    assert_eq!(missing(scene), "", "{case}: it is not mounted");
    assert_eq!(exported(scene), address, "{case}");
    assert!(scene.is_exported(), "{case}: the server was not told");
    let plan = scene.phoenix(&["plan", "--detailed-exitcode", "--verify-guest"]);
    check(&plan, 0, &["1 unchanged"]);
    assert!(!plan.err.contains("T063"), "{case}: {}", plan.err);
}

/// What it is called, what happens, what phoenix is asked for, and the address that the guest has then.
type Readdressed = (&'static str, fn(&Reached), &'static [&'static str], &'static str);

/// Each way in which a guest boots with another address.
fn ways() -> Vec<Readdressed> {
    const FIXED: &str = "192.0.2.60";
    let fixed = |scene: &Reached| {
        scene.edit(r#""vm_name": "web","#, r#""vm_name": "web", "network_config": { "ip": "192.0.2.60/24" },"#);
    };
    let stopped = |scene: &Reached| {
        check(&scene.phoenix(&["stop", "1000", "--auto-approve"]), 0, &[]);
        lease(scene, OTHER);
    };
    let leased = |scene: &Reached| lease(scene, OTHER);
    // A run that fails keeps its snapshot.
    let netted = |scene: &Reached| {
        let more = r#""vm_name": "web", "memory_mb": 3072,"#;
        scene.edit(r#""vm_name": "web","#, more);
        scene.script_faults(&json!([{ "op": "start", "vm": 1000, "how": "fail" }]));
        let ran = scene.phoenix(&["apply", "--restart", "--snapshot", "--auto-approve"]);
        check(&ran, 6, &["snapshot"]);
        scene.edit(more, r#""vm_name": "web","#);
        check(&scene.phoenix(&["start", "1000"]), 0, &[]);
        lease(scene, OTHER);
    };
    vec![
        ("a fixed address", fixed, &["apply", "--restart", "--auto-approve", "--json"], FIXED),
        ("stopped and applied", stopped, &["apply", "--auto-approve", "--json"], OTHER),
        ("stopped and started", stopped, &["start", "1000", "--json"], OTHER),
        ("stopped, asked for a restart", stopped, &["restart", "1000", "--auto-approve", "--json"], OTHER),
        ("restarted", leased, &["restart", "1000", "--auto-approve", "--json"], OTHER),
        ("taken back", netted, &["rollback", "1000", "--yes-rollback", "web", "--json"], OTHER),
        ("a new lease", leased, &["apply", "--auto-approve", "--json"], OTHER),
        ("a new lease, asked for a start", leased, &["start", "1000", "--json"], OTHER),
    ]
}

fn each(check: impl Fn(Place) + Sync) {
    let possible: Vec<Place> = EACH.into_iter().filter(|place| place.is_possible()).collect();
    two_at_a_time(&possible, |place| check(*place));
}

#[test]
fn whichever_way_the_address_changes_the_volumes_stay() {
    each(|place| {
        for (case, change, words, address) in ways() {
            let case = format!("{place:?}: {case}");
            let scene = made(place);
            change(&scene);
            let ran = scene.phoenix(words);
            assert_eq!(ran.code, Some(0), "{case}: {}{}", ran.out, ran.err);
            let order: Vec<String> = ids(&ran.events, "action_started")
                .into_iter()
                .filter(|id| ["export-share", "mount:/srv/data"].iter().any(|end| id.ends_with(end)))
                .collect();
            assert_eq!(order, ["1000/export-share", "1000/mount:/srv/data"], "{case}: {}", ran.out);
            check_mounted(&scene, address, &case);
        }
    });
}

#[test]
fn who_dies_on_the_way_leaves_a_word_of_it() {
    for (op, program, how) in [
        ("write-exports", None, "die-before"),
        ("write-exports", None, "die-after"),
        ("guest-start", Some("phoenix-mount"), "die-before"),
        ("guest-start", Some("phoenix-mount"), "fail"),
    ] {
        for (case, change, words, address) in ways() {
            let case = format!("{case}: {how} in {op}");
            let scene = made(Place::Embedded);
            change(&scene);
            let mut fault = json!({ "op": op, "vm": 1000, "how": how });
            if let Some(program) = program {
                fault["program"] = program.into();
            }
            scene.script_faults(&json!([fault]));
            let ran = scene.phoenix(words);
            assert!(ran.code != Some(0) && scene.all_faults_happened(), "{case}: {}{}", ran.out, ran.err);
            check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 2, &["mount"]);
            let again = scene.phoenix(if words[0] == "restart" { &["start", "1000"] } else { words });
            assert_eq!(again.code, Some(0), "{case}: {}{}", again.out, again.err);
            check_mounted(&scene, address, &case);
        }
    }
}

#[test]
fn a_plan_and_the_status_know_of_an_address_that_is_not_exported_to() {
    let says = "the export names 198.18.3.232, the guest has 198.18.7.7";
    each(|place| {
        let scene = made(place);
        lease(&scene, OTHER);
        let plan = scene.phoenix(&["plan", "--detailed-exitcode"]);
        check(&plan, 2, &["warning[T063]", says, "export-share", "mount /srv/data", "1 to update"]);
        assert!(!plan.out.contains("mount /srv/far"), "{}", plan.out);
        check(&scene.phoenix(&["status"]), 0, &[says, "next apply"]);
        let status = scene.phoenix(&["status", "--json"]);
        check(&status, 0, &["T063", says]);
        if place == Place::Embedded {
            check(&scene.phoenix(&["observe", "--out", "seen.json"]), 0, &[]);
            let recorded = scene.phoenix(&["plan", "--against", "seen.json"]);
            check(&recorded, 0, &["warning[T063]", says, "1 to update"]);
        }
        // Whoever looks changes nothing.
        assert_eq!(exported(&scene), USUAL);
        check(&scene.apply(), 0, &[]);
        check_mounted(&scene, OTHER, "a new lease");
    });
}

#[test]
fn a_guest_that_does_not_answer_is_no_error() {
    each(|place| {
        let scene = made(place);
        lease(&scene, OTHER);
        scene.script_faults(&json!([{ "op": "guest-addresses", "vm": 1000, "how": "fail" }]));
        check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &["1 unchanged"]);
        assert!(scene.all_faults_happened());
    });
}

#[test]
fn what_is_not_as_it_was_applied_is_left_to_apply() {
    let scene = made(Place::Embedded);
    scene.edit(r#""path": "/data""#, r#""path": "/data2""#);
    let left = "the volumes are not checked or mounted: the file says something else than was applied";
    check(&scene.phoenix(&["restart", "1000", "--auto-approve"]), 0, &[left]);
    assert!(!scene.node().join("root/mnt/pve/local-nfs/data2").exists(), "a start gives nothing");
    scene.declare(r#"{ "hypervisor": { "project": "default" }, "virtual_machines": [] }"#);
    let left = "the volumes are not checked or mounted: the file does not declare it";
    check(&scene.phoenix(&["restart", "1000", "--auto-approve"]), 0, &[left]);
    // Whoever can write the notes of a VM makes nobody mount or export anything.
    scene.declare(CONFIG);
    scene.meddle(1000, |conf| conf.replace("/srv/data", "/etc"));
    check(&scene.phoenix(&["restart", "1000", "--auto-approve"]), 0, &["says something else than was applied"]);
    let fstab = fs::read_to_string(scene.node().join("guests/1000/fstab")).unwrap();
    assert!(!fstab.contains("/etc"), "{fstab}");
}
