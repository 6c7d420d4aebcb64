//! The arguments of `phoenix fmt`.

use std::path::PathBuf;

/// What `fmt` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Fmt {
    /// Files to format instead of the one named by --config; `-` formats standard input to standard output.
    #[arg(value_name = "FILE")]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// Change nothing, print which files would change, and exit with 1 if there is one.
    #[arg(long)]
    pub(in crate::cli) check: bool,
    /// Also print what changes.
    #[arg(long)]
    pub(in crate::cli) diff: bool,
}
