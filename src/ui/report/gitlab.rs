//! `validate --format gitlab`: the code quality report that GitLab shows in merge requests.
//!
//! An array of findings, each with `description`, `check_name`, `fingerprint`, `severity` and `location` (GitLab's
//! manual, "Code Quality", report format).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::json::pretty;
use super::{Checked, words};
use crate::diag::Severity;
use crate::model::content_digest;
use crate::ui::text::safe;

/// Renders the report, with a line break at the end.
#[must_use]
pub fn render(checked: &[Checked]) -> String {
    let mut seen = BTreeMap::new();
    let findings = checked.iter().flat_map(Checked::placed).map(|(found, mark)| {
        let file = safe(mark.file);
        // Lines move: what is found is the same as long as it says the same. Twice the same is told apart by its turn.
        let said = [found.code, &file, &found.message].join("\n");
        let turn = seen.entry(said.clone()).and_modify(|turn| *turn += 1).or_insert(0_usize);
        let mut fingerprint = content_digest(format!("{said}\n{turn}").as_bytes());
        // As long as ever: GitLab would take every finding for a new one.
        fingerprint.truncate(16);
        json!({
            "description": words(found, "; "),
            "check_name": found.code,
            "fingerprint": fingerprint,
            "severity": match found.severity {
                Severity::Error => "critical",
                Severity::Warning => "minor",
                Severity::Notice => "info",
            },
            "location": { "path": file, "lines": { "begin": mark.region.map_or(1, |region| region.line) } },
        })
    });
    pretty(&Value::Array(findings.collect()))
}
