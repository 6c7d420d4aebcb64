//! Options of VMs by Proxmox's own names, from the first apply to the last, on every back end.

use serde_json::{Value, json};

use super::broken::{Way, inside, step};
use super::places::Place;
use super::world::{Scene, check};

fn config(options: &Value) -> String {
    json!({ "virtual_machines": [
        { "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 8, "tags": ["a"], "proxmox": options }
    ] })
    .to_string()
}

/// The values of these options in the VM's configuration; empty: not set. What waits comes last.
pub(crate) fn options(scene: &Scene, names: &[&str]) -> Vec<String> {
    let conf = scene.conf(1000);
    let value = |name: &&str| {
        let of = |line: &str| line.strip_prefix(&format!("{name}: ")).map(ToOwned::to_owned);
        conf.lines().filter_map(of).next_back().unwrap_or_default()
    };
    names.iter().map(value).collect()
}

#[track_caller]
pub(crate) fn is_done(scene: &Scene, case: &str) {
    let plan = scene.phoenix(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{case}: {}{}", plan.out, plan.err);
}

pub(crate) fn everywhere(check: impl Fn(&Scene, &str)) {
    for place in [Place::Embedded, Place::Here, Place::Ssh].into_iter().filter(|place| place.is_possible()) {
        check(&place.scene("{}"), &format!("{place:?}"));
    }
}

#[test]
fn options_are_set_changed_and_taken_out() {
    everywhere(|scene, case| {
        let first = json!({ "cpu": "cputype=host,flags=+aes", "scsihw": "virtio-scsi-single", "numa": "on", "acpi": true,
            "cpulimit": 1.5, "smbios1": "serial=abc", "balloon": 1024 });
        scene.declare(&config(&first));
        check(&scene.apply(), 0, &[r#""results":{"planned":1,"created":1,"#]);
        is_done(scene, case);
        let names = ["cpu", "scsihw", "numa", "acpi", "cpulimit", "balloon"];
        let set = ["host,flags=+aes", "virtio-scsi-single", "1", "", "1.5", "1024"];
        assert_eq!(options(scene, &names), set, "{case}");
        let uuid = |scene: &Scene| {
            let smbios = options(scene, &["smbios1"]).remove(0);
            smbios.split(',').find(|part| part.starts_with("uuid=")).map(ToOwned::to_owned).unwrap()
        };
        let own = uuid(scene);

        // What an administrator adds to a property string stays; an option that the file says is made so again.
        scene.meddle(1000, |conf| {
            conf.replace("cpu: host,flags=+aes", "cpu: host,flags=+aes,hidden=1").replace("numa: 1\n", "")
        });
        let plan = scene.phoenix(&["plan"]);
        check(&plan, 0, &["proxmox.numa", "changed outside phoenix", "1 waits for a restart"]);
        assert!(!plan.out.contains("proxmox.cpu "), "{case}: {}", plan.out);
        check(&scene.phoenix(&["apply", "--restart", "--auto-approve"]), 0, &["1 VM: 1 updated."]);
        is_done(scene, case);
        assert_eq!(options(scene, &["cpu", "numa"]), ["host,flags=+aes,hidden=1", "1"], "{case}");

        // At once, where a running VM takes it at once; else at its next stop and start.
        let other = json!({ "cpu": "x86-64-v2-AES", "scsihw": "virtio-scsi-single", "cpulimit": 2, "balloon": 2048 });
        scene.declare(&config(&other));
        check(&scene.apply(), 0, &[r#""waits_for_restart":1"#]);
        let conf = scene.conf(1000);
        let (now, waits) = conf.split_once("[PENDING]").unwrap_or_else(|| panic!("{case}: nothing waits: {conf}"));
        assert!(now.contains("cpulimit: 2\n") && now.contains("balloon: 2048\n"), "{case}: {conf}");
        assert!(waits.contains("cpu: x86-64-v2-AES,hidden=1\n") && waits.contains("numa"), "{case}: {conf}");
        check(&scene.phoenix(&["apply", "--restart", "--auto-approve"]), 0, &["1 VM: 1 updated."]);
        is_done(scene, case);
        let left = ["x86-64-v2-AES,hidden=1", "virtio-scsi-single", "", "", "2", "2048"];
        assert_eq!(options(scene, &names), left, "{case}");
        assert_eq!((uuid(scene), options(scene, &["smbios1"])), (own.clone(), vec![own]), "{case}");
    });
}

#[test]
fn a_vm_is_imported_as_the_file_had_it() {
    everywhere(|scene, case| {
        let own = json!({ "cpu": "host", "machine": "q35", "numa": true, "cpulimit": 1.5, "cpuunits": 200, "smbios1": "serial=a" });
        scene.declare(&config(&own));
        check(&scene.apply(), 0, &[]);
        scene.declare(r#"{ "virtual_machines": [] }"#);
        check(&scene.phoenix(&["import", "1000"]), 0, &["1 VM written"]);
        let imported: Value = serde_json::from_str(&scene.config()).unwrap();
        assert_eq!(imported["virtual_machines"][0]["proxmox"], own, "{case}");
        is_done(scene, case);
    });
}

/// Cards by their slots and options of the boot disk, from the first apply to the last.
#[test]
fn cards_are_added_changed_and_removed() {
    let config = |more: &Value| {
        let mut vm = json!({ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 8 });
        vm.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "virtual_machines": [vm] }).to_string()
    };
    everywhere(|scene, case| {
        scene.declare(&config(&json!({
            "boot_disk_options": { "discard": "on", "ssd": 1 },
            "networks": { "net0": { "vlan_tag": 20 }, "net1": { "ip": "10.0.1.5/24", "firewall": true, "mac": "BC:24:11:00:0a:01" } }
        })));
        check(&scene.apply(), 0, &[r#""results":{"planned":1,"created":1,"#]);
        is_done(scene, case);
        let names = ["net0", "net1", "ipconfig1", "scsi0"];
        let without_mac = |value: &String| {
            let parts = value
                .split(',')
                .map(|part| part.split_once('=').filter(|(name, _)| *name == "virtio").map_or(part, |(name, _)| name));
            parts.filter(|part| !part.contains("vm-1000-disk-0")).collect::<Vec<_>>().join(",")
        };
        let now = |scene: &Scene| options(scene, &names).iter().map(without_mac).collect::<Vec<_>>();
        let own = scene.conf(1000).contains("virtio=BC:24:11:00:0A:01");
        assert!(own, "{case}: {}", scene.conf(1000));
        let set = [
            "virtio,bridge=vmbr0,tag=20",
            "virtio,bridge=vmbr0,firewall=1",
            "ip=10.0.1.5/24",
            "discard=on,size=8G,ssd=1",
        ];
        assert_eq!(now(scene), set, "{case}");

        // What an administrator changes drifts; what the file says comes back, and what it does not say stays.
        scene.meddle(1000, |conf| conf.replace(",tag=20", ",tag=21,link_down=1"));
        check(&scene.phoenix(&["plan"]), 0, &["networks.net0", "changed outside phoenix", "the card stays plugged in"]);
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        assert_eq!(now(scene)[0], "virtio,bridge=vmbr0,link_down=1,tag=20", "{case}");

        // A running VM gets cards at once, and options of its disk at its next stop and start. A card that phoenix made
        // goes with its entry.
        scene.declare(&config(
            &json!({ "boot_disk_options": { "ssd": 1, "backup": false }, "networks": { "net2": {} } }),
        ));
        check(&scene.apply(), 0, &[r#""waits_for_restart":1"#]);
        let conf = scene.conf(1000);
        assert!(conf.contains("net2: ") && !conf.contains("net1: ") && !conf.contains("ipconfig1: "), "{case}: {conf}");
        let (active, waits) = conf.split_once("[PENDING]").unwrap_or_else(|| panic!("{case}: nothing waits: {conf}"));
        assert!(active.contains("discard=on") && waits.contains("scsi0: "), "{case}: {conf}");
        scene.edit("\"boot_disk_size_gb\":8", "\"boot_disk_size_gb\":9");
        check(&scene.phoenix(&["plan"]), 1, &["another value of scsi0 waits for a restart: the disk cannot grow"]);
        scene.edit("\"boot_disk_size_gb\":9", "\"boot_disk_size_gb\":8");
        check(&scene.phoenix(&["apply", "--restart", "--auto-approve"]), 0, &["1 VM: 1 updated."]);
        is_done(scene, case);
        assert_eq!(now(scene)[3], "size=8G,ssd=1,backup=0", "{case}");

        // As the file had it, but for the address that Proxmox made up.
        scene.declare(r#"{ "virtual_machines": [] }"#);
        check(&scene.phoenix(&["import", "1000"]), 0, &["1 VM written"]);
        let imported: Value = serde_json::from_str(&scene.config()).unwrap();
        let vm = &imported["virtual_machines"][0];
        assert_eq!(vm["boot_disk_options"], json!({ "backup": false, "ssd": true }), "{case}");
        assert_eq!(vm["networks"], json!({ "net2": { "bridge": "vmbr0", "model": "virtio" } }), "{case}");
        is_done(scene, case);
    });
}

/// Further disks by their slots, from the first apply to the last: none is erased by leaving it out.
#[test]
fn disks_are_added_grown_and_detached() {
    let config = |disks: &Value| {
        json!({ "virtual_machines": [{ "vm_id": 1000, "vm_name": "db", "boot_disk_size_gb": 8, "disks": disks }] })
            .to_string()
    };
    everywhere(|scene, case| {
        scene.declare(&config(&json!({
            "scsi1": { "size_gb": 20, "options": { "backup": 0, "ssd": true } }, "virtio2": { "size_gb": 1, "storage": "local" },
            "efidisk0": {}, "tpmstate0": {}
        })));
        check(&scene.apply(), 0, &[r#""results":{"planned":1,"created":1,"#]);
        is_done(scene, case);
        let names = ["scsi1", "virtio2", "efidisk0", "tpmstate0", "unused0"];
        let volume_of = |value: &str| value.split(',').next().unwrap_or_default().to_owned();
        let rest = |value: &String| value.split_once(',').map_or(String::new(), |(_, rest)| rest.to_owned());
        let now = |scene: &Scene| options(scene, &names).iter().map(rest).collect::<Vec<_>>();
        let set = ["backup=0,ssd=1,size=20G", "size=1G", "efitype=4m,size=4M", "version=v2.0,size=4M", ""];
        assert_eq!(now(scene), set, "{case}");
        let [first, second] = [0, 1].map(|n| volume_of(&options(scene, &names)[n]));
        assert!(first.starts_with("local-zfs:") && second.starts_with("local:"), "{case}: {first} {second}");

        // A disk grows and never shrinks; its options wait for a restart, limits do not; a new one is there at once,
        // and one that the file does not say any more stays with the VM as an unused disk.
        scene.declare(&config(&json!({
            "scsi1": { "size_gb": 25, "options": { "backup": 0 } }, "scsi3": { "size_gb": 2, "options": { "mbps": 10 } },
            "efidisk0": {}, "tpmstate0": {}
        })));
        let plan = scene.phoenix(&["plan"]);
        check(
            &plan,
            0,
            &["disks.scsi1.size_gb", "20 → 25", "a new, empty disk", "stays with the VM", "1 waits for a restart"],
        );
        check(&scene.apply(), 0, &[r#""waits_for_restart":1"#]);
        let conf = scene.conf(1000);
        let (active, waits) = conf.split_once("[PENDING]").unwrap_or_else(|| panic!("{case}: nothing waits: {conf}"));
        assert!(active.contains(",ssd=1,size=25G") && active.contains("scsi3: "), "{case}: {conf}");
        assert!(active.contains(&format!("unused0: {second}")) && !active.contains("virtio2: "), "{case}: {conf}");
        assert!(waits.contains(&format!("scsi1: {first},backup=0,size=25G")), "{case}: {conf}");
        check(&scene.phoenix(&["apply", "--restart", "--auto-approve"]), 0, &["1 VM: 1 updated."]);
        is_done(scene, case);
        assert_eq!(now(scene)[0], "backup=0,size=25G", "{case}");

        // What would lose data, or cannot be, is refused before anything is done.
        let before = scene.world();
        for (disks, words) in [
            (
                json!({ "scsi1": { "size_gb": 5 }, "efidisk0": {}, "tpmstate0": {} }),
                "scsi1 has 25 GiB, the file says 5",
            ),
            (json!({ "scsi1": { "size_gb": 25 } }), "efidisk0 is no longer declared"),
            (json!({ "scsi0": { "size_gb": 25 } }), "scsi0 is the boot disk"),
            (json!({ "ide2": { "size_gb": 25 } }), "ide2 holds a CD-ROM or the cloud-init drive"),
            (json!({ "scsi4": { "size_gb": 2, "storage": "nope" } }), "there is no storage `nope`"),
        ] {
            scene.declare(&config(&disks));
            check(&scene.apply(), 1, &[words]);
            assert!(scene.world() == before, "{case}: something was done");
        }

        // As the file had it; and a disk that phoenix did not make stays attached.
        scene.declare(r#"{ "virtual_machines": [] }"#);
        check(&scene.phoenix(&["import", "1000"]), 0, &["1 VM written"]);
        let imported: Value = serde_json::from_str(&scene.config()).unwrap();
        let disks = &imported["virtual_machines"][0]["disks"];
        assert_eq!(
            disks["scsi1"],
            json!({ "size_gb": 25, "storage": "local-zfs", "options": { "backup": false } }),
            "{case}"
        );
        assert_eq!(disks["scsi3"]["options"], json!({ "mbps": 10 }), "{case}");
        is_done(scene, case);
        // One that is on its way out is not taken for an empty slot.
        let whole = scene.conf(1000);
        scene.set_conf(1000, &format!("{whole}\n[PENDING]\ndelete: scsi3\n"));
        check(&scene.apply(), 1, &["scsi3 is to be detached when the VM restarts"]);
        scene.set_conf(1000, &whole);
        scene.meddle(1000, |conf| conf.replace("\"scsi1\",", "").replace("\"scsi1\"%2C", ""));
        scene.declare(&config(&json!({ "scsi3": { "size_gb": 2 }, "efidisk0": {}, "tpmstate0": {} })));
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        assert!(scene.conf(1000).contains(&format!("scsi1: {first}")), "{case}: {}", scene.conf(1000));
    });
}

/// File systems of further disks, from the first apply to the last: made once, mounted, grown, moved, unmounted.
#[test]
fn disks_are_formatted_mounted_grown_and_unmounted() {
    let config = |disks: &Value| {
        json!({ "virtual_machines": [{ "vm_id": 1000, "vm_name": "db", "boot_disk_size_gb": 8, "disks": disks }] })
            .to_string()
    };
    // The lines of its fstab, and what is on each disk.
    let fstab = |scene: &Scene| {
        let text = std::fs::read_to_string(scene.node().join("guests/1000/fstab")).unwrap_or_default();
        let without_uuid =
            |line: &str| line.split_once('\t').map_or(String::new(), |(_, rest)| rest.replace('\t', " "));
        text.lines().map(without_uuid).collect::<Vec<_>>()
    };
    let file_of = |scene: &Scene, slot: &str| {
        let volume = options(scene, &[slot])[0].split(',').next().unwrap().to_owned();
        let (storage, name) = volume.split_once(':').unwrap();
        scene.node().join(format!("images/{storage}/1000")).join(name.rsplit('/').next().unwrap())
    };
    let on = |scene: &Scene, slot: &str| {
        let text = std::fs::read_to_string(file_of(scene, slot)).unwrap();
        text.lines().skip(1).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    everywhere(|scene, case| {
        let disk = |gib: u32, at: &str| json!({ "size_gb": gib, "filesystem": "ext4", "mount_point": at });
        let xfs = json!({ "size_gb": 2, "filesystem": "xfs", "mount_point": "/srv/x/" });
        scene.declare(&config(&json!({ "scsi1": disk(20, "/srv/data"), "scsi2": xfs })));
        check(
            &scene.phoenix(&["plan"]),
            0,
            &["scsi1: ext4 at /srv/data", "formatted if nothing is found", "format-disk scsi1"],
        );
        check(&scene.apply(), 0, &[r#""results":{"planned":1,"created":1,"#]);
        is_done(scene, case);
        assert_eq!(fstab(scene), ["/srv/data ext4", "/srv/x xfs"], "{case}");
        let made = on(scene, "scsi1");
        assert!(made[0].starts_with("ext4 ") && made[0].ends_with(&format!(" {}", 20_u64 << 30)), "{case}: {made:?}");

        // It grows with its disk and is never made again; another mount point is another line.
        scene.declare(&config(&json!({ "scsi1": disk(25, "/srv/other"), "scsi2": xfs })));
        check(&scene.phoenix(&["plan"]), 0, &["20 → 25", "unmount /srv/data", "mount-disk /srv/other"]);
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        let grown = on(scene, "scsi1");
        assert_eq!(grown[0].replace(&(25_u64 << 30).to_string(), &(20_u64 << 30).to_string()), made[0], "{case}");
        assert_eq!(fstab(scene), ["/srv/x xfs", "/srv/other ext4"], "{case}");

        // A guest that lost it gets it back, if it is looked at.
        let whole = std::fs::read_to_string(scene.node().join("guests/1000/fstab")).unwrap();
        let lost: String = whole.split_inclusive('\n').filter(|line| !line.contains("/srv/other")).collect();
        std::fs::write(scene.node().join("guests/1000/fstab"), lost).unwrap();
        is_done(scene, case);
        check(&scene.phoenix(&["plan", "--verify-guest"]), 0, &["gone from the guest: it is mounted again"]);
        check(&scene.phoenix(&["apply", "--verify-guest", "--auto-approve"]), 0, &[]);
        assert_eq!(fstab(scene), ["/srv/x xfs", "/srv/other ext4"], "{case}");

        // What would make it anew is refused; what another made on an empty disk stays.
        let before = scene.world();
        scene.declare(&config(
            &json!({ "scsi1": { "size_gb": 25, "filesystem": "xfs", "mount_point": "/srv/other" }, "scsi2": xfs }),
        ));
        check(&scene.apply(), 1, &["error[T103]", "scsi1 is formatted as ext4, the file says xfs"]);
        assert!(scene.world() == before, "{case}: something was done");

        // As the file had it.
        scene.declare(r#"{ "virtual_machines": [] }"#);
        check(&scene.phoenix(&["import", "1000"]), 0, &["1 VM written"]);
        let imported: Value = serde_json::from_str(&scene.config()).unwrap();
        assert_eq!(imported["virtual_machines"][0]["disks"]["scsi1"]["mount_point"], "/srv/other", "{case}");
        is_done(scene, case);

        // Unmounted, it keeps what is on it; then it is mounted, not made.
        scene.declare(&config(&json!({ "scsi1": { "size_gb": 25 }, "scsi2": xfs })));
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        assert_eq!((fstab(scene), on(scene, "scsi1")), (vec!["/srv/x xfs".to_owned()], grown.clone()), "{case}");
        scene.declare(&config(&json!({ "scsi1": disk(25, "/srv/data"), "scsi2": xfs })));
        let mounted = scene.apply();
        check(&mounted, 0, &[]);
        assert!(!mounted.out.contains("format-disk"), "{case}: {}", mounted.out);

        // Taken out of the file it is unmounted, then detached; of a VM that is off, when its guest is up again.
        scene.declare(&config(&json!({ "scsi2": xfs })));
        let gone = scene.apply();
        check(&gone, 0, &[]);
        let begun = super::world::ids(&gone.events, "action_started");
        assert_eq!(begun, ["unmount-disk:/srv/data", "configure", "record"].map(|id| format!("1000/{id}")), "{case}");
        is_done(scene, case);
        assert_eq!(fstab(scene), ["/srv/x xfs"], "{case}");
        check(&scene.phoenix(&["stop", "1000", "--auto-approve"]), 0, &[]);
        scene.declare(&config(&json!({})).replace("\"vm_name\"", "\"started\":false,\"vm_name\""));
        check(&scene.apply(), 0, &["unmount /srv/x"]);
        assert!(!scene.conf(1000).contains("scsi2"), "{case}: {}", scene.conf(1000));
        assert_eq!(fstab(scene), ["/srv/x xfs"], "{case}");
        scene.declare(&config(&json!({})));
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        assert_eq!(fstab(scene), Vec::<String>::new(), "{case}");

        // A disk that is not empty is never formatted: the run says what is on it.
        scene.declare(&config(&json!({ "scsi1": { "size_gb": 1 } })));
        check(&scene.apply(), 0, &[]);
        let file = file_of(scene, "scsi1");
        let size = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{size}\nntfs 0123 1\n")).unwrap();
        scene.declare(&config(&json!({ "scsi1": disk(1, "/srv/data") })));
        check(&scene.apply(), 6, &["is not empty: wipefs finds ntfs on it", "phoenix formats empty disks only"]);
        check(&scene.apply(), 6, &["is not empty: wipefs finds ntfs on it"]);
        assert_eq!(on(scene, "scsi1"), ["ntfs 0123 1"], "{case}");
        std::fs::write(&file, size).unwrap();
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
    });
}

/// A disk is unmounted and detached, one grows with its file system, and one is made, formatted and mounted.
pub(crate) const FORMATTED: Way = Way {
    begin: || {
        let config = |disks: Value| {
            json!({ "virtual_machines": [{ "vm_id": 1000, "vm_name": "db", "disks": disks }] }).to_string()
        };
        let disk = |gib: u32, at: &str| json!({ "size_gb": gib, "filesystem": "ext4", "mount_point": at });
        let scene = Scene::with_node(&config(json!({ "scsi1": disk(1, "/srv/a"), "scsi2": disk(1, "/srv/b") })));
        check(&scene.apply(), 0, &[]);
        scene.declare(&config(json!({ "scsi2": disk(2, "/srv/b"), "scsi3": disk(1, "/srv/c") })));
        scene
    },
    steps: &[
        inside("1000/unmount-disk", "phoenix-unmount"),
        // That it is unmounted is written down at once.
        step("1000/unmount-disk", "configure"),
        // A node that is killed while it makes a disk leaves a volume behind: the next one has another name.
        step("1000/configure", "configure").after(1).without_middle(),
        step("1000/resize-disk:scsi2", "configure").after(2),
        step("1000/resize-disk:scsi2", "resize"),
        // That it is begun, and that it is whole.
        step("1000/format-disk", "configure").after(3),
        inside("1000/format-disk", "phoenix-format"),
        step("1000/format-disk", "configure").after(4),
        inside("1000/mount-disk:/srv/b", "phoenix-disk-mount"),
        step("1000/mount-disk:/srv/b", "configure").after(5),
        inside("1000/mount-disk:/srv/c", "phoenix-disk-mount").after(1),
        step("1000/mount-disk:/srv/c", "configure").after(6),
    ],
    ..Way::PLAIN
};

/// A disk that phoenix did not make is never formatted.
#[test]
fn a_disk_of_others_is_never_formatted() {
    everywhere(|scene, case| {
        let config = |more: &str| {
            format!(
                r#"{{ "virtual_machines": [{{ "vm_id": 1000, "vm_name": "db", "disks": {{ "scsi1": {{ "size_gb": 1{more} }} }} }}] }}"#
            )
        };
        scene.declare(&config(""));
        check(&scene.apply(), 0, &[]);
        scene.meddle(1000, |conf| conf.replace(",\"made\"%3A[\"scsi1\"]", "").replace("%2C\"made\"%3A[\"scsi1\"]", ""));
        let before = scene.world();
        scene.declare(&config(r#", "filesystem": "ext4", "mount_point": "/srv/data""#));
        check(
            &scene.apply(),
            1,
            &["error[T103]", "scsi1 is not a disk that phoenix made for this VM: it is never formatted"],
        );
        assert!(scene.world() == before, "{case}: something was done");
    });
}

/// A formatted disk that an administrator detached is not replaced by an empty one.
#[test]
fn a_formatted_disk_that_is_gone_is_not_made_anew() {
    everywhere(|scene, case| {
        let config = |disks: &str| {
            format!(r#"{{ "virtual_machines": [{{ "vm_id": 1000, "vm_name": "db", "disks": {{ {disks} }} }}] }}"#)
        };
        let disk = r#""scsi1": { "size_gb": 1, "filesystem": "xfs", "mount_point": "/srv/data" }"#;
        scene.declare(&config(disk));
        check(&scene.apply(), 0, &[]);
        let line = format!("scsi1: {}\n", options(scene, &["scsi1"])[0]);
        let volume = options(scene, &["scsi1"])[0].split(',').next().unwrap().to_owned();
        scene.meddle(1000, |conf| conf.replace(&line, &format!("unused0: {volume}\n")));
        let before = scene.world();
        check(
            &scene.apply(),
            1,
            &["error[T103]", "a new disk in its place would be empty", "qm set 1000 --scsi1 VOLUME"],
        );
        assert!(scene.world() == before, "{case}: something was done");
        // Attached again, it is as before.
        scene.meddle(1000, |conf| conf.replace(&format!("unused0: {volume}\n"), &line));
        is_done(scene, case);
        // Given up, it is unmounted, and the next one in its slot is a new one.
        scene.meddle(1000, |conf| conf.replace(&line, &format!("unused0: {volume}\n")));
        scene.declare(&config(""));
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        scene.declare(&config(disk));
        let made = scene.apply();
        check(&made, 0, &[]);
        assert!(
            super::world::ids(&made.events, "action_started").contains(&"1000/format-disk:scsi1".to_owned()),
            "{case}"
        );
        is_done(scene, case);
    });
}

#[test]
fn what_proxmox_refuses_is_said_before_anything_is_done() {
    everywhere(|scene, case| {
        scene.declare(&config(&json!({ "balloon": 2048 })));
        check(&scene.apply(), 0, &[]);
        let before = scene.world();
        scene.edit("\"boot_disk_size_gb\"", "\"memory_mb\": 1024, \"boot_disk_size_gb\"");
        check(&scene.apply(), 1, &["error[T092]", "`balloon` is 2048 MiB, more than the memory of 1024 MiB"]);
        scene.declare(&config(&json!({ "balloon": 2048, "args": "-no-hpet" })));
        check(&scene.apply(), 1, &["error[T086]", "`--allow-host-option args`"]);
        assert!(scene.world() == before, "{case}: something was done");
        let allowed = scene.phoenix(&["apply", "--auto-approve", "--allow-host-option", "args"]);
        check(&allowed, 0, &["warning[T087]", "1 VM: 1 updated"]);
        assert_eq!(options(scene, &["args"]), ["-no-hpet"], "{case}");
    });
}

/// Nothing is asked of a guest without an agent, and it is not given one: when it is made, started, changed and
/// imported.
#[test]
fn a_guest_without_an_agent_is_left_alone() {
    everywhere(|scene, case| {
        let keys = |more: &str| {
            format!(r#"{{ "virtual_machines": [{{ "vm_id": 1000, "vm_name": "talos", "ready": "running"{more} }}] }}"#)
        };
        scene.declare(&keys(""));
        let made = scene.apply();
        check(&made, 0, &[]);
        let begun = super::world::ids(&made.events, "action_started");
        let all = ["clone", "configure", "resize-disk", "start", "record"].map(|action| format!("1000/{action}"));
        assert_eq!(begun, all, "{case}");
        is_done(scene, case);
        scene.meddle(1000, |conf| conf.replace("agent: enabled=1\n", ""));
        is_done(scene, case);
        let words = ["not asked", "1 up to date and healthy", "ready       running, its guest is not asked"];
        check(&scene.phoenix(&["status"]), 0, &words);
        check(&scene.phoenix(&["status", "--json"]), 0, &[r#""ready": "running""#]);
        // The agent is no drift: the file never asked for it.
        scene.declare(&keys("").replace("running", "agent"));
        let asked = scene.phoenix(&["plan"]);
        check(&asked, 0, &["guest_agent off → on"]);
        assert!(
            !asked.out.contains("changed outside") && !asked.err.contains("changed outside"),
            "{case}: {}",
            asked.out
        );
        scene.declare(r#"{ "virtual_machines": [] }"#);
        let gone = scene.phoenix(&["status", "--json"]);
        check(&gone, 0, &["talos"]);
        assert!(!gone.out.contains("guest_agent"), "{case}: {}", gone.out);
        scene.declare(&keys(""));
        let words = ["1 VM: 1 updated.", "; ready: running, its guest is not asked"];
        check(&scene.phoenix(&["restart", "1000", "--auto-approve"]), 0, &words);
        scene.declare(&keys(r#", "boot_disk_size_gb": 60, "network_model": "e1000""#));
        check(&scene.apply(), 0, &[]);
        is_done(scene, case);
        assert!(!scene.conf(1000).contains("agent:"), "{case}");
        scene.declare(r#"{ "virtual_machines": [] }"#);
        check(&scene.phoenix(&["import", "1000"]), 0, &[]);
        assert!(scene.config().contains(r#""ready": "running""#) || scene.config().contains(r#""ready":"running""#));
        is_done(scene, case);
    });
}
