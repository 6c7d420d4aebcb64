//! The plan hash covers everything that decides what happens: whatever a config, a request or a saved plan says is
//! changed in turn, and either the hash is another one, or the reason why not stands here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;

use phoenix::backend::embedded::Embedded;
use phoenix::config::{BadData, BadSecret, FeatureFiles, SecretRead, Source, load, load_with, schema};
use phoenix::hypervisor::Hypervisor as _;
use phoenix::model::SecretName;
use phoenix::observed::Observed;
use phoenix::plan::document::{DocumentConfig, DocumentTarget, PlanDocument, Provenance, meaning};
use phoenix::plan::{Goal, Request, plan};
use serde_json::{Value, json};

/// Every leaf of the config's schema, as a pointer; `*` stands for the name of a share.
fn keys(node: &Value, schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let named = node["$ref"].as_str().and_then(|at| schema.pointer(at.trim_start_matches('#')));
    let node = named.unwrap_or(node);
    for part in ["allOf", "anyOf", "oneOf"].iter().filter_map(|word| node[*word].as_array()).flatten() {
        keys(part, schema, path, found);
    }
    if path.ends_with("/networks") {
        let cards = node["patternProperties"].as_object().into_iter().flatten();
        return cards.for_each(|(_, card)| keys(card, schema, &format!("{path}/net1"), found));
    }
    // Options of Proxmox are of one kind.
    if node.get("patternProperties").is_some() {
        return;
    }
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        found.insert(format!("{path}/{name}"));
        keys(property, schema, &format!("{path}/{name}"), found);
    }
    for (word, step) in [("additionalProperties", "*"), ("items", "0")] {
        if node[word].is_object() {
            keys(&node[word], schema, &format!("{path}/{step}"), found);
        }
    }
}

fn base() -> Value {
    let network = json!({ "ip": "192.0.2.10/24", "gw": "192.0.2.1", "ip6": "2001:db8::10/64", "gw6": "2001:db8::1" });
    json!({
        "hypervisor": {
            "project": "p",
            "nfs_shares": { "data": { "server": "10.9.9.9", "export": "/srv/a", "host_path": "/srv/a" } },
            "persistent_storage": { "host_path": "/quickOS/x", "mount_point": "/persistent-storage" },
        },
        "vm_defaults": {},
        "virtual_machines": [
            { "vm_id": 1000, "vm_name": "a", "features": ["base_setup"], "network_config": network,
              "volumes": [{ "type": "nfs", "share": "data", "path": "/1", "mount_point": "/mnt/d" }] },
            { "vm_id": 1001, "vm_name": "b", "user_config": { "username": "us" }, "network_config": { "ip": "dhcp" } },
            { "vm_id": 1002, "vm_name": "c", "vendor_data": { "text": "#!/bin/sh\n# ${secret.db}\n" } },
        ],
        "secrets": { "db": { "env": "PHOENIX_SECRET_DB" } },
    })
}

/// Another value for each key of a VM.
fn of_vm(key: &str) -> Option<Value> {
    let sha256 = "0".repeat(64);
    let ssh_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBYzrW/nxm3ySd7LyCBkqrOV8nDHnHRhFGLDrUFvb35o us@here";
    let volume = json!([{ "type": "nfs", "share": "data", "path": "/2", "mount_point": "/mnt/e" }]);
    Some(match key {
        "adopt" => json!("62b88882-7a44-475a-862f-9ac01f2aec2c"),
        "boot_delay" | "boot_order" | "shutdown_timeout" => json!(7),
        "boot_disk_size_gb" => json!(77),
        "boot_disk_storage" => json!("local"),
        "cloud_image" => json!({ "source": "local:import/debian.qcow2" }),
        "cloud_image/source" => json!("local:import/other.qcow2"),
        "cloud_image/sha256" => json!(sha256),
        "cloud_image/sha512" => json!(sha256.repeat(2)),
        "cloud_init_errors" => json!("warn"),
        "cpu_cores" | "cpu_sockets" => json!(3),
        "depends_on" => json!(["c"]),
        "description" => json!("another"),
        "features" => json!(["install_docker"]),
        "is_template" | "protected" | "start_at_boot" | "networks/net1/firewall" | "networks/net1/link_down" => {
            json!(true)
        }
        "memory_mb" => json!(512),
        "network_bridge" | "networks/net1/bridge" => json!("vmbr9"),
        "network_config" => json!({ "ip": "dhcp" }),
        "network_config/ip" | "networks/net1/ip" => json!("192.0.2.11/24"),
        "network_config/gw" => json!("192.0.2.2"),
        "network_config/ip6" | "networks/net1/ip6" => json!("2001:db8::11/64"),
        "network_config/gw6" => json!("2001:db8::2"),
        "network_config/nameserver" => json!("192.0.2.53"),
        "network_config/searchdomain" => json!("example.org"),
        "network_model" | "networks/net1/model" => json!("e1000"),
        "proxmox" => json!({ "cpu": "host" }),
        "boot_disk_options" => json!({ "ssd": 1 }),
        "networks" => json!({ "net1": {} }),
        "disks" => json!({ "scsi1": { "size_gb": 9 } }),
        "cdrom" => json!({ "ide0": "local:iso/a.iso" }),
        "boot_devices" => json!(["net0", "scsi0"]),
        "networks/net1/mac" => json!("BC:24:11:00:00:09"),
        "networks/net1/trunks" => json!("10;20-29"),
        "networks/net1/vlan_tag" | "networks/net1/mtu" | "networks/net1/queues" | "networks/net1/rate_mbps" => json!(9),
        "ready" => json!("agent"),
        "node" => json!("pve2"),
        "pool" => json!("prod"),
        "ha" => json!({}),
        "ha/state" => json!("ignored"),
        "ha/max_restart" | "ha/max_relocate" => json!(2),
        "os_type" | "volumes/0/share" => json!("other"),
        "started" | "full_clone" => json!(false),
        "tags" => json!(["x"]),
        "template_name" => json!("another-template"),
        "timeouts" => json!({ "guest_agent": 77 }),
        "timeouts/cloud_init" | "timeouts/feature" | "timeouts/guest_agent" => json!(99),
        "user_data" | "vendor_data" => json!({ "text": "#cloud-config\n# ${vm_name}\n" }),
        "user_data/file" | "vendor_data/file" => json!("cloud/web.yaml"),
        "user_data/text" | "vendor_data/text" => json!("#!/bin/sh\ntrue\n"),
        "user_config" => json!({ "username": "them" }),
        "user_config/ssh_authorized_keys" => json!([ssh_key]),
        "user_config/username" => json!("them"),
        "user_config/password" => json!({ "env": "PHOENIX_SECRET_A" }),
        "user_config/password/env" => json!("PHOENIX_SECRET_B"),
        "user_config/password/file" => json!("secrets/b"),
        "vm_id" => json!(1009),
        "vm_name" => json!("renamed"),
        "volumes" => volume,
        "volumes/0/mount_point" => json!("/mnt/e"),
        "volumes/0/path" => json!("/3"),
        _ => return None,
    })
}

/// What a key stands for beside its value: another whole config.
fn other(base: &Value, key: &str) -> Value {
    if let Some(rest) = key.strip_prefix("/profiles/*/") {
        // What all VMs have, they have from a profile.
        let mut config = other(base, &format!("/vm_defaults/{rest}"));
        let said = config["vm_defaults"].take();
        config.as_object_mut().unwrap().remove("vm_defaults");
        config["profiles"] = json!({ "p": said });
        config["virtual_machines"].as_array_mut().unwrap().iter_mut().for_each(|vm| vm["profile"] = json!("p"));
        return config;
    }
    let mut config = base.clone();
    let mut set = |at: &str, value: Value| {
        let mut place = &mut config;
        for step in at.trim_start_matches('/').split('/') {
            place = match step.parse::<usize>() {
                Ok(at) => &mut place[at],
                Err(_) => &mut place[step],
            };
        }
        *place = value;
    };
    let vm_key = key.strip_prefix("/virtual_machines/0/").or(key.strip_prefix("/vm_defaults/"));
    let in_defaults = key.starts_with("/vm_defaults/");
    match key {
        "/hypervisor/never_together" | "/hypervisor/never_same_node" => set(key, json!(["x"])),
        "/hypervisor/memory_limit" => set(key, json!(0.5)),
        "/virtual_machines/0/profile" => {
            set("/profiles", json!({ "p": { "memory_mb": 777 } }));
            set(key, json!("p"));
        }
        "/secrets/*/env" | "/secrets/*/file" => {
            let part = key.trim_start_matches("/secrets/*/");
            set("/secrets", json!({ "db": { part: format!("PHOENIX_SECRET_{}", part.to_uppercase()) } }));
        }
        "/hypervisor/project" => set(key, json!("q")),
        "/hypervisor/project_tag" => set(key, json!("ours")),
        "/hypervisor/persistent_storage/server" => set(key, json!("10.9.9.8")),
        "/hypervisor/persistent_storage/host_path" => set(key, json!("/quickOS/y")),
        "/hypervisor/persistent_storage/mount_point" => set(key, json!("/elsewhere")),
        "/hypervisor/nfs_shares/*/server" => set("/hypervisor/nfs_shares/data/server", json!("10.9.9.8")),
        "/hypervisor/nfs_shares/*/export" => set("/hypervisor/nfs_shares/data/export", json!("/srv/b")),
        "/hypervisor/nfs_shares/*/host_path" => set("/hypervisor/nfs_shares/data/host_path", json!("/srv/b")),
        _ => match vm_key {
            Some("volumes/0/server") => {
                let at = if in_defaults { "/vm_defaults" } else { "/virtual_machines/0" };
                let volume = json!([{ "type": "nfs", "server": "10.9.9.7", "path": "/1", "mount_point": "/mnt/d" }]);
                set(&format!("{at}/volumes"), volume);
            }
            Some(rest) if rest.starts_with("user_config/password/") => {
                let at = if in_defaults { "/vm_defaults" } else { "/virtual_machines/0" };
                let part = rest.trim_start_matches("user_config/password/");
                let value = of_vm(rest).unwrap_or_else(|| panic!("the key {key} is new: what changes with it?"));
                set(&format!("{at}/user_config"), json!({ "password": { part: value } }));
            }
            Some(rest) if rest.starts_with("networks/net1/") => {
                let part = rest.trim_start_matches("networks/net1/");
                // An address on the network is one card's own, and a gateway stands beside an address.
                let own = ["mac", "ip", "gw", "ip6", "gw6"].contains(&part);
                let at = if in_defaults && !own { "/vm_defaults" } else { "/virtual_machines/0" };
                let card = match part {
                    "gw" => json!({ "ip": "192.0.2.11/24", "gw": "192.0.2.2" }),
                    "gw6" => json!({ "ip6": "2001:db8::11/64", "gw6": "2001:db8::2" }),
                    _ => {
                        json!({ part: of_vm(rest).unwrap_or_else(|| panic!("the key {key} is new: what changes with it?")) })
                    }
                };
                set(&format!("{at}/networks"), json!({ "net1": card }));
            }
            Some("volumes/0/share") => {
                let other = json!({ "server": "10.9.9.9", "export": "/srv/o", "host_path": "/srv/o" });
                set("/hypervisor/nfs_shares/other", other);
                set(&format!("{}/share", "/virtual_machines/0/volumes/0"), json!("other"));
            }
            Some(rest) => {
                let value = of_vm(rest).unwrap_or_else(|| panic!("the key {key} is new: what changes with it?"));
                if let Some(nested) = rest.strip_prefix("cloud_image/") {
                    let at = if in_defaults { "/vm_defaults" } else { "/virtual_machines/0" };
                    set(&format!("{at}/cloud_image"), json!({ "source": "local:import/debian.qcow2" }));
                    set(&format!("{at}/cloud_image/{nested}"), value);
                } else if in_defaults && rest.contains('/') {
                    // The part of a default alone is no value: the whole, as a VM has it.
                    let (whole, part) = rest.split_once('/').unwrap();
                    set(&format!("/vm_defaults/{whole}"), base["virtual_machines"][0][whole].clone());
                    if part.starts_with("0/") || !whole.starts_with("network") {
                        set(&format!("/vm_defaults/{rest}"), value);
                    } else {
                        // A gateway needs an address, which one VM takes from here.
                        let value = match part {
                            "gw" => json!({ "ip": "192.0.2.20/24", "gw": value }),
                            "gw6" => json!({ "ip6": "2001:db8::20/64", "gw6": value }),
                            _ => json!({ part: value }),
                        };
                        set("/vm_defaults/network_config", value);
                    }
                } else {
                    set(key, value);
                    if key == "/vm_defaults/depends_on" {
                        // Nobody waits for itself.
                        set("/virtual_machines/2/depends_on", json!([]));
                    }
                }
            }
            None => panic!("the key {key} is new: what changes with it?"),
        },
    }
    config
}

/// Keys that change nothing that happens, and why.
const NO_MATTER: [(&str, &str); 4] = [
    ("/$schema", "editors read it, phoenix does not"),
    ("/hypervisor/target", "a target counts by what it is: the node's name and identity are in the hash"),
    ("/hypervisor/features_dir", "the scripts themselves are in the hash, wherever they lie"),
    ("volumes/0/type", "there is one type"),
];

/// Keys that others stand for.
const WHOLES: [&str; 8] = [
    "/profiles",
    "/secrets",
    "/hypervisor",
    "/virtual_machines",
    "/vm_defaults",
    "/hypervisor/nfs_shares",
    "/hypervisor/persistent_storage",
    "",
];

/// One file of user data.
struct Beside;

impl phoenix::config::Beside for Beside {
    fn features(&mut self, _: &str) -> FeatureFiles {
        FeatureFiles::Missing
    }

    fn data(&mut self, path: &str) -> Result<Vec<u8>, BadData> {
        if path == "cloud/web.yaml" { Ok(b"#cloud-config\n".to_vec()) } else { Err(BadData::Missing) }
    }

    fn secret(&mut self, name: &SecretName) -> Result<SecretRead, BadSecret> {
        Ok(SecretRead { bytes: name.to_string().into_bytes(), is_exposed: false })
    }

    fn needs_secrets(&self) -> bool {
        true
    }
}

fn document(config: &Value, observed: &Observed, policy: &Request) -> PlanDocument {
    let source = Source::new("config.json", config.to_string());
    let loaded = load_with(&source, &mut Beside);
    let desired = loaded.desired.unwrap_or_else(|| panic!("{config}: {:?}", loaded.diagnostics));
    let digest = "1".repeat(64);
    let config = DocumentConfig { path: source.name, digest, meaning: meaning(&desired), ..DocumentConfig::default() };
    let target = DocumentTarget {
        node: observed.here.clone(),
        identity: observed.identity.clone(),
        allowed: observed.own_node().allowed.host_paths.clone(),
        ..DocumentTarget::default()
    };
    PlanDocument::of(&plan(&desired, observed, policy), Provenance { target, config, ..Provenance::default() })
}

fn observed() -> Observed {
    let dir = tempfile::tempdir().unwrap();
    let mut observed = Embedded::open(dir.path()).unwrap().observe().unwrap();
    "directory /node".clone_into(&mut observed.identity);
    observed.own_node_mut().allowed.host_paths = vec!["/srv".to_owned(), "/quickOS".to_owned()];
    observed
}

#[test]
fn every_key_of_the_config_is_in_the_hash() {
    let schema: Value = serde_json::from_str(&schema::generate()).unwrap();
    let mut found = BTreeSet::new();
    keys(&schema, &schema, "", &mut found);
    assert!(found.len() > 80, "{found:?}");
    let (base, observed) = (base(), observed());
    let hash = |config: &Value| document(config, &observed, &Request::default()).hash;
    let before = hash(&base);
    for (key, why) in NO_MATTER {
        assert!(found.iter().any(|found| found.ends_with(key)), "{key} is gone: {why}");
    }
    let matters = |key: &&String| !NO_MATTER.iter().any(|(same, _)| key.ends_with(same));
    let keys: Vec<&String> =
        found.iter().filter(|key| !WHOLES.contains(&key.as_str())).filter(|key| matters(key)).collect();
    let check = |key: &str| {
        if key.contains("user_data") {
            // It takes the place of what another key says.
            let mut base = base.clone();
            base["virtual_machines"][1].as_object_mut().unwrap().remove("user_config");
            assert_ne!(hash(&other(&base, key)), hash(&base), "{key}");
        } else {
            assert_ne!(hash(&other(&base, key)), before, "{key}");
        }
    };
    let halves = keys.split_at(keys.len() / 2);
    thread::scope(|scope| {
        for half in [halves.0, halves.1] {
            scope.spawn(|| half.iter().for_each(|key| check(key)));
        }
    });
    // Neither the order of the VMs nor where a value stands is a matter of what happens.
    let mut turned = base.clone();
    turned["virtual_machines"].as_array_mut().unwrap().reverse();
    assert_eq!(hash(&turned), before);
}

/// What a disk becomes in the guest is in the hash, beside that there is a disk.
#[test]
fn a_file_system_and_where_it_is_mounted_are_in_the_hash() {
    let observed = observed();
    let hash = |disk: Value| {
        let mut config = base();
        config["virtual_machines"][1]["disks"] = json!({ "scsi1": disk });
        document(&config, &observed, &Request::default()).hash
    };
    let disks = [
        json!({ "size_gb": 9 }),
        json!({ "size_gb": 9, "volume": "local-zfs:vm-1001-disk-4" }),
        json!({ "size_gb": 9, "volume": "local-zfs:vm-1001-disk-5" }),
        json!({ "size_gb": 9, "import_from": "local:import/a.qcow2" }),
        json!({ "size_gb": 9, "import_from": "local:import/b.qcow2" }),
        json!({ "size_gb": 9, "import_from": { "source": "local:import/b.qcow2", "sha256": "0".repeat(64) } }),
        json!({ "import_from": "local:import/b.qcow2" }),
        json!({ "size_gb": 9, "filesystem": "ext4", "mount_point": "/srv/a" }),
        json!({ "size_gb": 9, "filesystem": "xfs", "mount_point": "/srv/a" }),
        json!({ "size_gb": 9, "filesystem": "xfs", "mount_point": "/srv/b" }),
    ];
    let hashes: BTreeSet<String> = disks.into_iter().map(hash).collect();
    assert_eq!(hashes.len(), 10);
}

/// Gives the target's own node another name.
fn renamed(observed: &mut Observed) {
    let mut node = observed.nodes.remove(&observed.here).unwrap();
    observed.here.push('2');
    node.name.clone_from(&observed.here);
    observed.vms.values_mut().for_each(|vm| vm.node.clone_from(&observed.here));
    observed.nodes.insert(observed.here.clone(), node);
}

#[test]
fn a_script_and_the_node_are_in_the_hash() {
    let with = |script: &str, observed: &Observed| {
        let mut base = base();
        // No secret is beside these scripts.
        base.as_object_mut().unwrap().remove("secrets");
        base["virtual_machines"][2].as_object_mut().unwrap().remove("vendor_data");
        let source = Source::new("config.json", base.to_string());
        let files = || [("base_setup.sh".to_owned(), Ok(script.as_bytes().to_vec()))].into();
        let desired = load(&source, &mut |_| FeatureFiles::Found(files())).desired.unwrap();
        let config = DocumentConfig { meaning: meaning(&desired), ..DocumentConfig::default() };
        let target = DocumentTarget {
            node: observed.here.clone(),
            identity: observed.identity.clone(),
            allowed: observed.own_node().allowed.host_paths.clone(),
            ..DocumentTarget::default()
        };
        PlanDocument::of(
            &plan(&desired, observed, &Request::default()),
            Provenance { target, config, ..Provenance::default() },
        )
    };
    let here = observed();
    let before = with("true\n", &here);
    let other = with("false\n", &here);
    assert_ne!(other.hash, before.hash);
    // It is what is done to the VM that differs, whatever is said of the config.
    assert_ne!(other.vms[0].fingerprint, before.vms[0].fingerprint);
    for change in [
        renamed as fn(&mut Observed),
        |target: &mut Observed| target.identity.push('2'),
        |target: &mut Observed| target.own_node_mut().allowed.host_paths.push("/srv/other".to_owned()),
    ] {
        let mut another = observed();
        change(&mut another);
        assert_ne!(with("true\n", &another).hash, before.hash);
    }
}

/// Values of a saved plan that may be others without another hash, and why. `*` stands for a number.
const NO_PART: [(&str, &str); 15] = [
    ("/phoenix", "the plan is made anew by the phoenix that carries it out"),
    ("/target/name", "how the node is reached; what it is, is in the hash"),
    ("/target/observed_at", "when somebody looked"),
    ("/target/recorded", "how somebody looked"),
    ("/target/label", "words for people; `apply` compares them with the target's own"),
    ("/config/path", "where the config lies; what it says is in the hash"),
    ("/config/digest", "the text of the config; `apply` compares it, and what it says is in the hash"),
    ("/summary/declared", "`apply` compares it with the config"),
    ("/problems/*/severity", "problems follow from the rest, and are told anew"),
    ("/problems/*/vm", "problems follow from the rest, and are told anew"),
    ("/problems/*/name", "problems follow from the rest, and are told anew"),
    ("/problems/*/keys/*", "problems follow from the rest, and are told anew"),
    ("/problems/*/code", "problems follow from the rest, and are told anew"),
    ("/problems/*/message", "problems follow from the rest, and are told anew"),
    ("/problems/*/hint", "problems follow from the rest, and are told anew"),
];

/// Every leaf of a value, as a pointer.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| leaves(value, &format!("{at}/{name}"), found));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(n, value)| leaves(value, &format!("{at}/{n}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

#[test]
fn every_value_of_a_saved_plan_is_in_its_hash_or_compared() {
    let observed = observed();
    let policy = Request { force_stop: true, restart: true, ..Request::default() };
    let mut now = document(&base(), &observed, &policy);
    now.request.delete_source = true;
    now.request.rerun = vec!["base_setup".to_owned()];
    now.request.recreate = vec![1000.try_into().unwrap()];
    now.request.delete_unused = vec![1000.try_into().unwrap()];
    now.request.goal = Goal::Config { prune: false, prune_many: Some(3) };
    // With what was just set, under its hash.
    let resaved = |document: &PlanDocument| serde_json::to_value(document.sealed()).unwrap();
    let rehashed = |document: &PlanDocument| {
        let told = PlanDocument::read(&resaved(document).to_string()).map(|_| ()).map_err(|broken| broken.to_string());
        assert_eq!(told, Err("it contradicts itself: its plan does not match its hash".to_owned()));
    };
    rehashed(&now);
    let now = document(&base(), &observed, &policy);
    let whole = resaved(&now);
    PlanDocument::read(&whole.to_string()).unwrap();
    let (mut found, mut used) = (Vec::new(), BTreeSet::new());
    leaves(&whole, "", &mut found);
    for flag in ["force_stop", "delete_source", "snapshot", "verify_guest"] {
        found.push(format!("/request/{flag}"));
    }
    for at in found.iter().filter(|at| *at != "/digest") {
        let mut other = whole.clone();
        match other.pointer_mut(at) {
            Some(Value::String(text)) if text.len() == 64 => *text = "2".repeat(64),
            Some(Value::String(text)) => text.push('x'),
            Some(Value::Bool(flag)) => *flag = !*flag,
            Some(Value::Number(number)) => *at_mut(&mut other, at) = json!(number.as_u64().unwrap() + 1),
            Some(list @ Value::Array(_)) => *list = json!(["x"]),
            Some(value) => panic!("{at}: {value}"),
            None => {
                let (above, name) = at.rsplit_once('/').unwrap();
                at_mut(&mut other, above)[name] = json!(true);
            }
        }
        // What is no value at all, as another word for an outcome, is no plan.
        let Ok(forged) = serde_json::from_value::<PlanDocument>(other) else { continue };
        let general: Vec<&str> =
            at.split('/').map(|step| if step.parse::<u8>().is_ok() { "*" } else { step }).collect();
        let general = general.join("/");
        let Ok(read) = PlanDocument::read(&resaved(&forged).to_string()) else { continue };
        let differs = read.contradicts(&now).is_some() || !read.moved(&now, &|_| true).is_empty();
        match NO_PART.iter().find(|(part, _)| *part == general) {
            Some((part, _)) => _ = used.insert(*part),
            None => assert!(differs && general.starts_with("/vms/*/"), "{at} may be another"),
        }
    }
    assert!(used.len() >= 7, "{used:?}");
}

fn at_mut<'v>(value: &'v mut Value, at: &str) -> &'v mut Value {
    value.pointer_mut(at).unwrap()
}

/// What is left out of the hash by hand says why beside the field.
#[test]
fn whatever_is_not_serialised_says_why() {
    let mut files: BTreeMap<String, usize> = BTreeMap::new();
    for dir in ["src/model", "src/plan"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            for (at, _) in lines.iter().enumerate().filter(|(_, line)| **line == "#[serde(skip)]") {
                let words: Vec<&str> =
                    lines[..at].iter().rev().take_while(|line| line.starts_with("///")).copied().collect();
                let words = words.into_iter().rev().map(|line| line.trim_start_matches("///")).collect::<String>();
                assert!(words.contains("Not serialised: "), "{}:{}", path.display(), at + 1);
                *files.entry(path.display().to_string()).or_default() += 1;
            }
        }
    }
    assert!(files.values().sum::<usize>() >= 6, "{files:?}");
}
