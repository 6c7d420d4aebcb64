//! What can be typed after the verbs that change something.

use std::path::PathBuf;

use clap::{ArgGroup, Args as ClapArgs};

use super::selecting::Selecting;
use crate::cli::format::Output;
use crate::model::{InvalidHostPath, allowed_path, is_content_digest, proxmox};

/// What to do beside making the VMs what the config says.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Clone, Default, ClapArgs)]
pub(in crate::cli) struct Options {
    /// Restart VMs that have values waiting for a restart: their guests are asked to shut down.
    #[arg(long)]
    pub(in crate::cli) restart: bool,
    /// Stop guests by force that do not shut down within three minutes.
    #[arg(long)]
    pub(in crate::cli) force_stop: bool,
    /// Erase the old volume of a disk that moves to another storage.
    #[arg(long)]
    pub(in crate::cli) delete_source: bool,
    /// Take a snapshot of each VM before it is disturbed, and remove it when the VM is ready again.
    #[arg(long)]
    pub(in crate::cli) snapshot: bool,
    /// Run this feature again where it ran already; may be repeated or separated by commas.
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    pub(in crate::cli) rerun: Vec<String>,
    /// First look into the guests of running VMs: what is no longer mounted is mounted again, a feature whose result is
    /// gone runs again; CPUs and memory that a guest leaves offline are reported.
    #[arg(long)]
    pub(in crate::cli) verify_guest: bool,
    /// Destroy VMs of this project that the config no longer declares.
    #[arg(long, conflicts_with = "only")]
    pub(in crate::cli) prune: bool,
    /// Destroy the VM of this VMID or name and make it anew from its entry in the config; may be repeated.
    #[arg(long, value_name = "VM")]
    pub(in crate::cli) recreate: Vec<String>,
    /// Erase the unused volumes of the VM of this VMID or name, which disks left that were detached or moved; may be
    /// repeated.
    #[arg(long, value_name = "VM")]
    pub(in crate::cli) delete_unused: Vec<String>,
    /// Let --prune destroy this many VMs although that is more than half of the project.
    #[arg(long, value_name = "N", requires = "prune")]
    pub(in crate::cli) prune_many: Option<usize>,
}

/// What VMs may use of the node.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(in crate::cli) struct Allowing {
    /// Let VMs have this directory of the node and what is below it, as its allow.json would; may be repeated.
    #[arg(long, value_name = "DIR", value_parser = directory)]
    pub(in crate::cli) allow_host_path: Vec<String>,

    /// Let this option of VMs reach into the node, e.g. `hostpci` or `args`, as its allow.json would; may be repeated.
    #[arg(long, value_name = "NAME", value_parser = host_option)]
    pub(in crate::cli) allow_host_option: Vec<String>,
}

/// Reads the name of an option that may reach into a node.
fn host_option(text: &str) -> Result<String, String> {
    if proxmox::can_reach(text) {
        Ok(text.to_owned())
    } else {
        Err("no option of this name reaches into a node".to_owned())
    }
}

/// Reads a directory that VMs may have.
fn directory(text: &str) -> Result<String, InvalidHostPath> {
    allowed_path(text)
}

/// Consent to what cannot be taken back.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(in crate::cli) struct Losing {
    /// Agree that the VM of this VMID, or of this name if no other one of the plan has it, is destroyed; every one must
    /// be named.
    #[arg(long, value_name = "VM", value_delimiter = ',')]
    pub(in crate::cli) yes_destroy: Vec<String>,
}

/// How to carry out.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(in crate::cli) struct Running {
    /// How many actions may run at once.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(in crate::cli) parallelism: u16,
    /// Print the event stream as JSON lines instead of text; the same as `--format jsonl`.
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// human, json, jsonl, markdown, html, github or junit; NAME=FILE writes it into a file instead, and may be
    /// repeated.
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = Output::of_run)]
    pub(in crate::cli) format: Vec<Output>,
    /// Exit with 8 when everything is done but a restart is pending.
    #[arg(long)]
    pub(in crate::cli) detailed_exitcode: bool,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Apply {
    #[command(flatten)]
    pub(in crate::cli) selecting: Selecting,
    #[command(flatten)]
    pub(in crate::cli) running: Running,
    #[command(flatten)]
    pub(in crate::cli) options: Options,
    #[command(flatten)]
    pub(in crate::cli) allowing: Allowing,
    /// Do not ask.
    #[arg(long)]
    pub(in crate::cli) auto_approve: bool,
    #[command(flatten)]
    pub(in crate::cli) losing: Losing,
    /// Agree that unused volumes of the VM of this VMID, or of this name if no other one of the plan has it, are
    /// erased; every such VM must be named.
    #[arg(long, value_name = "VM", value_delimiter = ',')]
    pub(in crate::cli) yes_delete_unused: Vec<String>,
    /// Carry out only the plan with this hash, without asking; another one is refused. All 64 characters of it. Beside
    /// PLAN, the saved plan must have this hash.
    #[arg(long, value_name = "HASH", value_parser = whole_hash)]
    pub(in crate::cli) expect: Option<String>,
    /// Carry out this saved plan, without asking; a VM that changed since then is left alone.
    #[arg(value_name = "PLAN", conflicts_with_all = ["only", "exclude", "Options", "Allowing"])]
    pub(in crate::cli) plan: Option<PathBuf>,
}

/// A plan hash as the plan prints it; never the beginning of one, which others may share.
fn whole_hash(text: &str) -> Result<String, String> {
    if is_content_digest(text) {
        return Ok(text.to_owned());
    }
    let found = text.chars().count();
    Err(format!(
        "a plan hash has 64 characters out of 0-9 and a-f, this has {found}; copy the whole `Plan hash` of `phoenix plan`"
    ))
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Create {
    /// Which VMs: VMID, name or tag.
    #[arg(value_name = "VM", required = true)]
    pub(in crate::cli) vms: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) allowing: Allowing,
    #[command(flatten)]
    pub(in crate::cli) running: Running,
}

#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("which").args(["vms", "all", "tag"]).required(true)))]
pub(in crate::cli) struct Import {
    /// Which VMs: VMID, name or tag.
    #[arg(value_name = "VM")]
    pub(in crate::cli) vms: Vec<String>,
    /// Every VM of the node that can be imported.
    #[arg(long)]
    pub(in crate::cli) all: bool,
    /// Every VM with this tag that can be imported; may be repeated or separated by commas.
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    pub(in crate::cli) tag: Vec<String>,
    /// Only show what would be written.
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Destroy {
    /// Which VMs: VMID, name or tag.
    #[arg(value_name = "VM", required = true)]
    pub(in crate::cli) vms: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) losing: Losing,
    /// Stop guests by force that do not shut down within three minutes.
    #[arg(long)]
    pub(in crate::cli) force_stop: bool,
    #[command(flatten)]
    pub(in crate::cli) running: Running,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Forget {
    /// Which VMs: VMID, name or tag.
    #[arg(value_name = "VM", required = true)]
    pub(in crate::cli) vms: Vec<String>,
    /// Do not ask.
    #[arg(long)]
    pub(in crate::cli) auto_approve: bool,
    #[command(flatten)]
    pub(in crate::cli) running: Running,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Rollback {
    /// Which VMs: VMID, name or tag.
    #[arg(value_name = "VM", required = true)]
    pub(in crate::cli) vms: Vec<String>,
    /// Name of the snapshot, where a VM has several.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) to: Option<String>,
    /// Agree that the VM of this VMID, or of this name if no other one of the plan has it, is rolled back; every one
    /// must be named.
    #[arg(long = "yes-rollback", value_name = "VM", value_delimiter = ',')]
    pub(in crate::cli) agreed: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) running: Running,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Start {
    /// Which VMs: VMID, name or tag.
    #[arg(value_name = "VM", required = true)]
    pub(in crate::cli) vms: Vec<String>,
    /// Do not ask, even where running guests are interrupted.
    #[arg(long)]
    pub(in crate::cli) auto_approve: bool,
    #[command(flatten)]
    pub(in crate::cli) running: Running,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Stop {
    /// Which VMs: VMID, name or tag.
    #[arg(value_name = "VM", required = true)]
    pub(in crate::cli) vms: Vec<String>,
    /// Stop guests by force that do not shut down within three minutes.
    #[arg(long = "force-stop")]
    pub(in crate::cli) force: bool,
    /// Do not ask.
    #[arg(long)]
    pub(in crate::cli) auto_approve: bool,
    #[command(flatten)]
    pub(in crate::cli) running: Running,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Restart {
    /// Which VMs: VMID, name or tag.
    #[arg(value_name = "VM", required = true)]
    pub(in crate::cli) vms: Vec<String>,
    /// Stop guests by force that do not shut down within three minutes.
    #[arg(long)]
    pub(in crate::cli) force_stop: bool,
    /// Do not ask.
    #[arg(long)]
    pub(in crate::cli) auto_approve: bool,
    #[command(flatten)]
    pub(in crate::cli) running: Running,
}
