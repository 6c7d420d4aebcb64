//! A node under load, on a clock that does not really wait.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use phoenix::apply::Clock;
use phoenix::hypervisor::{
    Cloning, Fault, FaultKind, FileOp, GuestAddress, GuestStatus, Guests, HostOp, Hypervisor, Plugged,
};
use phoenix::model::VmId;
use phoenix::observed::{Export, VmObserved};

use crate::around::Around;

/// One operation, of whichever port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    Host(HostOp),
    Files(FileOp),
}

impl From<&HostOp> for Op {
    fn from(op: &HostOp) -> Self {
        Self::Host(op.clone())
    }
}

impl From<&FileOp> for Op {
    fn from(op: &FileOp) -> Self {
        Self::Files(op.clone())
    }
}

/// How long a look waits before it gives up.
const LOOK: Duration = Duration::from_mins(1);

/// A clock on which waiting costs nothing.
#[derive(Default)]
pub(crate) struct NoWait(AtomicU64);

impl Clock for NoWait {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn pause(&self, how_long: Duration) {
        let ms = u64::try_from(how_long.as_millis()).unwrap().max(1);
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

/// What a busy node does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// Everything takes so many times what was recorded.
    Slow(u32),
    /// Looks give up after this operation.
    Blind {
        /// Its number, from 0.
        after: usize,
        /// It is carried out, and its answer is lost.
        lost: bool,
        /// So many looks give up; `None`: all of them, until the action ends.
        looks: Option<usize>,
    },
}

/// The node.
pub(crate) struct Loaded {
    node: Box<dyn Hypervisor>,
    clock: Arc<NoWait>,
    load: Load,
    /// How many looks give up from now on.
    blind: AtomicUsize,
    /// Whether one gave up.
    pub(crate) gave_up: AtomicBool,
    /// The operations so far.
    pub(crate) operations: Mutex<Vec<Op>>,
}

impl Loaded {
    pub(crate) fn new(node: Box<dyn Hypervisor>, clock: Arc<NoWait>, load: Load) -> Self {
        let (blind, gave_up) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { node, clock, load, blind, gave_up, operations: Mutex::default() }
    }

    /// An action ended: the node is itself again.
    pub(crate) fn recover(&self) {
        self.blind.store(0, Ordering::Relaxed);
    }

    /// What a call costs that took so many seconds when it was recorded; whether it ended in time.
    fn takes(&self, seconds: u32, most: Duration) -> bool {
        let Load::Slow(times) = self.load else { return true };
        let needed = Duration::from_secs(u64::from(seconds * times));
        self.clock.pause(needed.min(most));
        needed <= most
    }

    /// How an operation ends that took effect.
    fn ended(&self, op: Op, seconds: u32, deadline: Duration) -> Result<(), Fault> {
        let mut operations = self.operations.lock().unwrap();
        operations.push(op);
        if !self.takes(seconds, deadline) {
            return Err(Fault::uncertain(FaultKind::TimedOut, "no end within its time"));
        }
        match self.load {
            Load::Blind { after, lost, looks } if operations.len() == after + 1 => {
                self.blind.store(looks.unwrap_or(usize::MAX), Ordering::Relaxed);
                if lost { Err(Fault::uncertain(FaultKind::Unreachable, "the connection broke")) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn look<T>(&self, look: impl FnOnce(&dyn Hypervisor) -> Result<T, Fault>) -> Result<T, Fault> {
        let given_up = || Fault::harmless(FaultKind::TimedOut, "`phoenix-look`: it did not end within 60 s");
        let left = self.blind.load(Ordering::Relaxed);
        if left > 0 {
            self.blind.store(left - 1, Ordering::Relaxed);
            self.gave_up.store(true, Ordering::Relaxed);
            self.clock.pause(LOOK);
            return Err(given_up());
        }
        if self.takes(1, LOOK) { look(&*self.node) } else { Err(given_up()) }
    }
}

/// Seconds on a node that has nothing else to do.
fn recorded(op: &HostOp) -> u32 {
    match op {
        HostOp::Clone { .. } | HostOp::MoveDisk { .. } => 30,
        HostOp::Shutdown { .. } => 10,
        HostOp::Start { .. } | HostOp::Snapshot { .. } | HostOp::Destroy { .. } => 3,
        _ => 1,
    }
}

impl Around for Loaded {
    fn inner(&self) -> &dyn Hypervisor {
        &*self.node
    }
    fn vm(&self, vm: VmId) -> Result<Option<VmObserved>, Fault> {
        self.look(|node| node.vm(vm))
    }
    fn volumes(&self, vm: VmId) -> Result<Vec<String>, Fault> {
        self.look(|node| node.volumes(vm))
    }
    fn cloning(&self, vm: VmId) -> Result<Cloning, Fault> {
        self.look(|node| node.cloning(vm))
    }
    fn working(&self, vm: VmId) -> Result<Option<String>, Fault> {
        self.look(|node| node.working(vm))
    }
    fn exports(&self, vm: VmId) -> Result<Vec<Export>, Fault> {
        self.look(|node| node.files().unwrap().exports(vm))
    }
    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        // The doubles need real time for what costs none on this clock.
        self.node.perform(op, Duration::from_mins(2))?;
        self.ended(op.into(), recorded(op), deadline)
    }
    fn write(&self, op: &FileOp, deadline: Duration) -> Result<(), Fault> {
        self.node.files().unwrap().write(op, Duration::from_mins(2))?;
        self.ended(op.into(), 1, deadline)
    }
    fn guests(&self) -> &dyn Guests {
        self
    }
}

impl Guests for Loaded {
    fn ping(&self, vm: VmId) -> Result<(), Fault> {
        self.takes(1, LOOK);
        self.node.guests().ping(vm)
    }
    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault> {
        self.takes(1, LOOK);
        self.node.guests().addresses(vm)
    }
    fn online(&self, vm: VmId, what: Plugged) -> Result<u64, Fault> {
        self.takes(1, LOOK);
        self.node.guests().online(vm, what)
    }
    fn start(&self, vm: VmId, argv: &[String], input: &[u8]) -> Result<u64, Fault> {
        self.takes(1, LOOK);
        self.node.guests().start(vm, argv, input)
    }
    fn status(&self, vm: VmId, pid: u64) -> Result<GuestStatus, Fault> {
        self.takes(1, LOOK);
        self.node.guests().status(vm, pid)
    }
}
