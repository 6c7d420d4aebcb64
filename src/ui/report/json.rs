//! `validate --format json`: one document for all files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Checked, Lines, Mark, Region};
use crate::diag::Diagnostic;
use crate::ui::text::{safe, safe_pretty_json};

/// Grows when a member goes away or means something else; new members do not count.
pub const FORMAT_VERSION: u32 = 1;

/// What `phoenix validate` found in config files and their scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidateDocument {
    /// Version of this document's shape.
    pub format_version: u32,
    /// Whether no file has an error.
    pub valid: bool,
    /// The files, as they were asked for; behind each config those of its scripts of which something is to be said.
    pub files: Vec<ValidateFile>,
}

/// What was found in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidateFile {
    /// The file as it was named.
    pub file: String,
    /// Whether it has no error.
    pub valid: bool,
    /// How many VMs it declares; null when it is not valid, and for a script.
    pub virtual_machines: Option<usize>,
    /// What is to be said about it.
    pub diagnostics: Vec<ValidateDiagnostic>,
}

/// One problem of a file. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidateDiagnostic {
    /// Stable code, e.g. `P014`.
    pub code: String,
    /// `error`, `warning` or `notice`.
    pub severity: String,
    /// What is wrong, in one line.
    pub message: String,
    /// The file as it was named; of a directory, the one in which it is.
    pub file: String,
    /// Where; left out when it is about the file as a whole.
    #[serde(flatten)]
    pub place: Option<ValidatePlace>,
    /// The way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// VMID of the VM concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<u32>,
    /// Other places that explain it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<ValidateOther>,
    /// It stands for so many problems of this code that are not listed: of each code, 100 of a config are,
    /// and 10 of a script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<usize>,
}

/// A stretch of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidatePlace {
    /// Line of its first character.
    pub line: usize,
    /// Column of its first character.
    pub column: usize,
    /// One past its last character.
    pub end: ValidateEnd,
}

/// One past the last character of a stretch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidateEnd {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// Another place of the same config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidateOther {
    /// The file, where it is another one than that of the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Where.
    #[serde(flatten)]
    pub place: ValidatePlace,
    /// What is there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
}

/// Renders the document, with a line break at the end.
#[must_use]
pub fn render(checked: &[Checked]) -> String {
    let document = ValidateDocument {
        format_version: FORMAT_VERSION,
        valid: checked.iter().all(Checked::is_valid),
        files: checked.iter().map(file).collect(),
    };
    // Plain strings and numbers: serialising them cannot fail.
    pretty(&serde_json::to_value(document).unwrap_or_default())
}

/// The JSON schema of the document: draft-07, pretty, with a line break at the end.
#[must_use]
pub fn schema() -> String {
    crate::plan::document::schema_of::<ValidateDocument>()
}

/// JSON as people can read it, too, in which nothing steers a terminal.
pub(super) fn pretty(document: &Value) -> String {
    safe_pretty_json(&format!("{document:#}"))
}

fn file(checked: &Checked) -> ValidateFile {
    let lines = checked.lines();
    let diagnostics = checked.placed().into_iter().map(|(found, at)| diagnostic(found, &at, &lines)).collect();
    let file = safe(&checked.name).into_owned();
    ValidateFile { file, valid: checked.is_valid(), virtual_machines: checked.vms, diagnostics }
}

fn diagnostic(found: &Diagnostic, at: &Mark<'_>, lines: &Lines<'_>) -> ValidateDiagnostic {
    let place = |region: Region| ValidatePlace {
        line: region.line,
        column: region.column,
        end: ValidateEnd { line: region.end_line, column: region.end_column },
    };
    let other = |(span, label): &(_, String)| {
        let mark = lines.mark(*span)?;
        let file = (mark.file != at.file).then(|| safe(mark.file).into_owned());
        Some(ValidateOther { file, place: place(mark.region?), label: safe(label).into_owned() })
    };
    ValidateDiagnostic {
        code: found.code.to_owned(),
        severity: found.severity.as_str().to_owned(),
        message: safe(&found.message).into_owned(),
        file: safe(at.file).into_owned(),
        place: at.region.map(place),
        hint: found.hint.as_ref().map(|hint| safe(hint).into_owned()),
        vm: found.vm.map(crate::model::VmId::get),
        others: found.others.iter().filter_map(other).collect(),
        omitted: Some(found.omitted).filter(|omitted| *omitted > 0),
    }
}
