//! The ports: what phoenix asks of a target. Back ends stand behind them, `apply` and `guest` in front.

mod copied;
mod copying;
mod files;
mod guests;
pub mod image;
mod operation;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

pub use self::copied::Copied;
pub use self::copying::Copying;
pub use self::files::{ExportEntry, FileOp, written};
pub use self::guests::{GuestAddress, GuestExit, GuestStatus, Guests, address_on, all_on};
pub use self::image::NewDisk;
pub use self::operation::HostOp;
pub use self::wanted::{Examine, Wanted};
pub use crate::model::{Effect, Fault, FaultKind};
pub use crate::observed::Plugged;

use crate::model::{CloudImage, VmId};
use crate::observed::{Examined, Export, Listed, MoveCheck, Observed, Place, VmObserved};

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

    /// The ISO images on a storage of another node, which holds such, as volumes. `None`: this target cannot tell.
    fn isos_of(&self, _node: &str, _storage: &str) -> Result<Option<BTreeSet<String>>, Fault> {
        Ok(None)
    }

    /// The volumes of a VMID on a storage of a node, whichever it is. `None`: this target cannot tell.
    fn volumes_on(&self, _node: &str, _storage: &str, _vm: VmId) -> Result<Option<BTreeSet<String>>, Fault> {
        Ok(None)
    }

    /// Whether a clone into this VMID is running, as far as can be told now.
    fn cloning(&self, vm: VmId) -> Result<Cloning, Fault>;

    /// A task that works on the disks of a VM right now, in Proxmox's word for its kind, e.g. `qmmove`, or takes it to
    /// another node; as far as can be told. No lock of the configuration shows it.
    fn working(&self, vm: VmId) -> Result<Option<String>, Fault>;

    /// Asks whether a VM of node `from` can move to node `to`, and what stands in the way. Changes nothing. `None`:
    /// this target has nothing to say of it.
    fn can_move(&self, _vm: VmId, _from: &str, _to: &str) -> Result<Option<MoveCheck>, Fault> {
        Ok(None)
    }

    /// Size in bytes of the disk in an image that was fetched. `None`: this target cannot tell.
    fn image_size(&self, _image: &CloudImage) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    /// How far a copy, or a download, is that this run waits for at this moment. `None`: nothing is known of it.
    fn copied(&self, _copying: Copying<'_>) -> Result<Option<Copied>, Fault> {
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
