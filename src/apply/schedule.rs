//! What runs when. Pure: fed with [`Input`], asked with [`Scheduler::command`].
//!
//! ```text
//!            dependencies done            on(Done)
//!  waiting ────────────────────▶ ready ─▶ running ─────────▶ ended
//!     │                            │         │ on(Failed)
//!     │ a dependency failed        │         └─────────────▶ failed
//!     ├───────────────────────▶ skipped
//!     │ interrupted                │
//!     └───────────────────────▶ not started
//! ```
//! An action that the plan expects to do nothing goes from ready to ended without running.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::model::Outcome;
use crate::plan::{Plan, Step};

/// How much may happen at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Actions.
    pub parallel: usize,
    /// Full clones onto one storage, and disks that move there. Four run well on a real node (measured); more only get
    /// in each other's way.
    pub copies_per_storage: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { parallel: 10, copies_per_storage: 4 }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A running action ended well.
    Done(usize),
    /// A running action failed.
    Failed(usize),
    /// Begin nothing new.
    Stop,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Begin this action.
    Begin(usize),
    /// This action ended: it has nothing to do.
    Pass(usize),
    /// This action will not be begun, because the other one failed.
    Skip {
        /// The action.
        action: usize,
        /// The one that failed.
        because: usize,
    },
    /// Wait until something happens.
    Idle,
    /// Everything ended.
    Finish,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Ready,
    Running,
    Ended,
    Skipped,
}

/// Walks a plan.
#[derive(Debug)]
pub struct Scheduler<'p> {
    plan: &'p Plan,
    limits: Limits,
    missing: Vec<usize>,
    state: Vec<State>,
    /// Ready actions without a limit of their own, lowest number first.
    ready: BTreeSet<usize>,
    /// Ready full clones and moves by storage.
    ready_copies: BTreeMap<&'p str, BTreeSet<usize>>,
    running_copies: BTreeMap<&'p str, usize>,
    /// VMs with a running action, and the ready actions that wait for it to end.
    busy: BTreeMap<usize, Vec<usize>>,
    running: BTreeSet<usize>,
    /// Ended without running; still to be told.
    told: VecDeque<Decision>,
    stopped: bool,
}

impl<'p> Scheduler<'p> {
    /// A walk that has not begun.
    #[must_use]
    pub fn new(plan: &'p Plan, limits: Limits) -> Self {
        let count = plan.action_count();
        let mut scheduler = Self {
            plan,
            limits: Limits { parallel: limits.parallel.max(1), copies_per_storage: limits.copies_per_storage.max(1) },
            missing: (0..count).map(|number| plan.graph.dependency_count(number)).collect(),
            state: vec![State::Waiting; count],
            ready: BTreeSet::new(),
            ready_copies: BTreeMap::new(),
            running_copies: BTreeMap::new(),
            busy: BTreeMap::new(),
            running: BTreeSet::new(),
            told: VecDeque::new(),
            stopped: false,
        };
        for number in 0..count {
            if scheduler.missing[number] == 0 && scheduler.state[number] == State::Waiting {
                scheduler.make_ready(number);
            }
        }
        scheduler
    }

    /// What to do next. `Begin` counts the action as running from then on.
    pub fn command(&mut self) -> Decision {
        if let Some(told) = self.told.pop_front() {
            return told;
        }
        if !self.stopped
            && self.running.len() < self.limits.parallel
            && let Some(number) = self.pick()
        {
            self.state[number] = State::Running;
            self.running.insert(number);
            self.busy.insert(self.plan.vm_index(number), Vec::new());
            return Decision::Begin(number);
        }
        if self.running.is_empty() { Decision::Finish } else { Decision::Idle }
    }

    /// Takes note of what happened.
    pub fn on(&mut self, input: Input) {
        match input {
            Input::Stop => self.stopped = true,
            Input::Done(number) => {
                self.leave(number);
                self.end(number);
            }
            Input::Failed(number) => {
                self.leave(number);
                self.state[number] = State::Ended;
                self.skip_dependants(number);
            }
        }
    }

    /// The running actions, lowest number first.
    pub fn running(&self) -> impl Iterator<Item = usize> + '_ {
        self.running.iter().copied()
    }

    /// The actions that were neither begun nor skipped.
    pub fn not_started(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.state.len()).filter(|number| matches!(self.state[*number], State::Waiting | State::Ready))
    }

    /// Storage that a full clone or a moved disk is copied to, which counts against that storage's limit.
    fn copy_storage(&self, number: usize) -> Option<&'p str> {
        match self.plan.action(number).1.step.as_ref()? {
            Step::Clone(step) => step.storage.as_deref(),
            Step::CreateFromImage(step) => Some(&step.desired.boot_disk_storage),
            Step::ImportDisk(step) => Some(&step.storage),
            Step::MoveDisk(step) => Some(&step.storage),
            _ => None,
        }
    }

    fn make_ready(&mut self, number: usize) {
        // A chain of actions that have nothing to do ends here and now, without recursion.
        let mut queue = vec![number];
        while let Some(number) = queue.pop() {
            if self.plan.action(number).1.outcome == Outcome::NoOp {
                self.state[number] = State::Ended;
                self.told.push_back(Decision::Pass(number));
                for dependant in self.plan.graph.dependants(number) {
                    self.missing[dependant] -= 1;
                    if self.missing[dependant] == 0 && self.state[dependant] == State::Waiting {
                        queue.push(dependant);
                    }
                }
                continue;
            }
            self.state[number] = State::Ready;
            self.enqueue(number);
        }
    }

    fn enqueue(&mut self, number: usize) {
        if let Some(parked) = self.busy.get_mut(&self.plan.vm_index(number)) {
            parked.push(number);
        } else if let Some(storage) = self.copy_storage(number) {
            self.ready_copies.entry(storage).or_default().insert(number);
        } else {
            self.ready.insert(number);
        }
    }

    /// Takes the lowest ready action that no limit holds back.
    fn pick(&mut self) -> Option<usize> {
        loop {
            let clone = self
                .ready_copies
                .iter()
                .filter(|(storage, _)| {
                    self.running_copies.get(*storage).copied().unwrap_or(0) < self.limits.copies_per_storage
                })
                .filter_map(|(storage, ready)| Some((*ready.first()?, *storage)))
                .min();
            let plain = self.ready.first().copied();
            let number = match (plain, clone) {
                (None, None) => return None,
                (Some(plain), Some((clone, _))) if plain < clone => plain,
                (Some(plain), None) => plain,
                (_, Some((clone, storage))) => {
                    self.ready_copies.entry(storage).or_default().remove(&clone);
                    if let Some(parked) = self.busy.get_mut(&self.plan.vm_index(clone)) {
                        parked.push(clone);
                        continue;
                    }
                    *self.running_copies.entry(storage).or_default() += 1;
                    return Some(clone);
                }
            };
            self.ready.remove(&number);
            // One writer per VM: Proxmox locks the configuration anyway.
            if let Some(parked) = self.busy.get_mut(&self.plan.vm_index(number)) {
                parked.push(number);
                continue;
            }
            return Some(number);
        }
    }

    /// Frees what a running action held.
    fn leave(&mut self, number: usize) {
        self.running.remove(&number);
        if let Some(storage) = self.copy_storage(number)
            && let Some(count) = self.running_copies.get_mut(storage)
        {
            *count = count.saturating_sub(1);
        }
        for parked in self.busy.remove(&self.plan.vm_index(number)).unwrap_or_default() {
            self.enqueue(parked);
        }
    }

    fn end(&mut self, number: usize) {
        self.state[number] = State::Ended;
        for dependant in self.plan.graph.dependants(number) {
            self.missing[dependant] -= 1;
            if self.missing[dependant] == 0 && self.state[dependant] == State::Waiting {
                self.make_ready(dependant);
            }
        }
    }

    fn skip_dependants(&mut self, failed: usize) {
        let mut queue = VecDeque::from(self.plan.graph.dependants(failed));
        while let Some(number) = queue.pop_front() {
            if self.state[number] == State::Waiting {
                self.state[number] = State::Skipped;
                self.told.push_back(Decision::Skip { action: number, because: failed });
                queue.extend(self.plan.graph.dependants(number));
            }
        }
    }
}
