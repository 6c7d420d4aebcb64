//! What the verbs take that write what phoenix is made of: its schema, manual, completions, and a first config.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Schema {
    /// Which schema.
    #[arg(long, value_enum, default_value_t = SchemaOf::Config)]
    pub(in crate::cli) of: SchemaOf,
    /// Compare these files with the schema of this phoenix instead of printing it.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(in crate::cli) check: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Init {
    /// Where; made if it is not there.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(in crate::cli) dir: PathBuf,
}

/// What there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum SchemaOf {
    /// The config.
    Config,
    /// A plan as JSON.
    Plan,
    /// A status as JSON.
    Status,
    /// What `doctor` checked as JSON.
    Doctor,
    /// An inventory as JSON.
    Inventory,
    /// What `validate` found as JSON.
    Validate,
    /// A run of apply as JSON.
    Run,
    /// A line of the event stream.
    Event,
    /// What a node's administrator allows VMs to have, /etc/phoenix/allow.json.
    Allow,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Man {
    /// Where; made if it is not there. Pages of the same names are replaced.
    #[arg(value_name = "DIR")]
    pub(in crate::cli) dir: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Completions {
    /// Which shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub(in crate::cli) shell: Shell,
}

/// Shells that there is a script for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Shell {
    /// In `~/.bashrc`: eval "$(phoenix completions bash)"
    Bash,
    /// In `~/.zshrc`, after compinit: eval "$(phoenix completions zsh)"
    Zsh,
    /// In `~/.config/fish/config.fish`: phoenix completions fish | source
    Fish,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Complete {
    /// Which of the words.
    pub(in crate::cli) index: usize,
    /// The command line up to the cursor.
    #[arg(last = true, allow_hyphen_values = true)]
    pub(in crate::cli) words: Vec<OsString>,
}
