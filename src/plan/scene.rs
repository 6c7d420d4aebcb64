//! What all VMs of one plan look at.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use super::exports::Exports;
use super::grants::Grants;
use super::{Choice, placement};
use crate::model::{Desired, DesiredVm, VmId};
use crate::observed::{Node, Observed};

/// What all VMs of one plan look at.
pub(super) struct Scene<'a> {
    pub desired: &'a Desired,
    pub observed: &'a Observed,
    pub templates: &'a BTreeMap<&'a str, Vec<VmId>>,
    pub names: &'a BTreeMap<&'a str, Vec<VmId>>,
    /// The VMs that are asked for.
    pub selection: &'a Choice,
    /// What the nodes export.
    pub exports: &'a Exports<'a>,
    /// What VMs may have of the nodes.
    pub grants: &'a Grants<'a>,
    /// Restart VMs with values that wait for it.
    pub restart: bool,
    /// Erase the sources of disks that move.
    pub delete_source: bool,
    /// Take a snapshot of each VM before it is disturbed.
    pub snapshot: bool,
    /// Features that run again although they ran.
    pub rerun: &'a [String],
    /// The fixed addresses of VMs that the file does not declare.
    pub addresses: &'a BTreeMap<IpAddr, VmId>,
    /// The VMs whose unused volumes are erased.
    pub delete_unused: &'a [VmId],
    /// The VMs that go.
    pub going: &'a BTreeSet<VmId>,
    /// Where VMs go, the linked clones that are built on disks of each VM, those of VMs that are made anew among them.
    pub clones: &'a BTreeMap<VmId, BTreeSet<VmId>>,
}

impl<'a> Scene<'a> {
    /// Whether the guest agent of a VM is asked for anything; of one that the file does not declare, if it has one.
    pub(super) fn asks_agent(&self, vm: VmId) -> bool {
        self.desired.vm(vm).is_none_or(DesiredVm::asks_agent)
    }

    /// The node that a VM is on, or will be made on.
    pub(super) fn node(&self, vm: VmId) -> &'a Node {
        placement::node_of(vm, self.observed)
    }

    /// The templates of this name that a VM can be cloned from: those on its node, else the first one of another node
    /// that is online.
    pub(super) fn templates_for(&self, vm: VmId, name: &str) -> Vec<VmId> {
        let node = placement::name_of(vm, self.observed);
        let named = || self.templates.get(name).into_iter().flatten().copied();
        let own: Vec<VmId> = named().filter(|template| placement::name_of(*template, self.observed) == node).collect();
        if !own.is_empty() {
            return own;
        }
        named().find(|template| placement::node_of(*template, self.observed).online).into_iter().collect()
    }
}
