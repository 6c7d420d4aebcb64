//! The scripts of a config, and what shells and shellcheck say of them. Pure: the caller runs the programs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::cloud_data::DataFiles;
use super::problem::shown;
use super::spans::LineIndex;
use super::{builtin, codes};
use crate::diag::{Diagnostic, Span};
use crate::model::Scripts;

/// Most of what shellcheck finds in one script that is listed; the others are counted.
pub const MOST_LINTS: usize = 10;

/// Most characters of another program's message that are repeated.
const MOST_REPEATED: usize = 200;

/// A program that scripts are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// The shell of POSIX.
    Sh,
}

impl Shell {
    /// What the program is called.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Sh => "sh",
        }
    }
}

/// A script that a config names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptText {
    /// The file: of a feature below the directory of the config or in the one that the operator names, of data below
    /// the directory of the config.
    pub path: String,
    /// Its content.
    pub text: Arc<str>,
    /// It is a feature's, or what features share, and no user data or vendor data.
    pub is_feature: bool,
}

impl ScriptText {
    /// The shell that runs it: bash runs every feature, and cloud-init does as the first line says. `None`: it is for
    /// no shell.
    #[must_use]
    pub fn run_by(&self) -> Option<Shell> {
        if self.is_feature { Some(Shell::Bash) } else { self.named() }
    }

    /// The shell that its first line names.
    #[must_use]
    pub fn named(&self) -> Option<Shell> {
        match self.interpreter()? {
            "bash" => Some(Shell::Bash),
            "sh" | "dash" | "ash" => Some(Shell::Sh),
            _ => None,
        }
    }

    /// The name of the program that its first line names, without directories.
    fn interpreter(&self) -> Option<&str> {
        let mut words = self.text.lines().next()?.strip_prefix("#!")?.split_whitespace();
        let program = last(words.next()?);
        if program != "env" {
            return Some(program);
        }
        words.find(|word| !word.starts_with('-') && !word.contains('=')).map(last)
    }

    /// What is wrong with a script that a shell refuses, of its standard error and the file as people find it.
    #[must_use]
    pub fn refused(&self, shell: Shell, complaint: &str, file: &str) -> Diagnostic {
        let program = shell.program();
        let (line, what) = first_complaint(complaint);
        let what = repeated(what);
        let opened = ["end of file", "EOF"].iter().any(|end| what.contains(end));
        let found = if self.run_by() == Some(shell) {
            codes::SCRIPT_SYNTAX.diagnostic(format!("{program} cannot read the script: {what}"))
        } else {
            codes::SCRIPT_LINT
                .diagnostic(format!("{program}, which the first line names, cannot read the script: {what}"))
        };
        let hint = match self.interpreter() {
            Some(other) if self.is_feature && other != "bash" => {
                format!("bash runs every feature script, although the first line names {}", shown(other))
            }
            _ if self.text.contains("\r\n") => {
                format!("its lines end in CR LF, as on Windows: {program} needs LF alone")
            }
            _ if opened => "an `if`, a loop, a brace, a bracket or a quote is opened above and not closed".to_owned(),
            _ => format!("correct the script; `{program} -n {file}` checks it again"),
        };
        found.at(line.map(|line| self.line(line)), "").hint(hint)
    }

    /// What shellcheck found, of its standard output in the format `json1`: errors and warnings. `None`: it is no such
    /// output.
    #[must_use]
    pub fn lints(&self, output: &[u8]) -> Option<Vec<Diagnostic>> {
        let found: Found = serde_json::from_slice(output).ok()?;
        let serious = |comment: &&Comment| matches!(comment.level.as_str(), "error" | "warning");
        let mut serious: Vec<&Comment> = found.comments.iter().filter(serious).collect();
        serious.sort_by_key(|comment| (comment.line, comment.column, comment.code));
        let more = serious.len().saturating_sub(MOST_LINTS);
        let one = |comment: &&Comment| {
            let end = (comment.end_line == comment.line).then_some(comment.end_column);
            codes::SCRIPT_LINT
                .diagnostic(format!("shellcheck SC{}: {}", comment.code, repeated(&comment.message)))
                .at(Some(self.stretch(comment.line, comment.column, end)), "")
                .hint(format!("https://www.shellcheck.net/wiki/SC{} says why", comment.code))
        };
        let mut lints: Vec<Diagnostic> = serious.iter().take(MOST_LINTS).map(one).collect();
        if more > 0 {
            let what = if more == 1 { "finding" } else { "findings" };
            let message = format!("{more} more {what} of shellcheck in this script are not listed");
            lints.push(Diagnostic { omitted: more, ..codes::SCRIPT_LINT.diagnostic(message) });
        }
        Some(lints)
    }

    /// What stands in a line, without the white space around it; in the last one, if there is no such line.
    fn line(&self, line: usize) -> Span {
        let lines = LineIndex::new(&self.text);
        let last = lines.line(self.text.trim_end().len());
        let whole = lines.bytes_of(&self.text, line.clamp(1, last));
        let text = &self.text[whole.start..whole.end];
        let end = whole.start + text.trim_end().len();
        Span { start: end - text.trim().len(), end }
    }

    /// From a column of a line to one before which it ends, both in characters from 1; to the end of the line without
    /// one.
    fn stretch(&self, line: usize, from: usize, to: Option<usize>) -> Span {
        let lines = LineIndex::new(&self.text);
        let whole = lines.bytes_of(&self.text, line.clamp(1, lines.line(self.text.len())));
        let text = &self.text[whole.start..whole.end];
        let at = |column: usize| {
            let offset = text.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
            whole.start + offset
        };
        let start = at(from);
        Span { start, end: to.map_or(whole.end, at).max(start) }
    }
}

/// Says why scripts are not checked, or not all of them.
#[must_use]
pub fn unchecked(why: impl Into<String>, hint: &str) -> Diagnostic {
    codes::SCRIPT_UNCHECKED.diagnostic(why).hint(hint)
}

/// The output of shellcheck, as far as it is read.
#[derive(Deserialize)]
struct Found {
    comments: Vec<Comment>,
}

/// A finding. Lines and columns count from 1, columns in characters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Comment {
    line: usize,
    end_line: usize,
    column: usize,
    end_column: usize,
    level: String,
    code: u32,
    message: String,
}

/// The scripts that a config has: those of features that are not built in, and the files for cloud-init that are for
/// a shell; each once, by path.
pub(super) fn of(scripts: &Scripts, data: &DataFiles) -> Vec<ScriptText> {
    let mut found = BTreeMap::new();
    for script in scripts.features.values().chain(&scripts.common).filter(|script| script.from != builtin::FROM) {
        let (path, text) = (script.from.clone(), Arc::clone(&script.content));
        found.insert((true, script.from.clone()), ScriptText { path, text, is_feature: true });
    }
    for (path, text) in data.files() {
        let script = ScriptText { path: path.to_owned(), text: Arc::clone(text), is_feature: false };
        if script.run_by().is_some() {
            found.insert((false, path.to_owned()), script);
        }
    }
    found.into_values().collect()
}

/// The line and the words of the first complaint on a shell's standard error: bash writes `bash: line 3: WHAT`, dash
/// `sh: 3: WHAT`, and bash repeats the script's own line behind a backtick.
fn first_complaint(said: &str) -> (Option<usize>, &str) {
    let is_one = |what: &str| !what.is_empty() && !what.starts_with('`') && !what.starts_with("warning:");
    if let Some((number, what)) = said.lines().filter_map(numbered).find(|(_, what)| is_one(what)) {
        return (Some(number), what);
    }
    let first = said.lines().map(str::trim).find(|line| !line.is_empty());
    (None, first.unwrap_or("it does not say why"))
}

/// The number in a line of complaint, and the words behind it.
fn numbered(line: &str) -> Option<(usize, &str)> {
    let mut rest = line;
    // Before the number stand the name of the program and perhaps that of its input.
    for _ in 0..3 {
        let (part, behind) = rest.split_once(": ")?;
        if let Ok(number) = part.strip_prefix("line ").unwrap_or(part).parse() {
            return Some((number, behind.trim()));
        }
        rest = behind;
    }
    None
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Words of another program, and not all of them if they are long.
fn repeated(what: &str) -> String {
    let what = what.lines().next().unwrap_or_default();
    match what.char_indices().nth(MOST_REPEATED) {
        Some((end, _)) => format!("{}…", &what[..end]),
        None => what.to_owned(),
    }
}
