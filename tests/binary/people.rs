//! What people describe, from nothing to nothing: the configs under `fixtures/people/`.
//!
//! A case is a directory: `config.json`, what becomes of it (`changed.json`), files that they name, the first plan as
//! it is printed (`plan.txt`), and what an import makes of the changed VMs (`imported.json`). `storage.cfg`, `pci.cfg`
//! and `usb.cfg` beside them are those of the node on which all of them are tried. `SNAPSHOTS=overwrite cargo test
//! --test binary people` rewrites plans and imports.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use phoenix::backend::embedded::Embedded;
use serde_json::{Value, json};

use super::places::{Place, two_at_a_time};
use super::world::{PLAN, Scene, check};

/// Images that the configs name, below the directory of the storage `local`.
const IMAGES: [&str; 8] = [
    "import/debian.qcow2",
    "import/empty.raw",
    "import/firewall.qcow2",
    "import/home.qcow2",
    "import/talos.raw",
    "import/windows.qcow2",
    "iso/installer.iso",
    "iso/virtio-win.iso",
];

/// Cases in which the node's own programs do something that they do in no other.
const ON_THE_NODE: [&str; 8] = [
    "database-with-a-data-disk",
    "disk-that-moves",
    "docker-with-nfs",
    "firewall-appliance",
    "golden-image-and-its-clones",
    "router-with-several-cards",
    "user-data-of-ones-own",
    "windows-with-uefi-and-tpm",
];

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/people")
}

/// A node with two bridges, two pools of disks, a few images, and devices that have names.
fn node() -> Scene {
    let scene = Scene::with_node(r#"{ "virtual_machines": [] }"#);
    fs::copy(cases().join("storage.cfg"), scene.node().join("storage.cfg")).unwrap();
    fs::create_dir(scene.node().join("mapping")).unwrap();
    for kind in ["pci.cfg", "usb.cfg"] {
        fs::copy(cases().join(kind), scene.node().join("mapping").join(kind)).unwrap();
    }
    let node = Embedded::open(&scene.node()).unwrap();
    let mut settings = node.settings().clone();
    settings.bridges.insert("vmbr1".to_owned(), None);
    settings.storage_gb.insert("tank".to_owned(), 4096);
    node.save_settings(&settings).unwrap();
    for image in IMAGES {
        let (below, name) = image.split_once('/').unwrap();
        let below = if below == "iso" { "template/iso" } else { below };
        let directory = scene.node().join("root/var/lib/vz").join(below);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(name), content(name)).unwrap();
    }
    scene
}

/// The head of a disk of 2 GiB, or a small raw one.
fn content(name: &str) -> Vec<u8> {
    let mut head = vec![0; 4096];
    if name.split_once('.').is_some_and(|(_, format)| format == "qcow2") {
        head[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        head[24..32].copy_from_slice(&(2_u64 << 30).to_be_bytes());
    }
    head
}

/// What outlives every VM: the history of the node, and the directories that guests shared with it.
const OUTLIVES: [&str; 7] = ["locks", "nfs", "processes", "root/quickOS", "root/run/phoenix", "tasks", "tmp"];

/// The other files of the node.
fn left(scene: &Scene) -> BTreeSet<PathBuf> {
    let files = scene.bytes().into_keys().map(|path| path.strip_prefix(scene.node()).unwrap().to_owned());
    files.filter(|path| !OUTLIVES.iter().any(|top| path.starts_with(top))).collect()
}

fn go(case: &Path, place: Place, node: &Scene) {
    let name = format!("{} ({place:?})", case.file_name().unwrap().display());
    let read = |file: &str| fs::read_to_string(case.join(file)).unwrap();
    let scene = place.copy_of(node);
    for entry in fs::read_dir(case).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|extension| extension == "yaml") {
            fs::copy(&entry, scene.path(entry.file_name().unwrap().to_str().unwrap())).unwrap();
        }
    }
    let done = |step: &str| {
        let plan = scene.phoenix(&PLAN);
        assert_eq!(plan.code, Some(0), "{name}, {step}: {}{}", plan.out, plan.err);
    };
    let before = left(&scene);
    scene.declare(&read("config.json"));
    let valid = scene.phoenix(&["validate"]);
    assert!(valid.code == Some(0) && valid.err.is_empty(), "{name}: {}{}", valid.out, valid.err);

    let plan = scene.phoenix(&["plan"]);
    check(&plan, 0, &[]);
    if place == Place::Embedded {
        let hash = plan.out.lines().find_map(|line| line.strip_prefix("Plan hash ")).unwrap();
        let shown = format!("{}{}", plan.out.replace(hash, "DIGEST"), plan.err);
        snapbox::assert_data_eq!(shown, snapbox::Data::read_from(&case.join("plan.txt"), None).raw());
    }
    check(&scene.apply(), 0, &[]);
    done("applied");

    scene.declare(&read("changed.json"));
    assert_eq!(scene.plan_code(), Some(2), "{name}: nothing is changed");
    let apply = ["apply", "--auto-approve", "--restart", "--snapshot"];
    // No snapshot goes along with a disk that moves.
    let words = if case.ends_with("disk-that-moves") { &apply[..3] } else { &apply };
    check(&scene.phoenix(words), 0, &[]);
    done("changed");

    let config: Value = serde_json::from_str(&scene.config()).unwrap();
    let settings = config.get("hypervisor").cloned().unwrap_or_else(|| json!({}));
    scene.declare(&format!("{{\n  \"hypervisor\": {settings},\n  \"virtual_machines\": []\n}}\n"));
    check(&scene.phoenix(&["import", "--all"]), 0, &[]);
    done("imported");
    let imported = snapbox::Data::read_from(&case.join("imported.json"), None).raw();
    snapbox::assert_data_eq!(scene.config(), imported);
    // What was laid out before the import still is.
    let laid_out = i32::from(settings != json!({}));
    assert_eq!(scene.phoenix(&["fmt", "--check"]).code, Some(laid_out), "{name}");

    scene.declare(&read("changed.json"));
    let vms = config["virtual_machines"].as_array().unwrap();
    let mut words = vec!["destroy".to_owned()];
    words.extend(vms.iter().map(|vm| vm["vm_id"].to_string()));
    let names: Vec<&str> = vms.iter().map(|vm| vm["vm_name"].as_str().unwrap()).collect();
    words.extend(["--yes-destroy".to_owned(), names.join(",")]);
    check(&scene.phoenix(&words.iter().map(String::as_str).collect::<Vec<_>>()), 0, &[]);
    assert_eq!(left(&scene), before, "{name}: something is left over");
}

#[test]
fn what_people_describe_is_made_changed_imported_and_destroyed() {
    let node = node();
    let names = fs::read_dir(cases()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut all: Vec<(PathBuf, Place)> = names.map(|path| (path, Place::Embedded)).collect();
    assert!(all.len() >= 20, "the cases are gone");
    all.extend(ON_THE_NODE.iter().map(|name| (cases().join(name), Place::Here)));
    two_at_a_time(&all, |(case, place)| go(case, *place, &node));
}
