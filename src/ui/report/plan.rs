//! `plan --format github`: what a reviewer has to see, at the lines it comes from.

use super::Places;
use super::annotations::{Annotations, inert};
use crate::diag::Severity;
use crate::model::Disruption;
use crate::plan::document::{DocumentVm, PlanDocument};
use crate::ui::text::safe;

/// Annotations for every problem and every VM that a change disrupts.
#[must_use]
pub fn github(plan: &PlanDocument, places: &Places) -> String {
    let mut annotations = Annotations::default();
    for problem in &plan.problems {
        let severity = match problem.severity.as_str() {
            "error" => Severity::Error,
            "warning" => Severity::Warning,
            _ => Severity::Notice,
        };
        let vm = problem.vm.map(|vm| format!("{vm}: ")).unwrap_or_default();
        let hint = problem.hint.as_ref().map(|hint| format!("\nhint: {}", safe(hint))).unwrap_or_default();
        let text = format!("{vm}{}{hint}", safe(&problem.message));
        annotations.push(severity, &places.mark(problem.vm, []), &problem.code, &text);
    }
    for vm in plan.vms.iter().filter(|vm| vm.disruption > Disruption::Live && vm.outcome.acts() && !vm.blocked) {
        let keys = vm.changes.iter().filter(|change| change.disruption > Disruption::Live);
        let mark = places.mark(Some(vm.vm), keys.map(|change| change.key.as_str()));
        let title = format!("{} {}: {}, {}", vm.vm, vm.name, vm.outcome, vm.disruption.as_str());
        annotations.push(Severity::Warning, &mark, &title, &disruptive(vm));
    }
    let summary = &plan.summary;
    let line = format!(
        "plan {}: {} to create, {} to update, {} to destroy, {} unchanged, {} blocked",
        plan.hash, summary.create, summary.update, summary.destroy, summary.no_op, summary.blocked
    );
    annotations.render() + &inert(&line)
}

/// The changes of a VM that cost it something, one per line.
fn disruptive(vm: &DocumentVm) -> String {
    let changes = vm.changes.iter().filter(|change| change.disruption > Disruption::Live).map(|change| {
        let old = change.old.as_deref().map(|old| format!("{} → ", safe(old))).unwrap_or_default();
        let note = if change.note.is_empty() { String::new() } else { format!(" ({})", safe(&change.note)) };
        format!("{}: {old}{}{note}", change.key, safe(&change.new))
    });
    let waiting = vm.waiting.iter().map(|waiting| format!("{} waits for a restart", safe(&waiting.option)));
    let erased = vm.erases.iter().map(|what| format!("erases {}", safe(what)));
    changes.chain(waiting).chain(erased).collect::<Vec<_>>().join("\n")
}
