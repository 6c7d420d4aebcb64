//! The later life of a VM, broken at each step on every kind of node: changed with a restart and a volume less, and
//! pruned. One more apply ends in the world of an undisturbed run on the embedded node.

use std::collections::BTreeMap;
use std::ops::Deref;

use super::places::Place;
use super::world::Scene;
use serde_json::{Value, json};

const CONFIG: &str = r#"{
  "hypervisor": { "project": "default" },
  "vm_defaults": { "boot_disk_size_gb": 8, "memory_mb": 1024 },
  "virtual_machines": [
    {
      "vm_id": 1000, "vm_name": "full", "features": ["base_setup"],
      "volumes": [{ "type": "nfs", "share": "local-nfs", "path": "/data", "mount_point": "/srv/data" }]
    },
    { "vm_id": 1001, "vm_name": "idle", "started": false }
  ]
}"#;

/// A way to go on, and what can break on it.
struct Way {
    config: fn(&mut Value),
    words: &'static [&'static str],
    steps: &'static [(&'static str, Option<&'static str>)],
}

const CHANGED: Way = Way {
    config: |config| {
        let vm = &mut config["virtual_machines"][0];
        vm["memory_mb"] = 2048.into();
        vm.as_object_mut().unwrap().remove("volumes");
    },
    words: &["apply", "--restart", "--auto-approve", "--json"],
    steps: &[
        ("configure", None),
        ("shutdown", None),
        ("start", None),
        ("guest-start", Some("phoenix-unmount")),
        ("replace-directory", None),
    ],
};

const PRUNED: Way = Way {
    config: |config| drop(config["virtual_machines"].as_array_mut().unwrap().remove(0)),
    words: &["apply", "--prune", "--auto-approve", "--yes-destroy", "full", "--json"],
    steps: &[("shutdown", None), ("write-exports", None), ("destroy", None)],
};

impl Way {
    /// Makes the VMs, and wishes for something else.
    fn prepare(&self, scene: &Scene) {
        let ran = scene.apply();
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        let mut config = serde_json::from_str(CONFIG).unwrap();
        (self.config)(&mut config);
        scene.declare(&config.to_string());
    }

    fn undisturbed(&self) -> BTreeMap<String, String> {
        let scene = Scene::with_node(CONFIG);
        self.prepare(&scene);
        let ran = scene.phoenix(self.words);
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        scene.world()
    }

    /// Breaks each step in these ways; each time the next run heals it.
    fn check<S: Deref<Target = Scene>>(&self, scene: impl Fn() -> S, ways: &[&str], settle: impl Fn(&S)) {
        let world = self.undisturbed();
        for ((op, program), how) in self.steps.iter().flat_map(|step| ways.iter().map(move |how| (step, *how))) {
            let case = format!("{op} {program:?} {how}");
            let scene = scene();
            self.prepare(&scene);
            let mut fault = json!({ "op": op, "vm": 1000, "how": how });
            if let Some(program) = program {
                fault["program"] = (*program).into();
            }
            scene.script_faults(&json!([fault]));
            let ran = scene.phoenix(self.words);
            assert!(scene.all_faults_happened(), "{case}: did not happen: {}{}", ran.out, ran.err);
            let codes: &[Option<i32>] = match how {
                "fail" => &[Some(6)],
                "lose" => &[Some(0), Some(6)],
                _ => &[None],
            };
            assert!(codes.contains(&ran.code), "{case}: {:?} {}{}", ran.code, ran.out, ran.err);
            settle(&scene);
            let ran = scene.phoenix(self.words);
            assert_eq!(ran.code, Some(0), "{case}: healing failed\n{}{}", ran.out, ran.err);
            let found = scene.world();
            for (path, content) in &world {
                assert_eq!(found.get(path), Some(content), "{case}: {path} differs");
            }
            assert_eq!(found.len(), world.len(), "{case}: {:?}", found.keys());
            assert_eq!(scene.phoenix(&["plan", "--detailed-exitcode"]).code, Some(0), "{case}: the plan is not empty");
        }
    }

    fn check_at(&self, place: Place) {
        if place.is_possible() {
            self.check(|| place.scene(CONFIG), &["fail", "lose"], |scene| scene.settle());
        }
    }
}

#[test]
fn changed_on_the_embedded_node() {
    let scene = || Box::new(Scene::with_node(CONFIG));
    CHANGED.check(scene, &["fail", "lose", "die-before", "die-after"], |_| {});
}

#[test]
fn changed_here() {
    CHANGED.check_at(Place::Here);
}

#[test]
fn changed_behind_ssh() {
    CHANGED.check_at(Place::Ssh);
}

#[test]
fn pruned_here() {
    PRUNED.check_at(Place::Here);
}

#[test]
fn pruned_behind_ssh() {
    PRUNED.check_at(Place::Ssh);
}
