//! The nodes of a cluster, for people: bars of what there is, what is used and what is promised.

use unicode_width::UnicodeWidthStr as _;

use super::layout::{cut, pad, wrap};
use super::style::{Role, Style};
use super::text::safe;
use crate::observed::options::gib;
use crate::plan::document::{DocumentCluster, DocumentMemory, DocumentNode, DocumentStorage, NodeState};

/// What is promised of something, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    /// All there is, where that is known.
    pub(crate) total: Option<u64>,
    /// How much of it may be promised, where that is bounded.
    pub(crate) limit: Option<u64>,
    /// How much of it is used, where that is known.
    pub(crate) used: Option<u64>,
    /// How much of it is promised.
    pub(crate) promised: u64,
    /// How much of it is promised when the plan is done.
    pub(crate) planned: u64,
}

impl From<&DocumentMemory> for Amount {
    fn from(memory: &DocumentMemory) -> Self {
        let DocumentMemory { total_mb, limit_mb, used_mb, promised_mb, planned_mb } = *memory;
        let bytes = |mb: u64| mb.saturating_mul(1 << 20);
        let [total, limit, used] = [total_mb, limit_mb, used_mb].map(|mb| mb.map(bytes));
        Self { total, limit, used, promised: bytes(promised_mb), planned: bytes(planned_mb) }
    }
}

impl From<&DocumentStorage> for Amount {
    fn from(storage: &DocumentStorage) -> Self {
        let DocumentStorage { name: _, total_bytes, used_bytes, promised_bytes, planned_bytes } = *storage;
        Self { total: total_bytes, limit: None, used: used_bytes, promised: promised_bytes, planned: planned_bytes }
    }
}

/// What the signs of a status' bars mean, and of a plan's.
const OF_STATUS: &str = "█ used  ▒ promised to VMs  · free";
const OF_PLAN: &str = "▒ promised to VMs  + this plan adds  - it frees  · free";

/// How many of `cells` stand for a part: none only for nothing, all only for everything.
fn cells(part: u64, total: u64, cells: usize) -> usize {
    if part == 0 || cells == 0 {
        return 0;
    }
    if part >= total {
        return cells;
    }
    let exact = u128::from(part) * cells as u128 * 2 / u128::from(total);
    let rounded = usize::try_from(exact.div_ceil(2)).unwrap_or(cells);
    rounded.clamp(1, cells.saturating_sub(1).max(1))
}

impl Amount {
    /// What a bar is as long as.
    fn whole(&self) -> Option<u64> {
        self.total.filter(|total| *total > 0)
    }

    /// A bar of what is used, and of what is promised beyond it. Blank where it is not known how much there is.
    fn state_bar(&self, width: usize) -> String {
        let Some(total) = self.whole() else { return pad("", width) };
        let used = cells(self.used.unwrap_or(0), total, width);
        let promised = cells(self.promised, total, width).max(used);
        "█".repeat(used) + &"▒".repeat(promised - used) + &"·".repeat(width - promised)
    }

    /// A bar of what is promised, and of what a plan adds to that, or takes from it.
    fn plan_bar(&self, width: usize) -> String {
        let Some(total) = self.whole() else { return pad("", width) };
        let (least, most) = (self.promised.min(self.planned), self.promised.max(self.planned));
        let sign = if self.planned > self.promised { "+" } else { "-" };
        let mut stays = cells(least, total, width);
        let mut all = cells(most, total, width);
        // However little it is, what changes is seen.
        if least != most && stays == all {
            if all < width {
                all += 1;
            } else {
                stays = stays.saturating_sub(1);
            }
        }
        "▒".repeat(stays) + &sign.repeat(all - stays) + &"·".repeat(width - all)
    }

    /// The same of what may be promised alone.
    pub(crate) fn within_limit(self) -> Self {
        Self { total: self.limit.or(self.total), ..self }
    }

    /// `of 64 GiB`
    fn of(&self) -> String {
        let total = self.whole().map(|total| format!("of {} ", rounded(total))).unwrap_or_default();
        format!("{total}GiB")
    }

    /// `12 of 64 GiB promised, at most 57.6; 4 used`
    pub(crate) fn state(&self) -> String {
        let bound = self.limit.filter(|limit| self.total.is_some_and(|total| *limit < total));
        let bound = bound.map(|limit| format!(", at most {}", rounded(limit))).unwrap_or_default();
        let used = self.used.map(|used| format!("; {} used", rounded(used))).unwrap_or_default();
        format!("{} {} promised{bound}{used}", rounded(self.promised), self.of())
    }

    /// `4 → 12 of 64 GiB promised, at most 57.6; 4 used`
    pub(crate) fn whole_story(&self) -> String {
        let now = rounded(self.promised);
        let state = self.state();
        match state.strip_prefix(&now) {
            Some(rest) if self.promised != self.planned => format!("{}{rest}", self.amounts()),
            _ => state,
        }
    }

    /// `4 → 12 of 64 GiB`
    pub(crate) fn change(&self) -> String {
        format!("{} {}", self.amounts(), self.of())
    }

    fn amounts(&self) -> String {
        if self.promised == self.planned {
            return rounded(self.promised);
        }
        match (rounded(self.promised), rounded(self.planned)) {
            // So little that it takes more decimals to see it.
            (now, then) if now == then => format!("{} → {}", gib(self.promised), gib(self.planned)),
            (now, then) => format!("{now} → {then}"),
        }
    }
}

/// An amount in GiB, with one decimal where it is not whole.
fn rounded(bytes: u64) -> String {
    let tenths = (u128::from(bytes) * 10 + (1 << 29)) >> 30;
    if tenths.is_multiple_of(10) { (tenths / 10).to_string() } else { format!("{}.{}", tenths / 10, tenths % 10) }
}

/// How wide bars are on a screen.
fn bar_width(width: usize) -> usize {
    (width / 4).clamp(8, 40)
}

/// Columns of the names before bars, at most.
const NAMES: usize = 14;

/// A bar, its name before it and its words behind it.
struct Line<'a> {
    name: &'a str,
    bar: String,
    words: Vec<String>,
}

/// Bars below each other. Words that do not fit go on below.
fn lines(all: &[Line<'_>], width: usize) -> String {
    let names = all.iter().map(|line| safe(line.name).width()).max().unwrap_or(0).min(NAMES);
    let mut out = String::new();
    for Line { name, bar, words } in all {
        let mut lead = format!("  {}  {bar}  ", pad(&cut(&safe(name), names), names));
        let indent = lead.width();
        for part in wrap(&words.join(", "), width.saturating_sub(indent).max(20)) {
            out.push_str(&format!("{lead}{part}\n"));
            lead = pad("", indent);
        }
    }
    out
}

/// A node in words beside its name; empty where it is up.
pub(crate) fn state(node: &DocumentNode) -> &'static str {
    match node.state {
        NodeState::Online => "",
        NodeState::Maintenance => "in maintenance: no VM is placed there",
        NodeState::Offline => "not online: its VMs are shown as they were seen last",
    }
}

/// `3 VMs, 2 running`
pub(crate) fn vms(node: &DocumentNode) -> String {
    let vms = match node.vm_count {
        0 => "no VMs".to_owned(),
        1 => "1 VM".to_owned(),
        n => format!("{n} VMs"),
    };
    match (node.state, node.vm_count) {
        (NodeState::Offline, _) | (_, 0) => vms,
        _ => format!("{vms}, {} running", node.running_count),
    }
}

/// What the signs of a status' bars mean.
pub(super) fn key_of_status(width: usize) -> String {
    wrap(OF_STATUS, width).join("\n") + "\n"
}

/// The nodes of a cluster as they are, each with its bars, and then the storages that they share.
pub(crate) fn render(cluster: &DocumentCluster, screen: (usize, Style)) -> String {
    let (width, style) = screen;
    let mut out = key_of_status(width);
    out.extend(cluster.nodes.iter().map(|node| format!("\n{}", of_status(node, screen))));
    out + &shared(cluster, (width, style))
}

/// The storages that all nodes share, below a heading; empty where no VM has a disk there.
pub(super) fn shared(cluster: &DocumentCluster, (width, style): (usize, Style)) -> String {
    match shared_of_status(&cluster.shared_storages, width) {
        none if none.is_empty() => none,
        bars => format!("\n{}\n{bars}", style.paint(Role::Strong, "shared by all nodes")),
    }
}

/// The heading of a node in a status, and the bars of its memory and its storages.
pub(super) fn of_status(node: &DocumentNode, (width, style): (usize, Style)) -> String {
    let words =
        [state(node), &vms(node)].iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join("; ");
    let mut name = safe(&node.name).into_owned();
    let mut out = String::new();
    let indent = name.width().max(4) + 2;
    for part in wrap(&words, width.saturating_sub(indent)) {
        out.push_str(&format!("{}{part}\n", style.paint(Role::Strong, &pad(&name, indent))));
        name.clear();
    }
    let memory = Amount::from(&node.memory);
    let mut bars = Vec::new();
    if node.state != NodeState::Offline || memory.promised > 0 {
        bars.push(of_state("memory", memory, width));
    }
    bars.extend(taken(&node.storages).map(|storage| of_state(&storage.name, storage.into(), width)));
    out + &lines(&bars, width)
}

/// The bars of the storages that all nodes share; empty where no VM has a disk there.
fn shared_of_status(storages: &[DocumentStorage], width: usize) -> String {
    let bars: Vec<Line<'_>> = taken(storages).map(|storage| of_state(&storage.name, storage.into(), width)).collect();
    lines(&bars, width)
}

fn of_state(name: &str, amount: Amount, width: usize) -> Line<'_> {
    Line { name, bar: amount.state_bar(bar_width(width)), words: vec![amount.state()] }
}

/// Storages on which disks of VMs are, or will be.
pub(super) fn taken(storages: &[DocumentStorage]) -> impl Iterator<Item = &DocumentStorage> {
    storages.iter().filter(|storage| storage.promised_bytes != 0 || storage.planned_bytes != 0)
}

/// What a plan adds to what the nodes have promised, in a few lines; empty where it adds nothing.
pub(super) fn of_plan(cluster: &DocumentCluster, (width, style): (usize, Style)) -> String {
    if !cluster.changes() {
        return String::new();
    }
    let mut out = String::new();
    for (at, part) in wrap(OF_PLAN, width.saturating_sub(8)).iter().enumerate() {
        let title = if at == 0 { "Nodes" } else { "" };
        out.push_str(&format!("{}{}\n", style.paint(Role::Strong, &pad(title, 8)), style.paint(Role::Faint, part)));
    }
    let bars = bar_width(width);
    let changed = cluster.nodes.iter().filter(|node| node.changes()).map(|node| {
        let memory = Amount::from(&node.memory).within_limit();
        let words = std::iter::once(format!("memory {}", memory.change())).chain(added(&node.storages));
        Line { name: &node.name, bar: memory.plan_bar(bars), words: words.collect() }
    });
    let shared: Vec<String> = added(&cluster.shared_storages).collect();
    let shared = (!shared.is_empty()).then(|| Line { name: "shared", bar: pad("", bars), words: shared });
    out.push_str(&lines(&changed.chain(shared).collect::<Vec<_>>(), width));
    out.push('\n');
    out
}

/// `local-zfs +20 GiB`
fn added(storages: &[DocumentStorage]) -> impl Iterator<Item = String> {
    let changed = storages.iter().filter(|storage| storage.changes());
    changed.map(|storage| {
        let sign = if storage.planned_bytes > storage.promised_bytes { "+" } else { "-" };
        format!("{} {sign}{} GiB", safe(&storage.name), gib(storage.planned_bytes.abs_diff(storage.promised_bytes)))
    })
}

#[cfg(test)]
mod tests {
    use super::{Amount, rounded};
    use crate::model::GIB;

    #[test]
    fn a_bar_shows_little_as_something_and_nearly_all_as_not_all() {
        let amount = |used, promised| Amount { total: Some(1000), used: Some(used), promised, ..Amount::default() };
        let bar = |used, promised| amount(used, promised).state_bar(8);
        assert_eq!(bar(0, 0), "········");
        assert_eq!(bar(1, 0), "█·······");
        assert_eq!(bar(1, 1), "█·······");
        assert_eq!(bar(250, 500), "██▒▒····");
        assert_eq!(bar(500, 250), "████····");
        assert_eq!(bar(0, 999), "▒▒▒▒▒▒▒·");
        assert_eq!(bar(999, 1000), "███████▒");
        assert_eq!(bar(0, u64::MAX), "▒▒▒▒▒▒▒▒");
        assert_eq!(Amount::default().state_bar(8), "        ");
    }

    #[test]
    fn a_bar_shows_every_change() {
        let bar = |promised, planned| Amount { total: Some(1000), promised, planned, ..Amount::default() }.plan_bar(8);
        assert_eq!(bar(0, 0), "········");
        assert_eq!(bar(250, 500), "▒▒++····");
        assert_eq!(bar(500, 250), "▒▒--····");
        assert_eq!(bar(500, 501), "▒▒▒▒+···");
        assert_eq!(bar(501, 500), "▒▒▒▒-···");
        assert_eq!(bar(1000, 2000), "▒▒▒▒▒▒▒+");
        assert_eq!(bar(2000, 1000), "▒▒▒▒▒▒▒-");
    }

    #[test]
    fn amounts_are_said_in_gib() {
        let some = |gib: u64| Some(gib * GIB);
        let amount =
            Amount { total: some(64), limit: some(64), used: Some(GIB / 3), promised: 4 * GIB, planned: 12 * GIB };
        assert_eq!(amount.state(), "4 of 64 GiB promised; 0.3 used");
        assert_eq!(amount.change(), "4 → 12 of 64 GiB");
        assert_eq!(amount.whole_story(), "4 → 12 of 64 GiB promised; 0.3 used");
        let little = Amount { planned: 4 * GIB + (20 << 20), ..amount };
        assert_eq!(little.change(), "4 → 4.01 of 64 GiB");
        let bounded = Amount { limit: some(8), ..amount };
        assert_eq!(bounded.state(), "4 of 64 GiB promised, at most 8; 0.3 used");
        assert_eq!(bounded.within_limit().change(), "4 → 12 of 8 GiB");
        let unknown = Amount { total: None, limit: None, used: None, planned: 4 * GIB, ..amount };
        assert_eq!((unknown.state().as_str(), unknown.change().as_str()), ("4 GiB promised", "4 GiB"));
        assert_eq!([0, GIB, GIB + GIB / 2, GIB * 2 - 1].map(rounded), ["0", "1", "1.5", "2"]);
    }
}
