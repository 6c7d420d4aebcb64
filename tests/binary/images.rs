//! VMs that are made from an image, on the embedded node and through the node's programs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::broken::{Way, step};
use super::oracle::Oracle;
use super::places::Place;
use super::world::{Scene, check, ids};
use serde_json::json;
use tempfile::TempDir;

/// What the image is: a disk of 2 GiB, as far as its head says.
fn content() -> Vec<u8> {
    let mut head = vec![0; 4096];
    head[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    head[24..32].copy_from_slice(&(2_u64 << 30).to_be_bytes());
    head
}

/// An image that lies on the node.
pub(crate) fn image() -> &'static Path {
    static ONCE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = ONCE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.qcow2");
        fs::write(&path, content()).unwrap();
        (dir, path)
    });
    path
}

pub(crate) const SHA256: &str = "02459c7469fde7f0c1bd57453cfa01f36635aec073d02ecb8cbd37abce2971e7";

fn config(source: &str, sha256: &str) -> String {
    json!({ "virtual_machines": [{
        "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 8,
        "cloud_image": { "source": source, "sha256": sha256 },
        "user_config": { "username": "admin" },
    }]})
    .to_string()
}

fn of_file() -> String {
    config(&image().display().to_string(), SHA256)
}

fn oracle() -> &'static Oracle {
    static ONCE: OnceLock<Oracle> = OnceLock::new();
    ONCE.get_or_init(|| Oracle::of(&of_file()))
}

#[test]
fn a_vm_is_made_from_an_image() {
    let begun = [
        "fetch-image",
        "create-from-image",
        "configure",
        "resize-disk",
        "start",
        "await-agent",
        "await-cloud-init",
        "record",
    ];
    assert_eq!(oracle().actions, begun.map(|action| format!("1000/{action}")));
    for place in [Place::Here, Place::Ssh] {
        if place.is_possible() {
            let scene = place.scene(&of_file());
            assert_eq!(scene.apply().code, Some(0));
            oracle().check_world(&scene, &format!("{place:?}"));
            scene.settle();
            let before = scene.bytes();
            assert!(ids(&scene.apply().events, "action_started").is_empty(), "nothing may begin");
            assert!(scene.bytes() == before, "the second apply wrote something");
        }
    }
    let scene = Scene::with_node(&of_file());
    assert_eq!(scene.apply().code, Some(0));
    let conf = scene.conf(1000);
    for line in [
        "boot: order=scsi0\n",
        "ciuser: admin\n",
        "ide2: local-zfs:vm-1000-cloudinit,media=cdrom\n",
        "scsi0: local-zfs:vm-1000-disk-0,discard=on,size=8G\n",
    ] {
        assert!(conf.contains(line), "{line}\n{conf}");
    }
}

/// Whoever applies while the import of a killed run goes on leaves it alone, and goes on when it has ended.
#[test]
fn an_import_under_way_is_waited_for() {
    let scene = Place::Here.scene(&of_file());
    scene.script_faults(&json!([{ "op": "import-disk", "vm": 1000, "how": "die-before" }]));
    assert_eq!(scene.apply_as_victim().code, None);
    scene.settle();
    fs::remove_file(scene.node().join("victim")).unwrap();
    // As it looks while the program runs.
    let text = scene.conf(1000);
    let half: String = text
        .split_inclusive('\n')
        .filter(|line| line.starts_with(['#', 'n', 's']) && !line.starts_with("sc") && !line.starts_with("se"))
        .collect();
    scene.set_conf(1000, &half);
    fs::write(
        scene.node().join("ps"),
        "perl /usr/sbin/qm set 1000 --boot order=scsi0 --scsi0 local-zfs:0,import-from=/srv/x.img\n",
    )
    .unwrap();
    let says = "the import of an image into it, started by an earlier run, is still running: apply waits";
    check(&scene.phoenix(&["plan"]), 0, &[says]);
    let mut waiting = scene.begin();
    assert!(waiting.waits_for("the clone or import into VM 1000 that an earlier run began"));
    assert_eq!(scene.conf(1000), half, "it was touched");
    // It ended, and left nothing that could be used.
    fs::remove_file(scene.node().join("ps")).unwrap();
    let (code, events) = waiting.end();
    assert_eq!(code, Some(0), "{events:?}");
    oracle().check_world(&scene, "after the import");
}

#[test]
fn an_image_that_is_not_what_the_file_says_is_not_used() {
    let other = "0".repeat(64);
    for (config, says) in [
        (config(&image().display().to_string(), &other), "the SHA-256 of"),
        (config("/no/such/image.qcow2", SHA256), "has no file /no/such/image.qcow2"),
    ] {
        for reached in [None, Some(Place::Here.scene(&config))] {
            let own;
            let scene: &Scene = if let Some(reached) = &reached {
                reached
            } else {
                own = Scene::with_node(&config);
                &own
            };
            let ran = scene.apply();
            assert_eq!(ran.code, Some(6), "{}{}", ran.out, ran.err);
            assert_eq!(ids(&ran.events, "action_failed"), ["1000/fetch-image"]);
            assert!(ran.out.contains(says), "{}", ran.out);
            assert!(!scene.has(1000), "nothing is made");
        }
    }
}

/// What is called after its digest in the cache is what has it.
#[test]
fn an_image_is_what_its_longer_digest_says() {
    let long = concat!(
        "a13e960839f8478057ac50f4e64a22b50a82711ba7d0a8d5448c8b08b84cbd7c",
        "593a00ad065a6d67330cfc188ddedee054bc6a747359770fc2a7808b20e97aaa"
    );
    for (digest, code) in [(long.to_uppercase(), 0), ("0".repeat(128), 6)] {
        let config = config(&image().display().to_string(), SHA256)
            .replace(&format!(r#""sha256":"{SHA256}""#), &format!(r#""sha512":"{digest}""#));
        assert!(config.contains("sha512"), "{config}");
        let check = |scene: &Scene| {
            let ran = scene.apply();
            assert_eq!(ran.code, Some(code), "{}{}", ran.out, ran.err);
            assert_eq!(ran.out.contains("the SHA-512 of"), code != 0, "{}", ran.out);
            assert_eq!(scene.has(1000), code == 0);
            // What is not done yet is shown with what it compares.
            let plan = scene.phoenix(&["plan", "--commands"]).out;
            let compares = format!("the SHA-512 of {} must be {digest}", image().display());
            assert_eq!(plan.contains(&compares), code != 0, "{plan}");
        };
        check(&Scene::with_node(&config));
        check(&Place::Here.scene(&config));
    }
}

/// A `curl` that serves a file, as often and as far as it is told.
fn curl(dir: &Path, script: &str) -> String {
    let path = dir.join("curl");
    fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", dir.display())
}

/// Takes what phoenix says to curl apart: `$out`, `$from` (the byte to go on from) and `$url`.
const TAKEN_APART: &str = r#"from=0
while [ $# -gt 0 ]; do
  case $1 in
    --output) out=$2; shift ;;
    --dump-header) head=$2; shift ;;
    --continue-at) from=$(wc -c <"$out"); shift ;;
    --url) url=$2; shift ;;
    --proto) [ "$2" = =https ] || exit 99; shift ;;
  esac
  shift
done
[ "$url" = https://cloud.example.org/image.qcow2 ] || exit 99
echo "$from" >>"$0.calls"
"#;

#[test]
fn an_image_is_fetched_once_and_gone_on_with() {
    let config = config("https://cloud.example.org/image.qcow2", SHA256);
    let mut scene = Scene::with_node(&config);
    let bin = tempfile::tempdir().unwrap();
    let image = image().display();
    let whole = format!("{TAKEN_APART}tail -c +$((from + 1)) '{image}' >>\"$out\"\n");
    let broken = format!("{TAKEN_APART}head -c 1000 '{image}' >\"$out\"\nexit 18\n");
    let path = curl(bin.path(), &broken);
    scene.set_environment(vec![("PATH", path)]);
    let ran = scene.apply();
    assert_eq!(
        (ran.code, ids(&ran.events, "action_failed")),
        (Some(6), vec!["1000/fetch-image".to_owned()]),
        "{}",
        ran.out
    );
    curl(bin.path(), &whole);
    let ran = scene.apply();
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let calls = || fs::read_to_string(bin.path().join("curl.calls")).unwrap();
    assert_eq!(calls(), "0\n1000\n", "it goes on where it was");
    let cache = scene.node().join(format!("root/var/lib/phoenix/images/{SHA256}.img"));
    assert_eq!(fs::read(&cache).unwrap(), content());
    // Another VM from it fetches nothing.
    let two = config.replace("[{", r#"[{ "vm_id": 1001, "vm_name": "db", "boot_disk_size_gb": 8, "cloud_image": { "source": "https://cloud.example.org/image.qcow2", "sha256": "02459c7469fde7f0c1bd57453cfa01f36635aec073d02ecb8cbd37abce2971e7" } }, {"#);
    scene.declare(&two);
    assert_eq!(scene.apply().code, Some(0));
    assert_eq!(calls(), "0\n1000\n");
    assert_eq!(scene.plan_code(), Some(0));
}

#[test]
fn how_far_a_download_is_is_said_while_it_runs() {
    let config = config("https://cloud.example.org/image.qcow2", SHA256);
    let (own, image) = (tempfile::tempdir().unwrap(), image().display());
    for place in [Place::Embedded, Place::Here, Place::Ssh].into_iter().filter(|place| place.is_possible()) {
        let mut scene = place.scene(&config);
        let bin = scene.bin().unwrap_or_else(|| own.path().to_owned());
        // The file of a download is as long as what came: the rest of it is to come when the test has seen enough.
        let script = "printf 'HTTP/2 200\\r\\nContent-Length: 4294967296\\r\\n\\r\\n' >\"$head\"\n\
                      truncate -s 1G \"$out\"\nuntil [ -e \"$0.go\" ]; do sleep 0.05; done\n";
        let path = curl(&bin, &format!("{TAKEN_APART}{script}cp '{image}' \"$out\"\n"));
        if place == Place::Embedded {
            scene.set_environment(vec![("PATH", path)]);
        }
        let mut running = scene.begin();
        assert!(running.waits_for("the download: 25 % (1.0 of 4.0 GiB)"), "{place:?}");
        fs::write(bin.join("curl.go"), "").unwrap();
        let (code, events) = running.end();
        assert_eq!(code, Some(0), "{place:?}: {events:?}");
        let left = fs::read_dir(scene.node().join("root/var/lib/phoenix/images")).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(!left.into_iter().any(|name| name.contains(".head")), "{place:?}");
    }
}

#[test]
fn a_server_that_sends_something_else_is_found_out() {
    let config = config("https://cloud.example.org/image.qcow2", SHA256);
    let mut scene = Scene::with_node(&config);
    let bin = tempfile::tempdir().unwrap();
    let path = curl(bin.path(), &format!("{TAKEN_APART}echo no image >\"$out\"\n"));
    scene.set_environment(vec![("PATH", path)]);
    let ran = scene.apply();
    assert_eq!(ran.code, Some(6));
    assert!(ran.out.contains("the SHA-256 of https://cloud.example.org/image.qcow2 is"), "{}", ran.out);
    let left = fs::read_dir(scene.node().join("root/var/lib/phoenix/images")).unwrap();
    let left: Vec<_> = left
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| !name.to_string_lossy().ends_with(".lock"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A later change of what it was made from is told and changes nothing.
#[test]
fn another_image_changes_nothing() {
    let scene = Scene::with_node(&of_file());
    assert_eq!(scene.apply().code, Some(0));
    let other = of_file().replace("image.qcow2", "other.qcow2").replace(SHA256, &"0".repeat(64));
    scene.declare(&other);
    let plan = scene.phoenix(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{}", plan.out);
    assert!(plan.err.contains("made from another image"), "{}", plan.err);
}

/// A VM is made from an image that lies on the node.
pub(crate) const MADE: Way = Way {
    begin: || Scene::with_node(&of_file()),
    steps: &[
        step("1000/fetch-image", "fetch-image"),
        step("1000/create-from-image", "create"),
        step("1000/create-from-image", "import-disk"),
    ],
    ..Way::PLAIN
};

/// How large the disk in an image is shows when it is there: still before anything is made.
#[test]
fn an_image_that_is_too_large_is_refused_before_the_vm_is_made() {
    let checked = of_file().replace(r#""boot_disk_size_gb":8"#, r#""boot_disk_size_gb":1"#);
    let mut unchecked: serde_json::Value = serde_json::from_str(&checked).unwrap();
    unchecked["virtual_machines"][0]["cloud_image"].as_object_mut().unwrap().remove("sha256");
    for config in [checked, unchecked.to_string()] {
        let scene = Scene::with_node(&config);
        let plan = scene.phoenix(&["plan"]);
        check(&plan, 0, &["boot_disk_size_gb 1 the image's size is not known yet; a larger one is refused"]);
        let reached = Place::Here.scene(&config);
        for scene in [&scene, &*reached] {
            let ran = scene.apply();
            check(
                &ran,
                6,
                &["the disk in the image is 2G and cannot shrink to 1 GiB", "set `boot_disk_size_gb` to 2 or more"],
            );
            assert_eq!(ids(&ran.events, "action_failed"), ["1000/create-from-image"], "{}", ran.out);
            assert!(!scene.node().join("qemu-server/1000.conf").exists(), "something was made");
            scene.declare(&config.replace(r#""boot_disk_size_gb":1"#, r#""boot_disk_size_gb":2"#));
            check(&scene.apply(), 0, &[]);
        }
    }
    // Not even a VM without a disk is made of nothing.
    let lost = Scene::with_node(
        &config("/no/such/image.qcow2", SHA256)
            .replace(&format!(r#","sha256":"{SHA256}""#), "")
            .replace(&format!(r#""sha256":"{SHA256}","#), ""),
    );
    check(&lost.apply(), 6, &["has no file /no/such/image.qcow2"]);
    assert!(!lost.node().join("qemu-server/1000.conf").exists(), "something was made");
}

/// The size of a raw image is that of its file.
#[test]
fn a_raw_image_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.raw");
    fs::File::create(&path).unwrap().set_len((1 << 30) + 512).unwrap();
    let config = json!({ "virtual_machines": [{
        "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 1, "cloud_image": { "source": path },
    }]});
    let (scene, reached) = (Scene::with_node(&config.to_string()), Place::Here.scene(&config.to_string()));
    for scene in [&scene, &*reached] {
        check(
            &scene.apply(),
            6,
            &["the disk in the image is 1073742336 and cannot shrink to 1 GiB", "set `boot_disk_size_gb` to 2 or more"],
        );
    }
}

/// What a `qm create` leaves that is killed in its first second is told as what it is, and never touched.
#[test]
fn a_vmid_that_is_only_reserved_is_told_and_left_alone() {
    let scene = Scene::with_node(&of_file());
    for (conf, reserved) in [
        ("lock: create\n", true),
        ("lock: create\nname: web\n", true),
        ("lock: create\nname: other\n", false),
        ("lock: create\nname: web\nscsi0: local-zfs:vm-1000-disk-0,size=1G\n", false),
        ("name: web\n", false),
    ] {
        fs::write(scene.node().join("qemu-server/1000.conf"), conf).unwrap();
        let ran = scene.apply();
        check(&ran, 1, &[if reserved { "the VMID is only reserved" } else { "the VMID is taken by the VM" }]);
        if reserved {
            check(&ran, 1, &["`qm unlock 1000`, then `qm destroy 1000 --purge 1"]);
        }
        assert_eq!(scene.conf(1000), conf, "it was touched");
    }
}

/// The record has the digest of an image alone: the rest of the file says where it is.
#[test]
fn a_vm_that_the_file_lost_comes_back_with_its_image() {
    let vm = |id: u32, more: serde_json::Value| {
        let mut vm = json!({ "vm_id": id, "vm_name": format!("vm{id}"), "boot_disk_size_gb": 8 });
        vm.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        vm
    };
    let from = json!({ "cloud_image": { "source": image(), "sha256": SHA256 } });
    let template = json!({ "template_name": "ubuntu-22.04-cloud-template-v3" });
    let all = [vm(1000, from.clone()), vm(1001, from.clone()), vm(1002, template.clone())];
    let scene = Scene::with_node(&json!({ "virtual_machines": all }).to_string());
    check(&scene.apply(), 0, &[]);
    let imported = |config: serde_json::Value, says: &[&str]| -> serde_json::Value {
        scene.declare(&config.to_string());
        let ran = scene.phoenix(&["import", "--all"]);
        check(&ran, 0, says);
        check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &[]);
        let config: serde_json::Value = serde_json::from_str(&scene.config()).unwrap();
        let mut vms = config["virtual_machines"].as_array().unwrap().clone();
        vms.sort_by_key(|vm| vm["vm_id"].as_u64());
        vms.into()
    };
    // Another VM has it.
    let vms = imported(json!({ "virtual_machines": [all[0]] }), &["2 VMs written"]);
    assert_eq!(vms[1]["cloud_image"], from["cloud_image"]);
    assert_eq!((vms[2].get("cloud_image"), vms[2].get("template_name")), (None, None));
    // All VMs have it, but for the one that was cloned.
    let vms = imported(json!({ "vm_defaults": from, "virtual_machines": [] }), &["3 VMs written"]);
    assert_eq!((vms[0].get("cloud_image"), &vms[2]["template_name"]), (None, &template["template_name"]));
    // Nobody has it.
    let says = "made from an image that the file no longer names";
    let vms = imported(json!({ "virtual_machines": [] }), &["3 VMs written", says]);
    assert_eq!(vms[1].get("cloud_image"), None);
}
