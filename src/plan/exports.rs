//! What the nodes export.

use std::collections::BTreeMap;

use super::{Mount, placement};
use crate::model::VmId;
use crate::observed::{Export, Observed};

/// What the nodes export, looked through once for all VMs.
pub(super) struct Exports<'a> {
    observed: &'a Observed,
    /// The exports of phoenix's by VM, each as its own node has them.
    own: BTreeMap<VmId, Vec<&'a Export>>,
    /// The exports of each node that are not phoenix's.
    others: BTreeMap<&'a str, Vec<&'a Export>>,
}

impl<'a> Exports<'a> {
    pub(super) fn of(observed: &'a Observed) -> Self {
        let mut exports = Self { observed, own: BTreeMap::new(), others: BTreeMap::new() };
        for (name, node) in &observed.nodes {
            for export in &node.exports {
                match export.vm {
                    Some(vm) if placement::name_of(vm, observed) == name => {
                        exports.own.entry(vm).or_default().push(export);
                    }
                    // What another node exports to a VM is of no use to it.
                    Some(_) => {}
                    None => exports.others.entry(name).or_default().push(export),
                }
            }
        }
        exports
    }

    /// Phoenix's exports to a VM.
    pub(super) fn own_of(&self, vm: VmId) -> &[&'a Export] {
        self.own.get(&vm).map_or(&[], Vec::as_slice)
    }

    /// The exports of a VM's node that are not phoenix's.
    pub(super) fn others_for(&self, vm: VmId) -> &[&'a Export] {
        self.others.get(placement::name_of(vm, self.observed)).map_or(&[], Vec::as_slice)
    }

    /// Whether an export that is not phoenix's gives the directory to every address.
    pub(super) fn is_open(&self, vm: VmId, mount: &Mount) -> bool {
        self.others_for(vm).iter().any(|export| export.is_open(&mount.export))
    }
}
