//! `phoenix fmt`: the layout of config files. No target is needed.

use anyhow::Result;

use super::args::{Args, Fmt};
use super::console::Console;
use super::exit::Refusal;
use super::replace::rewrite;
use super::{Exit, load};
use crate::config::fmt::{formatted, formatted_with_comments};
use crate::ui;
use crate::ui::layout::count;
use crate::ui::text::safe;

/// Lays files out and prints the names of those that change.
pub(super) fn run(args: &Args, verb: &Fmt, console: &Console) -> Result<Exit> {
    let files = if verb.files.is_empty() { std::slice::from_ref(&args.config) } else { &verb.files };
    let from_stdin = files.iter().any(|file| load::is_stdin(file));
    if from_stdin && files.len() > 1 {
        let what = "`-` writes the formatted text to standard output, where the names of other files would stand";
        return Err(Refusal::usage(what, "format standard input alone"));
    }
    if from_stdin && verb.diff && !verb.check {
        let what = "`-` writes the formatted text to standard output, where `--diff` would stand, too";
        return Err(Refusal::usage(what, "add `--check`, or leave `--diff` out"));
    }
    let (mut changed, mut is_valid) = (0, true);
    for (file, source) in files.iter().flat_map(|file| load::apart(file)) {
        let source = match source {
            Ok(source) => source,
            Err(problem) => {
                console.diagnostics(&[*problem], None);
                is_valid = false;
                continue;
            }
        };
        // Standard input has no name that says whether it may have comments; what it has, it keeps.
        let text = if from_stdin { formatted_with_comments(&source.text) } else { formatted(&source) };
        let text = match text {
            Ok(text) => text,
            Err(problems) => {
                console.diagnostics(&problems, Some(&source));
                is_valid = false;
                continue;
            }
        };
        if from_stdin && !verb.check {
            console.print(&text);
            continue;
        }
        if text == source.text {
            continue;
        }
        if !verb.check {
            rewrite(&file, &source.text, &text, "run `phoenix fmt` again")?;
        }
        changed += 1;
        console.print(&format!("{}\n", safe(&source.name)));
        if verb.diff {
            console.print(&ui::edit::render(&source.name, &source.text, &text, console.style()));
        }
    }
    let is_done = changed == 0 || !verb.check;
    if !is_done {
        let what = format!(
            "{} not formatted",
            if changed == 1 { "1 file is".to_owned() } else { format!("{} are", count(changed, "file")) }
        );
        let hint = "`phoenix fmt` formats the same files without `--check`; `--diff` shows what changes";
        console.error(&Refusal::failed(what, hint));
    }
    Ok(match (is_valid, is_done) {
        (false, _) => Exit::Config,
        (true, false) => Exit::Failed,
        (true, true) => Exit::Done,
    })
}
