//! The config: text in, desired state and diagnostics out. Pure; the caller reads the files.
//!
//! A valid file takes the short way: one typed parse, one run of the compiled schema, one pass of the checks, and no
//! thought about places. Only when something is to be said, the file is parsed again into a tree with positions, and
//! everything wrong with it is told at once.
//!
//! - [`input`]: bytes to text. `comments`: what a `.jsonc` file has beyond JSON. [`syntax`]: text to tree. `several`:
//!   the files of a directory as one tree. [`schema`]: the schema and its validator.
//! - `raw`: the file, one field per key. `values`: the same in words of the model. `lower`, `inherited`: profiles and
//!   defaults merged. `defaults`: what holds where the file says nothing. `limits`: how much of everything there may
//!   be.
//! - `owner`: who says what of a VM: itself, its profiles, the defaults.
//! - [`fmt`]: how a config is laid out.
//! - `check`, `cloud_data`, `data_text`, `cloud_config`, `cloud_init`, `secrets`, `images`, `profiles`, `volumes`,
//!   `features`, `lexis`: the rules that a schema cannot say.
//! - `violations`, `types`, `units`: what the schema refuses, in words, and what was probably meant.
//! - `keys`, `vocabulary`: keys that are not known, and what other tools call ours.
//! - [`scripts`]: what shells and shellcheck say of the scripts.
//! - [`codes`]: every kind of problem. [`spans`]: lines and columns.

mod addresses;
mod attached;
pub mod builtin;
mod cdrom;
mod check;
mod cloud_config;
mod cloud_data;
mod cloud_init;
pub mod codes;
mod comments;
pub mod convert;
mod data_text;
mod defaults;
mod dependencies;
mod disks;
pub mod edit;
mod features;
mod filesystems;
mod fitting;
pub mod fmt;
mod ha;
mod images;
mod imports;
mod inherited;
pub mod input;
mod keys;
pub(crate) mod lexis;
mod limits;
mod lower;
mod names;
mod networks;
mod nulls;
mod owner;
mod pick;
mod places;
mod plain;
mod pools;
mod problem;
mod profiles;
mod proxmox;
pub(crate) mod raw;
mod ready;
pub mod reference;
mod rule;
mod run_commands;
pub mod schema;
pub mod scripts;
mod secrets;
mod several;
mod slots;
mod source;
pub mod spans;
pub mod syntax;
mod templates;
mod tree;
mod types;
mod units;
mod values;
mod violations;
mod vocabulary;
mod volumes;

pub use input::{MAX_BYTES, MAX_FILES, Unread, decode, unread};
pub use limits::{
    MAX_DATA_BYTES, MAX_DESCRIPTION, MAX_ENTRIES, MAX_ITEMS, MAX_SCRIPT_BYTES, MAX_SECRET_BYTES, MAX_VMS,
};
pub use places::{Places, places};
pub use problem::MOST_OF_A_KIND;
pub use source::{BadData, BadScript, BadSecret, Beside, FeatureFiles, Part, SecretRead, Source};

use check::Texts;
use jsonc_parser::ast::Value;
use problem::{Problems, listed};
use raw::Raw;
use scripts::ScriptText;
use source::{FeaturesAlone, Once};
use spans::LineIndex;

use crate::diag::Diagnostic;
use crate::model::Desired;

/// What a config turned out to be.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it wants; present exactly when no diagnostic is an error.
    pub desired: Option<Desired>,
    /// What is to be said about it, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// Its scripts as far as they could be read, also those of a config with errors.
    pub scripts: Vec<ScriptText>,
}

/// Reads a config beside which there are feature scripts and no other files, as [`load_with`] does.
pub fn load(source: &Source, read_features: &mut dyn FnMut(&str) -> FeatureFiles) -> Loaded {
    load_with(source, &mut FeaturesAlone(read_features))
}

/// Reads a config. `beside` gets the scripts directory as written (or its default) and is asked for it, and for each
/// file that the config names, at most once, and not at all if the text is too broken to say which they are.
pub fn load_with(source: &Source, beside: &mut dyn Beside) -> Loaded {
    if let Some(problem) = syntax::too_big(source.stretches().map(|(_, range)| &source.text[range])) {
        return Loaded { desired: None, diagnostics: vec![problem], scripts: Vec::new() };
    }
    let json = source.json();
    let mut once = Once::new(beside);
    // Of several files, only the tree is the whole.
    if source.files.is_empty()
        && let Some(raw) = valid(&json)
    {
        let mut problems = Problems::default();
        let texts = check::all(&raw, &mut once, &mut problems);
        if problems.is_empty() {
            let scripts = scripts::of(&texts.scripts, &texts.data);
            return Loaded { desired: Some(lower::lower(raw, texts)), diagnostics: Vec::new(), scripts };
        }
    }
    explain(source, &json, &mut once)
}

/// Parses a file that fits the schema; `None` for every other.
fn valid(text: &str) -> Option<Raw> {
    // The value first, and away before the types are made: neither is small.
    let fits = schema::validator()?.is_valid(&serde_json::from_str(text).ok()?);
    if fits { serde_json::from_str(text).ok() } else { None }
}

/// Goes the long way: finds everything that is to be said, and where.
fn explain(source: &Source, text: &str, once: &mut Once<'_>) -> Loaded {
    let syntax::Parsed { mut root, told } = several::parse(source, text);
    let (mut diagnostics, mut numbers) = told.into_parts();
    let mut desired = None;
    let mut scripts = Vec::new();
    if let Some(root) = &mut root {
        let mut problems = Problems::default();
        keys::rename(root, &mut problems);
        if let Some((raw, texts)) = judge(text, root, once, &mut problems) {
            scripts = scripts::of(&texts.scripts, &texts.data);
            desired = Some(lower::lower(raw, texts));
        }
        let lines = LineIndex::new(text);
        let line = |at| match (source.place(&lines, at).0, source.file(at).1) {
            (line, _) if source.files.is_empty() => format!("line {line}"),
            (line, file) => format!("line {line} of {}", problem::shown(file)),
        };
        let (problems, more) = problems.into_parts();
        numbers.extend(more);
        diagnostics.extend(problems.into_iter().map(|problem| problem.placed(root, &line)));
    }
    let diagnostics = listed(diagnostics, &numbers);
    if diagnostics.iter().any(Diagnostic::is_error) {
        desired = None;
    }
    Loaded { desired, diagnostics, scripts }
}

/// Applies the schema, takes away what does not fit it, and applies every other check to the rest.
fn judge(text: &str, root: &Value<'_>, once: &mut Once<'_>, problems: &mut Problems) -> Option<(Raw, Texts)> {
    let mut value = tree::to_value(root, problems);
    let violations = violations::find(text, root, &mut value, problems);
    let raw = serde_json::from_value::<Raw>(value).ok();
    let texts = raw.as_ref().map(|raw| check::all(raw, once, problems));
    // A rule of this program says more about a value than the schema does.
    for violation in violations {
        if !problems.is_said(&violation.at) {
            problems.push(violation);
        }
    }
    debug_assert!(raw.is_some() || !problems.is_empty());
    Some((raw?, texts?))
}
