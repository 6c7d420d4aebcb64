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
mod clone;
mod cloud_init;
mod commands;
mod configure;
mod disk;
mod files;
mod guest;
mod host;
mod image;
mod machines;
mod nfs;
mod options;
mod pinned;
mod places;
mod power;
mod processes;
mod programs;
mod qemu;
pub mod rehearse;
mod settings;
mod simulated;
mod snapshot;
mod storage;
mod tasks;
mod template;
mod unmade;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use admin::{Summary, VmSummary};
pub use commands::Command;
pub use machines::Guests as GuestKind;
pub use nfs::NfsState;
pub use qemu::{Accelerator, Console, Running as Machine, Started};
pub use settings::Settings;
pub use tasks::Task;

use crate::hypervisor::{About, Cloning, Fault, FaultKind, Guests, HostOp, Hypervisor};
use crate::model::{CloudImage, Digest, VmId};
use crate::observed::{Conf, Export, Node, Observed, Place, Storage, VmObserved, config_digest};
use configure::unlocked;
use files::{Deadline, Lock, Reader};
use guest::Programs;
use rehearse::Call;
use storage::Volumes;
use tasks::Tasks;

/// Directories of a node.
const DIRECTORIES: [&str; 11] =
    ["qemu-server", "images", "run", "guests", "processes", "qemu", "nfs", "root", "tasks/active", "locks", "tmp"];

/// An embedded node that is open for use.
///
/// Several processes, and several values in one process, may use the same directory at once.
#[derive(Debug)]
pub struct Embedded {
    dir: PathBuf,
    settings: Settings,
    tasks: Tasks,
    programs: Programs,
    /// It was only looked at, and was not there.
    unmade: bool,
    /// What its guests are to be once anything is done on it, where somebody said it.
    guests: Option<GuestKind>,
}

/// VMs by VMID, and the bytes their disks take on each storage.
type AllVms = (BTreeMap<VmId, VmObserved>, BTreeMap<String, u64>);

impl Embedded {
    /// Opens the node in `dir`. A directory that does not exist or is empty becomes a fresh node; one that holds
    /// anything else than a node is refused.
    pub fn open(dir: &Path) -> Result<Self, Fault> {
        Self::open_with(dir, None)
    }

    /// Opens the node as [`Embedded::open`] does; its guests are of this kind from then on. That changes only while none
    /// of its VMs runs.
    pub fn open_with(dir: &Path, guests: Option<GuestKind>) -> Result<Self, Fault> {
        let settings = admin::open(dir, guests)?;
        Ok(Self::with(dir, settings))
    }

    fn with(dir: &Path, settings: Settings) -> Self {
        let tasks = Tasks { dir: dir.join("tasks"), node: settings.name.clone() };
        Self { dir: dir.to_owned(), settings, tasks, programs: Programs::default(), unmade: false, guests: None }
    }

    /// The settings of the node.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn conf_path(&self, vm: VmId) -> PathBuf {
        self.dir.join(format!("qemu-server/{vm}.conf"))
    }

    fn guest_dir(&self, vm: VmId) -> PathBuf {
        self.dir.join(format!("guests/{vm}"))
    }

    fn conf_text(&self, vm: VmId) -> Result<Option<String>, Fault> {
        files::read(&self.conf_path(vm))
    }

    /// The configuration of a VM that must be there.
    fn existing(&self, vm: VmId) -> Result<String, Fault> {
        self.conf_text(vm)?.ok_or_else(|| {
            let what =
                format!("Configuration file 'nodes/{}/qemu-server/{vm}.conf' does not exist", self.settings.name);
            Fault::harmless(FaultKind::Missing, what)
        })
    }

    /// The configuration of a VM that must be there, without a lock, and as it was when somebody read it.
    fn as_read(&self, vm: VmId, digest: Option<&Digest>) -> Result<String, Fault> {
        let text = self.existing(vm)?;
        if digest.is_some_and(|digest| config_digest(&text) != *digest) {
            return Err(Fault::harmless(FaultKind::Stale, "the configuration changed since it was read"));
        }
        unlocked(&Conf::parse(&text))?;
        Ok(text)
    }

    /// Replaces the configuration of a VM. The caller is its only writer: it holds the config lock, or makes the clone.
    fn write_conf(&self, vm: VmId, text: &str) -> Result<(), Fault> {
        files::replace(&self.conf_path(vm), &self.dir.join(format!("tmp/{vm}.conf")), text)
    }

    /// Takes the config lock of a VM.
    fn lock_vm(&self, vm: VmId, deadline: Deadline) -> Result<Lock, Fault> {
        files::lock(&self.dir.join(format!("locks/lock-{vm}.conf")), deadline)
    }

    fn volumes_on_disk(&self) -> Volumes {
        Volumes { images: self.dir.join("images") }
    }

    /// The storages; with their use only where that matters, because it takes reading every VM.
    fn storages(&self, with_use: bool) -> Result<BTreeMap<String, Storage>, Fault> {
        let storages = self.storages_with(&BTreeMap::new())?;
        if with_use && storages.values().any(|storage| storage.thick) {
            return self.storages_with(&self.read_all()?.1);
        }
        Ok(storages)
    }

    fn storages_with(&self, used: &BTreeMap<String, u64>) -> Result<BTreeMap<String, Storage>, Fault> {
        let text = if self.is_unmade() {
            storage::fresh(&self.settings)
        } else {
            files::read(&self.dir.join("storage.cfg"))?.unwrap_or_default()
        };
        Ok(storage::parse_cfg(&text, &self.settings, used))
    }

    /// Reads every VM.
    fn read_all(&self) -> Result<AllVms, Fault> {
        if self.is_unmade() {
            return unmade::fresh_vms(&self.settings);
        }
        let running = self.machines().running()?;
        let mut vms = BTreeMap::new();
        let mut used = BTreeMap::new();
        let confs = self.dir.join("qemu-server");
        let mut reader = Reader::default();
        for name in files::names(&confs)? {
            let Some(vm) = name.strip_suffix(".conf").and_then(|id| id.parse::<VmId>().ok()) else { continue };
            // One that went in this moment is gone.
            let Some(text) = reader.read(&confs.join(&name))? else { continue };
            storage::add_use(text, &mut used);
            vms.insert(vm, VmObserved::from_conf(vm, text, false));
        }
        for vm in running {
            if let Some(vm) = vms.get_mut(&vm) {
                vm.running = true;
            }
        }
        Ok((vms, used))
    }

    /// Looks again at VMs that were locked by a clone when they were read: the clone may have ended since, and a VM that
    /// only seems to be left over must not be called so.
    fn settle(&self, vms: &mut BTreeMap<VmId, VmObserved>, cloning: &mut Vec<VmId>) -> Result<(), Fault> {
        let locked = |vm: &&mut VmObserved| vm.lock.as_deref() == Some("clone");
        for vm in vms.values_mut().filter(locked) {
            loop {
                if self.tasks.clones()?.0.contains(&vm.id) {
                    cloning.push(vm.id);
                    break;
                }
                let Some(now) = Hypervisor::vm(self, vm.id)? else { break };
                let same = now.digest == vm.digest;
                *vm = now;
                if same || vm.lock.as_deref() != Some("clone") {
                    break;
                }
            }
        }
        cloning.sort_unstable();
        cloning.dedup();
        Ok(())
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

    fn observe_with(&self, directories: &[String]) -> Result<Observed, Fault> {
        let rehearsal = rehearse::take(&self.dir, &Call { op: "observe", ..Call::default() })?;
        rehearsal.before(true, Deadline::NONE)?;
        Deadline::NONE.pass(self.settings.latency())?;
        let (mut cloning, unattributed_clone) = self.tasks.clones()?;
        let (mut vms, used) = self.read_all()?;
        self.settle(&mut vms, &mut cloning)?;
        let without_nfs = self.nfs().lacks();
        let node = Node {
            name: self.settings.name.clone(),
            identity: format!("directory {}", admin::whole(&self.dir).display()),
            memory_mb: self.settings.memory_mb,
            cpus: self.settings.cpus,
            bridges: self.settings.bridges.clone(),
            addresses: self.settings.bridges.values().flatten().cloned().collect(),
            nfs_server: self.settings.nfs_server && without_nfs.is_none(),
            nfs_ended: self.nfs().look()?.is_some_and(NfsState::has_ended),
            nfs_hint: without_nfs.and_then(|fault| Some(format!("{}: {}", fault.what, fault.hint?))),
            real_guests: self.settings.guests == GuestKind::Qemu,
        };
        let (places, counts) = self.look_at(directories)?;
        rehearsal.after(Ok(Observed {
            node,
            storages: self.storages_with(&used)?,
            vms,
            directories: counts,
            places,
            allowed: self.allowed()?,
            exports: self.exports_on_host(&|_| true)?,
            elsewhere: BTreeMap::new(),
            ha: BTreeSet::new(),
            addresses: BTreeMap::new(),
            guests: BTreeMap::new(),
            cloning,
            working: self.tasks.working()?,
            unattributed_clone,
        }))
    }

    fn places(&self, directories: &[String]) -> Result<BTreeMap<String, Place>, Fault> {
        Ok(self.look_at(directories)?.0)
    }

    fn vm(&self, vm: VmId) -> Result<Option<VmObserved>, Fault> {
        let Some(text) = self.conf_text(vm)? else { return Ok(None) };
        Ok(Some(VmObserved::from_conf(vm, &text, self.runs(vm)?)))
    }

    fn config(&self, vm: VmId) -> Result<Option<String>, Fault> {
        self.conf_text(vm)
    }

    fn volumes(&self, vm: VmId) -> Result<Vec<String>, Fault> {
        self.volumes_on_disk().list(vm, &self.storages(false)?)
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

    fn exports(&self, vm: VmId) -> Result<Vec<Export>, Fault> {
        // What no server serves is not exported.
        if self.nfs().look()?.is_some_and(NfsState::has_ended) {
            return Ok(Vec::new());
        }
        self.exports_on_host(&|owner| owner == vm)
    }

    fn image_size(&self, image: &CloudImage) -> Result<Option<u64>, Fault> {
        self.measure(image).map(Some)
    }

    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        let deadline = Deadline::after(deadline);
        let rehearsal = rehearse::take(&self.dir, &Call::of(op))?;
        let is_clone = matches!(op, HostOp::Clone { .. });
        rehearsal.before(!is_clone, deadline)?;
        if !is_clone {
            deadline.pass(self.settings.latency())?;
        }
        let result = match op {
            HostOp::Clone { source, target, name, description, storage } => {
                let order =
                    clone::Order { source: *source, target: *target, name, description, storage: storage.as_deref() };
                self.clone_vm(order, deadline, rehearsal)
            }
            HostOp::FetchImage { image, .. } => self.fetch_image(image, rehearsal),
            HostOp::Create { vm, name, description } => self.create_vm(*vm, name, description, deadline, rehearsal),
            HostOp::ImportDisk { vm, image, storage, digest } => {
                let write = crate::hypervisor::image::import(&self.image_path(image), storage);
                self.configure(*vm, &write, Some(digest), deadline, rehearsal)
            }
            HostOp::Configure { vm, write, digest } => self.configure(*vm, write, Some(digest), deadline, rehearsal),
            HostOp::Resize { vm, disk, size_gb } => self.resize(*vm, disk, *size_gb, deadline, rehearsal),
            HostOp::UpdateCloudInit { vm } => self.update_cloud_init(*vm, deadline, rehearsal),
            HostOp::MoveDisk { vm, disk, storage, delete_source, digest } => {
                let what = disk::Move { vm: *vm, disk, storage, delete_source: *delete_source, digest };
                self.move_disk(what, deadline, rehearsal)
            }
            HostOp::Snapshot { vm, name, description, digest } => {
                self.snapshot(*vm, (name, description), Some(digest), deadline, rehearsal)
            }
            HostOp::RemoveSnapshot { vm, name } => self.remove_snapshot(*vm, name, deadline, rehearsal),
            HostOp::Rollback { vm, name, start, digest } => {
                self.rollback(*vm, name, *start, Some(digest), deadline, rehearsal)
            }
            HostOp::Template { vm, disk, digest } => {
                self.convert(*vm, disk.as_deref(), Some(digest), deadline, rehearsal)
            }
            HostOp::Start { vm } => self.start_vm(*vm, deadline, rehearsal),
            HostOp::Shutdown { vm } => self.shutdown_vm(*vm, deadline, rehearsal),
            HostOp::Stop { vm } => self.stop_vm(*vm, deadline, rehearsal),
            HostOp::Destroy { vm, digest } => self.destroy(*vm, Some(digest), false, deadline, rehearsal),
            HostOp::Revert { vm, keys, digest } => self.revert(*vm, keys, Some(digest), deadline, rehearsal),
            HostOp::WriteExports { vm, entries } => self.write_exports(*vm, entries, deadline, rehearsal),
            HostOp::RemoveLeftover { vm, unreferenced } => {
                self.remove_leftover(*vm, *unreferenced, deadline, rehearsal)
            }
            HostOp::MakeDirectory { path } => self.make_directory(path, rehearsal),
        };
        rehearsal.after(result)
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
}
