//! User data and vendor data, from the first apply to the last, on every back end.

use std::fs;

use super::broken::{Way, step};
use super::places::Place;
use super::world::{PLAN, Scene, check, ids};
use serde_json::{Value, json};

const FIRST: &str = "#cloud-config\nhostname: ${vm_name}\npackages: [nginx]\n";
const SECOND: &str = "#cloud-config\nhostname: ${vm_name}\npackages: [nginx, curl]\n";

fn config(more: &Value) -> String {
    let mut vm = json!({ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 8 });
    vm.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "virtual_machines": [vm] }).to_string()
}

/// phoenix's snippets on the node: what each holds, by its part.
fn snippets(scene: &Scene) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(scene.path(".phoenix/node/root/var/lib/vz/snippets")).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let part = name.strip_prefix("phoenix-default-1000-").and_then(|rest| rest.split('-').next());
        found.push((part.unwrap_or(&name).to_owned(), fs::read_to_string(&path).unwrap()));
    }
    found.sort_unstable();
    found
}

fn of(parts: &[(&str, &str)]) -> Vec<(String, String)> {
    parts.iter().map(|(part, text)| ((*part).to_owned(), text.replace("${vm_name}", "web"))).collect()
}

/// What the VM names, without the digests.
fn named(scene: &Scene) -> Option<String> {
    let conf = scene.conf(1000);
    let custom = conf.lines().find_map(|line| line.strip_prefix("cicustom: "))?;
    let part = |part: &str| part.rsplit_once('-').map_or(part.to_owned(), |(name, _)| name.to_owned());
    Some(custom.split(',').map(part).collect::<Vec<_>>().join(","))
}

#[track_caller]
fn is_done(scene: &Scene, case: &str) {
    let plan = scene.phoenix(&PLAN);
    assert_eq!(plan.code, Some(0), "{case}: {}{}", plan.out, plan.err);
}

fn everywhere(check: impl Fn(&Scene, &str)) {
    for place in [Place::Embedded, Place::Here, Place::Ssh].into_iter().filter(|place| place.is_possible()) {
        check(&place.scene("{}"), &format!("{place:?}"));
    }
}

const USER: &str = "user=local:snippets/phoenix-default-1000-user";

#[test]
fn data_comes_changes_and_goes() {
    everywhere(|scene, case| {
        fs::create_dir(scene.path("cloud")).unwrap();
        fs::write(scene.path("cloud/web.yaml"), FIRST).unwrap();
        let of_file = config(&json!({ "user_data": { "file": "cloud/web.yaml" } }));
        scene.declare(&of_file);
        check(&scene.apply(), 0, &[r#""results":{"planned":1,"created":1,"#]);
        assert_eq!((named(scene).as_deref(), snippets(scene)), (Some(USER), of(&[("user", FIRST)])), "{case}");
        assert!(scene.conf(1000).contains("ide2: local-zfs:vm-1000-cloudinit"), "{case}: {}", scene.conf(1000));
        is_done(scene, case);

        // Another text in the file, and vendor data: the running guest reads both when it boots next.
        fs::write(scene.path("cloud/web.yaml"), SECOND).unwrap();
        let vendor = "#cloud-config\npackages: [qemu-guest-agent]\n";
        let both = json!({ "user_data": { "file": "cloud/web.yaml" }, "vendor_data": { "text": vendor } });
        scene.declare(&config(&both));
        let plan = scene.phoenix(&["plan"]);
        check(&plan, 0, &["-packages: [nginx]", "+packages: [nginx, curl]", "+packages: [qemu-guest-agent]"]);
        check(&plan, 0, &["a new instance", "1 waits for a restart"]);
        let ran = scene.apply();
        check(&ran, 0, &[r#""waits_for_restart":1"#, "reads the new cloud-init values when it boots next"]);
        let started = ids(&ran.events, "action_started");
        let at =
            |id: &str| started.iter().position(|started| started.starts_with(id)).unwrap_or_else(|| panic!("{id}"));
        assert!(at("1000/write-snippet:user") < at("1000/configure"), "{case}: {started:?}");
        assert!(at("1000/update-cloud-init") < at("1000/remove-snippet:local:user-"), "{case}: {started:?}");
        let now = of(&[("user", SECOND), ("vendor", vendor)]);
        let both_named = format!("{USER},vendor=local:snippets/phoenix-default-1000-vendor");
        assert_eq!((named(scene), snippets(scene)), (Some(both_named), now.clone()), "{case}");
        check(&scene.phoenix(&["apply", "--restart", "--auto-approve"]), 0, &["1 VM: 1 updated."]);
        is_done(scene, case);

        // What an administrator writes into the file on the node, or takes away, comes back.
        let dir = scene.path(".phoenix/node/root/var/lib/vz/snippets");
        let file = |part: &str| {
            let entries = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
            let mut entries = entries.filter(|path| path.to_string_lossy().contains(&format!("-{part}-")));
            entries.next().unwrap()
        };
        fs::write(file("user"), "#cloud-config\npackages: [apache2]\n").unwrap();
        fs::remove_file(file("vendor")).unwrap();
        check(
            &scene.phoenix(&["plan"]),
            0,
            &["! user_data", "! vendor_data", "-packages: [apache2]", "changed outside"],
        );
        check(&scene.phoenix(&["apply", "--restart", "--auto-approve"]), 0, &["1 VM: 1 updated."]);
        assert_eq!(snippets(scene), now, "{case}");
        is_done(scene, case);

        // What is taken out goes, and what an administrator named beside it stays.
        scene.meddle(1000, |conf| conf.replace("cicustom: ", "cicustom: meta=local:snippets/theirs.yaml,"));
        fs::write(dir.join("theirs.yaml"), "instance-id: mine\n").unwrap();
        scene.declare(&config(&json!({ "user_config": { "username": "admin" } })));
        check(&scene.phoenix(&["apply", "--restart", "--auto-approve"]), 0, &["1 VM: 1 updated."]);
        assert_eq!(named(scene).as_deref(), Some("meta=local:snippets/theirs.yaml"), "{case}");
        assert_eq!(snippets(scene), [("theirs.yaml".to_owned(), "instance-id: mine\n".to_owned())], "{case}");
        is_done(scene, case);
    });
}

/// A VM is imported with its text, and its snippets go with it.
#[test]
fn data_is_imported_and_goes_with_its_vm() {
    everywhere(|scene, case| {
        let text = "#!/bin/sh\necho $${HOME} ${vm_id}\n";
        let data = json!({ "user_data": { "text": text } });
        scene.declare(&config(&data));
        check(&scene.apply(), 0, &[]);
        scene.declare(r#"{ "virtual_machines": [] }"#);
        check(&scene.phoenix(&["import", "1000"]), 0, &["1 VM written"]);
        let imported: Value = serde_json::from_str(&scene.config()).unwrap();
        let filled = text.replace("${vm_id}", "1000");
        assert_eq!(imported["virtual_machines"][0]["user_data"], json!({ "text": filled }), "{case}");
        is_done(scene, case);
        scene.declare(r#"{ "virtual_machines": [] }"#);
        let gone = scene.phoenix(&["destroy", "1000", "--yes-destroy", "web"]);
        check(&gone, 0, &[]);
        assert!(!scene.has(1000) && snippets(scene).is_empty(), "{case}: {:?}", snippets(scene));
        // One that is destroyed outside phoenix leaves its own; so does a write that is killed.
        let dir = scene.path(".phoenix/node/root/var/lib/vz/snippets");
        fs::write(dir.join("phoenix-default-1000-user-0a.yaml"), FIRST).unwrap();
        fs::write(dir.join(".phoenix-default-1000-vendor-0b.0c.yaml.new"), "#cloud").unwrap();
        fs::write(dir.join("phoenix-other-1000-user-0a.yaml"), FIRST).unwrap();
        let left = ["T107", "1000-user-0a.yaml", "1000-vendor-0b.0c.yaml", "`phoenix destroy 1000` removes it"];
        check(&scene.phoenix(&["plan"]), 0, &left);
        check(&scene.phoenix(&["destroy", "1000"]), 0, &["remove-snippet"]);
        assert_eq!(snippets(scene), [("phoenix-other-1000-user-0a.yaml".to_owned(), FIRST.to_owned())], "{case}");
        is_done(scene, case);
    });
}

/// A clone of a template that has user data has none of its own, and the template keeps it.
#[test]
fn a_clone_does_not_have_the_data_of_its_template() {
    let config = json!({ "virtual_machines": [
        { "vm_id": 1000, "vm_name": "base", "boot_disk_size_gb": 8, "is_template": true, "user_data": { "text": FIRST } },
        { "vm_id": 1001, "vm_name": "web", "boot_disk_size_gb": 8, "template_name": "base" }
    ] });
    let scene = Scene::with_node(&config.to_string());
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert_eq!(named(&scene).as_deref(), Some(USER), "{}", scene.conf(1000));
    assert!(!scene.conf(1001).contains("cicustom"), "{}", scene.conf(1001));
    assert_eq!(snippets(&scene).len(), 1);
    is_done(&scene, "template");
}

/// What a snapshot may name stays until the snapshot is gone.
#[test]
fn a_snapshot_keeps_the_snippets_of_its_time() {
    let data = |text: &str| config(&json!({ "user_data": { "text": text } }));
    let scene = Scene::with_node(&data(FIRST));
    check(&scene.apply(), 0, &[]);
    let before = "[before]\nname: web\nsnaptime: 1700000000\n";
    scene.meddle(1000, |conf| format!("{conf}\n{before}"));
    scene.declare(&data(SECOND));
    check(&scene.phoenix(&["apply", "--restart", "--auto-approve"]), 0, &[]);
    assert_eq!(snippets(&scene).len(), 2);
    is_done(&scene, "with a snapshot");
    scene.meddle(1000, |conf| conf.replace(before, ""));
    check(&scene.phoenix(&["plan"]), 0, &["remove-snippet local:user-"]);
    check(&scene.apply(), 0, &[]);
    assert_eq!(snippets(&scene), of(&[("user", SECOND)]));
    is_done(&scene, "without it");
}

/// A file that is not below the config's directory is not read.
#[test]
fn a_file_elsewhere_is_not_read() {
    let scene = Scene::new(&config(&json!({ "user_data": { "file": "cloud/web.yaml" } })));
    fs::create_dir(scene.path("real")).unwrap();
    fs::write(scene.path("real/web.yaml"), FIRST).unwrap();
    let validate = || scene.phoenix(&["validate"]);
    let refused = |says: &[&str]| check(&validate(), 3, says);
    refused(&["P080", "is not there"]);
    std::os::unix::fs::symlink("real", scene.path("cloud")).unwrap();
    refused(&["P080", "is reached through a link, `cloud`"]);
    fs::remove_file(scene.path("cloud")).unwrap();
    fs::create_dir(scene.path("cloud")).unwrap();
    std::os::unix::fs::symlink("../real/web.yaml", scene.path("cloud/web.yaml")).unwrap();
    refused(&["P080", "is reached through a link, `cloud/web.yaml`"]);
    fs::remove_file(scene.path("cloud/web.yaml")).unwrap();
    fs::create_dir(scene.path("cloud/web.yaml")).unwrap();
    refused(&["P080", "is not a regular file"]);
    fs::remove_dir(scene.path("cloud/web.yaml")).unwrap();
    fs::write(scene.path("cloud/web.yaml"), "#".repeat((64 << 10) + 1)).unwrap();
    refused(&["P080", "is larger than 64 KiB"]);
    scene.edit("cloud/web.yaml", "../web.yaml");
    refused(&["P080", "outside the directory of the config"]);
    scene.edit("../web.yaml", "/etc/hostname");
    refused(&["P080", "outside the directory of the config"]);
    fs::write(scene.path("cloud/web.yaml"), FIRST).unwrap();
    scene.edit("/etc/hostname", "./cloud/web.yaml");
    check(&validate(), 0, &[]);
}

/// A running VM gets other user data.
pub(crate) const GIVEN: Way = Way {
    begin: || {
        let scene = Scene::with_node(&config(&json!({ "user_data": { "text": FIRST } })));
        check(&scene.apply(), 0, &[]);
        scene.declare(&config(&json!({ "user_data": { "text": SECOND } })));
        scene
    },
    steps: &[
        step("1000/write-snippet", "write-snippet"),
        step("1000/configure", "configure"),
        step("1000/update-cloud-init", "update-cloud-init"),
        step("1000/remove-snippet", "remove-snippet"),
    ],
    ..Way::PLAIN
};

/// A VM goes, and its snippet with it.
pub(crate) const RETIRED: Way = Way {
    begin: || {
        let scene = Scene::with_node(&config(&json!({ "user_data": { "text": FIRST } })));
        check(&scene.apply(), 0, &[]);
        scene
    },
    words: &["destroy", "1000", "--yes-destroy", "web", "--json"],
    plan: &[],
    steps: &[step("1000/remove-snippet", "remove-snippet"), step("1000/destroy", "destroy")],
    ..Way::PLAIN
};
