//! `--format NAME[=FILE]`: the formats of all verbs.

use std::path::PathBuf;

use anyhow::Result;

use super::exit::Refusal;

/// Defines the formats from one list: the enum, all of them, and the name of each.
macro_rules! formats {
    ($($(#[$doc:meta])+ $format:ident = $name:literal,)+) => {
        /// Every format that a verb can know.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Format {
            $($(#[$doc])+ $format,)+
        }

        impl Format {
            pub(super) const ALL: &[Self] = &[$(Self::$format,)+];

            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$format => $name,)+ }
            }
        }
    };
}

formats! {
    /// Text for a terminal.
    Human = "human",
    /// A versioned document for programs.
    Json = "json",
    /// The event stream, one JSON document per line.
    Jsonl = "jsonl",
    /// For merge requests.
    Markdown = "markdown",
    /// One page for a browser.
    Html = "html",
    /// Annotations of GitHub Actions.
    Github = "github",
    /// Code quality report of GitLab.
    Gitlab = "gitlab",
    /// SARIF 2.1.0, for code scanning.
    Sarif = "sarif",
    /// `JUnit` XML, for test reports.
    Junit = "junit",
    /// An inventory of Ansible, in YAML.
    Ansible = "ansible",
    /// `Host` blocks for OpenSSH.
    SshConfig = "ssh-config",
    /// Lines of `/etc/hosts`.
    Hosts = "hosts",
}

/// What is shown, in words, and the formats it can be shown in. The table of `docs/commands.md` says the same.
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

const STATUS: Faces = ("`phoenix status`", &[Format::Human, Format::Json, Format::Markdown, Format::Html]);

const DOCTOR: Faces = ("`phoenix doctor`", &[Format::Human, Format::Json]);

const INVENTORY: Faces = ("`phoenix inventory`", &[Format::Ansible, Format::SshConfig, Format::Json, Format::Hosts]);

/// A format, and the file it goes to instead of standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) format: Format,
    pub(super) file: Option<PathBuf>,
}

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

    /// Reads what `doctor` knows.
    pub(super) fn of_doctor(text: &str) -> Result<Self, String> {
        Self::parse(text, &DOCTOR)
    }

    /// Reads what `inventory` knows.
    pub(super) fn of_inventory(text: &str) -> Result<Self, String> {
        Self::parse(text, &INVENTORY)
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
                Err(Refusal::usage(format!("a {what} has no format `{name}`"), format!("take one of {}", names(known))))
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
        let others: Vec<&str> =
            [PLAN, RUN, VALIDATE, INVENTORY].iter().filter(|faces| of(faces).is_some()).map(|f| f.0).collect();
        let why =
            if others.is_empty() { String::new() } else { format!("; it is a format of {}", others.join(" and ")) };
        Err(format!("`{name}` is not one of {}{why}", names(known)))
    }
}

fn names(faces: &Faces) -> String {
    faces.1.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::Output;

    #[test]
    fn each_verb_refuses_what_it_does_not_know() {
        let plan =
            "`gitlab` is not one of human, json, markdown, html, github, sarif; it is a format of `phoenix validate`";
        assert_eq!(Output::of_plan("gitlab"), Err(plan.to_owned()));
        let validate = "`markdown` is not one of human, json, github, gitlab, sarif, junit; it is a format of plans \
            and runs of apply";
        assert_eq!(Output::of_validate("markdown=a"), Err(validate.to_owned()));
        let neither = "`xml` is not one of human, json, github, gitlab, sarif, junit";
        assert_eq!(Output::of_validate("xml"), Err(neither.to_owned()));
        assert!(Output::of_run("jsonl=a").is_ok() && Output::of_run("sarif").is_err());
        assert!(Output::of_validate("junit=").is_err());
    }
}
