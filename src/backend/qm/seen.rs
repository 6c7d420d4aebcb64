//! Where VMs of the cluster were when they were last seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::command::HERE;
use crate::model::{Nodes, VmId};
use crate::observed::Observed;

/// Where the VMs were when they were last seen.
#[derive(Default)]
pub(super) struct Seen(Mutex<Inner>, Mutex<Tasks>);

/// The tasks of other nodes that this run waits for: by the name of the operation, the node and the id.
type Tasks = BTreeMap<String, (String, String)>;

#[derive(Default)]
struct Inner {
    /// The other nodes of the cluster that are online. None: the node stands alone.
    others: BTreeSet<String>,
    /// VMs that are on other nodes.
    elsewhere: BTreeMap<VmId, String>,
    /// The uuids of VMs in a cluster: the same one is the same VM, on whichever node.
    uuids: BTreeMap<VmId, String>,
}

impl Seen {
    fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes where all VMs are.
    pub(super) fn all(&self, observed: &Observed) {
        let others = observed.nodes.values().filter(|node| node.online && node.name != observed.here);
        let others: BTreeSet<String> = others.map(|node| node.name.clone()).collect();
        let elsewhere = observed.vms.values().filter(|vm| vm.node != observed.here);
        let elsewhere = elsewhere.map(|vm| (vm.id, vm.node.clone())).collect();
        let named = observed.vms.values().filter(|_| !others.is_empty());
        let uuids = named.filter_map(|vm| Some((vm.id, vm.uuid.clone()?))).collect();
        self.with(|inner| *inner = Inner { others, elsewhere, uuids });
    }

    /// Notes where one VM is; `None`: on the node itself, or nowhere.
    pub(super) fn one(&self, vm: VmId, node: Option<&str>) {
        self.with(|inner| match node {
            Some(node) => _ = inner.elsewhere.insert(vm, node.to_owned()),
            None => _ = inner.elsewhere.remove(&vm),
        });
    }

    /// Notes which VM has a VMID.
    pub(super) fn is(&self, vm: VmId, uuid: Option<&str>) {
        self.with(|inner| match uuid.filter(|_| !inner.others.is_empty()) {
            Some(uuid) => _ = inner.uuids.insert(vm, uuid.to_owned()),
            None => _ = inner.uuids.remove(&vm),
        });
    }

    /// The uuid of the VM that was seen last with a VMID.
    pub(super) fn uuid(&self, vm: VmId) -> Option<String> {
        self.with(|inner| inner.uuids.get(&vm).cloned())
    }

    /// The other node that a VM was last seen on.
    pub(super) fn node(&self, vm: VmId) -> Option<String> {
        self.with(|inner| inner.elsewhere.get(&vm).cloned())
    }

    /// What the calls about a VM name as its node.
    pub(super) fn place(&self, vm: VmId) -> String {
        self.node(vm).unwrap_or_else(|| HERE.to_owned())
    }

    /// Notes the task of another node that an operation waits for, while `wait` does.
    pub(super) fn during<T>(&self, operation: Option<String>, task: (&str, &str), wait: impl FnOnce() -> T) -> T {
        let tasks = || self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(operation) = operation else { return wait() };
        tasks().insert(operation.clone(), (task.0.to_owned(), task.1.to_owned()));
        let ended = wait();
        tasks().remove(&operation);
        ended
    }

    /// The task of another node that an operation waits for.
    pub(super) fn task(&self, operation: &str) -> Option<(String, String)> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).get(operation).cloned()
    }

    /// Whether there are other nodes that work.
    pub(super) fn has_others(&self) -> bool {
        self.with(|inner| !inner.others.is_empty())
    }
}

/// Whether a text may be the name of a node: a host name without a domain.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// The nodes that are asked for, as words of the script that asks them.
pub(super) fn words(nodes: &Nodes) -> Vec<&str> {
    match nodes {
        Nodes::Any => vec!["any"],
        Nodes::Of(names) => names.iter().map(String::as_str).filter(|name| is_name(name)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::words;
    use crate::model::Nodes;

    #[test]
    fn only_names_of_nodes_become_words() {
        let names = ["pve-2", "", "-x", "a b", "*", "$(id)", "a/b"].map(ToOwned::to_owned).to_vec();
        assert_eq!(words(&Nodes::Of(names)), ["pve-2"]);
        assert_eq!(words(&Nodes::Any), ["any"]);
    }
}
