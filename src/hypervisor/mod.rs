//! The ports: what phoenix asks of a target. Back ends stand behind them, `apply` and `guest` in front.

mod copied;
mod files;
mod guests;
pub mod image;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

pub use self::copied::Copied;
pub use self::files::{ExportEntry, FileOp};
pub use self::guests::{GuestAddress, GuestExit, GuestStatus, Guests, address_on, all_on};
pub use self::image::NewDisk;
pub use self::wanted::{Examine, Wanted};
pub use crate::model::{Effect, Fault, FaultKind};
pub use crate::observed::Plugged;

use crate::model::{CloudImage, Digest, HaWish, VmId};
use crate::observed::{ConfigWrite, Examined, Export, Listed, Observed, Place, VmObserved};

/// A target that holds VMs.
///
/// Every method may be called from several threads at once. No method waits for a guest, retries, or keeps anything
/// about a run between calls.
pub trait Hypervisor: Send + Sync {
    /// The target in a few words for people, and whether anything real happens there.
    fn about(&self) -> About;

    /// Makes what there must be before anything is done: an embedded node that was only looked at. Before that, nothing
    /// that looks makes or changes anything.
    fn begin(&self) -> Result<(), Fault> {
        Ok(())
    }

    /// Reads everything needed to plan, and what else is wanted. Changes nothing.
    fn observe_with(&self, wanted: &Wanted) -> Result<Observed, Fault>;

    /// Reads everything needed to plan, and nothing that would have to be asked for. Changes nothing.
    fn observe(&self) -> Result<Observed, Fault> {
        self.observe_with(&Wanted::default())
    }

    /// Asks what the node that the target stands on is and has, beyond what a plan needs. Changes nothing. `None`: this
    /// target has nothing to say of itself.
    fn examine(&self, _asked: &Examine) -> Result<Option<Examined>, Fault> {
        Ok(None)
    }

    /// Reads one VM. `None`: there is no VM with this VMID.
    fn vm(&self, vm: VmId) -> Result<Option<VmObserved>, Fault>;

    /// Volumes of a VMID on all image storages, whether or not a VM of that VMID exists.
    fn volumes(&self, vm: VmId) -> Result<Vec<String>, Fault>;

    /// The same of several VMIDs on these image storages.
    fn volumes_of(&self, vms: &[VmId], storages: &[&str]) -> Result<BTreeMap<VmId, Vec<String>>, Fault> {
        let on_these = |volume: &String| storages.iter().any(|storage| volume.split(':').next() == Some(*storage));
        let of = |vm: &VmId| Ok((*vm, self.volumes(*vm)?.into_iter().filter(on_these).collect()));
        vms.iter().map(of).collect()
    }

    /// The volumes of these VMIDs on each of these storages, which take disks of VMs, by their ids.
    ///
    /// # Errors
    /// One of the storages cannot be listed.
    fn listed(&self, vms: &[VmId], storages: &[&str]) -> Result<Listed, Fault>;

    /// The ISO images on each of these storages, which hold such, as volumes.
    ///
    /// # Errors
    /// One of the storages cannot be listed.
    fn isos(&self, storages: &[&str]) -> Result<BTreeMap<String, BTreeSet<String>>, Fault>;

    /// Whether a clone into this VMID is running, as far as can be told now.
    fn cloning(&self, vm: VmId) -> Result<Cloning, Fault>;

    /// A task that works on the disks of a VM right now, in Proxmox's word for its kind, e.g. `qmmove`, or takes it to
    /// another node; as far as can be told. No lock of the configuration shows it.
    fn working(&self, vm: VmId) -> Result<Option<String>, Fault>;

    /// Size in bytes of the disk in an image that was fetched. `None`: this target cannot tell.
    fn image_size(&self, _image: &CloudImage) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    /// How far an operation is that copies a disk and that this run waits for at this moment. `None`: nothing is known
    /// of it.
    fn copied(&self, _op: &HostOp) -> Result<Option<Copied>, Fault> {
        Ok(None)
    }

    /// Carries out one operation and returns when it has ended.
    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault>;

    /// Removes the output files that ended operations of interrupted runs of the same project left on the target, and
    /// returns a sentence about each. Operations that still run are left alone.
    fn tidy(&self) -> Result<Vec<String>, Fault> {
        Ok(Vec::new())
    }

    /// How a person looks at the console of a VM, in words that follow "look at its console".
    fn console(&self, vm: VmId) -> String {
        terminal(vm)
    }

    /// Where the guest of a VM is reached by ssh, if that is not port 22 of its own address.
    fn door(&self, _vm: VmId) -> Result<Option<SocketAddr>, Fault> {
        Ok(None)
    }

    /// The guests of this target.
    fn guests(&self) -> &dyn Guests;

    /// The files of the target's own node; `None`: this target reaches none.
    fn files(&self) -> Option<&dyn HostFiles>;
}

/// Directories and NFS exports of the node that a target stands on, for the VMs of that node.
pub trait HostFiles: Send + Sync {
    /// Where each of these directories really lies, whether or not it exists. Changes nothing.
    fn places(&self, directories: &[String]) -> Result<BTreeMap<String, Place>, Fault>;

    /// The NFS exports that matter to a VM: phoenix's own for it, and everybody else's; not phoenix's for other VMs.
    fn exports(&self, vm: VmId) -> Result<Vec<Export>, Fault>;

    /// Carries out one operation and returns when it has ended. Each may be repeated: done twice, it is done once.
    fn write(&self, op: &FileOp, deadline: Duration) -> Result<(), Fault>;
}

/// How a person looks at the console of a VM of Proxmox.
#[must_use]
pub fn terminal(vm: VmId) -> String {
    format!("`qm terminal {vm}`, or the web interface")
}

/// What a target says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The target as users write it, with what should be said about it, e.g.
    /// `embedded node at .phoenix/node`.
    pub label: String,
    /// Nothing real happens there; every plan, apply and summary says so.
    pub simulated: bool,
}

/// Answer to "is a clone into this VMID running?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloning {
    /// No clone runs into it.
    No,
    /// One does.
    Yes,
    /// A clone runs whose target cannot be told: wait.
    Unknown,
}

/// One operation on the hypervisor, in Proxmox's own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostOp {
    /// `qm clone SOURCE TARGET --name … --description … [--full --storage …]`
    Clone {
        /// Template to clone.
        source: VmId,
        /// VMID of the new VM.
        target: VmId,
        /// Name of the new VM.
        name: String,
        /// Notes it carries from its first moment.
        description: String,
        /// Storage of the full clone; `None` makes a linked clone.
        storage: Option<String>,
        /// Node that the clone is made for, where all of it is shared; `None`: it stays on its template's.
        node: Option<String>,
    },
    /// Fetches an image into the node's cache, where its digest says so, and compares the digest of any other one.
    FetchImage {
        /// The VM that is made from it.
        vm: VmId,
        /// The image.
        image: CloudImage,
    },
    /// `qm create VM --name … --description …`: a VM without disks.
    Create {
        /// The VM.
        vm: VmId,
        /// Name of the new VM.
        name: String,
        /// Notes it carries from its first moment.
        description: String,
    },
    /// `qm set VM --scsi0 STORAGE:0,import-from=… --ide2 STORAGE:cloudinit …`: gives a VM a copy of an image as its
    /// boot disk, and a cloud-init drive.
    ImportDisk {
        /// The VM.
        vm: VmId,
        /// The image; it was fetched.
        image: CloudImage,
        /// Storage of the disk.
        storage: String,
        /// Digest the configuration must still have.
        digest: Digest,
    },
    /// `qm set VM --SLOT STORAGE:0,import-from=…[,OPTIONS] --digest …`: gives a VM a copy of an image as a further disk.
    ImportFurther {
        /// The VM.
        vm: VmId,
        /// The image; it was fetched.
        image: CloudImage,
        /// The disk.
        disk: NewDisk,
        /// Digest the configuration must still have.
        digest: Digest,
    },
    /// `qm set VM … --digest …`: one write of the configuration.
    Configure {
        /// The VM.
        vm: VmId,
        /// What to set and delete.
        write: ConfigWrite,
        /// Digest the configuration must still have.
        digest: Digest,
    },
    /// `qm disk resize VM DISK SIZE`: grows a disk to an absolute size.
    Resize {
        /// The VM.
        vm: VmId,
        /// Disk, e.g. `scsi0`.
        disk: String,
        /// New size in GiB.
        size_gb: u32,
    },
    /// `pvesh set /pools …`: puts a VM into a resource pool, or takes it out of one.
    SetPool {
        /// The VM.
        vm: VmId,
        /// The pool that it is in.
        from: Option<String>,
        /// The pool that it comes into; without one, it leaves the one that it is in.
        to: Option<String>,
    },
    /// `pvesh create|set /cluster/ha/resources …`: puts a VM under the HA manager, or changes how it looks after it.
    SetHa {
        /// The VM.
        vm: VmId,
        /// How it is to look after the VM.
        ha: HaWish,
        /// It does not look after the VM yet.
        is_new: bool,
    },
    /// `pvesh delete /cluster/ha/resources/vm:VM`: takes a VM out of the HA manager.
    LeaveHa {
        /// The VM.
        vm: VmId,
    },
    /// `qm cloudinit update VM`: makes the cloud-init drive anew from what the configuration says.
    UpdateCloudInit {
        /// The VM.
        vm: VmId,
    },
    /// `qm disk move VM DISK STORAGE [--delete 1] --digest …`: copies a disk to another storage, of a running VM while
    /// it runs. The VM has the copy then; the source stays as `unusedN`, unless it is erased.
    MoveDisk {
        /// The VM.
        vm: VmId,
        /// Disk, e.g. `scsi0`.
        disk: String,
        /// Storage it moves to.
        storage: String,
        /// Erase the source. Proxmox refuses that where snapshots hold on to it.
        delete_source: bool,
        /// Digest the configuration must still have.
        digest: Digest,
    },
    /// `qm migrate VM NODE [--online 1 --with-local-disks 1]`: moves a VM to another node, with its disks on storages
    /// that the node does not share.
    Migrate {
        /// The VM.
        vm: VmId,
        /// Node it moves to.
        node: String,
        /// While it runs.
        online: bool,
        /// Digest the configuration must still have.
        digest: Digest,
    },
    /// `qm snapshot VM NAME --description …`: a snapshot of the VM's disks, without its memory.
    Snapshot {
        /// The VM.
        vm: VmId,
        /// Name of the snapshot.
        name: String,
        /// Words of its own; the VM's notes are no part of a snapshot.
        description: String,
        /// Digest the configuration must still have just before. Proxmox itself does not look at one here: `apply`
        /// does, and a target that can look and act at once.
        digest: Digest,
    },
    /// `qm delsnapshot VM NAME`: removes a snapshot; the VM stays as it is.
    RemoveSnapshot {
        /// The VM.
        vm: VmId,
        /// Name of the snapshot.
        name: String,
    },
    /// `qm rollback VM NAME [--start 1]`: stops the VM by force and takes its disks and its configuration back to a
    /// snapshot. The VM's notes stay as they are.
    Rollback {
        /// The VM.
        vm: VmId,
        /// Name of the snapshot.
        name: String,
        /// Start the VM afterwards.
        start: bool,
        /// Digest the configuration must still have just before. Proxmox itself does not look at one here: `apply`
        /// does, and a target that can look and act at once.
        digest: Digest,
    },
    /// `qm template VM [--disk DISK]`: makes a template of a VM, with all of its disks or with this one. Proxmox
    /// refuses one that runs, and one that is a template already unless a disk is named.
    Template {
        /// The VM.
        vm: VmId,
        /// Disk to convert, e.g. `scsi0`; `None`: the VM and all of its disks.
        disk: Option<String>,
        /// Digest the configuration must still have just before. Proxmox itself does not look at one here: `apply`
        /// does, and a target that can look and act at once.
        digest: Digest,
    },
    /// `qm start VM`
    Start {
        /// The VM.
        vm: VmId,
    },
    /// `qm shutdown VM`: asks the guest to shut down and waits until the VM has stopped. Never by force.
    Shutdown {
        /// The VM.
        vm: VmId,
    },
    /// `qm stop VM`: switches the VM off, whatever its guest is doing.
    Stop {
        /// The VM.
        vm: VmId,
    },
    /// `qm destroy VM --purge 1`: removes a VM with the volumes that its configuration names, and forgets it in backup
    /// jobs, replication and HA. Volumes that nothing names stay. Proxmox refuses one that runs, is locked or
    /// protected.
    Destroy {
        /// The VM.
        vm: VmId,
        /// Digest the configuration must still have just before. Proxmox itself does not look at one here: `apply`
        /// does, and a target that can look and act at once.
        digest: Digest,
    },
    /// `qm set VM --revert … --digest …`: takes back values that wait for a restart.
    Revert {
        /// The VM.
        vm: VmId,
        /// Options whose waiting value goes.
        keys: Vec<String>,
        /// Digest the configuration must still have.
        digest: Digest,
    },
    /// `qm unlock VM; qm destroy VM [--purge 1 --destroy-unreferenced-disks 1]`: removes what an interrupted clone
    /// left, even if the clone copied `protection` from its template. That it is left over `apply` looks at just
    /// before.
    RemoveLeftover {
        /// The VM.
        vm: VmId,
        /// Also erase its volumes that no configuration names. Only when the leftover carries our own record.
        unreferenced: bool,
    },
}

impl HostOp {
    /// The VM whose node must be online for it; `None`: it needs none that is there.
    #[must_use]
    pub fn needs(&self) -> Option<VmId> {
        match self {
            Self::Clone { source, .. } => Some(*source),
            Self::FetchImage { .. } | Self::Create { .. } => None,
            Self::ImportDisk { vm, .. }
            | Self::ImportFurther { vm, .. }
            | Self::Configure { vm, .. }
            | Self::Resize { vm, .. }
            | Self::SetPool { vm, .. }
            | Self::SetHa { vm, .. }
            | Self::LeaveHa { vm }
            | Self::UpdateCloudInit { vm }
            | Self::MoveDisk { vm, .. }
            | Self::Migrate { vm, .. }
            | Self::Snapshot { vm, .. }
            | Self::RemoveSnapshot { vm, .. }
            | Self::Rollback { vm, .. }
            | Self::Template { vm, .. }
            | Self::Start { vm }
            | Self::Shutdown { vm }
            | Self::Stop { vm }
            | Self::Destroy { vm, .. }
            | Self::Revert { vm, .. }
            | Self::RemoveLeftover { vm, .. } => Some(*vm),
        }
    }
}
