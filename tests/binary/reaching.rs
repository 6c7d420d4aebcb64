//! By which addresses guests are reached: on every face alike, whatever guests and names say, on each kind of target.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::executable::executable;
use super::places::{Place, Reached, two_at_a_time};
use super::support::need;
use super::world::{Ran, Scene, check};
use phoenix::plan::inventory::InventoryDocument;
use phoenix::ui::inventory::ansible;
use serde_json::{Value, json};

/// A fixed address, two that the network gives, and a VM that is off.
const CONFIG: &str = r#"{
  "vm_defaults": { "boot_disk_size_gb": 8 },
  "virtual_machines": [
    { "vm_id": 1000, "vm_name": "web", "tags": ["front-end", "eu"], "network_config": { "ip": "192.0.2.50/24" },
      "user_config": { "username": "admin" } },
    { "vm_id": 1001, "vm_name": "db", "tags": ["eu"] },
    { "vm_id": 1002, "vm_name": "queue" },
    { "vm_id": 1003, "vm_name": "off", "started": false }
  ]
}"#;

/// What the simulated network gives 1001 and 1002 by itself.
const DB: &str = "198.18.3.233";
const QUEUE: &str = "198.18.3.234";

const EACH: [Place; 3] = [Place::Embedded, Place::Here, Place::Ssh];

/// The VMs, made, on each kind of target.
fn each(look: impl Fn(&Reached) + Sync) {
    two_at_a_time(&EACH, |place| {
        if place.is_possible() {
            let scene = place.scene(CONFIG);
            check(&scene.apply(), 0, &[]);
            look(&scene);
        }
    });
}

/// From now on the network, or a guest that lies, gives a VM another address.
fn lease(scene: &Scene, vm: u32, ip: &str) {
    let path = scene.node().join("node.json");
    let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    settings["leases"][vm.to_string()] = json!(ip);
    fs::write(path, settings.to_string()).unwrap();
}

/// A document, valid by its schema.
#[track_caller]
fn document(ran: &Ran, schema: &str) -> Value {
    let told: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err));
    let schema = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(schema)).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    jsonschema::draft7::validate(&schema, &told).unwrap_or_else(|error| panic!("{error}: {told}"));
    told
}

/// The addresses in a document, VM by VM.
fn addresses(document: &Value) -> Vec<String> {
    let of = |vm: &Value| {
        let all = vm["addresses"].as_array().into_iter().flatten();
        all.map(|ip| ip.as_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    document["vms"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn every_face_tells_the_same_addresses() {
    each(|scene| {
        let mac = |vm: u32| {
            let conf = scene.conf(vm);
            let net0 = conf.lines().find(|line| line.starts_with("net0: ")).unwrap();
            net0.split_once('=').unwrap().1.split(',').next().unwrap().to_owned()
        };
        let status = document(&scene.phoenix(&["status", "--json"]), "status.schema.json");
        assert_eq!(addresses(&status), ["192.0.2.50", DB, QUEUE, ""]);
        for vm in status["vms"].as_array().unwrap() {
            assert_eq!(
                (&vm["mac"], &vm["node"]),
                (&json!(mac(u32::try_from(vm["vm"].as_u64().unwrap()).unwrap())), &json!("pve"))
            );
        }
        let shown = scene.phoenix(&["status"]).out;
        let row = shown.lines().find(|line| line.contains(DB)).unwrap_or_else(|| panic!("{shown}"));
        assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["1001", "db", DB, &mac(1001), "pve"]);
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert!(
            scene
                .phoenix(&["status", "--format", "markdown"])
                .out
                .contains(&format!("| 1001 | db | {DB} | {}", mac(1001)))
        );

        let run = document(&scene.phoenix(&["apply", "--auto-approve", "--format", "json"]), "run.schema.json");
        assert_eq!(addresses(&run), addresses(&status));
        assert_eq!((&run["vms"][1]["mac"], &run["vms"][1]["node"]), (&json!(mac(1001)), &json!("pve")));
        scene.edit("\"vm_name\": \"db\"", "\"vm_name\": \"db\", \"description\": \"new\"");
        let human = scene.phoenix(&["apply", "--auto-approve"]).out;
        let end = format!("\n  1001 db: {DB} ({}, node pve)\n", mac(1001));
        assert!(human.contains(&end) && !human.contains("1002 queue:"), "{human}");
        let told = document(&scene.phoenix(&["inventory", "--format", "json"]), "inventory.schema.json");
        assert_eq!(addresses(&told), addresses(&status)[..3]);
        if scene.place() == Place::Embedded {
            let node = scene.phoenix(&["node", "show"]).out;
            let row = node.lines().find(|line| line.contains(QUEUE)).unwrap_or_else(|| panic!("{node}"));
            assert!(row.ends_with(&mac(1002)), "{row}");
        }
    });
}

#[test]
fn no_guest_is_given_the_address_of_another() {
    each(|scene| {
        // One says the fixed address of 1000, which is off; the other what the node has.
        check(&scene.phoenix(&["stop", "1000", "--auto-approve"]), 0, &[]);
        lease(scene, 1001, "192.0.2.50");
        lease(scene, 1002, "192.0.2.1");
        let ran = scene.phoenix(&["status", "--json", "--only", "1001"]);
        assert_eq!(addresses(&document(&ran, "status.schema.json")), [""]);
        let what = "VM 1001 `db`: the guest says 192.0.2.50, which is the fixed address of VM 1000: left out";
        assert!(ran.err.contains(what) && !ran.err.contains("VM 1002"), "{}", ran.err);
        let ran = scene.phoenix(&["inventory", "--format", "hosts"]);
        assert_eq!(ran.out.lines().skip(1).collect::<Vec<_>>(), ["192.0.2.50\tweb"]);
        assert!(ran.err.contains("VM 1002 `queue`: the guest says 192.0.2.1, which is a node's own"), "{}", ran.err);
        assert!(
            ran.err.contains("2 VMs: 1001 db, 1002 queue: left out: its guest agent gave no address"),
            "{}",
            ran.err
        );
        assert!(ran.err.contains("VM 1003 `off`: left out: it does not run"), "{}", ran.err);
        assert_eq!(ran.code, Some(0));
        // Two that say one address, of which only one is asked for.
        lease(scene, 1002, DB);
        lease(scene, 1001, DB);
        let ran = scene.phoenix(&["inventory", "--only", "queue", "--format", "hosts"]);
        assert!(
            !ran.out.contains(DB) && ran.err.contains("which the guest of VM 1001 says, too"),
            "{}{}",
            ran.out,
            ran.err
        );
        let ran = scene.phoenix(&["ssh", "queue"]);
        assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    });
}

#[test]
fn a_silent_guest_is_said_and_no_error() {
    let scene = Scene::with_node(CONFIG);
    check(&scene.apply(), 0, &[]);
    scene.script_faults(&json!([{ "op": "guest-addresses", "vm": 1001, "how": "fail" }]));
    let ran = scene.phoenix(&["inventory", "--format", "json"]);
    assert_eq!(
        (ran.code, addresses(&document(&ran, "inventory.schema.json"))),
        (Some(0), vec!["192.0.2.50".into(), QUEUE.into()])
    );
    assert!(scene.all_faults_happened() && ran.err.contains("VM 1001 `db`: left out"), "{}", ran.err);
    scene.script_faults(&json!([{ "op": "guest-addresses", "vm": 1001, "how": "fail" }]));
    let ran = scene.phoenix(&["status", "--json"]);
    assert_eq!((ran.code, addresses(&document(&ran, "status.schema.json"))[1].as_str()), (Some(0), ""));
}

#[test]
fn a_recording_has_the_addresses() {
    let scene = Scene::with_node(CONFIG);
    check(&scene.apply(), 0, &[]);
    assert_eq!(scene.phoenix(&["observe", "--out", "live.json"]).code, Some(0));
    let live = scene.phoenix(&["inventory"]);
    let recorded = scene.phoenix(&["inventory", "--against", "live.json"]);
    assert!(
        recorded.code == Some(0) && recorded.out == live.out && live.out.contains(DB),
        "{}{}",
        recorded.out,
        recorded.err
    );
}

#[test]
fn ansible_reads_its_inventory() {
    if !need("ansible-inventory", "ansible-core") {
        return;
    }
    let scene = Scene::with_node(CONFIG);
    fs::write(scene.path("ansible.cfg"), "").unwrap();
    let read = |file: &str| {
        // The settings of this machine are not meant.
        let mut ansible = Command::new("ansible-inventory");
        ansible.args(["--list", "-i", file]).current_dir(scene.path("")).env("HOME", scene.path(""));
        ansible.env("ANSIBLE_CONFIG", scene.path("ansible.cfg")).env("LC_ALL", "C.UTF-8");
        let output = ansible.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !said.contains("WARNING"), "{said}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    check(&scene.phoenix(&["inventory", "--format", "ansible=none.yml"]), 0, &[]);
    assert_eq!(read("none.yml")["_meta"]["hostvars"], json!({}));
    check(&scene.apply(), 0, &[]);
    let ran = scene.phoenix(&["inventory"]);
    fs::write(scene.path("hosts.yml"), &ran.out).unwrap();
    let told = read("hosts.yml");
    let web = &told["_meta"]["hostvars"]["web"];
    assert_eq!(
        (&web["ansible_host"], &web["ansible_user"], &web["phoenix_vmid"]),
        (&json!("192.0.2.50"), &json!("admin"), &json!(1000))
    );
    assert_eq!((&web["phoenix_tags"], &web["phoenix_node"]), (&json!(["eu", "front-end"]), &json!("pve")));
    assert_eq!(told["_meta"]["hostvars"]["db"]["ansible_host"], DB);
    // Ansible keeps no order of its own here.
    let members = |group: &str| {
        let hosts = told[group]["hosts"].as_array().into_iter().flatten();
        let mut names: Vec<String> = hosts.map(|name| name.as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(members("tag_eu"), ["db", "web"]);
    assert_eq!(members("tag_front_end"), ["web"]);
    assert_eq!(members("project_default"), ["db", "queue", "web"]);
    // What a node is called is never a template.
    let ran = scene.phoenix(&["inventory", "--format", "json", "--only", "web"]);
    let mut hostile: InventoryDocument = serde_json::from_str(&ran.out).unwrap();
    hostile.vms[0].node = "{{ lookup('pipe', 'touch x') }}\n    evil: \"é🦀".to_owned();
    fs::write(scene.path("hostile.yml"), ansible(&hostile).text).unwrap();
    let told = read("hostile.yml");
    let node = &told["_meta"]["hostvars"]["web"]["phoenix_node"];
    assert_eq!(node, &json!({ "__ansible_unsafe": hostile.vms[0].node }));
    assert_eq!(told["_meta"]["hostvars"].as_object().unwrap().len(), 1);
}

#[test]
fn ssh_reads_its_configuration() {
    if !need("ssh", "openssh-client") {
        return;
    }
    let scene = Scene::with_node(CONFIG);
    check(&scene.apply(), 0, &[]);
    check(&scene.phoenix(&["inventory", "--format", "ssh-config=ssh.conf"]), 0, &[]);
    let read = |name: &str, file: &str| {
        let output = Command::new("ssh").args(["-G", "-F", file, name]).current_dir(scene.path("")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let alias = |conf: &str| conf.lines().find_map(|line| line.strip_prefix("hostkeyalias ").map(str::to_owned));
    let (web, other) = (read("web", "ssh.conf"), read("elsewhere", "ssh.conf"));
    assert!(web.contains("\nhostname 192.0.2.50\n") && web.contains("user admin\n"), "{web}");
    assert!(scene.conf(1000).contains(alias(&web).unwrap().strip_prefix("phoenix-").unwrap()), "{web}");
    assert!(other.contains("hostname elsewhere\n") && alias(&other).is_none(), "{other}");
    // Whatever ssh checks elsewhere it checks there, too.
    fs::write(scene.path("empty.conf"), "").unwrap();
    let strict = |conf: &str| {
        conf.lines()
            .filter(|line| line.contains("hostkeychecking") || line.contains("knownhosts"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(strict(&web), strict(&read("web", "empty.conf")));
}

/// Runs `phoenix ssh` where ssh only tells how it was called, and ends with 7.
fn ssh(scene: &Reached, arguments: &[&str]) -> (Option<i32>, String, String) {
    let bin = scene.path("bin");
    fs::create_dir_all(&bin).unwrap();
    let mut command = scene.command(&[&["ssh"], arguments].concat());
    let path = command.get_envs().find(|(key, _)| *key == "PATH").and_then(|(_, path)| path.map(ToOwned::to_owned));
    let path = path.or_else(|| std::env::var_os("PATH")).unwrap().into_string().unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *ForwardAgent=no*) printf '<%s>' \"$@\"; echo; exit 7;; esac\nPATH='{path}' exec ssh \"$@\"\n"
    );
    executable(&bin.join("ssh"), &script);
    let output = command.env("PATH", format!("{}:{path}", bin.display())).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), out, err)
}

#[test]
fn ssh_takes_the_place_of_phoenix() {
    each(|scene| {
        if scene.place() == Place::Embedded {
            let (code, out, err) = ssh(scene, &["web"]);
            assert!(code == Some(1) && out.is_empty() && err.contains("VM 1000 is simulated"), "{out}{err}");
            return;
        }
        let called = |vm: u32, rest: &str| {
            let conf = scene.conf(vm);
            let uuid =
                conf.split_once("uuid=").unwrap().1.lines().next().unwrap().split(',').next().unwrap().to_owned();
            format!("<-o><ForwardAgent=no><-o><HostKeyAlias=phoenix-{uuid}>{rest}\n")
        };
        for word in ["web", "WEB", "front-end", "1000"] {
            let (code, out, err) = ssh(scene, &[word]);
            assert_eq!((code, out), (Some(7), called(1000, "<-l><admin><--><192.0.2.50>")), "{err}");
        }
        let (code, out, err) = ssh(scene, &["1001", "-l", "root", "--", "-oProxyCommand=x", "a b"]);
        let words = format!("<-l><root><--><{DB}><-oProxyCommand=x><a b>");
        assert_eq!((code, out), (Some(7), called(1001, &words)), "{err}");
        for (arguments, code, says) in [
            (&["off"][..], 1, "VM 1003 `off` cannot be reached: it does not run, and has no fixed address"),
            (&["eu"], 4, "`eu` is a tag of several VMs: 1000 `web`, 1001 `db`"),
            (&["9999"], 4, "no VM of the file has the VMID 9999"),
            (&["we"], 4, "did you mean `web`?"),
            (&["web", "--user=-oProxyCommand=x"], 4, "is not the name of a user"),
            (&["--", "-oProxyCommand=x"], 4, "required"),
        ] {
            let (exit, out, err) = ssh(scene, arguments);
            assert!(exit == Some(code) && out.is_empty() && err.contains(says), "{arguments:?} {exit:?}: {out}{err}");
        }
    });
}
