//! What is wrong, or good to know.

use std::collections::BTreeSet;

use super::escape::{prose, text};
use crate::plan::document::{DocumentProblem, PlanDocument};
use crate::ui::layout::count;

/// From this many on, what is no error is folded.
const MOST_SHOWN: usize = 10;

/// The problems, errors first.
pub(super) fn problems(plan: &PlanDocument) -> String {
    let known: BTreeSet<u32> = plan.vms.iter().map(|vm| vm.vm).collect();
    let (errors, others): (Vec<_>, Vec<_>) = plan.problems.iter().partition(|problem| problem.severity == "error");
    let mut out = String::new();
    if !errors.is_empty() {
        out.push_str(&format!("<section class=\"problems\"><h2>{}</h2>\n", count(errors.len(), "error")));
        out.push_str(&format!("{}</section>\n", list(&errors, &known)));
    }
    if !others.is_empty() {
        let open = if others.len() > MOST_SHOWN { "" } else { " open=\"\"" };
        out.push_str(&format!(
            "<details class=\"problems\"{open}><summary>Good to know <small>{}</small></summary>\n",
            others.len()
        ));
        out.push_str(&format!("{}</details>\n", list(&others, &known)));
    }
    out
}

fn list(problems: &[&DocumentProblem], known: &BTreeSet<u32>) -> String {
    let mut out = String::from("<ul>\n");
    for problem in problems {
        let sign = match problem.severity.as_str() {
            "error" => "✗",
            "warning" => "!",
            _ => "i",
        };
        let class = match problem.severity.as_str() {
            "error" => "error",
            "warning" => "warning",
            _ => "notice",
        };
        let vm = problem.vm.map_or_else(String::new, |vm| {
            if known.contains(&vm) { format!(" <a href=\"#vm{vm}\">VM {vm}</a>") } else { format!(" VM {vm}") }
        });
        let hint = problem.hint.as_ref().map(|hint| format!("<p class=\"hint\">hint: {}</p>", prose(hint)));
        out.push_str(&format!(
            "<li class=\"{class}\"><b>{sign} {}</b>{vm} <code>{}</code> {}{}</li>\n",
            text(&problem.severity),
            text(&problem.code),
            prose(&problem.message),
            hint.unwrap_or_default(),
        ));
    }
    out.push_str("</ul>\n");
    out
}
