//! The arguments of `phoenix convert`.

use std::path::PathBuf;

/// What `convert` takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Convert {
    /// The config of the former system; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,

    /// Write the new config into this file, which must not be there yet; without it, to standard output.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) out: Option<PathBuf>,
}
