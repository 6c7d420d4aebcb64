//! `--format sarif`: SARIF 2.1.0, for code scanning.

use serde_json::{Value, json};

use super::json::pretty;
use super::{Checked, Mark, words};
use crate::config::codes;
use crate::diag::{Diagnostic, Severity};
use crate::ui::text::safe;

/// Renders one run over all files, with a line break at the end.
#[must_use]
pub fn render(checked: &[Checked]) -> String {
    let rule = |code: &codes::Code| {
        json!({
            "id": code.code,
            "shortDescription": { "text": code.meaning },
            "defaultConfiguration": { "level": level(code.severity) },
        })
    };
    let rules: Vec<Value> = codes::ALL.iter().map(rule).collect();
    document(&rules, checked.iter().flat_map(results).collect())
}

/// One run with its rules, with a line break at the end. Each result is told which of the rules it is of.
pub(super) fn document(rules: &[Value], mut results: Vec<Value>) -> String {
    for result in &mut results {
        if let Some(at) = rules.iter().position(|rule| rule["id"] == result["ruleId"]) {
            result["ruleIndex"] = at.into();
        }
    }
    pretty(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "phoenix", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

/// A result of a rule at a place. The text may have several lines, of values that are [`safe`] already.
pub(super) fn result(rule: &str, severity: Severity, text: &str, at: &Mark<'_>) -> Value {
    json!({
        "ruleId": rule,
        "level": level(severity),
        "message": { "text": message(text) },
        "locations": [{ "physicalLocation": physical(at) }],
    })
}

fn physical(at: &Mark<'_>) -> Value {
    let mut physical = json!({ "artifactLocation": { "uri": uri(at.file) } });
    if let Some(at) = at.region {
        physical["region"] = json!({
            "startLine": at.line,
            "startColumn": at.column,
            "endLine": at.end_line,
            "endColumn": at.end_column,
        });
    }
    physical
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Notice => "note",
    }
}

fn results(file: &Checked) -> Vec<Value> {
    let lines = file.lines();
    let one = |(found, mark): (&Diagnostic, Mark<'_>)| {
        let mut result = result(found.code, found.severity, &words(found, "\n"), &mark);
        let other = |(span, label): &(_, String)| {
            let mut location = json!({ "physicalLocation": physical(&lines.mark(*span)?) });
            if !label.is_empty() {
                location["message"] = json!({ "text": message(&safe(label)) });
            }
            Some(location)
        };
        let others: Vec<Value> = found.others.iter().filter_map(other).collect();
        if !others.is_empty() {
            result["relatedLocations"] = others.into();
        }
        if let Some(vm) = found.vm {
            result["properties"] = json!({ "vm": vm.get() });
        }
        result
    };
    file.placed().into_iter().map(one).collect()
}

/// A message in which nothing is a link: SARIF makes links of `[text](target)`, and takes a backslash as the escape.
fn message(text: &str) -> String {
    if !text.contains("](") {
        return text.to_owned();
    }
    text.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]")
}

/// A path as a URI reference. Absolute paths become `file://` URIs, so that no part of them is taken for a host.
fn uri(path: &str) -> String {
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
