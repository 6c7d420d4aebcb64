//! One VM of a plan.

use super::diff::diff;
use super::escape::text;
use super::graph::{class, graph};
use crate::model::{Disruption, Origin, Outcome, RestartDue};
use crate::plan::document::{DocumentChange, DocumentValue, DocumentVm, DocumentWaiting};
use crate::ui::style::glyph;

/// What filters know a VM by: its outcome, or that it is blocked, or waits.
pub(super) fn verdict(vm: &DocumentVm) -> &'static str {
    match vm.outcome {
        _ if vm.blocked => "blocked",
        Outcome::NoOp if vm.restart == RestartDue::Later => "waits",
        outcome => class(outcome),
    }
}

/// What filters know a VM's disruption by.
pub(super) fn disruption(vm: &DocumentVm) -> &'static str {
    match vm.disruption {
        Disruption::None => "none",
        Disruption::Live => "live",
        Disruption::Network => "network",
        Disruption::Restart if vm.restart == RestartDue::Later => "later",
        Disruption::Restart => "restart",
        Disruption::Stop => "stop",
        Disruption::Destroy => "destroy",
    }
}

/// Whether nothing is to be done or said about it.
pub(super) fn unchanged(vm: &DocumentVm) -> bool {
    verdict(vm) == "no-op"
}

/// The attributes that filters read; keys are those of the changes and of what waits.
fn attributes(vm: &DocumentVm) -> String {
    let mut words = vec![vm.vm.to_string(), vm.name.to_lowercase()];
    for key in vm.changes.iter().map(|change| &*change.key).chain(vm.waiting.iter().map(DocumentWaiting::called)) {
        if words.last().is_none_or(|last| last != key) {
            words.push(key.to_lowercase());
        }
    }
    format!(
        "id=\"vm{}\" data-o=\"{}\" data-d=\"{}\" data-t=\"{}\"",
        vm.vm,
        verdict(vm),
        disruption(vm),
        text(&words.join(" "))
    )
}

/// One line of the list of unchanged VMs.
pub(super) fn line(vm: &DocumentVm) -> String {
    format!("<li {}><code>{}</code> {}</li>\n", attributes(vm), vm.vm, text(&vm.name))
}

/// A VM with everything that would be done to it. A disruptive one is not folded: the person who approves must see it
/// at once.
pub(super) fn block(vm: &DocumentVm) -> String {
    let (sign, words) = match verdict(vm) {
        "blocked" => ("✗", "blocked, see the problems"),
        "waits" => ("!", "waits for a restart"),
        _ => (glyph(vm.outcome), vm.outcome_words()),
    };
    let open = if vm.disruption > Disruption::Live || vm.blocked { " open=\"\"" } else { "" };
    let costs = match vm.cost_words() {
        "" => String::new(),
        words => format!(" <em class=\"{}\">{words}</em>", disruption(vm)),
    };
    let mut keys: Vec<&str> = vm.changes.iter().map(|change| &*change.key).collect();
    keys.dedup();
    // A new VM has all of them, which says nothing.
    let keys = if matches!(vm.outcome, Outcome::Create | Outcome::Recreate) { String::new() } else { keys.join(", ") };
    let mut out = format!(
        "<details class=\"vm {0}\" {1}{open}><summary><b class=\"sign\">{sign}</b> <code>{2}</code> <b \
         class=\"name\">{3}</b> <span class=\"what\">{words}</span>{costs} <small>{4}</small></summary>\n",
        verdict(vm),
        attributes(vm),
        vm.vm,
        text(&vm.name),
        text(&keys),
    );
    changes(vm, &mut out);
    waiting(vm, &mut out);
    fate(vm, &mut out);
    out.push_str(&graph(vm));
    out.push_str("</details>\n");
    out
}

/// What goes with a VM, what stays of it, and whether it is stopped by force.
fn fate(vm: &DocumentVm, out: &mut String) {
    if vm.erases.is_empty() && vm.keeps.is_empty() && !vm.force_stop {
        return;
    }
    out.push_str("<ul class=\"fate\">\n");
    for (class, word, list) in [("destroy", "erases", &vm.erases), ("keep", "stays", &vm.keeps)] {
        for what in list {
            out.push_str(&format!("<li class=\"{class}\">{word} <code>{}</code></li>\n", text(what)));
        }
    }
    if vm.force_stop {
        out.push_str("<li class=\"destroy\">stopped by force, should the guest not shut down</li>\n");
    }
    out.push_str("</ul>\n");
}

fn changes(vm: &DocumentVm, out: &mut String) {
    if vm.changes.is_empty() {
        return;
    }
    // A new VM has no values yet: a column of nothing would only take room.
    let fresh = vm.changes.iter().all(|change| change.old.is_none());
    let (class, head) = if fresh { (" class=\"fresh\"", "") } else { ("", "<th>current</th>") };
    out.push_str(&format!(
        "<table{class}><thead><tr><th>key</th>{head}<th>{}</th><th>note</th></tr></thead><tbody>\n",
        if fresh { "value" } else { "planned" }
    ));
    for change in &vm.changes {
        row(vm, change, fresh, out);
    }
    out.push_str("</tbody></table>\n");
}

fn row(vm: &DocumentVm, change: &DocumentChange, fresh: bool, out: &mut String) {
    let notes = notes(vm, change);
    let key = text(&change.key);
    let (old, new) = (change.old.as_ref().map(DocumentValue::text), change.new.text());
    let old = old.as_deref();
    if new.contains('\n') || old.is_some_and(|old| old.contains('\n')) {
        let span = if fresh { "" } else { " colspan=\"2\"" };
        let diff = diff(old.unwrap_or(""), &new);
        out.push_str(&format!("<tr><th>{key}</th><td{span}>{diff}</td><td>{notes}</td></tr>\n"));
        return;
    }
    let default = crate::plan::unset(&change.key);
    let none = default.as_deref().unwrap_or("none");
    let old = old.map(|old| value(Some(old).filter(|old| !old.is_empty()), none));
    let now = if fresh {
        String::new()
    } else {
        format!("<td class=\"now\">{}</td>", old.unwrap_or_else(|| value(None, "unset")))
    };
    let then = value(Some(&*new).filter(|new| !new.is_empty()), none);
    out.push_str(&format!("<tr><th>{key}</th>{now}<td>{then}</td><td>{notes}</td></tr>\n"));
}

fn notes(vm: &DocumentVm, change: &DocumentChange) -> String {
    let mut notes = Vec::new();
    if change.disruption > Disruption::Live {
        notes.push(format!("<em class=\"restart\">{}</em>", vm.cost_of(change)));
    } else if change.disruption == Disruption::Live {
        notes.push("live".to_owned());
    }
    match text(&change.remark()) {
        none if none.is_empty() => {}
        remark if change.is_drift() => notes.push(format!("<em class=\"drift\">! {remark}</em>")),
        remark => notes.push(remark),
    }
    match &change.origin {
        Origin::Profile(name) if change.old.is_none() => notes.push(text(&format!("profile {name}"))),
        Origin::VmDefaults if change.old.is_none() => notes.push("vm_defaults".to_owned()),
        Origin::BuiltIn if change.old.is_none() && change.note.is_empty() => notes.push("default".to_owned()),
        Origin::Vm | Origin::Profile(_) | Origin::VmDefaults | Origin::BuiltIn => {}
    }
    notes.join(", ")
}

/// A value; `absent` says in a word that there is none.
fn value(value: Option<&str>, absent: &str) -> String {
    match value {
        None => format!("<i>{absent}</i>"),
        Some("") => "<i>none</i>".to_owned(),
        Some(value) => format!("<code>{}</code>", text(value)),
    }
}

fn waiting(vm: &DocumentVm, out: &mut String) {
    if vm.waiting.is_empty() {
        return;
    }
    out.push_str(
        "<table class=\"waiting\"><caption>Waits since an earlier change</caption><thead><tr>\
         <th>key</th><th>current</th><th>planned</th><th>note</th></tr></thead><tbody>\n",
    );
    for waiting in &vm.waiting {
        out.push_str(&format!(
            "<tr><th>{}</th><td class=\"now\">{}</td><td>{}</td><td>{}</td></tr>\n",
            text(waiting.called()),
            value(waiting.active.as_ref().map(DocumentValue::text).as_deref(), "unset"),
            value(waiting.pending.as_ref().map(DocumentValue::text).as_deref(), "unset"),
            vm.waiting_words(),
        ));
    }
    out.push_str("</tbody></table>\n");
}
