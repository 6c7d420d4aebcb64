//! One case: applied with the trouble, then without.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use phoenix::apply::{Clock, Inbox, Limits, Run, run};
use phoenix::backend::embedded::Embedded;
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::event::{Event, Failure, Summary};
use phoenix::hypervisor::Hypervisor;
use phoenix::model::Desired;
use phoenix::plan::{Plan, Request, plan};

use crate::around::Target;
use crate::node::{Case, Troubled, id};

const CONFIG: &str = r#"{ "virtual_machines": [
    { "vm_id": 1000, "vm_name": "web", "features": ["base_setup"]KEYS },
    { "vm_id": 1001, "vm_name": "db", "features": ["base_setup"] }
] }"#;

/// A clock on which waiting costs nothing.
#[derive(Default)]
struct NoWait(AtomicU64);

impl Clock for NoWait {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn pause(&self, how_long: Duration) {
        let ms = u64::try_from(how_long.as_millis()).unwrap().max(1);
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

/// What came of a run.
#[derive(Default)]
pub(crate) struct Told {
    summary: Summary,
    pub(crate) failures: Vec<(String, Failure)>,
    notices: Vec<(String, String)>,
    pub(crate) waited: Duration,
}

pub(crate) fn carried_out(plan: Plan, hypervisor: Arc<dyn Hypervisor>) -> Told {
    let clock = Arc::new(NoWait::default());
    // One at a time: on this clock a wait of one VM would be a wait of all.
    let limits = Limits { parallel: 1, ..Limits::default() };
    let run_ = Run {
        plan: Arc::new(plan),
        hypervisor,
        clock: Arc::clone(&clock) as _,
        limits,
        config: "t".to_owned(),
        left_alone: 0,
    };
    let mut told = Told::default();
    let (failures, notices) = (&mut told.failures, &mut told.notices);
    told.summary = run(&run_, &Inbox::default(), &mut |event| match event {
        Event::ActionFailed { action, failure, .. } => failures.push((action.id, failure)),
        Event::ActionNoticed { action, message } => notices.push((action.id, message)),
        _ => {}
    });
    told.waited = clock.now();
    told
}

pub(crate) fn desired(keys: &str) -> Desired {
    let source = Source::new("test.json", CONFIG.replace("KEYS", keys));
    load(&source, &mut |_| FeatureFiles::Missing).desired.unwrap()
}

fn planned(node: &Embedded, case: &Case<'_>) -> Plan {
    plan(&desired(case.keys), &node.observe().unwrap(), &Request::default())
}

#[track_caller]
fn phrases(what: &str, text: &str, expected: &[&str]) {
    for phrase in expected {
        assert!(text.contains(phrase), "{what} should say `{phrase}`: {text}");
    }
}

/// Applies with the trouble, then without, then looks whether anything is left to do.
#[track_caller]
pub(crate) fn check(case: &Case<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let open = || Embedded::open(dir.path()).unwrap();
    let told = carried_out(planned(&open(), case), Arc::new(Target(Arc::new(Troubled::new(dir.path(), case)))));
    if let Some(kind) = case.fails {
        let id = id(kind);
        let failed: Vec<&str> = told.failures.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(failed, [id.as_str()], "{:?}", told.failures);
        let failure = &told.failures[0].1;
        phrases("the error", &failure.error, case.error);
        phrases("the hint", failure.hint.as_deref().unwrap_or("(none)"), case.hint);
        assert!(!failure.stale, "{failure:?}");
        // No wait goes on behind its action's time, and none ends before it without a reason.
        let limit = Duration::from_secs(kind.timeout_seconds(&desired(case.keys).vms[0].timeouts).into());
        assert!(told.waited <= limit + Duration::from_secs(5), "waited for {:?}", told.waited);
        assert_eq!(told.waited >= limit, case.late, "waited for {:?}", told.waited);
        let skipped = told.summary.skipped.iter().all(|id| id.starts_with("1000/"));
        assert!(skipped, "the other VM goes on: {:?}", told.summary);
        let other = planned(&open(), case).vms.into_iter().find(|vm| vm.vm.get() == 1001).unwrap();
        assert!(!other.outcome.acts(), "the other VM is finished: {other:?}");
    } else {
        assert!(told.summary.is_complete(), "{:?}", told.failures);
        assert!(told.waited < Duration::from_mins(1), "waited for {:?}", told.waited);
    }
    for notice in case.notices {
        assert!(told.notices.iter().any(|(_, said)| said.contains(notice)), "`{notice}`: {:?}", told.notices);
    }
    // Once the cause is gone, one more apply finishes, and then nothing is left to do.
    let healed = carried_out(planned(&open(), case), Arc::new(open()));
    assert!(healed.summary.is_complete(), "{:?}", healed.failures);
    assert!(!planned(&open(), case).acts());
}
