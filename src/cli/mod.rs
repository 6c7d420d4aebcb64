//! The command line: arguments in, exit code out. The only module that reads the environment.

mod apply;
mod args;
mod commands;
mod completions;
mod connect;
mod consent;
mod console;
mod exit;
mod graph;
mod import;
mod init;
mod lifecycle;
mod load;
mod man;
mod node;
mod observe;
mod output;
mod plan;
mod reports;
mod runs;
mod saved;
mod schema;
mod staged;
mod status;
mod terminal;
mod validate;

use std::process::ExitCode;

use anyhow::Result;

use args::{Args, Verb};
use console::Console;
pub use exit::Exit;
use exit::Refusal;

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::of_this_process() {
        Ok(args) => args,
        Err(error) => {
            // clap knows where its text goes; that it cannot be printed is nothing to say more about.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let console = Console::new(args.color);
    match dispatch(&args, &console) {
        Ok(exit) => exit.into(),
        Err(error) => {
            console.error(&error);
            error.downcast_ref::<Refusal>().map_or(Exit::Failed, |refusal| refusal.exit).into()
        }
    }
}

fn dispatch(args: &Args, console: &Console) -> Result<Exit> {
    match &args.verb {
        Verb::Validate(verb) => validate::run(args, verb, console),
        Verb::Plan(verb) => plan::run(args, verb, console),
        Verb::Status(verb) => status::run(args, verb, console),
        Verb::Apply(verb) => apply::run(args, verb, console),
        Verb::Observe(verb) => observe::run(args, verb, console),
        Verb::Log => Ok(runs::list(args, console)),
        Verb::Show(verb) => saved::show(args, verb, console),
        Verb::Create(verb) => apply::create(args, verb, console),
        Verb::Import(verb) => import::run(args, verb, console),
        Verb::Destroy(verb) => lifecycle::destroy(args, verb, console),
        Verb::Rollback(verb) => lifecycle::rollback(args, verb, console),
        Verb::Start(verb) => lifecycle::start(args, verb, console),
        Verb::Stop(verb) => lifecycle::stop(args, verb, console),
        Verb::Restart(verb) => lifecycle::restart(args, verb, console),
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
