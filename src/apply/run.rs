//! The shell around the scheduler: threads, a channel, and the only loop that waits for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::clock::Clock;
use super::ends::{End, Ends};
use super::failure::failure;
use super::hints;
use super::perform::{Performer, Word};
use super::schedule::{Decision, Input, Limits, Scheduler};
use crate::event::{ActionName, Event, Failure, Summary};
use crate::hypervisor::Hypervisor;
use crate::model::{Fault, Outcome, line, message};
use crate::plan::Plan;

/// Everything a run needs.
pub struct Run {
    /// What to do. Must have no error among its problems.
    pub plan: Arc<Plan>,
    /// Where.
    pub hypervisor: Arc<dyn Hypervisor>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How much at once.
    pub limits: Limits,
    /// Name of the config, for people.
    pub config: String,
    /// How many VMs of what was agreed to are left alone, because they changed since then; they are not in the plan.
    pub left_alone: usize,
}

/// Where a run hears of its threads and of interruptions.
#[derive(Debug)]
pub struct Inbox {
    sender: Sender<Message>,
    receiver: Receiver<Message>,
}

/// Interrupts a run: once to begin nothing new, twice to leave at once.
#[derive(Debug, Clone)]
pub struct Interrupter(Sender<Message>);

#[derive(Debug)]
enum Message {
    Waiting(usize, String),
    Noticed(usize, String),
    Ended(usize, Result<Outcome, Failure>),
    WrittenDown,
    Interrupt,
}

impl Default for Inbox {
    fn default() -> Self {
        let (sender, receiver) = channel();
        Self { sender, receiver }
    }
}

impl Inbox {
    /// A handle for the signal handler.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.sender.clone())
    }
}

impl Interrupter {
    /// Interrupts the run.
    pub fn interrupt(&self) {
        // A run that is over does not listen any more.
        let _ = self.0.send(Message::Interrupt);
    }
}

/// Carries out a plan and tells what happens, event by event. Returns when everything has ended, or at the second
/// interruption.
pub fn run(run: &Run, inbox: &Inbox, tell: &mut dyn FnMut(Event)) -> Summary {
    let performer =
        Arc::new(Performer::new(Arc::clone(&run.plan), Arc::clone(&run.hypervisor), Arc::clone(&run.clock)));
    let mut shell = Shell {
        run,
        scheduler: Scheduler::new(&run.plan, run.limits),
        started: BTreeMap::new(),
        ends: Ends::of(&run.plan),
        summary: Summary::default(),
        tell,
    };
    let begin = run.clock.now();
    shell.announce();
    loop {
        match shell.scheduler.command() {
            Decision::Begin(number) => {
                shell.begin(number);
                spawn(number, Arc::clone(&performer), inbox.sender.clone());
            }
            Decision::Pass(number) => shell.ended(number, Outcome::NoOp, Duration::ZERO),
            Decision::Skip { action, because } => shell.skipped(action, because),
            Decision::Finish => {
                shell.write_down(&performer, inbox);
                break;
            }
            Decision::Idle => match inbox.receiver.recv() {
                Ok(message) => {
                    if shell.hear(message) {
                        break;
                    }
                }
                // Cannot happen while `inbox` holds a sender; then nothing more would ever come.
                Err(_) => break,
            },
        }
    }
    shell.close(begin)
}

/// Runs one action in a thread of its own. The thread is left behind when the process leaves early.
fn spawn(number: usize, performer: Arc<Performer>, sender: Sender<Message>) {
    let work = move || {
        let say = |word: Word| {
            let _ = sender.send(word.of(number));
        };
        let perform = std::panic::AssertUnwindSafe(|| performer.perform(number, &say));
        let ended = std::panic::catch_unwind(perform).unwrap_or_else(|_| {
            // A bug of ours must not let the run wait for ever.
            Err(failure("phoenix itself failed here (a bug)", Some(hints::REPORT_BUG)))
        });
        let ended = ended.map_err(|failure| Failure {
            error: message(failure.error),
            hint: failure.hint.map(message),
            fault: failure.fault.map(|fault| Box::new(Fault { what: message(fault.what), ..*fault })),
            ..failure
        });
        let _ = sender.send(Message::Ended(number, ended));
    };
    std::thread::spawn(work);
}

impl Word {
    /// The word of an action. Nodes and guests speak here, and may say any amount.
    fn of(self, number: usize) -> Message {
        match self {
            Self::Waiting(goal) => Message::Waiting(number, line(&goal).into_owned()),
            Self::Noticed(text) => Message::Noticed(number, message(text)),
        }
    }
}

struct Shell<'r> {
    run: &'r Run,
    scheduler: Scheduler<'r>,
    started: BTreeMap<usize, Duration>,
    ends: Ends,
    summary: Summary,
    tell: &'r mut dyn FnMut(Event),
}

impl Shell<'_> {
    fn name(&self, number: usize) -> ActionName {
        let (vm, action) = self.run.plan.action(number);
        ActionName { id: action.id(vm.vm), vm: vm.vm, name: vm.name.clone(), action: action.title() }
    }

    fn elapsed(&self, number: usize) -> Duration {
        let started = self.started.get(&number).copied();
        started.map_or(Duration::ZERO, |started| self.run.clock.now().saturating_sub(started))
    }

    fn announce(&mut self) {
        let plan = &self.run.plan;
        let about = self.run.hypervisor.about();
        let actions = plan.action_count();
        let acting = (0..actions).filter(|number| plan.action(*number).1.outcome.acts()).count();
        (self.tell)(Event::RunStarted {
            target: about.label,
            simulated: about.simulated,
            config: self.run.config.clone(),
            vms: plan.vms.len(),
            actions,
            acting,
        });
    }

    fn begin(&mut self, number: usize) {
        self.started.insert(number, self.run.clock.now());
        let action = self.run.plan.action(number).1;
        let (expected, timeout_seconds) = (action.outcome, action.timeout_seconds);
        let action = self.name(number);
        (self.tell)(Event::ActionStarted { action, expected, timeout_seconds });
    }

    fn ended(&mut self, number: usize, outcome: Outcome, elapsed: Duration) {
        match outcome {
            // Of the two, only a VM is recreated: its actions destroy and create.
            Outcome::Create | Outcome::Recreate => self.summary.created += 1,
            Outcome::Update => self.summary.updated += 1,
            Outcome::NoOp => self.summary.unchanged += 1,
            Outcome::Destroy => self.summary.destroyed += 1,
        }
        self.ends.note(&self.run.plan, number, if outcome.acts() { End::Acted } else { End::Idle });
        let action = self.name(number);
        (self.tell)(Event::ActionEnded { action, outcome, elapsed_ms: millis(elapsed) });
    }

    /// An action is not begun because another one failed. That matters only where something was to be done.
    fn skipped(&mut self, number: usize, because: usize) {
        if !self.run.plan.action(number).1.outcome.acts() {
            return self.ends.note(&self.run.plan, number, End::Idle);
        }
        let because = self.run.plan.action_id(because);
        let action = self.name(number);
        self.ends.note(&self.run.plan, number, End::Skipped);
        self.summary.skipped.push(action.id.clone());
        (self.tell)(Event::ActionSkipped { action, because });
    }

    /// Takes in a message. Returns whether to leave at once.
    fn hear(&mut self, message: Message) -> bool {
        match message {
            Message::Waiting(number, goal) => {
                let (action, elapsed_ms) = (self.name(number), millis(self.elapsed(number)));
                (self.tell)(Event::ActionWaiting { action, goal, elapsed_ms });
            }
            Message::Noticed(number, message) => {
                let action = self.name(number);
                (self.tell)(Event::ActionNoticed { action, message });
            }
            Message::Ended(number, Ok(outcome)) => {
                self.ended(number, outcome, self.elapsed(number));
                self.scheduler.on(Input::Done(number));
            }
            Message::Ended(number, Err(failure)) => {
                let action = self.name(number);
                self.summary.failed.push(action.id.clone());
                self.summary.stale += usize::from(failure.stale);
                self.ends.note(&self.run.plan, number, if failure.stale { End::Stale } else { End::Failed });
                let elapsed_ms = millis(self.elapsed(number));
                (self.tell)(Event::ActionFailed { action, failure, elapsed_ms });
                self.scheduler.on(Input::Failed(number));
            }
            Message::WrittenDown => {}
            Message::Interrupt => {
                let times = if self.summary.interrupted { 2 } else { 1 };
                self.summary.interrupted = true;
                let running: Vec<String> = self.scheduler.running().map(|n| self.run.plan.action_id(n)).collect();
                if times == 2 {
                    self.summary.left_running.clone_from(&running);
                }
                (self.tell)(Event::Interrupted { times, running });
                self.scheduler.on(Input::Stop);
                return times == 2;
            }
        }
        false
    }

    /// Has written down what actions that do not come any more would have written. Nothing else is under way.
    fn write_down(&mut self, performer: &Arc<Performer>, inbox: &Inbox) {
        if !performer.owes() {
            return;
        }
        let (performer, sender) = (Arc::clone(performer), inbox.sender.clone());
        std::thread::spawn(move || {
            let write = std::panic::AssertUnwindSafe(|| {
                performer.write_down(&|number, word| {
                    let _ = sender.send(word.of(number));
                });
            });
            // The guests know, too: nothing is lost with it.
            let _ = std::panic::catch_unwind(write);
            let _ = sender.send(Message::WrittenDown);
        });
        while let Ok(message) = inbox.receiver.recv() {
            if matches!(message, Message::WrittenDown) || self.hear(message) {
                break;
            }
        }
    }

    fn close(mut self, begin: Duration) -> Summary {
        let plan = &self.run.plan;
        self.summary.not_started = self
            .scheduler
            .not_started()
            .filter(|number| plan.action(*number).1.outcome.acts())
            .map(|number| plan.action_id(number))
            .collect();
        self.summary.results = Some(self.ends.results(plan, self.run.left_alone));
        let elapsed_ms = millis(self.run.clock.now().saturating_sub(begin));
        (self.tell)(Event::RunEnded { summary: self.summary.clone(), vms: Vec::new(), elapsed_ms });
        self.summary
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
