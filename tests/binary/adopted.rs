//! A story: ten VMs that people made by hand, of different make and age (`fixtures/import/`), are imported, taken over,
//! and looked after; and what the file does not name never changes, to the byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::places::Place;
use super::world::{Scene, check, ids};
use serde_json::Value;

/// Options of Proxmox and the values they are to have; `None`: the option is gone.
type Options<'a> = &'a [(&'a str, Option<&'a str>)];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/import")
}

fn config() -> String {
    fs::read_to_string(fixtures().join("config.json")).unwrap()
}

/// Puts the VMs on the node, with files for those of their volumes that the node would look for.
fn settled(scene: &Scene) {
    for entry in fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".conf") else { continue };
        let id = name.strip_suffix(".running").unwrap_or(name);
        fs::copy(&path, scene.node().join(format!("qemu-server/{id}.conf"))).unwrap();
        if id != name {
            fs::write(scene.node().join("run").join(id), "0").unwrap();
        }
        let images = scene.node().join("images/local-zfs").join(id);
        fs::create_dir_all(&images).unwrap();
        for line in fs::read_to_string(&path).unwrap().lines().take_while(|line| !line.starts_with('[')) {
            let Some((_, volume)) = line.split_once(": local-zfs:") else { continue };
            let name = volume.split(',').next().unwrap().rsplit('/').next().unwrap();
            fs::write(images.join(name), "1073741824").unwrap();
        }
    }
}

fn confs(scene: &Scene) -> BTreeMap<String, String> {
    let entries = fs::read_dir(scene.node().join("qemu-server")).unwrap();
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    entries.map(|entry| entry.unwrap().path()).map(|path| (stem(&path), read(&path))).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// A configuration without the record in its notes.
fn unclaimed(conf: &str) -> String {
    conf.split_inclusive('\n').filter(|line| !line.starts_with("#<!-- phoenix ")).collect()
}

/// A configuration without these options, wherever they stand.
fn without(conf: &str, keys: &[&str]) -> String {
    let named = |line: &&str| keys.iter().any(|key| line.starts_with(&format!("{key}: ")));
    conf.split_inclusive('\n').filter(|line| !named(line)).collect()
}

/// Each configuration is as before, but for the options named and the record.
#[track_caller]
fn check_confs(scene: &Scene, before: &BTreeMap<String, String>, changed: &[(&str, Options<'_>)]) {
    let now = confs(scene);
    assert!(now.keys().eq(before.keys()), "{:?} {:?}", now.keys(), before.keys());
    for (vm, conf) in before {
        let options = changed.iter().find(|(changed, _)| changed == vm).map_or(&[][..], |(_, options)| options);
        let keys: Vec<&str> = options.iter().map(|(key, _)| *key).collect();
        let rest = |conf: &str| without(&unclaimed(conf), &keys);
        assert_eq!(rest(&now[vm]), rest(conf), "VM {vm}");
        for (key, value) in options {
            let found = now[vm].lines().find_map(|line| line.strip_prefix(&format!("{key}: ")));
            assert_eq!(found, *value, "VM {vm}: {key}");
        }
    }
}

/// The actions that a plan would carry out.
fn acting(scene: &Scene) -> Vec<String> {
    let ran = scene.phoenix(&["plan", "--format", "json"]);
    let plan: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.err));
    let actions = plan["vms"].as_array().unwrap().iter().flat_map(|vm| vm["actions"].as_array().unwrap());
    let acting = actions.filter(|action| action["outcome"] != "no-op");
    acting.map(|action| action["id"].as_str().unwrap().to_owned()).collect()
}

/// The ten VMs in the config, each like those that were there, and nothing else.
fn imported(scene: &Scene) {
    let before = scene.world();
    let ran = scene.phoenix(&["import", "--all"]);
    check(
        &ran,
        0,
        &["10 VMs written", "1 VM left out", "VM 9000 `ubuntu-22.04-cloud-template-v3`: the VM is a template"],
    );
    assert!(scene.world() == before, "import changed something on the target");
    let text = scene.config();
    snapbox::assert_data_eq!(text, snapbox::Data::read_from(&fixtures().join("imported.json"), None).raw());
    let notices =
        ran.err.lines().filter(|line| line.starts_with("notice")).fold(String::new(), |all, line| all + line + "\n");
    snapbox::assert_data_eq!(notices, snapbox::Data::read_from(&fixtures().join("notices.txt"), None).raw());
    check(&scene.phoenix(&["import", "--all"]), 0, &["10 VMs declared already", "Nothing to write"]);
}

fn check_story(scene: &Scene) {
    settled(scene);
    let by_hand = confs(scene);
    imported(scene);
    assert!(confs(scene) == by_hand);

    // Nothing is planned but taking them over; the one without a guest agent is not given one.
    let all = ["101", "102", "103", "104", "105", "106", "107", "108", "109", "110"];
    let planned: Vec<String> = all.iter().map(|vm| format!("{vm}/adopt")).collect();
    assert_eq!(acting(scene), planned);
    check(&scene.phoenix(&["plan"]), 0, &["10 to update (10 taken over)"]);
    assert!(confs(scene) == by_hand);

    let ran = scene.apply();
    check(&ran, 0, &[]);
    let mut started = ids(&ran.events, "action_started");
    started.sort();
    assert_eq!(started, planned);
    check_confs(scene, &by_hand, &[]);
    let ours = confs(scene);
    for vm in all {
        assert_eq!(ours[vm].matches("<!-- phoenix ").count(), 1, "{}", ours[vm]);
        assert!(ours[vm].contains(&format!("\"project\"%3A\"lab\",\"vm\"%3A{vm},")), "{}", ours[vm]);
    }
    // A copied record is replaced where it stands: the notes around it stay.
    assert!(ours["110"].starts_with("#cloned by hand from 101\n#<!-- phoenix "), "{}", ours["110"]);
    check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &["10 unchanged"]);

    check_changes(scene, &ours);
    check_move(scene);
    check_ends(scene);
}

/// Two VMs are changed, one of them while it runs.
fn check_changes(scene: &Scene, before: &BTreeMap<String, String>) {
    scene
        .edit("\"vm_name\": \"legacy\",", "\"vm_name\": \"legacy\", \"network_bridge\": \"vmbr0\", \"boot_order\": 7,");
    scene.edit("\"os_type\": \"win11\",", "\"os_type\": \"win10\",");
    scene.edit("\"tags\": [\"prod\", \"web\"]", "\"tags\": [\"prod\", \"web\", \"new\"]");
    check(
        &scene.phoenix(&["plan"]),
        0,
        &["Plan: 0 to create, 3 to update, 0 to destroy, 7 unchanged; 1 waits for a restart."],
    );
    check(&scene.apply(), 0, &[]);
    let changed: [(&str, Options<'_>); 3] = [
        ("101", &[("tags", Some("new;prod;web"))]),
        ("105", &[("startup", Some("order=7"))]),
        ("108", &[("ostype", Some("win10"))]),
    ];
    check_confs(scene, before, &changed);
    check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &["10 unchanged"]);
}

/// The disk of one moves, and does not grow, although its last GiB is only a part of one.
fn check_move(scene: &Scene) {
    let before = confs(scene);
    scene.edit("\"vm_name\": \"copy-of-web\",", "\"vm_name\": \"copy-of-web\", \"boot_disk_storage\": \"local\",");
    let ran = scene.apply();
    check(&ran, 0, &[]);
    let started = ids(&ran.events, "action_started");
    assert_eq!(started.iter().filter(|id| id.ends_with("-disk")).collect::<Vec<_>>(), ["110/move-disk"]);
    let conf = &confs(scene)["110"];
    let disk = conf.lines().find_map(|line| line.strip_prefix("scsi0: ")).unwrap().to_owned();
    assert!(disk.starts_with("local:") && disk.contains("discard=on") && disk.contains("size=32972M"), "{disk}");
    let moved: [(&str, Options<'_>); 1] =
        [("110", &[("scsi0", Some(disk.as_str())), ("unused0", Some("local-zfs:vm-110-disk-0"))])];
    check_confs(scene, &before, &moved);
    check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &["10 unchanged"]);
}

/// One is protected and stays, one is retired, one is removed behind phoenix's back.
fn check_ends(scene: &Scene) {
    let before = confs(scene);
    check(&scene.phoenix(&["destroy", "109", "--yes-destroy", "mail"]), 1, &["VM 109 `mail`: the VM is protected"]);
    assert!(confs(scene) == before);

    let mut config: Value = serde_json::from_str(&scene.config()).unwrap();
    config["virtual_machines"].as_array_mut().unwrap().retain(|vm| vm["vm_id"] != 102);
    scene.declare(&config.to_string());
    let ran = scene.phoenix(&["apply", "--prune", "--auto-approve", "--yes-destroy", "linked", "--json"]);
    check(&ran, 0, &[]);
    assert_eq!(ids(&ran.events, "action_started"), ["102/stop", "102/destroy"]);
    let mut rest = before.clone();
    rest.remove("102");
    check_confs(scene, &rest, &[]);
    let node = scene.node();
    assert!(!node.join("images/local-zfs/102/vm-102-disk-0").exists() && !node.join("run/102").exists());
    assert!(node.join("images/local-zfs/9000/base-9000-disk-0").exists());

    for path in ["qemu-server/106.conf", "run/106", "images/local-zfs/106/vm-106-disk-0"] {
        fs::remove_file(node.join(path)).unwrap();
    }
    // A blank VM in place of the one that was to be taken over is made only where the file says so.
    check(&scene.phoenix(&["plan"]), 1, &["error[T074]", "to have a new, empty VM made, take `adopt` out"]);
    let mut config: Value = serde_json::from_str(&scene.config()).unwrap();
    let vms = config["virtual_machines"].as_array_mut().unwrap();
    let lost = vms.iter_mut().find(|vm| vm["vm_id"] == 106).unwrap();
    lost.as_object_mut().unwrap().remove("adopt");
    scene.declare(&config.to_string());
    let plan = scene.phoenix(&["plan"]);
    check(&plan, 0, &["+ 106 db", "Plan: 1 to create, 0 to update, 0 to destroy, 8 unchanged"]);
    rest.remove("106");
    check_confs(scene, &rest, &[]);
}

#[test]
fn ten_vms_made_by_hand() {
    let scene = Scene::with_node(&config());
    check(&scene.phoenix(&["plan"]), 0, &["0 virtual machines"]);
    check_story(&scene);
}

#[test]
fn ten_vms_made_by_hand_on_a_node_of_proxmox() {
    check_story(&Place::Here.scene(&config()));
}

#[test]
fn ten_vms_made_by_hand_behind_ssh() {
    if Place::Ssh.is_possible() {
        check_story(&Place::Ssh.scene(&config()));
    }
}
