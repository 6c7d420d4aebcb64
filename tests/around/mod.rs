//! A target around another one: it forwards everything but what a test is about.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use phoenix::hypervisor::{
    About, Cloning, Copied, Copying, Fault, FileOp, Guests, HostFiles, HostOp, Hypervisor, Wanted,
};
use phoenix::model::{CloudImage, VmId};
use phoenix::observed::{Export, Listed, Observed, Place, VmObserved};

/// What a test changes of the target `inner`.
pub(crate) trait Around: Send + Sync {
    /// The target that everything else is forwarded to.
    fn inner(&self) -> &dyn Hypervisor;

    fn vm(&self, vm: VmId) -> Result<Option<VmObserved>, Fault> {
        self.inner().vm(vm)
    }
    fn volumes(&self, vm: VmId) -> Result<Vec<String>, Fault> {
        self.inner().volumes(vm)
    }
    fn volumes_of(&self, vms: &[VmId], storages: &[&str]) -> Result<BTreeMap<VmId, Vec<String>>, Fault> {
        self.inner().volumes_of(vms, storages)
    }
    fn cloning(&self, vm: VmId) -> Result<Cloning, Fault> {
        self.inner().cloning(vm)
    }
    fn working(&self, vm: VmId) -> Result<Option<String>, Fault> {
        self.inner().working(vm)
    }
    fn exports(&self, vm: VmId) -> Result<Vec<Export>, Fault> {
        self.inner().files().unwrap().exports(vm)
    }
    fn copied(&self, copying: Copying<'_>) -> Result<Option<Copied>, Fault> {
        self.inner().copied(copying)
    }
    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        self.inner().perform(op, deadline)
    }
    fn write(&self, op: &FileOp, deadline: Duration) -> Result<(), Fault> {
        self.inner().files().unwrap().write(op, deadline)
    }
    fn guests(&self) -> &dyn Guests {
        self.inner().guests()
    }
}

/// A target as it is for apply.
pub(crate) struct Target<T>(pub(crate) std::sync::Arc<T>);

impl<T: Around> Hypervisor for Target<T> {
    fn about(&self) -> About {
        self.0.inner().about()
    }
    fn observe_with(&self, wanted: &Wanted) -> Result<Observed, Fault> {
        self.0.inner().observe_with(wanted)
    }
    fn vm(&self, vm: VmId) -> Result<Option<VmObserved>, Fault> {
        self.0.vm(vm)
    }
    fn volumes(&self, vm: VmId) -> Result<Vec<String>, Fault> {
        self.0.volumes(vm)
    }
    fn volumes_of(&self, vms: &[VmId], storages: &[&str]) -> Result<BTreeMap<VmId, Vec<String>>, Fault> {
        self.0.volumes_of(vms, storages)
    }
    fn cloning(&self, vm: VmId) -> Result<Cloning, Fault> {
        self.0.cloning(vm)
    }
    fn working(&self, vm: VmId) -> Result<Option<String>, Fault> {
        self.0.working(vm)
    }
    fn listed(&self, vms: &[VmId], storages: &[&str]) -> Result<Listed, Fault> {
        self.0.inner().listed(vms, storages)
    }
    fn isos(&self, storages: &[&str]) -> Result<BTreeMap<String, BTreeSet<String>>, Fault> {
        self.0.inner().isos(storages)
    }
    fn image_size(&self, image: &CloudImage) -> Result<Option<u64>, Fault> {
        self.0.inner().image_size(image)
    }
    fn copied(&self, copying: Copying<'_>) -> Result<Option<Copied>, Fault> {
        self.0.copied(copying)
    }
    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        self.0.perform(op, deadline)
    }
    fn guests(&self) -> &dyn Guests {
        self.0.guests()
    }
    fn files(&self) -> Option<&dyn HostFiles> {
        Some(self)
    }
}

impl<T: Around> HostFiles for Target<T> {
    fn places(&self, directories: &[String]) -> Result<BTreeMap<String, Place>, Fault> {
        self.0.inner().files().unwrap().places(directories)
    }
    fn exports(&self, vm: VmId) -> Result<Vec<Export>, Fault> {
        self.0.exports(vm)
    }
    fn write(&self, op: &FileOp, deadline: Duration) -> Result<(), Fault> {
        self.0.write(op, deadline)
    }
}
