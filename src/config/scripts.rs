//! The scripts of a config, and what shells and shellcheck say of them. Pure: the caller runs the programs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::cloud_config::stand_ins;
use super::cloud_data::{DataTexts, Inside, TextOwner};
use super::places::Places;
use super::problem::shown;
use super::run_commands::{self, RunCommand};
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

/// A script that a config names or holds, or a text with commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptText {
    /// The file: of a feature below the directory of the config or in the one that the operator names, of data below
    /// the directory of the config. Empty of a value of the config.
    pub path: String,
    /// Its content.
    pub text: Arc<str>,
    /// What programs read of it: the same, but with letters in place of values that are filled in, so that everything
    /// keeps its place.
    pub read: Arc<str>,
    /// It is a feature's, or what features share, and no user data or vendor data.
    pub is_feature: bool,
    /// Where it stands, if it is a value of the config itself.
    pub inside: Option<Inside>,
    /// It is no script, but `sh` reads these parts of it.
    pub commands: Vec<RunCommand>,
}

impl ScriptText {
    /// The shell that runs it: bash runs every feature, and cloud-init does as the first line says. `None`: it is for
    /// no shell.
    #[must_use]
    pub fn run_by(&self) -> Option<Shell> {
        match () {
            () if self.is_feature => Some(Shell::Bash),
            () if !self.commands.is_empty() => Some(Shell::Sh),
            () => self.named(),
        }
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
            _ if self.inside.is_some() => "correct the script, and validate the config again".to_owned(),
            _ => format!("correct the script; `{program} -n {file}` checks it again"),
        };
        found.at(line.map(|line| self.line(line)), "").hint(hint)
    }

    /// The same text with the commands of one key, for each key: each becomes a script of its own.
    #[must_use]
    pub fn by_key(&self) -> Vec<Self> {
        let of = |commands: &[RunCommand]| Self { commands: commands.to_vec(), ..self.clone() };
        self.commands.chunk_by(|one, next| one.key == next.key).map(of).collect()
    }

    /// The commands as cloud-init writes them into one script.
    #[must_use]
    pub fn joined(&self) -> String {
        self.commands.iter().map(|command| command.text.trim_end().to_owned() + "\n").collect()
    }

    /// The commands one of which is why `sh` refuses all of them together, as they stand line by line: the likeliest
    /// first.
    #[must_use]
    pub fn suspects(&self, complaint: &str) -> Vec<&RunCommand> {
        let (line, _) = first_complaint(complaint);
        let mut end = 0;
        let ends = self.commands.iter().map(|command| {
            end += command.text.trim_end().lines().count().max(1);
            end
        });
        let at = line.and_then(|line| ends.into_iter().position(|end| line <= end));
        let likeliest = at.and_then(|at| self.commands.get(at));
        likeliest.into_iter().chain(&self.commands).collect()
    }

    /// What is wrong with a command that `sh` refuses, of its standard error.
    #[must_use]
    pub fn refused_command(&self, command: &RunCommand, complaint: &str) -> Diagnostic {
        let (_, what) = first_complaint(complaint);
        let first = command.text.lines().next().unwrap_or_default();
        let what = format!("sh cannot read the command {} of `{}`: {}", shown(first), command.key, repeated(what));
        let hint = format!(
            "cloud-init makes one script for sh of all of `{}`, which does not get past this command",
            command.key
        );
        codes::SCRIPT_SYNTAX.diagnostic(what).at(Some(self.line(command.line)), "").hint(hint)
    }

    /// The same finding at its place: of a value of the config, where that stands there.
    #[must_use]
    pub fn placed(&self, found: Diagnostic, places: &Places) -> Diagnostic {
        let Some(inside) = &self.inside else { return found };
        let line = found.span.map(|span| LineIndex::new(&self.text).line(span.start));
        let key = inside.key;
        let (keys, called) = match &inside.owner {
            TextOwner::Defaults => (Some(&places.defaults), format!("`vm_defaults.{key}`")),
            TextOwner::Profile(name) => (places.profiles.get(name), format!("`{key}` of profile {}", shown(name))),
            TextOwner::Vm(Some(vm)) => (places.vms.get(vm).map(|(_, keys)| keys), format!("`{key}` of VM {vm}")),
            TextOwner::Vm(None) => (None, format!("`{key}`")),
        };
        let at = keys.and_then(|keys| keys.get(&format!("{key}.text")).copied());
        let line = line.map(|line| format!(", line {line} of its text")).unwrap_or_default();
        let message = format!("{called}{line}: {}", found.message);
        Diagnostic { message, ..found }.at(at, "")
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

/// The scripts that a config has: those of features that are not built in, and the texts for cloud-init that are for
/// a shell or have commands for one; each file once, by path, and then the values of the config.
pub(super) fn of(scripts: &Scripts, data: &DataTexts) -> Vec<ScriptText> {
    let mut found = BTreeMap::new();
    for script in scripts.features.values().chain(&scripts.common).filter(|script| script.from != builtin::FROM) {
        let (path, text) = (script.from.clone(), Arc::clone(&script.content));
        let read = Arc::clone(&text);
        let script = ScriptText { path, text, read, is_feature: true, inside: None, commands: Vec::new() };
        found.insert((true, script.path.clone()), script);
    }
    for (path, text) in data.files() {
        found.extend(of_data(path, text, None).map(|script| ((false, path.to_owned()), script)));
    }
    let inside = data.inside().filter_map(|(inside, text)| of_data("", text, Some(inside.clone())));
    found.into_values().chain(inside).collect()
}

/// A text for cloud-init; `None`: no shell reads anything of it.
fn of_data(path: &str, text: &Arc<str>, inside: Option<Inside>) -> Option<ScriptText> {
    let first = text.lines().next().unwrap_or_default();
    let (read, commands) = if first.starts_with("#!") {
        (stand_ins(text).replace("$${", "x${").into(), Vec::new())
    } else if first.split_whitespace().next() == Some("#cloud-config") {
        (Arc::clone(text), run_commands::of(text))
    } else {
        return None;
    };
    let script =
        ScriptText { path: path.to_owned(), text: Arc::clone(text), read, is_feature: false, inside, commands };
    script.run_by().map(|_| script)
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
