//! What is done to a target: one operation, in Proxmox's own terms.

use super::NewDisk;
use crate::model::{CloudImage, Digest, HaWish, VmId};
use crate::observed::ConfigWrite;

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
    /// `qm set VM --SLOT STORAGE:0,import-from=…[,OPTIONS] --digest …`: gives a VM a copy of an image as a further
    /// disk.
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
