//! A cluster, embedded or of Proxmox's nodes, of which phoenix reaches one: VMs are made on the node that fits, stay
//! where they may be, move instead of being remade, and a node that is down keeps only its own from anything.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use super::broken::{Way, step};
use super::places::{Place, Reached, stories};
use super::world::{Ran, Scene, check, ids};
use serde_json::{Value, json};

/// A cluster of three nodes, and a config of these VMs.
pub(crate) fn cluster(vms: &Value) -> Scene {
    let scene = Scene::with_node(&config(vms));
    for node in ["pve2", "pve3"] {
        check(&scene.phoenix(&["node", "add", node]), 0, &["is part of"]);
    }
    scene
}

/// The same, whose first node is reached like this.
fn reached(place: Place, vms: &Value) -> Reached {
    place.copy_of(&cluster(vms))
}

pub(crate) fn config(vms: &Value) -> String {
    json!({
        "hypervisor": { "never_same_node": ["etcd"] },
        "vm_defaults": { "memory_mb": 1024, "boot_disk_size_gb": 4 },
        "virtual_machines": vms
    })
    .to_string()
}

/// The node that has the VM's configuration.
#[track_caller]
pub(crate) fn node_of(scene: &Scene, vm: u32) -> String {
    let of = |node: &str| match node {
        "pve" => scene.node().join(format!("qemu-server/{vm}.conf")),
        other => scene.node().join(format!("nodes/{other}/qemu-server/{vm}.conf")),
    };
    let found: Vec<&str> = ["pve", "pve2", "pve3"].into_iter().filter(|node| of(node).exists()).collect();
    assert_eq!(found.len(), 1, "VM {vm} is on {found:?}");
    found[0].to_owned()
}

/// As the HA manager or an administrator moves a VM.
fn moved_by_others(scene: &Scene, vm: u32, to: &str) {
    let from = node_of(scene, vm);
    let path = |node: &str| match node {
        "pve" => scene.node().join("qemu-server"),
        other => scene.node().join(format!("nodes/{other}/qemu-server")),
    };
    fs::create_dir_all(path(to)).unwrap();
    let name = format!("{vm}.conf");
    fs::rename(path(&from).join(&name), path(to).join(&name)).unwrap();
}

fn set_online(scene: &Scene, node: &str, online: bool) {
    let file = scene.node().join("node.json");
    let mut settings: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    settings["nodes"][node]["online"] = online.into();
    fs::write(file, settings.to_string()).unwrap();
}

#[track_caller]
fn is_done(scene: &Scene) {
    let plan = scene.phoenix(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{}{}", plan.out, plan.err);
}

fn etcd(count: u32) -> Value {
    let vm = |n: u32| json!({ "vm_id": 1000 + n, "vm_name": format!("etcd-{n}"), "node": "any", "tags": ["etcd"] });
    (0..count).map(vm).collect()
}

fn vms_of_one_tag_are_spread_and_stay(place: Place) {
    let scene = reached(place, &etcd(3));
    check(&scene.apply(), 0, &[]);
    let nodes: Vec<String> = (1000..1003).map(|vm| node_of(&scene, vm)).collect();
    assert_eq!(nodes, ["pve", "pve2", "pve3"]);
    is_done(&scene);
    if place == Place::Embedded {
        check(&scene.phoenix(&["node", "show"]), 0, &["etcd-2 pve3 running"]);
    }
    // A fourth moves none of them.
    scene.declare(&config(&etcd(4)));
    check(&scene.apply(), 0, &[]);
    assert_eq!((1000..1003).map(|vm| node_of(&scene, vm)).collect::<Vec<_>>(), nodes);
    // Where the HA manager put one is as good.
    moved_by_others(&scene, 1000, "pve3");
    is_done(&scene);
}

fn another_node_in_the_file_moves_a_vm_as_it_is(place: Place) {
    let vm = |node: &str, running: bool| json!([{ "vm_id": 1000, "vm_name": "web", "node": node, "started": running }]);
    let scene = reached(place, &vm("pve2", true));
    check(&scene.apply(), 0, &[]);
    assert_eq!(node_of(&scene, 1000), "pve2");
    let conf = || fs::read_to_string(scene.node().join("nodes/pve3/qemu-server/1000.conf")).unwrap();
    let before = fs::read_to_string(scene.node().join("nodes/pve2/qemu-server/1000.conf")).unwrap();
    scene.declare(&config(&vm("pve3", true)));
    check(
        &scene.phoenix(&["plan"]),
        0,
        &["pve2 → pve3 the file names no other; it moves while it runs; scsi0 on `local-zfs` is copied, 4 GiB"],
    );
    // The commands are those of the node that it is on.
    check(&scene.phoenix(&["plan", "--commands"]), 0, &["pvesh create /nodes/pve2/qemu/1000/migrate --target pve3"]);
    let ran = scene.apply();
    check(&ran, 0, &[]);
    assert_eq!(ids(&ran.events, "action_started"), ["1000/migrate"]);
    assert_eq!(conf(), before, "nothing of it changed");
    is_done(&scene);
    // Its guest is reached there.
    check(&scene.phoenix(&["plan", "--verify-guest", "--detailed-exitcode"]), 0, &[]);
    scene.declare(&config(&vm("pve", false)));
    let ran = scene.apply();
    check(&ran, 0, &[]);
    assert_eq!(ids(&ran.events, "action_started")[..2], ["1000/stop", "1000/migrate"]);
    assert_eq!(node_of(&scene, 1000), "pve");
    check(&scene.phoenix(&["destroy", "1000", "--yes-destroy", "1000"]), 0, &[]);
}

fn a_node_that_is_down_keeps_only_its_own_vms_from_anything(place: Place) {
    let vms = |memory: u32| {
        json!([
            { "vm_id": 1000, "vm_name": "here", "memory_mb": memory },
            { "vm_id": 1001, "vm_name": "there", "node": "pve2", "memory_mb": memory, "boot_disk_storage": "local-nfs" },
            { "vm_id": 1002, "vm_name": "either", "node": ["pve2", "pve3"], "memory_mb": memory }
        ])
    };
    let scene = reached(place, &vms(1024));
    // The disk of the one that is lost lies where all nodes see it.
    let storages = scene.node().join("storage.cfg");
    let text = fs::read_to_string(&storages).unwrap();
    fs::write(&storages, text.replace("content backup,snippets", "content backup,snippets,images")).unwrap();
    check(&scene.phoenix(&["apply", "--auto-approve", "--only", "here,there"]), 0, &[]);
    set_online(&scene, "pve2", false);
    scene.declare(&config(&vms(2048)));
    let says = ["warning[T053]: VM 1001 `there`: node `pve2`, on which the VM is, is not online", "1 blocked"];
    check(&scene.phoenix(&["plan"]), 1, &says);
    let ran = scene.phoenix(&["apply", "--auto-approve"]);
    check(&ran, 6, &["3 VMs: 1 left alone: their node is not online, 1 created, 1 updated"]);
    assert_eq!(node_of(&scene, 1002), "pve3", "the other node is as good");
    for words in
        [&["stop", "1001", "--auto-approve"][..], &["create", "1001"], &["destroy", "1001", "--yes-destroy", "there"]]
    {
        let ran = scene.phoenix(words);
        assert!(ran.code != Some(0) && ran.err.contains("not online"), "{words:?}: {}{}", ran.out, ran.err);
    }
    let anew = ["apply", "--recreate", "1001", "--yes-destroy", "there", "--auto-approve"];
    let says =
        "error[T053]: VM 1001 `there`: node `pve2`, on which the VM is, is not online: it can neither be destroyed";
    check(&scene.phoenix(&anew), 1, &[says, "hint: bring the node up, or leave `--recreate` out", "nothing was done"]);
    check(&scene.phoenix(&["status"]), 0, &["1001 there yes unknown"]);
    assert_eq!(node_of(&scene, 1001), "pve2");
    set_online(&scene, "pve2", true);
    check(&scene.phoenix(&["apply", "--auto-approve"]), 0, &["3 VMs: 1 updated, 2 unchanged"]);
}

fn the_node_that_was_agreed_upon_is_kept(place: Place) {
    let scene = reached(place, &json!([{ "vm_id": 1000, "vm_name": "web", "node": "any", "memory_mb": 1024 }]));
    check(&scene.phoenix(&["plan", "--out", "p.json"]), 0, &["node pve of pve, pve2, pve3"]);
    // By now another node would be chosen.
    let other = json!([{ "vm_id": 1500, "vm_name": "other", "memory_mb": 1024 }]);
    let config_of_vm = scene.config();
    scene.declare(&config(&other));
    check(&scene.apply(), 0, &[]);
    scene.declare(&config_of_vm);
    check(&scene.phoenix(&["plan"]), 0, &["node pve2 of pve, pve2, pve3"]);
    check(&scene.phoenix(&["apply", "p.json"]), 0, &["1 created"]);
    assert_eq!(node_of(&scene, 1000), "pve");
}

fn a_vm_that_moved_since_the_plan_is_followed(place: Place) {
    let vm = |memory: u32| json!([{ "vm_id": 1000, "vm_name": "web", "node": "any", "memory_mb": memory }]);
    let scene = reached(place, &vm(1024));
    check(&scene.apply(), 0, &[]);
    scene.declare(&config(&vm(2048)));
    check(&scene.phoenix(&["plan", "--restart", "--out", "p.json"]), 0, &[]);
    moved_by_others(&scene, 1000, "pve3");
    let ran: Ran = scene.phoenix(&["apply", "p.json"]);
    check(&ran, 0, &["1 updated"]);
    assert_eq!(node_of(&scene, 1000), "pve3");
    is_done(&scene);
}

fn a_vm_on_its_way_is_waited_for(place: Place) {
    let vm = |memory: u32| json!([{ "vm_id": 1000, "vm_name": "web", "node": "any", "memory_mb": memory }]);
    let scene = reached(place, &vm(1024));
    check(&scene.apply(), 0, &[]);
    scene.declare(&config(&vm(2048)));
    let task = scene.node().join("tasks/active/UPID:pve:0000FFFF:00000001:60000000:qmigrate:1000:root@pam:");
    fs::write(&task, "").unwrap();
    let at_work = fs::File::open(&task).unwrap();
    at_work.lock().unwrap();
    scene.set_conf(1000, &format!("lock: migrate\n{}", scene.conf(1000)));
    check(&scene.phoenix(&["plan"]), 1, &["error[T045]: VM 1000 `web`: it is being migrated to another node"]);
    let mut apply = scene.command(&["apply", "--auto-approve", "--restart"]);
    let mut apply = apply.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(apply.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("VM 1000 `web` is being migrated to another node: waiting until it has arrived") {
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "{line}");
    }
    scene.set_conf(1000, &scene.conf(1000).replace("lock: migrate\n", ""));
    moved_by_others(&scene, 1000, "pve3");
    fs::remove_file(&task).unwrap();
    drop(at_work);
    // It must not be kept from ending by what it says.
    said.read_to_string(&mut line).unwrap();
    let ran = Ran::of(apply.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(0), "{line}{}", ran.out);
    assert_eq!(node_of(&scene, 1000), "pve3");
    is_done(&scene);
}

/// As `ha-manager crm-command node-maintenance enable` leaves it.
fn set_maintenance(scene: &Scene, nodes: &[&str]) {
    fs::create_dir_all(scene.node().join("ha")).unwrap();
    let state = |node: &str| if nodes.contains(&node) { "maintenance" } else { "online" };
    let status: serde_json::Map<String, Value> =
        ["pve", "pve2", "pve3"].map(|node| (node.to_owned(), state(node).into())).into_iter().collect();
    let status = json!({ "master_node": "pve", "node_status": status, "service_status": {} });
    fs::write(scene.node().join("ha/manager_status"), status.to_string()).unwrap();
}

fn no_vm_is_placed_on_a_node_in_maintenance(place: Place) {
    let vms = json!([
        { "vm_id": 1000, "vm_name": "first", "node": ["pve2", "pve3"] },
        { "vm_id": 1001, "vm_name": "stays", "node": ["pve2"] }
    ]);
    let scene = reached(place, &vms);
    check(&scene.phoenix(&["apply", "--auto-approve", "--only", "stays"]), 0, &[]);
    set_maintenance(&scene, &["pve2"]);
    check(&scene.phoenix(&["plan"]), 0, &["node pve3 of pve2, pve3", "pve3 +··", "memory 0 → 1 of 64 GiB"]);
    check(&scene.phoenix(&["status"]), 0, &["pve2 in maintenance: no VM is placed there; 1 VM, 1 running"]);
    set_maintenance(&scene, &["pve2", "pve3"]);
    let nowhere = "`pve2`: in maintenance; `pve3`: in maintenance";
    check(&scene.phoenix(&["plan"]), 1, &["warning[T053]: VM 1000 `first`", nowhere]);
    // What is there is looked after all the same; it moves only where the file says so.
    scene.declare(&config(&json!([{ "vm_id": 1001, "vm_name": "stays", "node": ["pve2"], "memory_mb": 2048 }])));
    check(&scene.phoenix(&["apply", "--restart", "--auto-approve"]), 0, &["1 VM: 1 updated"]);
    assert_eq!(node_of(&scene, 1001), "pve2");
    scene.declare(&config(&json!([{ "vm_id": 1001, "vm_name": "stays", "node": "pve3", "memory_mb": 2048 }])));
    check(&scene.phoenix(&["plan"]), 1, &["warning[T053]: VM 1001 `stays`", "`pve3`: in maintenance"]);
    set_maintenance(&scene, &[]);
    check(&scene.apply(), 0, &[]);
    assert_eq!(node_of(&scene, 1001), "pve3");
    is_done(&scene);
}

fn status_and_plan_say_what_each_node_has_promised(place: Place) {
    let vms = |memory: u32| {
        json!([
            { "vm_id": 1000, "vm_name": "here", "memory_mb": memory },
            { "vm_id": 1001, "vm_name": "there", "node": "pve2", "memory_mb": 1024 }
        ])
    };
    let scene = reached(place, &vms(1024));
    let says = ["memory 0 → 1 of 64 GiB, local-zfs +4 GiB", "▒ promised to VMs + this plan adds"];
    check(&scene.phoenix(&["plan"]), 0, &says);
    check(&scene.apply(), 0, &[]);
    let status = scene.phoenix(&["status"]);
    check(&status, 0, &["1 of 64 GiB promised", "pve2 1 VM, 1 running memory", "pve3 no VMs memory ··"]);
    let order: Vec<usize> = ["pve ", "1000 here", "pve2 ", "1001 there", "pve3 "]
        .iter()
        .map(|part| status.out.find(&format!("\n{part}")).unwrap_or_else(|| panic!("{part}: {}", status.out)))
        .collect();
    assert!(order.is_sorted(), "{order:?}: {}", status.out);
    let status: Value = serde_json::from_str(&scene.phoenix(&["status", "--format", "json"]).out).unwrap();
    let nodes = &status["cluster"]["nodes"];
    assert_eq!(nodes[1]["memory"]["promised_mb"], 1024);
    assert_eq!((&nodes[1]["vms"], &nodes[2]["vms"]), (&json!([1001]), &json!([])));
    assert!(nodes[1]["memory"]["used_mb"].is_u64() && nodes[0]["memory"]["used_mb"].is_u64(), "{nodes}");
    // What changes nothing there says nothing of it.
    scene.declare(&config(&vms(2048)).replace("\"here\"", "\"here\", \"tags\": [\"a\"]").replace("2048", "1024"));
    let plan = scene.phoenix(&["plan"]);
    check(&plan, 0, &["1 to update"]);
    assert!(!plan.out.contains("promised"), "{}", plan.out);
}

fn what_keeps_a_vm_from_moving_is_said_before(place: Place) {
    let vm = |node: &str| json!([{ "vm_id": 1000, "vm_name": "web", "node": node }]);
    let scene = reached(place, &vm("pve"));
    check(&scene.apply(), 0, &[]);
    scene.declare(&config(&vm("pve2")));
    let conf = scene.conf(1000);
    let with = |more: &str| scene.set_conf(1000, &conf.replacen("scsi0: ", &format!("{more}\nscsi0: "), 1));
    // What phoenix sees itself is said once, though Proxmox says it, too.
    with("ide0: local:iso/a.iso,media=cdrom,size=1M");
    let plan = scene.phoenix(&["plan"]);
    check(&plan, 1, &["to `pve2`: ide0 has `local:iso/a.iso`, which only that node sees", "hint: eject it first"]);
    assert_eq!(plan.err.matches("error[").count(), 1, "{}", plan.err);
    // Proxmox alone says this.
    let in_snapshot = "\n[before]\nide0: local:iso/b.iso,media=cdrom,size=1M\nsnaptime: 1795000000\n";
    scene.set_conf(1000, &format!("{}{in_snapshot}", conf.trim_end()));
    check(&scene.phoenix(&["plan"]), 1, &["`local:iso/b.iso`, which only that node sees"]);
    // An unused volume goes along: Proxmox's answer says of none whether it is there, and the task finds out.
    with("unused0: local-zfs:vm-1000-disk-9");
    let gone = "unused0 names the volume `local-zfs:vm-1000-disk-9`, which is no longer there";
    check(&scene.phoenix(&["plan"]), 1, &["error[T101]", gone, "`qm set 1000 --delete unused0`"]);
    fs::write(scene.node().join("images/local-zfs/1000/vm-1000-disk-9"), "1073741824").unwrap();
    check(&scene.phoenix(&["plan"]), 0, &["pve → pve2"]);
    // And this breaks it, while the VM has what goes with its next stop.
    with("hostpci0: mapping=gpu");
    check(&scene.phoenix(&["plan"]), 1, &["error[T100]", "`pve2`: there is no mapping `gpu` for hostpci0"]);
    scene.set_conf(1000, &format!("{}\n[PENDING]\ndelete: hostpci0\n", scene.conf(1000).trim_end()));
    let says =
        ["error[T118]: VM 1000 `web`: whether the VM can move to node `pve2` is not known:", "Can't use an undefined"];
    check(&scene.phoenix(&["plan"]), 1, &says);
    // The same of a VM of another node.
    scene.set_conf(1000, &conf);
    check(&scene.apply(), 0, &[]);
    assert_eq!(node_of(&scene, 1000), "pve2");
    scene.declare(&config(&vm("pve3")));
    let there = scene.node().join("nodes/pve2/qemu-server/1000.conf");
    fs::write(&there, format!("{}{in_snapshot}", conf.trim_end())).unwrap();
    check(&scene.phoenix(&["plan"]), 1, &["to `pve3`: ", "`local:iso/b.iso`, which only that node sees"]);
    // A new VM is made on a node that has what it needs.
    fs::create_dir_all(scene.node().join("mapping")).unwrap();
    fs::write(scene.node().join("mapping/pci.cfg"), "gpu\n\tmap id=1:2,node=pve3,path=0000:01:00.0\n").unwrap();
    let new = json!([{ "vm_id": 1001, "vm_name": "new", "node": "any", "proxmox": { "hostpci0": "mapping=gpu" } }]);
    scene.declare(&config(&new));
    check(&scene.phoenix(&["plan"]), 0, &["node pve3 of pve, pve2, pve3"]);
    // That node is asked for the images on its own storages.
    let new = json!([{ "vm_id": 1001, "vm_name": "new", "node": "pve2", "cdrom": { "ide0": "local:iso/b.iso" } }]);
    scene.declare(&config(&new));
    check(&scene.phoenix(&["plan"]), 1, &["error[T100]", "`pve2`: it has no ISO image `local:iso/b.iso`"]);
    let images = scene.node().join("root/var/lib/vz/template/iso");
    fs::create_dir_all(&images).unwrap();
    fs::write(images.join("b.iso"), "12345678").unwrap();
    let plan = scene.phoenix(&["plan"]);
    check(&plan, 0, &["local:iso/b.iso"]);
    assert!(!plan.err.contains("T109"), "{}", plan.err);
}

/// A snapshot on a disk that only its node has: Proxmox copies both, though not while the VM runs.
fn with_local_snapshot(scene: &Scene) {
    let conf = scene.conf(1000);
    let disk = conf.lines().find(|line| line.starts_with("scsi0: ")).unwrap();
    scene.set_conf(1000, &format!("{}\n\n[before]\n{disk}\nsnaptime: 1795000000\n", conf.trim_end()));
}

fn a_vm_that_cannot_move_while_it_runs_is_shut_down_for_it(place: Place) {
    let vm = |node: &str, more: &Value| {
        let mut vm = json!({ "vm_id": 1000, "vm_name": "web", "node": node });
        vm.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config(&json!([vm]))
    };
    let scene = reached(place, &json!([{ "vm_id": 1000, "vm_name": "web", "node": "pve" }]));
    check(&scene.apply(), 0, &[]);
    with_local_snapshot(&scene);
    scene.declare(&vm("pve2", &json!({})));
    let refused = "from node `pve` to `pve2` while it runs: scsi0 is copied, and has snapshots (`before`)";
    let hint = "hint: `--restart` lets it be shut down, moved and started again";
    check(&scene.phoenix(&["apply", "--auto-approve"]), 1, &["error[T101]", refused, hint]);
    assert_eq!(node_of(&scene, 1000), "pve");
    let plan = scene.phoenix(&["plan", "--restart"]);
    check(&plan, 0, &["it is shut down, moved and started again: scsi0 is copied", "1 to update (1 restarts now)"]);
    let ran = scene.phoenix(&["apply", "--auto-approve", "--restart"]);
    assert_eq!(node_of(&scene, 1000), "pve2", "{}{}", ran.out, ran.err);
    assert!(scene.runs(1000));
    is_done(&scene);
    if place != Place::Embedded {
        return;
    }
    // A snapshot of a run is taken where the VM comes to be: before, it would keep the disk where it is.
    let conf = scene.node().join("nodes/pve2/qemu-server/1000.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text.split("\n[before]").next().unwrap()).unwrap();
    scene.declare(&vm("pve3", &json!({ "memory_mb": 2048 })));
    let args = ["apply", "--auto-approve", "--restart", "--snapshot"];
    check(&scene.phoenix(&args), 0, &["1 VM: 1 updated"]);
    assert_eq!(node_of(&scene, 1000), "pve3");
    // A linked clone stays with the disk that it is built on.
    let linked = json!([{ "vm_id": 1001, "vm_name": "linked", "full_clone": false }]);
    scene.declare(&config(&linked));
    check(&scene.apply(), 0, &[]);
    scene.declare(&config(&linked).replace("\"linked\"", "\"linked\", \"node\": \"pve2\""));
    check(&scene.phoenix(&["plan"]), 1, &["scsi0 is a linked clone, and only `pve` has the disk it is built on"]);
}

#[test]
fn a_node_is_added_with_its_storages() {
    let scene = cluster(&json!([]));
    let added = ["node", "add", "pve4", "--storage", "fast=50", "--storage", "ceph=200,shared", "--storage", "local=7"];
    check(&scene.phoenix(&added), 0, &["node pve4 is part of"]);
    check(&scene.phoenix(&["node", "add", "pve5", "--storage", "fast=60"]), 0, &[]);
    let shown = scene.phoenix(&["node", "show"]);
    let lines =
        ["node pve4:", "storages fast (50 GiB), local (7 GiB)", "storages fast (60 GiB)", "ceph rbd yes 200 200"];
    check(&shown, 0, &lines);
    for (storage, refused) in [
        ("fast=5,shared", "storage `fast` is there already and is not shared"),
        ("ceph", "storage `ceph` is there already and is shared by all nodes"),
        ("fast=x", "its size is a number of GiB"),
        ("a b", "is no id of a storage"),
    ] {
        let ran = scene.phoenix(&["node", "add", "pve6", "--storage", storage]);
        assert!(ran.code != Some(0) && ran.err.contains(refused), "{storage}: {}", ran.err);
    }
    // The first node clones on a storage that it has, too.
    scene.declare(&config(&json!([{ "vm_id": 1000, "vm_name": "web", "node": "pve4", "boot_disk_storage": "ceph" }])));
    check(&scene.apply(), 0, &[]);
    let grown = json!([{ "vm_id": 1000, "vm_name": "web", "node": "pve4", "boot_disk_storage": "ceph", "disks": {
        "scsi1": { "size_gb": 2, "storage": "fast" } } }]);
    scene.declare(&config(&grown));
    check(&scene.apply(), 0, &[]);
    assert!(
        fs::read_to_string(scene.node().join("nodes/pve4/qemu-server/1000.conf")).unwrap().contains("scsi1: fast:")
    );
    scene
        .declare(&config(&json!([{ "vm_id": 1001, "vm_name": "other", "node": "pve2", "boot_disk_storage": "fast" }])));
    check(&scene.phoenix(&["plan"]), 1, &["`pve2`: it has no storage `fast` for disks"]);
}

stories! {
    a_vm_that_cannot_move_while_it_runs_is_shut_down_for_it,
    what_keeps_a_vm_from_moving_is_said_before,
    a_vm_on_its_way_is_waited_for,
    vms_of_one_tag_are_spread_and_stay,
    another_node_in_the_file_moves_a_vm_as_it_is,
    a_node_that_is_down_keeps_only_its_own_vms_from_anything,
    the_node_that_was_agreed_upon_is_kept,
    a_vm_that_moved_since_the_plan_is_followed,
    no_vm_is_placed_on_a_node_in_maintenance,
    status_and_plan_say_what_each_node_has_promised,
}

/// A VM that runs moves to another node.
pub(crate) const MIGRATED: Way = Way {
    begin: || {
        let scene = cluster(&json!([{ "vm_id": 1000, "vm_name": "web" }]));
        check(&scene.apply(), 0, &[]);
        scene.declare(&config(&json!([{ "vm_id": 1000, "vm_name": "web", "node": ["pve2", "pve3"] }])));
        scene
    },
    once: &["qmigrate"],
    steps: &[step("1000/migrate", "migrate")],
    ..Way::PLAIN
};

/// A VM that cannot move while it runs is shut down for it, and started again.
pub(crate) const STOPPED_TO_MOVE: Way = Way {
    begin: || {
        let scene = cluster(&json!([{ "vm_id": 1000, "vm_name": "web" }]));
        check(&scene.apply(), 0, &[]);
        with_local_snapshot(&scene);
        scene.declare(&config(&json!([{ "vm_id": 1000, "vm_name": "web", "node": "pve2" }])));
        scene
    },
    words: &["apply", "--auto-approve", "--json", "--restart"],
    plan: &["plan", "--restart", "--detailed-exitcode"],
    places: &[Place::Embedded],
    once: &["qmigrate"],
    steps: &[step("1000/stop", "shutdown"), step("1000/migrate", "migrate"), step("1000/start", "start")],
    ..Way::PLAIN
};

/// One is made where its template is, and moves before its first start.
pub(crate) const PLACED: Way = Way {
    begin: || cluster(&json!([{ "vm_id": 1000, "vm_name": "web", "node": "pve2" }])),
    steps: &[step("1000/migrate", "migrate"), step("1000/clone", "clone")],
    ..Way::PLAIN
};
