//! `plan --format github` and `--format sarif`: what a reviewer has to see, at the lines it comes from.

use serde_json::json;

use super::annotations::{Annotations, inert};
use super::{Places, sarif};
use crate::diag::Severity;
use crate::model::Disruption;
use crate::plan::codes;
use crate::plan::document::{DocumentValue, DocumentVm, PlanDocument};
use crate::ui::text::safe;
use crate::ui::verdict;

/// Something a reviewer has to see.
struct Finding<'p> {
    severity: Severity,
    /// Code of the problem, or the stable name of the disruption.
    rule: &'p str,
    /// A headline; a problem has none but its code.
    title: Option<String>,
    /// One line or more, of values that are [`safe`].
    text: String,
    vm: Option<u32>,
    /// The keys it comes from.
    keys: Vec<&'p str>,
}

/// Annotations for every problem and every VM that a change disrupts.
#[must_use]
pub fn github(plan: &PlanDocument, places: &Places) -> String {
    let mut annotations = Annotations::default();
    for Finding { severity, rule, title, text, vm, keys } in findings(plan) {
        annotations.push(severity, &places.mark(vm, keys), title.as_deref().unwrap_or(rule), &text);
    }
    let line = format!("plan {}: {}", plan.hash, verdict::of_plan(plan));
    annotations.render() + &inert(&line)
}

/// The same as SARIF 2.1.0: a result for every problem and every VM that a change disrupts.
#[must_use]
pub fn sarif(plan: &PlanDocument, places: &Places) -> String {
    let findings = findings(plan);
    let known = codes::ALL.iter().copied().chain(DISRUPTIONS.map(|(_, id, meaning)| (id, meaning)));
    let told = known.filter(|(id, _)| findings.iter().any(|finding| finding.rule == *id));
    let rules: Vec<_> =
        told.map(|(id, meaning)| json!({ "id": id, "shortDescription": { "text": meaning } })).collect();
    let result = |Finding { severity, rule, title, text, vm, keys }: Finding<'_>| {
        let text = title.map(|title| format!("{title}\n")).unwrap_or_default() + &text;
        let mut result = sarif::result(rule, severity, text.trim_end(), &places.mark(vm, keys));
        if let Some(vm) = vm {
            result["properties"] = json!({ "vm": vm });
        }
        result
    };
    sarif::document(&rules, findings.into_iter().map(result).collect())
}

/// Disruptions that a reviewer has to see, with the stable names of their rules.
const DISRUPTIONS: [(Disruption, &str, &str); 4] = [
    (Disruption::Network, "disruption-network", "a change interrupts the network of a running VM"),
    (Disruption::Restart, "disruption-restart", "a change needs a restart of a VM"),
    (Disruption::Stop, "disruption-stop", "a change stops a VM"),
    (Disruption::Destroy, "disruption-destroy", "a VM is destroyed, with its disks"),
];

fn findings(plan: &PlanDocument) -> Vec<Finding<'_>> {
    let problems = plan.problems.iter().map(|problem| {
        let severity = match problem.severity.as_str() {
            "error" => Severity::Error,
            "warning" => Severity::Warning,
            _ => Severity::Notice,
        };
        let hint = problem.hint.as_ref().map(|hint| format!("\nhint: {}", safe(hint))).unwrap_or_default();
        let keys = problem.keys.iter().map(String::as_str).collect();
        let text = format!("{}{hint}", safe(&problem.message));
        Finding { severity, rule: &problem.code, title: None, text, vm: problem.vm, keys }
    });
    let disrupted = plan.vms.iter().filter(|vm| vm.outcome.acts() && !vm.blocked).filter_map(|vm| {
        let (_, rule, _) = DISRUPTIONS.iter().find(|(disruption, ..)| *disruption == vm.disruption)?;
        let keys = vm.changes.iter().filter(|change| change.disruption > Disruption::Live);
        Some(Finding {
            severity: Severity::Warning,
            rule,
            title: Some(format!("{} {}: {}, {}", vm.vm, safe(&vm.name), vm.outcome_words(), vm.cost_words())),
            text: disruptive(vm),
            vm: Some(vm.vm),
            keys: keys.map(|change| &*change.key).collect(),
        })
    });
    problems.chain(disrupted).collect()
}

/// The changes of a VM that cost it something, one per line.
fn disruptive(vm: &DocumentVm) -> String {
    let changes = vm.changes.iter().filter(|change| change.disruption > Disruption::Live).map(|change| {
        let unset = || crate::plan::unset(&change.key).unwrap_or_else(|| "(none)".to_owned());
        let shown = |value: &DocumentValue| match value.text() {
            none if none.is_empty() => unset(),
            text => safe(&text).into_owned(),
        };
        let old = change.old.as_ref().map(|old| format!("{} → ", shown(old))).unwrap_or_default();
        let note = match change.remark() {
            none if none.is_empty() => none,
            remark => format!(" ({})", safe(&remark)),
        };
        format!("{}: {old}{}{note}", safe(&change.key), shown(&change.new))
    });
    let waiting = vm.waiting.iter().map(|waiting| format!("{} {}", safe(waiting.called()), vm.waiting_words()));
    let erased = vm.erases.iter().map(|what| format!("erases {}", safe(what)));
    changes.chain(waiting).chain(erased).collect::<Vec<_>>().join("\n")
}
