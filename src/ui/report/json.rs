//! `validate --format json`: one document for all files.
//!
//! ```json
//! {
//!   "format_version": 1,
//!   "valid": false,
//!   "files": [{
//!     "file": "phoenix_vm_configs.json",
//!     "valid": false,
//!     "virtual_machines": null,
//!     "diagnostics": [{
//!       "code": "P014", "severity": "error", "message": "…",
//!       "file": "phoenix_vm_configs.json", "line": 4, "column": 7, "end": { "line": 4, "column": 15 },
//!       "hint": "…", "vm": 1000,
//!       "others": [{ "line": 2, "column": 1, "end": { "line": 2, "column": 5 }, "label": "…" }]
//!     }]
//!   }]
//! }
//! ```
//!
//! Lines and columns count from 1, columns in characters; `end` is one past the last one. `line`, `column`, `end`,
//! `hint`, `vm` and `others` are left out where there is nothing to say.

use serde_json::{Value, json};

use super::{Checked, Lines, Region};
use crate::diag::Diagnostic;
use crate::ui::text::{safe, safe_json};

/// Grows when a member goes away or means something else; new members do not count.
pub const FORMAT_VERSION: u32 = 1;

/// Renders the document, with a line break at the end.
#[must_use]
pub fn render(checked: &[Checked]) -> String {
    let files: Vec<Value> = checked.iter().map(file).collect();
    let valid = checked.iter().all(Checked::is_valid);
    let document = json!({ "format_version": FORMAT_VERSION, "valid": valid, "files": files });
    pretty(&document)
}

/// JSON as people can read it, too, in which nothing steers a terminal.
pub(super) fn pretty(document: &Value) -> String {
    let lines: Vec<String> = format!("{document:#}").lines().map(|line| safe_json(line).into_owned()).collect();
    lines.join("\n") + "\n"
}

fn file(checked: &Checked) -> Value {
    let lines = checked.lines();
    let name = safe(&checked.name);
    let found: Vec<Value> = checked.diagnostics.iter().map(|found| diagnostic(found, &name, &lines)).collect();
    json!({
        "file": name,
        "valid": checked.is_valid(),
        "virtual_machines": checked.vms,
        "diagnostics": found,
    })
}

fn diagnostic(found: &Diagnostic, file: &str, lines: &Lines<'_>) -> Value {
    let mut value = json!({
        "code": found.code,
        "severity": found.severity.as_str(),
        "message": safe(&found.message),
        "file": file,
    });
    if let Some(region) = found.span.and_then(|span| lines.region(span)) {
        place(region, &mut value);
    }
    if let Some(hint) = &found.hint {
        value["hint"] = safe(hint).into();
    }
    if let Some(vm) = found.vm {
        value["vm"] = vm.get().into();
    }
    let other = |(span, label): &(_, String)| {
        let mut other = json!({});
        place(lines.region(*span)?, &mut other);
        if !label.is_empty() {
            other["label"] = safe(label).into();
        }
        Some(other)
    };
    let others: Vec<Value> = found.others.iter().filter_map(other).collect();
    if !others.is_empty() {
        value["others"] = others.into();
    }
    value
}

fn place(region: Region, value: &mut Value) {
    value["line"] = region.line.into();
    value["column"] = region.column.into();
    value["end"] = json!({ "line": region.end_line, "column": region.end_column });
}
