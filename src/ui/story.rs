//! What happened in a run, gathered from its events: what each VM's actions did, and when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::event::{ActionName, Event, Failure, Summary, VmReached};
use crate::model::{Outcome, VmId};

/// An event and when it was told, RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub time: String,
    /// What.
    pub event: Event,
}

/// What became of an action.
pub(super) enum End {
    Ended(Outcome),
    Failed(Failure),
    Skipped(String),
    /// The log has no end of it.
    Open,
}

/// An action of a run; times are milliseconds since the run began.
pub(super) struct Act {
    pub(super) name: ActionName,
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) end: End,
    pub(super) notices: Vec<String>,
}

impl Act {
    /// Whether time went into it.
    pub(super) fn acted(&self) -> bool {
        !matches!(self.end, End::Skipped(_) | End::Ended(Outcome::NoOp))
    }
}

/// A VM's part in a run.
pub(super) struct Row {
    pub(super) vm: VmId,
    pub(super) name: String,
    pub(super) acts: Vec<Act>,
}

/// A VM of a saved plan that had moved, so that nothing was done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spared {
    /// VMID.
    pub vm: u32,
    /// What differs from what was planned: a lower-case fragment.
    pub what: String,
}

/// Why nothing was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why: a lower-case fragment.
    pub why: String,
    /// The way out, when it is known.
    pub hint: Option<String>,
}

/// A whole run: what every report of one is made from.
#[derive(Default)]
pub struct Story {
    /// What it is called where it is logged.
    pub(super) name: String,
    pub(super) began: String,
    pub(super) target: String,
    pub(super) config: String,
    pub(super) simulated: bool,
    /// By VMID.
    pub(super) rows: Vec<Row>,
    /// How it went; none: it did not finish.
    pub(super) summary: Option<Summary>,
    /// How the VMs are reached at its end.
    pub(super) vms: Vec<VmReached>,
    pub(super) interruptions: u32,
    /// Milliseconds from its beginning to the last that is known.
    pub(super) length: u64,
    pub(super) spared: Vec<Spared>,
    /// Why nothing was begun, if that is the whole story.
    pub(super) refused: Option<Refused>,
}

impl Story {
    /// The story of a run that was begun.
    #[must_use]
    pub fn of(name: &str, moments: &[Moment]) -> Self {
        let began = moments.first().map_or(String::new(), |first| first.time.clone());
        let mut story = Self { name: name.to_owned(), began, ..Self::default() };
        let origin = story.began.parse::<Timestamp>().ok();
        let mut acts: BTreeMap<VmId, Row> = BTreeMap::new();
        let mut now = 0;
        for moment in moments {
            let passed = origin.zip(moment.time.parse::<Timestamp>().ok()).map(|(from, to)| to.duration_since(from));
            // A clock may be set while a run goes on: time never goes back here.
            now = passed.and_then(|passed| u64::try_from(passed.as_millis()).ok()).unwrap_or(now).max(now);
            story.length = story.length.max(now);
            story.take(&moment.event, now, &mut acts);
        }
        for act in acts.values_mut().flat_map(|row| &mut row.acts).filter(|act| matches!(act.end, End::Open)) {
            act.length = story.length.saturating_sub(act.start);
        }
        story.rows = acts.into_values().collect();
        story
    }

    /// The story of a run that was refused before anything was begun.
    #[must_use]
    pub fn refused(config: &str, time: &str, refused: Refused) -> Self {
        let (config, began) = (config.to_owned(), time.to_owned());
        Self { config, began, refused: Some(refused), ..Self::default() }
    }

    /// Adds the VMs that nothing was done to because they had moved since they were planned.
    #[must_use]
    pub fn sparing(mut self, spared: Vec<Spared>) -> Self {
        self.spared = spared;
        self
    }

    /// The config's path as it was given.
    #[must_use]
    pub fn config(&self) -> &str {
        &self.config
    }

    /// How it went, in one word.
    pub(super) fn verdict(&self) -> Verdict {
        match &self.summary {
            _ if self.refused.is_some() => Verdict::Refused,
            None => Verdict::Unfinished,
            Some(summary) if summary.is_complete() && self.spared.is_empty() => Verdict::Done,
            Some(summary) if summary.is_complete() || (!summary.failed.is_empty() && only_stale(summary)) => {
                Verdict::Stale
            }
            Some(summary) if !summary.failed.is_empty() => Verdict::Failed,
            Some(summary) if summary.interrupted => Verdict::Interrupted,
            Some(_) => Verdict::Failed,
        }
    }

    /// The totals; counted where the log has none.
    pub(super) fn totals(&self) -> Summary {
        if let Some(summary) = &self.summary {
            return summary.clone();
        }
        let mut summary = Summary::default();
        for act in self.acts() {
            let id = act.name.id.clone();
            match &act.end {
                End::Ended(Outcome::Create | Outcome::Recreate) => summary.created += 1,
                End::Ended(Outcome::Update) => summary.updated += 1,
                End::Ended(Outcome::Destroy) => summary.destroyed += 1,
                End::Ended(Outcome::NoOp) => summary.unchanged += 1,
                End::Failed(failure) => {
                    summary.stale += usize::from(failure.stale);
                    summary.failed.push(id);
                }
                End::Skipped(_) => summary.skipped.push(id),
                End::Open => summary.left_running.push(id),
            }
        }
        summary
    }

    /// Every action, VM by VM.
    pub(super) fn acts(&self) -> impl Iterator<Item = &Act> {
        self.rows.iter().flat_map(|row| &row.acts)
    }

    fn take(&mut self, event: &Event, now: u64, acts: &mut BTreeMap<VmId, Row>) {
        match event {
            Event::RunStarted { target, simulated, config, .. } => {
                self.target.clone_from(target);
                self.config.clone_from(config);
                self.simulated = *simulated;
            }
            Event::ActionStarted { action, .. } | Event::ActionWaiting { action, .. } => {
                act(acts, action, now);
            }
            Event::ActionNoticed { action, message } => act(acts, action, now).notices.push(message.clone()),
            Event::ActionEnded { action, outcome, elapsed_ms } => {
                act(acts, action, now.saturating_sub(*elapsed_ms)).close(End::Ended(*outcome), *elapsed_ms);
            }
            Event::ActionFailed { action, failure, elapsed_ms } => {
                act(acts, action, now.saturating_sub(*elapsed_ms)).close(End::Failed(failure.clone()), *elapsed_ms);
            }
            Event::ActionSkipped { action, because } => act(acts, action, now).close(End::Skipped(because.clone()), 0),
            Event::Interrupted { times, .. } => self.interruptions = self.interruptions.max(*times),
            Event::RunEnded { summary, vms, elapsed_ms } => {
                self.vms.clone_from(vms);
                self.summary = Some(summary.clone());
                self.length = self.length.max(*elapsed_ms);
            }
        }
    }

    /// All that failed, with the VM it is about.
    pub(super) fn failures(&self) -> Vec<(&Act, &Failure)> {
        let failed = |act: &'_ Act| matches!(act.end, End::Failed(_));
        self.acts()
            .filter(|act| failed(act))
            .filter_map(|act| if let End::Failed(failure) = &act.end { Some((act, failure)) } else { None })
            .collect()
    }
}

/// How a run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything that was planned is done.
    Done,
    /// Some actions failed.
    Failed,
    /// The operator stopped it.
    Interrupted,
    /// VMs had moved since they were planned; everything else is done.
    Stale,
    /// Nothing was begun.
    Refused,
    /// There is no end of it: phoenix was killed, or it still goes on.
    Unfinished,
}

impl Verdict {
    /// How it went, for people: what begins a line.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::Failed => "Failed",
            Self::Interrupted => "Interrupted",
            Self::Stale => "Some VMs changed since the plan",
            Self::Refused => "Nothing was started",
            Self::Unfinished => "It did not finish",
        }
    }
}

/// Whether nothing failed but what had moved.
fn only_stale(summary: &Summary) -> bool {
    summary.stale == summary.failed.len()
}

impl Act {
    fn close(&mut self, end: End, length: u64) {
        self.end = end;
        self.length = length;
    }
}

/// The action in its VM's row, where it begins if it is not there yet.
fn act<'a>(acts: &'a mut BTreeMap<VmId, Row>, action: &ActionName, start: u64) -> &'a mut Act {
    let row =
        acts.entry(action.vm).or_insert_with(|| Row { vm: action.vm, name: action.name.clone(), acts: Vec::new() });
    let at = row.acts.iter().position(|act| act.name.id == action.id).unwrap_or_else(|| {
        row.acts.push(Act { name: action.clone(), start, length: 0, end: End::Open, notices: Vec::new() });
        row.acts.len() - 1
    });
    &mut row.acts[at]
}

/// A time as people read it; as it is, where it is none.
pub(super) fn moment(time: &str) -> String {
    time.parse::<Timestamp>().map_or_else(|_| time.to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}
