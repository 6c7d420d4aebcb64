//! Which VMs there are: on a node, what else of its cluster has a VMID, and which ones the HA manager looks after.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::{VmId, content_digest};
use crate::observed::{Taken, VmObserved};

/// A VM as the API lists it for a node.
#[derive(Debug, Deserialize)]
pub(in crate::backend) struct NodeVm {
    vmid: u32,
    status: String,
}

/// A VM or container as the API lists it for a cluster.
#[derive(Debug, Deserialize)]
pub(in crate::backend) struct ClusterVm {
    vmid: u32,
    #[serde(default)]
    node: String,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
}

/// Whether each of the VMs runs, by VMID.
pub(in crate::backend) fn running(vms: Vec<NodeVm>) -> BTreeMap<u32, bool> {
    vms.into_iter().map(|vm| (vm.vmid, vm.status == "running")).collect()
}

/// What has a VMID of the cluster and is no VM of `node`, whose VMs are these.
pub(in crate::backend) fn taken(
    vms: Vec<ClusterVm>,
    node: &str,
    own: &BTreeMap<VmId, VmObserved>,
) -> BTreeMap<VmId, Taken> {
    vms.into_iter()
        .map(|vm| (vm.kind == "lxc", vm))
        .filter(|(container, vm)| *container || vm.node != node)
        .filter_map(|(container, vm)| {
            Some((VmId::try_from(vm.vmid).ok()?, Taken { node: vm.node, name: vm.name, container }))
        })
        .filter(|(id, _)| !own.contains_key(id))
        .collect()
}

/// The VM whose section in the HA manager's `resources.cfg` begins with this line: `vm: 1000`.
pub(in crate::backend) fn managed(line: &str) -> Option<VmId> {
    line.strip_prefix("vm:")?.trim().parse().ok()
}

/// What tells one cluster from another, from its root certificate: Proxmox makes one for each cluster, and for each node
/// that is in none; all nodes of a cluster share it.
pub(in crate::backend) fn identity(certificate: &[u8]) -> String {
    format!("root certificate {}", content_digest(certificate))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{ClusterVm, managed, taken};
    use crate::model::VmId;
    use crate::observed::VmObserved;

    #[test]
    fn containers_and_vms_of_other_nodes_take_vmids() {
        let vms: Vec<ClusterVm> = serde_json::from_str(
            r#"[{"vmid":100,"node":"pve1","name":"here","type":"qemu"},{"vmid":101,"node":"pve2","name":"there","type":"qemu"},
                {"vmid":102,"node":"pve1","name":"box","type":"lxc"},{"vmid":103,"node":"pve2","type":"qemu"}]"#,
        )
        .unwrap();
        let id = |vm: u32| VmId::try_from(vm).unwrap();
        // It moved between two looks: it is one of its own.
        let own = BTreeMap::from([(id(103), VmObserved::from_conf(id(103), "", false))]);
        let found = taken(vms, "pve1", &own);
        let found: Vec<_> = found.iter().map(|(id, vm)| (id.get(), vm.name.as_str(), vm.container)).collect();
        assert_eq!(found, [(101, "there", false), (102, "box", true)]);
    }

    #[test]
    fn the_ha_manager_has_its_vms() {
        assert_eq!(managed("vm: 1000"), VmId::try_from(1000).ok());
        assert_eq!(managed("ct: 1000"), None);
        assert_eq!(managed("\tgroup vm: 3"), None);
    }
}
