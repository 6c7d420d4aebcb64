//! The event logs of past runs: `.phoenix/runs` beside the config, one file per apply.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Exit;
use super::args::{Args, Show};
use super::console::Console;
use super::exit::Refusal;
use super::load::directory;
use super::output::{self, Format, Output};
use super::reports;
use crate::event::{Event, STREAM_VERSION, Summary};
use crate::ui;
use crate::ui::story::{Moment, Story};
use crate::ui::text::safe;

/// How many logs are kept; the oldest go first.
const KEPT: usize = 50;

/// What a log's name begins with.
const TIME: &str = "YYYY-MM-DDTHH-MM-SS";

/// Directory of the logs, beside the config.
fn directory_of(config: &Path) -> PathBuf {
    directory(config).join(".phoenix/runs")
}

/// The event log of a run that goes on.
pub(super) struct Log {
    /// What the run is called.
    pub(super) name: String,
    file: Option<File>,
    seq: u64,
}

impl Log {
    /// Begins a log. Where none can be written, that is told and the run goes on without.
    pub(super) fn begin(config: &Path, console: &Console) -> Self {
        let dir = directory_of(config);
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S").to_string();
        match create(&dir, &now) {
            Ok((name, file)) => Self { name, file: Some(file), seq: 0 },
            Err(error) => {
                let dir = dir.display().to_string();
                console.note(&format!("the events of this run are not logged in {}: {error}\n", safe(&dir)));
                Self { name: now, file: None, seq: 0 }
            }
        }
    }

    /// Notes an event and returns its line, line break included.
    pub(super) fn line(&mut self, event: &Event, time: &str) -> String {
        self.seq += 1;
        let mut line = ui::run::json_line(event, self.seq, time);
        line.push('\n');
        // A full disk must not stop a run.
        if self.file.as_mut().is_some_and(|file| file.write_all(line.as_bytes()).is_err()) {
            self.file = None;
        }
        line
    }
}

/// Makes a log's file, and room for it; returns its name without the ending, too.
fn create(dir: &Path, now: &str) -> std::io::Result<(String, File)> {
    fs::create_dir_all(dir)?;
    let mut logs = names(dir);
    while logs.len() >= KEPT {
        fs::remove_file(dir.join(logs.remove(0)))?;
    }
    // Two runs may begin in one second.
    (0..100)
        .find_map(|n| {
            let name = if n == 0 { now.to_owned() } else { format!("{now}-{n}") };
            match File::create_new(dir.join(format!("{name}.jsonl"))) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => None,
                made => Some(made.map(|file| (name, file))),
            }
        })
        .unwrap_or_else(|| Err(std::io::Error::other("there is no free name")))
}

/// Names of the logs, oldest first.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "jsonl"));
    names.sort_by_cached_key(|name| {
        let stem = name.trim_end_matches(".jsonl");
        // What follows the time counts the runs of one second.
        let (time, nth) = stem.split_at_checked(TIME.len()).unwrap_or((stem, ""));
        (time.to_owned(), nth.trim_start_matches('-').parse().unwrap_or(0_u32), stem.to_owned())
    });
    names
}

/// `phoenix log`: what runs there were, newest last.
pub(super) fn list(args: &Args, console: &Console) -> Exit {
    let dir = directory_of(&args.config);
    let rows = names(&dir).into_iter().map(|name| {
        let told = read(&dir.join(&name)).map_or_else(|error| error.to_string(), |moments| verdict(&moments));
        vec![name.trim_end_matches(".jsonl").to_owned(), safe(&told).into_owned()]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        console.note("No run has been logged here yet.\n");
        return Exit::Done;
    }
    console.print(&ui::table::table(&["run", "how it went"], rows, console.width()));
    console.print("\n`phoenix show RUN` tells one again.\n");
    Exit::Done
}

fn verdict(moments: &[Moment]) -> String {
    let simulated = moments.iter().any(|moment| matches!(moment.event, Event::RunStarted { simulated: true, .. }));
    let told = match moments.last().map(|moment| &moment.event) {
        Some(Event::RunEnded { summary, .. }) => {
            let Summary { created, updated, destroyed, unchanged, failed, .. } = summary;
            let word = if summary.is_complete() { "done" } else { "not everything could be done" };
            let failed = if failed.is_empty() { String::new() } else { format!(", {} failed", failed.len()) };
            let destroyed = if *destroyed > 0 { format!(", {destroyed} destroy") } else { String::new() };
            format!("{word}: {created} create, {updated} update{destroyed}, {unchanged} no-op{failed}")
        }
        _ => "it did not come to its end".to_owned(),
    };
    if simulated { format!("{told} (embedded node)") } else { told }
}

/// Tells a run again, if that is what is meant: a name from `phoenix log`, or a file with a stream of events.
pub(super) fn replay(args: &Args, verb: &Show, console: &Console) -> Option<Result<Exit>> {
    let run = &verb.file;
    let named = directory_of(&args.config).join(format!("{}.jsonl", run.display()));
    let file = if run.exists() { run.clone() } else { named };
    let is_stream = file.extension().is_some_and(|extension| extension == "jsonl");
    (file.exists() && is_stream).then(|| tell(&file, &verb.format, console))
}

fn tell(file: &Path, formats: &[Output], console: &Console) -> Result<Exit> {
    Output::fit_for_runs(formats)?;
    let moments = read(file)?;
    let events: Vec<Event> = moments.iter().map(|moment| moment.event.clone()).collect();
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let story = Story::of(&name, &moments);
    output::each(formats, console, &mut |output| {
        if output.format != Format::Human || output.file.is_some() {
            return reports::render(output, &story, &moments).map(Some);
        }
        let again = "phoenix apply".to_owned();
        let mut human = ui::run::Human::of_events(&events, console.style(), console.width(), again);
        Ok(Some(events.iter().map(|event| human.on(event)).collect()))
    })?;
    if !matches!(events.last(), Some(Event::RunEnded { .. })) {
        console.note("The run did not come to its end: phoenix was killed, or the log was cut off.\n");
    }
    Ok(Exit::Done)
}

fn read(file: &Path) -> Result<Vec<Moment>> {
    #[derive(serde::Deserialize)]
    struct Line {
        v: u32,
        #[serde(default)]
        time: String,
    }
    let name = file.display().to_string();
    let text = super::files::text(file)?;
    let mut events = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let bad = |error: serde_json::Error| {
            let what = format!("`{name}`, line {}: no event: {error}", at + 1);
            Refusal::failed(what, "logs are written by `phoenix apply`, and listed by `phoenix log`")
        };
        let parsed = serde_json::from_str::<Line>(line).and_then(|head| Ok((head, serde_json::from_str(line)?)));
        match parsed {
            Ok((Line { v: STREAM_VERSION, time }, event)) => events.push(Moment { time, event }),
            Ok((Line { v: version, .. }, _)) => {
                let what = format!("`{name}` has version {version}, this phoenix reads {STREAM_VERSION}");
                return Err(Refusal::failed(what, "use the phoenix that wrote it"));
            }
            // A run that was killed may have left half a line.
            Err(_) if at + 1 == lines.len() && !text.ends_with('\n') => {}
            Err(error) => return Err(bad(error)),
        }
    }
    Ok(events)
}
