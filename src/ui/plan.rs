//! The plan as people read it.

use std::fmt::Write as _;

use similar::TextDiff;

use super::header;
use super::layout::{chain, columns, count, number, pad, wrap};
use super::nodes;
use super::style::{Mark, Role, Style, glyph};
use super::text::{safe, safe_lines};
use super::verdict;
use crate::hypervisor::About;
use crate::model::{ActionKind, Disruption, Key, Origin, Outcome, RestartDue};
use crate::plan::document::{DocumentAction, DocumentChange, DocumentValue, DocumentVm, DocumentWaiting, PlanDocument};

/// How to show a plan.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Colours.
    pub style: Style,
    /// Columns of the screen.
    pub width: usize,
    /// What the target says about itself.
    pub about: &'a About,
    /// Name of the config.
    pub config: &'a str,
    /// Every unchanged VM has its line, however many there are.
    pub verbose: bool,
}

/// From this many unchanged VMs on they are counted instead of listed.
const MOST_LISTED: usize = 20;

/// Where values begin in a VM's block.
const VALUE_COLUMN: usize = 24;

/// Most bytes that are kept before they are printed, about.
const PART: usize = 1 << 16;

/// Renders a plan. Problems are not part of it; they go where diagnostics go.
#[must_use]
pub fn render(plan: &PlanDocument, view: &View<'_>) -> String {
    let mut out = String::new();
    print(plan, view, &mut |part| out.push_str(part));
    out
}

/// Does as [`render`], and hands the text over part by part: that of ten thousand VMs is tens of MiB.
pub fn print(plan: &PlanDocument, view: &View<'_>, print: &mut dyn FnMut(&str)) {
    let mut out = String::with_capacity(PART);
    header(plan, view, &mut out);
    let unchanged = plan.summary.no_op;
    let listed = view.verbose || unchanged <= MOST_LISTED;
    for vm in &plan.vms {
        if vm.outcome.acts() || !vm.waiting.is_empty() || vm.blocked {
            block(vm, view, &mut out);
        } else if listed {
            heading(vm, "no-op", Outcome::NoOp.into(), view, &mut out);
        }
        if out.len() >= PART {
            print(&out);
            out.clear();
        }
    }
    if !listed {
        let _ = writeln!(out, "= {} unchanged", count(unchanged, "virtual machine"));
    }
    out.push('\n');
    table(plan, view, &mut out);
    if let Some(cluster) = &plan.cluster {
        out.push_str(&nodes::of_plan(cluster, (view.width, view.style)));
    }
    out.push_str(&summary(plan, view));
    print(&out);
}

fn header(plan: &PlanDocument, view: &View<'_>, out: &mut String) {
    let target = &plan.target;
    out.push_str(&header::target(target, view.about, &plan.config.path, (view.width, view.style)));
    let selected =
        if plan.vms.len() >= plan.summary.declared { String::new() } else { format!("{} of ", number(plan.vms.len())) };
    let config = format!("{}, {selected}{}", safe(view.config), count(plan.summary.declared, "virtual machine"));
    out.push_str(&header::line("Config", &config, (view.width, view.style)));
    out.push('\n');
}

/// `~ 1001 rumpletest                  update, needs a restart`
fn heading(vm: &DocumentVm, verdict: &str, Mark { sign, role }: Mark, view: &View<'_>, out: &mut String) {
    let name = format!("{sign} {} {}", vm.vm, safe(&vm.name));
    let width = columns(verdict).max(26);
    let column = view.width.min(100).saturating_sub(width).max(30);
    let gap = pad("", column.saturating_sub(columns(&name)).max(2));
    let _ = writeln!(out, "{}{gap}{}", view.style.paint(role, &name), view.style.paint(role, verdict));
}

fn block(vm: &DocumentVm, view: &View<'_>, out: &mut String) {
    if vm.blocked {
        let mark = Mark { role: Role::Failure, ..Mark::ATTENTION };
        heading(vm, "blocked, see the problems", mark, view, out);
    } else {
        let cost = match vm.cost_words() {
            "" => String::new(),
            words => format!(", {words}"),
        };
        let (mark, verdict) = if vm.outcome.acts() {
            (vm.outcome.into(), format!("{}{cost}", vm.outcome_words()))
        } else {
            (Mark::ATTENTION, "no-op, waits for a restart".to_owned())
        };
        heading(vm, &verdict, mark, view, out);
    }
    let mut before = "";
    for change in &vm.changes {
        // A key with several entries is named once.
        let key = if change.key == before { "" } else { &change.key };
        before = &change.key;
        self::change(vm, key, change, view, out);
    }
    for waiting in &vm.waiting {
        let value = |value: &Option<DocumentValue>| {
            value.as_ref().map_or("(unset)".to_owned(), |value| safe(&value.text()).into_owned())
        };
        let (now, then) = (value(&waiting.active), value(&waiting.pending));
        let text = format!("{now} → {then} {}", vm.waiting_words());
        let key = format!("  ! {}", safe(waiting.called()));
        entry(&key, (&text, ""), Role::Attention, view, out);
    }
    for (word, list, role) in [("erases", &vm.erases, Role::Failure), ("stays", &vm.keeps, Role::Plain)] {
        for (at, what) in list.iter().enumerate() {
            let key = if at == 0 { format!("    {word}") } else { String::new() };
            entry(&key, (&safe(what), ""), role, view, out);
        }
    }
    if vm.force_stop {
        let what = "by force, should the guest not shut down";
        entry("    stop", (what, ""), Role::Attention, view, out);
    }
    if vm.outcome.acts() && !vm.blocked {
        let acting: Vec<String> =
            vm.actions.iter().filter(|a| a.outcome.acts()).map(|a| safe(&a.title()).into_owned()).collect();
        let mut key = pad("    actions", VALUE_COLUMN);
        for line in chain(&acting, view.width.saturating_sub(VALUE_COLUMN).max(20)) {
            let _ = writeln!(out, "{key}{}", view.style.paint(Role::Faint, &line));
            key = pad("", VALUE_COLUMN);
        }
    }
}

fn change(vm: &DocumentVm, key: &str, change: &DocumentChange, view: &View<'_>, out: &mut String) {
    let is_text = |value: &DocumentValue| value.text().contains('\n');
    let is_text = is_text(&change.new) || change.old.as_ref().is_some_and(is_text);
    let origin = match &change.origin {
        Origin::Vm => String::new(),
        Origin::Profile(name) => safe(&format!("profile {name}")).into_owned(),
        Origin::VmDefaults => "vm_defaults".to_owned(),
        Origin::BuiltIn => "default".to_owned(),
    };
    let mut note = safe(&change.remark()).into_owned();
    if change.note.is_empty() && change.disruption > Disruption::Live {
        let parts = [vm.cost_of(change).to_owned(), note];
        note = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("; ");
    }
    if change.old.is_none() && !origin.is_empty() {
        if note.is_empty() {
            note = origin;
        } else if change.key == Key::BootDiskSizeGb.name() {
            // What else is to be known of it says nothing of where it comes from.
            note = format!("{origin}; {note}");
        }
    }
    let key = format!("{}{}", if change.is_drift() { "  ! " } else { "    " }, safe(key));
    if is_text {
        entry(&key, ("", &note), Role::Plain, view, out);
        text_diff(change, view, out);
        return;
    }
    let unset = || crate::plan::unset(&change.key).unwrap_or_else(|| "(none)".to_owned());
    let shown = |value: &DocumentValue| match value.text() {
        text if text.is_empty() => unset(),
        text => safe(&text).into_owned(),
    };
    let value = match &change.old {
        Some(old) => format!("{} → {}", shown(old), shown(&change.new)),
        None => shown(&change.new),
    };
    let role = match change.disruption {
        _ if change.is_drift() => Role::Attention,
        Disruption::Destroy | Disruption::Stop | Disruption::Restart | Disruption::Network => Role::Attention,
        Disruption::None | Disruption::Live => vm.outcome.into(),
    };
    entry(&key, (&value, &note), role, view, out);
}

/// One `key  value  note` line; goes on over several lines where it does not fit.
fn entry(key: &str, (value, note): (&str, &str), role: Role, view: &View<'_>, out: &mut String) {
    let room = view.width.saturating_sub(VALUE_COLUMN).max(20);
    let mut key = pad(key, VALUE_COLUMN);
    if !key.ends_with(' ') {
        key.push(' ');
    }
    let values = wrap(value, room);
    let last = values.len() - 1;
    for (at, part) in values.iter().enumerate() {
        let note_fits = at == last && columns(part) + 2 + note.len() <= room;
        out.push_str(&key);
        out.push_str(&view.style.paint(role, part));
        if note_fits && !note.is_empty() {
            let _ = write!(out, "  {}", view.style.paint(Role::Faint, note));
        }
        trim_line(out);
        key = pad("", VALUE_COLUMN);
        if at == last && !note_fits {
            for part in wrap(note, room) {
                out.push_str(&key);
                out.push_str(&view.style.paint(Role::Faint, &part));
                trim_line(out);
            }
        }
    }
}

fn trim_line(out: &mut String) {
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
}

/// A unified diff of a text of several lines.
fn text_diff(change: &DocumentChange, view: &View<'_>, out: &mut String) {
    let old = change.old.as_ref().map(DocumentValue::text).unwrap_or_default();
    let new = change.new.text();
    let diff = TextDiff::from_lines(&*old, &*new);
    let unified = diff.unified_diff().context_radius(2).missing_newline_hint(false).to_string();
    for line in safe_lines(&unified).lines() {
        let role = match line.as_bytes().first() {
            Some(b'+') => Role::Create,
            Some(b'-') => Role::Failure,
            Some(b'@') => Role::Faint,
            _ => Role::Plain,
        };
        let _ = writeln!(out, "      {}", view.style.paint(role, line));
    }
}

/// What is done to a VM, in short: of one that is made how much, of another one which keys change, else which actions.
pub(super) fn what(vm: &DocumentVm) -> String {
    let acting = || vm.actions.iter().filter(|action| action.outcome.acts());
    let waited = vm.waiting.iter().filter(|_| vm.restart == RestartDue::Now).map(DocumentWaiting::called);
    let mut keys: Vec<&str> = vm.changes.iter().map(|change| &*change.key).chain(waited).collect();
    keys.dedup();
    if keys.is_empty() && acting().any(|action| action.kind == ActionKind::Restart) {
        keys.push(ActionKind::Restart.as_str());
    }
    if matches!(vm.outcome, Outcome::Create | Outcome::Recreate) {
        count(acting().count(), "action")
    } else if keys.is_empty() {
        acting().map(DocumentAction::title).collect::<Vec<_>>().join(", ")
    } else {
        keys.join(", ")
    }
}

/// The closing table: what changes, the disruptive first.
fn table(plan: &PlanDocument, view: &View<'_>, out: &mut String) {
    let mut rows: Vec<&DocumentVm> = plan.vms.iter().filter(|vm| vm.outcome.acts() && !vm.blocked).collect();
    if rows.is_empty() {
        return;
    }
    rows.sort_by_key(|vm| (std::cmp::Reverse(vm.disruption), std::cmp::Reverse(vm.outcome), vm.vm));
    let rows = rows.into_iter().map(|vm| {
        vec![
            glyph(vm.outcome).to_owned(),
            vm.vm.to_string(),
            safe(&vm.name).into_owned(),
            vm.outcome_words().to_owned(),
            vm.cost_words().to_owned(),
            safe(&what(vm)).into_owned(),
        ]
    });
    out.push_str(&super::table::table(&["", "VM", "name", "outcome", "disruption", "what"], rows, view.width));
    out.push('\n');
}

/// The closing lines: the hash, that nothing real is meant where that is so, and last the verdict.
#[must_use]
pub fn summary(plan: &PlanDocument, view: &View<'_>) -> String {
    let mut out = String::new();
    if plan.vms.iter().any(|vm| vm.outcome.acts()) {
        let _ = writeln!(out, "{}", view.style.paint(Role::Faint, &format!("Plan hash {}", safe(&plan.hash))));
    }
    if view.about.simulated {
        let _ = writeln!(out, "{}", view.style.paint(Role::Faint, "Embedded node: no real VM would change."));
    }
    for line in wrap(&format!("Plan: {}.", verdict::of_plan(plan)), view.width) {
        let _ = writeln!(out, "{}", view.style.paint(Role::Strong, &line));
    }
    out
}
