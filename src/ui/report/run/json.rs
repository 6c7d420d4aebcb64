//! A run as one document for programs.

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::{KeyPlace, Summary, VmReached};
use crate::model::{Fault, Outcome};
use crate::ui::story::{Act, End, Story, Verdict};
use crate::ui::text::safe_pretty_json;

/// Version of the document's shape. A field may be added within a version; none changes its meaning or goes.
pub const FORMAT_VERSION: u32 = 1;

/// How an apply of phoenix went. Contains no secret.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunDocument {
    /// Version of this document's shape.
    pub format_version: u32,
    /// Version of the phoenix that wrote it.
    pub phoenix: String,
    /// What the run is called where it is logged; empty if nothing was begun.
    pub run: String,
    /// How it went.
    pub result: Verdict,
    /// Where it acted, for people; empty if nothing was begun.
    pub target: String,
    /// Nothing real happened there.
    pub simulated: bool,
    /// The config's path as it was given.
    pub config: String,
    /// When it began, RFC 3339 in UTC.
    pub began: String,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// The counts.
    pub summary: Summary,
    /// The VMs that are there at its end, by VMID, and how they are reached; none where it was interrupted.
    pub vms: Vec<VmReached>,
    /// Every action, VM by VM.
    pub actions: Vec<RunAction>,
    /// VMs of a saved plan that nothing was done to because they had moved.
    pub moved: Vec<RunMoved>,
    /// Why nothing was begun; absent where something was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RunRefused>,
}

/// What became of an action.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunAction {
    /// Stable id, e.g. `1000/feature:install_docker`.
    pub id: String,
    /// The VM.
    pub vm: u32,
    /// The VM's name.
    pub name: String,
    /// The action within the VM, e.g. `feature install_docker`.
    pub action: String,
    /// How it ended.
    pub outcome: RunOutcome,
    /// When it began, in milliseconds since the run did.
    pub began_ms: u64,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// What it had to say.
    pub notices: Vec<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The way out of the failure, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The answer was lost and the effect could not be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub may_have_happened: Option<bool>,
    /// What the target refused, or could not do; absent where phoenix itself found something wrong, or a guest did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// The VM's keys in the file that the failure is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Where these keys stood in the file, else where the VM did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<KeyPlace>,
    /// The action whose failure it was skipped for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RunOutcome {
    /// It ended well.
    Ended(Outcome),
    /// It did not.
    Not(NotEnded),
}

/// Why an action did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotEnded {
    /// It failed.
    Failed,
    /// It was not begun, because one it waits for failed.
    Skipped,
    /// It was left running, or the log ends before it.
    Open,
}

/// A VM that had moved since it was planned.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunMoved {
    /// VMID.
    pub vm: u32,
    /// What differs from what was planned.
    pub what: String,
}

/// Why nothing was begun.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunRefused {
    /// Why.
    pub error: String,
    /// The way out, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl RunDocument {
    /// The document of a run.
    #[must_use]
    pub fn of(story: &Story) -> Self {
        let moved = story.spared.iter().map(|spared| RunMoved { vm: spared.vm, what: spared.what.clone() });
        let refused = story.refused.clone().map(|refused| RunRefused { error: refused.why, hint: refused.hint });
        Self {
            format_version: FORMAT_VERSION,
            phoenix: env!("CARGO_PKG_VERSION").to_owned(),
            run: story.name.clone(),
            result: story.verdict(),
            target: story.target.clone(),
            simulated: story.simulated,
            config: story.config.clone(),
            began: story.began.clone(),
            elapsed_ms: story.length,
            summary: story.totals(),
            vms: story.vms.clone(),
            actions: story.acts().map(action).collect(),
            moved: moved.collect(),
            refused,
        }
    }
}

fn action(act: &Act) -> RunAction {
    let failure = if let End::Failed(failure) = &act.end { Some(failure) } else { None };
    RunAction {
        id: act.name.id.clone(),
        vm: act.name.vm.get(),
        name: act.name.name.clone(),
        action: act.name.action.clone(),
        outcome: match &act.end {
            End::Ended(outcome) => RunOutcome::Ended(*outcome),
            End::Failed(_) => RunOutcome::Not(NotEnded::Failed),
            End::Skipped(_) => RunOutcome::Not(NotEnded::Skipped),
            End::Open => RunOutcome::Not(NotEnded::Open),
        },
        began_ms: act.start,
        elapsed_ms: act.length,
        notices: act.notices.clone(),
        error: failure.map(|failure| failure.error.clone()),
        hint: failure.and_then(|failure| failure.hint.clone()),
        may_have_happened: failure.map(|failure| failure.may_have_happened),
        fault: failure.and_then(|failure| failure.fault.as_deref().cloned()),
        keys: failure.map(|failure| failure.keys.clone()).unwrap_or_default(),
        places: failure.map(|failure| failure.places.clone()).unwrap_or_default(),
        because: if let End::Skipped(because) = &act.end { Some(because.clone()) } else { None },
    }
}

/// Renders the document, with a line break at the end.
#[must_use]
pub fn render(story: &Story) -> String {
    // Serialising plain strings and numbers cannot fail.
    let text = serde_json::to_string_pretty(&RunDocument::of(story)).unwrap_or_default();
    safe_pretty_json(&text)
}

/// The JSON schema of the document.
#[must_use]
pub fn schema() -> String {
    crate::plan::document::schema_of::<RunDocument>()
}
