//! Volumes that bear a VMID. Listing them starts a program of the node for each storage.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::clock::Clock;
use crate::hypervisor::{Fault, Hypervisor};
use crate::model::VmId;
use crate::plan::Plan;

/// How long a listing counts. What may leave volumes of a VMID that has no VM, an earlier removal or a person with
/// `pvesm alloc`, is no work of seconds; a clone that began since is found by its task and its configuration.
const COUNTS: Duration = Duration::from_mins(1);

/// The volumes of all VMs that a run makes, as they were listed last.
#[derive(Debug, Default)]
pub(super) struct Listing(Mutex<Option<Listed>>);

#[derive(Debug)]
struct Listed {
    /// When the listing began, on the run's clock.
    at: Duration,
    /// `None`: it failed.
    volumes: Option<BTreeMap<VmId, Vec<String>>>,
}

impl Listing {
    /// Whether it is known that a VM which is about to be made has no volumes: by a listing that is younger than a
    /// minute, else by one that is made now, for all VMs of the plan. Others wait for it.
    pub(super) fn knows_of_none(&self, vm: VmId, plan: &Plan, target: &dyn Hypervisor, clock: &dyn Clock) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock.now();
        if last.as_ref().is_none_or(|listed| now.saturating_sub(listed.at) >= COUNTS) {
            let made: Vec<VmId> = plan.vms.iter().filter(|vm| vm.makes_it()).map(|vm| vm.vm).collect();
            *last = Some(Listed { at: now, volumes: list(&made, plan, target).ok() });
        }
        let volumes = last.as_ref().and_then(|listed| listed.volumes.as_ref());
        volumes.is_some_and(|volumes| volumes.get(&vm).is_none_or(Vec::is_empty))
    }
}

/// The volumes of these VMIDs now, on the storages that were active when the plan was made.
pub(super) fn list(vms: &[VmId], plan: &Plan, target: &dyn Hypervisor) -> Result<BTreeMap<VmId, Vec<String>>, Fault> {
    let storages: Vec<&str> = plan.image_storages.iter().map(String::as_str).collect();
    if storages.is_empty() {
        return vms.iter().map(|vm| Ok((*vm, target.volumes(*vm)?))).collect();
    }
    target.volumes_of(vms, &storages)
}
