//! The reports of an apply: written when it is over, however it ended.

use std::path::Path;

use anyhow::Result;

use super::Exit;
use super::args::Running;
use super::console::Console;
use super::exit::Refusal;
use super::format::{Format, Output};
use super::load;
use super::output;
use crate::event::Event;
use crate::ui;
use crate::ui::story::{Moment, Refused, Spared, Story};

/// What is wanted of an apply beside doing it, and what it has told so far.
pub(super) struct Reports {
    outputs: Vec<Output>,
    /// What the run is called where it is logged.
    pub(super) name: String,
    /// What happened; empty if nothing was begun, or no report was asked for.
    pub(super) moments: Vec<Moment>,
    /// VMs of a saved plan that are left alone.
    pub(super) spared: Vec<Spared>,
}

impl Reports {
    /// What the command line asks for.
    pub(super) fn wanted(running: &Running) -> Result<Self> {
        let mut outputs = running.format.clone();
        if running.json {
            outputs.push(Output { format: Format::Jsonl, file: None });
        }
        if outputs.iter().filter(|output| output.file.is_none()).count() > 1 {
            let hint = "send all but one to files, e.g. `--format json=report.json`";
            return Err(Refusal::usage("only one format of an apply fits on standard output", hint));
        }
        Ok(Self { outputs, name: String::new(), moments: Vec::new(), spared: Vec::new() })
    }

    /// Whether standard output is for people.
    pub(super) fn for_people(&self) -> bool {
        self.outputs.iter().all(|output| output.file.is_some() || output.format == Format::Human)
    }

    /// Whether standard output gets each event as it happens.
    pub(super) fn streams(&self) -> bool {
        self.outputs.iter().any(|output| output.file.is_none() && output.format == Format::Jsonl)
    }

    /// Takes note of an event.
    pub(super) fn on(&mut self, event: &Event, time: &str) {
        if self.outputs.iter().any(is_late) {
            self.moments.push(Moment { time: time.to_owned(), event: event.clone() });
        }
    }

    /// Does something that tells these reports what happens, and writes them at its end.
    pub(super) fn around(
        mut self,
        config: &Path,
        console: &Console,
        act: impl FnOnce(&mut Self) -> Result<Exit>,
    ) -> Result<Exit> {
        // What is done must not wait for who reads about it.
        console.printer().detach();
        let result = act(&mut self);
        let story = if self.moments.is_empty() {
            let now = jiff::Timestamp::now().to_string();
            Story::refused(&load::name(config), &now, refused(&result))
        } else {
            Story::of(&self.name, &self.moments)
        };
        let story = story.sparing(std::mem::take(&mut self.spared));
        let mut result = result;
        // One report that cannot be written keeps no other from being written.
        for output in self.outputs.iter().filter(|output| is_late(output)) {
            let text = render(output, &story, &self.moments);
            if let Err(error) = text.and_then(|text| output::put(output, &text, console)) {
                match &result {
                    Ok(_) => result = Err(error),
                    Err(_) => console.error(&error),
                }
            }
        }
        result
    }
}

/// Whether a format is made when all is over: people, and programs that read the stream, see each event as it happens.
fn is_late(output: &Output) -> bool {
    output.file.is_some() || !matches!(output.format, Format::Human | Format::Jsonl)
}

/// Why nothing was begun.
fn refused(result: &Result<Exit>) -> Refused {
    match result {
        Err(error) => {
            let hint = error.downcast_ref::<Refusal>().map(|refusal| refusal.hint.clone());
            Refused { why: format!("{error:#}"), hint }
        }
        Ok(Exit::Config) => Refused {
            why: "the config is invalid".to_owned(),
            hint: Some("`phoenix validate` shows what is wrong with it".to_owned()),
        },
        Ok(_) => Refused { why: "the plan was not approved".to_owned(), hint: None },
    }
}

/// A run in a format, for a file or at the end of everything.
pub(super) fn render(output: &Output, story: &Story, moments: &[Moment]) -> Result<String> {
    Ok(match output.format {
        Format::Json => ui::report::run::json(story),
        Format::Jsonl => ui::run::json_lines(moments),
        Format::Markdown => ui::report::run::markdown(story),
        Format::Html => ui::html::run(story),
        Format::Junit => ui::report::run::junit(story),
        Format::Github => {
            output::summarize(&ui::report::run::markdown(story))?;
            ui::report::run::github(story, &load::places(Path::new(story.config())))
        }
        // `Output` lets no other format in.
        _ => ui::run::plain(story, moments),
    })
}
