//! How VMs are chosen on the command line.

use clap::Args as ClapArgs;

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
