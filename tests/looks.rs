//! What only looks makes nothing, and says who named the target that it looked at.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CONFIG: &str = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 5 }] }"#;
const NAMED: &str = r#"{ "hypervisor": { "target": "embedded:node" },
    "virtual_machines": [{ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 5 }] }"#;

/// Verbs that look.
const LOOKS: [&str; 9] = [
    "plan",
    "plan --commands --format json",
    "status --verify-guest",
    "doctor",
    "validate",
    "observe",
    "graph",
    "import --all --dry-run",
    "node show",
];

struct Scene(tempfile::TempDir);

impl Scene {
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("phoenix_vm_configs.json"), config).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn ran(dir: &Path, arguments: &str, target: Option<&str>) -> (i32, String) {
        let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        phoenix.args(arguments.split_whitespace()).current_dir(dir).stdin(Stdio::null());
        phoenix.env_remove("PHOENIX_TARGET").envs(target.map(|target| ("PHOENIX_TARGET", target)));
        let output = phoenix.output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code().unwrap(), text)
    }

    #[track_caller]
    fn check(&self, arguments: &str, code: i32, says: &[&str]) -> String {
        let (found, said) = Self::ran(self.0.path(), arguments, None);
        assert_eq!(found, code, "{arguments}\n{said}");
        // Lines are as wide as the screen.
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for says in says {
            assert!(flat.contains(says), "{arguments}: `{says}` is missing in\n{said}");
        }
        said
    }

    /// Everything below the directory, with the content of files.
    fn tree(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        fn add(dir: &Path, tree: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if entry.file_type().unwrap().is_dir() {
                    tree.insert(path.clone(), None);
                    add(&path, tree);
                } else {
                    tree.insert(path.clone(), fs::read(&path).ok());
                }
            }
        }
        let mut tree = BTreeMap::new();
        add(self.0.path(), &mut tree);
        tree
    }

    #[track_caller]
    fn makes_nothing(&self, arguments: &str, code: i32, says: &[&str]) {
        let before = self.tree();
        self.check(arguments, code, says);
        let (before, after): (Vec<_>, Vec<_>) = (before.into_iter().collect(), self.tree().into_iter().collect());
        assert!(before == after, "{arguments} changed the directory");
    }
}

#[test]
fn what_looks_makes_nothing_whatever_the_target() {
    let fresh = Scene::new(CONFIG);
    for verb in LOOKS {
        fresh.makes_nothing(verb, 0, &[]);
    }
    fresh.makes_nothing("plan --guests qemu", 1, &["there is no template"]);
    fresh.makes_nothing("apply", 4, &["cannot ask"]);
    fresh.check("destroy 1000", 0, &[]);
    assert!(!fresh.path(".phoenix/node").exists());
    fs::remove_dir_all(fresh.path(".phoenix")).unwrap();
    let named = Scene::new(NAMED);
    for verb in LOOKS.into_iter().filter(|verb| *verb != "validate") {
        named.makes_nothing(verb, 1, &["there is no embedded node at node", "phoenix node init --target"]);
    }
    named.makes_nothing("validate", 0, &[]);
    named.makes_nothing("plan --target embedded:/proc/no", 1, &["there is no embedded node at /proc/no"]);
    named.makes_nothing("apply --auto-approve --target embedded:a/b", 1, &["its parent directory is missing"]);
    for scene in [fresh, named] {
        scene.check("apply --auto-approve", 0, &[]);
        for verb in LOOKS {
            scene.makes_nothing(verb, 0, &[]);
        }
        scene.makes_nothing("plan --guests qemu", 1, &["VM 1000 runs"]);
        scene.check("stop 1000 --auto-approve", 0, &[]);
        scene.makes_nothing("plan --guests qemu", 0, &[]);
    }
}

#[test]
fn the_plan_of_a_fresh_clone_is_the_one_of_the_node_once_it_is_made() {
    let hash = |scene: &Scene| {
        let plan: serde_json::Value = serde_json::from_str(&scene.check("plan --format json", 0, &[])).unwrap();
        plan["hash"].as_str().unwrap().to_owned()
    };
    let scene = Scene::new(CONFIG);
    let before = hash(&scene);
    scene.check("node init", 0, &["made embedded:.phoenix/node"]);
    scene.check("node init", 0, &["is there already"]);
    assert_eq!(hash(&scene), before);
    let scene = Scene::new(CONFIG);
    scene.check("plan --out p.json", 0, &["Plan: 1 to create"]);
    scene.check("apply p.json", 0, &[]);
    scene.check("plan --detailed-exitcode", 0, &["Plan: 0 to create"]);
    let scene = Scene::new(CONFIG);
    let hash = hash(&scene);
    scene.check(&format!("apply --expect {hash}"), 0, &[]);
}

#[test]
fn links_do_not_lead_the_node_beside_the_config_elsewhere() {
    for link in [".phoenix", ".phoenix/node"] {
        let scene = Scene::new(CONFIG);
        fs::create_dir(scene.path("elsewhere")).unwrap();
        fs::create_dir_all(scene.path(link).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(scene.path("elsewhere"), scene.path(link)).unwrap();
        for verb in ["plan", "status", "apply --auto-approve", "node init", "node add-template x"] {
            scene.check(verb, 1, &["is a link"]);
        }
        assert_eq!(fs::read_dir(scene.path("elsewhere")).unwrap().count(), 0);
    }
}

#[test]
fn the_plan_says_who_named_the_target() {
    let scene = Scene::new(CONFIG);
    let (human, markdown) = ("plan", "plan --format markdown --format html=p.html --format json=p.json");
    let check = |config: &str, more: &str, environment: Option<&str>, words: &str, origin: &str| {
        fs::write(scene.path("phoenix_vm_configs.json"), config).unwrap();
        for (verb, shown) in [(human, words.to_owned()), (markdown, format!("({words}"))] {
            let (code, said) = Scene::ran(scene.0.path(), &format!("{verb} {more}"), environment);
            assert_eq!(code, 0, "{said}");
            let flat = said.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "");
            assert!(flat.contains(&shown), "{verb} {more}: `{shown}` is missing in\n{said}");
        }
        assert!(fs::read_to_string(scene.path("p.html")).unwrap().contains(words.split(" of ").next().unwrap()));
        let plan: serde_json::Value = serde_json::from_slice(&fs::read(scene.path("p.json")).unwrap()).unwrap();
        assert_eq!(plan["target"]["origin"], origin);
    };
    scene.check("node init node", 0, &[]);
    let file = "named by hypervisor.target of phoenix_vm_configs.json";
    check(NAMED, "", None, file, "config");
    check(NAMED, "", Some("embedded:node"), "named by PHOENIX_TARGET", "environment");
    check(NAMED, "--target embedded:node", Some("embedded:other"), "named by --target", "command-line");
    fs::write(scene.path("phoenix_vm_configs.json"), CONFIG).unwrap();
    scene.check("plan", 0, &["embedded node at .phoenix/node (no Proxmox here; choose another with --target)"]);
    scene.check("plan --format markdown", 0, &["(the default), config"]);
}

#[test]
fn what_was_agreed_for_one_target_is_done_on_no_other() {
    let scene = Scene::new(NAMED);
    scene.check("node init node", 0, &[]);
    scene.check("node init other", 0, &[]);
    scene.check("plan --out p.json", 0, &[]);
    let plan: serde_json::Value = serde_json::from_slice(&fs::read(scene.path("p.json")).unwrap()).unwrap();
    let expect = format!("apply --expect {}", plan["hash"].as_str().unwrap());
    fs::write(scene.path("phoenix_vm_configs.json"), NAMED.replace("embedded:node", "embedded:other")).unwrap();
    scene.makes_nothing_on_nodes("apply p.json", "changed since it was planned");
    scene.makes_nothing_on_nodes(&expect, "nothing was done");
    // The same words from another directory mean another node.
    let config = scene.path("phoenix_vm_configs.json").display().to_string();
    let below = scene.path("below");
    fs::create_dir(&below).unwrap();
    scene.check("node init below/node", 0, &[]);
    scene.check(&format!("plan -c {config} --target embedded:node --out p.json"), 0, &[]);
    let (code, said) = Scene::ran(&below, "apply ../p.json", None);
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("the plan was made for node `pve`"), "{said}");
    let plan: serde_json::Value = serde_json::from_slice(&fs::read(scene.path("p.json")).unwrap()).unwrap();
    let expect = format!("apply -c {config} --target embedded:node --expect {}", plan["hash"].as_str().unwrap());
    let (code, said) = Scene::ran(&below, &expect, None);
    assert_eq!(code, 5, "{said}");
}

impl Scene {
    #[track_caller]
    fn makes_nothing_on_nodes(&self, arguments: &str, says: &str) {
        self.check(arguments, 5, &[says]);
        for node in ["node", "other"] {
            assert!(!self.path(node).join("qemu-server/1000.conf").exists(), "{arguments} made a VM on {node}");
        }
    }
}
