//! `--format NAME[=FILE]`: the formats of all verbs, and where their texts go.

use std::path::PathBuf;

use anyhow::Result;

use super::console::Console;
use super::saved::write;

/// Every format that a verb can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Text for a terminal.
    Human,
    /// A versioned document for programs.
    Json,
    /// For merge requests.
    Markdown,
    /// One page for a browser.
    Html,
    /// Annotations of GitHub Actions.
    Github,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// `JUnit` XML, for test reports.
    Junit,
}

impl Format {
    pub(super) const ALL: [Self; 7] =
        [Self::Human, Self::Json, Self::Markdown, Self::Html, Self::Github, Self::Sarif, Self::Junit];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Github => "github",
            Self::Sarif => "sarif",
            Self::Junit => "junit",
        }
    }
}

/// A format, and the file it goes to instead of standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) format: Format,
    pub(super) file: Option<PathBuf>,
}

/// What stands for no `--format` at all, and for files alone: they leave the screen to people.
const SCREEN: Output = Output { format: Format::Human, file: None };

impl Output {
    /// Reads what `plan` and `show` know.
    pub(super) fn of_plan(text: &str) -> Result<Self, String> {
        Self::parse(text, &[Format::Human, Format::Json, Format::Markdown, Format::Html], "`phoenix validate`")
    }

    /// Reads what `validate` knows.
    pub(super) fn of_validate(text: &str) -> Result<Self, String> {
        let known = [Format::Human, Format::Json, Format::Github, Format::Sarif, Format::Junit];
        Self::parse(text, &known, "plans")
    }

    /// `others` is what the formats are for that this verb does not know.
    fn parse(text: &str, known: &[Format], others: &str) -> Result<Self, String> {
        let (name, file) = match text.split_once('=') {
            Some((_, "")) => return Err("there is no file name after `=`".to_owned()),
            Some((name, file)) => (name, Some(PathBuf::from(file))),
            None => (text, None),
        };
        if let Some(format) = known.iter().find(|format| format.name() == name) {
            return Ok(Self { format: *format, file });
        }
        let names: Vec<&str> = known.iter().map(|format| format.name()).collect();
        let elsewhere = Format::ALL.iter().any(|format| format.name() == name);
        let why = if elsewhere { format!("; it is a format of {others}") } else { String::new() };
        Err(format!("`{name}` is none of {}{why}", names.join(", ")))
    }
}

/// Puts each wanted format where it belongs. `None` from `text`: it has been printed already.
pub(super) fn each(
    outputs: &[Output],
    console: &Console,
    text: &mut dyn FnMut(&Output) -> Result<Option<String>>,
) -> Result<()> {
    let alone = outputs.iter().all(|output| output.file.is_some());
    for output in alone.then_some(&SCREEN).into_iter().chain(outputs) {
        match (text(output)?, &output.file) {
            (None, _) => {}
            (Some(text), None) => console.print(&text),
            (Some(text), Some(file)) => write(file, &text)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Output;

    #[test]
    fn each_verb_refuses_what_it_does_not_know() {
        let plan = "`sarif` is none of human, json, markdown, html; it is a format of `phoenix validate`";
        assert_eq!(Output::of_plan("sarif"), Err(plan.to_owned()));
        let validate = "`markdown` is none of human, json, github, sarif, junit; it is a format of plans";
        assert_eq!(Output::of_validate("markdown=a"), Err(validate.to_owned()));
        let neither = "`xml` is none of human, json, github, sarif, junit";
        assert_eq!(Output::of_validate("xml"), Err(neither.to_owned()));
        assert!(Output::of_validate("junit=").is_err());
    }
}
