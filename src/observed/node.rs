//! One node of a target.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{Allowed, Export, Listed, Place, SnippetSeen, Storage};

/// A node as it was observed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether it is up. Of one that is not, nothing else is known for sure.
    pub online: bool,
    /// It does not answer, though the cluster counts it as online: its `pveproxy` hangs, or does not run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
    /// The HA manager keeps it free of VMs: it is in maintenance, or was asked to be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
    /// Its memory in MiB; 0 means unknown.
    pub memory_mb: u64,
    /// How much of it was in use when it was looked at, in MiB, by VMs and all else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_mb: Option<u64>,
    /// Logical CPUs a single VM may have at most; 0 means unknown.
    pub cpus: u32,
    /// Bridges by name, each with the node's own address on it, if it has one.
    pub bridges: BTreeMap<String, Option<String>>,
    /// It was not asked for its bridges: `bridges` says nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bridges_unknown: bool,
    /// All its own addresses.
    pub addresses: BTreeSet<String>,
    /// Storages by id, as they are seen from this node.
    pub storages: BTreeMap<String, Storage>,
    /// ISO images of the storages that were asked for them, as volumes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub isos: BTreeMap<String, BTreeSet<String>>,
    /// Volumes of the storages that were asked for those of some VMs, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub listed: Listed,
    /// Directories of the node that were asked for, exist, and are not empty: how many entries each has.
    pub directories: BTreeMap<String, usize>,
    /// Where the directories of the node that were asked for really lie, whether or not they exist.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<String, Place>,
    /// What the node's administrator allows VMs to have of it.
    #[serde(default, skip_serializing_if = "Allowed::is_empty")]
    pub allowed: Allowed,
    /// phoenix's snippets on the storages of the node: volume to what it holds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snippets: BTreeMap<String, SnippetSeen>,
    /// What the node exports by NFS, as its files say.
    pub exports: Vec<Export>,
    /// Whether an NFS server is installed (`exportfs`).
    pub nfs_server: bool,
    /// Why there is none and what helps, where that is not what it is on Proxmox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nfs_hint: Option<String>,
    /// The node's own NFS server has ended, though running VMs use it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nfs_ended: bool,
}

impl Node {
    /// A node of which nothing is known: it is not online and has nothing.
    #[must_use]
    pub fn unknown() -> &'static Self {
        static UNKNOWN: LazyLock<Node> = LazyLock::new(Node::default);
        &UNKNOWN
    }

    /// Whether it is known not to have a bridge.
    #[must_use]
    pub fn lacks_bridge(&self, bridge: &str) -> bool {
        !self.bridges_unknown && !self.bridges.contains_key(bridge)
    }

    /// Whether a server of NFS, by its address or its name, is the node itself.
    #[must_use]
    pub fn is_server(&self, server: &str) -> bool {
        self.addresses.contains(server) || server == self.name
    }

    /// Why one that is not online cannot be asked for anything, in words that follow its name.
    #[must_use]
    pub fn absence(&self) -> &'static str {
        if self.silent { "does not answer, though the cluster counts it as online" } else { "is not online" }
    }

    /// What helps against that.
    #[must_use]
    pub fn way_back(&self) -> &'static str {
        if self.silent { "`systemctl restart pvedaemon pveproxy` on the node may help" } else { "bring the node up" }
    }
}

/// Nodes as a list, because each has its own name: a recording cannot say it twice.
pub(super) mod list {
    use std::collections::BTreeMap;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Node;

    /// Writes the nodes by name.
    pub(in crate::observed) fn serialize<S: Serializer>(
        nodes: &BTreeMap<String, Node>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(nodes.values())
    }

    /// Reads the nodes. Refuses two of one name.
    pub(in crate::observed) fn deserialize<'d, D: Deserializer<'d>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Node>, D::Error> {
        let mut nodes = BTreeMap::new();
        for node in Vec::<Node>::deserialize(deserializer)? {
            let name = node.name.clone();
            if let Some(twice) = nodes.insert(name, node) {
                return Err(D::Error::custom(format_args!("there are two nodes `{}`", twice.name)));
            }
        }
        Ok(nodes)
    }
}

#[cfg(test)]
mod tests {
    use crate::observed::{Node, Observed};

    #[test]
    fn nodes_are_a_list_of_names() {
        let node = |name: &str| (name.to_owned(), Node { name: name.to_owned(), online: true, ..Node::default() });
        let observed = Observed { here: "b".to_owned(), nodes: ["b", "a"].map(node).into(), ..Observed::default() };
        let mut json = serde_json::to_value(&observed).unwrap();
        let names: Vec<_> = json["nodes"].as_array().unwrap().iter().map(|node| node["name"].clone()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(serde_json::from_value::<Observed>(json.clone()).unwrap(), observed);
        json["nodes"][1]["name"] = "a".into();
        let refused = serde_json::from_value::<Observed>(json).unwrap_err().to_string();
        assert_eq!(refused, "there are two nodes `a`");
    }

    #[test]
    fn a_node_that_is_not_there_is_unknown_and_not_online() {
        let mut observed = Observed { here: "b".to_owned(), ..Observed::default() };
        assert!(!observed.own_node().online);
        observed.own_node_mut().memory_mb = 7;
        assert_eq!((observed.own_node().name.as_str(), observed.own_node().memory_mb), ("b", 7));
    }
}
