//! `phoenix doctor`: what is missing before the first plan, and that looking changes nothing.

use std::fs;

use serde_json::Value;

use super::doubles::Doubles;
use super::executable::executable;
use super::places::Place;
use super::world::Scene;

const WELL: &str = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "features": ["base_setup"] }] }"#;

/// Nothing of it is as it has to be.
const LACKING: &str = r#"{
  "hypervisor": { "nfs_shares": { "media": { "server": "192.0.2.1", "export": "/srv/media", "host_path": "/srv/media" } } },
  "virtual_machines": [
    { "vm_id": 1000, "vm_name": "web", "template_name": "nope", "network_bridge": "vmbr9", "boot_disk_storage": "slow",
      "features": ["base_setup"] },
    { "vm_id": 1001, "vm_name": "db", "network_bridge": "vmbr9", "features": ["base_setup"] },
    { "vm_id": 1002, "vm_name": "image", "cloud_image": { "source": "/no/such/image.qcow2" } },
    { "vm_id": 1003, "vm_name": "volume", "cloud_image": { "source": "local:import/debian.qcow2" } }
  ] }"#;

/// The checks as JSON, valid by their schema, of a world that looking left alone.
#[track_caller]
fn doctor(scene: &Scene, arguments: &[&str]) -> (Option<i32>, Value) {
    let before = scene.world();
    let ran = scene.phoenix(&[&["doctor", "--format", "json"], arguments].concat());
    assert!(scene.world() == before, "looking changed something");
    let document: Value =
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err));
    let schema: Value = serde_json::from_str(include_str!("../../schema/doctor.schema.json")).unwrap();
    jsonschema::draft7::validate(&schema, &document).unwrap_or_else(|error| panic!("{error}"));
    (ran.code, document)
}

/// The checks with this code, as `state message → hint`.
fn of(document: &Value, code: &str) -> Vec<String> {
    let checks = document["checks"].as_array().unwrap().iter().filter(|check| check["code"] == code);
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    checks
        .map(|check| format!("{} {} → {}", text(check, "state"), text(check, "message"), text(check, "hint")))
        .collect()
}

#[track_caller]
fn says(document: &Value, code: &str, expected: &str) {
    let found = of(document, code);
    assert!(found.iter().any(|found| found.contains(expected)), "{code}: {found:?}\n{document:#}");
}

/// A node of Proxmox over the embedded one of a scene, where programs run as this user.
fn proxmox(config: &str, user: &str) -> (Scene, Doubles) {
    let mut scene = Scene::with_node(config);
    let doubles = Doubles::new(&scene.node());
    executable(&doubles.bin().join("id"), &format!("#!/bin/sh\necho {user}\n"));
    let node = scene.node().canonicalize().unwrap();
    scene.set_environment(vec![
        ("PATH", doubles.search_path()),
        ("PHOENIX_NODE_ROOT", node.to_str().unwrap().to_owned()),
        ("PHOENIX_TARGET", "qm:".to_owned()),
    ]);
    (scene, doubles)
}

#[test]
fn a_node_that_has_all_is_well() {
    let scene = Scene::with_node(WELL);
    let (code, document) = doctor(&scene, &[]);
    assert_eq!((code, &document["well"]), (Some(0), &Value::Bool(true)), "{document:#}");
    let (scene, _doubles) = proxmox(WELL, "0");
    let (code, document) = doctor(&scene, &[]);
    assert_eq!(code, Some(0), "{document:#}");
    let ok = document["checks"].as_array().unwrap().iter().filter(|check| check["state"] == "ok");
    let ok: Vec<&str> = ok.filter_map(|check| check["message"].as_str()).collect();
    for message in ["Proxmox VE 9.2.11", "programs run as root", "the node can export directories to its VMs"] {
        assert!(ok.contains(&message), "{message}: {ok:?}");
    }
}

#[test]
fn what_a_config_needs_and_the_node_has_not_is_told() {
    let scene = Scene::with_node(LACKING);
    let (code, document) = doctor(&scene, &[]);
    assert_eq!((code, &document["well"]), (Some(1), &Value::Bool(false)));
    says(&document, "T001", "error there is no template `nope` → ");
    says(&document, "T003", "there is no storage `slow`");
    says(&document, "T005", "there is no bridge `vmbr9`");
    says(&document, "T139", "there is no file /no/such/image.qcow2 on the node → put it there");
    let shown = scene.phoenix(&["doctor"]);
    assert!(
        shown.out.contains("\nStorages\n") && shown.out.contains("  ✗ VM 1000 `web`: there is no storage"),
        "{}",
        shown.out
    );
    assert!(shown.out.lines().all(|line| line.chars().count() <= 80), "{}", shown.out);
}

#[test]
fn what_a_proxmox_node_has_not_is_told_with_what_corrects_it() {
    let (scene, doubles) = proxmox(LACKING, "1000");
    executable(&doubles.bin().join("pveversion"), "#!/bin/sh\necho 'pve-manager/8.4.1/abc (running kernel: x)'\n");
    executable(&doubles.bin().join("date"), "#!/bin/sh\necho 17\n");
    fs::remove_file(doubles.bin().join("exportfs")).unwrap();
    let (code, document) = doctor(&scene, &[]);
    assert_eq!(code, Some(1));
    says(&document, "T131", "warning Proxmox VE 8.4.1: ");
    says(&document, "T132", "error programs run as user 1000 on the node, not as root → run phoenix as root");
    says(&document, "T134", "behind that of this machine");
    says(&document, "T138", "error storage `local` does not hold `import`");
    says(&document, "T138", "→ `pvesm set local --content ");
    // Without its server, and with one that does not run.
    let (scene, _doubles) = proxmox(WELL, "0");
    fs::write(scene.node().join("root/proc/fs/nfsd/threads"), "0\n").unwrap();
    let (code, document) = doctor(&scene, &[]);
    assert_eq!(code, Some(1));
    says(
        &document,
        "T136",
        "error the node's NFS server is installed and does not run → `systemctl enable --now nfs-server`",
    );
}

#[test]
fn a_program_that_is_missing_is_told_although_nothing_can_be_observed_without_it() {
    let (mut scene, doubles) = proxmox(WELL, "0");
    fs::remove_file(doubles.bin().join("pvesh")).unwrap();
    for program in ["sh", "env", "printf", "date", "cat", "timeout", "bash", "grep"] {
        let at = std::env::split_paths("/usr/bin:/bin").map(|dir| dir.join(program)).find(|file| file.is_file());
        let link = doubles.bin().join(program);
        if let Some(at) = at.filter(|_| !link.exists()) {
            std::os::unix::fs::symlink(at, link).unwrap();
        }
    }
    let node = scene.node().canonicalize().unwrap();
    scene.set_environment(vec![
        ("PATH", doubles.bin().to_str().unwrap().to_owned()),
        ("PHOENIX_NODE_ROOT", node.to_str().unwrap().to_owned()),
        ("PHOENIX_TARGET", "qm:".to_owned()),
    ]);
    let (code, document) = doctor(&scene, &[]);
    assert_eq!(code, Some(1));
    says(
        &document,
        "T133",
        "there is no program `pvesh` in the PATH of phoenix's scripts → `apt-get install pve-manager` on the node brings it",
    );
    says(&document, "T133", "there is no program `tar`");
    says(&document, "T130", "error it cannot be looked at: ");
}

#[test]
fn over_ssh_each_command_says_how_it_gets_to_the_node() {
    if !Place::Ssh.is_possible() {
        return;
    }
    let scene = Place::Ssh.scene(LACKING);
    fs::write(scene.node().join("root/proc/fs/nfsd/threads"), "0\n").unwrap();
    let (code, document) = doctor(&scene, &[]);
    let by = document["commands_by"].as_str().unwrap();
    assert!(code == Some(1) && by.starts_with("ssh -p ") && by.ends_with(" 127.0.0.1"), "{document:#}");
    says(&document, "T136", &format!("→ `{by} systemctl enable --now nfs-server` starts it"));
    says(&document, "T138", &format!("→ `{by} pvesm set local --content "));
    says(&document, "T139", "copy it there (`scp -P ");
    let shown = scene.phoenix(&["doctor"]).out.split_whitespace().collect::<Vec<_>>().join(" ");
    let last = format!("Commands of the node that stand without it run there: `{by} COMMAND`");
    assert!(shown.contains(&last), "{shown}");
}

#[test]
fn nodes_that_are_offline_or_in_maintenance_are_told() {
    let scene = Scene::with_node(WELL);
    for (name, online) in [("pve2", "true"), ("pve3", "false"), ("pve4", "true")] {
        let added = scene.phoenix(&["node", "add", name]);
        assert_eq!(added.code, Some(0), "{}{}", added.out, added.err);
        let path = scene.node().join("node.json");
        let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        settings["nodes"][name]["online"] = Value::Bool(online == "true");
        fs::write(&path, settings.to_string()).unwrap();
    }
    fs::create_dir_all(scene.node().join("ha")).unwrap();
    fs::write(scene.node().join("ha/manager_status"), r#"{"node_status":{"pve":"maintenance","pve2":"maintenance"}}"#)
        .unwrap();
    for config in [true, false] {
        if !config {
            fs::remove_file(scene.path("phoenix_vm_configs.json")).unwrap();
        }
        let (code, document) = doctor(&scene, &[]);
        assert_eq!(code, Some(0), "{document:#}");
        says(
            &document,
            "T135",
            "warning node `pve3` is not online: no VM is made there or moved there → bring it up; ",
        );
        let says_of = |node: &str| format!("warning node `{node}` is in maintenance: no new VM is placed there");
        says(&document, "T147", &says_of("pve"));
        says(&document, "T147", &says_of("pve2"));
        says(
            &document,
            "T147",
            "`ha-manager crm-command node-maintenance disable pve2` on the node ends the maintenance",
        );
        assert_eq!(of(&document, "T140").len(), usize::from(config), "{document:#}");
    }
}

#[test]
fn without_a_config_the_target_alone_is_checked() {
    let scene = Scene::with_node(WELL);
    fs::remove_file(scene.path("phoenix_vm_configs.json")).unwrap();
    let (code, document) = doctor(&scene, &[]);
    assert_eq!((code, &document["config"]), (Some(0), &Value::Null));
    assert!(scene.phoenix(&["doctor"]).out.contains("Config  none: the target alone is checked\n"));
    let (code, document) = doctor(&scene, &["-c", "other.json"]);
    assert_eq!(code, Some(3));
    says(&document, "P004", "other.json is not valid: 1 error");
    let (code, document) = doctor(&scene, &["--target", "embedded:none"]);
    assert_eq!(code, Some(1));
    says(&document, "T130", "there is no embedded node at none → `phoenix node init --target embedded:none` makes one");
}

#[test]
fn secrets_and_scripts_of_the_config_are_checked() {
    let vm = r#"{ "vm_id": 1000, "vm_name": "web", "features": ["mine"],
      "user_config": { "username": "admin", "password": { "env": "PHOENIX_SECRET_NOT_SET" } } }"#;
    let scene = Scene::with_node(WELL);
    scene.declare(&format!(r#"{{ "virtual_machines": [{vm}] }}"#));
    fs::create_dir_all(scene.path("features")).unwrap();
    fs::write(scene.path("features/mine.sh"), "#!/bin/bash\nif true; then\n").unwrap();
    let (code, document) = doctor(&scene, &[]);
    assert_eq!(code, Some(1));
    says(&document, "P095", "error features/mine.sh: bash cannot read the script");
    let secret =
        document["checks"].as_array().unwrap().iter().any(|check| check.to_string().contains("PHOENIX_SECRET_NOT_SET"));
    assert!(secret, "{document:#}");
}
