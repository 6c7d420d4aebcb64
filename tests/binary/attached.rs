//! Volumes that are attached as further disks: what is on them stays, they are the VM's own, and none is taken from
//! another.

use std::fs;

use serde_json::{Value, json};

use super::broken::{Way, step};
use super::hardware::{everywhere, is_done, options};
use super::world::{Scene, check, ids};

fn config(disks: &Value) -> String {
    json!({ "virtual_machines": [{ "vm_id": 1000, "vm_name": "db", "boot_disk_size_gb": 8, "disks": disks }] })
        .to_string()
}

/// A VM with a formatted disk that was taken out of the file again.
fn detached(scene: &Scene) -> String {
    let disk = json!({ "size_gb": 8, "filesystem": "ext4", "mount_point": "/srv/data" });
    scene.declare(&config(&json!({ "scsi1": disk })));
    check(&scene.apply(), 0, &[]);
    scene.declare(&config(&json!({})));
    check(&scene.apply(), 0, &[]);
    let unused = options(scene, &["unused0", "scsi1"]);
    assert!(unused[0].starts_with("local-zfs:vm-1000-disk-") && unused[1].is_empty(), "{unused:?}");
    unused[0].clone()
}

/// What is on a volume of the VM.
fn content(scene: &Scene, volume: &str) -> String {
    let (storage, name) = volume.split_once(':').unwrap();
    let name = name.rsplit('/').next().unwrap();
    let text = fs::read_to_string(scene.node().join(format!("images/{storage}/1000/{name}"))).unwrap();
    text.split_once('\n').map(|(_, content)| content.to_owned()).unwrap_or_default()
}

#[test]
fn a_volume_comes_back_with_what_is_on_it() {
    everywhere(|scene, case| {
        let volume = detached(scene);
        let before = content(scene, &volume);
        assert!(before.starts_with("ext4 "), "{case}: {before}");
        scene.declare(&config(&json!({ "scsi2": { "volume": volume, "size_gb": 12, "options": { "backup": 0 } } })));
        let says = ["a volume that the VM has already; what is on it stays", "resize-disk scsi2", "8 GiB", "12 GiB"];
        check(&scene.phoenix(&["plan"]), 0, &says);
        let ran = scene.apply();
        check(&ran, 0, &[]);
        let begun = ids(&ran.events, "action_started");
        assert_eq!(
            begun,
            ["configure", "resize-disk:scsi2", "record"].map(|action| format!("1000/{action}")),
            "{case}"
        );
        is_done(scene, case);
        let names = ["scsi2", "unused0"];
        assert_eq!(options(scene, &names), [format!("{volume},backup=0,size=12G"), String::new()], "{case}");
        assert_eq!(content(scene, &volume), before, "{case}");

        // Whether or not the file goes on naming it, it is the same disk; and it is not formatted.
        let disk = json!({ "size_gb": 12, "options": { "backup": 0 } });
        scene.declare(&config(&json!({ "scsi2": disk })));
        is_done(scene, case);
        let world = scene.world();
        let formatted = json!({ "size_gb": 12, "filesystem": "ext4", "mount_point": "/srv/data" });
        scene.declare(&config(&json!({ "scsi2": formatted })));
        check(&scene.apply(), 1, &["error[T103]", "it is never formatted"]);
        assert!(scene.world() == world, "{case}: something was done");

        // Imported, it is as any other disk.
        scene.declare(r#"{ "virtual_machines": [] }"#);
        check(&scene.phoenix(&["import", "1000"]), 0, &["1 VM written"]);
        let imported: Value = serde_json::from_str(&scene.config()).unwrap();
        let expected = json!({ "size_gb": 12, "storage": "local-zfs", "options": { "backup": false } });
        assert_eq!(imported["virtual_machines"][0]["disks"]["scsi2"], expected, "{case}");
        is_done(scene, case);

        // Taken out, it is unused again.
        scene.declare(&config(&json!({})));
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        assert_eq!(options(scene, &names), [String::new(), volume.clone()], "{case}");
        assert_eq!(content(scene, &volume), before, "{case}");

        // A disk that waits for a restart.
        scene.declare(&config(&json!({ "sata3": { "volume": volume } })));
        check(&scene.apply(), 0, &[r#""waits_for_restart":1"#]);
        check(&scene.phoenix(&["apply", "--restart", "--auto-approve"]), 0, &["1 VM: 1 updated."]);
        is_done(scene, case);
        assert_eq!(options(scene, &["sata3", "unused0"]), [format!("{volume},size=12G"), String::new()], "{case}");
    });
}

#[test]
fn a_volume_that_is_not_free_is_refused_before_anything_is_done() {
    everywhere(|scene, case| {
        let volume = detached(scene);
        // No line of a configuration names this one; another VM has the next one.
        let left =
            |name: &str| fs::write(scene.node().join(format!("images/local-zfs/1000/{name}")), "1073741824").unwrap();
        left("vm-1000-disk-7");
        left("vm-1000-disk-8");
        scene.set_conf(2000, "name: other\nscsi1: local-zfs:vm-1000-disk-8,size=1G\n");
        let of = |disk: Value| config(&json!({ "scsi2": disk }));
        let world = scene.world();
        for (disk, code, words) in [
            (json!({ "volume": "local-zfs:vm-1000-disk-9" }), 1, "error[T110]"),
            (json!({ "volume": "local-zfs:vm-1000-disk-8" }), 1, "the configuration of VM 2000 names"),
            (json!({ "volume": "local-zfs:vm-1000-disk-0" }), 1, "is attached already, as scsi0"),
            (json!({ "volume": volume, "size_gb": 4 }), 1, "has 8 GiB, the file says 4"),
            (json!({ "volume": "local-zfs:vm-2000-disk-1" }), 3, "error[P098]"),
            (json!({ "volume": volume, "storage": "local" }), 3, "error[P099]"),
            (json!({ "volume": volume, "import_from": "local:import/a.qcow2" }), 3, "error[P104]"),
        ] {
            scene.declare(&of(disk));
            check(&scene.apply(), code, &[words]);
            assert!(scene.world() == world, "{case}: something was done");
        }
        scene.declare(&of(json!({ "volume": "local-zfs:vm-1000-disk-7" })));
        let plan = scene.phoenix(&["plan"]);
        check(&plan, 0, &["local-zfs:vm-1000-disk-7"]);
        assert!(!plan.err.contains("T091"), "{case}: it is to be attached, not to be freed: {}", plan.err);
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        assert_eq!(options(scene, &["scsi2"]), ["local-zfs:vm-1000-disk-7,size=1G"], "{case}");
        // A disk keeps its volume.
        let world = scene.world();
        scene.declare(&of(json!({ "volume": volume })));
        check(&scene.apply(), 1, &["error[T112]", "a disk keeps its volume"]);
        assert!(scene.world() == world, "{case}: something was done");
    });
}

/// A volume is attached and grows.
pub(crate) const ATTACHED: Way = Way {
    begin: || {
        let scene = Scene::with_node(&config(&json!({})));
        let volume = detached(&scene);
        scene.declare(&config(&json!({ "scsi2": { "volume": volume, "size_gb": 12 } })));
        scene
    },
    steps: &[
        step("1000/configure", "configure"),
        step("1000/resize-disk:scsi2", "resize"),
        step("1000/record", "configure").after(1),
    ],
    ..Way::PLAIN
};
