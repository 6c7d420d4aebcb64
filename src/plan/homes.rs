//! Placement: on which node each new VM is made, and to which one a VM moves that may not stay where it is.
//!
//! A VM is placed once and stays while its node is allowed: load is never a reason to move. What counts is what was
//! configured, not what is measured, so the same file and the same cluster give the same answer.

use std::collections::{BTreeMap, BTreeSet};

use super::capacity::promised_at_most;
use super::{drives, mapped, migrate, placement};
use crate::model::{Desired, DesiredVm, GIB, Nodes, RecordState, VmId};
use crate::observed::{Home, Net, Node, Observed, VmObserved};

/// What a node has promised, with the VMs that this plan places there.
#[derive(Default)]
struct Load<'a> {
    /// Memory of its VMs in MiB, whether or not they run.
    memory_mb: u64,
    /// Bytes that new disks take, by storage.
    disks: BTreeMap<&'a str, u64>,
    /// How many VMs of the project it has.
    project: usize,
    /// How many VMs it has of each tag of `never_same_node`.
    tagged: BTreeMap<&'a str, usize>,
}

/// A node that a VM can be on, and how good it is.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank<'a> {
    /// VMs there that share a tag of `never_same_node` with this one.
    together: usize,
    /// VMs of the project.
    project: usize,
    /// Memory in MiB that is promised, less what there is: the smallest has most to give.
    memory_left: std::cmp::Reverse<u64>,
    /// Its place in the list.
    place: usize,
    name: &'a str,
}

/// The nodes that were agreed upon for VMs, each with what the plan said of it.
pub type Agreed = BTreeMap<VmId, (String, String)>;

/// The nodes that declared VMs could be put on: those of which it matters what they have.
#[must_use]
pub fn wanted_nodes(desired: &Desired) -> Nodes {
    let mut names = BTreeSet::new();
    for nodes in desired.vms.iter().filter_map(|vm| vm.node.as_ref()) {
        match nodes {
            Nodes::Any => return Nodes::Any,
            Nodes::Of(some) => names.extend(some.iter().cloned()),
        }
    }
    Nodes::Of(names.into_iter().collect())
}

/// Where the declared VMs are to be that are not there, or are on a node that they may not be on. Those whose file says
/// nothing of a node are left out.
///
/// `agreed` are nodes that were agreed upon before: each is kept as long as the VM can be there.
#[must_use]
pub fn homes(desired: &Desired, observed: &Observed, agreed: &Agreed) -> BTreeMap<VmId, Home> {
    let mut homes = BTreeMap::new();
    if desired.vms.iter().all(|vm| vm.node.is_none()) {
        return homes;
    }
    let (mut loads, templates) = (loads(desired, observed), observed.templates_by_name());
    // Those with fewer nodes to choose from first, so that the others can make way.
    let choices = |nodes: &Nodes| match nodes {
        Nodes::Any => usize::MAX,
        Nodes::Of(names) => names.len(),
    };
    let mut placed: Vec<_> = desired.vms.iter().filter_map(|vm| Some((vm, vm.node.as_ref()?))).collect();
    placed.sort_by_key(|(vm, nodes)| (choices(nodes), vm.vm_id));
    for (vm, nodes) in placed {
        let live = placement::there(vm.vm_id, observed);
        if live.is_some_and(|live| nodes.has(&live.node) && !is_unplaced(live))
            || observed.taken.contains_key(&vm.vm_id)
        {
            continue;
        }
        let home =
            home(vm, nodes, &Scope { desired, observed, templates: &templates, loads: &loads }, agreed.get(&vm.vm_id));
        if let Some(node) = home.node()
            && let Some((name, _)) = observed.nodes.get_key_value(node)
        {
            loads.entry(name.as_str()).or_default().takes(vm, name, desired, observed);
        }
        homes.insert(vm.vm_id, home);
    }
    homes
}

/// Whether a VM lies where it was cloned, and has yet to get to the node that it is for, for all that its record says:
/// its first run was interrupted before it ever ran.
fn is_unplaced(live: &VmObserved) -> bool {
    !live.running && live.record.valid().is_some_and(|record| record.state == RecordState::Creating)
}

/// What the nodes have promised already. A new VM whose file names no node is promised by the target's own.
fn loads<'a>(desired: &'a Desired, observed: &'a Observed) -> BTreeMap<&'a str, Load<'a>> {
    let mut loads: BTreeMap<&str, Load<'_>> = BTreeMap::new();
    let is_placed = |live: &&VmObserved| {
        let again = is_unplaced(live) && desired.vm(live.id).is_some_and(|vm| vm.node.is_some());
        !live.template && !again && placement::there(live.id, observed).is_some()
    };
    for live in observed.vms.values().filter(is_placed) {
        let load = loads.entry(&live.node).or_default();
        let declared = desired.vm(live.id);
        let memory = declared.map_or(live.memory_mb, |vm| u64::from(vm.memory_mb).max(live.memory_mb));
        load.memory_mb = load.memory_mb.saturating_add(memory);
        // One that moves takes memory from both until it has moved, and is among the others of its new node.
        if declared.and_then(|vm| vm.node.as_ref()).is_some_and(|nodes| !nodes.has(&live.node)) {
            continue;
        }
        let ours = live.record.valid().is_some_and(|record| record.project == desired.settings.project);
        load.project += usize::from(ours);
        for tag in desired
            .settings
            .never_same_node
            .iter()
            .filter(|tag| live.tags.contains(tag) || declared.is_some_and(|vm| vm.tags.contains(tag)))
        {
            *load.tagged.entry(tag).or_default() += 1;
        }
    }
    for vm in desired.vms.iter().filter(|vm| vm.node.is_none() && placement::there(vm.vm_id, observed).is_none()) {
        loads.entry(&observed.here).or_default().takes(vm, &observed.here, desired, observed);
    }
    loads
}

impl<'a> Load<'a> {
    /// Promises a VM that comes to `node` what the file says.
    fn takes(&mut self, vm: &'a DesiredVm, node: &str, desired: &'a Desired, observed: &Observed) {
        if !vm.is_template {
            self.memory_mb = self.memory_mb.saturating_add(u64::from(vm.memory_mb));
        }
        for (storage, bytes) in disks(vm).filter(|(storage, _)| !lies_there(vm, node, storage, observed)) {
            *self.disks.entry(storage).or_default() += bytes;
        }
        self.project += 1;
        for tag in desired.settings.never_same_node.iter().filter(|tag| vm.tags.contains(tag)) {
            *self.tagged.entry(tag).or_default() += 1;
        }
    }
}

/// What the new disks of a VM take: storage and bytes of each.
fn disks(vm: &DesiredVm) -> impl Iterator<Item = (&str, u64)> {
    let further = vm.disks.values().filter(|disk| disk.volume.is_none());
    let further = further.map(|disk| (disk.storage.as_str(), u64::from(disk.size_gb.unwrap_or(0)) * GIB));
    further.chain([(vm.boot_disk_storage.as_str(), u64::from(vm.boot_disk_size_gb) * GIB)])
}

/// Whether the disks of a VM that is there lie where they will lie on a node: it is there, or all see that storage.
fn lies_there(vm: &DesiredVm, node: &str, storage: &str, observed: &Observed) -> bool {
    let Some(live) = placement::there(vm.vm_id, observed) else { return false };
    let is_on = |id: &str| live.volumes.iter().any(|own| own.volume.split_once(':').is_some_and(|(on, _)| on == id));
    let is_shared = |id: &str| observed.nodes.get(&live.node).is_some_and(|node| migrate::is_shared(node, id));
    live.node == node || (is_on(storage) && is_shared(storage))
}

/// What a VM is placed among.
struct Scope<'s> {
    desired: &'s Desired,
    observed: &'s Observed,
    templates: &'s BTreeMap<&'s str, Vec<VmId>>,
    loads: &'s BTreeMap<&'s str, Load<'s>>,
}

/// Finds the node for one VM.
fn home(vm: &DesiredVm, nodes: &Nodes, scope: &Scope<'_>, agreed: Option<&(String, String)>) -> Home {
    let candidates: Vec<&str> = match nodes {
        Nodes::Any => scope.observed.nodes.keys().map(String::as_str).collect(),
        Nodes::Of(names) => names.iter().map(String::as_str).collect(),
    };
    let (mut possible, mut refused) = (Vec::new(), Vec::new());
    for (place, name) in candidates.iter().enumerate() {
        match scope.refuses(vm, name) {
            Some(why) => refused.push(((*name).to_owned(), why)),
            // Every node is as good as every other: only their names tell them apart.
            None => possible.push(scope.rank(vm, name, if *nodes == Nodes::Any { 0 } else { place })),
        }
    }
    if let Some((node, why)) = agreed.filter(|(node, _)| possible.iter().any(|rank| rank.name == *node)) {
        return Home::At { node: node.clone(), why: why.clone(), agreed: true };
    }
    match possible.iter().min() {
        Some(best) => {
            Home::At { node: best.name.to_owned(), why: scope.why(vm, best, &candidates, &possible), agreed: false }
        }
        None => Home::Nowhere(refused),
    }
}

impl Scope<'_> {
    /// Why a VM cannot be on a node, if that is so.
    fn refuses(&self, vm: &DesiredVm, name: &str) -> Option<String> {
        let Some(node) = self.observed.nodes.get(name) else {
            return Some("not one of the target's nodes".to_owned());
        };
        if !node.online {
            return Some(if node.silent { node.absence() } else { "not online" }.to_owned());
        }
        if node.maintenance {
            return Some("in maintenance".to_owned());
        }
        self.lacks(vm, node).or_else(|| self.is_full(vm, node))
    }

    /// What a node lacks that the VM needs.
    fn lacks(&self, vm: &DesiredVm, node: &Node) -> Option<String> {
        let further = vm.networks.values().filter_map(|card| Net::parse(&card.value)?.bridge);
        let bridges: BTreeSet<String> = further.chain([vm.network_bridge.clone()]).collect();
        if let Some(bridge) = bridges.into_iter().find(|bridge| node.lacks_bridge(bridge)) {
            return Some(format!("it has no bridge `{bridge}`"));
        }
        let storages = vm.disks.values().map(|disk| disk.storage.as_str()).chain([vm.boot_disk_storage.as_str()]);
        let lacking = |id: &&str| !node.storages.get(*id).is_some_and(|storage| storage.images && storage.active);
        if let Some(storage) = storages.into_iter().find(lacking) {
            return Some(format!("it has no storage `{storage}` for disks"));
        }
        if let Some(why) = drives::out_of_reach(vm, node, self.observed).or_else(|| self.unmapped(vm, node)) {
            return Some(why);
        }
        if let Some(away) = self.linked_elsewhere(vm, node) {
            return Some(format!("a linked clone needs its template, whose disk only node `{away}` sees"));
        }
        let cpus = u64::from(vm.cpu_sockets) * u64::from(vm.cpu_cores);
        (node.cpus != 0 && cpus > u64::from(node.cpus)).then(|| format!("a VM there has at most {} CPUs", node.cpus))
    }

    /// The node whose template a new VM is to be a linked clone of, if no other one sees the template's disk.
    fn linked_elsewhere(&self, vm: &DesiredVm, node: &Node) -> Option<&str> {
        let is_linked = !vm.full_clone && vm.cloud_image.is_none() && !self.observed.vms.contains_key(&vm.vm_id);
        let named = || self.templates.get(vm.template_name.as_str())?.first().copied();
        let template = vm.template.or_else(named).filter(|_| is_linked)?;
        let template = self.observed.vms.get(&template).filter(|template| template.node != node.name)?;
        let storage = &template.boot_disk.as_ref()?.storage;
        let is_shared = self.observed.nodes.get(&template.node)?.storages.get(storage).is_some_and(|it| it.shared);
        (!is_shared).then_some(template.node.as_str())
    }

    /// A mapping that names nothing of a node, and that the VM needs: as the file says, or as it has it already.
    fn unmapped(&self, vm: &DesiredVm, node: &Node) -> Option<String> {
        let declared = vm.proxmox.iter().map(|(option, of)| (*option, of.value.as_str()));
        let live = placement::there(vm.vm_id, self.observed).into_iter().flat_map(|live| live.options.iter());
        let live = live.filter(|(option, _)| !vm.proxmox.contains_key(option));
        mapped::unmapped(declared.chain(live), node, self.observed).map(|unmapped| unmapped.why())
    }

    /// What a node has too little of.
    fn is_full(&self, vm: &DesiredVm, node: &Node) -> Option<String> {
        let empty = Load::default();
        let load = self.loads.get(node.name.as_str()).unwrap_or(&empty);
        let mut needed: BTreeMap<&str, u64> = BTreeMap::new();
        // Where an interrupted run made it its disks lie already, and on shared storages wherever it goes.
        let new = disks(vm).filter(|(storage, _)| !lies_there(vm, &node.name, storage, self.observed));
        new.for_each(|(storage, bytes)| *needed.entry(storage).or_default() += bytes);
        for (id, bytes) in needed {
            let Some(storage) = node.storages.get(id).filter(|storage| storage.thick && storage.total != 0) else {
                continue;
            };
            let of = |load: &Load<'_>| load.disks.get(id).copied().unwrap_or(0);
            // Of a storage that all nodes see, all take.
            let taken = if storage.shared { self.loads.values().map(of).sum() } else { of(load) };
            if taken.saturating_add(bytes) > storage.free {
                let free = storage.free.saturating_sub(taken) / GIB;
                return Some(format!("storage `{id}` has {free} GiB left there"));
            }
        }
        let all = promised_at_most(node, self.desired.settings.memory_limit_percent);
        let needed = load.memory_mb.saturating_add(u64::from(vm.memory_mb));
        (node.memory_mb != 0 && !vm.is_template && needed > all).then(|| {
            let promised = load.memory_mb;
            format!("{promised} of {all} MiB of memory are promised, {} more are needed", vm.memory_mb)
        })
    }

    fn rank<'n>(&self, vm: &DesiredVm, name: &'n str, place: usize) -> Rank<'n> {
        let empty = Load::default();
        let load = self.loads.get(name).unwrap_or(&empty);
        let all = self
            .observed
            .nodes
            .get(name)
            .map_or(0, |node| promised_at_most(node, self.desired.settings.memory_limit_percent));
        let shared = load.tagged.iter().filter(|(tag, _)| vm.tags.iter().any(|own| own == *tag));
        Rank {
            together: shared.map(|(_, count)| count).sum(),
            project: load.project,
            memory_left: std::cmp::Reverse(all.saturating_sub(load.memory_mb)),
            place,
            name,
        }
    }

    /// Why this node and no other, in a few words.
    fn why(&self, vm: &DesiredVm, best: &Rank<'_>, candidates: &[&str], possible: &[Rank<'_>]) -> String {
        if let [_] = candidates {
            return String::new();
        }
        let node = self.observed.nodes.get(best.name);
        let all = node.map_or(0, |node| promised_at_most(node, self.desired.settings.memory_limit_percent));
        let apart = self.desired.settings.never_same_node.iter().filter(|tag| vm.tags.contains(tag));
        let apart: Vec<String> = apart.map(|tag| format!("`{tag}`")).collect();
        let mut words = vec![format!("of {}", candidates.join(", "))];
        match best.together {
            _ if apart.is_empty() => {}
            0 => words.push(format!("no other {} there", apart.join(", "))),
            others => {
                words.push(format!("beside {others} other {}: no node without one can take it", apart.join(", ")));
            }
        }
        let others = || possible.iter().filter(|rank| rank.name != best.name && rank.together == best.together);
        if possible.len() == 1 {
            words.push("no other one can take it".to_owned());
        } else if others().next().is_some() && others().all(|rank| rank.project > best.project) {
            words.push("fewest VMs of the project".to_owned());
        }
        words.push(format!("{} of {all} MiB promised", all.saturating_sub(best.memory_left.0)));
        words.join("; ")
    }
}
