//! Everything that happens to VMs after their first day, broken at each step on every kind of node: each step fails,
//! loses its answer, and is killed. Asked for again, it ends in the world that an undisturbed run on the embedded node
//! leaves; and asked for twice, nothing more is done.
//!
//! The first day itself is broken in `loops` and `targets`. [`every_action_is_broken_on_every_kind_of_node`] watches
//! that no action is left out.

use std::collections::{BTreeMap, BTreeSet};

use super::places::{Place, Reached, two_at_a_time};
use super::targets::{self, check_honest};
use super::world::{APPLY, PLAN, Ran, Scene, ids};
use super::{
    attached, cloud_data, cloud_init, cluster, disks, forgotten, ha_key, hardware, images, import, imported, lifecycle,
    loops, moving, own_disk, pools, readdressed, recreated, snapshots, templates, unused,
};
use phoenix::model::ActionKind;
use serde_json::{Value, json};

/// A way to go on with VMs that are there, and what can break on it.
pub(crate) struct Way {
    /// Prepares an embedded node and a config, up to what is asked for.
    pub(crate) begin: fn() -> Scene,
    /// What is asked for.
    pub(crate) words: &'static [&'static str],
    /// How to ask whether anything is left to do; nothing where a plan has nothing to say about it.
    pub(crate) plan: &'static [&'static str],
    /// Whoever asks again has it done again.
    pub(crate) again: bool,
    /// Tasks of the node that must not be carried out twice.
    pub(crate) once: &'static [&'static str],
    /// What of the world is the same however it came about.
    pub(crate) world: fn(&Scene) -> BTreeMap<String, String>,
    /// The nodes on which there is such a way.
    pub(crate) places: &'static [Place],
    /// What breaks.
    pub(crate) steps: &'static [Step],
}

/// One operation of the node that an action consists of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Id of the action, of one with a subject the part before it.
    action: &'static str,
    /// As `faults.json` names it.
    op: &'static str,
    program: Option<&'static str>,
    /// How many like it come before.
    skip: u32,
    middle: bool,
    /// What has to fail for it to be tried.
    once_failed: Option<&'static str>,
}

/// An operation that can be killed in its middle.
pub(crate) const fn step(action: &'static str, op: &'static str) -> Step {
    Step { action, op, program: None, skip: 0, middle: true, once_failed: None }
}

/// A program in the guest: to start it has no middle.
pub(crate) const fn inside(action: &'static str, program: &'static str) -> Step {
    Step { program: Some(program), ..step(action, "guest-start").without_middle() }
}

impl Step {
    /// So many like it come before.
    pub(crate) const fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// It is tried because another operation failed.
    pub(crate) const fn once_failed(self, op: &'static str) -> Self {
        Self { once_failed: Some(op), ..self }
    }

    /// It has no middle, or one that a test of its own is about.
    pub(crate) const fn without_middle(self) -> Self {
        Self { middle: false, ..self }
    }

    /// Whether a cluster that loses its quorum refuses it, and the next run does it. A disk that grew all the same is
    /// none of those (see `quorum`).
    fn needs_quorum(&self, place: Place) -> bool {
        let free = [
            "ping",
            "stop",
            "shutdown",
            "fetch-image",
            "make-directory",
            "write-exports",
            "write-snippet",
            "remove-snippet",
        ];
        let grows = self.op == "resize" && place != Place::Embedded;
        self.program.is_none() && !self.op.starts_with("guest-") && !free.contains(&self.op) && !grows
    }

    fn kind(&self) -> &'static str {
        let action = &self.action[5..];
        action.split_once(':').map_or(action, |(kind, _)| kind)
    }

    /// How it is broken there.
    ///
    /// What a program does after phoenix died does not depend on how it was reached; a move of a disk runs detached.
    fn hows(&self, place: Place) -> Vec<&'static str> {
        let detached = ["move-disk", "import-further"].contains(&self.op) && place != Place::Embedded;
        let task = ["snapshot", "remove-snapshot", "create", "import-disk"].contains(&self.op);
        let middle = match place {
            Place::Embedded => self.middle,
            Place::Here => self.middle && task,
            Place::Ssh => false,
        };
        let mut hows = vec!["fail", "lose", "die-after"];
        if place != Place::Ssh || detached {
            hows.push("die-before");
        }
        if middle || detached {
            hows.push("die-halfway");
        }
        hows
    }

    fn fault(&self, how: &str) -> Value {
        let vm: u32 = self.action[..4].parse().unwrap();
        let mut fault = json!({ "op": self.op, "vm": vm, "how": how, "skip": self.skip });
        if let Some(program) = self.program {
            fault["program"] = program.into();
        }
        let before = self.once_failed.map(|op| json!({ "op": op, "vm": vm, "how": "fail" }));
        before.into_iter().chain([fault]).collect()
    }

    fn is(&self, id: &str) -> bool {
        id.strip_prefix(self.action).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }

    /// The run went as one does in which this step is broken like that: it was this action that failed, or was under
    /// way when the run died.
    #[track_caller]
    fn check_broken(&self, ran: &Ran, how: &str, undisturbed: &[String], place: Place, case: &str) {
        let of = |event: &str| ids(&ran.events, event).into_iter().filter(|id| self.is(id)).count();
        assert_eq!(of("action_started"), 1, "{case}: {}{}", ran.out, ran.err);
        match how {
            "fail" => {
                assert_eq!(ran.code, Some(6), "{case}: {}{}", ran.out, ran.err);
                assert_eq!(ids(&ran.events, "action_failed").len(), 1, "{case}: {}", ran.out);
                assert_eq!(of("action_failed"), 1, "{case}: {}", ran.out);
                let later = undisturbed.iter().skip_while(|id| !self.is(id)).skip(1);
                let skipped = ids(&ran.events, "action_skipped");
                let mut later = later.filter(|id| id[..4] == self.action[..4]);
                assert!(later.all(|id| skipped.contains(id)), "{case}: what waits for it is skipped: {skipped:?}");
            }
            "lose-quorum" => {
                assert_eq!((ran.code, of("action_failed")), (Some(6), 1), "{case}: {}{}", ran.out, ran.err);
                let is_it =
                    |event: &&Value| event["event"] == "action_failed" && self.is(event["id"].as_str().unwrap());
                let event = ran.events.iter().find(is_it).unwrap().to_string();
                let named = event.contains("no quorum") || event.contains(".conf.tmp.");
                assert!(named && event.contains("`pvecm status`"), "{case}: {event}");
            }
            "lose" if place == Place::Embedded => assert_eq!(ran.code, Some(0), "{case}: {}{}", ran.out, ran.err),
            // What only looks may say that it saw nothing.
            "lose" if self.op == "fetch-image" => assert!(matches!(ran.code, Some(0 | 6)), "{case}: {}", ran.out),
            "lose" => check_honest(ran, case),
            _ => {
                assert_eq!(ran.code, None, "{case}: was not killed");
                assert_eq!(of("action_ended") + of("action_failed"), 0, "{case}: {}", ran.out);
            }
        }
    }
}

impl Way {
    /// One that a plain apply goes.
    pub(crate) const PLAIN: Self = Self {
        begin: || unreachable!("every way begins somewhere"),
        words: &APPLY,
        plan: &PLAN,
        again: false,
        once: &[],
        world: Scene::world,
        places: &[Place::Embedded, Place::Here, Place::Ssh],
        steps: &[],
    };

    fn task_count(scene: &Scene, task: &str) -> usize {
        let index = std::fs::read_to_string(scene.node().join("tasks/index")).unwrap_or_default();
        index.lines().filter(|line| line.contains(&format!(":{task}:")) && line.ends_with(" OK")).count()
    }

    /// Asked for, it is done: the world is this, and nothing is left to do.
    #[track_caller]
    fn check_done(&self, scene: &Scene, world: &BTreeMap<String, String>, case: &str) -> Ran {
        let ran = scene.phoenix(self.words);
        assert_eq!(ran.code, Some(0), "{case}: {}{}", ran.out, ran.err);
        let found = (self.world)(scene);
        for (path, content) in world {
            assert_eq!(found.get(path), Some(content), "{case}: {path} differs");
        }
        let more: Vec<&String> = found.keys().filter(|path| !world.contains_key(*path)).collect();
        assert!(more.is_empty(), "{case}: left behind: {more:?}");
        if !self.plan.is_empty() {
            let plan = scene.phoenix(self.plan);
            assert_eq!(plan.code, Some(0), "{case}: the plan is not empty: {}{}", plan.out, plan.err);
        }
        for task in self.once {
            assert_eq!(Self::task_count(scene, task), 1, "{case}: {task} was not carried out once");
        }
        ran
    }

    fn check(&self, place: Place) {
        if !place.is_possible() || !self.places.contains(&place) {
            return;
        }
        let begun = (self.begin)();
        let undisturbed = begun.copy();
        let ran = undisturbed.phoenix(self.words);
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        let world = (self.world)(&undisturbed);
        let actions = ids(&ran.events, "action_started");
        let broken = |step: &'static Step| step.hows(place).into_iter().map(move |how| Some((step, how)));
        let cases = self.steps.iter().flat_map(broken).enumerate();
        let sampled = cases.filter(|(number, _)| is_sampled(*number, place)).map(|(_, case)| case);
        let without = self.steps.iter().filter(|step| step.needs_quorum(place)).enumerate();
        let without = without.filter(|(number, step)| is_one_of(8, number + step.op.len(), place));
        let without = without.map(|(_, step)| Some((step, "lose-quorum")));
        let cases: Vec<_> = std::iter::once(None).chain(sampled).chain(without).collect();
        two_at_a_time(&cases, |case| {
            let scene = place.copy_of(&begun);
            match case {
                None => self.check_twice(&scene, &world, &format!("{place:?}")),
                Some((step, how)) => {
                    let case = format!("{place:?}: {step:?} {how}");
                    self.break_in(&scene, step, how, &actions, &case);
                    self.check_done(&scene, &world, &case);
                    assert!(scene.is_exported(), "{case}: the server does not know what it exports");
                }
            }
        });
    }

    #[track_caller]
    fn check_twice(&self, scene: &Reached, world: &BTreeMap<String, String>, case: &str) {
        self.check_done(scene, world, &format!("{case}: undisturbed"));
        scene.settle();
        let before = scene.bytes();
        let ran = self.check_done(scene, world, &format!("{case}: twice"));
        if !self.again {
            assert!(ids(&ran.events, "action_started").is_empty(), "{case}: {}", ran.out);
            assert!(scene.bytes() == before, "{case}: asked again, something was written");
        }
    }

    #[track_caller]
    fn break_in(&self, scene: &Reached, step: &Step, how: &str, undisturbed: &[String], case: &str) {
        scene.script_faults(&step.fault(how));
        let dies_alone = scene.place() != Place::Embedded && how.starts_with("die");
        let ran = if dies_alone { scene.as_victim(self.words) } else { scene.phoenix(self.words) };
        assert!(scene.all_faults_happened(), "{case}: did not happen\n{}{}", ran.out, ran.err);
        step.check_broken(&ran, how, undisturbed, scene.place(), case);
        scene.settle();
        if how == "lose-quorum" {
            std::fs::remove_file(scene.node().join(".members")).unwrap();
        }
    }
}

/// What `PHOENIX_LOOPS` says.
fn loops() -> String {
    std::env::var_os("PHOENIX_LOOPS").and_then(|loops| loops.into_string().ok()).unwrap_or_default()
}

/// Whether a case is run in this place: every other one on the embedded node, an eighth of them on a node of Proxmox
/// where it runs, and another eighth on one through ssh. Which ones, a number in `PHOENIX_LOOPS` turns round;
/// `PHOENIX_LOOPS=all` runs all, and `PHOENIX_LOOPS=quorum` those alone in which the quorum is lost, all of them.
fn is_sampled(number: usize, place: Place) -> bool {
    loops() != "quorum" && is_one_of(if place == Place::Embedded { 2 } else { 8 }, number, place)
}

/// Whether a case is in the part of so many parts that is run in this place.
pub(crate) fn is_one_of(parts: usize, number: usize, place: Place) -> bool {
    let loops = loops();
    let turn: usize = loops.parse().unwrap_or(0);
    ["all", "quorum"].contains(&loops.as_str()) || (number + turn) % parts == usize::from(place == Place::Ssh)
}

macro_rules! ways {
    ($($name:ident => $way:expr,)*) => {
        const WAYS: &[(&str, &Way)] = &[$((stringify!($name), &$way),)*];
        $(mod $name {
            use super::*;

            #[test]
            fn embedded() {
                $way.check(Place::Embedded);
            }

            #[test]
            fn here() {
                $way.check(Place::Here);
            }

            #[test]
            fn behind_ssh() {
                $way.check(Place::Ssh);
            }
        })*
    };
}

ways! {
    changed => lifecycle::CHANGED,
    carded => lifecycle::CARDED,
    pruned => lifecycle::PRUNED,
    started => lifecycle::STARTED,
    started_elsewhere => readdressed::STARTED,
    stopped => lifecycle::STOPPED,
    forced => lifecycle::FORCED,
    restarted => lifecycle::RESTARTED,
    taken_up_again => lifecycle::TAKEN_UP_AGAIN,
    moved => disks::MOVED,
    moved_further => moving::MOVED,
    moved_all => moving::MOVED_ALL,
    netted => snapshots::NETTED,
    gone_back => snapshots::GONE_BACK,
    given_up => forgotten::FORGOTTEN,
    taken_over => import::ADOPTED,
    made_from_an_image => images::MADE,
    told => cloud_init::TOLD,
    given_a_drive => cloud_init::GIVEN_A_DRIVE,
    given_data => cloud_data::GIVEN,
    retired_with_data => cloud_data::RETIRED,
    formatted => hardware::FORMATTED,
    pooled => pools::POOLED,
    put_under_ha => ha_key::PUT,
    disabled_under_ha => ha_key::DISABLED,
    left_ha => ha_key::LEFT,
    retired_from_ha => ha_key::RETIRED,
    taken_back => attached::ATTACHED,
    copied => imported::IMPORTED,
    built => templates::BUILT,
    migrated => cluster::MIGRATED,
    stopped_to_move => cluster::STOPPED_TO_MOVE,
    placed => cluster::PLACED,
    on_its_own_disk => own_disk::OWN_DISK,
    made_anew => recreated::RECREATED,
    erased => unused::ERASED,
}

/// An action that is new has to be broken, too: give it a step of a [`Way`].
#[test]
fn every_action_is_broken_on_every_kind_of_node() {
    for place in [Place::Embedded, Place::Here, Place::Ssh] {
        // Each of these fails, is lost and is killed in the loops.
        let first_day = if place == Place::Embedded { loops::oracle() } else { targets::oracle() };
        let kind_of = |id: &String| id[5..].split(':').next().unwrap().to_owned();
        let first_day: BTreeSet<String> = first_day.actions.iter().map(kind_of).collect();
        let broken = |action: &str, by: &dyn Fn(&str) -> bool| {
            let mut steps = WAYS.iter().flat_map(|(_, way)| way.steps).filter(|step| step.kind() == action);
            first_day.contains(action) || steps.any(|step| step.hows(place).into_iter().any(by))
        };
        for action in ActionKind::ALL {
            let action = action.as_str();
            assert!(broken(action, &|how| how == "fail"), "{place:?}: no test in which {action} fails");
            assert!(broken(action, &|how| how == "lose"), "{place:?}: no test in which {action} loses its answer");
            assert!(broken(action, &|how| how.starts_with("die")), "{place:?}: no test that is killed in {action}");
        }
    }
}
