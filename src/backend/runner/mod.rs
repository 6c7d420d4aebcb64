//! Running programs: on this machine, or on the one that ssh reaches. Argv in; status and output out.

mod local;
mod ssh;

use std::time::Duration;

pub use local::Local;
pub use ssh::{Sockets, Ssh};

use crate::hypervisor::Fault;

/// A program to run on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; never given to a shell as text.
    pub argv: Vec<String>,
    /// What it reads on standard input.
    pub stdin: Vec<u8>,
    /// How long it may take.
    pub deadline: Duration,
    /// Whether it changes anything: decides what a lost answer may mean.
    pub changes: bool,
    /// Standard input stays open behind `stdin` until the program ended or is given up, so that the program can tell
    /// whether a caller still waits for it.
    pub attended: bool,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Exit status; what a shell would say (128 + n) for a signal.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error, as text.
    pub stderr: String,
}

/// The locale of every program. Proxmox decodes its arguments by it: without UTF-8 a description with an umlaut would
/// be stored as something else; and Perl prints warnings about a locale that is missing.
const LOCALE: &str = "C.UTF-8";

/// Runs programs on a node.
pub trait Runner: Send + Sync {
    /// Runs a program to its end. A program that ends with any status is no fault; one whose end is not known is.
    fn run(&self, command: &Command) -> Result<Output, Fault>;

    /// Where they run, for people: `this node`, `root@pve1`.
    fn place(&self) -> String;
}

impl Command {
    /// A program that only looks.
    #[must_use]
    pub fn look(argv: Vec<String>, deadline: Duration) -> Self {
        Self { argv, stdin: Vec::new(), deadline, changes: false, attended: false }
    }

    /// A program that changes something.
    #[must_use]
    pub fn change(argv: Vec<String>, deadline: Duration) -> Self {
        Self { argv, stdin: Vec::new(), deadline, changes: true, attended: false }
    }

    /// The command in a few words, for messages: of one of phoenix's own scripts its name, else the program and its
    /// first plain words.
    #[must_use]
    pub fn words(&self) -> String {
        if let [shell, flag, _, name, ..] = self.argv.as_slice()
            && shell == "/bin/sh"
            && flag == "-c"
        {
            return name.clone();
        }
        let plain = |word: &&String| !word.starts_with('-') && word.len() < 40 && !word.contains(['\n', ' ']);
        self.argv.iter().take_while(plain).take(4).cloned().collect::<Vec<_>>().join(" ")
    }
}
