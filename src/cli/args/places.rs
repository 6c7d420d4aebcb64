//! Where the operator says that the files of a config are.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Directories that are named on the command line.
#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Places {
    /// Where the feature scripts are; wins over the config, and may lie anywhere.
    #[arg(long, global = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(in crate::cli) features_dir: Option<PathBuf>,

    /// Where the files of secrets are, in place of the config's directory.
    #[arg(long, global = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(in crate::cli) secrets_dir: Option<PathBuf>,
}
