//! On which node a VM is, or will be: the one answer to that, which everything asks that looks at a node for a VM.

use std::borrow::Cow;

use crate::diag::Diagnostic;
use crate::model::VmId;
use crate::observed::{Node, Observed};

use super::codes;

/// The name of the node that a VM is on; of one that is not there, of the node that it will be made on.
pub(super) fn name_of(vm: VmId, observed: &Observed) -> &str {
    observed.vms.get(&vm).map_or(&observed.here, |live| &live.node)
}

/// The node that a VM is on, or will be made on. One of which nothing is known has nothing, and is not online.
pub(super) fn node_of(vm: VmId, observed: &Observed) -> &Node {
    observed.nodes.get(name_of(vm, observed)).unwrap_or_else(|| Node::unknown())
}

/// Says that a VM cannot be planned, because its node is not there to be asked.
pub(super) fn out_of_reach(vm: VmId, observed: &Observed) -> Option<Diagnostic> {
    // What has such a VMID is refused with its own words.
    if observed.taken.contains_key(&vm) || node_of(vm, observed).online {
        return None;
    }
    let name = name_of(vm, observed);
    let place = if observed.vms.contains_key(&vm) { "is" } else { "is to be made" };
    let (why, hint) = if observed.nodes.contains_key(name) {
        ("is not online", format!("bring the node up, or leave the VM alone with `--exclude {vm}`"))
    } else {
        ("is not one of the target's nodes", format!("leave the VM alone with `--exclude {vm}`"))
    };
    let what = format!("node `{name}`, on which the VM {place}, {why}");
    Some(Diagnostic::error(codes::NODE_OUT_OF_REACH, what).vm(vm).hint(hint))
}

/// A node as messages call it: by its name only where there are others.
pub(super) fn called(node: &Node, observed: &Observed) -> Cow<'static, str> {
    if observed.nodes.len() > 1 { format!("node `{}`", node.name).into() } else { "the node".into() }
}

/// The words that say on which node something is missing: none where there is only one.
pub(super) fn on(node: &Node, observed: &Observed) -> Cow<'static, str> {
    if observed.nodes.len() > 1 { format!(" on node `{}`", node.name).into() } else { "".into() }
}
