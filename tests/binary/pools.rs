//! Resource pools: VMs that are put into one, move to another and leave it, on every back end.

use serde_json::{Value, json};

use super::broken::{Way, step};
use super::hardware::{everywhere, is_done};
use super::world::{Scene, check};

const POOLS: &str = "user:root@pam:1:0::::::\npool:dev:for tests:9000:local-zfs:\npool:prod::::\n";

fn config(pool: &Value) -> String {
    let mut vm = json!({ "vm_id": 1000, "vm_name": "web", "boot_disk_size_gb": 8 });
    if !pool.is_null() {
        vm["pool"] = pool.clone();
    }
    json!({ "virtual_machines": [vm] }).to_string()
}

fn write(scene: &Scene, pools: &str) {
    std::fs::write(scene.node().join("user.cfg"), pools).unwrap();
}

fn pools(scene: &Scene) -> String {
    std::fs::read_to_string(scene.node().join("user.cfg")).unwrap()
}

fn with(dev: &str, prod: &str) -> String {
    POOLS
        .replace("pool:dev:for tests:9000", &format!("pool:dev:for tests:{dev}"))
        .replace("pool:prod::", &format!("pool:prod::{prod}"))
}

#[test]
fn a_vm_is_put_into_its_pool_moves_and_leaves() {
    everywhere(|scene, case| {
        scene.declare(&config(&json!("dev")));
        check(&scene.phoenix(&["plan"]), 1, &["error[T115]", "there is no resource pool `dev`", "pvesh create /pools"]);
        assert!(!scene.node().join("user.cfg").exists(), "{case}");
        if !scene.node().exists() {
            check(&scene.phoenix(&["node", "init"]), 0, &[]);
        }
        write(scene, POOLS);
        check(&scene.apply(), 0, &[r#""results":{"planned":1,"created":1,"#]);
        assert_eq!(pools(scene), with("1000,9000", ""), "{case}");
        is_done(scene, case);

        scene.declare(&config(&json!("prod")));
        check(&scene.phoenix(&["plan"]), 0, &["dev → prod"]);
        check(&scene.apply(), 0, &[r#""updated":1"#]);
        assert_eq!(pools(scene), with("9000", "1000"), "{case}");
        is_done(scene, case);

        // What an administrator changes is seen, and made so again.
        write(scene, &with("1000,9000", ""));
        check(&scene.phoenix(&["plan"]), 0, &["pool", "changed outside phoenix"]);
        check(&scene.apply(), 0, &[r#""updated":1"#]);
        is_done(scene, case);

        // What the file does not say stays.
        scene.declare(&config(&Value::Null));
        is_done(scene, case);
        assert_eq!(pools(scene), with("9000", "1000"), "{case}");
        scene.declare(&config(&json!("")));
        check(&scene.apply(), 0, &[r#""updated":1"#]);
        assert_eq!(pools(scene), with("9000", ""), "{case}");
        is_done(scene, case);

        // A VM that is removed leaves its pool to no VM that gets its VMID.
        scene.declare(&config(&json!("dev")));
        check(&scene.apply(), 0, &[]);
        check(&scene.phoenix(&["destroy", "1000", "--yes-destroy", "web"]), 0, &[]);
        assert_eq!(pools(scene), with("9000", ""), "{case}");
    });
}

#[test]
fn a_vm_is_imported_with_its_pool() {
    let scene = Scene::with_node(&config(&json!("dev")));
    write(&scene, POOLS);
    check(&scene.apply(), 0, &[]);
    scene.declare(r#"{ "virtual_machines": [] }"#);
    let ran = scene.phoenix(&["import", "1000"]);
    check(&ran, 0, &[r#""pool": "dev""#]);
}

/// One moves from pool to pool.
pub(crate) const POOLED: Way = Way {
    begin: || {
        let scene = Scene::with_node(&config(&json!("dev")));
        write(&scene, POOLS);
        check(&scene.apply(), 0, &[]);
        scene.declare(&config(&json!("prod")));
        scene
    },
    // What was applied is forgotten first.
    steps: &[step("1000/set-pool", "configure"), step("1000/set-pool", "set-pool")],
    ..Way::PLAIN
};
