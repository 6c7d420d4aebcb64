//! What is wrong, or good to know.

use std::collections::BTreeSet;

use super::escape::{prose, text};
use crate::diag::MOST_NAMED;
use crate::plan::document::DocumentProblem;
use crate::ui::findings::{Subject, grouped};
use crate::ui::layout::count;

/// From this many on, what is no error is folded.
const MOST_SHOWN: usize = 10;

/// The problems, errors first. The VMs that are `known` have a block on the page.
pub(super) fn problems(all: &[DocumentProblem], known: &BTreeSet<u32>) -> String {
    let (errors, others): (Vec<_>, Vec<_>) = all.iter().partition(|problem| problem.severity == "error");
    let mut out = String::new();
    if !errors.is_empty() {
        out.push_str(&format!("<section class=\"problems\"><h2>{}</h2>\n", count(errors.len(), "error")));
        out.push_str(&format!("{}</section>\n", list(&errors, known)));
    }
    if !others.is_empty() {
        let open = if others.len() > MOST_SHOWN { "" } else { " open=\"\"" };
        out.push_str(&format!(
            "<details class=\"problems\"{open}><summary>Warnings and notices <small>{}</small></summary>\n",
            others.len()
        ));
        out.push_str(&format!("{}</details>\n", list(&others, known)));
    }
    out
}

fn list(problems: &[&DocumentProblem], known: &BTreeSet<u32>) -> String {
    let mut out = String::from("<ul>\n");
    for finding in grouped(problems.iter().copied()) {
        let problem = finding.first;
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
        let all = finding.all.len();
        let vms: Vec<String> = finding.subjects().take(MOST_NAMED).map(|vm| link(&vm, all == 1, known)).collect();
        let vms = match &vms[..] {
            [] => String::new(),
            [one] => format!(" {one}:"),
            named => {
                let more = if named.len() == all { String::new() } else { format!(" and {} more", all - named.len()) };
                format!(" {all} VMs: {}{more}:", named.join(", "))
            }
        };
        let hint = finding.hint.as_deref().map(|hint| format!("<p class=\"hint\">hint: {}</p>", prose(hint)));
        out.push_str(&format!(
            "<li class=\"{class}\"><b>{sign} {}</b> <code>{}</code>{vms} {}{}</li>\n",
            text(&problem.severity),
            text(&problem.code),
            prose(problem.bare()),
            hint.unwrap_or_default(),
        ));
    }
    out.push_str("</ul>\n");
    out
}

/// A VM, which leads to its block where the page has one.
fn link(subject: &Subject<'_>, is_one: bool, known: &BTreeSet<u32>) -> String {
    let Subject { vm, name } = *subject;
    let name = name.filter(|name| !name.is_empty());
    let name =
        name.map(|name| if is_one { format!(" <code>{}</code>", text(name)) } else { format!(" {}", text(name)) });
    let name = name.unwrap_or_default();
    let word = if is_one { "VM " } else { "" };
    if known.contains(&vm) { format!("<a href=\"#vm{vm}\">{word}{vm}</a>{name}") } else { format!("{word}{vm}{name}") }
}
