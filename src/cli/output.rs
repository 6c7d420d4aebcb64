//! `--format NAME[=FILE]`: the formats of all verbs, and where their texts go.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::console::Console;
use super::exit::Refusal;
use super::printer::{LOOK, Patience};
use super::saved::{is_stream, write};

/// Every format that a verb can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Text for a terminal.
    Human,
    /// A versioned document for programs.
    Json,
    /// The event stream, one JSON document per line.
    Jsonl,
    /// For merge requests.
    Markdown,
    /// One page for a browser.
    Html,
    /// Annotations of GitHub Actions.
    Github,
    /// Code quality report of GitLab.
    Gitlab,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// `JUnit` XML, for test reports.
    Junit,
}

impl Format {
    pub(super) const ALL: [Self; 9] = [
        Self::Human,
        Self::Json,
        Self::Jsonl,
        Self::Markdown,
        Self::Html,
        Self::Github,
        Self::Gitlab,
        Self::Sarif,
        Self::Junit,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Sarif => "sarif",
            Self::Junit => "junit",
        }
    }
}

/// What is shown, in words, and the formats it can be shown in. The README's table says the same.
type Faces = (&'static str, &'static [Format]);

const PLAN: Faces =
    ("plans", &[Format::Human, Format::Json, Format::Markdown, Format::Html, Format::Github, Format::Sarif]);

const RUN: Faces = (
    "runs of apply",
    &[Format::Human, Format::Json, Format::Jsonl, Format::Markdown, Format::Html, Format::Github, Format::Junit],
);

const VALIDATE: Faces = (
    "`phoenix validate`",
    &[Format::Human, Format::Json, Format::Github, Format::Gitlab, Format::Sarif, Format::Junit],
);

const STATUS: Faces = ("`phoenix status`", &[Format::Human, Format::Json, Format::Markdown]);

/// A format, and the file it goes to instead of standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) format: Format,
    pub(super) file: Option<PathBuf>,
}

/// What stands for no `--format` at all, and for files alone: they leave the screen to people.
const SCREEN: Output = Output { format: Format::Human, file: None };

impl Output {
    /// Reads what `plan` knows.
    pub(super) fn of_plan(text: &str) -> Result<Self, String> {
        Self::parse(text, &PLAN)
    }

    /// Reads what `show` knows: what is shown decides which of them are right.
    pub(super) fn of_plan_or_run(text: &str) -> Result<Self, String> {
        Self::parse(text, &PLAN).or_else(|_| Self::of_run(text))
    }

    /// Reads what `apply` and `create` know.
    pub(super) fn of_run(text: &str) -> Result<Self, String> {
        Self::parse(text, &RUN)
    }

    /// Reads what `validate` knows.
    pub(super) fn of_validate(text: &str) -> Result<Self, String> {
        Self::parse(text, &VALIDATE)
    }

    /// Reads what `status` knows.
    pub(super) fn of_status(text: &str) -> Result<Self, String> {
        Self::parse(text, &STATUS)
    }

    /// Refuses what a saved plan cannot be shown in.
    pub(super) fn fit_for_plans(outputs: &[Self]) -> Result<()> {
        Self::fit_for("plan", outputs, &PLAN)
    }

    /// Refuses what a run cannot be shown in.
    pub(super) fn fit_for_runs(outputs: &[Self]) -> Result<()> {
        Self::fit_for("run", outputs, &RUN)
    }

    fn fit_for(what: &str, outputs: &[Self], known: &Faces) -> Result<()> {
        match outputs.iter().find(|output| !known.1.contains(&output.format)) {
            None => Ok(()),
            Some(output) => {
                let name = output.format.name();
                Err(Refusal::usage(
                    format!("a {what} is not shown as `{name}`"),
                    format!("take one of {}", names(known)),
                ))
            }
        }
    }

    fn parse(text: &str, known: &Faces) -> Result<Self, String> {
        let (name, file) = match text.split_once('=') {
            Some((_, "")) => return Err("there is no file name after `=`".to_owned()),
            Some((name, file)) => (name, Some(PathBuf::from(file))),
            None => (text, None),
        };
        let of = |faces: &Faces| faces.1.iter().copied().find(|format| format.name() == name);
        if let Some(format) = of(known) {
            return Ok(Self { format, file });
        }
        let others: Vec<&str> = [PLAN, RUN, VALIDATE].iter().filter(|faces| of(faces).is_some()).map(|f| f.0).collect();
        let why =
            if others.is_empty() { String::new() } else { format!("; it is a format of {}", others.join(" and ")) };
        Err(format!("`{name}` is none of {}{why}", names(known)))
    }
}

fn names(faces: &Faces) -> String {
    faces.1.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ")
}

/// Appends Markdown to the page that GitHub shows for a step, where it asks for one.
pub(super) fn summarize(text: &str) -> Result<()> {
    let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) else {
        return Ok(());
    };
    let file = Path::new(&file);
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut page| page.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write `{}`, which GITHUB_STEP_SUMMARY names", file.display()))
}

/// Puts each wanted format where it belongs. `None` from `text`: it has been printed already.
pub(super) fn each(
    outputs: &[Output],
    console: &Console,
    text: &mut dyn FnMut(&Output) -> Result<Option<String>>,
) -> Result<()> {
    let alone = outputs.iter().all(|output| output.file.is_some());
    for output in alone.then_some(&SCREEN).into_iter().chain(outputs) {
        if let Some(text) = text(output)? {
            put(output, &text, console)?;
        }
    }
    Ok(())
}

/// Puts a text where its format goes.
pub(super) fn put(output: &Output, text: &str, console: &Console) -> Result<()> {
    match &output.file {
        None => {
            console.print(text);
            Ok(())
        }
        Some(file) => match console.printer().patience() {
            Some(patience) if is_stream(file) => write_patiently(file, text, patience, console),
            _ => write(file, text),
        },
    }
}

/// Writes into a stream, unless it is not read in time.
fn write_patiently(file: &Path, text: &str, patience: Patience, console: &Console) -> Result<()> {
    let (done, written) = channel();
    let (own, text) = (file.to_owned(), text.to_owned());
    // The process ends without it, if the stream stands still.
    thread::spawn(move || done.send(write(&own, &text)));
    let begin = Instant::now();
    loop {
        match written.recv_timeout(LOOK) {
            Ok(result) => return result,
            Err(_) if begin.elapsed() < patience.still && !console.printer().is_hurried() => {}
            Err(_) => {
                let what = format!("nothing reads `{}`: what was to be written there is lost", file.display());
                return Err(Refusal::failed(what, "`phoenix log` lists this run, and `phoenix show RUN` tells it"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Output;

    #[test]
    fn each_verb_refuses_what_it_does_not_know() {
        let plan =
            "`gitlab` is none of human, json, markdown, html, github, sarif; it is a format of `phoenix validate`";
        assert_eq!(Output::of_plan("gitlab"), Err(plan.to_owned()));
        let validate = "`markdown` is none of human, json, github, gitlab, sarif, junit; it is a format of plans and runs of apply";
        assert_eq!(Output::of_validate("markdown=a"), Err(validate.to_owned()));
        let neither = "`xml` is none of human, json, github, gitlab, sarif, junit";
        assert_eq!(Output::of_validate("xml"), Err(neither.to_owned()));
        assert!(Output::of_run("jsonl=a").is_ok() && Output::of_run("sarif").is_err());
        assert!(Output::of_validate("junit=").is_err());
    }
}
