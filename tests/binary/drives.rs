//! CD drives and the devices that a VM boots from, from the first apply to the last, on every back end.

use std::fs;

use serde_json::{Value, json};

use super::hardware::{everywhere, is_done, options};
use super::world::{Scene, check};

/// A config with one VM.
fn config(keys: &Value) -> String {
    let mut vm = json!({ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 8 });
    vm.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    json!({ "virtual_machines": [vm] }).to_string()
}

/// Puts images on the storage `local` of the node.
fn offer(scene: &Scene, images: &[&str]) {
    let directory = scene.node().join("root/var/lib/vz/template/iso");
    fs::create_dir_all(&directory).unwrap();
    for image in images {
        fs::write(directory.join(image), [0; 8192]).unwrap();
    }
}

#[test]
fn drives_are_added_changed_and_removed() {
    everywhere(|scene, case| {
        offer(scene, &["a.iso", "b.iso"]);
        let drives =
            |ide0: &str| json!({ "cdrom": { "ide0": ide0, "scsi5": "none" }, "boot_devices": ["ide0", "scsi0"] });
        scene.declare(&config(&drives("local:iso/a.iso")));
        check(&scene.phoenix(&["plan"]), 0, &["cdrom.ide0", "local:iso/a.iso", "boot_devices", "ide0;scsi0"]);
        check(&scene.apply(), 0, &[r#""results":{"planned":1,"created":1,"#]);
        is_done(scene, case);
        let now = |scene: &Scene| options(scene, &["ide0", "scsi5", "boot"]);
        let image = |name: &str| format!("local:iso/{name}.iso,media=cdrom,size=8K");
        assert_eq!(now(scene)[..2], [image("a"), "none,media=cdrom".to_owned()], "{case}");
        assert!(now(scene)[2].starts_with("order=ide0;scsi0"), "{case}: {:?}", now(scene));

        // A running VM gets another image at once, and one that was taken out is put in again.
        scene.declare(&config(&drives("local:iso/b.iso")));
        check(&scene.phoenix(&["plan"]), 0, &["the image is changed in the drive"]);
        check(&scene.apply(), 0, &[r#""waits_for_restart":0"#]);
        let conf = scene.conf(1000);
        assert!(conf.contains(&format!("ide0: {}\n", image("b"))) && !conf.contains("[PENDING]"), "{case}: {conf}");
        scene.meddle(1000, |conf| conf.replace(&image("b"), "none,media=cdrom"));
        check(&scene.phoenix(&["plan"]), 0, &["cdrom.ide0", "changed outside phoenix"]);
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        assert_eq!(now(scene)[0], image("b"), "{case}");

        // New drives: of SCSI at once, others at the next stop and start.
        let more = json!({
            "cdrom": { "ide0": "local:iso/b.iso", "scsi5": "none", "scsi6": "local:iso/a.iso", "sata1": "none" },
            "boot_devices": ["ide0", "scsi0"]
        });
        scene.declare(&config(&more));
        check(
            &scene.phoenix(&["plan"]),
            0,
            &["the guest has the new CD drive at once", "an empty CD drive is added at a start only"],
        );
        check(&scene.apply(), 0, &[r#""waits_for_restart":1"#]);
        let conf = scene.conf(1000);
        let (active, waits) = conf.split_once("[PENDING]").unwrap_or_else(|| panic!("{case}: nothing waits: {conf}"));
        assert!(active.contains("scsi6: local") && waits.contains("sata1: none,media=cdrom"), "{case}: {conf}");
        check(&scene.phoenix(&["apply", "--restart", "--auto-approve"]), 0, &["1 VM: 1 updated."]);
        is_done(scene, case);

        // As the file had it.
        scene.declare(r#"{ "virtual_machines": [] }"#);
        check(&scene.phoenix(&["import", "1000"]), 0, &["1 VM written"]);
        let imported: Value = serde_json::from_str(&scene.config()).unwrap();
        let vm = &imported["virtual_machines"][0];
        assert_eq!([&vm["cdrom"], &vm["boot_devices"]], [&more["cdrom"], &more["boot_devices"]], "{case}");
        is_done(scene, case);

        // What phoenix made goes with its entry, and leaves no volume behind; the order stays, without them.
        assert!(now(scene)[2].starts_with("order=ide0;scsi0;sata1"), "{case}: {:?}", now(scene));
        scene.declare(&config(&json!({ "boot_devices": ["scsi0"] })));
        let plan = scene.phoenix(&["plan"]);
        check(&plan, 0, &["the guest loses this drive", "a CD drive is removed at a start only"]);
        check(&scene.phoenix(&["apply", "--restart", "--auto-approve"]), 0, &["1 VM: 1 updated."]);
        is_done(scene, case);
        let left = options(scene, &["ide0", "scsi5", "scsi6", "sata1", "unused0", "boot"]);
        assert_eq!(left, ["", "", "", "", "", "order=scsi0"], "{case}");
    });
}

#[test]
fn a_drive_that_was_there_before_stays() {
    everywhere(|scene, case| {
        offer(scene, &["a.iso", "b.iso"]);
        scene.declare(&config(&json!({})));
        check(&scene.apply(), 0, &[]);
        scene.meddle(1000, |conf| format!("{conf}sata3: none,media=cdrom\n"));
        scene.declare(&config(&json!({ "cdrom": { "sata3": "local:iso/a.iso" } })));
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        assert_eq!(options(scene, &["sata3"]), ["local:iso/a.iso,media=cdrom,size=8K"], "{case}");

        // Only the image goes with its entry; and not even that if it is not the file's any more.
        let declared = scene.config();
        let before = scene.conf(1000);
        scene.declare(&config(&json!({})));
        check(&scene.phoenix(&["plan"]), 0, &["cdrom.sata3", "local:iso/a.iso → none"]);
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        assert_eq!(options(scene, &["sata3"]), ["none,media=cdrom"], "{case}");
        scene.declare(&declared);
        check(&scene.apply(), 0, &[]);
        assert_eq!(options(scene, &["sata3"]), options_of(&before), "{case}");
        scene.meddle(1000, |conf| conf.replace("local:iso/a.iso", "local:iso/b.iso"));
        scene.declare(&config(&json!({})));
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        assert_eq!(options(scene, &["sata3"]), ["local:iso/b.iso,media=cdrom,size=8K"], "{case}");
    });
}

/// The value of sata3 in a configuration.
fn options_of(conf: &str) -> Vec<String> {
    conf.lines().filter_map(|line| line.strip_prefix("sata3: ")).map(ToOwned::to_owned).collect()
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_done() {
    everywhere(|scene, case| {
        offer(scene, &["a.iso", "debian-13.iso", "note.txt"]);
        scene.declare(&config(&json!({ "cdrom": { "ide0": "local:iso/a.iso" } })));
        check(&scene.apply(), 0, &[]);
        let before = scene.world();
        for (keys, words) in [
            (json!({ "cdrom": { "ide2": "none" } }), ["ide2 is the cloud-init drive", "take another slot"]),
            (json!({ "cdrom": { "scsi0": "none" } }), ["scsi0 is the boot disk", "take another slot"]),
            (json!({ "cdrom": { "scsi7": "none" } }), ["an empty CD drive cannot be plugged", "name an image"]),
            (json!({ "cdrom": { "ide0": "nope:iso/a.iso" } }), ["there is no storage `nope`", "`local`"]),
            (json!({ "cdrom": { "ide0": "local-zfs:iso/a.iso" } }), ["`local-zfs` holds no ISO images", "`local`"]),
            (
                json!({ "cdrom": { "ide0": "local:iso/debian-12.iso" } }),
                ["there is no ISO image `local:iso/debian-12.iso`", "did you mean `local:iso/debian-13.iso`?"],
            ),
            (json!({ "boot_devices": ["scsi0", "net4"] }), ["the VM will have no net4", "take net4 out"]),
            // The drive goes with its entry.
            (json!({ "boot_devices": ["ide0", "scsi0"] }), ["the VM will have no ide0", "take ide0 out"]),
            (
                json!({ "disks": { "scsi1": { "size_gb": 1 } }, "boot_devices": ["scsi1"] }),
                ["scsi1 stands before the boot disk scsi0", "put scsi0 before scsi1"],
            ),
        ] {
            scene.declare(&config(&keys));
            check(&scene.apply(), 1, &words);
            assert!(scene.world() == before, "{case}: something was done for {keys}");
        }
        // An image that is in the drive may be gone by now: a VM that runs on needs it no more.
        let image = scene.node().join("root/var/lib/vz/template/iso/a.iso");
        fs::remove_file(&image).unwrap();
        scene.declare(&config(&json!({ "cdrom": { "ide0": "local:iso/a.iso" } })));
        is_done(scene, case);
        scene.declare(&config(&json!({ "cdrom": { "sata0": "local:iso/a.iso" } })));
        check(&scene.phoenix(&["plan"]), 1, &["there is no ISO image `local:iso/a.iso`"]);
        offer(scene, &["a.iso"]);
        // Proxmox removes no drive of a protected VM.
        scene.declare(&config(&json!({ "cdrom": { "ide0": "local:iso/a.iso" }, "protected": true })));
        check(&scene.apply(), 0, &[]);
        scene.declare(&config(&json!({ "protected": true })));
        check(&scene.apply(), 1, &["Proxmox removes no drive of a protected VM"]);
        scene.declare(&config(&json!({ "proxmox": { "boot": "order=scsi0" } })));
        check(&scene.phoenix(&["validate"]), 3, &["write `boot_devices` at the VM instead"]);
    });
}
