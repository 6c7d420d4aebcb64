//! What was agreed to is what is done: forged and outdated plans, colleagues at work meanwhile, consent to what cannot
//! be taken back.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use phoenix::plan::document::PlanDocument;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with configs and an embedded node.
struct Scene {
    dir: TempDir,
}

/// A VM of a config, and more of its keys.
fn vm(id: u32, name: &str, more: &Value) -> Value {
    let mut vm = json!({ "vm_id": id, "vm_name": name, "boot_disk_size_gb": 5, "started": false });
    vm.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    vm
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a config of project `p` with these VMs.
    fn config(&self, file: &str, vms: &[Value]) {
        let config = json!({ "hypervisor": { "project": "p", "target": "embedded:node" }, "virtual_machines": vms });
        fs::write(self.path(file), config.to_string()).unwrap();
    }

    fn phoenix(&self, arguments: &str) -> (i32, String) {
        let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        phoenix.args(arguments.split_whitespace()).current_dir(self.dir.path()).stdin(Stdio::null());
        let output = phoenix.env_remove("PHOENIX_TARGET").output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code().unwrap(), text)
    }

    #[track_caller]
    fn check(&self, arguments: &str, code: i32, says: &[&str]) -> String {
        let (found, said) = self.phoenix(arguments);
        assert_eq!(found, code, "{arguments}\n{said}");
        for text in says {
            assert!(said.contains(text), "`{text}` is missing in\n{said}");
        }
        said
    }

    fn document(&self, file: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path(file)).unwrap()).unwrap()
    }

    /// Writes a document whose digest fits, as a forger would.
    fn forge(&self, file: &str, document: &Value) {
        let document: PlanDocument = serde_json::from_value(document.clone()).unwrap();
        fs::write(self.path(file), serde_json::to_string(&document.sealed()).unwrap()).unwrap();
    }

    fn conf(&self, vm: u32) -> Option<String> {
        fs::read_to_string(self.path(&format!("node/qemu-server/{vm}.conf"))).ok()
    }

    fn edit(&self, vm: u32, from: &str, to: &str) {
        let text = self.conf(vm).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(self.path(&format!("node/qemu-server/{vm}.conf")), text.replace(from, to)).unwrap();
    }
}

/// A node with VM 1000, whose memory a plan is to change, and that plan.
fn planned() -> Scene {
    let scene = Scene::new();
    scene.config("c.json", &[vm(1000, "db", &json!({ "memory_mb": 2048 }))]);
    scene.check("apply -c c.json --auto-approve", 0, &[]);
    scene.config("c.json", &[vm(1000, "db", &json!({ "memory_mb": 512, "tags": ["x"] }))]);
    scene.check("plan -c c.json --out plan.json", 0, &[]);
    scene
}

#[test]
fn a_document_that_was_changed_is_neither_shown_nor_applied() {
    let scene = planned();
    let whole = scene.document("plan.json");
    for (at, value) in [
        ("/vms/0/changes/0/new", json!("513")),
        ("/vms/0/name", json!("other")),
        ("/target/label", json!("a node for tests")),
        ("/config/path", json!("other.json")),
        ("/restart", json!(true)),
        ("/problems", json!([])),
        ("/unknown", json!(1)),
    ] {
        let mut document = whole.clone();
        match document.pointer_mut(at) {
            Some(place) if *place != value => *place = value,
            // There is no problem to leave out: one is made up.
            Some(place) => *place = json!([{ "severity": "notice", "code": "T001", "message": "all is well" }]),
            None => document["unknown"] = value,
        }
        fs::write(scene.path("forged.json"), document.to_string()).unwrap();
        for verb in ["show", "apply"] {
            scene.check(
                &format!("{verb} forged.json"),
                4,
                &["its content does not match its digest", "plan --out FILE"],
            );
        }
    }
    // The members of an object have no order.
    let sorted = serde_json::to_string(&whole).unwrap();
    fs::write(scene.path("sorted.json"), sorted).unwrap();
    scene.check("show sorted.json", 0, &["1 to update"]);
    let mut old = whole;
    old["format_version"] = json!(1);
    fs::write(scene.path("old.json"), old.to_string()).unwrap();
    scene.check(
        "apply old.json",
        4,
        &["was saved by another version of phoenix: it has format 1, this phoenix reads 4"],
    );
    assert!(scene.conf(1000).unwrap().contains("memory: 2048"));
}

/// What a document with a digest that fits shows is done, or nothing of it.
#[test]
fn a_forged_document_does_nothing_that_it_does_not_show() {
    let scene = planned();
    let whole = scene.document("plan.json");
    let other_hash = json!("0".repeat(64));
    let refused: [(&str, Value, i32, &str); 8] = [
        ("/hash", other_hash.clone(), 4, "its plan does not match its hash"),
        ("/vms/0/fingerprint", other_hash.clone(), 4, "its plan does not match its hash"),
        ("/vms/0/actions/0/after", json!(["1001/record"]), 4, "its plan does not match its hash"),
        ("/target/identity", json!("elsewhere"), 4, "its plan does not match its hash"),
        ("/summary/update", json!(0), 4, "its counts do not match"),
        ("/summary/declared", json!(7), 5, "disagree about the project"),
        ("/target/label", json!("a node for tests"), 5, "the plan says of its target that it is `a node for tests`"),
        ("/config/digest", other_hash, 5, "or a script changed since it was planned"),
    ];
    for (at, value, code, says) in refused {
        let mut document = whole.clone();
        *document.pointer_mut(at).unwrap() = value;
        scene.forge("forged.json", &document);
        scene.check("apply forged.json", code, &[says]);
    }
    let shown: [(&str, Value); 7] = [
        ("/vms/0/changes", json!([])),
        ("/vms/0/changes/0/new", json!("1024")),
        ("/vms/0/changes/0/old", json!("4096")),
        ("/vms/0/changes/0/note", json!("nothing to worry about")),
        ("/vms/0/actions/0/reason", json!("because")),
        ("/vms/0/actions/1/with/values", json!(["tags"])),
        ("/vms/0/name", json!("test")),
    ];
    for (at, value) in shown {
        let mut document = whole.clone();
        *document.pointer_mut(at).unwrap() = value;
        scene.forge("forged.json", &document);
        scene.check("apply forged.json", 5, &["VM 1000 changed since the plan", "nothing is done to it"]);
        assert!(scene.conf(1000).unwrap().contains("memory: 2048"), "{at}");
    }
    // A plan may name any file of the machine: nothing of one that is no config is shown.
    for text in ["root:hidden-value:1\n", r#"{ "auth": "hidden-value" }"#] {
        fs::write(scene.path("secrets.json"), text).unwrap();
        let mut document = whole.clone();
        document["config"]["path"] = json!("secrets.json");
        scene.forge("forged.json", &document);
        let hint = "hint: `phoenix validate --config secrets.json` lists what is wrong";
        let said = scene.check("apply forged.json", 3, &["`secrets.json`, the config that the plan names", hint]);
        assert!(!said.contains("hidden") && !said.contains("auth"), "{said}");
    }
    scene.check("apply plan.json", 0, &[]);
    assert!(scene.conf(1000).unwrap().contains("memory: 512"));
}

#[test]
fn a_saved_plan_takes_the_hash_beside_it() {
    let scene = planned();
    let hash = scene.document("plan.json")["hash"].as_str().unwrap().to_owned();
    let other = "0".repeat(64);
    scene.check(
        &format!("apply plan.json --expect {other}"),
        5,
        &[" was expected; nothing was done", "nothing was done"],
    );
    assert!(scene.conf(1000).unwrap().contains("memory: 2048"));
    scene.check(&format!("apply plan.json --expect {hash}"), 0, &[]);
    assert!(scene.conf(1000).unwrap().contains("memory: 512"));
    // Done already is no other plan.
    scene.check(&format!("apply plan.json --expect {hash}"), 0, &["0 update"]);
}

#[test]
fn what_a_colleague_makes_meanwhile_is_not_pruned() {
    let scene = Scene::new();
    let keep = [vm(1000, "a", &json!({})), vm(1001, "b", &json!({}))];
    scene.config("c.json", &[&keep[..], &[vm(1002, "x", &json!({}))]].concat());
    scene.check("apply -c c.json --auto-approve", 0, &[]);
    scene.config("c.json", &keep);
    scene.check("plan -c c.json --prune --out plan.json", 0, &["1 to destroy"]);
    // Under the name of the one that goes, and so many that the guard against an emptied file would have its say.
    scene.config("other.json", &[(1003, "x"), (1004, "y"), (1005, "z")].map(|(id, name)| vm(id, name, &json!({}))));
    scene.check("apply -c other.json --auto-approve", 0, &[]);
    let says = ["VM 1003 changed since the plan: it is not in the plan, and would be destroyed", "1 destroy"];
    scene.check("apply plan.json --yes-destroy x", 5, &says);
    assert_eq!([1002, 1003, 1004, 1005].map(|vm| scene.conf(vm).is_some()), [false, true, true, true]);
    // What went is gone: it did not move.
    let said = scene.check("apply plan.json --yes-destroy x", 5, &["VM 1003 changed"]);
    assert!(!said.contains("VM 1002 changed"), "{said}");
}

#[test]
fn a_vm_that_moved_is_left_out_with_those_that_depend_on_it() {
    let scene = Scene::new();
    let vms = |memory: u32| {
        let more = |on: &[&str]| json!({ "memory_mb": memory, "depends_on": on });
        [
            vm(1000, "a", &more(&[])),
            vm(1001, "b", &more(&["a"])),
            vm(1002, "c", &more(&["b"])),
            vm(1003, "d", &more(&[])),
        ]
    };
    scene.config("c.json", &vms(1024));
    scene.check("apply -c c.json --auto-approve", 0, &[]);
    scene.config("c.json", &vms(512));
    scene.check("plan -c c.json --out plan.json", 0, &["4 to update"]);
    scene.edit(1000, "memory: 1024", "memory: 640");
    let says = [
        "VM 1000 changed since the plan: memory_mb: planned from `1024`, found `640`",
        "VM 1001 changed since the plan: it depends on VM 1000, which is left out",
        "VM 1002 changed since the plan: it depends on VM 1001, which is left out",
    ];
    scene.check("apply plan.json", 5, &says);
    let memory =
        |vm: u32| scene.conf(vm).unwrap().lines().find_map(|line| line.strip_prefix("memory: ").map(str::to_owned));
    assert_eq!(
        [1000, 1001, 1002, 1003].map(memory),
        ["640", "1024", "1024", "512"].map(|memory| Some(memory.to_owned()))
    );
    // Those that are done are not waited for, and nothing of the plan is done otherwise than it says.
    scene.edit(1000, "memory: 640", "memory: 1024");
    scene.check("apply plan.json", 0, &["0 create"]);
    assert_eq!([1000, 1001, 1002, 1003].map(memory), [(); 4].map(|()| Some("512".to_owned())));
}

#[test]
fn a_dependency_that_is_not_ready_any_more_is_not_brought_up_unasked() {
    let scene = Scene::new();
    let vms = |memory: u32| {
        let on = json!({ "memory_mb": memory, "depends_on": ["a"], "started": true });
        [vm(1000, "a", &json!({ "started": true })), vm(1001, "b", &on)]
    };
    scene.config("c.json", &vms(1024));
    scene.check("apply -c c.json --auto-approve", 0, &[]);
    scene.config("c.json", &vms(512));
    scene.check("plan -c c.json --only b --out plan.json", 0, &["1 to update"]);
    // Somebody stops it: it would be started first.
    scene.check("stop -c c.json 1000 --auto-approve", 0, &[]);
    let says = [
        "VM 1000 changed since the plan: it is not in the plan, and would be updated",
        "VM 1001 changed since the plan: it depends on VM 1000, which is left out",
    ];
    scene.check("apply plan.json", 5, &says);
    assert!(!scene.path("node/run/1000").exists() && scene.conf(1001).unwrap().contains("memory: 1024"));
}

#[test]
fn a_plan_is_for_the_node_that_it_was_made_for() {
    let scene = planned();
    fs::rename(scene.path("node"), scene.path("first")).unwrap();
    let hash = |target: &str| {
        let said = scene.check(&format!("plan -c c.json --target embedded:{target}"), 0, &[]);
        said.split_once("Plan hash ").unwrap().1.lines().next().unwrap().to_owned()
    };
    // However its path is written, it is one node; and another one is another one.
    let absolute = scene.path("first").display().to_string();
    assert_eq!(hash("first"), hash(&absolute));
    assert_eq!(hash("first"), hash("./first/../first"));
    fs::rename(scene.path("first"), scene.path("second")).unwrap();
    assert_ne!(hash("second"), scene.document("plan.json")["hash"].as_str().unwrap());
}

#[test]
fn consent_names_a_vm_beyond_doubt() {
    let scene = Scene::new();
    let names = [(1000, "stays"), (1001, "x"), (1002, "y"), (1003, "alone"), (1004, "1001"), (1005, "old")];
    scene.config("c.json", &names.map(|(id, name)| vm(id, name, &json!({}))));
    scene.check("apply -c c.json --auto-approve", 0, &[]);
    scene.edit(1002, "name: y", "name: x");
    // The file calls 1000 by the name that 1005 has.
    scene.config("c.json", &[vm(1000, "old", &json!({}))]);
    let prune = "apply -c c.json --auto-approve --prune --prune-many 5";
    scene.check(prune, 4, &["cannot ask", "give `--yes-destroy 1001,1002,alone,1004,1005`"]);
    let consent =
        |words: &str, code: i32, says: &[&str]| scene.check(&format!("{prune} --yes-destroy {words}"), code, says);
    let several = "the name given for VM";
    consent("x,alone,1004,1005", 4, &[several, "`--yes-destroy 1001,1002,alone,1004,1005`"]);
    consent("1001,1002,alone,1004,old", 4, &[several, "1005 `old`"]);
    // A name that is another one's VMID is that VMID.
    consent("1001,1002,alone,1005", 4, &[several, "1004 `1001`"]);
    consent("1001,1002,1004,1005", 4, &["the plan also destroys 1003 `alone`"]);
    assert!(scene.conf(1003).is_some());
    consent("1001,1002,alone,1004,1005,gone", 0, &["`--yes-destroy` names what the plan does not destroy: `gone`"]);
    assert_eq!((1000..1006).filter(|id| scene.conf(*id).is_some()).collect::<Vec<_>>(), [1000]);
    // Nor is it a name beyond doubt that a VM has which the plan leaves alone.
    scene.config("c.json", &[vm(1000, "stays", &json!({})), vm(1006, "db", &json!({}))]);
    scene.check("apply -c c.json --auto-approve", 0, &[]);
    scene.edit(1006, "name: db", "name: stays");
    scene.config("c.json", &[vm(1000, "stays", &json!({}))]);
    let spared = "apply -c c.json --auto-approve --prune --exclude 1000 --yes-destroy stays";
    scene.check(spared, 4, &["the name given for VM 1006", "name them by VMID"]);
    assert!(scene.conf(1006).is_some());
}
