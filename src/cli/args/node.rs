//! What can be typed about the embedded node.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::backend::embedded::{self, AddedStorage};

/// What the guests of an embedded node are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum GuestKind {
    /// Nothing is executed.
    Simulated,
    /// Real virtual machines, run by QEMU on this machine.
    Qemu,
}

impl From<GuestKind> for embedded::GuestKind {
    fn from(kind: GuestKind) -> Self {
        match kind {
            GuestKind::Simulated => Self::Simulated,
            GuestKind::Qemu => Self::Qemu,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(in super::super) enum Node {
    /// Make the node, with one template and a few storages.
    #[command(after_help = "Examples:
  phoenix node init
  phoenix node init rehearsal --guests qemu")]
    Init {
        /// Its directory, empty or not there yet; without it, the one of the target.
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Show the node, its storages and VMs.
    #[command(after_help = "Examples:\n  phoenix node show")]
    Show,
    /// Add a template that VMs can be cloned from.
    #[command(after_help = "Examples:
  phoenix node add-template debian-12 --size 4
  phoenix node add-template debian-12 --image debian-12.qcow2 --guests qemu")]
    AddTemplate {
        /// Name of the template.
        name: String,
        /// Size of its disk in GiB; simulated guests keep nothing on it.
        #[arg(long, value_name = "GIB", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=65_536))]
        size: u32,
        /// Disk image (qcow2 or raw) that its QEMU guests boot from; it is copied.
        #[arg(long, value_name = "FILE", conflicts_with = "size")]
        image: Option<PathBuf>,
    },
    /// Add a node to the cluster, to rehearse with several.
    #[command(after_help = "Examples:
  phoenix node add pve2
  phoenix node add pve3 --memory 131072 --cpus 64
  phoenix node add pve4 --storage fast=500 --storage ceph=2000,shared")]
    Add {
        /// Name of the node.
        name: String,
        /// Its memory in MiB; without it, as much as the first node has.
        #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(16..=1_073_741_824))]
        memory: Option<u64>,
        /// Its logical CPUs; without it, as many as the first node has.
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=65_536))]
        cpus: Option<u32>,
        /// A storage for disks that it has beside those of the first node, or one of those in another size, in GiB;
        /// `,shared`: all nodes see the same there.
        #[arg(long = "storage", value_name = "NAME[=GIB][,shared]")]
        storages: Vec<AddedStorage>,
    },
    /// Remove the node with everything in it; its QEMU guests are stopped.
    #[command(after_help = "Examples:\n  phoenix node reset --auto-approve")]
    Reset {
        /// Do not ask.
        #[arg(long)]
        auto_approve: bool,
    },
}

#[derive(Debug, Args)]
pub(in super::super) struct Terminal {
    /// The VM: VMID, name or tag.
    #[arg(value_name = "VM")]
    pub(in super::super) vm: String,
}
