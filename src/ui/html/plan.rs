//! The page of a plan.

use std::collections::BTreeMap;

use super::escape::text;
use super::filters::{Choice, filters};
use super::nodes::{Bars, heading, nodes};
use super::page::{chip, fact, page};
use super::problems::problems;
use super::vm::{block, disruption, line, unchanged, verdict};
use crate::plan::document::{DocumentCluster, DocumentVm, PlanDocument};
use crate::ui::layout::count;

/// Renders a plan as one page.
#[must_use]
pub fn render(plan: &PlanDocument) -> String {
    let (same, mut rest): (Vec<&DocumentVm>, Vec<_>) = plan.vms.iter().partition(|vm| unchanged(vm));
    rest.sort_by_key(|vm| (!vm.blocked, std::cmp::Reverse(vm.disruption), std::cmp::Reverse(vm.outcome), vm.vm));
    let mut body = head(plan);
    let known = plan.vms.iter().map(|vm| vm.vm).collect();
    body.push_str(&problems(&plan.problems, &known));
    body.push_str(&plan.cluster.as_ref().map(|cluster| nodes(cluster, Bars::Plan)).unwrap_or_default());
    body.push_str("<main>\n");
    if plan.vms.len() > 1 {
        body.push_str(&choices(plan));
    }
    match &plan.cluster {
        None => body.push_str(&machines(&rest, &same, plan.vms.len())),
        Some(cluster) => body.push_str(&by_node(cluster, &rest, &same, plan.vms.len())),
    }
    body.push_str("</main>\n");
    page(&format!("Plan {} for {}", plan.hash, plan.target.name), &body)
}

/// The VMs that something is done to, and those that stay as they are, of so many in all.
fn machines(rest: &[&DocumentVm], same: &[&DocumentVm], all: usize) -> String {
    let mut out: String = rest.iter().map(|vm| block(vm)).collect();
    if !same.is_empty() {
        let open = if rest.is_empty() && all <= 20 { " open=\"\"" } else { "" };
        out.push_str(&format!(
            "<details class=\"same\"{open}><summary><b class=\"sign\">=</b> {} unchanged</summary>\n<ul>\n",
            count(same.len(), "virtual machine")
        ));
        out.extend(same.iter().map(|vm| line(vm)));
        out.push_str("</ul></details>\n");
    }
    out
}

/// The same by the nodes that they are on or will be, then those that are on none.
fn by_node(cluster: &DocumentCluster, rest: &[&DocumentVm], same: &[&DocumentVm], all: usize) -> String {
    let homes: BTreeMap<u32, usize> =
        cluster.nodes.iter().enumerate().flat_map(|(at, node)| node.vms.iter().map(move |vm| (*vm, at))).collect();
    let mut groups = vec![(Vec::new(), Vec::new()); cluster.nodes.len() + 1];
    let at = |vm: &DocumentVm| homes.get(&vm.vm).copied().unwrap_or(cluster.nodes.len());
    for vm in rest {
        groups[at(vm)].0.push(*vm);
    }
    for vm in same {
        groups[at(vm)].1.push(*vm);
    }
    let headings = cluster.nodes.iter().map(heading).chain(["<h2>on no node</h2>\n".to_owned()]);
    let sections = headings.zip(groups).filter(|(_, (rest, same))| !rest.is_empty() || !same.is_empty());
    let section = |(heading, (rest, same)): (String, (Vec<&DocumentVm>, Vec<&DocumentVm>))| {
        format!("<section class=\"on-node\">{heading}{}</section>\n", machines(&rest, &same, all))
    };
    sections.map(section).collect()
}

fn head(plan: &PlanDocument) -> String {
    let summary = &plan.summary;
    let mut out = String::from("<header><h1>Plan</h1>\n<ul class=\"chips\">\n");
    out.push_str(&chip("blocked", "✗", summary.blocked, "blocked"));
    out.push_str(&chip("create", "+", summary.create, "to create"));
    out.push_str(&chip("update", "~", summary.update, "to update"));
    out.push_str(&chip(
        "restart",
        "!",
        summary.restarts_now,
        if summary.restarts_now == 1 { "restarts now" } else { "restart now" },
    ));
    let waits = summary.waits_for_restart;
    out.push_str(&chip("waits", "!", waits, if waits == 1 { "waits for a restart" } else { "wait for a restart" }));
    out.push_str(&chip("no-op", "=", summary.no_op, "unchanged"));
    out.push_str(&chip("destroy", "±", summary.recreate, "to recreate"));
    out.push_str(&chip("destroy", "-", summary.destroy, "to destroy"));
    out.push_str("</ul>\n");
    if plan.target.simulated {
        out.push_str("<p class=\"simulated\">Embedded node: no real VM would change.</p>\n");
    }
    out.push_str("<dl>\n");
    let origin = match plan.target.named_by(&plan.config.path) {
        None => String::new(),
        Some((words, "")) => format!(", {words}"),
        Some((words, file)) => format!(", {words} <code>{}</code>", text(file)),
    };
    let (label, name) = (text(&plan.target.label), text(&plan.target.name));
    out.push_str(&fact("Target", &format!("{label} <code>{name}</code>{origin}")));
    let machines = count(summary.declared, "virtual machine");
    out.push_str(&fact("Config", &format!("<code>{}</code>, {machines}", text(&plan.config.path))));
    out.push_str(&fact("Plan hash", &format!("<code>{}</code>", text(&plan.hash))));
    let (at, shown) = (text(&plan.target.observed_at), text(&crate::ui::story::moment(&plan.target.observed_at)));
    out.push_str(&fact("Read at", &format!("<time datetime=\"{at}\">{shown}</time>")));
    let selection = &plan.request.selection;
    for (name, named) in [("Only", &selection.only), ("Without", &selection.exclude)] {
        if !named.is_empty() {
            let words = named.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            out.push_str(&fact(name, &text(&words)));
        }
    }
    if plan.request.restart {
        out.push_str(&fact("Restarts", "VMs whose values wait for a restart are restarted"));
    }
    out.push_str("</dl></header>\n");
    out
}

fn choices(plan: &PlanDocument) -> String {
    let outcome = |value| plan.vms.iter().filter(|vm| verdict(vm) == value).count();
    let costs = |value| plan.vms.iter().filter(|vm| disruption(vm) == value).count();
    let outcomes: Vec<Choice> = [
        ("blocked", "blocked"),
        ("destroy", "destroy"),
        ("create", "create"),
        ("update", "update"),
        ("waits", "waits for a restart"),
        ("no-op", "unchanged"),
    ]
    .map(|(value, words)| (value, words, outcome(value)))
    .into();
    let disruptions: Vec<Choice> = [
        ("destroy", "erases disks"),
        ("stop", "stops the VM"),
        ("restart", "restarts now"),
        ("later", "waits for a restart"),
        ("network", "network"),
        ("live", "live"),
        ("none", "none"),
    ]
    .map(|(value, words)| (value, words, costs(value)))
    .into();
    filters(&[("o", "Outcome", &outcomes), ("d", "Disruption", &disruptions)], "name, VMID or key")
}
