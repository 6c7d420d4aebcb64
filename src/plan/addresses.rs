//! Fixed addresses that VMs outside the file have.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::Scene;
use super::codes;
use crate::diag::Diagnostic;
use crate::model::{Address, Desired, DesiredVm, VmId};
use crate::observed::Observed;

/// The fixed addresses that cloud-init gives VMs of the target which the file does not declare. Templates never run.
pub(super) fn taken(desired: &Desired, observed: &Observed) -> BTreeMap<IpAddr, VmId> {
    let others = observed.vms.values().filter(|live| !live.template && desired.vm(live.id).is_none());
    let of = |live: &crate::observed::VmObserved| [false, true].map(|v6| live.cloud_init.address(v6));
    others
        .flat_map(|live| of(live).map(|address| (ip(&address), live.id)))
        .filter_map(|(ip, vm)| Some((ip?, vm)))
        .collect()
}

/// Tells of a VM that is to have the address of another one. It may be off for good, so this forbids nothing.
pub(super) fn told(vm: &DesiredVm, scene: &Scene<'_>, problems: &mut Vec<Diagnostic>) {
    // Without bridges each guest has a network of its own.
    if !scene.observed.capabilities.has_bridges {
        return;
    }
    let wished = vm.network_config.iter().flat_map(|network| [&network.ip, &network.ip6]).flatten();
    for (ip, other) in wished.filter_map(|wish| Some((ip(wish)?, scene.addresses.get(&ip(wish)?)?))) {
        let what = format!("VM {other}, which the file does not declare, has the address {ip}, too");
        let hint = "two VMs with one address do not reach anybody: give one of them another";
        problems.push(Diagnostic::warning(codes::ADDRESS_TAKEN, what).vm(vm.vm_id).hint(hint));
    }
}

fn ip(address: &Address) -> Option<IpAddr> {
    address.ip.split_once('/')?.0.parse().ok()
}
