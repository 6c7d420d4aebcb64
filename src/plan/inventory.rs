//! The VMs of a file by their addresses, for other programs: what `phoenix inventory` tells.
//!
//! Pure. Of the file and the target it holds only what a program needs to reach a guest, and no secret.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::{DocumentTarget, schema_of};
use super::reach::{self, Reach};
use super::{Selection, codes};
use crate::diag::Diagnostic;
use crate::model::{Desired, DesiredVm, VmId};
use crate::observed::{Observed, VmObserved};

/// Version of the document's shape. A field may be added within a version; none changes its meaning or goes.
pub const INVENTORY_VERSION: u32 = 1;

/// The port on which ssh listens.
pub const SSH: u16 = 22;

/// The VMs of a project that can be reached. Contains no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InventoryDocument {
    /// Version of this document's shape.
    pub format_version: u32,
    /// Version of the phoenix that made it.
    pub phoenix: String,
    /// Where was looked.
    pub target: DocumentTarget,
    /// The project.
    pub project: String,
    /// The declared VMs that are there and have an address, by VMID.
    pub vms: Vec<InventoryVm>,
}

/// How one VM is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InventoryVm {
    /// VMID.
    pub vm: u32,
    /// Name.
    pub name: String,
    /// The node that it is on.
    pub node: String,
    /// Whether it runs.
    pub running: bool,
    /// MAC address of its first card, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its addresses: those that are fixed, else those that its guest agent gives for that card; IPv4 before IPv6.
    pub addresses: Vec<IpAddr>,
    /// Where ssh reaches it: the first of its addresses, unless the target leads there in another way.
    pub ssh_host: IpAddr,
    /// The port there.
    pub ssh_port: u16,
    /// Name by which ssh keeps its host key: of this VM, not of its address; a VM that is made anew has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key_alias: Option<String>,
    /// The user that the file declares for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// What is known of the ways to the VMs.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    /// The VMs' addresses.
    pub reach: Reach,
    /// Where ssh reaches a guest, if not at port 22 of its address.
    pub doors: BTreeMap<VmId, SocketAddr>,
}

/// The selected VMs of a file that can be reached, and notices of those that cannot.
#[must_use]
pub fn inventory(
    desired: &Desired,
    observed: &Observed,
    selection: &Selection,
    ways: &Ways,
    target: DocumentTarget,
) -> (InventoryDocument, Vec<Diagnostic>) {
    let (mut vms, mut notices) = (Vec::new(), Vec::new());
    let choice = selection.choice();
    for vm in desired.vms.iter().filter(|vm| !vm.is_template && choice.takes(vm)) {
        match reached(vm, desired, observed, ways) {
            Ok(found) => vms.push(found),
            Err(why) => {
                let name = Some(vm.vm_name.clone());
                let notice = Diagnostic::notice(codes::UNREACHED, format!("left out: {why}")).vm(vm.vm_id);
                notices.push(Diagnostic { name, ..notice });
            }
        }
    }
    let document = InventoryDocument {
        format_version: INVENTORY_VERSION,
        phoenix: env!("CARGO_PKG_VERSION").to_owned(),
        target,
        project: desired.settings.project.clone(),
        vms,
    };
    (document, notices)
}

/// How a declared VM is reached, or why it is not: a lower-case fragment.
pub fn reached(
    vm: &DesiredVm,
    desired: &Desired,
    observed: &Observed,
    ways: &Ways,
) -> Result<InventoryVm, &'static str> {
    let live = observed.vms.get(&vm.vm_id).ok_or("it does not exist yet")?;
    let record = live.record.valid().filter(|record| record.project == desired.settings.project);
    record.ok_or("the VM with this VMID does not belong to the project")?;
    let addresses = ways.reach.of(vm.vm_id).to_vec();
    let own = addresses.first().map(|ip| SocketAddr::new(*ip, SSH));
    let ssh = ways.doors.get(&vm.vm_id).copied().or(own).ok_or_else(|| why_none(live))?;
    Ok(InventoryVm {
        vm: vm.vm_id.get(),
        name: vm.vm_name.clone(),
        node: reach::node_of(live, observed).to_owned(),
        running: live.running,
        mac: live.net0.as_ref().and_then(|net| net.mac.clone()),
        addresses,
        ssh_host: ssh.ip(),
        ssh_port: ssh.port(),
        host_key_alias: live.uuid.as_deref().and_then(alias),
        user: vm.user_config.as_ref().and_then(|user| user.username.clone()),
        tags: vm.tags.clone(),
    })
}

/// Why a VM of ours has no address.
fn why_none(live: &VmObserved) -> &'static str {
    match live.net0.as_ref().map(|net| net.mac.is_some()) {
        None => "it has no network card net0, and no fixed address",
        Some(false) => "its network card net0 has no MAC address, and it has no fixed address",
        Some(true) if !live.running => "it does not run, and has no fixed address",
        Some(true) if !live.agent => "it has no guest agent to ask, and no fixed address",
        Some(true) => "its guest agent gave no address that can be used, and it has no fixed one",
    }
}

/// The name of a VM's host key. What a node gives as a uuid may be anything.
fn alias(uuid: &str) -> Option<String> {
    let plain = uuid.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    (plain && !uuid.is_empty()).then(|| format!("phoenix-{}", uuid.to_ascii_lowercase()))
}

/// The JSON schema of the document: draft-07, pretty, with a line break at the end.
#[must_use]
pub fn schema() -> String {
    schema_of::<InventoryDocument>()
}

#[cfg(test)]
mod tests {
    use super::alias;

    #[test]
    fn a_uuid_of_a_node_is_no_option_of_ssh() {
        let uuid = "2A412A64-96f9-4fde-833e-49d4ac1df615";
        assert_eq!(alias(uuid).unwrap(), "phoenix-2a412a64-96f9-4fde-833e-49d4ac1df615");
        for text in ["", "a b", "a\nProxyCommand x", "a,b", "ü"] {
            assert_eq!(alias(text), None, "{text}");
        }
    }
}
