//! What of a node VMs may have: refused before anything is done, unless the node's administrator allows it; on each
//! kind of target alike.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::places::{Place, Reached, two_at_a_time};
use super::world::check;
use serde_json::Value;

/// A VM with one volume of a share of the node itself.
fn config(export: &str, host_path: &str) -> String {
    format!(
        r#"{{ "hypervisor": {{ "nfs_shares": {{
    "data": {{ "server": "192.0.2.1", "export": "{export}", "host_path": "{host_path}" }} }} }},
  "virtual_machines": [{{ "vm_id": 1000, "vm_name": "web",
    "volumes": [{{ "type": "nfs", "share": "data", "path": "/", "mount_point": "/mnt/d" }}] }}] }}"#
    )
}

/// What is exported to the VM.
fn exported(scene: &Reached) -> Option<String> {
    let text = fs::read_to_string(scene.node().join("root/etc/exports.d/phoenix-1000.exports")).ok()?;
    Some(text.lines().skip(1).map(|line| line.split(' ').next().unwrap_or_default()).collect())
}

/// The administrator writes the file of what is allowed.
fn allow(scene: &Reached, text: &str) {
    let dir = scene.node().join("root/etc/phoenix");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("allow.json"), text).unwrap();
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.join("allow.json"), Permissions::from_mode(0o644)).unwrap();
}

/// Nothing was made, neither VM nor directory nor export.
#[track_caller]
fn nothing_done(scene: &Reached, case: &str) {
    assert!(!scene.has(1000), "{case}: the VM was made");
    assert_eq!(exported(scene), None, "{case}");
}

fn each(cases: impl Fn(Place)) {
    for place in [Place::Embedded, Place::Here, Place::Ssh] {
        if place.is_possible() {
            cases(place);
        }
    }
}

#[test]
fn what_the_node_needs_itself_is_refused_whoever_allows_it() {
    let cases = [
        ("/", "/srv/data", "/"),
        ("/etc", "/srv/data", "/etc"),
        ("/root/.ssh", "/root/.ssh", "/root/.ssh"),
        ("/var", "/srv/data", "/var"),
        ("/srv/link/pve", "/srv/data", "/etc/pve"),
        ("/mnt/pve/local-nfs/images", "/srv/data", "/mnt/pve/local-nfs/images"),
    ];
    each(|place| {
        two_at_a_time(&cases, |(export, host_path, real)| {
            let scene = place.scene(&config(export, host_path));
            fs::create_dir_all(scene.node().join("root/srv")).unwrap();
            symlink("/etc", scene.node().join("root/srv/link")).unwrap();
            allow(&scene, r#"{ "host_paths": ["/srv", "/mnt", "/quickOS"] }"#);
            for verb in [&["plan"][..], &["apply", "--auto-approve"], &["create", "1000"]] {
                let ran = scene.phoenix(verb);
                check(&ran, 1, &["error[T080]", &format!("the VM may not have `{real}`"), "nothing can allow that"]);
                nothing_done(&scene, real);
            }
        });
    });
}

#[test]
fn an_administrator_allows_a_directory_in_the_file_or_on_the_command_line() {
    each(|place| {
        let scene = place.scene(&config("/srv/data", "/srv/data"));
        let refused = ["the VM may not have `/srv/data`", r#"{"host_paths":["/srv/data"]} in /etc/phoenix/allow.json"#];
        check(&scene.phoenix(&["apply", "--auto-approve"]), 1, &refused);
        nothing_done(&scene, "not allowed");
        // Others could have written it.
        allow(&scene, r#"{ "host_paths": ["/srv"] }"#);
        let dir = scene.node().join("root/etc/phoenix");
        fs::set_permissions(dir.join("allow.json"), Permissions::from_mode(0o666)).unwrap();
        check(&scene.phoenix(&["apply", "--auto-approve"]), 1, &["warning[T081]", "its mode is 0666", refused[0]]);
        nothing_done(&scene, "not trusted");
        fs::set_permissions(dir.join("allow.json"), Permissions::from_mode(0o644)).unwrap();
        check(&scene.phoenix(&["plan"]), 0, &["the guest will be able to write all of /srv/data on the node"]);
        fs::remove_file(dir.join("allow.json")).unwrap();
        // Only for this run.
        check(&scene.phoenix(&["plan", "--allow-host-path", "/srv/dat"]), 1, &refused);
        check(&scene.phoenix(&["create", "1000", "--allow-host-path", "/srv/data/"]), 0, &["export-share"]);
        assert_eq!(exported(&scene).as_deref(), Some("/srv/data/"));
        check(&scene.phoenix(&["plan"]), 1, &refused);
        check(
            &scene.phoenix(&["plan", "--allow-host-path", "/tank", "--allow-host-path", "/srv"]),
            0,
            &["1 unchanged"],
        );
        for verb in ["status", "graph"] {
            let ran = scene.phoenix(&[verb, "--allow-host-path", "/srv"]);
            assert!(ran.code == Some(0) && !ran.err.contains("T080"), "{}{}", ran.out, ran.err);
        }
    });
}

#[test]
fn the_operating_system_cannot_be_named_on_the_command_line() {
    let scene = Place::Embedded.scene(&config("/srv/data", "/srv/data"));
    for path in ["/", "/etc", "/etc/x", "/root", "/home", "/usr/share", "/var", "/run/x", "/lib64", "//proc/", "/dev"] {
        check(&scene.phoenix(&["plan", "--allow-host-path", path]), 4, &["belongs to the operating system"]);
    }
    for path in ["srv", "", "/srv/../etc", "./srv"] {
        check(&scene.phoenix(&["plan", "--allow-host-path", path]), 4, &["not an absolute path of plain parts"]);
    }
}

#[test]
fn a_saved_plan_and_a_recording_carry_what_was_allowed() {
    let scene = Place::Embedded.scene(&config("/srv/data", "/srv/data"));
    let saved = scene.phoenix(&["plan", "--allow-host-path", "/srv/data", "--out", "plan.json"]);
    check(&saved, 0, &[]);
    let plan: Value = serde_json::from_str(&fs::read_to_string(scene.path("plan.json")).unwrap()).unwrap();
    assert_eq!(plan["request"]["allow_host_paths"], serde_json::json!(["/srv/data"]));
    // A saved plan that says more than could be typed says nothing.
    scene.declare(&config("/etc", "/srv/data"));
    let forged = scene.phoenix(&["plan", "--out", "forged.json"]);
    check(&forged, 1, &["`/etc`"]);
    let mut forged: Value = serde_json::from_str(&fs::read_to_string(scene.path("forged.json")).unwrap()).unwrap();
    forged["request"]["allow_host_paths"] = serde_json::json!(["/", "/etc", "/srv/../etc", "/srv/data"]);
    forged["problems"] = serde_json::json!([]);
    forged["summary"]["blocked"] = 0.into();
    fs::write(scene.path("forged.json"), forged.to_string()).unwrap();
    let ran = scene.phoenix(&["apply", "forged.json"]);
    assert!(ran.code != Some(0), "{}{}", ran.out, ran.err);
    nothing_done(&scene, "a forged plan");
    scene.declare(&config("/srv/data", "/srv/data"));
    check(&scene.phoenix(&["apply", "plan.json"]), 0, &[]);
    assert_eq!(exported(&scene).as_deref(), Some("/srv/data/"));
    // A recording has the node's own list, and where things lie.
    check(&scene.phoenix(&["observe", "--out", "before.json"]), 0, &[]);
    check(&scene.phoenix(&["plan", "--against", "before.json"]), 1, &["the VM may not have `/srv/data`"]);
    allow(&scene, r#"{ "host_paths": ["/srv"] }"#);
    check(&scene.phoenix(&["observe", "--out", "after.json"]), 0, &[]);
    check(&scene.phoenix(&["plan", "--against", "after.json"]), 0, &["1 unchanged"]);
    fs::remove_dir(scene.node().join("root/srv/data")).unwrap();
    symlink("/etc", scene.node().join("root/srv/data")).unwrap();
    check(&scene.phoenix(&["observe", "--out", "linked.json"]), 0, &[]);
    check(&scene.phoenix(&["plan", "--against", "linked.json"]), 1, &["`/etc`, which is behind `/srv/data/`,"]);
}
