//! Further disks that are made as copies of images: whole, grown, never formatted, and never made twice.

use std::fs;

use serde_json::{Value, json};

use super::broken::{Way, step};
use super::hardware::{everywhere, is_done, options};
use super::images::{SHA256, image};
use super::places::Place;
use super::world::{Scene, check, ids};

fn config(disks: &Value) -> String {
    json!({ "virtual_machines": [{ "vm_id": 1000, "vm_name": "db", "boot_disk_size_gb": 8, "disks": disks }] })
        .to_string()
}

/// The image with its digest.
fn checked() -> Value {
    json!({ "source": image(), "sha256": SHA256 })
}

fn begun(scene: &Scene) -> Vec<String> {
    let ran = scene.apply();
    check(&ran, 0, &[]);
    ids(&ran.events, "action_started")
}

fn of_vm(actions: &[&str]) -> Vec<String> {
    actions.iter().map(|action| format!("1000/{action}")).collect()
}

#[test]
fn a_disk_is_a_copy_of_an_image() {
    everywhere(|scene, case| {
        scene.declare(&config(&json!({})));
        check(&scene.apply(), 0, &[]);

        let disk = json!({ "import_from": checked(), "size_gb": 5, "options": { "backup": 0 } });
        scene.declare(&config(&json!({ "scsi1": disk })));
        let says = [
            "a copy of the image, which takes time; it is never formatted",
            "scsi1: 5 GiB",
            "the image's size is not known yet; a larger one is refused",
            "fetch-image scsi1 → import-disk scsi1 → resize-disk scsi1 → record",
        ];
        check(&scene.phoenix(&["plan"]), 0, &says);
        let commands = scene.phoenix(&["plan", "--commands"]).out;
        let command = format!("qm set 1000 --scsi1 'local-zfs:0,import-from={},backup=0'", image().display());
        assert!(commands.contains(&command), "{case}: {commands}");
        let all = ["fetch-image:scsi1", "import-disk:scsi1", "resize-disk:scsi1", "record"];
        assert_eq!(begun(scene), of_vm(&all), "{case}");
        is_done(scene, case);
        assert_eq!(options(scene, &["scsi1"]), ["local-zfs:vm-1000-disk-1,backup=0,size=5G"], "{case}");

        // Without a size it has that of the image, and without a digest nothing is compared.
        let two = json!({ "scsi1": disk, "scsi2": { "import_from": image(), "storage": "local" } });
        scene.declare(&config(&two));
        assert_eq!(begun(scene), of_vm(&["import-disk:scsi2", "record"]), "{case}");
        is_done(scene, case);
        assert_eq!(options(scene, &["scsi2"]), ["local:1000/vm-1000-disk-0.qcow2,size=2G"], "{case}");

        // Another image is for a disk that is made; the key may go.
        let disks_before = options(scene, &["scsi1", "scsi2"]);
        let other = json!({ "import_from": "local:import/other.qcow2", "size_gb": 5, "options": { "backup": 0 } });
        scene.declare(&config(&json!({ "scsi1": other, "scsi2": two["scsi2"] })));
        let plan = scene.phoenix(&["plan", "--detailed-exitcode"]);
        check(&plan, 0, &["notice[T121]", "scsi1 is a copy of another image; changing `import_from` does not affect"]);
        scene.declare(&config(&json!({
            "scsi1": { "size_gb": 5, "options": { "backup": 0 } }, "scsi2": { "size_gb": 2, "storage": "local" },
        })));
        assert_eq!(begun(scene), of_vm(&["record"]), "{case}");
        is_done(scene, case);
        assert_eq!(options(scene, &["scsi1", "scsi2"]), disks_before, "{case}");
        let world = scene.world();

        // It is never formatted, whether or not the file still says what it is.
        let formatted = json!({ "size_gb": 5, "filesystem": "ext4", "mount_point": "/srv/data" });
        scene.declare(&config(&json!({ "scsi1": formatted })));
        check(&scene.apply(), 1, &["error[T103]", "it is never formatted"]);
        assert!(scene.world() == world, "{case}: something was done");

        // Taken out, it stays as an unused disk; declared again, it is another copy.
        scene.declare(&config(&json!({ "scsi2": two["scsi2"] })));
        check(&scene.apply(), 0, &[]);
        assert_eq!(options(scene, &["unused0", "scsi1"]), ["local-zfs:vm-1000-disk-1", ""], "{case}");
        scene.declare(&config(&two));
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        let now = options(scene, &["unused0", "scsi1"]);
        assert_eq!(now, ["local-zfs:vm-1000-disk-1", "local-zfs:vm-1000-disk-2,backup=0,size=5G"], "{case}");
    });
}

#[test]
fn a_new_vm_gets_its_copies_and_fetches_an_image_once() {
    everywhere(|scene, case| {
        let disks =
            json!({ "scsi1": { "import_from": checked(), "size_gb": 4 }, "virtio1": { "import_from": checked() } });
        let vm =
            json!({ "vm_id": 1000, "vm_name": "db", "boot_disk_size_gb": 8, "cloud_image": checked(), "disks": disks });
        scene.declare(&json!({ "virtual_machines": [vm] }).to_string());
        let ran = begun(scene);
        let of_images = |id: &&String| id.contains("image") || id.contains("import");
        let images: Vec<&String> = ran.iter().filter(of_images).collect();
        let expected = of_vm(&["fetch-image", "create-from-image", "import-disk:scsi1", "import-disk:virtio1"]);
        assert_eq!(images, expected.iter().collect::<Vec<_>>(), "{case}");
        is_done(scene, case);
        let made = ["local-zfs:vm-1000-disk-1,size=4G", "local-zfs:vm-1000-disk-2,size=2G"];
        assert_eq!(options(scene, &["scsi1", "virtio1"]), made, "{case}");

        // A VM that the file lost comes back with its images, as far as the file still names them.
        let other = json!({ "vm_id": 1001, "vm_name": "other", "disks": { "scsi4": { "import_from": checked() } } });
        scene.declare(&json!({ "virtual_machines": [other] }).to_string());
        check(&scene.phoenix(&["import", "1000"]), 0, &["1 VM written"]);
        let imported: Value = serde_json::from_str(&scene.config()).unwrap();
        let disks = &imported["virtual_machines"][0]["disks"];
        let disk = json!({ "import_from": checked(), "storage": "local-zfs" });
        let mut grown = disk.clone();
        grown["size_gb"] = 4.into();
        assert_eq!(*disks, json!({ "scsi1": grown, "virtio1": disk }), "{case}");
        check(&scene.phoenix(&["plan", "--only", "1000", "--detailed-exitcode"]), 0, &[]);
        scene.declare(r#"{ "virtual_machines": [] }"#);
        let says = "virtio1 is a copy of an image that the file no longer names";
        check(&scene.phoenix(&["import", "1000"]), 0, &["1 VM written", says]);
        let imported: Value = serde_json::from_str(&scene.config()).unwrap();
        let disk = json!({ "size_gb": 2, "storage": "local-zfs" });
        assert_eq!(imported["virtual_machines"][0]["disks"]["virtio1"], disk, "{case}");
    });
}

#[test]
fn what_cannot_be_a_disk_is_refused_and_nothing_is_made() {
    everywhere(|scene, case| {
        scene.declare(&config(&json!({})));
        check(&scene.apply(), 0, &[]);
        let world = scene.world();
        let wrong = json!({ "source": image(), "sha256": "0".repeat(64) });
        let lost = "local:import/no-such.qcow2";
        for (disks, code, words) in [
            (json!({ "scsi1": { "import_from": image(), "size_gb": 1 } }), 6, "set `size_gb` to 2 or more"),
            (json!({ "scsi1": { "import_from": wrong } }), 6, "the SHA-256 of"),
            (json!({ "scsi1": { "import_from": lost } }), 6, "no-such.qcow2"),
            (json!({ "scsi1": { "import_from": "nowhere:import/a.qcow2" } }), 1, "there is no storage `nowhere`"),
            (json!({ "scsi1": { "import_from": "/etc/passwd" } }), 1, "error[T084]"),
            (json!({ "sata1": { "import_from": image(), "size_gb": 5 } }), 1, "error[T122]"),
            (json!({ "scsi1": { "import_from": "local-zfs:vm-9000-disk-0" } }), 3, "error[P105]"),
            (json!({ "scsi1": { "import_from": image(), "volume": "local-zfs:vm-1000-disk-7" } }), 3, "error[P104]"),
        ] {
            scene.declare(&config(&disks));
            check(&scene.apply(), code, &[words]);
            assert!(scene.world() == world, "{case}: something was done: {disks}");
        }
        // A slot that no running VM is plugged into gets its disk with a restart.
        scene.declare(&config(&json!({ "sata1": { "import_from": image() } })));
        check(&scene.apply(), 0, &[r#""waits_for_restart":1"#, "the guest gets sata1 with a restart"]);
        is_done(scene, case);
        check(&scene.phoenix(&["apply", "--restart", "--auto-approve"]), 0, &["1 VM: 1 updated."]);
        assert_eq!(options(scene, &["sata1"]), ["local-zfs:vm-1000-disk-1,size=2G"], "{case}");
        is_done(scene, case);
    });
}

/// What a killed import leaves is no disk: the next run makes one, says what is left, and erases nothing.
#[test]
fn an_import_that_is_killed_in_its_middle_is_made_anew() {
    let scene = Scene::with_node(&config(&json!({})));
    check(&scene.apply(), 0, &[]);
    scene.declare(&config(&json!({ "scsi1": { "import_from": image(), "size_gb": 5 } })));
    scene.script_faults(&json!([{ "op": "import-further", "vm": 1000, "how": "die-halfway" }]));
    assert_eq!(scene.apply().code, None);
    assert_eq!(options(&scene, &["scsi1"]), [""], "no half of it is a disk");
    let half = scene.node().join("images/local-zfs/1000/vm-1000-disk-1");
    assert!(half.exists());
    check(&scene.apply(), 0, &["an interrupted move or import leaves such volumes", "local-zfs:vm-1000-disk-1"]);
    is_done(&scene, "after it");
    assert_eq!(options(&scene, &["scsi1"]), ["local-zfs:vm-1000-disk-2,size=5G"]);
    assert!(half.exists(), "it was erased");
    let formatted = json!({ "size_gb": 5, "filesystem": "ext4", "mount_point": "/srv/data" });
    scene.declare(&config(&json!({ "scsi1": formatted })));
    check(&scene.apply(), 1, &["it is never formatted"]);
}

/// The import of a killed run that goes on keeps others from the VM's disks, and is no VM that is being made.
#[test]
fn an_import_under_way_is_not_disturbed() {
    let scene = Place::Here.scene(&config(&json!({})));
    check(&scene.apply(), 0, &[]);
    scene.settle();
    scene.declare(&config(&json!({ "scsi1": { "import_from": image() } })));
    let before = scene.conf(1000);
    // As it looks while the program runs.
    let line = "perl -T /usr/sbin/qm set 1000 --scsi1 local-zfs:0,import-from=/srv/x.img --digest 0bcf\n";
    fs::write(scene.node().join("ps"), line).unwrap();
    let says = ["error[T045]", "a task is working on the disks (qemu-img convert)"];
    check(&scene.phoenix(&["plan"]), 1, &says);
    check(&scene.apply(), 1, &says);
    assert_eq!(scene.conf(1000), before, "it was touched");
    fs::remove_file(scene.node().join("ps")).unwrap();
    check(&scene.apply(), 0, &[]);
    is_done(&scene, "after it");
}

/// A disk is made as a copy of an image, and grows.
pub(crate) const IMPORTED: Way = Way {
    begin: || {
        let scene = Scene::with_node(&config(&json!({})));
        check(&scene.apply(), 0, &[]);
        scene.declare(&config(&json!({ "scsi1": { "import_from": checked(), "size_gb": 5 } })));
        scene
    },
    steps: &[
        step("1000/fetch-image", "fetch-image"),
        // That it is a copy is written down first.
        step("1000/import-disk:scsi1", "configure"),
        // What a node that is killed in the middle leaves has a test of its own.
        step("1000/import-disk:scsi1", "import-further").without_middle(),
        step("1000/resize-disk:scsi1", "resize"),
        step("1000/record", "configure").after(1),
    ],
    ..Way::PLAIN
};
