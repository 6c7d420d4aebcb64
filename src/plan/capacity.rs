//! What each node of a cluster has promised its VMs of its memory and its storages, and what a plan adds to that.
//!
//! The one source of these numbers: promised is what is configured, whether or not a VM runs, and however much of a
//! disk is filled; used is what was measured when the target was looked at. Of a single node nothing is said.

use std::collections::BTreeMap;

use crate::model::VmId;
use crate::observed::{Node, Observed, Storage, VmObserved, VmVolume};

/// The nodes of a cluster as they are, and what the VMs of a plan change of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// The nodes by name.
    pub(super) nodes: BTreeMap<String, NodeCapacity>,
    /// The storages that all nodes share, by id.
    pub(super) shared: BTreeMap<String, Room>,
    /// The VMs of the plan.
    vms: BTreeMap<VmId, VmShare>,
}

/// What a node has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct NodeCapacity {
    pub(super) online: bool,
    pub(super) maintenance: bool,
    /// Its VMs, templates aside, and how many of them run.
    pub(super) vms: usize,
    pub(super) running: usize,
    /// Of its memory, in MiB.
    pub(super) memory: Room,
    /// How much of that may be promised, in MiB.
    pub(super) memory_limit: Option<u64>,
    /// Of its own storages by id, in bytes.
    pub(super) storages: BTreeMap<String, Room>,
}

/// An amount of something, in a unit that its place gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// All there is, where that is known.
    pub(super) total: Option<u64>,
    /// How much of it was in use.
    pub(super) used: Option<u64>,
    /// How much of it VMs were promised.
    pub(super) promised: u64,
    /// How much that is when the plan is carried out.
    pub(super) planned: u64,
}

/// What a VM of the plan has and will have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct VmShare {
    /// `None`: it is on no node.
    pub(super) now: Option<Share>,
    /// `None`: it is removed, or can be on no node.
    pub(super) then: Option<Share>,
}

/// What one VM is promised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) node: String,
    pub(super) memory_mb: u64,
    /// Its own disks by slot: the storage, and the size in bytes.
    pub(super) disks: BTreeMap<String, (String, u64)>,
}

impl Share {
    /// What a VM that is there has.
    pub(super) fn of(live: &VmObserved) -> Self {
        let own = live.volumes.iter().filter(|volume| volume.belongs_to(live.id));
        let disk = |volume: &VmVolume| {
            let (storage, _) = volume.volume.split_once(':')?;
            Some((volume.device.clone(), (storage.to_owned(), volume.size?)))
        };
        // What an interrupted clone left is no VM that could start; its disks are there.
        let starts = !live.template && !live.is_half_cloned();
        let memory_mb = if starts { live.memory_mb } else { 0 };
        Self { node: live.node.clone(), memory_mb, disks: own.filter_map(disk).collect() }
    }
}

/// How much memory in MiB the VMs of a node may be promised.
pub(super) fn promised_at_most(node: &Node, limit_percent: u32) -> u64 {
    node.memory_mb.saturating_mul(u64::from(limit_percent)) / 100
}

impl Capacity {
    /// A cluster as it is, whose nodes may promise so much of their memory; each VM of a plan is added with what it has
    /// and will have. `None`: the target has one node.
    pub(super) fn of(
        limit_percent: u32,
        observed: &Observed,
        vms: impl Iterator<Item = (VmId, VmShare)>,
    ) -> Option<Box<Self>> {
        if observed.nodes.len() < 2 {
            return None;
        }
        let mut shared: BTreeMap<String, Room> = BTreeMap::new();
        let storages = observed.nodes.values().flat_map(|node| &node.storages);
        for (id, storage) in storages.filter(|(_, storage)| storage.shared && storage.images) {
            // A node that is not online says nothing of its size.
            let room = shared.entry(id.clone()).or_default();
            if room.total.is_none() {
                *room = Room::of_storage(storage);
            }
        }
        let nodes =
            observed.nodes.values().map(|seen| (seen.name.clone(), NodeCapacity::of(seen, &shared, limit_percent)));
        let mut capacity = Self { nodes: nodes.collect(), shared, vms: vms.collect() };
        for live in observed.vms.values() {
            capacity.promise(&Share::of(live), live);
        }
        Some(Box::new(capacity))
    }

    /// Counts a VM that is there.
    fn promise(&mut self, share: &Share, live: &VmObserved) {
        if let Some(node) = self.nodes.get_mut(&share.node)
            && !live.template
            && !live.is_half_cloned()
        {
            node.vms += 1;
            node.running += usize::from(live.running);
        }
        self.each(share, |room, amount| room.promised = room.promised.saturating_add(amount));
    }

    /// Does something with every room that a VM takes, and how much it takes there.
    fn each(&mut self, share: &Share, count: impl Fn(&mut Room, u64)) {
        let Some(node) = self.nodes.get_mut(&share.node) else { return };
        count(&mut node.memory, share.memory_mb);
        for (storage, size) in share.disks.values() {
            let room = match self.shared.get_mut(storage) {
                Some(shared) => shared,
                None => node.storages.entry(storage.clone()).or_default(),
            };
            count(room, *size);
        }
    }

    /// The same with what is promised when these VMs are as they are planned: not all of those that it was made for,
    /// where some were left out.
    pub(super) fn with(&self, vms: impl Iterator<Item = VmId>) -> Self {
        let mut capacity = self.clone();
        let rooms = capacity.nodes.values_mut().flat_map(|node| {
            let NodeCapacity { memory, storages, .. } = node;
            std::iter::once(memory).chain(storages.values_mut())
        });
        for room in rooms.chain(capacity.shared.values_mut()) {
            room.planned = room.promised;
        }
        for share in vms.filter_map(|vm| self.vms.get(&vm)) {
            if share.now == share.then {
                continue;
            }
            // Added first: what is taken away is in it.
            if let Some(then) = &share.then {
                capacity.each(then, |room, amount| room.planned = room.planned.saturating_add(amount));
            }
            if let Some(now) = &share.now {
                capacity.each(now, |room, amount| room.planned = room.planned.saturating_sub(amount));
            }
        }
        capacity
    }

    /// The nodes that the VMs of the plan are on, each with theirs: where they are now, or else will be; `then`: the
    /// other way round. What can be on no node is left out.
    pub(super) fn on(&self, vms: impl Iterator<Item = VmId>, then: bool) -> BTreeMap<&str, Vec<u32>> {
        let mut found: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (vm, share) in vms.filter_map(|vm| Some((vm, self.vms.get(&vm)?))) {
            let (now, after) = (share.now.as_ref(), share.then.as_ref());
            if let Some(share) = if then { after.or(now) } else { now.or(after) } {
                found.entry(share.node.as_str()).or_default().push(vm.get());
            }
        }
        found
    }
}

impl NodeCapacity {
    fn of(node: &Node, shared: &BTreeMap<String, Room>, limit_percent: u32) -> Self {
        let own = node.storages.iter().filter(|(id, storage)| storage.images && !shared.contains_key(*id));
        let known = node.memory_mb != 0;
        Self {
            online: node.online,
            maintenance: node.maintenance,
            memory: Room { total: known.then_some(node.memory_mb), used: node.memory_used_mb, ..Room::default() },
            memory_limit: known.then(|| promised_at_most(node, limit_percent)),
            storages: own.map(|(id, storage)| (id.clone(), Room::of_storage(storage))).collect(),
            ..Self::default()
        }
    }
}

impl Room {
    fn of_storage(storage: &Storage) -> Self {
        let total = Some(storage.total).filter(|total| *total != 0);
        let used = total.map(|total| total.saturating_sub(storage.free));
        Self { total, used, ..Self::default() }
    }
}
