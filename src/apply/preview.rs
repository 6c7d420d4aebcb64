//! What the actions of a plan would do, call by call, without doing it: they are carried out on a target that is only
//! imagined.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock::Clock;
use super::imagined::{Call, Imagined};
use super::perform::Performer;
use crate::event::Failure;
use crate::hypervisor::Hypervisor;
use crate::model::VmId;
use crate::observed::Observed;
use crate::plan::Plan;

/// The calls of one action, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Id of the action, e.g. `1000/clone`.
    pub action: String,
    /// Its VM.
    pub vm: VmId,
    /// Its calls.
    pub calls: Vec<Call>,
    /// Of each call, the other node that its VM is on then; `None`: it is of the target's own node.
    pub nodes: Vec<Option<String>>,
}

/// A clock on which no wait takes any time of the day.
#[derive(Default)]
struct Waitless(AtomicU64);

impl Clock for Waitless {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn pause(&self, how_long: Duration) {
        self.0.fetch_add(u64::try_from(how_long.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The calls of every action that acts.
///
/// What is only known when it is there is written in angle brackets: `<digest>`, `<mac of net0>`,
/// `<address of net0>`, in the record `UUID`. Looks that decide nothing, and repeated questions, are left out.
///
/// # Errors
/// Of an action that would fail even if every call did what it is for.
pub fn preview(plan: &Plan, observed: &Observed) -> Result<Vec<Preview>, Failure> {
    let plan = Arc::new(plan.clone());
    let target = Arc::new(Imagined::of(observed));
    let hypervisor: Arc<dyn Hypervisor> = Arc::clone(&target) as _;
    let performer = Performer::new(Arc::clone(&plan), hypervisor, Arc::new(Waitless::default()));
    let mut found = Vec::new();
    for at in plan.in_order() {
        for number in plan.actions_of(at).filter(|number| plan.action(*number).1.outcome.acts()) {
            performer.perform(number, &|_| {})?;
            let (action, vm) = (plan.action_id(number), plan.vms[at].vm);
            let (calls, nodes) = target.take().into_iter().unzip();
            found.push(Preview { action, vm, calls, nodes });
        }
    }
    Ok(found)
}
