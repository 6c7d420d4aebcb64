//! The action graph for drawing programs.

use std::fmt::Write as _;

use super::style::glyph;
use super::text::safe;
use crate::plan::Plan;

/// The graph as a Mermaid flow chart.
#[must_use]
pub fn mermaid(plan: &Plan) -> String {
    let mut out = String::from("flowchart TD\n");
    let mut number = 0;
    for vm in &plan.vms {
        let _ = writeln!(out, "  subgraph vm{}[\"{} {}\"]", vm.vm, vm.vm, quoted(&vm.name));
        for action in &vm.actions {
            let label = quoted(&action.title());
            let _ = writeln!(out, "    a{number}[\"{} {label}\"]:::{}", glyph(action.outcome), class(action.outcome));
            number += 1;
        }
        out.push_str("  end\n");
    }
    for to in 0..number {
        for from in plan.graph.dependencies(to) {
            let _ = writeln!(out, "  a{from} --> a{to}");
        }
    }
    out.push_str("  classDef create stroke:#2a2,stroke-width:2px\n");
    out.push_str("  classDef update stroke:#b80,stroke-width:2px\n");
    out.push_str("  classDef noop stroke:#999,color:#999\n");
    out
}

/// The graph in Graphviz' language.
#[must_use]
pub fn dot(plan: &Plan) -> String {
    let mut out = String::from("digraph phoenix {\n  node [shape=box, fontname=\"sans-serif\"];\n");
    let mut number = 0;
    for vm in &plan.vms {
        let _ = writeln!(out, "  subgraph cluster_{} {{\n    label=\"{} {}\";", vm.vm, vm.vm, escaped(&vm.name));
        for action in &vm.actions {
            let color = match class(action.outcome) {
                "create" => "#22aa22",
                "update" => "#bb8800",
                _ => "#999999",
            };
            let label = escaped(&action.title());
            let _ = writeln!(out, "    a{number} [label=\"{} {label}\", color=\"{color}\"];", glyph(action.outcome));
            number += 1;
        }
        out.push_str("  }\n");
    }
    for to in 0..number {
        for from in plan.graph.dependencies(to) {
            let _ = writeln!(out, "  a{from} -> a{to};");
        }
    }
    out.push_str("}\n");
    out
}

fn class(outcome: crate::model::Outcome) -> &'static str {
    match outcome {
        crate::model::Outcome::Create => "create",
        crate::model::Outcome::Update => "update",
        crate::model::Outcome::NoOp => "noop",
        crate::model::Outcome::Destroy => "destroy",
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
