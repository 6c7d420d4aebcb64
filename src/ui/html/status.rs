//! The page of a status: how the VMs are, below the nodes that they are on.

use std::collections::{BTreeMap, BTreeSet};

use super::escape::{prose, text};
use super::filters::{Choice, filters};
use super::nodes::{self, Bars, heading};
use super::page::{chip, fact, page};
use super::problems::problems;
use crate::plan::status::{StatusDocument, StatusVm, VmState};
use crate::ui::status::{HEADER, details, label, row as cells};

/// The states of VMs as filters know them, in words, and the class of their colour.
const STATES: [(VmState, &str, &str); 5] = [
    (VmState::Running, "running", "create"),
    (VmState::Stopped, "stopped", "no-op"),
    (VmState::Template, "template", "no-op"),
    (VmState::Absent, "absent", "update"),
    (VmState::Unknown, "unknown", "update"),
];

/// The cells of a VM's row that its block shows.
const SHOWN: [&str; 3] = ["declared", "agent", "features"];

/// Renders a status as one page. `config` is the name of the file.
#[must_use]
pub fn render(status: &StatusDocument, config: &str) -> String {
    let known: BTreeSet<u32> = status.vms.iter().map(|vm| vm.vm).collect();
    let mut body = head(status, config);
    body.push_str(&problems(&status.problems, &known));
    body.push_str(&status.cluster.as_ref().map(|cluster| nodes::nodes(cluster, Bars::Now)).unwrap_or_default());
    body.push_str("<main>\n");
    if status.vms.len() > 1 {
        body.push_str(&choices(status));
    }
    body.push_str(&groups(status));
    body.push_str("</main>\n");
    page(&format!("Status of project {} on {}", status.project, status.target.name), &body)
}

fn head(status: &StatusDocument, config: &str) -> String {
    let number = |is: &dyn Fn(&StatusVm) -> bool| status.vms.iter().filter(|vm| is(vm)).count();
    let mut out = String::from("<header><h1>Status</h1>\n<ul class=\"chips\">\n");
    out.push_str(&chip("create", "✓", number(&|vm| vm.well), "up to date and healthy"));
    out.push_str(&chip("update", "!", number(&|vm| !vm.well), "need attention"));
    for (state, word, class) in STATES {
        out.push_str(&chip(class, "", number(&|vm| vm.state == state), word));
    }
    out.push_str("</ul>\n");
    if status.target.simulated {
        out.push_str("<p class=\"simulated\">Embedded node: these are no real VMs.</p>\n");
    }
    let (of, name) = (text(label(&status.target)), text(&status.target.name));
    let (at, shown) = (text(&status.target.observed_at), text(&crate::ui::story::moment(&status.target.observed_at)));
    out.push_str("<dl>\n");
    out.push_str(&fact("Target", &format!("{of} <code>{name}</code>")));
    out.push_str(&fact(
        "Config",
        &format!("<code>{}</code>, project <code>{}</code>", text(config), text(&status.project)),
    ));
    out.push_str(&fact("Read at", &format!("<time datetime=\"{at}\">{shown}</time>")));
    out.push_str("</dl></header>\n");
    out
}

fn choices(status: &StatusDocument) -> String {
    let number = |state| status.vms.iter().filter(|vm| vm.state == state).count();
    let of_states: Vec<Choice> = STATES.map(|(state, word, _)| (word, word, number(state))).into();
    let well = status.vms.iter().filter(|vm| vm.well).count();
    let healths = [("well", "up to date and healthy", well), ("unwell", "need attention", status.vms.len() - well)];
    filters(&[("o", "State", &of_states), ("d", "Health", &healths)], "name, VMID or address")
}

/// The VMs by the nodes that they are on, then those that are on none; of one node without headings.
fn groups(status: &StatusDocument) -> String {
    let Some(cluster) = &status.cluster else { return table(status, &status.vms.iter().collect::<Vec<_>>()) };
    let known: BTreeMap<u32, &StatusVm> = status.vms.iter().map(|vm| (vm.vm, vm)).collect();
    let placed: BTreeSet<u32> = cluster.nodes.iter().flat_map(|node| &node.vms).copied().collect();
    let of_node = |vms: &[u32]| vms.iter().filter_map(|vm| known.get(vm).copied()).collect::<Vec<_>>();
    let nodes = cluster.nodes.iter().map(|node| (heading(node), of_node(&node.vms)));
    let others = status.vms.iter().filter(|vm| !placed.contains(&vm.vm)).collect();
    let section = |(heading, vms): (String, Vec<&StatusVm>)| {
        format!("<section class=\"on-node\">{heading}{}</section>\n", table(status, &vms))
    };
    let on_none = ("<h2>on no node</h2>\n".to_owned(), others);
    nodes.chain([on_none]).filter(|(_, vms)| !vms.is_empty()).map(section).collect()
}

/// A row for each VM, and below it what its words and counts stand for.
fn table(status: &StatusDocument, vms: &[&StatusVm]) -> String {
    if vms.is_empty() {
        return format!("<p>Project <code>{}</code> has no VMs here.</p>\n", text(&status.project));
    }
    vms.iter().map(|vm| block(status, vm)).collect()
}

fn block(status: &StatusDocument, vm: &StatusVm) -> String {
    let (_, state, class) = STATES.into_iter().find(|(state, ..)| *state == vm.state).unwrap_or(STATES[3]);
    let (sign, health) = if vm.well { ("✓", "well") } else { ("!", "unwell") };
    let class = if vm.well { class } else { "waits" };
    let addresses: Vec<String> = vm.addresses.iter().map(ToString::to_string).collect();
    let words = [&[vm.vm.to_string(), vm.name.to_lowercase()], &*addresses].concat();
    let open = if vm.well { "" } else { " open=\"\"" };
    let mut out = format!(
        "<details class=\"vm {class}\" id=\"vm{0}\" data-o=\"{state}\" data-d=\"{health}\" data-t=\"{1}\"{open}><summary>\
         <b class=\"sign\">{sign}</b> <code>{0}</code> <b class=\"name\">{2}</b> <span class=\"what\">{state}</span> \
         <small>{3}</small></summary>\n<table class=\"state\"><tbody>\n",
        vm.vm,
        text(&words.join(" ")),
        text(&vm.name),
        text(&addresses.join(", ")),
    );
    let mut row = |name: &str, said: &str| out.push_str(&format!("<tr><th>{name}</th><td>{said}</td></tr>\n"));
    let cells = cells(status, vm);
    // The others stand above, or the rows below say more.
    for (name, cell) in HEADER.iter().zip(&cells).filter(|(name, cell)| !cell.is_empty() && SHOWN.contains(name)) {
        row(name, &text(cell));
    }
    for (name, value) in [("MAC address", &vm.mac), ("node", &vm.node)] {
        if let Some(value) = value {
            row(name, &format!("<code>{}</code>", text(value)));
        }
    }
    for (label, said) in details(status, vm) {
        row(label, &prose(&said));
    }
    out + "</tbody></table></details>\n"
}
