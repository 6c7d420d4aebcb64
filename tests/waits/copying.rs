//! A copy that takes long: how far it is is said while it runs.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use phoenix::apply::{Inbox, Limits, RealClock, Run, run};
use phoenix::backend::embedded::Embedded;
use phoenix::event::Event;
use phoenix::hypervisor::{Copied, Copying, Fault, FaultKind, HostOp, Hypervisor};
use phoenix::plan::{Request, Selection, Selector, plan};

use crate::around::{Around, Target};
use crate::check::desired;

/// A target on which a clone ends once it was asked twice how far it is.
struct Slow {
    node: Embedded,
    asked: AtomicU64,
    enough: Sender<()>,
    may_end: Mutex<Receiver<()>>,
}

impl Slow {
    fn new(dir: &Path) -> Self {
        let (enough, may_end) = channel();
        let node = Embedded::open(dir).unwrap();
        Self { node, asked: AtomicU64::default(), enough, may_end: Mutex::new(may_end) }
    }
}

impl Around for Slow {
    fn inner(&self) -> &dyn Hypervisor {
        &self.node
    }
    fn copied(&self, copying: Copying<'_>) -> Result<Option<Copied>, Fault> {
        assert!(matches!(copying, Copying::Of(HostOp::Clone { .. })), "{copying:?}");
        if self.asked.fetch_add(1, Ordering::Relaxed) == 0 {
            return Ok(Some(Copied { done: 1 << 30, total: Some(4 << 30) }));
        }
        self.enough.send(()).unwrap();
        // A look that fails is no failure of the clone.
        Err(Fault::harmless(FaultKind::TimedOut, "too busy"))
    }
    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        if matches!(op, HostOp::Clone { .. }) {
            self.may_end.lock().unwrap().recv().unwrap();
        }
        self.node.perform(op, deadline)
    }
}

#[test]
fn how_far_a_clone_is_is_said_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let target = Slow::new(dir.path());
    let wish = desired("");
    let selection = Selection { only: vec![Selector::parse("1000")], ..Selection::default() };
    let request = Request { selection, ..Request::default() };
    let planned = plan(&wish, &target.node.observe().unwrap(), &request);
    let run_ = Run {
        plan: Arc::new(planned),
        hypervisor: Arc::new(Target(Arc::new(target))),
        clock: Arc::new(RealClock::start()),
        limits: Limits::default(),
        config: "t".to_owned(),
        left_alone: 0,
    };
    let mut said = Vec::new();
    let summary = run(&run_, &Inbox::default(), &mut |event| {
        if let Event::ActionWaiting { action, goal, .. } = event {
            said.push((action.id, goal));
        }
    });
    assert!(summary.is_complete(), "{summary:?}");
    assert_eq!(said, [("1000/clone".to_owned(), "the copy: 25 % (1.0 of 4.0 GiB)".to_owned())]);
}
