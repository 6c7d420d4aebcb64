//! A run as people and programs read it, event by event.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::failure::about;
use super::layout::{count, cut, duration, number, pad, wrap};
use super::story::{Moment, Story};
use super::style::{Mark, Role, Style};
use super::text::{safe, safe_block, safe_json, safe_lines};
use super::verdict::{self, of_actions, of_run};
use super::waits::Waits;
use crate::event::{ActionName, Event, Failure, STREAM_VERSION, Summary, VmReached};
use crate::model::{Outcome, VmId};
use crate::plan::Plan;

/// A line of the event stream.
#[derive(Serialize, JsonSchema)]
pub struct StreamLine<'a> {
    /// Version of the stream's shape.
    v: u32,
    /// Counts the lines from 1.
    seq: u64,
    /// When it happened, RFC 3339 in UTC.
    time: &'a str,
    /// On the last line: how many `action_started` and `action_waiting` lines before it were left out, because they
    /// were not read fast enough. Their numbers are missing in `seq`.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
    #[serde(flatten)]
    event: &'a Event,
}

/// The JSON schema of a line of the event stream.
#[must_use]
pub fn schema() -> String {
    crate::plan::document::schema_of::<StreamLine<'_>>()
}

/// An event as one JSON line, without the line break.
#[must_use]
pub fn json_line(event: &Event, seq: u64, time: &str) -> String {
    line_of(&StreamLine { v: STREAM_VERSION, seq, time, dropped: None, event })
}

/// The last line of a stream out of which lines were left.
#[must_use]
pub fn last_json_line(event: &Event, seq: u64, time: &str, dropped: u64) -> String {
    line_of(&StreamLine { v: STREAM_VERSION, seq, time, dropped: (dropped > 0).then_some(dropped), event })
}

fn line_of(line: &StreamLine<'_>) -> String {
    // Serialising plain strings and numbers cannot fail.
    safe_json(&serde_json::to_string(line).unwrap_or_default()).into_owned()
}

/// All events of a run as JSON lines.
#[must_use]
pub fn json_lines(moments: &[Moment]) -> String {
    moments.iter().zip(1..).map(|(moment, seq)| json_line(&moment.event, seq, &moment.time) + "\n").collect()
}

/// A run as people read it, for a file.
#[must_use]
pub fn plain(story: &Story, moments: &[Moment]) -> String {
    if let Some(refused) = &story.refused {
        let hint = refused.hint.as_ref().map(|hint| format!("hint: {}\n", safe_block(hint))).unwrap_or_default();
        return format!("Nothing was started: {}\n{hint}", safe_block(&refused.why));
    }
    let events: Vec<Event> = moments.iter().map(|moment| moment.event.clone()).collect();
    let mut human = Human::of_events(&events, Style { color: false }, PLAIN_WIDTH, "phoenix apply".to_owned());
    let mut out: String = events.iter().map(|event| human.on(event)).collect();
    for spared in &story.spared {
        out.push_str(&format!("VM {} changed since the plan: {}\n", spared.vm, safe(&spared.what)));
    }
    out
}

/// How the row of an action that failed begins.
const FAILED: Mark = Mark { sign: "✗", role: Role::Failure };

/// How the row of an action that takes long begins.
const WAITS: Mark = Mark { sign: "…", role: Role::Faint };

/// Lines of a failure that its summary repeats.
const LAST_LINES: usize = 5;

/// Up to this many VMs without changes have a line each; up to this many with changes have one for each action of
/// theirs that is a no-op, too.
const MOST_LISTED: usize = 20;

/// Most VMs whose addresses the end of a run tells.
const MOST_REACHED: usize = 20;

/// Columns of a text in a file.
const PLAIN_WIDTH: usize = 80;

/// The human face of a run: a fold over its events.
#[derive(Debug)]
pub struct Human {
    style: Style,
    width: usize,
    /// Widths of the columns with the VM and the action.
    columns: (usize, usize),
    simulated: bool,
    /// What to type to go on after something was left undone.
    continue_with: String,
    failures: Vec<(ActionName, Failure)>,
    /// The VMs of which one line is said, with the number of their actions: nothing is to be done to them.
    unchanged: BTreeMap<VmId, usize>,
    /// Those of them that had their line.
    listed: BTreeSet<VmId>,
    /// Of the other VMs only what is done is said: they are many.
    terse: bool,
    /// The actions that were skipped, by their VM and why.
    skipped: BTreeMap<(VmId, String), Vec<String>>,
    /// The VMs to which something was done.
    acted: BTreeSet<VmId>,
    /// What is said while actions wait.
    waits: Waits,
}

impl Human {
    /// A face for the run of a plan. `continue_with` is the command that goes on after a failure.
    #[must_use]
    pub fn new(plan: &Plan, style: Style, width: usize, continue_with: String) -> Self {
        let names =
            plan.vms.iter().flat_map(|vm| vm.actions.iter().map(move |action| (vm.vm, &*vm.name, action.title())));
        let unchanged = plan.vms.iter().filter(|vm| !vm.outcome.acts()).map(|vm| (vm.vm, vm.actions.len()));
        let unchanged: BTreeMap<VmId, usize> = unchanged.collect();
        let terse = plan.vms.len() - unchanged.len() > MOST_LISTED;
        Self { unchanged, terse, ..Self::with_columns(columns(names), style, width, continue_with) }
    }

    /// Every action has its line, those of unchanged VMs, too.
    #[must_use]
    pub fn verbose(mut self, verbose: bool) -> Self {
        if verbose {
            self.unchanged.clear();
            self.terse = false;
        }
        self
    }

    /// What an action waits for that takes long has a line each minute: for output that shows nothing live.
    #[must_use]
    pub fn sparse(self, sparse: bool) -> Self {
        Self { waits: Waits::new(sparse), ..self }
    }

    /// A face for a run that is over, told again from its events.
    #[must_use]
    pub fn of_events(events: &[Event], style: Style, width: usize, continue_with: String) -> Self {
        let names = events.iter().filter_map(Event::action);
        let names = names.map(|action| (action.vm, &*action.name, action.action.clone()));
        let human = Self::with_columns(columns(names), style, width, continue_with);
        let unchanged = unchanged(events);
        let all: BTreeSet<VmId> = events.iter().filter_map(Event::action).map(|action| action.vm).collect();
        let terse = all.len() - unchanged.len() > MOST_LISTED;
        Self { unchanged, terse, ..human }
    }

    fn with_columns(columns: (usize, usize), style: Style, width: usize, continue_with: String) -> Self {
        // The outcome and how long it took stand in the same row, if anything can be done about it.
        let columns = (columns.0, columns.1.min(width.saturating_sub(columns.0 + 22)));
        Self {
            style,
            width,
            columns,
            simulated: false,
            continue_with,
            failures: Vec::new(),
            unchanged: BTreeMap::new(),
            terse: false,
            listed: BTreeSet::new(),
            skipped: BTreeMap::new(),
            acted: BTreeSet::new(),
            waits: Waits::default(),
        }
    }

    /// The lines to print for an event, each with its line break; often none.
    pub fn on(&mut self, event: &Event) -> String {
        match event {
            Event::RunStarted { simulated, .. } => {
                self.simulated = *simulated;
                String::new()
            }
            Event::ActionWaiting { action, goal, elapsed_ms } if self.waits.are_due(action, *elapsed_ms) => {
                let goal = format!("for {goal}");
                self.line(WAITS, action, "waits", Some(*elapsed_ms)) + &self.indented(&goal, Role::Plain)
            }
            Event::ActionStarted { .. } | Event::ActionWaiting { .. } => String::new(),
            Event::ActionNoticed { action, message } => {
                self.line(Mark::ATTENTION, action, "notice", None) + &self.indented(message, Role::Attention)
            }
            Event::ActionEnded { action, outcome, elapsed_ms } => {
                if outcome.acts() {
                    self.acted.insert(action.vm);
                } else if let Some(actions) = self.unchanged.get(&action.vm) {
                    let first = self.unchanged.len() <= MOST_LISTED && self.listed.insert(action.vm);
                    let all = ActionName { action: count(*actions, "action"), ..action.clone() };
                    return if first { self.line(Outcome::NoOp.into(), &all, "no-op", None) } else { String::new() };
                } else if self.terse {
                    return String::new();
                }
                let elapsed = outcome.acts().then_some(*elapsed_ms);
                self.line((*outcome).into(), action, outcome.as_str(), elapsed)
            }
            Event::ActionFailed { action, failure, elapsed_ms } => {
                self.failures.push((action.clone(), failure.clone()));
                let mut out = self.line(FAILED, action, "failed", Some(*elapsed_ms));
                out.push_str(&self.indented(&failure.error, Role::Plain));
                for line in about(failure) {
                    out.push_str(&self.indented(&line, Role::Plain));
                }
                if let Some(hint) = &failure.hint {
                    out.push_str(&self.indented(&format!("hint: {hint}"), Role::Plain));
                }
                out
            }
            Event::ActionSkipped { action, because } => {
                self.skipped.entry((action.vm, because.clone())).or_default().push(action.action.clone());
                String::new()
            }
            Event::Interrupted { times: 1, running } => format!(
                "Interrupted: finishing {}, then stopping; press Ctrl-C again to quit now.\n",
                count(running.len(), "running action")
            ),
            Event::Interrupted { running, .. } => {
                let mut out = "Interrupted twice: leaving at once.\n".to_owned();
                for id in running {
                    out.push_str(&format!("  {} is still running on the target\n", safe(id)));
                }
                out
            }
            Event::RunEnded { summary, vms, elapsed_ms } => self.summary(summary, vms, *elapsed_ms),
        }
    }

    /// `+ 1000 rumpledev  clone  create  0.8 s`
    fn line(&self, mark: Mark, action: &ActionName, word: &str, elapsed: Option<u64>) -> String {
        let vm = format!("{} {}", action.vm, safe(&action.name));
        let title = safe(&action.action).into_owned();
        let elapsed = elapsed.map(duration).unwrap_or_default();
        let text = format!(
            "{} {}  {}  {} {elapsed}",
            mark.sign,
            pad(&vm, self.columns.0),
            // A name that sticks out takes room from the action rather than pushing the rest into the next row.
            pad(&title, (self.columns.0 + self.columns.1).saturating_sub(vm.width().max(self.columns.0))),
            pad(word, 7),
        );
        format!("{}\n", self.style.paint(mark.role, text.trim_end()))
    }

    fn indented(&self, text: &str, role: Role) -> String {
        let mut out = String::new();
        for line in safe_lines(text).lines() {
            for part in wrap(line, self.width.saturating_sub(6)) {
                out.push_str("      ");
                out.push_str(&self.style.paint(role, &part));
                out.push('\n');
            }
        }
        out
    }

    fn summary(&self, summary: &Summary, vms: &[VmReached], elapsed_ms: u64) -> String {
        let complete = summary.is_complete();
        let (took, actions) = (duration(elapsed_ms), of_actions(summary));
        let mut out = String::from("\n");
        for part in wrap(&format!("Actions in {took}: {actions}."), self.width) {
            out.push_str(&format!("{part}\n"));
        }
        for (action, failure) in &self.failures {
            let first = failure.error.lines().next().unwrap_or_default();
            let maybe = if failure.may_have_happened { " (it may have happened)" } else { "" };
            let text = format!("failed: {}{maybe}: {first}", action.id);
            for (at, part) in wrap(&safe(&text), self.width.saturating_sub(4)).iter().enumerate() {
                out.push_str(if at == 0 { "  " } else { "    " });
                out.push_str(part);
                out.push('\n');
            }
            if action.id.contains("/feature:") {
                out.push_str(&self.last_lines(&failure.error));
            }
        }
        for ((vm, because), actions) in self.skipped.iter().take(MOST_LISTED) {
            out.push_str(&self.list(&format!("skipped because of {because}: {vm}"), actions));
        }
        if self.skipped.len() > MOST_LISTED {
            out.push_str(&format!("  and {} more VMs were skipped\n", number(self.skipped.len() - MOST_LISTED)));
        }
        if !summary.not_started.is_empty() {
            out.push_str(&self.list("not started:", &summary.not_started));
        }
        out.push_str(&self.reached(vms));
        if !complete {
            let next = format!("Continue with: {}", self.continue_with);
            out.push_str(&self.style.paint(Role::Strong, &next));
            out.push('\n');
        }
        if self.simulated {
            out.push_str(&self.style.paint(Role::Faint, "Embedded node: no real VM changed."));
            out.push('\n');
        }
        out + &self.verdict(summary)
    }

    /// The last line.
    fn verdict(&self, summary: &Summary) -> String {
        let left_alone = summary.results.as_ref().is_some_and(|results| results.stale + results.blocked > 0);
        let role = if summary.is_complete() && !left_alone { Role::Strong } else { Role::Failure };
        let interrupted = if summary.interrupted && !summary.is_complete() { "Interrupted. " } else { "" };
        let text = match &summary.results {
            Some(results) => of_run(results),
            None if summary.is_complete() => "Everything is done".to_owned(),
            None => "Failed".to_owned(),
        };
        let lines = wrap(&format!("{interrupted}{text}."), self.width);
        lines.iter().map(|line| self.style.paint(role, line) + "\n").collect()
    }

    /// The last lines of a failure of several: what a script said before it ended.
    fn last_lines(&self, error: &str) -> String {
        let lines: Vec<&str> = error.lines().skip(1).filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].iter();
        last.fold(String::new(), |out, line| out + "      " + &cut(&safe(line), self.width.saturating_sub(6)) + "\n")
    }

    /// How the VMs to which something was done are reached.
    fn reached(&self, vms: &[VmReached]) -> String {
        let is_told = |vm: &&VmReached| !vm.addresses.is_empty() || vm.ready.is_some();
        let acted: Vec<&VmReached> = vms.iter().filter(|vm| self.acted.contains(&vm.vm)).filter(is_told).collect();
        let mut out = String::new();
        for vm in acted.iter().take(MOST_REACHED) {
            let text = safe(&verdict::reached(vm)).into_owned();
            for (at, part) in wrap(&text, self.width.saturating_sub(4)).iter().enumerate() {
                out.push_str(&format!("{}{part}\n", if at == 0 { "  " } else { "    " }));
            }
        }
        if acted.len() > MOST_REACHED {
            let more = number(acted.len() - MOST_REACHED);
            out.push_str(&format!("  and {more} more: `phoenix status` has their addresses\n"));
        }
        out
    }

    /// Up to a dozen ids after a word.
    fn list(&self, word: &str, ids: &[String]) -> String {
        let mut text = ids.iter().take(12).map(|id| safe(id).into_owned()).collect::<Vec<_>>().join(", ");
        if ids.len() > 12 {
            text.push_str(&format!(" and {} more", number(ids.len() - 12)));
        }
        let mut out = String::new();
        for (at, part) in wrap(&safe(&format!("{word} {text}")), self.width.saturating_sub(4)).iter().enumerate() {
            out.push_str(if at == 0 { "  " } else { "    " });
            out.push_str(part);
            out.push('\n');
        }
        out
    }
}

/// The VMs to which nothing was done nor refused, with the number of their actions.
fn unchanged(events: &[Event]) -> BTreeMap<VmId, usize> {
    let mut unchanged = BTreeMap::new();
    let mut others = BTreeSet::new();
    for event in events {
        match event {
            Event::ActionEnded { action, outcome: Outcome::NoOp, .. } => {
                *unchanged.entry(action.vm).or_default() += 1;
            }
            other => others.extend(other.action().map(|action| action.vm)),
        }
    }
    unchanged.retain(|vm, _| !others.contains(vm));
    unchanged
}

/// Widths of the columns with the VM and the action. Long names stick out rather than push everything to the right.
fn columns<'n>(names: impl Iterator<Item = (VmId, &'n str, String)>) -> (usize, usize) {
    names.fold((0, 0), |(vms, actions), (vm, name, title)| {
        let vm = format!("{vm} {}", safe(name));
        (vms.max(vm.width()).min(28), actions.max(title.width()).min(34))
    })
}

/// Whether an event changes what an onlooker knows about a running action.
#[must_use]
pub fn is_milestone(event: &Event) -> bool {
    !matches!(event, Event::ActionWaiting { .. } | Event::ActionEnded { outcome: Outcome::NoOp, .. })
}
