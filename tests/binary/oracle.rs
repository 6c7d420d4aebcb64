//! What every loop goes by: the world that an undisturbed run leaves, and which operations of the node each action
//! consists of.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{Ran, Scene, ids};
use serde_json::{Value, json};

/// What an undisturbed run of a config on the embedded node does and leaves.
pub(crate) struct Oracle {
    /// The actions that begin, in order.
    pub(crate) actions: Vec<String>,
    /// The world.
    pub(crate) world: BTreeMap<String, String>,
}

/// Where an action stands among those of its VM.
fn position(id: &str) -> usize {
    let order = [
        "fetch-image",
        "clone",
        "create-from-image",
        "configure",
        "resize-disk",
        "start",
        "await-agent",
        "await-cloud-init",
        "prepare-share:/persistent-storage",
        "prepare-share:/srv/data",
        "export-share",
        "mount:/persistent-storage",
        "mount:/srv/data",
        "stage-scripts",
        "feature:base_setup",
        "feature:install_docker",
        "record",
    ];
    order.iter().position(|name| id[5..] == **name).unwrap_or_else(|| panic!("{id} is unknown"))
}

impl Oracle {
    /// Runs a config undisturbed.
    pub(crate) fn of(config: &str) -> Self {
        let scene = Scene::with_node(config);
        let ran = scene.apply();
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(scene.plan_code(), Some(0));
        let mut actions = ids(&ran.events, "action_started");
        actions.sort_by_key(|id| (id[..4].to_owned(), position(id)));
        Self { actions, world: scene.world() }
    }

    /// One more apply heals everything: the world is that of an undisturbed run, and nothing is left to do.
    #[track_caller]
    pub(crate) fn check_healed(&self, scene: &Scene, case: &str) {
        let ran = scene.apply();
        assert_eq!(ran.code, Some(0), "{case}: healing failed\n{}{}", ran.out, ran.err);
        self.check_world(scene, case);
    }

    /// The world is that of an undisturbed run, and nothing is left to do.
    #[track_caller]
    pub(crate) fn check_world(&self, scene: &Scene, case: &str) {
        let (found, wanted) = (scene.world(), &self.world);
        for (path, content) in wanted {
            assert_eq!(found.get(path), Some(content), "{case}: {path} differs");
        }
        let more: Vec<&String> = found.keys().filter(|path| !wanted.contains_key(*path)).collect();
        assert!(more.is_empty(), "{case}: left behind: {more:?}");
        assert_eq!(scene.plan_code(), Some(0), "{case}: the plan is not empty");
    }

    /// The operation of the node that an action consists of, as `faults.json` names it, and how many like it come
    /// before.
    pub(crate) fn fault(id: &str, how: &str) -> Value {
        let vm: u32 = id[..4].parse().unwrap();
        let (op, program, skip) = match &id[5..] {
            "clone" => ("clone", None, 0),
            "configure" => ("configure", None, 0),
            "resize-disk" => ("resize", None, 0),
            "start" => ("start", None, 0),
            "await-agent" => ("ping", None, 0),
            "await-cloud-init" => ("guest-start", Some("cloud-init"), 0),
            "prepare-share:/persistent-storage" => ("make-directory", None, 0),
            // The node tells directories by the VMID in their path, and this one has none.
            "prepare-share:/srv/data" => return json!([{ "op": "make-directory", "how": how, "skip": 1 }]),
            "export-share" => ("write-exports", None, 0),
            "mount:/persistent-storage" => ("guest-start", Some("phoenix-mount"), 0),
            "mount:/srv/data" => ("guest-start", Some("phoenix-mount"), 1),
            "stage-scripts" => ("guest-start", Some("phoenix-stage"), 0),
            "feature:base_setup" => ("guest-start", Some("phoenix-feature"), 0),
            "feature:install_docker" => ("guest-start", Some("phoenix-feature"), 1),
            // The first write is `configure`; that features ran is written with the last.
            "record" => ("configure", None, 1),
            other => panic!("{other} is unknown"),
        };
        let mut entry = json!({ "op": op, "vm": vm, "how": how, "skip": skip });
        if let Some(program) = program {
            entry["program"] = program.into();
        }
        json!([entry])
    }

    /// What waits for an action, directly or not, within the same VM.
    fn descendants(&self, id: &str) -> BTreeSet<String> {
        let vm = &id[..4];
        let volume = |id: &str| id.contains("prepare-share:") || id.contains("mount:");
        let later = self.actions.iter().filter(|other| other.starts_with(vm) && position(other) > position(id));
        let waits = |other: &&String| {
            // Directories do not wait for each other, and neither do mounts.
            !volume(id) || !volume(other) || id[5..10] != other[5..10]
        };
        later.filter(waits).cloned().collect()
    }

    /// The action failed alone: what waits for it was skipped, and everything else was done.
    #[track_caller]
    pub(crate) fn check_failed(&self, ran: &Ran, id: &str) {
        assert_eq!(ran.code, Some(6), "{id}: {}{}", ran.out, ran.err);
        assert_eq!(ids(&ran.events, "action_failed"), [id], "exactly this one fails: {}", ran.out);
        let skipped: BTreeSet<String> = ids(&ran.events, "action_skipped").into_iter().collect();
        assert_eq!(skipped, self.descendants(id), "{id}: what waits for it is skipped, and nothing else");
        let ended: BTreeSet<String> = ids(&ran.events, "action_ended").into_iter().collect();
        let others = self.actions.iter().filter(|other| *other != id && !skipped.contains(*other));
        assert_eq!(ended, others.cloned().collect(), "{id}: everything else is done");
    }
}
