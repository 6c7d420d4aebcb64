//! Standard output, standard error and the person in front of them.

use std::io::{BufRead as _, IsTerminal as _};

use super::args::When;
use super::exit::{Exit, Refusal};
use super::printer::{Patience, Printer, Stream, Unwritten};
use crate::config::Source;
use crate::diag::Diagnostic;
use crate::hypervisor::Fault;
use crate::ui::layout::count;
use crate::ui::style::{Role, Style};
use crate::ui::text::safe_block;
use crate::ui::{self, diagnostics, text};

/// Columns where there is no terminal to ask.
const DEFAULT_WIDTH: usize = 80;

/// Where text goes and how it may look there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Console {
    out: Style,
    err: Style,
    width: usize,
    /// Columns of the terminal that standard error is; `None`: it is none, and nothing is broken.
    err_width: Option<usize>,
    verbose: bool,
    /// Standard input is the config: it holds no answers.
    input_is_config: bool,
    printer: &'static Printer,
}

impl Console {
    pub(super) fn new(when: When, verbose: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let wanted = |terminal: bool| match when {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && !no_color && !dumb,
        };
        let width = terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0));
        Self {
            out: Style { color: wanted(std::io::stdout().is_terminal()) },
            err: Style { color: wanted(std::io::stderr().is_terminal()) },
            width: if std::io::stdout().is_terminal() { width.max(40) } else { DEFAULT_WIDTH },
            err_width: std::io::stderr().is_terminal().then(|| width.max(40)),
            verbose,
            input_is_config: false,
            printer: Box::leak(Box::default()),
        }
    }

    /// Colours of standard output.
    pub(super) fn style(&self) -> Style {
        self.out
    }

    /// The same console, for text that is to have no colours.
    pub(super) fn without_color(self) -> Self {
        Self { out: Style { color: false }, ..self }
    }

    /// The same console, where standard input is the config.
    pub(super) fn with_config_as_input(self) -> Self {
        Self { input_is_config: true, ..self }
    }

    /// Why nothing can be asked.
    pub(super) fn why_silent(&self) -> &'static str {
        if self.input_is_config { "standard input is the config" } else { "standard input is not a terminal" }
    }

    /// Whether what is unchanged is shown one by one.
    pub(super) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Columns of standard output.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Whether a live display can be shown.
    #[expect(clippy::unused_self, reason = "what the terminal can do is the console's to tell")]
    pub(super) fn is_live(&self) -> bool {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        std::io::stderr().is_terminal() && std::io::stdout().is_terminal() && !dumb
    }

    /// Where it prints.
    pub(super) fn printer(&self) -> &'static Printer {
        self.printer
    }

    /// Prints data. A reader that went away (`| head`) is no error, and must not stop a run.
    pub(super) fn print(&self, text: &str) {
        self.printer.print(Stream::Out, text);
    }

    /// Prints what is not data.
    pub(super) fn note(&self, text: &str) {
        self.printer.print(Stream::Err, text);
    }

    /// Waits for what was printed to be written, and says what of it was not. Returns how the process ends.
    pub(super) fn finish(&self, exit: Exit) -> Exit {
        let written = self.printer.finish(Stream::Out);
        if written.is_err() {
            // There was time enough to read the other stream, too.
            self.printer.hasten(Patience::LEFT);
        }
        let failed = written.err().map(|unwritten| match unwritten {
            Unwritten::Failed(error) => anyhow::Error::new(error).context("cannot write standard output"),
            Unwritten::Unread(bytes) => Refusal::failed(
                format!("nothing reads standard output: its last {} are lost", count(bytes, "byte")),
                "`phoenix log` lists this run, if it was started, and `phoenix show RUN` shows it",
            ),
        });
        if let Some(error) = &failed {
            self.error(error);
        }
        match self.printer.dropped() {
            0 => {}
            lines => {
                let lines = count(usize::try_from(lines).unwrap_or(usize::MAX), "line");
                self.note(&format!(
                    "{lines} of progress were left out: standard output was not read fast enough
"
                ));
            }
        }
        // That this stream is not read, or full, cannot be said anywhere.
        let _ = self.printer.finish(Stream::Err);
        if failed.is_some() && !matches!(exit, Exit::Usage | Exit::Stale) { Exit::Failed } else { exit }
    }

    /// Prints diagnostics.
    pub(super) fn diagnostics(&self, list: &[Diagnostic], source: Option<&Source>) {
        if !list.is_empty() {
            self.sentences(&diagnostics::render(list, source, self.err.color));
        }
    }

    /// Prints what a plan found, with the places in the config, if its text is at hand.
    pub(super) fn findings(&self, found: &[Diagnostic], source: Option<&Source>) {
        self.diagnostics(&ui::findings::shown(found, source), source);
    }

    /// Prints an error with its causes and, if it has one, the way out.
    pub(super) fn error(&self, error: &anyhow::Error) {
        let mut lines = format!("{}: {}\n", self.err.paint(Role::Failure, "error"), safe_block(&error.to_string()));
        for cause in error.chain().skip(1) {
            lines.push_str(&format!("  because: {}\n", safe_block(&cause.to_string())));
        }
        let refusal = error.downcast_ref::<Refusal>().map(|refusal| &refusal.hint);
        let fault =
            || error.chain().find_map(|cause| cause.downcast_ref::<Fault>()).and_then(|fault| fault.hint.as_ref());
        if let Some(hint) = refusal.or_else(fault) {
            lines.push_str(&format!("hint: {}\n", safe_block(hint)));
        }
        self.sentences(&lines);
    }

    /// Prints sentences on standard error, broken at words.
    fn sentences(&self, text: &str) {
        match self.err_width {
            Some(width) => self.note(&ui::layout::fitted(text, width)),
            None => self.note(text),
        }
    }

    /// Asks for a line. `None`: there is no one to ask.
    pub(super) fn typed(&self, question: &str) -> Option<String> {
        if self.input_is_config || !std::io::stdin().is_terminal() {
            return None;
        }
        // What is asked about has been read, or could have been.
        self.printer.settle();
        self.note(&text::safe(question));
        let mut answer = String::new();
        // An input that cannot be read is no answer.
        let read = std::io::stdin().lock().read_line(&mut answer);
        if !answer.ends_with('\n') {
            // Input ended, and the cursor still stands behind the question.
            self.note("\n");
        }
        Some(if read.is_ok() { answer.trim().to_owned() } else { String::new() })
    }

    /// Asks for the word `yes`. `None`: there is no one to ask.
    pub(super) fn confirm(&self, question: &str) -> Option<bool> {
        self.typed(&format!("{question} Type `yes` to continue: ")).map(|answer| answer == "yes")
    }
}
