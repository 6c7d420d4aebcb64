//! Fixed addresses that VMs outside the file have.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::Scene;
use super::{codes, placement};
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

/// The addresses of a VM that another one has. That one may be off for good, so this forbids nothing.
pub(super) fn taken_twice(vm: &DesiredVm, scene: &Scene<'_>) -> impl Iterator<Item = Diagnostic> {
    // Without bridges each guest has a network of its own.
    let config = vm.network_config.iter().filter(|_| scene.observed.capabilities.has_bridges);
    let wished = config.flat_map(|network| [&network.ip, &network.ip6]).flatten();
    wished.filter_map(|wish| Some((ip(wish)?, scene.addresses.get(&ip(wish)?)?))).map(|(ip, other)| {
        let on = placement::words_of(*other, scene.observed);
        let what = format!("VM {other}{on}, which the file does not declare, has the address {ip}, too");
        let key = if ip.is_ipv4() { "network_config.ip" } else { "network_config.ip6" };
        let hint = "two VMs with one address do not reach other machines reliably: give one of them another";
        Diagnostic::warning(codes::ADDRESS_TAKEN, what).vm(vm.vm_id).about(key).hint(hint)
    })
}

fn ip(address: &Address) -> Option<IpAddr> {
    address.ip.split_once('/')?.0.parse().ok()
}
