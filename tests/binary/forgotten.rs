//! VMs that phoenix forgets: the record and the project's tag go, and nothing else; and the way to another project.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::broken::{Way, step};
use super::cluster::{cluster, node_of};
use super::loops::CONFIG;
use super::places::Place;
use super::world::{Scene, check, ids};
use serde_json::{Value, json};

const FORGET: [&str; 4] = ["forget", "1000", "--auto-approve", "--json"];

/// The two VMs, as VMs of this project, whose tag is its name.
fn config(project: &str) -> String {
    let mut config: Value = serde_json::from_str(CONFIG).unwrap();
    config["hypervisor"] = json!({ "project": project, "project_tag": project });
    config.to_string()
}

/// A config that declares the last one alone.
fn without_the_first(project: &str) -> String {
    let mut config: Value = serde_json::from_str(&config(project)).unwrap();
    config["virtual_machines"].as_array_mut().unwrap().remove(0);
    config.to_string()
}

fn made() -> Scene {
    let scene = Scene::with_node(&config("lab"));
    assert_eq!(scene.apply().code, Some(0));
    scene
}

/// Everything on the node but for what is logged.
fn files(scene: &Scene) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = scene.bytes();
    files.retain(|path, _| !path.to_string_lossy().contains("tasks/"));
    files
}

fn is_record(line: &str) -> bool {
    line.starts_with("#<!-- phoenix ")
}

/// A VM that is given up.
pub(crate) const FORGOTTEN: Way =
    Way { begin: made, words: &FORGET, plan: &[], steps: &[step("1000/forget", "configure")], ..Way::PLAIN };

#[test]
fn the_record_and_the_tag_of_the_project_go_and_nothing_else() {
    let scene = made();
    scene.meddle(1000, |conf| conf.replace("#lines\n", "#lines\n\n#a note below\n").replace("\n\n", "\n"));
    let before = files(&scene);
    let conf = scene.conf(1000);
    assert!(conf.contains("tags: a;b;lab") && conf.contains("#a note below"), "{conf}");
    let says = [
        "~ 1000 full",
        "forgotten",
        "project lab → (none)",
        "a, b, lab → a, b",
        "`lab` is the project's tag",
        "(1 forgotten)",
        "warning[T105]: VM 1000 `full`: still declared: the next plan stops at it",
        "notice[T106]: VM 1000 `full`: phoenix forgets that `base_setup`, `install_docker` ran",
        "what its guest mounts at /persistent-storage, /srv/data",
        "the exports to it in /etc/exports.d/phoenix-1000.exports",
    ];
    // Without a terminal and without agreement nothing is done.
    check(&scene.phoenix(&["forget", "full"]), 4, &says);
    assert_eq!(scene.conf(1000), conf);
    check(&scene.phoenix(&["forget", "full", "--auto-approve"]), 0, &says);
    let kept: Vec<String> = conf.lines().filter(|line| !is_record(line)).map(|line| line.replace(";lab", "")).collect();
    assert_eq!(scene.conf(1000).lines().collect::<Vec<_>>(), kept);
    assert!(scene.runs(1000));
    let changed: Vec<String> = files(&scene)
        .into_iter()
        .filter(|(path, content)| before.get(path) != Some(content))
        .map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(changed, ["1000.conf"]);
    // There is nothing left to forget, and a plan says what became of it.
    let ran = scene.phoenix(&FORGET);
    check(&ran, 0, &["notice[T010]: VM 1000 `full`: there is nothing to forget"]);
    assert!(ids(&ran.events, "action_started").is_empty());
    check(&scene.phoenix(&["plan"]), 1, &["error[T075]: VM 1000 `full`: the record is gone", "`phoenix forget`"]);
    scene.declare(&without_the_first("lab"));
    check(&scene.phoenix(&["plan", "--prune", "--detailed-exitcode"]), 0, &["1 unchanged"]);
}

#[test]
fn a_vm_moves_to_another_project_with_all_it_has() {
    let scene = Scene::with_node(
        &json!({ "hypervisor": { "project": "old" }, "virtual_machines": [{ "vm_id": 1000, "vm_name": "web" }] })
            .to_string(),
    );
    assert_eq!(scene.apply().code, Some(0));
    let conf = scene.conf(1000);
    let new = json!({ "hypervisor": { "project": "new" }, "virtual_machines": [{ "vm_id": 1000, "vm_name": "web" }] });
    fs::write(scene.path("new.json"), new.to_string()).unwrap();
    let with_new = |words: &[&str]| scene.phoenix(&[&["--config", "new.json"], words].concat());
    let way = "`phoenix forget 1000` with a file of project `old`, then `phoenix import 1000` with this one";
    check(&with_new(&["plan"]), 1, &["the VM belongs to project `old`, this file is project `new`", way]);
    let refused = ["the VM belongs to project `old`", "name a file of project `old` with `--config`"];
    check(&with_new(&["forget", "1000", "--auto-approve"]), 1, &refused);
    check(&scene.phoenix(&["forget", "web", "--auto-approve"]), 0, &[]);
    check(&with_new(&["import", "1000"]), 0, &["1 VM written"]);
    check(&with_new(&["plan"]), 0, &["taken over", "actions adopt "]);
    check(&with_new(&["apply", "--auto-approve"]), 0, &["1 VM: 1 taken over."]);
    check(&with_new(&["plan", "--detailed-exitcode"]), 0, &[]);
    let text = |conf: &str| conf.lines().filter(|line| !is_record(line)).collect::<Vec<_>>().join("\n");
    assert_eq!(text(&scene.conf(1000)), text(&conf));
    check(&scene.phoenix(&["forget", "1000", "--auto-approve"]), 1, &["the VM belongs to project `new`"]);
}

#[test]
fn what_only_the_record_knew_is_asked_for_again_and_no_disk_is_formatted() {
    let disk = |more: &str| format!(r#""disks": {{ "scsi1": {{ "size_gb": 2{more} }} }}"#);
    let file = |project: &str, disk: &str| {
        format!(
            r#"{{ "hypervisor": {{ "project": "{project}" }}, "virtual_machines": [
                {{ "vm_id": 1000, "vm_name": "web", "features": ["base_setup"], {disk} }}] }}"#
        )
    };
    let formatted = disk(r#", "filesystem": "ext4", "mount_point": "/srv/x""#);
    let scene = Scene::with_node(&file("old", &formatted));
    assert_eq!(scene.apply().code, Some(0));
    let says = ["phoenix forgets that `base_setup` ran, and which file systems it made on scsi1"];
    check(&scene.phoenix(&["forget", "1000", "--auto-approve"]), 0, &says);
    let guest = scene.bytes();
    scene.declare(&file("new", &formatted));
    let refused =
        "error[T103]: VM 1000 `web`: scsi1 is not a disk that phoenix made for this VM: it is never formatted";
    check(&scene.phoenix(&["import", "1000"]), 1, &[refused]);
    scene.declare(&file("new", &disk("")));
    check(&scene.phoenix(&["import", "1000"]), 0, &[]);
    check(&scene.phoenix(&["plan"]), 0, &["1000 web", "taken over", "base_setup it has not run yet"]);
    let ran = scene.apply();
    check(&ran, 0, &[]);
    let begun = ids(&ran.events, "action_started");
    assert!(begun.contains(&"1000/feature:base_setup".to_owned()), "{begun:?}");
    assert!(!begun.iter().any(|id| id.contains("format") || id.contains("unmount")), "{begun:?}");
    check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &[]);
    let gone: Vec<PathBuf> = guest.into_keys().filter(|path| !scene.bytes().contains_key(path)).collect();
    assert!(gone.is_empty(), "{gone:?}");
}

#[test]
fn an_entry_that_adopts_the_vm_takes_it_over_again() {
    let scene = made();
    let uuid =
        scene.conf(1001).lines().find_map(|line| line.strip_prefix("smbios1: uuid=").map(str::to_owned)).unwrap();
    let mut config: Value = serde_json::from_str(&config("lab")).unwrap();
    config["virtual_machines"][1]["adopt"] = uuid.into();
    scene.declare(&config.to_string());
    let says = ["warning[T105]: VM 1001 `plain`: still declared, with `adopt`: the next apply takes the VM over again"];
    check(&scene.phoenix(&["forget", "plain", "--auto-approve"]), 0, &says);
    check(&scene.phoenix(&["plan"]), 0, &["1001 plain", "taken over"]);
}

#[test]
fn what_may_not_be_forgotten_is_refused() {
    let scene = made();
    let conf = scene.conf(1000);
    let forget = |vm: &str| scene.phoenix(&["forget", vm, "--auto-approve"]);
    let refused = |conf: &str, says: &[&str]| {
        scene.set_conf(1000, conf);
        check(&forget("1000"), 1, says);
        assert_eq!(scene.conf(1000), conf);
    };
    refused(&format!("{conf}lock: backup\n"), &["error[T013]: VM 1000 `full`: locked (backup)"]);
    refused(
        &conf.replace("\"project\"%3A\"lab\"", "\"project\"%3A\"other\""),
        &[
            "error[T010]: VM 1000 `full`: the VM belongs to project `other`, this file is project `lab`",
            "name a file of project `other` with `--config`",
        ],
    );
    refused(
        &conf.replace("\"vm\"%3A1000", "\"vm\"%3A1007"),
        &["is of a VM with another uuid or VMID, and counts for nothing"],
    );
    refused(
        &conf.replace("{\"v\"%3A1", "{\"v\"%3A7"),
        &["error[T011]", "take the line `<!-- phoenix … -->` out by hand"],
    );
    refused(
        &conf.replace("\"vm\"%3A1000", "\"vm\"%3A1000,\"state\"%3A\"creating\""),
        &[
            "error[T028]: VM 1000 `full`: an earlier run did not finish making the VM",
            "`phoenix create 1000` completes it",
        ],
    );
    check(&forget("1099"), 1, &["error[T038]: VM 1099: there is no such VM"]);
    check(&forget("fulll"), 4, &["no VM of the project has the name or tag `fulll`", "did you mean `full`?"]);
}

#[test]
fn a_vm_on_another_node_of_the_cluster() {
    for place in [Place::Embedded, Place::Here, Place::Ssh].into_iter().filter(|place| place.is_possible()) {
        let scene = place.copy_of(&cluster(&json!([{ "vm_id": 1000, "vm_name": "web", "node": "pve2" }])));
        check(&scene.apply(), 0, &[]);
        assert_eq!(node_of(&scene, 1000), "pve2");
        let conf = || fs::read_to_string(scene.node().join("nodes/pve2/qemu-server/1000.conf")).unwrap();
        assert!(conf().lines().any(is_record), "{place:?}");
        check(&scene.phoenix(&["forget", "web", "--auto-approve"]), 0, &["1 VM: 1 forgotten."]);
        assert!(!conf().lines().any(is_record), "{place:?}: {}", conf());
    }
}

#[test]
fn files_without_a_project_leave_each_others_vms_alone_and_say_so() {
    let file = |vm: u32, name: &str| json!({ "virtual_machines": [{ "vm_id": vm, "vm_name": name }] }).to_string();
    let scene = Scene::with_node(&file(1000, "web"));
    assert_eq!(scene.apply().code, Some(0));
    scene.declare(&file(1001, "db"));
    assert_eq!(scene.apply().code, Some(0));
    let says = [
        "notice[T020]: VM 1000 `web`: left alone: declared in another file of project `default`",
        "give each file one of its own",
        "`phoenix forget 1000` gives the VM up and keeps it",
    ];
    check(&scene.phoenix(&["plan"]), 0, &says);
    check(&scene.phoenix(&["status"]), 0, &["left alone: declared in another file of project `default`"]);
    let says = ["error[T044]", "they may be in another file of project `default`", "`--prune` then erases"];
    check(&scene.phoenix(&["plan", "--prune"]), 1, &says);
    let says = ["another one may declare the VM"];
    check(&scene.phoenix(&["destroy", "1000"]), 4, &says);
    scene.edit("{\"virtual", "{\"hypervisor\":{\"project\":\"default\"},\"virtual");
    check(
        &scene.phoenix(&["plan"]),
        0,
        &["`phoenix forget 1000` gives it up and keeps it", "erases it with its disks"],
    );
}
