//! How the VMs are, for people: a table, on a screen or in Markdown.

use super::layout::{count, wrap};
use super::markdown::{code, plain};
use super::table::table;
use super::text::{safe, safe_pretty_json};
use crate::model::Outcome;
use crate::plan::status::{AgentState, FeatureState, StatusDocument, StatusVm, VmState};

const HEADER: [&str; 7] = ["VM", "name", "state", "agent", "next apply", "features", "attention"];

/// Renders the status as a table in `width` columns. Problems are not part of it; they go where diagnostics go.
#[must_use]
pub fn render(status: &StatusDocument, width: usize) -> String {
    if status.vms.is_empty() {
        return format!("Project `{}` has no VMs here.\n", safe(&status.project));
    }
    let rows = status.vms.iter().map(|vm| row(vm).map(|cell| safe(&cell).into_owned()).to_vec());
    format!("{}\n{}\n", table(&HEADER, rows, width), wrap(&verdict(status), width).join("\n"))
}

/// Renders the status and its problems for a merge request or a chat.
#[must_use]
pub fn markdown(status: &StatusDocument) -> String {
    let mut out = format!("**{}**\n\n", plain(&verdict(status)));
    let line = |cells: [String; 7]| format!("| {} |\n", cells.join(" | "));
    if !status.vms.is_empty() {
        out.push_str(&line(HEADER.map(str::to_owned)));
        out.push_str(&line(HEADER.map(|_| "---".to_owned())));
    }
    for vm in &status.vms {
        out.push_str(&line(row(vm).map(|cell| plain(&cell))));
    }
    for problem in &status.problems {
        let hint = problem.hint.as_ref().map(|hint| format!(" – hint: {}", plain(hint))).unwrap_or_default();
        out.push_str(&format!("\n- {} {}: {}{hint}", problem.severity, code(&problem.code), plain(&problem.message)));
    }
    if !status.problems.is_empty() {
        out.push('\n');
    }
    out
}

/// Renders the status as JSON, with a line break at the end.
#[must_use]
pub fn json(status: &StatusDocument) -> String {
    // Plain strings, numbers and maps with text keys: serialising them cannot fail.
    let text = serde_json::to_string_pretty(status).unwrap_or_default();
    safe_pretty_json(&text)
}

fn row(vm: &StatusVm) -> [String; 7] {
    let state = match vm.state {
        VmState::Absent => "absent",
        VmState::Stopped => "stopped",
        VmState::Running => "running",
    };
    let agent = match vm.agent {
        None => "",
        Some(AgentState::Answers) => "answers",
        Some(AgentState::Silent) => "silent",
        Some(AgentState::Off) => "off",
    };
    let next = match vm.outcome {
        _ if !vm.declared => "not declared".to_owned(),
        _ if vm.blocked => "blocked".to_owned(),
        Outcome::NoOp => "no-op".to_owned(),
        outcome if vm.differs.is_empty() => outcome.as_str().to_owned(),
        outcome => format!("{}: {}", outcome.as_str(), vm.differs.join(", ")),
    };
    let ran = vm.features.values().filter(|state| **state == FeatureState::Ran).count();
    let features = if vm.features.is_empty() { String::new() } else { format!("{ran} of {} ran", vm.features.len()) };
    let lock = vm.lock.as_ref().map(|lock| format!("locked ({lock})"));
    let unfinished = vm.unfinished.then(|| "not finished".to_owned());
    let waiting = (!vm.waiting.is_empty()).then(|| format!("waits for a restart: {}", vm.waiting.join(", ")));
    let drift: Vec<&str> = vm.drift.iter().map(|drift| drift.key.as_str()).collect();
    let drift = (!drift.is_empty()).then(|| format!("changed outside: {}", drift.join(", ")));
    let attention: Vec<String> = [lock, unfinished, drift, waiting].into_iter().flatten().collect();
    [vm.vm.to_string(), vm.name.clone(), state.to_owned(), agent.to_owned(), next, features, attention.join("; ")]
}

fn verdict(status: &StatusDocument) -> String {
    let well = status.vms.iter().filter(|vm| vm.is_well()).count();
    let simulated = if status.target.simulated { " (simulated)" } else { "" };
    let all = count(status.vms.len(), "virtual machine");
    format!("{all} on {}{simulated}: {well} as declared and well.", safe(&status.target.name))
}
