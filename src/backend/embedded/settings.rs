//! `node.json`: what kind of node this is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files;
use super::guest_kind::{Accelerator, GuestKind};
use crate::hypervisor::{Fault, FaultKind, Plugged};
use crate::model::GIB;

/// File with the settings; its presence marks a directory as a node.
pub(super) const FILE: &str = "node.json";

/// What `node.json` says in `kind`.
const KIND: &str = "phoenix embedded node";

/// Version of the layout this phoenix writes and reads.
const VERSION: u32 = 1;

/// The settings of an embedded node, in `node.json`. People may edit them; they count from the next command on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    kind: String,
    version: u32,
    /// Name of the node.
    pub name: String,
    /// Memory of the node in MiB: a VM with more does not start.
    pub memory_mb: u64,
    /// Logical CPUs: a VM with more does not start.
    pub cpus: u32,
    /// Bridges, each with the node's own address on it, if it has one.
    pub bridges: BTreeMap<String, Option<String>>,
    /// Size of each storage of `storage.cfg` in GiB; a storage not named here has 100.
    pub storage_gb: BTreeMap<String, u64>,
    /// The other nodes of its cluster, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<String, Member>,
    /// NFS exports of other servers, `SERVER:PATH` → where the node sees them. Exports of the storages and of the node
    /// itself are known without being named here.
    #[serde(default)]
    pub exports: BTreeMap<String, String>,
    /// Whether the node has an NFS server of its own.
    #[serde(default = "yes")]
    pub nfs_server: bool,
    /// What the guests are: `simulated`, or real ones run by `qemu`.
    #[serde(default)]
    pub guests: GuestKind,
    /// Models of network cards for which simulated guests have no driver.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub missing_drivers: BTreeSet<String>,
    /// What simulated guests leave offline of that which their VM gets while it runs: `cpus`, `memory`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub leaves_offline: BTreeSet<Plugged>,
    /// What simulated guests do not let go of while they run: `net1`, `virtio2`, `memory`, `vcpus`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub holds: BTreeSet<String>,
    /// How QEMU runs guests: `kvm`, `tcg` (emulation), or `auto`: KVM if a guest gets going under it.
    #[serde(default)]
    pub accelerator: Accelerator,
    /// Milliseconds every operation takes.
    #[serde(default)]
    pub latency_ms: u64,
    /// Milliseconds from the start of a VM until its guest agent answers.
    #[serde(default)]
    pub agent_delay_ms: u64,
    /// Milliseconds from the start of a VM until cloud-init is done.
    #[serde(default)]
    pub cloud_init_delay_ms: u64,
    /// Milliseconds that a feature script takes.
    #[serde(default)]
    pub feature_ms: u64,
    /// Addresses that simulated guests without a fixed one have of the network, by VMID, where it is not the usual one.
    /// A running guest takes over a new one at once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leases: BTreeMap<u32, IpAddr>,
}

fn yes() -> bool {
    true
}

impl Default for Settings {
    fn default() -> Self {
        let sizes = [("local-zfs", 1024), ("local", 100), ("local-nfs", 100)];
        Self {
            kind: KIND.to_owned(),
            version: VERSION,
            name: "pve".to_owned(),
            memory_mb: 65_536,
            cpus: 32,
            bridges: BTreeMap::from([("vmbr0".to_owned(), Some("192.0.2.1".to_owned()))]),
            storage_gb: sizes.map(|(name, size)| (name.to_owned(), size)).into(),
            nodes: BTreeMap::new(),
            exports: BTreeMap::new(),
            nfs_server: true,
            guests: GuestKind::Simulated,
            missing_drivers: BTreeSet::new(),
            leaves_offline: BTreeSet::new(),
            holds: BTreeSet::new(),
            accelerator: Accelerator::Auto,
            latency_ms: 0,
            agent_delay_ms: 0,
            cloud_init_delay_ms: 0,
            feature_ms: 0,
            leases: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// The settings of a fresh node with guests of this kind.
    pub(super) fn of(guests: GuestKind) -> Self {
        let simulated = Self { guests, ..Self::default() };
        match guests {
            GuestKind::Simulated => simulated,
            // What this machine has; and the node where QEMU's networks have it by themselves.
            GuestKind::Qemu => Self {
                memory_mb: memory_mb().unwrap_or(simulated.memory_mb),
                bridges: BTreeMap::from([("vmbr0".to_owned(), Some("10.0.2.2".to_owned()))]),
                ..simulated
            },
        }
    }

    /// Reads the settings of the node in `dir`; `None`: there is no node.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, Fault> {
        let path = dir.join(FILE);
        let Some(text) = files::read(&path)? else { return Ok(None) };
        let settings: Self = serde_json::from_str(&text)
            .map_err(|error| Fault::harmless(FaultKind::Garbled, format!("{}: {error}", path.display())))?;
        if settings.kind != KIND || settings.version != VERSION {
            let what = format!("{}: not a node of a version this phoenix understands", path.display());
            return Err(Fault::harmless(FaultKind::Garbled, what));
        }
        Ok(Some(settings))
    }

    /// Writes the settings, replacing what is there at once.
    pub(super) fn write(&self, dir: &Path) -> Result<(), Fault> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Fault::harmless(FaultKind::Failed, format!("{FILE}: {error}")))?;
        files::replace(&dir.join(FILE), &dir.join("tmp").join(FILE), &(text + "\n"))
    }

    /// How long an operation takes.
    pub(super) fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms)
    }

    /// Size of a storage in bytes, as a node sees it.
    pub(super) fn storage_size(&self, storage: &str, node: &str) -> u64 {
        let of_node = self.nodes.get(node).and_then(|member| member.storage_gb.get(storage));
        of_node.or_else(|| self.storage_gb.get(storage)).copied().unwrap_or(100).saturating_mul(GIB)
    }
}

/// Another node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Memory of the node in MiB.
    pub memory_mb: u64,
    /// Logical CPUs.
    pub cpus: u32,
    /// Bridges, each with the node's own address on it, if it has one.
    pub bridges: BTreeMap<String, Option<String>>,
    /// Size in GiB of each of its own storages that has another one than on the first node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub storage_gb: BTreeMap<String, u64>,
    /// Whether it is up.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub online: bool,
}

/// A storage that another node gets, as the command line says it: `NAME`, `NAME=GIB`, `NAME=GIB,shared`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedStorage {
    /// Its id.
    pub id: String,
    /// Its size in GiB.
    pub size_gb: Option<u64>,
    /// All nodes see the same there.
    pub shared: bool,
}

impl std::str::FromStr for AddedStorage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (text, shared) = text.strip_suffix(",shared").map_or((text, false), |rest| (rest, true));
        let (id, size) = text.split_once('=').map_or((text, None), |(id, size)| (id, Some(size)));
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        // As Proxmox takes them.
        let is_id = id.len() >= 2
            && id.starts_with(|c: char| c.is_ascii_alphabetic())
            && id.ends_with(|c: char| c.is_ascii_alphanumeric())
            && id.chars().all(is_part);
        if !is_id {
            return Err(format!("`{id}` is no id of a storage: letters, digits, and `-`, `_`, `.` in between"));
        }
        let gib = |size: &str| size.parse().ok().filter(|size| (1..=1_073_741_824).contains(size));
        let size_gb = match size {
            Some(size) => Some(gib(size).ok_or("its size is a number of GiB: `NAME=500`, `NAME=500,shared`")?),
            None => None,
        };
        Ok(Self { id: id.to_owned(), size_gb, shared })
    }
}

/// What any node of the cluster has.
#[derive(Clone, Copy)]
pub(super) struct Room<'s> {
    pub(super) name: &'s str,
    pub(super) memory_mb: u64,
    pub(super) cpus: u32,
    pub(super) bridges: &'s BTreeMap<String, Option<String>>,
    pub(super) online: bool,
}

impl Settings {
    /// The node that the target stands on.
    pub(super) fn own_room(&self) -> Room<'_> {
        Room { name: &self.name, memory_mb: self.memory_mb, cpus: self.cpus, bridges: &self.bridges, online: true }
    }

    /// Every node, the one that the target stands on first.
    pub(super) fn rooms(&self) -> impl Iterator<Item = Room<'_>> {
        let others = self.nodes.iter().map(|(name, member)| {
            let Member { memory_mb, cpus, bridges, online, .. } = member;
            Room { name, memory_mb: *memory_mb, cpus: *cpus, bridges, online: *online }
        });
        std::iter::once(self.own_room()).chain(others)
    }
}

/// Memory of this machine, in MiB.
fn memory_mb() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix(" kB")?;
    kib.parse::<u64>().ok().map(|kib| kib / 1024)
}
