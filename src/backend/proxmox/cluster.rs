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
    #[serde(default)]
    template: u8,
}

/// What the cluster file system says of its nodes, in `.members`. A node that is in no cluster has no `cluster`.
#[derive(Debug, Deserialize)]
struct Members {
    cluster: Option<Quorum>,
    #[serde(default)]
    nodelist: BTreeMap<String, Member>,
}

#[derive(Debug, Deserialize)]
struct Quorum {
    quorate: u8,
}

#[derive(Debug, Deserialize)]
struct Member {
    #[serde(default)]
    online: u8,
}

/// The nodes that are not online, if `.members` says that the cluster has no quorum. What cannot be understood says
/// nothing: Proxmox refuses by itself what it cannot do.
pub(in crate::backend) fn without_quorum(members: &str) -> Option<Vec<String>> {
    let members: Members = serde_json::from_str(members).ok()?;
    let offline = || members.nodelist.iter().filter(|(_, node)| node.online == 0).map(|(name, _)| name.clone());
    members.cluster.as_ref().filter(|cluster| cluster.quorate == 0).map(|_| offline().collect())
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
            let template = vm.template != 0;
            Some((VmId::try_from(vm.vmid).ok()?, Taken { node: vm.node, name: vm.name, container, template }))
        })
        .filter(|(id, _)| !own.contains_key(id))
        .collect()
}

/// The VM whose section in the HA manager's `resources.cfg` begins with this line: `vm: 1000`.
pub(in crate::backend) fn managed(line: &str) -> Option<VmId> {
    line.strip_prefix("vm:")?.trim().parse().ok()
}

/// What tells one cluster from another, from its root certificate: Proxmox makes one for each cluster, and for each
/// node that is in none; all nodes of a cluster share it.
pub(in crate::backend) fn identity(certificate: &[u8]) -> String {
    format!("root certificate {}", content_digest(certificate))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{ClusterVm, managed, taken, without_quorum};
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
    fn the_cluster_file_system_knows_of_the_quorum() {
        let members = |quorate: u8| {
            format!(
                "{{\n\"nodename\": \"pve1\",\n\"version\": 4,\n\"cluster\": {{ \"name\": \"lab\", \"version\": 2, \"nodes\": 2, \
                 \"quorate\": {quorate} }},\n\"nodelist\": {{\n  \"pve1\": {{ \"id\": 1, \"online\": 1, \"ip\": \"10.98.0.1\"}},\n  \
                 \"pve2\": {{ \"id\": 2, \"online\": 0}}\n  }}\n}}\n"
            )
        };
        assert_eq!(without_quorum(&members(0)), Some(vec!["pve2".to_owned()]));
        let alone = "{\n\"nodename\": \"pve\",\n\"version\": 0\n}\n";
        for quorate in [members(1).as_str(), alone, "", "{", "[]"] {
            assert_eq!(without_quorum(quorate), None, "{quorate}");
        }
    }

    #[test]
    fn the_ha_manager_has_its_vms() {
        assert_eq!(managed("vm: 1000"), VmId::try_from(1000).ok());
        assert_eq!(managed("ct: 1000"), None);
        assert_eq!(managed("\tgroup vm: 3"), None);
    }
}
