//! The other nodes of a cluster, as one node tells of them: `/cluster/resources`, and the networks of each.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::storage::{Entry, Section, storages};
use crate::model::VmId;
use crate::observed::{Node, Storage};

/// What there is in a cluster: nodes, VMs, storages as each node sees them.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::backend) struct Resources(Vec<Resource>);

/// One of them. A node that is not online says nothing but its name.
#[derive(Debug, Deserialize)]
struct Resource {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    node: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    vmid: u32,
    #[serde(default)]
    storage: String,
    #[serde(default, rename = "plugintype")]
    plugin: String,
    #[serde(default)]
    content: String,
    #[serde(default)]
    shared: u8,
    #[serde(default)]
    disk: u64,
    #[serde(default, rename = "maxdisk")]
    max_disk: u64,
    #[serde(default, rename = "mem")]
    memory: Option<u64>,
    #[serde(default, rename = "maxmem")]
    max_memory: u64,
    #[serde(default, rename = "maxcpu")]
    max_cpus: f64,
}

impl Resources {
    fn of<'r>(&'r self, kind: &'r str) -> impl Iterator<Item = &'r Resource> {
        self.0.iter().filter(move |resource| resource.kind == kind)
    }

    /// The VMs that run, each with its node, as far as it is known: what pvestatd said of them last.
    pub(in crate::backend) fn running(&self) -> BTreeMap<u32, &str> {
        self.of("qemu").filter(|vm| vm.status == "running").map(|vm| (vm.vmid, vm.node.as_str())).collect()
    }

    /// A node of which `.members` says whether it is up. Its bridges are not among what is known of it.
    pub(in crate::backend) fn node(&self, name: &str, online: bool, sections: &BTreeMap<String, Section>) -> Node {
        let itself = self.of("node").find(|node| node.node == name);
        let online = online && itself.is_none_or(|node| node.status != "offline");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
        let cpus = itself.map_or(0, |node| node.max_cpus as u32);
        Node {
            name: name.to_owned(),
            online,
            memory_mb: itself.map_or(0, |node| node.max_memory >> 20),
            memory_used_mb: itself.filter(|_| online).and_then(|node| Some(node.memory? >> 20)),
            cpus,
            bridges_unknown: true,
            storages: self.storages(name, sections),
            ..Node::default()
        }
    }

    fn storages(&self, node: &str, sections: &BTreeMap<String, Section>) -> BTreeMap<String, Storage> {
        let entry = |seen: &Resource| Entry {
            storage: seen.storage.clone(),
            kind: seen.plugin.clone(),
            content: seen.content.clone(),
            active: u8::from(seen.status == "available"),
            // One that is disabled is not among them.
            enabled: 1,
            total: seen.max_disk,
            avail: seen.max_disk.saturating_sub(seen.disk),
            shared: seen.shared,
        };
        storages(self.of("storage").filter(|storage| storage.node == node).map(entry).collect(), sections)
    }
}

/// A network of a node.
#[derive(Debug, Deserialize)]
pub(in crate::backend) struct Network {
    iface: String,
    #[serde(default)]
    address: Option<String>,
}

/// The bridges of a node, each with its own address on it, if it has one.
pub(in crate::backend) fn bridges(networks: Vec<Network>) -> BTreeMap<String, Option<String>> {
    let address = |text: String| text.parse::<core::net::Ipv4Addr>().is_ok().then_some(text);
    networks.into_iter().map(|network| (network.iface, network.address.and_then(address))).collect()
}

/// Whether a VM runs, as its node says it: the answer of `…/qemu/ID/status/current`.
///
/// # Errors
/// Why that cannot be understood.
pub(in crate::backend) fn runs(current: &str, vm: VmId) -> Result<bool, String> {
    #[derive(Deserialize)]
    struct Current {
        status: String,
    }
    let current: Current = serde_json::from_str(current).map_err(|why| why.to_string())?;
    match current.status.as_str() {
        "running" => Ok(true),
        "stopped" => Ok(false),
        other => Err(format!("VM {vm} is `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::storage::sections;
    use super::{Resources, bridges, runs};
    use crate::model::VmId;

    /// Recorded of a cluster of two nodes; the third was off.
    const RESOURCES: &str = r#"[{"diskread":0,"mem":0,"template":0,"id":"qemu/9000","maxcpu":1,"disk":0,"node":"pve1",
        "name":"ubuntu","maxmem":536870912,"maxdisk":618659840,"type":"qemu","cpu":0,"status":"running","vmid":9000},
        {"id":"qemu/9001","node":"pve1","vmid":9001,"type":"qemu","status":"unknown"},
        {"mem":3434565632,"cgroup-mode":2,"id":"node/pve1","maxcpu":2,"disk":27231133696,"node":"pve1",
        "maxmem":25276514304,"maxdisk":270553174016,"type":"node","cpu":1,"uptime":2519,"status":"online","level":""},
        {"id":"node/pve3","node":"pve3","type":"node","status":"offline"},
        {"node":"pve1","content":"iso,snippets,images,import","plugintype":"dir","maxdisk":270553174016,
        "type":"storage","id":"storage/pve1/local-nfs","status":"available","shared":1,"disk":27233841152,
        "storage":"local-nfs"},
        {"plugintype":"lvm","type":"storage","node":"pve1","content":"rootdir","status":"unknown","shared":0,
        "storage":"old","id":"storage/pve1/old"},
        {"network-type":"zone","id":"network/pve1/zone/localnetwork","network":"localnetwork","node":"pve1",
        "type":"network","status":"ok"}]"#;

    #[test]
    fn a_node_has_what_the_resources_say() {
        let found: Resources = serde_json::from_str(RESOURCES).unwrap();
        let sections = sections("dir: local-nfs\n\tpath /mnt/x\n\tshared 1\n");
        let node = found.node("pve1", true, &sections);
        assert!(node.online && node.bridges_unknown && !node.lacks_bridge("vmbr9"));
        assert_eq!((node.memory_mb, node.memory_used_mb, node.cpus), (24_105, Some(3275), 2));
        let shared = &node.storages["local-nfs"];
        assert!(shared.images && shared.isos && shared.active && shared.shared && !shared.thick);
        assert_eq!((shared.total, shared.free), (270_553_174_016, 270_553_174_016 - 27_233_841_152));
        assert_eq!(shared.path.as_deref(), Some("/mnt/x"));
        let old = &node.storages["old"];
        assert!(!old.images && !old.active && old.thick && !old.shared);
        assert_eq!(found.running(), BTreeMap::from([(9000, "pve1")]));
        // One that `.members` calls online and pvestatd does not know yet.
        assert!(found.node("pve2", true, &BTreeMap::new()).online);
        assert!(!found.node("pve1", false, &BTreeMap::new()).online);
        let off = found.node("pve3", true, &BTreeMap::new());
        assert!(!off.online && off.storages.is_empty() && off.memory_mb == 0);
        assert_eq!(off.memory_used_mb, None);
        for garbled in ["{}", "[{}]", "[{\"type\": 1}]", ""] {
            assert!(serde_json::from_str::<Resources>(garbled).is_err(), "{garbled}");
        }
    }

    #[test]
    fn a_node_has_its_bridges() {
        // Recorded, and one without an address.
        let networks = r#"[{"iface":"vmbr0","priority":3,"address":"10.98.0.2","type":"bridge","cidr":"10.98.0.2/24",
            "families":["inet"],"active":1},{"iface":"vmbr1","type":"bridge","method":"manual"}]"#;
        let found = bridges(serde_json::from_str(networks).unwrap());
        let expected = [("vmbr0".to_owned(), Some("10.98.0.2".to_owned())), ("vmbr1".to_owned(), None)];
        assert_eq!(found, BTreeMap::from(expected));
    }

    #[test]
    fn a_vm_runs_if_its_node_says_so() {
        let vm = VmId::try_from(3200).unwrap();
        // Recorded, in short.
        assert_eq!(runs(r#"{"agent":1,"qmpstatus":"running","status":"running","vmid":3200}"#, vm), Ok(true));
        assert_eq!(runs(r#"{"ha":{"managed":1,"state":"started"},"status":"stopped"}"#, vm), Ok(false));
        for garbled in [r#"{"status":"x"}"#, "{}", ""] {
            assert!(runs(garbled, vm).is_err(), "{garbled}");
        }
    }
}
