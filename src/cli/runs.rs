//! The event logs of past runs: `.phoenix/runs` beside the config, one file per apply.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Exit;
use super::args::{Args, Show};
use super::console::Console;
use super::exit::Refusal;
use super::format::{Format, Output};
use super::load::directory;
use super::output;
use super::own::{self, Own};
use super::reports;
use crate::event::{Event, STREAM_VERSION};
use crate::ui;
use crate::ui::story::{Moment, Story};
use crate::ui::text::safe;
use crate::ui::verdict::{of_actions, of_run};

/// How many logs are kept; the oldest go first.
const KEPT: usize = 50;

/// How many bytes all logs have together when a run begins; the oldest go first.
const MOST_IN_ALL: u64 = 45 << 20;

/// From this many bytes on a log takes no more progress, only what came of the actions.
const MOST_WITH_PROGRESS: usize = 4 << 20;

/// What a log's name begins with.
const TIME: &str = "YYYY-MM-DDTHH-MM-SS";

/// The directory of the logs in `.phoenix`.
const DIRECTORY: &str = "runs";

/// The event log of a run that goes on.
pub(super) struct Log {
    /// What the run is called.
    pub(super) name: String,
    file: Option<File>,
    seq: u64,
    bytes: usize,
    console: Console,
}

impl Log {
    /// Begins a log. Where none can be written, that is told and the run goes on without.
    pub(super) fn begin(config: &Path, console: &Console) -> Self {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S").to_string();
        let (name, file) = match create(config, &now) {
            Ok((name, file)) => (name, Some(file)),
            Err(error) => {
                let dir = directory(config).join(own::NAME).join(DIRECTORY).display().to_string();
                let (dir, why) = (safe(&dir), format!("{error:#}"));
                console.note(&format!("the events of this run are not logged in {dir}: {}\n", safe(&why)));
                (now, None)
            }
        };
        Self { name, file, seq: 0, bytes: 0, console: *console }
    }

    /// Notes an event and returns its line, line break included.
    pub(super) fn line(&mut self, event: &Event, time: &str) -> String {
        self.seq += 1;
        let mut line = ui::run::json_line(event, self.seq, time);
        line.push('\n');
        if self.bytes + line.len() > MOST_WITH_PROGRESS && is_progress(event) {
            return line;
        }
        // A full disk must not stop a run.
        if let Some(error) = self.file.as_mut().and_then(|file| file.write_all(line.as_bytes()).err()) {
            self.file = None;
            let name = safe(&self.name).into_owned();
            self.console.note(&format!("the log of run {name} ends here: it cannot be written: {error}\n"));
        }
        self.bytes += line.len();
        line
    }
}

/// Whether an event says what goes on, and not what came of it.
fn is_progress(event: &Event) -> bool {
    matches!(event, Event::ActionStarted { .. } | Event::ActionWaiting { .. } | Event::ActionNoticed { .. })
}

/// Makes a log's file, and room for it; returns its name without the ending, too.
fn create(config: &Path, now: &str) -> Result<(String, File)> {
    let own = Own::make(config, DIRECTORY)?;
    let mut logs = names(&own.path);
    let size = |name: &String| fs::symlink_metadata(own.path.join(name)).map_or(0, |meta| meta.len());
    let mut bytes: u64 = logs.iter().map(size).sum();
    while logs.len() >= KEPT || (bytes > MOST_IN_ALL && !logs.is_empty()) {
        let oldest = logs.remove(0);
        bytes -= size(&oldest).min(bytes);
        own.remove(&oldest).with_context(|| format!("cannot remove `{}`", own.path.join(&oldest).display()))?;
    }
    // Two runs may begin in one second.
    let made = (0..100).find_map(|n| {
        let name = if n == 0 { now.to_owned() } else { format!("{now}-{n}") };
        match own.create_new(&format!("{name}.jsonl")) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => None,
            made => Some(made.map(|file| (name, file))),
        }
    });
    made.unwrap_or_else(|| Err(std::io::Error::other("there is no free name")))
        .with_context(|| format!("cannot write in `{}`", own.path.display()))
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

/// The names of the runs that are logged beside a config, oldest first.
pub(super) fn logged(config: &Path) -> Vec<String> {
    let names = own::place(config, DIRECTORY).map(|dir| names(&dir)).unwrap_or_default();
    names.into_iter().map(|name| name.trim_end_matches(".jsonl").to_owned()).collect()
}

/// `phoenix log`: what runs there were, newest last.
pub(super) fn list(args: &Args, console: &Console) -> Result<Exit> {
    let dir = own::place(&args.config, DIRECTORY)?;
    let rows = names(&dir).into_iter().map(|name| {
        let result = read(&dir.join(&name)).map_or_else(|error| error.to_string(), |moments| verdict(&moments));
        vec![name.trim_end_matches(".jsonl").to_owned(), safe(&result).into_owned()]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        console.note("No run has been logged here yet.\n");
        return Ok(Exit::Done);
    }
    console.print(&ui::table::table(&["run", "result"], rows, console.width()));
    console.print("\n`phoenix show RUN` shows a run again.\n");
    Ok(Exit::Done)
}

fn verdict(moments: &[Moment]) -> String {
    let simulated = moments.iter().any(|moment| matches!(moment.event, Event::RunStarted { simulated: true, .. }));
    let result = match moments.last().map(|moment| &moment.event) {
        Some(Event::RunEnded { summary, .. }) => {
            let said = summary.results.as_ref().map_or_else(|| of_actions(summary), of_run);
            match (summary.is_complete(), summary.interrupted) {
                (true, _) => said,
                (false, true) => format!("interrupted: {said}"),
                (false, false) => format!("failed: {said}"),
            }
        }
        _ => "it did not finish".to_owned(),
    };
    if simulated { format!("{result} (embedded node)") } else { result }
}

/// Shows a run again, if that is what is meant: a name from `phoenix log`, or a file with a stream of events.
pub(super) fn replay(args: &Args, verb: &Show, console: &Console) -> Option<Result<Exit>> {
    let run = &verb.file;
    let file = if run.exists() {
        run.clone()
    } else {
        match own::place(&args.config, DIRECTORY) {
            Ok(dir) => dir.join(format!("{}.jsonl", run.display())),
            Err(error) => return Some(Err(error)),
        }
    };
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
        let mut human =
            ui::run::Human::of_events(&events, console.style(), console.width(), again).verbose(console.is_verbose());
        Ok(Some(events.iter().map(|event| human.on(event)).collect()))
    })?;
    if !matches!(events.last(), Some(Event::RunEnded { .. })) {
        console.note("The run did not finish: phoenix was killed, or the log was cut off.\n");
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
            // The words of the parser quote what it read.
            let why = safe(&error.to_string()).into_owned();
            let what = format!("`{name}`, line {}: not an event: {why}", at + 1);
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{KEPT, Log, MOST_IN_ALL, MOST_WITH_PROGRESS, names, read};
    use crate::cli::args::When;
    use crate::cli::console::Console;
    use crate::event::{ActionName, Event};
    use crate::model::{Outcome, VmId};

    fn action() -> ActionName {
        let vm = VmId::LOWEST;
        ActionName { id: "100/clone".into(), vm, name: "web".into(), action: "clone".into() }
    }

    #[test]
    fn a_log_drops_progress_and_keeps_results() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::begin(&dir.path().join("config.json"), &Console::new(When::Never, false));
        let progress = Event::ActionNoticed { action: action(), message: "x".repeat(1 << 16) };
        let result = Event::ActionEnded { action: action(), outcome: Outcome::Create, elapsed_ms: 1 };
        for _ in 0..100 {
            assert!(log.line(&progress, "").len() > 1 << 16, "what is streamed is whole");
            log.line(&result, "");
        }
        let file = dir.path().join(format!(".phoenix/runs/{}.jsonl", log.name));
        assert!(fs::metadata(&file).unwrap().len() < MOST_WITH_PROGRESS as u64 + (1 << 16));
        let moments = read(&file).unwrap();
        assert_eq!(moments.iter().filter(|moment| moment.event == result).count(), 100);
        assert!(moments.iter().filter(|moment| moment.event == progress).count() > 50);
    }

    #[test]
    fn what_is_no_event_is_quoted_as_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("run.jsonl");
        fs::write(&file, "{\"v\":1,\"event\":\"\\n::error::\\u001b\\u202e\"}\n{}\n").unwrap();
        let told = read(&file).unwrap_err().to_string();
        let quoted = "line 1: not an event: unknown variant `\\n::error::\\u{1b}\\u{202e}`";
        assert!(told.contains(quoted) && !told.contains('\n'), "{told}");
    }

    #[test]
    fn the_oldest_logs_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let runs = dir.path().join(".phoenix/runs");
        let config = dir.path().join("config.json");
        let begin = || Log::begin(&config, &Console::new(When::Never, false)).name;
        begin();
        for n in 10..20 {
            let file = fs::File::create(runs.join(format!("2000-01-01T00-00-{n}.jsonl"))).unwrap();
            file.set_len(MOST_IN_ALL / 8).unwrap();
        }
        begin();
        let left = names(&runs);
        assert_eq!(left.first().unwrap(), "2000-01-01T00-00-12.jsonl", "{left:?}");
        assert_eq!(left.len(), 10);
        for _ in 0..KEPT {
            begin();
        }
        assert_eq!(names(&runs).len(), KEPT);
    }
}
