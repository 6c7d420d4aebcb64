//! The action graph for drawing programs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::style::glyph;
use super::text::safe;
use crate::model::Outcome;
use crate::plan::{Plan, VmPlan};

/// How many lines between actions Mermaid draws, and how many bytes it reads, unless its page says otherwise
/// (`maxEdges` and `maxTextSize` of its configuration).
const MERMAID_EDGES: usize = 500;
const MERMAID_BYTES: usize = 50_000;

/// What of a plan is drawn: VMs in which something changes, or all, with the place of their first action in the graph.
fn drawn(plan: &Plan, all: bool) -> Vec<(usize, &VmPlan)> {
    let starts = plan.vms.iter().enumerate().map(|(at, vm)| (plan.actions_of(at).start, vm));
    starts.filter(|(_, vm)| all || vm.actions.iter().any(|action| action.outcome != Outcome::NoOp)).collect()
}

/// Lines between the actions that are drawn: what comes first, and what waits for it.
fn edges(plan: &Plan, drawn: &[(usize, &VmPlan)]) -> Vec<(usize, usize)> {
    let there: BTreeSet<usize> = drawn.iter().flat_map(|(first, vm)| *first..first + vm.actions.len()).collect();
    let into = |to: &usize| plan.graph.dependencies(*to).into_iter().map(move |from| (from, *to)).collect::<Vec<_>>();
    there.iter().flat_map(into).filter(|(from, _)| there.contains(from)).collect()
}

/// The graph as a Mermaid flow chart: of the VMs in which something changes, or of all.
#[must_use]
pub fn mermaid(plan: &Plan, all: bool) -> String {
    let mut out = String::from("flowchart TD\n");
    let drawn = drawn(plan, all);
    for (first, vm) in &drawn {
        let _ = writeln!(out, "  subgraph vm{}[\"{} {}\"]", vm.vm, vm.vm, quoted(&vm.name));
        for (number, action) in (*first..).zip(&vm.actions) {
            let label = quoted(&action.title());
            let _ = writeln!(out, "    a{number}[\"{} {label}\"]:::{}", glyph(action.outcome), class(action.outcome));
        }
        out.push_str("  end\n");
    }
    for (from, to) in edges(plan, &drawn) {
        let _ = writeln!(out, "  a{from} --> a{to}");
    }
    out.push_str("  classDef create stroke:#2a2,stroke-width:2px\n");
    out.push_str("  classDef update stroke:#b80,stroke-width:2px\n");
    out.push_str("  classDef destroy stroke:#c22,stroke-width:2px\n");
    out.push_str("  classDef noop stroke:#999,color:#999\n");
    out
}

/// Why Mermaid would not draw such a chart, if it would not.
#[must_use]
pub fn beyond_mermaid(chart: &str) -> Option<String> {
    let edges = chart.lines().filter(|line| line.contains(" --> ")).count();
    let (edges_over, bytes_over) = (edges > MERMAID_EDGES, chart.len() > MERMAID_BYTES);
    (edges_over || bytes_over).then(|| {
        format!(
            "the chart has {edges} lines between actions and {} KiB; Mermaid draws at most {MERMAID_EDGES} and \
             {} KiB unless it is set up for more",
            chart.len() / 1024,
            MERMAID_BYTES / 1024
        )
    })
}

/// The graph in Graphviz' language: of the VMs in which something changes, or of all.
#[must_use]
pub fn dot(plan: &Plan, all: bool) -> String {
    let mut out = String::from("digraph phoenix {\n  node [shape=box, fontname=\"sans-serif\"];\n");
    let drawn = drawn(plan, all);
    for (first, vm) in &drawn {
        let _ = writeln!(out, "  subgraph cluster_{} {{\n    label=\"{} {}\";", vm.vm, vm.vm, escaped(&vm.name));
        for (number, action) in (*first..).zip(&vm.actions) {
            let color = match action.outcome {
                Outcome::Create => "#22aa22",
                Outcome::Update => "#bb8800",
                Outcome::Recreate | Outcome::Destroy => "#cc2222",
                Outcome::NoOp => "#999999",
            };
            let label = escaped(&action.title());
            let _ = writeln!(out, "    a{number} [label=\"{} {label}\", color=\"{color}\"];", glyph(action.outcome));
        }
        out.push_str("  }\n");
    }
    for (from, to) in edges(plan, &drawn) {
        let _ = writeln!(out, "  a{from} -> a{to};");
    }
    out.push_str("}\n");
    out
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Create => "create",
        Outcome::Update => "update",
        Outcome::NoOp => "noop",
        Outcome::Recreate | Outcome::Destroy => "destroy",
    }
}

/// Text for a quoted Mermaid label, where HTML counts.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for c in safe(text).chars() {
        match c {
            '"' => out.push_str("&quot;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '#' => out.push_str("&num;"),
            '`' => out.push_str("&#96;"),
            _ => out.push(c),
        }
    }
    out
}

/// Text for a quoted DOT string.
fn escaped(text: &str) -> String {
    safe(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_that_mermaid_would_not_draw_is_known() {
        assert_eq!(beyond_mermaid("flowchart TD\n  a0 --> a1\n"), None);
        let edges = "  a0 --> a1\n".repeat(MERMAID_EDGES + 1);
        assert!(beyond_mermaid(&edges).is_some_and(|why| why.contains("501 lines between actions")));
        let text = "x".repeat(MERMAID_BYTES + 1);
        assert!(beyond_mermaid(&text).is_some_and(|why| why.contains("48 KiB")));
    }
}
