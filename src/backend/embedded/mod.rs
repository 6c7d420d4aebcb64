//! The embedded node: a Proxmox node in a directory.
//!
//! It behaves as the real one does where phoenix can tell the difference: configuration files in Proxmox's own syntax,
//! digests, pending changes, config locks, the states of a clone, the same refusals in the same words. It is where
//! phoenix acts when there is no Proxmox, and the stage on which an apply and its failures are rehearsed
//! (`faults.json`, see [`rehearse`]).
//!
//! | in the directory | what it is |
//! |---|---|
//! | `node.json` | settings ([`Settings`]); marks the directory as a node |
//! | `storage.cfg` | storages, in Proxmox's syntax |
//! | `user.cfg` | resource pools and who is in them, in Proxmox's syntax; usually there is none |
//! | `ha/` | the HA manager: `resources.cfg` and `manager_status`, in Proxmox's syntax, and `queue/VMID`; usually there is none |
//! | `mapping/` | resource mappings: `pci.cfg`, `usb.cfg`, `directory.cfg`, in Proxmox's syntax; usually there is none |
//! | `.members` | in Proxmox's syntax, whether the cluster that the node is in has quorum; usually there is none |
//! | `qemu-server/VMID.conf` | a VM or template |
//! | `images/STORAGE/VMID/NAME` | a volume: a small file with its size in bytes, or a qcow2 image |
//! | `run/VMID` | the simulated VM runs: when it was started, and with which fixed address |
//! | `guests/VMID/` | what the simulated guest has on its own disk |
//! | `processes/VMID/PID` | a program in a running simulated guest: how it ended |
//! | `qemu/VMID/` | a VM that QEMU runs, or ran |
//! | `nfs/` | the NFS server of real guests |
//! | `snapshots/VMID/NAME/` | what a guest had on its disk when a snapshot was taken |
//! | `root/` | the simulated file system of the host |
//! | `tasks/` | running tasks and the list of those that ended |
//! | `locks/` | lock files; the locks are the kernel's and end with their process |
//! | `tmp/` | files on their way to their place |
//!
//! Files are replaced by rename, so a process may be killed at any moment; nothing is synced, so a power cut may lose
//! the latest writes. No operation on one VM reads or writes files of another.

mod admin;
mod cdrom;
mod clock;
mod clone;
mod cloud_init;
mod cluster;
mod commands;
mod configure;
mod disk;
mod disk_image;
mod examine;
mod files;
mod fresh;
mod guest;
mod guest_disk;
mod guest_kind;
mod ha;
mod held;
mod host;
mod image;
mod machines;
mod nfs;
mod node;
mod options;
mod password;
mod pinned;
mod places;
mod pools;
mod power;
mod preconditions;
mod processes;
mod programs;
mod qemu;
mod quorum;
mod refusals;
pub mod rehearse;
mod settings;
mod simulated;
mod snapshot;
mod snippets;
mod storage;
mod tasks;
mod template;
mod unmade;
mod vms;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

pub use admin::{Summary, VmSummary};
pub use commands::Command;
pub use guest_kind::{Accelerator, GuestKind};
pub use nfs::NfsState;
pub use node::Embedded;
pub use qemu::{Console, Running as Machine, Started};
pub use settings::{AddedStorage, Member, Settings};
pub use tasks::Task;

use crate::hypervisor::{
    About, Cloning, Copied, Copying, Examine, Fault, FileOp, Guests, HostFiles, HostOp, Hypervisor, Wanted,
};
use crate::model::{CloudImage, VmId};
use crate::observed::{Capabilities, Examined, Export, Listed, MoveCheck, Node, Observed, Place, VmObserved};
use files::Deadline;
use machines::Machines;
use rehearse::Call;
use simulated::Simulated;

impl Embedded {
    /// Opens the node in `dir`. A directory that does not exist or is empty becomes a fresh node; one that holds
    /// anything else than a node is refused.
    pub fn open(dir: &Path) -> Result<Self, Fault> {
        Self::open_with(dir, None)
    }

    /// Opens the node as [`Embedded::open`] does; its guests are of this kind from then on. That changes only while
    /// none of its VMs runs.
    pub fn open_with(dir: &Path, guests: Option<GuestKind>) -> Result<Self, Fault> {
        let settings = admin::open(dir, guests)?;
        Ok(Self::with(dir, settings))
    }

    /// What runs the VMs of this node.
    fn machines(&self) -> Box<dyn Machines + '_> {
        match self.settings.guests {
            GuestKind::Simulated => Box::new(Simulated(self)),
            GuestKind::Qemu => Box::new(self.qemu()),
        }
    }

    /// Whether a VM runs.
    fn runs(&self, vm: VmId) -> Result<bool, Fault> {
        Ok(self.machines().started_at(vm)?.is_some())
    }
}

impl Hypervisor for Embedded {
    fn about(&self) -> About {
        let place = format!("embedded node at {}", self.dir.display());
        match self.settings.guests {
            GuestKind::Simulated => About { label: place, simulated: true },
            GuestKind::Qemu => {
                let emulated = self.qemu().is_emulated();
                let how = if emulated { "QEMU guests, emulated" } else { "QEMU guests" };
                About { label: format!("{place} ({how})"), simulated: false }
            }
        }
    }

    fn begin(&self) -> Result<(), Fault> {
        self.make()
    }

    fn observe_with(&self, wanted: &Wanted) -> Result<Observed, Fault> {
        let attempt = self.begin_call(&Call { op: "observe", ..Call::default() }, Deadline::NONE)?;
        let (mut cloning, unattributed_clone) = self.tasks.clones()?;
        for vm in self.vms_in("ha/queue")? {
            self.let_ha_act(vm)?;
        }
        let (mut vms, used) = self.read_all()?;
        self.settle(&mut vms, &mut cloning)?;
        let without_nfs = self.nfs().lacks();
        let real = self.settings.guests == GuestKind::Qemu;
        let (places, counts) = self.look_at(&wanted.directories)?;
        let pools = self.pools()?;
        for (vm, pool) in &pools.members {
            vms.entry(*vm).and_modify(|vm| vm.pool = Some(pool.clone()));
        }
        let managed = self.managed()?;
        for (vm, ha) in &managed {
            vms.entry(*vm).and_modify(|vm| vm.ha = Some(ha.clone()));
        }
        let mut nodes = self.nodes(&vms, &used)?;
        let own = nodes.remove(&self.settings.name).unwrap_or_default();
        let own = Node {
            nfs_server: self.settings.nfs_server && without_nfs.is_none(),
            nfs_ended: self.nfs().look()?.is_some_and(NfsState::has_ended),
            nfs_hint: without_nfs.and_then(|fault| Some(format!("{}: {}", fault.what, fault.hint?))),
            directories: counts,
            places,
            allowed: self.allowed()?,
            snippets: self.snippets_on_host()?,
            exports: self.exports_on_host(&|_| true)?,
            ..own
        };
        nodes.insert(own.name.clone(), own);
        attempt.after(Ok(Observed {
            here: self.settings.name.clone(),
            identity: format!("directory {}", admin::whole(&self.dir).display()),
            capabilities: if real { Capabilities::REAL_GUESTS } else { Capabilities::PROXMOX },
            template_hint: real.then(|| {
                "`phoenix node add-template NAME --image FILE` makes one of the disk image of a cloud image".to_owned()
            }),
            missing: self.missing_programs(),
            nodes,
            vms,
            homes: BTreeMap::new(),
            taken: BTreeMap::new(),
            ha: managed.into_keys().collect(),
            addresses: BTreeMap::new(),
            guests: BTreeMap::new(),
            unnamed: BTreeMap::new(),
            without_quorum: self.without_quorum()?,
            mappings: Some(self.mappings()?),
            moves: BTreeMap::new(),
            pools: pools.names,
            cloning,
            working: self.tasks.working()?,
            unattributed_clone,
        }))
    }

    fn examine(&self, asked: &Examine) -> Result<Option<Examined>, Fault> {
        Ok(Some(self.examined(asked)))
    }

    fn vm(&self, vm: VmId) -> Result<Option<VmObserved>, Fault> {
        self.let_ha_act(vm)?;
        let mut reader = files::Reader::default();
        let Some(file) = reader.bytes(&self.conf_path(vm))? else { return Ok(None) };
        let node = self.room_of(vm);
        let live = VmObserved::from_file(vm, file, node.online && self.runs(vm)?).on(node.name);
        let live = live.in_pool(self.pools()?.members.get(&vm).map(String::as_str));
        Ok(Some(live.looked_after(self.managed()?.remove(&vm))))
    }

    fn isos(&self, storages: &[&str]) -> Result<BTreeMap<String, BTreeSet<String>>, Fault> {
        self.isos_on(storages)
    }

    /// All of its nodes have one tree of files.
    fn isos_of(&self, _node: &str, storage: &str) -> Result<Option<BTreeSet<String>>, Fault> {
        Ok(self.isos_on(&[storage])?.remove(storage))
    }

    fn listed(&self, vms: &[VmId], storages: &[&str]) -> Result<Listed, Fault> {
        self.volumes_on_disk().listed(vms, storages, &self.storages(false)?)
    }

    /// All of its nodes have one tree of files.
    fn volumes_on(&self, _node: &str, storage: &str, vm: VmId) -> Result<Option<BTreeSet<String>>, Fault> {
        let listed = self.listed(&[vm], &[storage])?.remove(storage);
        Ok(listed.map(|on| on.into_keys().collect()))
    }

    fn volumes(&self, vm: VmId) -> Result<Vec<String>, Fault> {
        self.volumes_on_disk().list(vm, &self.storages(false)?)
    }

    fn volumes_of(&self, vms: &[VmId], storages: &[&str]) -> Result<BTreeMap<VmId, Vec<String>>, Fault> {
        let (volumes, all) = (self.volumes_on_disk(), self.storages(false)?);
        let on_these = |volume: &String| volume.split(':').next().is_some_and(|storage| storages.contains(&storage));
        let of = |vm: &VmId| Ok((*vm, volumes.list(*vm, &all)?.into_iter().filter(on_these).collect()));
        vms.iter().map(of).collect()
    }

    fn cloning(&self, vm: VmId) -> Result<Cloning, Fault> {
        let (targets, unknown) = self.tasks.clones()?;
        Ok(match (targets.contains(&vm), unknown) {
            (true, _) => Cloning::Yes,
            (false, true) => Cloning::Unknown,
            (false, false) => Cloning::No,
        })
    }

    fn working(&self, vm: VmId) -> Result<Option<String>, Fault> {
        Ok(self.tasks.working()?.remove(&vm))
    }

    fn can_move(&self, vm: VmId, _from: &str, to: &str) -> Result<Option<MoveCheck>, Fault> {
        self.preconditions_of(vm, to).map(Some)
    }

    fn image_size(&self, image: &CloudImage) -> Result<Option<u64>, Fault> {
        self.measure(image).map(Some)
    }

    fn copied(&self, copying: Copying<'_>) -> Result<Option<Copied>, Fault> {
        match copying {
            Copying::Of(HostOp::FetchImage { image, .. }) => self.fetched(image),
            Copying::Of(_) => Ok(None),
            Copying::Making(vm) | Copying::Moving(vm) => self.tasks.copied(vm),
        }
    }

    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        let call = Call::of(op);
        let attempt = rehearse::begin(&self.dir, &call, Deadline::after(deadline))?;
        self.may_do(&call, attempt)?;
        if let Some(vm) = op.needs() {
            self.online(self.room_of(vm).name)?;
        }
        let is_clone = matches!(op, HostOp::Clone { .. });
        attempt.before(!is_clone)?;
        if !is_clone {
            attempt.deadline.pass(self.settings.latency())?;
        }
        if self.hands_on(op, attempt)? {
            return attempt.after(Ok(()));
        }
        let result = match op {
            HostOp::Clone { source, target, name, description, storage, node } => {
                let (storage, node) = (storage.as_deref(), node.as_deref());
                let order = clone::Order { source: *source, target: *target, name, description, storage, node };
                self.clone_vm(order, attempt)
            }
            HostOp::FetchImage { image, .. } => self.fetch_image(image, attempt),
            HostOp::Create { vm, name, description } => self.create_vm(*vm, name, description, attempt),
            HostOp::ImportDisk { vm, image, storage, digest } => {
                let write = crate::hypervisor::image::import(&self.image_path(image), storage);
                self.configure(*vm, &write, Some(digest), attempt)
            }
            HostOp::ImportFurther { vm, image, disk, digest } => {
                let write = crate::hypervisor::image::import_further(&self.image_path(image), disk);
                self.configure(*vm, &write, Some(digest), attempt)
            }
            HostOp::Configure { vm, write, digest } => self.configure(*vm, write, Some(digest), attempt),
            HostOp::Resize { vm, disk, size_gb } => self.resize(*vm, disk, *size_gb, attempt),
            HostOp::SetPool { vm, from, to } => self.set_pool(*vm, (from.as_deref(), to.as_deref()), attempt),
            HostOp::SetHa { vm, ha, is_new } => self.set_ha(*vm, (ha, *is_new), attempt),
            HostOp::LeaveHa { vm } => self.take_from_ha(*vm, attempt),
            HostOp::UpdateCloudInit { vm } => self.update_cloud_init(*vm, attempt),
            HostOp::MoveDisk { vm, disk, storage, delete_source, digest } => {
                let what = disk::Move { vm: *vm, disk, storage, delete_source: *delete_source, digest };
                self.move_disk(what, attempt)
            }
            HostOp::Migrate { vm, node, online, .. } => {
                self.migrate(cluster::Migration { vm: *vm, node, online: *online }, attempt)
            }
            HostOp::Snapshot { vm, name, description, digest } => {
                self.snapshot(*vm, (name, description), Some(digest), attempt)
            }
            HostOp::RemoveSnapshot { vm, name } => self.remove_snapshot(*vm, name, attempt),
            HostOp::Rollback { vm, name, start, digest } => {
                self.rollback(*vm, name, digest, attempt)?;
                let attempt = attempt.unrehearsed();
                if *start && !self.hands_on(&HostOp::Start { vm: *vm }, attempt)? {
                    self.start_vm(*vm, attempt)?;
                }
                Ok(())
            }
            HostOp::Template { vm, disk, digest } => self.convert(*vm, disk.as_deref(), Some(digest), attempt),
            HostOp::Start { vm } => self.start_vm(*vm, attempt),
            HostOp::Shutdown { vm } => self.shutdown_vm(*vm, attempt),
            HostOp::Stop { vm } => self.stop_vm(*vm, attempt),
            HostOp::Destroy { vm, digest } => self.destroy(*vm, Some(digest), false, attempt),
            HostOp::Revert { vm, keys, digest } => self.revert(*vm, keys, Some(digest), attempt),
            HostOp::RemoveLeftover { vm, unreferenced } => self.remove_leftover(*vm, *unreferenced, attempt),
        };
        attempt.after(result)
    }

    fn door(&self, vm: VmId) -> Result<Option<SocketAddr>, Fault> {
        match self.settings.guests {
            GuestKind::Simulated => Ok(None),
            // The guest's own address is one of a network inside QEMU.
            GuestKind::Qemu => Ok(Some(SocketAddr::from(([127, 0, 0, 1], self.qemu().ssh_port(vm)?)))),
        }
    }

    fn console(&self, vm: VmId) -> String {
        match self.settings.guests {
            // As on the node that it stands for.
            GuestKind::Simulated => crate::hypervisor::terminal(vm),
            GuestKind::Qemu => {
                format!("`phoenix console {vm}`; {} has what it wrote there", self.qemu().console_log(vm).display())
            }
        }
    }

    fn guests(&self) -> &dyn Guests {
        self
    }

    fn files(&self) -> Option<&dyn HostFiles> {
        Some(self)
    }
}

impl HostFiles for Embedded {
    fn places(&self, directories: &[String]) -> Result<BTreeMap<String, Place>, Fault> {
        Ok(self.look_at(directories)?.0)
    }

    fn exports(&self, vm: VmId) -> Result<Vec<Export>, Fault> {
        // What no server serves is not exported.
        if self.nfs().look()?.is_some_and(NfsState::has_ended) {
            return Ok(Vec::new());
        }
        self.exports_on_host(&|owner| owner == vm)
    }

    fn write(&self, op: &FileOp, deadline: Duration) -> Result<(), Fault> {
        let attempt = rehearse::begin(&self.dir, &Call::of_files(op), Deadline::after(deadline))?;
        attempt.before(true)?;
        attempt.deadline.pass(self.settings.latency())?;
        attempt.after(match op {
            FileOp::WriteExports { vm, entries } => self.write_exports(*vm, entries, attempt),
            FileOp::MakeDirectory { path } => self.make_directory(path, attempt),
            FileOp::WriteSnippet { path, text, .. } => self.write_snippet(path, text, attempt),
            FileOp::RemoveSnippet { path, .. } => self.remove_snippet(path, attempt),
        })
    }
}
