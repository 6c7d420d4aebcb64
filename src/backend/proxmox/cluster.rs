//! Which VMs there are: on a node, and what else of its cluster has a VMID.

use std::collections::{BTreeMap, BTreeSet};

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

/// What the cluster file system says of VMs and containers, in `.vmlist`.
#[derive(Debug, Deserialize)]
struct Listed {
    ids: BTreeMap<u32, Place>,
}

#[derive(Debug, Deserialize)]
struct Place {
    node: String,
    #[serde(rename = "type")]
    kind: String,
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

/// The nodes of a cluster of several, each with whether it is online. None: the node stands alone, or `.members` cannot
/// be understood.
pub(in crate::backend) fn nodes(members: &str) -> BTreeMap<String, bool> {
    let Ok(members) = serde_json::from_str::<Members>(members) else { return BTreeMap::new() };
    if members.nodelist.len() < 2 {
        return BTreeMap::new();
    }
    members.nodelist.into_iter().map(|(name, node)| (name, node.online != 0)).collect()
}

/// Whether each of the VMs runs, by VMID.
pub(in crate::backend) fn running(vms: Vec<NodeVm>) -> BTreeMap<u32, bool> {
    vms.into_iter().map(|vm| (vm.vmid, vm.status == "running")).collect()
}

/// The VMs and containers of the cluster by its own file system: `.vmlist`, and of their configurations the lines that
/// name them, mark templates, or begin a section, each as `NODE/qemu-server/VMID.conf:name: web`. Snapshots have
/// sections of their own, and names in them.
///
/// # Errors
/// Why the list cannot be understood.
pub(in crate::backend) fn listed(list: &str, lines: &str) -> Result<Vec<ClusterVm>, String> {
    let list: Listed = serde_json::from_str(list).map_err(|why| why.to_string())?;
    let vm = |(vmid, place): (u32, Place)| ClusterVm {
        vmid,
        node: place.node,
        name: String::new(),
        kind: place.kind,
        template: 0,
    };
    let mut vms: BTreeMap<u32, ClusterVm> = list.ids.into_iter().map(|(id, place)| (id, vm((id, place)))).collect();
    let mut ended: BTreeSet<u32> = BTreeSet::new();
    for (path, line) in lines.lines().filter_map(|line| line.split_once(".conf:")) {
        let Some((Some(node), Ok(id))) = path.rsplit_once('/').map(|(dir, id)| (dir.split('/').next(), id.parse()))
        else {
            continue;
        };
        let Some(vm) = vms.get_mut(&id).filter(|vm| vm.node == node && !ended.contains(&id)) else { continue };
        if line.starts_with('[') {
            ended.insert(id);
        }
        match line.split_once(": ") {
            Some(("name" | "hostname", name)) => name.trim().clone_into(&mut vm.name),
            Some(("template", is)) => vm.template = u8::from(is.trim() == "1"),
            _ => {}
        }
    }
    Ok(vms.into_values().collect())
}

/// The VMs that run, of the lines `PID:VMID` that pid files say: those whose process names their pid file in its
/// command line. Each process that names one is a line `PATH/PID/cmdline:/var/run/qemu-server/VMID.pid`.
pub(in crate::backend) fn with_process(pids: &str, processes: &str) -> BTreeMap<u32, bool> {
    let processes: BTreeSet<(&str, &str)> = processes
        .lines()
        .filter_map(|line| {
            let (path, file) = line.split_once("/cmdline:")?;
            Some((path.rsplit('/').next()?, file.rsplit('/').next()?.strip_suffix(".pid")?))
        })
        .collect();
    let running = pids.lines().filter_map(|line| line.split_once(':')).filter(|of| processes.contains(of));
    running.filter_map(|(_, vm)| Some((vm.parse().ok()?, true))).collect()
}

/// What has a VMID of the cluster and is none of these VMs: they are those of `node`; `None`: those of all nodes.
pub(in crate::backend) fn taken(
    vms: Vec<ClusterVm>,
    node: Option<&str>,
    own: &BTreeMap<VmId, VmObserved>,
) -> BTreeMap<VmId, Taken> {
    vms.into_iter()
        .map(|vm| (vm.kind == "lxc", vm))
        .filter(|(container, vm)| *container || node != Some(&*vm.node))
        .filter_map(|(container, vm)| {
            let template = vm.template != 0;
            Some((VmId::try_from(vm.vmid).ok()?, Taken { node: vm.node, name: vm.name, container, template }))
        })
        .filter(|(id, _)| !own.contains_key(id))
        .collect()
}

/// What tells one cluster from another, from its root certificate: Proxmox makes one for each cluster, and for each
/// node that is in none; all nodes of a cluster share it.
pub(in crate::backend) fn identity(certificate: &[u8]) -> String {
    format!("root certificate {}", content_digest(certificate))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{ClusterVm, listed, nodes, taken, with_process, without_quorum};
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
        let found = taken(vms, Some("pve1"), &own);
        let found: Vec<_> = found.iter().map(|(id, vm)| (id.get(), vm.name.as_str(), vm.container)).collect();
        assert_eq!(found, [(101, "there", false), (102, "box", true)]);
    }

    #[test]
    fn the_cluster_file_system_knows_what_has_a_vmid() {
        // Recorded.
        let list = "{\n\"version\": 23,\n\"ids\": {\n\"200\": { \"node\": \"pve2\", \"type\": \"qemu\", \"version\": 21 },\n\
                    \"9001\": { \"node\": \"pve1\", \"type\": \"lxc\", \"version\": 16 },\n\
                    \"9000\": { \"node\": \"pve1\", \"type\": \"qemu\", \"version\": 10 }}\n\n}\n";
        let lines = "pve2/qemu-server/200.conf:name: a.conf:b\npve2/qemu-server/200.conf:[before]\n\
                     pve2/qemu-server/200.conf:name: old\npve2/qemu-server/200.conf:template: 1\n\
                     pve1/lxc/9001.conf:hostname: box\npve1/qemu-server/9000.conf:template: 1\n\
                     pve3/qemu-server/9000.conf:name: moved\npve1/qemu-server/x.conf:name: x\n";
        let found = listed(list, lines).unwrap();
        let found: Vec<_> = found.iter().map(|vm| (vm.vmid, vm.node.as_str(), vm.name.as_str(), vm.template)).collect();
        assert_eq!(found, [(200, "pve2", "a.conf:b", 0), (9000, "pve1", "", 1), (9001, "pve1", "box", 0)]);
        assert!(listed("{\"version\": 1, \"ids\": {}}", "").unwrap().is_empty());
        assert!(listed("", "").is_err() && listed("{}", "").is_err());
    }

    #[test]
    fn a_vm_runs_whose_process_names_its_pid_file() {
        let processes = "/proc/10/cmdline:/var/run/qemu-server/100.pid\n/proc/11/cmdline:/var/run/qemu-server/101.pid\n\
                         /proc/12/cmdline:/var/run/qemu-server/999.pid\n";
        // One whose pid was given to another VM's process, and one whose process is no QEMU.
        let running = with_process("10:100\n12:101\n13:102\n", processes);
        assert_eq!(running, BTreeMap::from([(100, true)]));
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
        assert_eq!(nodes(&members(1)), BTreeMap::from([("pve1".to_owned(), true), ("pve2".to_owned(), false)]));
        assert!(nodes(r#"{"nodename": "a", "nodelist": {"a": {"online": 1}}}"#).is_empty());
        let alone = "{\n\"nodename\": \"pve\",\n\"version\": 0\n}\n";
        for quorate in [members(1).as_str(), alone, "", "{", "[]"] {
            assert_eq!(without_quorum(quorate), None, "{quorate}");
            assert!(quorate.contains("nodelist") || nodes(quorate).is_empty(), "{quorate}");
        }
    }
}
