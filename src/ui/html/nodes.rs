//! The nodes of a cluster on a page: a table with bars, and the headings below which their VMs stand.

use super::escape::text;
use crate::plan::document::{DocumentCluster, DocumentMemory, DocumentNode, DocumentStorage};
use crate::ui::nodes::{Amount, state, taken, vms};

/// What the bars show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bars {
    /// How things are, and what a plan makes of them.
    Plan,
    /// How things are.
    Now,
}

/// The table of all nodes, and what they have together.
pub(super) fn nodes(cluster: &DocumentCluster, bars: Bars) -> String {
    let plans = match bars {
        Bars::Plan => "<b class=\"more\"></b> this plan adds <b class=\"less\"></b> it frees ",
        Bars::Now => "",
    };
    let mut out = format!(
        "<section class=\"nodes\"><h2>Nodes</h2>\n<p class=\"key\"><b class=\"promised\"></b> promised to VMs {plans}<b \
         class=\"used\"></b> used</p>\n\
         <table><thead><tr><th>node</th><th>VMs</th><th>memory</th><th>storages</th></tr></thead><tbody>\n",
    );
    let row =
        |name: &str, vms: &str, memory: &str, storages: &[DocumentStorage]| row((name, vms, memory), storages, bars);
    let memory = |memory: &DocumentMemory| amount("memory", memory.into(), bars);
    for node in &cluster.nodes {
        let words = match state(node) {
            "" => String::new(),
            words => format!("<br /><em class=\"waits\">{words}</em>"),
        };
        out.push_str(&row(&format!("{}{words}", text(&node.name)), &vms(node), &memory(&node.memory), &node.storages));
    }
    if taken(&cluster.shared_storages).next().is_some() {
        out.push_str(&row("shared", "", "", &cluster.shared_storages));
    }
    let sum = |count: fn(&DocumentNode) -> usize| cluster.online().map(count).fold(0, usize::saturating_add);
    let (all, running) = (sum(|node| node.vm_count), sum(|node| node.running_count));
    let all = row(
        "all that are online",
        &format!("{all} VMs, {running} running"),
        &memory(&cluster.memory()),
        &cluster.storages(),
    );
    out + "</tbody><tfoot>" + &all + "</tfoot></table></section>\n"
}

fn row((name, vms, memory): (&str, &str, &str), storages: &[DocumentStorage], bars: Bars) -> String {
    let storages: String = taken(storages).map(|storage| amount(&storage.name, storage.into(), bars)).collect();
    format!("<tr><th>{name}</th><td>{vms}</td><td>{memory}</td><td>{storages}</td></tr>\n")
}

/// The heading below which the VMs of a node stand.
pub(super) fn heading(node: &DocumentNode) -> String {
    let words = match state(node) {
        "" => String::new(),
        words => format!(" <em class=\"waits\">{words}</em>"),
    };
    format!("<h2>{} <small>{}</small>{words}</h2>\n", text(&node.name), vms(node))
}

/// A bar, and what it stands for.
fn amount(name: &str, amount: Amount, bars: Bars) -> String {
    let (amount, story) = match bars {
        Bars::Plan => (amount, amount.whole_story()),
        Bars::Now => (Amount { planned: amount.promised, ..amount }, amount.state()),
    };
    format!("<div class=\"load\">{}<span>{} {story}</span></div>", bar(&amount), text(name))
}

/// A bar as long as there is of it, in thousandths.
fn bar(amount: &Amount) -> String {
    let Some(total) = amount.total.filter(|total| *total > 0) else { return String::new() };
    let at = |part: u64| {
        let part = u128::from(part.min(total)) * 1000;
        u64::try_from(part.div_ceil(u128::from(total))).unwrap_or(1000)
    };
    let (least, most) = (at(amount.promised.min(amount.planned)), at(amount.promised.max(amount.planned)));
    let change = if amount.planned > amount.promised { "more" } else { "less" };
    let rect = |class: &str, x: u64, y: u64, width: u64, height: u64| {
        if width == 0 {
            return String::new();
        }
        format!("<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>")
    };
    let limit =
        amount.limit.filter(|limit| *limit < total).map_or(String::new(), |limit| rect("limit", at(limit), 0, 4, 12));
    format!(
        "<svg viewBox=\"0 0 1000 12\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{}{}{}{}{limit}</svg>",
        rect("track", 0, 0, 1000, 12),
        rect("promised", 0, 0, least, 12),
        rect(change, least, 0, most - least, 12),
        rect("used", 0, 8, at(amount.used.unwrap_or(0)), 4),
    )
}
