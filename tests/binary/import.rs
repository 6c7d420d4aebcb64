//! `phoenix import`: what it takes and what it refuses, and what it writes.

use std::fs;

use super::broken::{Way, inside, step};
use super::loops::CONFIG;
use super::places::Place;
use super::world::{Scene, check, ids};
use serde_json::{Value, json};

const EMPTY: &str = "{\n  \"virtual_machines\": []\n}\n";

/// A VM that people made: it fits the defaults but for its disk.
fn conf(vm: u32, name: &str) -> String {
    format!(
        "#by hand\nagent: 1\nboot: order=scsi0\ncores: 2\nmemory: 4096\nname: {name}\n\
         net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=5\nostype: l26\n\
         scsi0: local-zfs:vm-{vm}-disk-0,size=8G\nsmbios1: uuid={}\n",
        uuid(vm)
    )
}

fn uuid(vm: u32) -> String {
    format!("00000000-0000-4000-8000-{vm:012}")
}

/// An embedded node with a config.
fn scene(config: &str) -> Scene {
    let scene = Scene::with_node(config);
    assert_eq!(scene.phoenix(&["node", "show"]).code, Some(0));
    scene
}

#[test]
fn what_cannot_be_imported_is_refused_with_the_reason() {
    let record = |vm: u32, project: &str| {
        let uuid = uuid(105).replace('-', "\\u002d");
        format!("#<!-- phoenix {{\"v\"%3A1,\"project\"%3A\"{project}\",\"vm\"%3A{vm},\"uuid\"%3A\"{uuid}\"}} -->\n")
    };
    let plain = conf(105, "web");
    let with = |line: &str| plain.clone() + line;
    let but = |from: &str, to: &str| {
        assert!(plain.contains(from), "{from}");
        plain.replace(from, to)
    };
    let disk = "scsi0: local-zfs:vm-105-disk-0,size=8G\n";
    let net = "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=5\n";
    let cases = [
        (with("template: 1\n"), "VM 105 `web`: the VM is a template"),
        (with("lock: backup\n"), ": locked (backup)"),
        (with("lock: clone\n"), ": locked (clone)"),
        ("# qmclone temporary file\nlock: clone\n".to_owned(), ": half cloned"),
        (record(105, "theirs") + &plain, "the VM belongs to project `theirs`"),
        (record(105, "a") + &record(105, "b") + &plain, "the record in its notes is broken"),
        (format!("#<!-- phoenix nonsense -->\n{plain}"), "the record in its notes is broken"),
        (but(&format!("smbios1: uuid={}\n", uuid(105)), ""), "VM 105 `web`: the VM has no uuid"),
        (but("name: web\n", ""), ": the VM has no name"),
        (but("name: web", "name: web_server"), "`web_server` is not a DNS name: it contains `_`"),
        (but("name: web", "name: FIRST"), "VM 900 is also called `FIRST`"),
        (but(disk, ""), "the VM boots from no disk that can be found"),
        (but("order=scsi0", "order=net0"), "the VM boots from no disk that can be found"),
        (but(disk, "scsi0: local:iso/a.iso,media=cdrom\n"), "the VM boots from no disk that can be found"),
        (but(",size=8G", ""), "does not say how large scsi0 is"),
        (but("local-zfs:vm-105-disk-0", "/dev/disk/by-id/x"), "boots from /dev/disk/by-id/x, a device of the node"),
        (but(net, ""), "it has no network card net0"),
        (but(",bridge=vmbr0", ""), "net0 is on no bridge"),
        (but("bridge=vmbr0", "bridge=vmbr7"), "there is no bridge `vmbr7`"),
        (but("net0: virtio", "net0: model=newer,macaddr"), "`network_model` cannot be `newer`"),
        (but("ostype: l26", "ostype: l27"), "`os_type` cannot be `l27`"),
        (but("cores: 2", "cores: 5000"), "`cpu_cores` is `5000`, but must be from 1 to 1024"),
        (with("tags: b%c\n"), "`b%c` cannot be a tag"),
        (format!("#a%1Bb\n{plain}"), "the text contains the control character U+001B"),
        (format!("#{}\n{plain}", "x".repeat(8150)), "the notes would have"),
        (format!("#{}\n{plain}", "x".repeat(7000)), "the description has 7008 characters; 6692 are possible"),
    ];
    let declared = r#"{ "virtual_machines": [{ "vm_id": 900, "vm_name": "first" }] }"#;
    for (conf, says) in cases {
        let scene = scene(declared);
        scene.set_conf(105, &conf);
        scene.set_conf(106, &self::conf(106, "fine"));
        let ran = scene.phoenix(&["import", "105", "106"]);
        check(&ran, 1, &[says, "nothing was written"]);
        assert!(ran.err.contains("105"), "{}", ran.err);
        assert_eq!(scene.config(), declared, "{says}");
        // Asked for what can be imported, it goes on without it, and says so.
        check(&scene.phoenix(&["import", "--all"]), 0, &[says, "1 VM written", "2 VMs left out"]);
        assert!(scene.config().contains("\"fine\"") && !scene.config().contains("\"vm_id\": 105"), "{says}");
        assert_eq!(scene.conf(105), conf);
    }
}

/// A VM larger than the node is there all the same. Only where it is to be started, or to become so large, it is
/// refused.
fn check_larger_than_the_node(scene: &Scene) {
    let stopped = conf(105, "web").replace("cores: 2", "cores: 1000").replace("memory: 4096", "memory: 9999999");
    scene.set_conf(105, &stopped);
    let says = ["9999999 MiB of memory are asked for, the node has", "1000 CPUs are asked for", "1 VM written"];
    check(&scene.phoenix(&["import", "105"]), 0, &says);
    assert!(scene.config().contains("\"started\": false"), "{}", scene.config());
    check(&scene.phoenix(&["plan"]), 0, &["notice[T007]", "notice[T009]", "1 to update"]);
    check(&scene.apply(), 0, &["notice[T009]"]);
    check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &["notice[T009]", "1 unchanged"]);
    let starts = ["error[T007]", "error[T009]", "the VM exists and is to be started"];
    for (from, to, says) in [
        ("\"started\": false", "\"started\": true", &starts[..]),
        ("\"cpu_cores\": 1000", "\"cpu_cores\": 1001", &["1001 CPUs are asked for"]),
    ] {
        scene.edit(from, to);
        check(&scene.phoenix(&["plan"]), 1, says);
        scene.edit(to, from);
    }
}

#[test]
fn a_vm_larger_than_the_node_is_imported() {
    check_larger_than_the_node(&scene(EMPTY));
    for place in [Place::Here, Place::Ssh].into_iter().filter(|place| place.is_possible()) {
        check_larger_than_the_node(&place.scene(EMPTY));
    }
}

#[test]
fn every_refusal_is_told_at_once() {
    let scene = scene(EMPTY);
    scene.set_conf(105, &(conf(105, "a_b") + "lock: backup\n"));
    scene.set_conf(106, &conf(106, "c_d").replace("cores: 2", "cores: 5000"));
    scene.set_conf(107, &conf(107, "same"));
    scene.set_conf(108, &conf(108, "Same"));
    let says = [
        ": locked (backup)",
        "no entry can be written for the VM: `c_d` is not a DNS name",
        "no entry can be written for the VM: `cpu_cores` is `5000`",
        "VM 107 is also called `Same`",
        "VM 109: there is no such VM",
        "VM 9000 `ubuntu-22.04-cloud-template-v3`: the VM is a template",
    ];
    check(&scene.phoenix(&["import", "105", "106", "107", "108", "109", "9000"]), 1, &says);
    assert_eq!(scene.config(), EMPTY);
}

#[test]
fn nothing_is_asked_for_by_accident() {
    let scene = scene(EMPTY);
    scene.set_conf(105, &(conf(105, "web") + "tags: blue;green\n"));
    for (arguments, says) in [
        (&["import"][..], "required arguments were not provided"),
        (&["import", "--all", "105"], "cannot be used with"),
        (&["import", "wep"], "no VM of the target has the name or tag `wep`"),
        (&["import", "--tag", "gren"], "did you mean `green`?"),
    ] {
        check(&scene.phoenix(arguments), 4, &[says]);
    }
    scene.declare("{");
    check(&scene.phoenix(&["import", "105"]), 3, &["error[P009]"]);
    fs::remove_file(scene.path("phoenix_vm_configs.json")).unwrap();
    check(&scene.phoenix(&["import", "105"]), 3, &["write one with `phoenix init`"]);
    assert!(!scene.path("phoenix_vm_configs.json").exists());
}

#[test]
fn vms_are_found_by_tag_and_shown_without_being_written() {
    let scene = scene(EMPTY);
    scene.set_conf(105, &(conf(105, "a") + "tags: blue;green\n"));
    scene.set_conf(106, &(conf(106, "b") + "tags: green\n"));
    scene.set_conf(107, &(conf(107, "c") + "tags: red\n"));
    let shown = scene.phoenix(&["import", "--tag", "Green", "--dry-run"]);
    check(&shown, 0, &["+      \"vm_name\": \"a\",", "2 VMs would be written"]);
    assert_eq!(scene.config(), EMPTY);
    let named = scene.phoenix(&["import", "a", "106", "green", "--dry-run"]);
    check(&named, 0, &["`a` names 1 VM: 105 `a`", "`green` names 2 VMs: 105 `a`, 106 `b`", "2 VMs would be written"]);
    assert_eq!(shown.out, named.out, "a name or a tag stands for the same as VMIDs");
    let written = scene.phoenix(&["import", "--tag", "Green"]);
    check(&written, 0, &["2 VMs written"]);
    assert_eq!(shown.out, written.out, "what was shown is what is written");
    let vms: Value = serde_json::from_str(&scene.config()).unwrap();
    let ids: Vec<u64> =
        vms["virtual_machines"].as_array().unwrap().iter().filter_map(|vm| vm["vm_id"].as_u64()).collect();
    assert_eq!(ids, [105, 106]);
}

#[cfg(unix)]
#[test]
fn the_file_stays_what_it_is() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let scene = scene(EMPTY);
    let text = "{\r\n    \"vm_defaults\":  { \"memory_mb\" : 1024 },\r\n    \"virtual_machines\": [\r\n        {\r\n            \
                \"vm_id\": 900,\r\n            \"vm_name\": \"first\"\r\n        }\r\n    ]\r\n}";
    fs::remove_file(scene.path("phoenix_vm_configs.json")).unwrap();
    fs::write(scene.path("real.json"), text).unwrap();
    fs::set_permissions(scene.path("real.json"), fs::Permissions::from_mode(0o664)).unwrap();
    symlink("real.json", scene.path("phoenix_vm_configs.json")).unwrap();
    scene.set_conf(105, &conf(105, "web"));
    check(&scene.phoenix(&["import", "105"]), 0, &["1 VM written"]);
    assert!(fs::symlink_metadata(scene.path("phoenix_vm_configs.json")).unwrap().is_symlink());
    assert_eq!(fs::metadata(scene.path("real.json")).unwrap().permissions().mode() & 0o777, 0o664);
    let now = scene.config();
    let start = now.find("        {\r\n            \"vm_id\": 105").unwrap();
    let end = now.find("        {\r\n            \"vm_id\": 900").unwrap();
    assert_eq!(now[..start].to_owned() + &now[end..], text);
    assert!(!now[start..end].replace("\r\n", "").contains('\n'));
}

#[test]
fn a_declared_vm_is_taken_over_as_it_is_declared() {
    let declared =
        r#"{ "virtual_machines": [{ "vm_id": 105, "vm_name": "web", "boot_disk_size_gb": 8, "cpu_cores": 4 }] }"#;
    let scene = scene(declared);
    scene.set_conf(105, &conf(105, "web"));
    scene.set_running(105);
    check(&scene.phoenix(&["apply", "--auto-approve"]), 1, &["take it over with `phoenix import 105`"]);
    check(
        &scene.phoenix(&["import", "105"]),
        0,
        &["the VM differs from its entry: apply changes cpu_cores, description"],
    );
    assert_eq!(scene.config(), declared.replace(" }] }", &format!(", \"adopt\": \"{}\" }}] }}", uuid(105))));
    check(&scene.phoenix(&["import", "105"]), 0, &["1 VM declared already", "Nothing to write"]);
    // `create` completes half-made VMs without asking, and this is none.
    check(&scene.phoenix(&["create", "105"]), 1, &["`create` changes nothing about a finished VM"]);
    for verb in [&["stop", "105", "--auto-approve"][..], &["destroy", "105", "--yes-destroy", "web"]] {
        check(&scene.phoenix(verb), 1, &["which phoenix did not make"]);
    }
    assert_eq!(scene.conf(105), conf(105, "web"));
    let ran = scene.apply();
    check(&ran, 0, &[]);
    assert_eq!(ids(&ran.events, "action_started"), ["105/adopt", "105/configure", "105/record"]);
    assert!(scene.conf(105).contains("[PENDING]\ncores: 4\n"), "{}", scene.conf(105));
    // Once ours, `adopt` does nothing.
    scene.declare(&scene.config().replace(&uuid(105), &uuid(999)));
    check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &["no-op, waits for a restart"]);
}

#[test]
fn another_vm_is_not_taken_over() {
    let scene = scene(EMPTY);
    scene.set_conf(105, &conf(105, "web"));
    check(&scene.phoenix(&["import", "105"]), 0, &[]);
    let another = conf(105, "web").replace(&uuid(105), &uuid(999));
    scene.set_conf(105, &another);
    check(&scene.apply(), 1, &["it is not the one whose uuid stands in `adopt`"]);
    assert_eq!(scene.conf(105), another);
    // Where there is none any more, a blank one is not what was agreed to.
    fs::remove_file(scene.node().join("qemu-server/105.conf")).unwrap();
    check(&scene.phoenix(&["plan"]), 1, &["error[T074]", "to have a new, empty VM made, take `adopt` out"]);
}

#[test]
fn a_vm_that_moved_since_it_was_planned_is_not_taken_over() {
    let scene = scene(EMPTY);
    scene.set_conf(105, &conf(105, "web"));
    check(&scene.phoenix(&["import", "105"]), 0, &[]);
    check(&scene.phoenix(&["plan", "--out", "plan.json"]), 0, &["taken over"]);
    let moved = conf(105, "web").replace("cores: 2", "cores: 3");
    scene.set_conf(105, &moved);
    check(&scene.phoenix(&["apply", "plan.json"]), 5, &["cpu_cores: no change was planned"]);
    assert_eq!(scene.conf(105), moved);
    scene.set_conf(105, &conf(105, "web"));
    check(&scene.phoenix(&["apply", "plan.json"]), 0, &["105 web  adopt"]);
}

#[test]
fn a_vm_of_ours_that_the_file_lost_comes_back_as_it_was() {
    let scene = Scene::with_node(CONFIG);
    check(&scene.apply(), 0, &[]);
    let world = scene.world();
    let made: Value = serde_json::from_str(CONFIG).unwrap();
    let made = &made["virtual_machines"][0];
    let key = &made["user_config"]["ssh_authorized_keys"][0];
    let nobody = r#"{ "vm_defaults": { "boot_disk_size_gb": 8, "memory_mb": 1024 }, "virtual_machines": [] }"#;
    let somebody = nobody.replace("1024", &format!("1024, \"user_config\": {{ \"ssh_authorized_keys\": [{key}] }}"));
    for (config, known) in [(nobody, false), (&somebody, true)] {
        scene.declare(config);
        let ran = scene.phoenix(&["import", "--all"]);
        check(&ran, 0, &["2 VMs written"]);
        assert_eq!(ran.err.contains("the SSH keys stay as they are"), !known, "{}", ran.err);
        assert!(!scene.config().contains("adopt"), "{}", scene.config());
        check(&scene.phoenix(&["plan", "--detailed-exitcode"]), 0, &["2 unchanged"]);
        let config: Value = serde_json::from_str(&scene.config()).unwrap();
        let [full, plain] = &config["virtual_machines"].as_array().unwrap()[..] else { panic!("{config}") };
        assert_eq!(full["network_config"], made["network_config"]);
        let user = json!({ "username": "admin" });
        assert_eq!(full["user_config"], if known { made["user_config"].clone() } else { user });
        // It never had a wish of its own, and gets none from the others.
        assert_eq!(plain.get("user_config"), known.then(|| json!({})).as_ref());
        assert!(scene.world() == world);
    }
}

/// A default that a VM does not have cannot be taken back by its entry: that is said, with the way out.
#[test]
fn a_default_that_a_vm_lacks_is_told() {
    let scene = scene(r#"{ "vm_defaults": { "boot_order": 3 }, "virtual_machines": [] }"#);
    scene.set_conf(105, &conf(105, "web"));
    let says = [": apply changes `boot_order` from nothing to 3", "move the key from there into the entries"];
    check(&scene.phoenix(&["import", "105"]), 0, &says);
}

/// Two running VMs to be taken over: one as it is, one with changes up to a feature.
fn to_be_taken_over() -> Scene {
    let scene = scene(EMPTY);
    let vm =
        |vm: u32| json!({ "vm_id": vm, "vm_name": format!("vm-{vm}"), "adopt": uuid(vm), "description": "by hand" });
    let mut more = vm(1001);
    more["features"] = json!(["base_setup"]);
    more["tags"] = json!(["new"]);
    scene.declare(
        &json!({ "vm_defaults": { "boot_disk_size_gb": 8 }, "virtual_machines": [vm(1000), more] }).to_string(),
    );
    for vm in [1000, 1001] {
        scene.set_conf(vm, &conf(vm, &format!("vm-{vm}")));
        scene.set_running(vm);
    }
    scene
}

#[test]
fn nothing_is_done_before_a_vm_is_ours() {
    let scene = to_be_taken_over();
    let ran = scene.apply();
    check(&ran, 0, &[]);
    let first = ids(&ran.events, "action_started").into_iter().filter(|id| id.starts_with("1001/")).take(2);
    assert_eq!(first.collect::<Vec<_>>(), ["1001/adopt", "1001/configure"]);
    for how in ["fail", "die-before"] {
        let scene = to_be_taken_over();
        scene.script_faults(&json!([{ "op": "configure", "vm": 1001, "how": how }]));
        assert_ne!(scene.apply().code, Some(0));
        assert_eq!(scene.conf(1001), conf(1001, "vm-1001"), "{how}");
    }
}

/// Taken over, and changed.
pub(crate) const ADOPTED: Way = Way {
    begin: to_be_taken_over,
    steps: &[
        step("1000/adopt", "configure"),
        step("1001/adopt", "configure"),
        step("1001/configure", "configure").after(1),
        step("1001/await-agent", "ping").without_middle(),
        inside("1001/feature", "phoenix-feature"),
        step("1001/record", "configure").after(2),
    ],
    ..Way::PLAIN
};
