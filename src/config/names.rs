//! The VMs of a file by name.

use std::collections::BTreeMap;

use super::raw::{RawReference, RawVm};
use crate::model::VmId;

/// The VMs of a file by name, in lower case: case does not tell DNS names apart.
pub(super) type Ids = BTreeMap<String, VmId>;

/// The VMs of a file by name.
pub(super) fn ids(vms: &[RawVm]) -> Ids {
    let id = |vm: &RawVm| Some((vm.vm_name.as_ref()?.to_ascii_lowercase(), vm.vm_id?.try_into().ok()?));
    vms.iter().filter_map(id).collect()
}

/// The VMs that a list names, ascending, each once. The list has passed the checks.
pub(super) fn named(list: &[RawReference], ids: &Ids) -> Vec<VmId> {
    let mut found: Vec<VmId> = list
        .iter()
        .filter_map(|reference| match reference {
            RawReference::Id(id) => (*id).try_into().ok(),
            RawReference::Name(name) => ids.get(&name.to_ascii_lowercase()).copied(),
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}
