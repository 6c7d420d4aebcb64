//! Where the texts of `--format NAME[=FILE]` go.

use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::console::Console;
use super::exit::Refusal;
use super::format::{Format, Output};
use super::printer::{LOOK, Patience};
use super::write::{is_stream, write};

/// What stands for no `--format` at all, and for files alone: they leave the screen to people.
const SCREEN: Output = Output { format: Format::Human, file: None };

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
                return Err(Refusal::failed(what, "`phoenix log` lists this run, and `phoenix show RUN` shows it"));
            }
        }
    }
}
