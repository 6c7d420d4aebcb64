//! What was checked, for people: a line for each check, in groups, with a sign that needs no colour.

use super::findings::{Finding, Found, Subject, grouped};
use super::header;
use super::layout::{count, wrap};
use super::style::{Role, Style};
use super::text::{safe, safe_pretty_json};
use crate::hypervisor::About;
use crate::plan::doctor::{Area, Check, CheckState, DoctorDocument};

/// Columns before a text.
const INDENT: usize = 4;

impl Found for Check {
    fn subject(&self) -> Option<Subject<'_>> {
        self.vm.map(|vm| Subject { vm, name: self.name.as_deref() })
    }

    fn says(&self) -> [&str; 3] {
        [self.state.as_str(), self.code.as_deref().unwrap_or_default(), &self.message]
    }

    fn way_out(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// Renders the checks in `width` columns.
#[must_use]
pub fn render(document: &DoctorDocument, width: usize, style: Style) -> String {
    let target = &document.target;
    let about = About { label: target.label.clone(), simulated: target.simulated };
    let config = document.config.as_deref().unwrap_or_default();
    let mut out = header::target(target, &about, config, (width, style));
    let named = if config.is_empty() { "none: the target alone is checked".into() } else { safe(config) };
    out.push_str(&header::line("Config", &named, (width, style)));
    for area in Area::ALL {
        let checks = document.checks.iter().filter(|check| check.area == area);
        let findings = grouped(checks);
        if !findings.is_empty() {
            out.push_str(&format!("\n{}\n", style.paint(Role::Strong, area.title())));
        }
        for finding in &findings {
            line(finding, (width, style), &mut out);
        }
    }
    let hinted = document.checks.iter().any(|check| check.hint.is_some());
    if let Some(by) = document.commands_by.as_ref().filter(|_| hinted) {
        let text = format!("Commands of the node that stand without it run there: `{} COMMAND`", safe(by));
        out.push_str(&format!("\n{}\n", wrap(&text, width).join("\n")));
    }
    format!("{out}\n{}\n", wrap(&verdict(document), width).join("\n"))
}

/// Renders the checks as JSON, with a line break at the end.
#[must_use]
pub fn json(document: &DoctorDocument) -> String {
    // Plain strings and numbers: serialising them cannot fail.
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    safe_pretty_json(&text)
}

fn line(finding: &Finding<'_, Check>, (width, style): (usize, Style), out: &mut String) {
    let (sign, role) = match finding.first.state {
        CheckState::Ok => ("✓", Role::Create),
        CheckState::Warning => ("!", Role::Attention),
        CheckState::Error => ("✗", Role::Failure),
    };
    let code = finding.first.code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default();
    let mut sign = format!("  {} ", style.paint(role, sign));
    for text in wrap(&safe(&format!("{}{code}", finding.sentence())), width.saturating_sub(INDENT)) {
        out.push_str(&format!("{sign}{text}\n"));
        sign = " ".repeat(INDENT);
    }
    let hint = finding.hint.as_deref().map(|hint| format!("hint: {hint}"));
    for text in hint.iter().flat_map(|hint| wrap(&safe(hint), width.saturating_sub(INDENT))) {
        out.push_str(&format!("{}{text}\n", " ".repeat(INDENT)));
    }
}

fn verdict(document: &DoctorDocument) -> String {
    let number = |state: CheckState| document.checks.iter().filter(|check| check.state == state).count();
    let [errors, warnings] = [CheckState::Error, CheckState::Warning].map(number);
    let warned = if warnings == 0 { String::new() } else { format!(", {}", count(warnings, "warning")) };
    if errors == 0 {
        return format!("Nothing is missing: {}{warned}.", count(document.checks.len(), "check"));
    }
    let fix = if errors == 1 { "fix it" } else { "fix them" };
    format!("{}{warned}: {fix}, then run `phoenix doctor` again.", count(errors, "error"))
}
