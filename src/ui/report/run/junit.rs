//! A run for test reports: a suite per VM, a case per action.

use super::super::xml::{escaped, escaped_lines};
use super::{first, told};
use crate::ui::story::{Act, End, Row, Story, Verdict};

/// Renders the XML document, with a line break at the end.
#[must_use]
pub fn render(story: &Story) -> String {
    let mut suites = String::new();
    let (mut tests, mut failures, mut skipped) = (0, 0, 0);
    let mut add = |name: &str, cases: &[Case]| {
        let number = |wanted: Kind| cases.iter().filter(|case| case.kind == wanted).count();
        let (failed, left_out) = (number(Kind::Failed), number(Kind::Skipped));
        tests += cases.len();
        failures += failed;
        skipped += left_out;
        suites.push_str(&format!(
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{left_out}\">\n",
            cases.len()
        ));
        suites.extend(cases.iter().map(|case| case.text.as_str()));
        suites.push_str("  </testsuite>\n");
    };
    for row in &story.rows {
        let name = format!("{} {}", row.vm, escaped(&row.name));
        add(&name, &cases(story, row, &name));
    }
    let others = others(story);
    if !others.is_empty() {
        add("phoenix apply", &others);
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"phoenix apply\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{}\">\n{suites}</testsuites>\n",
        seconds(story.length)
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Passed,
    Failed,
    Skipped,
}

struct Case {
    kind: Kind,
    text: String,
}

impl Case {
    /// A case; the body is markup, empty for one that just passed.
    fn new(kind: Kind, class: &str, name: &str, time: u64, body: &str) -> Self {
        let (name, time) = (escaped(name), seconds(time));
        let head = format!("    <testcase classname=\"{class}\" name=\"{name}\" time=\"{time}\"");
        let text = if body.is_empty() { format!("{head}/>\n") } else { format!("{head}>{body}\n    </testcase>\n") };
        Self { kind, text }
    }
}

/// The cases of a VM: its actions, and those that an interruption kept from beginning.
fn cases(story: &Story, row: &Row, class: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = row.acts.iter().map(|act| case(act, class)).collect();
    let begun = |id: &str| row.acts.iter().any(|act| act.name.id == id);
    let left_out = story.summary.iter().flat_map(|summary| &summary.not_started);
    for id in left_out.filter(|id| of(id) == Some(row.vm.to_string().as_str()) && !begun(id)) {
        cases.push(not_begun(id, class));
    }
    cases
}

/// The VM of an action's id.
fn of(id: &str) -> Option<&str> {
    id.split_once('/').map(|(vm, _)| vm)
}

fn not_begun(id: &str, class: &str) -> Case {
    let name = id.split_once('/').map_or(id, |(_, action)| action);
    Case::new(Kind::Skipped, class, name, 0, "\n      <skipped message=\"not started: the run was interrupted\"/>")
}

fn case(act: &Act, class: &str) -> Case {
    let (kind, mut body) = match &act.end {
        End::Ended(_) => (Kind::Passed, String::new()),
        End::Failed(failure) => {
            (Kind::Failed, failure_of(if failure.stale { "stale" } else { "failed" }, &failure.error, &told(failure)))
        }
        End::Skipped(because) => {
            (Kind::Skipped, format!("\n      <skipped message=\"because of {}\"/>", escaped(because)))
        }
        End::Open => (Kind::Failed, failure_of("open", "it did not end", "it may still run on the target")),
    };
    let mut said: Vec<String> = act.notices.iter().map(|notice| escaped(notice)).collect();
    if let End::Ended(outcome) = &act.end {
        said.insert(0, outcome.to_string());
    }
    if !said.is_empty() {
        body.push_str(&format!("\n      <system-out>{}</system-out>", said.join("\n")));
    }
    Case::new(kind, class, &act.name.action, act.length, &body)
}

fn failure_of(kind: &str, message: &str, text: &str) -> String {
    let message = escaped(first(message));
    format!("\n      <failure type=\"{kind}\" message=\"{message}\">{}</failure>", escaped_lines(text))
}

/// What is about no action that was begun.
fn others(story: &Story) -> Vec<Case> {
    let class = "phoenix apply";
    let mut cases = Vec::new();
    if let Some(refused) = &story.refused {
        let hint = refused.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        let text = crate::ui::text::safe_lines(&format!("{}{hint}", refused.why)).into_owned();
        cases.push(Case::new(Kind::Failed, class, "begin", 0, &failure_of("refused", &refused.why, &text)));
    }
    for spared in &story.spared {
        let text = format!("VM {} changed since the plan, and was left alone: {}", spared.vm, spared.what);
        let body = failure_of("stale", &text, &crate::ui::text::safe(&text));
        cases.push(Case::new(Kind::Failed, class, &format!("{} is as it was planned", spared.vm), 0, &body));
    }
    let known = |id: &str| story.rows.iter().any(|row| of(id) == Some(row.vm.to_string().as_str()));
    let left_out = story.summary.iter().flat_map(|summary| &summary.not_started).filter(|id| !known(id));
    cases.extend(left_out.map(|id| not_begun_elsewhere(id)));
    if story.verdict() == Verdict::Unfinished {
        let text = "phoenix was killed, or the log was cut off";
        cases.push(Case::new(Kind::Failed, class, "end", 0, &failure_of("unfinished", text, text)));
    }
    cases
}

/// An action of a VM of which nothing was begun.
fn not_begun_elsewhere(id: &str) -> Case {
    let body = "\n      <skipped message=\"not started: the run was interrupted\"/>";
    Case::new(Kind::Skipped, "phoenix apply", id, 0, body)
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}
