//! A VM's actions as a drawing: a column for each step that has to wait for the one before.

use std::collections::{BTreeMap, BTreeSet};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::escape::text;
use crate::model::{Disruption, Outcome};
use crate::plan::document::{DocumentAction, DocumentVm};
use crate::ui::layout::duration;
use crate::ui::style::glyph;

/// Pixels of a character of the drawing's font, of a node's height, and between two columns and rows.
const CHARACTER: usize = 7;
const HEIGHT: usize = 24;
const GAP: usize = 26;
const ROW: usize = 34;

/// Most columns of text in a node; its title has all of it.
const MOST_TEXT: usize = 32;

struct Node {
    depth: usize,
    row: usize,
    label: String,
}

/// The drawing; empty where there is no action.
pub(super) fn graph(vm: &DocumentVm) -> String {
    if vm.actions.is_empty() {
        return String::new();
    }
    let before = before(&vm.actions);
    let nodes = placed(&vm.actions, &before);
    let columns = nodes.iter().map(|node| node.depth).max().unwrap_or(0) + 1;
    let mut widths = vec![0; columns];
    for node in &nodes {
        widths[node.depth] = widths[node.depth].max(node.label.width() * CHARACTER + 16);
    }
    let lefts: Vec<usize> = widths
        .iter()
        .scan(1, |left, width| {
            let here = *left;
            *left += width + GAP;
            Some(here)
        })
        .collect();
    let width = lefts[columns - 1] + widths[columns - 1] + 1;
    let height = nodes.iter().map(|node| node.row).max().unwrap_or(0) * ROW + HEIGHT + 2;
    let mut out = format!(
        "<div class=\"graph\" tabindex=\"0\" role=\"group\" aria-label=\"Actions of VM {}\"><svg width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {width} {height}\"><path d=\"",
        vm.vm
    );
    for (at, before) in before.iter().enumerate() {
        for &from in before {
            let (x, y) = (lefts[nodes[from].depth] + widths[nodes[from].depth], nodes[from].row * ROW + HEIGHT / 2 + 1);
            let (to_x, to_y) = (lefts[nodes[at].depth], nodes[at].row * ROW + HEIGHT / 2 + 1);
            if y == to_y {
                out.push_str(&format!("M{x} {y}H{to_x}"));
            } else {
                let (bend, back) = (x + GAP / 2, to_x.saturating_sub(GAP / 2));
                out.push_str(&format!("M{x} {y}C{bend} {y} {back} {to_y} {to_x} {to_y}"));
            }
        }
    }
    out.push_str("\"/>\n");
    for (node, action) in nodes.iter().zip(&vm.actions) {
        let (x, y) = (lefts[node.depth], node.row * ROW + 1);
        out.push_str(&format!(
            "<g class=\"{}\"><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{HEIGHT}\" rx=\"5\"/>\
             <text x=\"{}\" y=\"{}\">{}</text></g>\n",
            class(action.outcome),
            text(&title(action)),
            widths[node.depth],
            x + 8,
            y + 16,
            text(&node.label),
        ));
    }
    out.push_str("</svg></div>\n");
    out
}

/// The class of an outcome, which is also what filters know it by.
pub(super) fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Create => "create",
        Outcome::Update => "update",
        Outcome::NoOp => "no-op",
        Outcome::Recreate | Outcome::Destroy => "destroy",
    }
}

/// For each action the positions of those it waits for, ascending. Only earlier ones, of one id the last: a saved plan
/// may have been edited into a circle, or hold an id many times.
fn before(actions: &[DocumentAction]) -> Vec<BTreeSet<usize>> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut all = Vec::with_capacity(actions.len());
    for (at, action) in actions.iter().enumerate() {
        all.push(action.after.iter().filter_map(|id| known.get(&**id).copied()).collect());
        known.insert(&action.id, at);
    }
    all
}

fn placed(actions: &[DocumentAction], before: &[BTreeSet<usize>]) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::with_capacity(actions.len());
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    for (action, before) in actions.iter().zip(before) {
        let depth = before.iter().map(|from| nodes[*from].depth + 1).max().unwrap_or(0);
        let next = rows.entry(depth).or_default();
        let row = *next;
        *next += 1;
        let label = format!("{} {}", glyph(action.outcome), short(&crate::ui::text::safe(&action.title())));
        nodes.push(Node { depth, row, label });
    }
    nodes
}

fn short(title: &str) -> String {
    if title.width() <= MOST_TEXT {
        return title.to_owned();
    }
    let mut used = 0;
    let start = title.chars().take_while(|c| {
        used += c.width().unwrap_or(0);
        used < MOST_TEXT
    });
    start.chain(['…']).collect()
}

fn title(action: &DocumentAction) -> String {
    let mut out = format!("{}: {}", action.title(), action.outcome);
    if !action.reason.is_empty() {
        out.push_str(&format!(", because {}", action.reason));
    }
    if action.disruption > Disruption::None {
        out.push_str(&format!("; {}", action.disruption.as_str()));
    }
    if action.outcome.acts() {
        out.push_str(&format!("; at most {}", duration(u64::from(action.timeout_seconds) * 1000)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::before;
    use crate::plan::document::DocumentAction;

    #[test]
    fn an_action_has_one_line_to_each_id_before_it() {
        let action = |id: &str, after: &[&str]| -> DocumentAction {
            let value = serde_json::json!({ "id": id, "kind": "start", "outcome": "update", "reason": "",
                "disruption": "none", "timeout_seconds": 1, "after": after });
            serde_json::from_value(value).unwrap()
        };
        let chain = [action("a", &["b"]), action("b", &["a"]), action("c", &["a", "b", "a", "1001/start"])];
        assert_eq!(before(&chain), [[].into(), [0].into(), [0, 1].into()]);
        let many = vec![action("a", &["a"]); 1_000];
        assert!(before(&many).iter().all(|before| before.len() <= 1));
    }
}
