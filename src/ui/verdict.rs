//! The verdict in VMs: what a plan would make of them, and what a run has made of them. The same words in every face.

use super::layout::{count, number};
use super::text::safe;
use crate::event::{Results, VmReached};
use crate::model::{Outcome, RestartDue};
use crate::plan::document::{DocumentVm, PlanDocument};

/// Most names in one list.
const MOST_NAMES: usize = 5;

/// What a plan would make of its VMs, without a full stop.
#[must_use]
pub fn of_plan(plan: &PlanDocument) -> String {
    let summary = &plan.summary;
    let taken = plan.vms.iter().filter(|vm| vm.is_taken_over()).count();
    let forgotten = plan.vms.iter().filter(|vm| vm.is_forgotten()).count();
    let asides = [
        (taken, "taken over"),
        (forgotten, "forgotten"),
        (summary.restarts_now, if summary.restarts_now == 1 { "restarts now" } else { "restart now" }),
    ];
    let asides: Vec<String> =
        asides.iter().filter(|(n, _)| *n > 0).map(|(n, words)| format!("{} {words}", number(*n))).collect();
    let aside = if asides.is_empty() { String::new() } else { format!(" ({})", asides.join(", ")) };
    let blocked = if summary.blocked == 0 { String::new() } else { format!(", {} blocked", number(summary.blocked)) };
    let anew =
        if summary.recreate == 0 { String::new() } else { format!(" {} to recreate,", number(summary.recreate)) };
    format!(
        "{} to create, {} to update{aside},{anew} {} to destroy, {} unchanged{blocked}{}",
        number(summary.create),
        number(summary.update),
        number(summary.destroy),
        number(summary.no_op),
        waiting(summary.waits_for_restart),
    )
}

/// `; 1 waits for a restart`, or nothing.
fn waiting(vms: usize) -> String {
    match vms {
        0 => String::new(),
        1 => "; 1 waits for a restart".to_owned(),
        n => format!("; {} wait for a restart", number(n)),
    }
}

/// The question before a plan is carried out: the verdict once more, with the names of those that are disturbed.
#[must_use]
pub fn question(plan: &PlanDocument) -> String {
    let summary = &plan.summary;
    let named = |words: &str, is: &dyn Fn(&DocumentVm) -> bool| {
        let vms: Vec<_> = plan.vms.iter().filter(|vm| !vm.blocked && is(vm)).collect();
        let mut names: Vec<String> = vms.iter().take(MOST_NAMES).map(|vm| called(vm)).collect();
        if vms.len() > MOST_NAMES {
            names.push(format!("{} more", number(vms.len() - MOST_NAMES)));
        }
        (!names.is_empty()).then(|| format!("{words}: {}", names.join(", ")))
    };
    let updated = [
        named("taken over", &DocumentVm::is_taken_over),
        named("forgotten", &DocumentVm::is_forgotten),
        named("restarts now", &|vm| vm.restart == RestartDue::Now),
        named("stops", &|vm| vm.outcome == Outcome::Update && vm.disruption == crate::model::Disruption::Stop),
    ];
    let updated: Vec<String> = updated.into_iter().flatten().collect();
    let updated = if updated.is_empty() { String::new() } else { format!(" ({})", updated.join("; ")) };
    let all = |outcome: Outcome| {
        let vms = named("", &|vm| vm.outcome == outcome).map(|names| names.replacen(": ", "", 1));
        vms.map(|vms| format!(" ({vms})")).unwrap_or_default()
    };
    let parts = [
        (summary.create, "new", String::new()),
        (summary.update, "updated", updated),
        (summary.recreate, "destroyed and made anew", all(Outcome::Recreate)),
        (summary.destroy, "destroyed", all(Outcome::Destroy)),
    ];
    let mut parts: Vec<String> = parts
        .into_iter()
        .filter(|(n, ..)| *n > 0)
        .map(|(n, word, more)| format!("{} {word}{more}", number(n)))
        .collect();
    let waits = waiting(summary.waits_for_restart);
    if !waits.is_empty() {
        parts.push(waits.trim_start_matches("; ").to_owned());
    }
    format!("{}. Apply this plan?", parts.join(", "))
}

fn called(vm: &DocumentVm) -> String {
    if vm.name.is_empty() { vm.vm.to_string() } else { safe(&vm.name).into_owned() }
}

/// What a run has made of its VMs, without a full stop: `3 VMs: 1 created, 2 unchanged; 1 waits for a restart`.
#[must_use]
pub fn of_run(results: &Results) -> String {
    let Results {
        planned,
        created,
        recreated,
        updated,
        taken_over,
        forgotten,
        destroyed,
        unchanged,
        failed,
        stale,
        blocked,
        skipped,
        interrupted,
        waits_for_restart,
    } = *results;
    let parts = [
        (failed, "failed"),
        (stale, "changed since the plan and left alone"),
        (blocked, "left alone: their node is not online"),
        (skipped, "skipped because another VM failed"),
        (interrupted, "not finished"),
        (destroyed, "destroyed"),
        (recreated, "recreated"),
        (created, "created"),
        (updated, "updated"),
        (taken_over, "taken over"),
        (forgotten, "forgotten"),
        (unchanged, "unchanged"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, words)| format!("{} {words}", number(*n))).collect();
    let parts = if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") };
    format!("{}: {parts}{}", count(planned, "VM"), waiting(waits_for_restart))
}

/// How a VM is reached after a run: `1000 web: 10.0.0.5 (BC:24:11:00:00:01, node pve)`; and what it is ready for, where
/// its guest was not waited for.
#[must_use]
pub fn reached(vm: &VmReached) -> String {
    let ips: Vec<String> = vm.addresses.iter().map(ToString::to_string).collect();
    let at = if ips.is_empty() { "no address known".to_owned() } else { ips.join(", ") };
    let mac = vm.mac.as_deref().map(|mac| format!("{mac}, ")).unwrap_or_default();
    let ready = vm.ready.as_deref().map(|ready| format!("; {}", of_ready(ready))).unwrap_or_default();
    format!("{} {}: {at} ({mac}node {}){ready}", vm.vm, vm.name, vm.node)
}

/// What was waited for of a guest that is called ready by less than the end of its cloud-init, in words.
#[must_use]
pub fn of_ready(ready: &str) -> String {
    match ready {
        "running" => "ready: running, its guest is not asked".to_owned(),
        other => format!("ready: {other}, cloud-init is not waited for"),
    }
}

/// How many actions came to what: `7 create, 3 update, 9 no-op`.
#[must_use]
pub fn of_actions(summary: &crate::event::Summary) -> String {
    let counts = [
        (summary.created, "create"),
        (summary.updated, "update"),
        (summary.destroyed, "destroy"),
        (summary.unchanged, "no-op"),
        (summary.failed.len(), "failed"),
        (summary.skipped.len(), "skipped"),
        (summary.not_started.len(), "not started"),
        (summary.left_running.len(), "left running"),
    ];
    // Those three are always said: a zero tells something.
    let counts = counts.iter().filter(|(n, word)| *n > 0 || ["create", "update", "no-op"].contains(word));
    counts.map(|(n, word)| format!("{} {word}", number(*n))).collect::<Vec<_>>().join(", ")
}
