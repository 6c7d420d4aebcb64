//! One look that consists of two questions: what ends between the two is not judged by the first answer.

mod around;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use phoenix::apply::{Inbox, Limits, RealClock, Run, run};
use phoenix::backend::embedded::Embedded;
use phoenix::config::{FeatureFiles, Source, load};
use phoenix::event::{Event, Failure};
use phoenix::hypervisor::{Fault, FaultKind, HostOp, Hypervisor};
use phoenix::model::VmId;
use phoenix::observed::VmObserved;
use phoenix::plan::{Request, plan};

use around::{Around, Target};

/// A target that loses the answer of the operations that make a VM, and whose first answer about it afterwards is of a
/// moment before: the clone, which has ended by the next question, still runs.
struct Late {
    node: Embedded,
    /// What the first answer says.
    before: fn(VmObserved) -> Option<VmObserved>,
    /// How many answers about the VM were late.
    answered: AtomicUsize,
    /// How many are to be.
    due: AtomicUsize,
}

impl Around for Late {
    fn inner(&self) -> &dyn Hypervisor {
        &self.node
    }
    fn vm(&self, vm: VmId) -> Result<Option<VmObserved>, Fault> {
        let now = self.node.vm(vm)?;
        if self.due.load(Ordering::Relaxed) == 0 {
            return Ok(now);
        }
        self.due.fetch_sub(1, Ordering::Relaxed);
        self.answered.fetch_add(1, Ordering::Relaxed);
        Ok(now.and_then(self.before))
    }
    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        self.node.perform(op, deadline)?;
        if matches!(op, HostOp::Clone { .. }) {
            self.due.store(1, Ordering::Relaxed);
            let what = "the connection broke".to_owned();
            return Err(Fault::uncertain(FaultKind::Unreachable, what));
        }
        Ok(())
    }
}

/// The VM is made although the first look after the lost answer saw something else.
#[track_caller]
fn check(before: fn(VmObserved) -> Option<VmObserved>) {
    let text = r#"{ "virtual_machines": [{ "vm_id": 1000, "vm_name": "web" }] }"#.to_owned();
    let source = Source::new("test.json", text);
    let desired = load(&source, &mut |_| FeatureFiles::Missing).desired.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let node = Embedded::open(dir.path()).unwrap();
    let (answered, due) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let target = Arc::new(Late { node, before, answered, due });
    let planned = plan(&desired, &target.node.observe().unwrap(), &Request::default());
    let hypervisor: Arc<dyn Hypervisor> = Arc::new(Target(Arc::clone(&target)));
    let of = Run {
        plan: Arc::new(planned),
        hypervisor,
        clock: Arc::new(RealClock::start()),
        limits: Limits::default(),
        config: "test".to_owned(),
        left_alone: 0,
    };
    let mut failures: Vec<Failure> = Vec::new();
    let summary = run(&of, &Inbox::default(), &mut |event| {
        if let Event::ActionFailed { failure, .. } = event {
            failures.push(failure);
        }
    });
    assert!(summary.is_complete(), "{failures:?}");
    assert_eq!(target.answered.load(Ordering::Relaxed), 1, "the first look was late");
}

#[test]
fn a_clone_that_ends_after_its_vm_was_looked_at_has_succeeded() {
    check(|vm| Some(VmObserved { lock: Some("clone".to_owned()), ..vm }));
}

#[test]
fn a_clone_that_begins_and_ends_between_two_questions_has_succeeded() {
    check(|_| None);
}
