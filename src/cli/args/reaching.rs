//! What can be typed about reaching guests.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::Selecting;
use crate::cli::format::Output;

#[derive(Debug, Args)]
pub(in crate::cli) struct Inventory {
    #[command(flatten)]
    pub(in crate::cli) selecting: Selecting,
    /// ansible (the default), ssh-config, json or hosts; NAME=FILE writes it into a file instead, and may be repeated.
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = Output::of_inventory)]
    pub(in crate::cli) format: Vec<Output>,
    /// Take the addresses from a recording of `phoenix observe` instead of the target itself.
    #[arg(long, value_name = "RECORDING", conflicts_with = "target")]
    pub(in crate::cli) against: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Ssh {
    /// The VM: VMID, name or tag.
    #[arg(value_name = "VM")]
    pub(in crate::cli) vm: String,
    /// User to log in as; without it, the user that the config declares, else the one that ssh takes.
    #[arg(long, short = 'l', value_name = "USER")]
    pub(in crate::cli) user: Option<String>,
    /// What to run there instead of a shell; ssh hands it to the guest's shell, its words joined by spaces.
    #[arg(last = true, value_name = "COMMAND")]
    pub(in crate::cli) command: Vec<OsString>,
}
