//! The page of a plan.

use super::escape::text;
use super::filters::{Choice, filters};
use super::page::{chip, fact, page};
use super::problems::problems;
use super::vm::{block, disruption, line, unchanged, verdict};
use crate::plan::document::{DocumentVm, PlanDocument};
use crate::ui::layout::count;

/// Renders a plan as one page.
#[must_use]
pub fn render(plan: &PlanDocument) -> String {
    let (same, mut rest): (Vec<&DocumentVm>, Vec<_>) = plan.vms.iter().partition(|vm| unchanged(vm));
    rest.sort_by_key(|vm| (!vm.blocked, std::cmp::Reverse(vm.disruption), std::cmp::Reverse(vm.outcome), vm.vm));
    let mut body = head(plan);
    body.push_str(&problems(plan));
    body.push_str("<main>\n");
    if plan.vms.len() > 1 {
        body.push_str(&choices(plan));
    }
    for vm in rest {
        body.push_str(&block(vm));
    }
    if !same.is_empty() {
        let open = if same.len() == plan.vms.len() && same.len() <= 20 { " open=\"\"" } else { "" };
        body.push_str(&format!(
            "<details class=\"same\"{open}><summary><b class=\"sign\">=</b> {} unchanged</summary>\n<ul>\n",
            count(same.len(), "virtual machine")
        ));
        for vm in same {
            body.push_str(&line(vm));
        }
        body.push_str("</ul></details>\n");
    }
    body.push_str("</main>\n");
    page(&format!("Plan {} for {}", plan.hash, plan.target.name), &body)
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
        out.push_str(&fact("Restarts", "VMs with values that wait for one are restarted"));
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
