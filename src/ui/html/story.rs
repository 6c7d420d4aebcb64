//! What happened in a run, gathered from its events: what each VM's actions did, and when.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::event::{ActionName, Event, Failure, Summary};
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

/// A whole run.
#[derive(Default)]
pub(super) struct Story {
    pub(super) began: String,
    pub(super) target: String,
    pub(super) config: String,
    pub(super) simulated: bool,
    /// By VMID.
    pub(super) rows: Vec<Row>,
    /// How it went; none: it did not come to its end.
    pub(super) summary: Option<Summary>,
    pub(super) interruptions: u32,
    /// Milliseconds from its beginning to the last that is known.
    pub(super) length: u64,
}

impl Story {
    pub(super) fn of(moments: &[Moment]) -> Self {
        let mut story =
            Self { began: moments.first().map_or(String::new(), |first| first.time.clone()), ..Self::default() };
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
            Event::RunEnded { summary, elapsed_ms } => {
                self.summary = Some(summary.clone());
                self.length = self.length.max(*elapsed_ms);
            }
        }
    }

    /// All that failed, with the VM it is about.
    pub(super) fn failures(&self) -> Vec<(&Act, &Failure)> {
        let failed = |act: &'_ Act| matches!(act.end, End::Failed(_));
        let acts = self.rows.iter().flat_map(|row| &row.acts).filter(|act| failed(act));
        acts.filter_map(|act| if let End::Failed(failure) = &act.end { Some((act, failure)) } else { None }).collect()
    }
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
