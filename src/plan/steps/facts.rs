//! What is known of one VM.

use std::sync::Arc;

use crate::model::{Applied, DesiredVm, Record};
use crate::plan::filesystems;
use crate::plan::staging::Staging;
use crate::plan::verified::Verified;
use crate::plan::{Mount, Scene};

/// What the file says of one VM, and what is known of it.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    /// The VM as the file has it.
    pub(super) vm: &'a Arc<DesiredVm>,
    /// What its record says.
    pub(super) record: &'a Record,
    /// Its volumes, resolved.
    pub(super) mounts: &'a [Arc<Mount>],
    /// What lies beside its scripts.
    pub(super) staging: &'a Staging,
    /// What is kept in its record of what phoenix applied, when it is as the file says.
    pub(super) applied: &'a Applied,
    /// What all VMs look at.
    pub(super) scene: &'a Scene<'a>,
}

impl<'a> Facts<'a> {
    /// Whether the record says that the volume is mounted, from where the file has it.
    pub(super) fn is_mounted(&self, mount: &Mount) -> bool {
        self.record.volumes.get(&mount.mount_point).is_some_and(|source| mount.is_from(source))
    }

    /// The volumes that are mounted and no longer declared: mount point and source.
    pub(super) fn undeclared(&self) -> impl Iterator<Item = (&'a String, &'a String)> {
        let Self { vm, mounts, .. } = *self;
        let declared = move |at: &str, source: &str| {
            mounts.iter().any(|mount| mount.mount_point == at) || filesystems::is_replaced(vm, at, source)
        };
        self.record.volumes.iter().filter(move |(at, source)| !declared(at, source))
    }

    /// What was seen in its guest.
    pub(super) fn guest(&self) -> Verified<'a> {
        Verified::of(self.vm.vm_id, self.scene.observed)
    }
}
