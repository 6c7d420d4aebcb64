//! How VMs are chosen on the command line.

use anyhow::Result;
use clap::Args as ClapArgs;

use crate::cli::exit::Refusal;
use crate::model::VmId;

/// Which VMs.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(in crate::cli) struct Selecting {
    /// Only these VMs: VMID, name or tag; may be repeated or separated by commas.
    #[arg(long, value_name = "VM", value_delimiter = ',')]
    pub(in crate::cli) only: Vec<String>,
    /// Not these VMs: VMID, name or tag; may be repeated or separated by commas.
    #[arg(long, value_name = "VM", value_delimiter = ',')]
    pub(in crate::cli) exclude: Vec<String>,
}

/// VMIDs as they were typed.
pub(in crate::cli) fn vm_ids(words: &[String], verb: &str) -> Result<Vec<VmId>> {
    let parse = |word: &String| {
        let hint = format!("name the VMs by VMID, e.g. `phoenix {verb} 1000`");
        word.parse::<VmId>().map_err(|error| Refusal::usage(error.to_string(), hint))
    };
    words.iter().map(parse).collect()
}
