//! How the VMs are, for people: a table, on a screen or in Markdown.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::{self, Found as _};
use super::header;
use super::layout::{count, cut, pad, wrap};
use super::markdown::{self, code, plain};
use super::nodes;
use super::style::{Role, Style};
use super::table::{dense, grouped};
use super::text::{safe, safe_pretty_json};
use crate::hypervisor::About;
use crate::model::Outcome;
use crate::plan::document::{DocumentCluster, DocumentTarget, DocumentValue};
use crate::plan::status::{AgentState, FeatureState, StatusDocument, StatusVm, VmState};

pub(super) const HEADER: [&str; 9] =
    ["VM", "name", "declared", "state", "agent", "drift", "pending\nrestart", "features", "problems"];

/// How the VMs are reached.
const REACHED: [&str; 5] = ["VM", "name", "address", "MAC", "node"];

/// Columns before the text of a detail.
const INDENT: usize = 14;

/// Renders the status in `width` columns: where was looked, a table of words and counts, and below it what they stand
/// for. `config` is the name of the file.
#[must_use]
pub fn render(status: &StatusDocument, config: &str, width: usize, style: Style) -> String {
    let target = &status.target;
    let about = About { label: label(target).to_owned(), simulated: target.simulated };
    let mut out = header::target(target, &about, config, (width, style));
    out.push_str(&header::line("Config", &safe(config), (width, style)));
    out.push('\n');
    if status.vms.is_empty() {
        return format!("{out}Project `{}` has no VMs here.\n", safe(&status.project));
    }
    match &status.cluster {
        None => out.push_str(&dense(&HEADER, &rows(status, &status.vms.iter().collect::<Vec<_>>()), width)),
        Some(cluster) => out.push_str(&by_node(status, cluster, (width, style))),
    }
    let reached = reached(status);
    if !reached.is_empty() {
        let rows: Vec<Vec<String>> =
            reached.iter().map(|row| row.iter().map(|cell| safe(cell).into_owned()).collect()).collect();
        out.push_str(&format!("\n{}", dense(&REACHED, &rows, width)));
    }
    for vm in &status.vms {
        let mut details = details(status, vm);
        for problem in status.problems_of(vm.vm) {
            details.push(("problem", problem.bare().to_owned()));
            details.extend(problem.hint.iter().map(|hint| ("", format!("hint: {hint}"))));
        }
        if !details.is_empty() {
            out.push_str(&format!("\n{} {}\n", vm.vm, safe(&vm.name)));
        }
        for (label, text) in details {
            let mut label = label;
            for line in wrap(&safe(&text), width.saturating_sub(INDENT)) {
                out.push_str(&format!("  {}{line}\n", pad(label, INDENT - 2)));
                label = "";
            }
        }
    }
    format!("{out}\n{}\n", wrap(&verdict(status), width).join("\n"))
}

fn rows(status: &StatusDocument, vms: &[&StatusVm]) -> Vec<Vec<String>> {
    vms.iter().map(|vm| row(status, vm).map(|cell| safe(&cell).into_owned()).to_vec()).collect()
}

/// The VMs of each node below what it has and has promised, those of no node, and the storages that all nodes share.
fn by_node(status: &StatusDocument, cluster: &DocumentCluster, screen: (usize, Style)) -> String {
    let (width, style) = screen;
    let known: BTreeMap<u32, &StatusVm> = status.vms.iter().map(|vm| (vm.vm, vm)).collect();
    let mut groups: Vec<Vec<&StatusVm>> = Vec::new();
    for node in &cluster.nodes {
        groups.push(node.vms.iter().filter_map(|vm| known.get(vm).copied()).collect());
    }
    let placed: BTreeSet<u32> = groups.iter().flatten().map(|vm| vm.vm).collect();
    groups.push(status.vms.iter().filter(|vm| !placed.contains(&vm.vm)).collect());
    let of_each: Vec<Vec<Vec<String>>> = groups.iter().map(|vms| rows(status, vms)).collect();
    let mut tables = grouped(&HEADER, &of_each, width).into_iter();
    let mut out = nodes::key_of_status(width);
    for node in &cluster.nodes {
        out.push_str(&format!("\n{}{}", nodes::of_status(node, screen), tables.next().unwrap_or_default()));
    }
    if let Some(table) = tables.next().filter(|table| !table.is_empty()) {
        out.push_str(&format!("\n{}\n{table}", style.paint(Role::Strong, "on no node")));
    }
    out + &nodes::shared(cluster, screen)
}

/// Characters of each of the four parts of Markdown that grow with the VMs: a comment has room for them all.
const MOST_OF_PART: usize = markdown::MOST_CHARACTERS / 5;

/// Renders the status and its problems for a merge request or a chat; what has no room in a comment is counted, VMs
/// that are well first.
#[must_use]
pub fn markdown(status: &StatusDocument, config: &str) -> String {
    let target = markdown::target(&status.target, config);
    let mut out = format!("**{}**\n\nTarget {target}, config {}\n\n", plain(&verdict(status)), code(config));
    let mut vms: Vec<&StatusVm> = status.vms.iter().collect();
    let all: String = vms.iter().map(|vm| table_line(&row(status, vm))).collect();
    if all.chars().count() > MOST_OF_PART {
        vms.sort_by_key(|vm| vm.well);
    }
    if !vms.is_empty() {
        out.push_str(&table_head(&HEADER));
    }
    out.push_str(&markdown::within(vms.iter().map(|vm| table_line(&row(status, vm))), MOST_OF_PART, "VMs"));
    if let Some(cluster) = &status.cluster {
        out.push_str(&markdown::nodes(cluster, false));
    }
    let reached = reached(status);
    if !reached.is_empty() {
        out.push_str(&format!("\n{}", table_head(&REACHED)));
        out.push_str(&markdown::within(reached.iter().map(table_line), MOST_OF_PART, "addresses"));
    }
    let each = vms.iter().flat_map(|vm| {
        details(status, vm)
            .into_iter()
            .map(|(label, text)| format!("\n- {} {}, {label}: {}", vm.vm, plain(&vm.name), plain(&text)))
    });
    out.push_str(&markdown::within(each, MOST_OF_PART, "lines about VMs"));
    let each = findings::grouped(&status.problems).into_iter().map(|finding| {
        let [severity, rule, _] = finding.first.says();
        let hint = finding.hint.as_deref().map(|hint| format!(" – hint: {}", plain(hint))).unwrap_or_default();
        format!("\n- {severity} {}: {}{hint}", code(rule), plain(&finding.sentence()))
    });
    out.push_str(&markdown::within(each, MOST_OF_PART, "findings"));
    format!("{}\n", out.trim_end())
}

fn table_line<const CELLS: usize>(cells: &[String; CELLS]) -> String {
    format!("| {} |\n", cells.each_ref().map(|cell| plain(cell)).join(" | "))
}

fn table_head<const CELLS: usize>(head: &[&str; CELLS]) -> String {
    let line = |cells: [String; CELLS]| format!("| {} |\n", cells.join(" | "));
    line(head.map(|head| head.replace('\n', " "))) + &line(head.map(|_| "---".to_owned()))
}

/// Renders the status as JSON, with a line break at the end.
#[must_use]
pub fn json(status: &StatusDocument) -> String {
    // Plain strings, numbers and maps with text keys: serialising them cannot fail.
    let text = serde_json::to_string_pretty(status).unwrap_or_default();
    safe_pretty_json(&text)
}

/// A row for each VM of the project that is there; further addresses have rows of their own.
fn reached(status: &StatusDocument) -> Vec<[String; REACHED.len()]> {
    let rows = |vm: &StatusVm| {
        let node = vm.node.clone()?;
        let mut ips = vm.addresses.iter().map(ToString::to_string);
        let first = [
            vm.vm.to_string(),
            vm.name.clone(),
            ips.next().unwrap_or_default(),
            vm.mac.clone().unwrap_or_default(),
            node,
        ];
        let more = ips.map(|ip| [String::new(), String::new(), ip, String::new(), String::new()]);
        Some([first].into_iter().chain(more).collect::<Vec<_>>())
    };
    status.vms.iter().filter_map(rows).flatten().collect()
}

/// The cells of a VM's row.
pub(super) fn row(status: &StatusDocument, vm: &StatusVm) -> [String; HEADER.len()] {
    let declared = match vm.outcome {
        _ if !vm.declared => "no",
        Outcome::NoOp => "yes",
        _ => "differs",
    };
    let state = match vm.state {
        VmState::Absent => "absent",
        VmState::Stopped => "stopped",
        VmState::Running => "running",
        VmState::Template => "template",
        VmState::Unknown => "unknown",
    };
    let agent = match vm.agent {
        None => "",
        Some(AgentState::Answers) => "answers",
        Some(AgentState::Silent) => "silent",
        Some(AgentState::Off) => "off",
        Some(AgentState::NotAsked) => "not asked",
    };
    let ran = vm.features.values().filter(|state| **state == FeatureState::Ran).count();
    let features = if vm.features.is_empty() { String::new() } else { format!("{ran} of {}", vm.features.len()) };
    let some = |n: usize| if n == 0 { String::new() } else { n.to_string() };
    let problems = troubles(vm).len() + status.problems_of(vm.vm).count();
    [
        vm.vm.to_string(),
        vm.name.clone(),
        declared.to_owned(),
        state.to_owned(),
        agent.to_owned(),
        some(vm.drift.len()),
        some(vm.waiting.len()),
        features,
        some(problems),
    ]
}

/// What is wrong with a VM and told by no problem of the document.
fn troubles(vm: &StatusVm) -> Vec<String> {
    let lock = vm.lock.as_ref().map(|lock| format!("locked ({lock})"));
    let unfinished = vm.unfinished.then(|| "an earlier run did not finish it".to_owned());
    let silent = (vm.agent == Some(AgentState::Silent)).then(|| "the guest agent does not answer".to_owned());
    [lock, unfinished, silent].into_iter().flatten().collect()
}

/// What the words and counts of a VM's row stand for, but for the problems of the document: a label, and the text.
pub(super) fn details(status: &StatusDocument, vm: &StatusVm) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let next = match vm.outcome {
        _ if !vm.declared => status.why_undeclared(vm.vm),
        _ if vm.blocked => Some("blocked by the error".to_owned()),
        Outcome::NoOp => None,
        outcome if vm.differs.is_empty() => Some(outcome.as_str().to_owned()),
        outcome => Some(format!("{}: {}", outcome.as_str(), vm.differs.join(", "))),
    };
    found.extend(next.map(|next| ("next apply", next)));
    for drift in &vm.drift {
        let was = drift.applied.as_ref().map_or_else(
            || "another value at the last apply".to_owned(),
            |was| format!("{} at the last apply", value(&was.text())),
        );
        let file =
            drift.wished.as_ref().map(|wish| format!("; the file says {}", value(&wish.text()))).unwrap_or_default();
        found.push(("drift", format!("{} is {}, was {was}{file}", drift.key, value(&drift.now.text()))));
    }
    if let Some(ha) = &vm.ha {
        let now = ha.now.as_ref().filter(|now| **now != ha.state).map(|now| format!(", is {now} now"));
        let idle = if ha.acts { "" } else { "; the HA manager leaves it alone" };
        found.push(("HA", format!("to be {}{}{idle}", ha.state, now.unwrap_or_default())));
    }
    for waiting in &vm.pending {
        let [now, then] =
            [&waiting.active, &waiting.pending].map(|v| v.as_ref().map_or("not set".into(), DocumentValue::text));
        let when = if vm.state == VmState::Stopped { "at its next start" } else { "after a restart" };
        found.push(("pending", format!("{}: {now} → {then} {when}", waiting.called())));
    }
    found
        .extend(vm.ready.as_deref().map(|ready| ("ready", super::verdict::of_ready(ready).replacen("ready: ", "", 1))));
    let open: Vec<&str> =
        vm.features.iter().filter(|(_, state)| **state == FeatureState::ToRun).map(|(name, _)| name.as_str()).collect();
    if !open.is_empty() {
        found.push(("features", format!("to run: {}", open.join(", "))));
    }
    found.extend(troubles(vm).into_iter().map(|trouble| ("problem", trouble)));
    found
}

/// A value among words.
fn value(text: &str) -> String {
    match text {
        "" => "not set".to_owned(),
        text if text.contains(char::is_whitespace) => format!("\"{}\"", cut(text, 60)),
        text => cut(text, 60),
    }
}

/// The target in words; documents of earlier versions may lack them.
pub(super) fn label(target: &DocumentTarget) -> &str {
    if target.label.is_empty() { &target.name } else { &target.label }
}

fn verdict(status: &StatusDocument) -> String {
    let well = status.vms.iter().filter(|vm| vm.well).count();
    let simulated = if status.target.simulated { " (simulated)" } else { "" };
    let all = count(status.vms.len(), "virtual machine");
    format!("{all} on {}{simulated}: {well} up to date and healthy.", safe(label(&status.target)))
}
