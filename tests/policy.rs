//! The example of rules for plans: what it lets pass, and what it does not.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

const PACKAGE: &str = "regopy==1.5.2";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether what evaluates rules is there; if not, says how it comes here.
#[expect(clippy::print_stdout, reason = "people who run the tests shall see what was not tested")]
fn has_rego() -> bool {
    if !support::need("python3", "python3") {
        return false;
    }
    if root().join("target/tools/python/regopy").is_dir() {
        return true;
    }
    let missing = format!("regopy is not installed (python3 -m pip install --target target/tools/python {PACKAGE})");
    assert!(std::env::var_os("PHOENIX_REQUIRE_ALL").is_none_or(|value| value != "1"), "{missing}");
    println!("SKIPPED: {missing}");
    false
}

/// A node with VMs of a config.
struct Scene(TempDir);

impl Scene {
    fn phoenix(&self, arguments: &[&str]) -> Output {
        let output =
            Command::new(env!("CARGO_BIN_EXE_phoenix")).args(arguments).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn declare(&self, vms: &[(u32, &str)], memory_mb: u32) {
        let vms: Vec<Value> = vms.iter().map(|(id, name)| json!({ "vm_id": id, "vm_name": name })).collect();
        let config = json!({
            "hypervisor": { "project": "shop" }, "vm_defaults": { "memory_mb": memory_mb }, "virtual_machines": vms,
        });
        fs::write(self.0.path().join("phoenix_vm_configs.json"), config.to_string()).unwrap();
    }

    /// What the rules deny, and what they warn of, on that day.
    fn judged(&self, plan: &str, day: &str) -> Value {
        let output = Command::new("python3")
            .arg(root().join("tests/policy/evaluate.py"))
            .args([root().join("docs/policy/plan.rego"), self.0.path().join(plan), PathBuf::from(day)])
            .env("PYTHONPATH", root().join("target/tools/python"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

const ALL: [(u32, &str); 5] = [(1000, "web-1"), (1001, "web-2"), (1002, "web-3"), (1003, "test"), (1004, "prod-db")];

#[test]
fn the_rules_let_pass_what_they_say() {
    if !has_rego() {
        return;
    }
    let scene = Scene(tempfile::tempdir().unwrap());
    scene.declare(&ALL, 2048);
    scene.phoenix(&["apply", "--auto-approve"]);

    scene.phoenix(&["plan", "--out", "nothing.json"]);
    assert_eq!(scene.judged("nothing.json", "Friday"), json!({ "deny": [], "warn": [] }));

    scene.declare(&ALL[..3], 2048);
    scene.phoenix(&["plan", "--prune", "--out", "prune.json"]);
    let production = "VM 1004 `prod-db` is production, and is destroyed by hand only";
    assert_eq!(scene.judged("prune.json", "Monday"), json!({ "deny": [production], "warn": [] }));
    let friday = ["VM 1003 `test` would be destroyed on a Friday", "VM 1004 `prod-db` would be destroyed on a Friday"];
    assert_eq!(scene.judged("prune.json", "Friday"), json!({ "deny": [friday[0], production, friday[1]], "warn": [] }));

    scene.declare(&ALL, 2048);
    scene.phoenix(&["plan", "--recreate", "test", "--out", "recreate.json"]);
    assert_eq!(scene.judged("recreate.json", "Monday"), json!({ "deny": [], "warn": [] }));
    assert_eq!(scene.judged("recreate.json", "Friday"), json!({ "deny": [friday[0]], "warn": [] }));

    scene.declare(&ALL[..3], 4096);
    scene.phoenix(&["plan", "--out", "later.json"]);
    assert_eq!(scene.judged("later.json", "Friday"), json!({ "deny": [], "warn": [] }));
    scene.phoenix(&["plan", "--restart", "--out", "restarts.json"]);
    let restarts = "3 VMs would restart; plan them in steps";
    assert_eq!(scene.judged("restarts.json", "Monday"), json!({ "deny": [restarts], "warn": [] }));

    scene.declare(&ALL, 2048);
    let conf = scene.0.path().join(".phoenix/node/qemu-server/1000.conf");
    fs::write(&conf, fs::read_to_string(&conf).unwrap().replace("cores: 2", "cores: 3")).unwrap();
    scene.phoenix(&["plan", "--out", "outside.json"]);
    let outside = "VM 1000 `web-1`: `cpu_cores` was changed outside phoenix";
    assert_eq!(scene.judged("outside.json", "Monday"), json!({ "deny": [], "warn": [outside] }));
}

/// The rule that the page shows is the one that is tried here.
#[test]
fn the_page_shows_the_rule_for_fridays() {
    let page = fs::read_to_string(root().join("docs/review.md")).unwrap();
    let (_, shown) = page.split_once("```rego\n").unwrap();
    let (shown, _) = shown.split_once("```\n").unwrap();
    assert!(fs::read_to_string(root().join("docs/policy/plan.rego")).unwrap().contains(shown), "{shown}");
}
