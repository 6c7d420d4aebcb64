//! The command line: arguments in, exit code out. The only module that reads the environment.

mod again;
mod apply;
mod args;
mod arriving;
mod choosing;
mod commands;
mod completions;
mod connect;
mod consent;
mod console;
mod convert;
mod doctor;
mod exit;
mod files;
mod fmt;
mod format;
mod graph;
mod import;
mod init;
mod inventory;
mod lifecycle;
mod load;
mod man;
mod node;
mod observe;
mod output;
mod own;
mod plan;
mod planning;
mod printer;
#[cfg(test)]
mod probe;
mod reach;
mod replace;
mod reports;
mod runs;
mod saved;
mod schema;
mod scripts;
mod shown;
mod ssh;
mod staged;
mod status;
mod terminal;
mod validate;
mod write;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::Result;

use crate::ui::text;
use args::{Args, Verb, When};
use console::Console;
pub use exit::Exit;
use exit::Refusal;

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::of_this_process() {
        Ok(args) => args,
        Err(error) => return told(&error).into(),
    };
    let console = Console::new(args.color, args.verbose);
    let console = if load::is_stdin(&args.config) { console.with_config_as_input() } else { console };
    let exit = dispatch(&args, &console).unwrap_or_else(|error| {
        console.error(&error);
        error.downcast_ref::<Refusal>().map_or(Exit::Failed, |refusal| refusal.exit)
    });
    console.finish(exit).into()
}

/// Prints what clap says: help, the version, or what is wrong with the command line.
fn told(said: &clap::Error) -> Exit {
    // A script may hand on a name of others: clap repeats it as it stands.
    let hostile = |word: std::ffi::OsString| word.to_string_lossy().chars().any(text::is_unsafe);
    if said.use_stderr() && std::env::args_os().any(hostile) {
        let console = Console::new(When::Never, false);
        console.note(&text::safe_lines(&said.to_string()));
        return console.finish(Exit::Usage);
    }
    // clap knows where its text goes and how it looks there.
    let printed = said.print().and_then(|()| std::io::stdout().flush());
    match printed {
        _ if said.use_stderr() => Exit::Usage,
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Console::new(When::Auto, false).error(&anyhow::Error::new(error).context("cannot write standard output"));
            Exit::Failed
        }
        _ => Exit::Done,
    }
}

fn dispatch(args: &Args, console: &Console) -> Result<Exit> {
    match &args.verb {
        Verb::Validate(verb) => validate::run(args, verb, console),
        Verb::Fmt(verb) => fmt::run(args, verb, console),
        Verb::Plan(verb) => plan::run(args, verb, console),
        Verb::Status(verb) => status::run(args, verb, console),
        Verb::Doctor(verb) => doctor::run(args, verb, console),
        Verb::Apply(verb) => apply::run(args, verb, console),
        Verb::Observe(verb) => observe::run(args, verb, console),
        Verb::Log => runs::list(args, console),
        Verb::Show(verb) => saved::show(args, verb, console),
        Verb::Create(verb) => apply::create(args, verb, console),
        Verb::Import(verb) => import::run(args, verb, console),
        Verb::Destroy(verb) => lifecycle::destroy(args, verb, console),
        Verb::Convert(verb) => convert::run(args, verb, console),
        Verb::Forget(verb) => lifecycle::forget(args, verb, console),
        Verb::Rollback(verb) => lifecycle::rollback(args, verb, console),
        Verb::Start(verb) => lifecycle::start(args, verb, console),
        Verb::Stop(verb) => lifecycle::stop(args, verb, console),
        Verb::Restart(verb) => lifecycle::restart(args, verb, console),
        Verb::Inventory(verb) => inventory::run(args, verb, console),
        Verb::Ssh(verb) => ssh::run(args, verb, console),
        Verb::Graph(verb) => graph::run(args, verb, console),
        Verb::Schema(verb) => schema::run(verb, console),
        Verb::Init(verb) => init::run(verb, console),
        Verb::Node(verb) => node::run(args, verb, console),
        Verb::Console(verb) => terminal::run(args, verb, console),
        Verb::Completions(verb) => Ok(completions::run(verb, console)),
        Verb::Man(verb) => man::run(verb, console),
        Verb::Complete(verb) => Ok(completions::complete(verb, console)),
    }
}
