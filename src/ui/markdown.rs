//! The plan as Git servers show it: a line first, errors and warnings, a table of the VMs with the disruptive at the
//! top, then their details, folded.
//!
//! Made from the document, so that a saved plan looks like a fresh one.

use super::findings::{Found as _, grouped};
use super::nodes::{Amount, state, taken, vms};
use super::plan::what;
use super::story::moment;
use super::text::safe;
use super::verdict;
use crate::model::{Disruption, Outcome};
use crate::plan::codes;
use crate::plan::document::{
    DocumentAction, DocumentChange, DocumentCluster, DocumentProblem, DocumentStorage, DocumentTarget, DocumentValue,
    DocumentVm, PlanDocument,
};

/// Git servers cut or refuse comments beyond 65,536 characters.
pub const MOST_CHARACTERS: usize = 65_000;

/// Findings beyond these are counted: a thousand VMs can have a thousand that differ.
const MOST_FINDINGS: usize = 20;

/// Characters of the table that leave room for what becomes of the first VMs.
const MOST_OF_TABLE: usize = 20_000;

/// Keys of one VM beyond these are counted in the table.
const MOST_KEYS: usize = 6;

/// Renders a plan in at most [`MOST_CHARACTERS`] characters; says what was left out.
#[must_use]
pub fn render(plan: &PlanDocument) -> String {
    let mut out = head(plan);
    let mut rest: Vec<&DocumentVm> = plan.vms.iter().filter(|vm| vm.outcome.acts() || vm.blocked).collect();
    rest.sort_by_key(|vm| (std::cmp::Reverse(vm.disruption), std::cmp::Reverse(vm.outcome), vm.vm));
    out.push_str(&table(&rest));
    if let Some(cluster) = &plan.cluster {
        out.push_str(&nodes(cluster, true));
    }
    let mut left_out = 0;
    for vm in &rest {
        let text = block(vm);
        let room = MOST_CHARACTERS.saturating_sub(out.chars().count() + 100);
        if left_out > 0 || text.chars().count() > room {
            left_out += 1;
        } else {
            out.push_str(&text);
        }
    }
    if left_out > 0 {
        out.push_str(&format!(
            "\n**{left_out} more VMs are left out here**; `phoenix show` of the saved plan has them all.\n"
        ));
    }
    out
}

/// All VMs that something is done to, a line each: what it costs stands beside what it is for.
fn table(vms: &[&DocumentVm]) -> String {
    if vms.is_empty() {
        return String::new();
    }
    let head = "\n| | VM | what | restart | why |\n|---|---|---|---|---|\n".to_owned();
    let lines = vms.iter().map(|vm| {
        let (words, costs) = if vm.blocked { ("blocked", "") } else { (vm.outcome_words(), vm.cost_words()) };
        let why = what(vm);
        let costs = if vm.disruption > Disruption::Live && !costs.is_empty() {
            format!("**{costs}**")
        } else {
            costs.to_owned()
        };
        let why = if vm.blocked { "see the errors".to_owned() } else { escaped(&safe(&shortened(&why))) };
        format!("| `{}` | {} {} | {words} | {costs} | {why} |\n", sign(vm), vm.vm, cell(&vm.name))
    });
    head + &within(lines, MOST_OF_TABLE, "VMs")
}

/// As many lines as have room, in characters; what is left out is counted: `things` says of what.
pub(super) fn within(lines: impl Iterator<Item = String>, room: usize, things: &str) -> String {
    let (mut out, mut taken, mut left_out) = (String::new(), 0, 0);
    for line in lines {
        taken += line.chars().count();
        if left_out > 0 || taken > room {
            left_out += 1;
        } else {
            out.push_str(&line);
        }
    }
    if left_out > 0 {
        let gap = if out.ends_with('\n') { "\n" } else { "\n\n" };
        out.push_str(&format!("{gap}and {left_out} more {things}\n"));
    }
    out
}

/// The first of many keys.
fn shortened(keys: &str) -> String {
    let all: Vec<&str> = keys.split(", ").collect();
    match all.len().checked_sub(MOST_KEYS) {
        Some(more) if more > 0 => format!("{} and {more} more", all[..MOST_KEYS].join(", ")),
        _ => keys.to_owned(),
    }
}

/// The nodes as a folded table of Markdown: in a plan, what it adds to those that it changes; empty where there are
/// none.
pub(super) fn nodes(cluster: &DocumentCluster, is_plan: bool) -> String {
    if is_plan && !cluster.changes() {
        return String::new();
    }
    let words = |amount: Amount| if is_plan { amount.within_limit().change() } else { amount.state() };
    let listed = |storages: &[DocumentStorage]| {
        let shown = taken(storages).filter(|storage| !is_plan || storage.changes());
        let storage = |storage: &DocumentStorage| format!("{}: {}", html(&storage.name), words(storage.into()));
        shown.map(storage).collect::<Vec<_>>().join("<br>")
    };
    let title = if is_plan { "Nodes: what the plan adds" } else { "Nodes" };
    let mut out =
        format!("\n<details><summary>{title}</summary>\n\n| node | VMs | memory | storages |\n|---|---|---|---|\n");
    for node in cluster.nodes.iter().filter(|node| !is_plan || node.changes()) {
        let state = match state(node) {
            "" => String::new(),
            words => format!(", **{words}**"),
        };
        let memory = Amount::from(&node.memory);
        out.push_str(&format!(
            "| {}{state} | {} | {} | {} |\n",
            html(&node.name),
            vms(node),
            words(memory),
            listed(&node.storages)
        ));
    }
    let shared = listed(&cluster.shared_storages);
    if !shared.is_empty() {
        out.push_str(&format!("| shared | | | {shared} |\n"));
    }
    let memory = Amount::from(&cluster.memory());
    let all = listed(&cluster.storages());
    out.push_str(&format!("| **all that are online** | | {} | {all} |\n\n</details>\n", words(memory)));
    out
}

fn sign(vm: &DocumentVm) -> &'static str {
    match vm.outcome {
        _ if vm.blocked => "!",
        Outcome::Create => "+",
        Outcome::Update => "~",
        Outcome::NoOp => "=",
        Outcome::Recreate => "±",
        Outcome::Destroy => "-",
    }
}

/// A target, and who named it.
pub(super) fn target(target: &DocumentTarget, config: &str) -> String {
    let name = code(&target.name);
    match target.named_by(config) {
        None => name,
        Some((words, "")) => format!("{name} ({words})"),
        Some((words, file)) => format!("{name} ({words} {})", code(file)),
    }
}

fn head(plan: &PlanDocument) -> String {
    let mut out = format!("**Plan: {}.**\n\n", verdict::of_plan(plan));
    out.push_str(&format!(
        "Target {}, config {}, read at {}, plan {}{}\n",
        target(&plan.target, &plan.config.path),
        code(&plan.config.path),
        code(&moment(&plan.target.observed_at)),
        code(&plan.hash),
        if plan.target.simulated { " (embedded node: no real VM would change)" } else { "" },
    ));
    problems(plan.problems.iter().filter(|problem| problem.severity == "error"), "Errors", &mut out);
    let others = |problem: &&DocumentProblem| problem.severity != "error" && !codes::is_lasting(&problem.code);
    problems(plan.problems.iter().filter(others), "Warnings and notices", &mut out);
    out
}

fn problems<'p>(problems: impl Iterator<Item = &'p DocumentProblem>, title: &str, out: &mut String) {
    let findings = grouped(problems);
    if findings.is_empty() {
        return;
    }
    out.push_str(&format!("\n{title}:\n\n"));
    let more = findings.len().saturating_sub(MOST_FINDINGS);
    for finding in findings.iter().take(MOST_FINDINGS) {
        let [_, rule, _] = finding.first.says();
        let hint = finding.hint.as_deref().map(|hint| format!(" ({})", plain(hint))).unwrap_or_default();
        out.push_str(&format!("- {} {}{hint}\n", code(rule), plain(&finding.sentence())));
    }
    if more > 0 {
        out.push_str(&format!("- and {more} more\n"));
    }
}

fn block(vm: &DocumentVm) -> String {
    let sign = sign(vm);
    let words = if vm.blocked { "blocked" } else { vm.outcome_words() };
    let costs = if vm.disruption > Disruption::Live && !vm.blocked {
        format!(", <b>{}</b>", vm.cost_words())
    } else {
        String::new()
    };
    // The person who merges must see at once what is disruptive: such a VM is not folded.
    let open = if vm.disruption > Disruption::Live { " open" } else { "" };
    let mut out = format!(
        "\n<details{open}><summary><code>{sign}</code> {} <b>{}</b>: {words}{costs}</summary>\n\n",
        vm.vm,
        html(&vm.name)
    );
    if !vm.changes.is_empty() || !vm.waiting.is_empty() {
        out.push_str("| key | current | planned | |\n|---|---|---|---|\n");
    }
    for change in &vm.changes {
        out.push_str(&row(vm, change));
    }
    for waiting in &vm.waiting {
        let shown =
            |value: &Option<DocumentValue>| value.as_ref().map_or("*unset*".to_owned(), |value| cell(&value.text()));
        out.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            cell(waiting.called()),
            shown(&waiting.active),
            shown(&waiting.pending),
            vm.waiting_words()
        ));
    }
    for (word, list) in [("erases", &vm.erases), ("stays", &vm.keeps)] {
        out.extend(list.iter().map(|what| format!("- {word} {}\n", code(what))));
    }
    if vm.force_stop {
        out.push_str("- a guest that does not shut down is **stopped by force**\n");
    }
    let acting: Vec<String> =
        vm.actions.iter().filter(|action| action.outcome.acts()).map(DocumentAction::title).collect();
    if !acting.is_empty() {
        out.push_str(&format!("\nActions: {}\n", code(&acting.join(" → "))));
    }
    out + "\n</details>\n"
}

fn row(vm: &DocumentVm, change: &DocumentChange) -> String {
    let old = change.old.as_ref().map_or(String::new(), |old| cell(&old.text()));
    let unset =
        || crate::plan::unset(&change.key).map_or_else(|| "*none*".to_owned(), |default| format!("*{default}*"));
    let new = match change.new.text() {
        none if none.is_empty() => unset(),
        new => cell(&new),
    };
    let remark = plain(&change.remark()).replace('|', "\\|");
    let remark = if change.is_drift() { format!("**!** {remark}") } else { remark };
    let mut notes: Vec<String> = vec![vm.cost_of(change).to_owned(), remark];
    notes.retain(|note| !note.is_empty());
    format!("| {} | {old} | {new} | {} |\n", cell(&change.key), notes.join(", "))
}

/// A value in a cell of a table.
fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// A code span that nothing in the text can end.
pub(super) fn code(text: &str) -> String {
    let text = safe(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// A message: what it quotes with backticks is code, the rest is taken literally by Markdown and HTML.
pub(super) fn plain(text: &str) -> String {
    let text = safe(text);
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return escaped(&text);
    }
    let part = |(at, part): (usize, &&str)| if at % 2 == 1 { code(part) } else { escaped(part) };
    parts.iter().enumerate().map(part).collect()
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '*' | '_' | '[' | ']' | '\\' | '#' | '!' | '~' | '|' | '`' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// Text inside an HTML element that Markdown makes nothing of either.
pub(super) fn html(text: &str) -> String {
    let mut out = String::new();
    for c in safe(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '|' => out.push_str(&format!("&#{};", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
