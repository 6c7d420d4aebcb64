//! VMs and nodes: how a new VM gets to its node, and how one moves that may not stay on its own.

use super::{Change, MigrateStep, Mount, Scene, codes, placement, template};
use crate::diag::Diagnostic;
use crate::model::{DesiredVm, Disruption, GIB, Key, VmId};
use crate::observed::{BootDisk, Home, Node, Observed, VmObserved, holds_volume};

/// How a new VM gets to its node.
pub(super) enum Way {
    /// It is made there.
    Made,
    /// It is cloned on its template's node for this one: all of it is shared.
    Straight(String),
    /// It is made where its template is, or where images are fetched, and moves here before its first start.
    Moves(String),
}

impl Way {
    /// The node that a clone is made for straight away.
    pub(super) fn straight(&self) -> Option<String> {
        match self {
            Self::Straight(node) => Some(node.clone()),
            Self::Made | Self::Moves(_) => None,
        }
    }

    /// The node that it moves to.
    pub(super) fn moves(&self) -> Option<String> {
        match self {
            Self::Moves(node) => Some(node.clone()),
            Self::Made | Self::Straight(_) => None,
        }
    }
}

/// The node on which a VM is made: its template's, or the target's own, which fetches images.
fn maker<'s>(template: Option<VmId>, scene: &Scene<'s>) -> &'s str {
    template.map_or(&scene.observed.here, |template| placement::name_of(template, scene.observed))
}

/// Whether every node sees what lies on a storage, as one of them sees it.
pub(super) fn is_shared(node: &Node, storage: &str) -> bool {
    node.storages.get(storage).is_some_and(|storage| storage.shared)
}

/// How a new VM gets to its node; `full`: its disk is a copy.
pub(super) fn way(vm: &DesiredVm, source: Option<VmId>, full: bool, scene: &Scene<'_>) -> Way {
    // What an interrupted run left of it may be on another node than the one that it is for.
    let home = scene.observed.homes.get(&vm.vm_id).and_then(Home::node);
    let node = home.unwrap_or_else(|| placement::name_of(vm.vm_id, scene.observed));
    let maker = maker(source, scene);
    if maker == node {
        return Way::Made;
    }
    let (Some(source), Some(on)) = (source, scene.observed.nodes.get(maker)) else {
        return Way::Moves(node.to_owned());
    };
    let shared = match (template::awaited(vm, scene), scene.observed.vms.get(&source)) {
        (Some(template), _) => is_shared(on, &template.boot_disk_storage),
        (None, Some(live)) => local_disks(live, on).is_empty(),
        (None, None) => false,
    };
    if shared && (!full || is_shared(on, &vm.boot_disk_storage)) {
        Way::Straight(node.to_owned())
    } else {
        Way::Moves(node.to_owned())
    }
}

/// The disks of a VM that other nodes do not see: slot and volume of each.
pub(super) fn local_disks<'v>(live: &'v VmObserved, on: &Node) -> Vec<(&'v str, BootDisk)> {
    let disks = live.options.iter().filter(|(key, _)| holds_volume(key));
    let disks = disks.filter_map(|(key, drive)| Some((key, BootDisk::parse(key, drive)?)));
    disks.filter(|(_, disk)| !is_shared(on, &disk.storage)).collect()
}

/// Why a VM cannot be made where its template is and then move.
pub(super) fn unmade(
    vm: &DesiredVm,
    source: Option<VmId>,
    (way, full): (&Way, bool),
    scene: &Scene<'_>,
) -> Option<Diagnostic> {
    let Way::Moves(node) = way else { return None };
    let maker = maker(source, scene);
    let made = if source.is_some() { "cloned on its template's node" } else { "made from its image on node" };
    let problem = if full {
        let storages = scene.observed.nodes.get(maker).map(|node| &node.storages);
        let id = vm.boot_disk_storage.as_str();
        if storages.is_some_and(|storages| storages.get(id).is_some_and(|storage| storage.images && storage.active)) {
            return None;
        }
        let what = format!("the VM is {made} `{maker}` and moves to `{node}`, and `{maker}` has no storage `{id}`");
        let hint = "name a storage that both nodes have, or a template that is on the VM's node";
        Diagnostic::error(codes::UNUSABLE_STORAGE, what).about(Key::BootDiskStorage).hint(hint)
    } else {
        let what = format!("a linked clone needs its template, whose disk only node `{maker}` sees, on node `{node}`");
        let hint = "set `full_clone` to true, or put the template on a storage that the nodes share";
        Diagnostic::error(codes::UNUSABLE_STORAGE, what).about(Key::FullClone).hint(hint)
    };
    Some(problem.vm(vm.vm_id))
}

/// Says that a VM can be on none of the nodes that it may be on.
pub(super) fn nowhere(vm: &DesiredVm, scene: &Scene<'_>) -> Option<Diagnostic> {
    let nodes = vm.node.as_ref()?;
    let node = placement::name_of(vm.vm_id, scene.observed);
    let what = match scene.observed.homes.get(&vm.vm_id) {
        Some(Home::Nowhere(refused)) => placement::nowhere(refused),
        // What an interrupted run left of it may be elsewhere.
        Some(Home::At { .. }) => return None,
        None if nodes.has(node) => return None,
        None => format!("the VM would be on node `{node}`, which the file does not name"),
    };
    let hint = "name other nodes in `node`, or give one of these what it lacks";
    Some(Diagnostic::error(codes::NO_NODE, what).vm(vm.vm_id).about(Key::Node).hint(hint))
}

/// What the plan says of the node of a new VM: which one, and why; nothing, where it is as without a word about it.
pub(super) fn placed(vm: &DesiredVm, source: Option<VmId>, way: &Way, scene: &Scene<'_>) -> Option<Change> {
    if vm.node.is_none() && matches!(way, Way::Made) {
        return None;
    }
    let (why, agreed) = match scene.observed.homes.get(&vm.vm_id) {
        Some(Home::At { why, agreed, .. }) => (why.as_str(), *agreed),
        _ => ("", false),
    };
    let maker = maker(source, scene);
    let made = match way {
        _ if agreed => String::new(),
        Way::Made => String::new(),
        Way::Straight(_) => format!("cloned from node `{maker}`, whose template all nodes see"),
        Way::Moves(_) => {
            let on = scene.observed.nodes.get(maker);
            let template = source.and_then(|source| scene.observed.vms.get(&source)?.boot_disk.as_ref()?.size);
            let copied = match template {
                _ if on.is_some_and(|on| is_shared(on, &vm.boot_disk_storage)) => String::new(),
                Some(size) => format!(", {} GiB are copied", size.div_ceil(GIB)),
                None => ", its disk is copied".to_owned(),
            };
            format!("made on node `{maker}`, moved before its first start{copied}")
        }
    };
    let note: Vec<&str> = [why, &made].into_iter().filter(|part| !part.is_empty()).collect();
    Some(Change {
        key: Key::Node.name(),
        new: placement::name_of(vm.vm_id, scene.observed).to_owned(),
        origin: vm.origins.of(Key::Node),
        note: note.join("; "),
        ..Change::default()
    })
}

/// The node that a VM moves to, if it may not stay where it is.
pub(super) fn destination<'o>(vm: &DesiredVm, live: &VmObserved, observed: &'o Observed) -> Option<&'o str> {
    // One that is to stay has no other home.
    let node = observed.homes.get(&vm.vm_id).and_then(Home::node).filter(|node| *node != live.node)?;
    vm.node.as_ref().is_some_and(|nodes| nodes.has(node)).then_some(node)
}

/// How a VM moves that may not stay where it is; `live`: as it is when it moves.
pub(super) fn step(vm: &DesiredVm, live: &VmObserved, scene: &Scene<'_>) -> Option<MigrateStep> {
    let node = destination(vm, live, scene.observed)?.to_owned();
    Some(MigrateStep { node, online: live.running })
}

/// What the plan says of it: why that node, in the words of placement, and how the VM gets there; `stopped`: why it is
/// shut down, moved and started again.
pub(super) fn change(vm: &DesiredVm, live: &VmObserved, stopped: Option<&str>, scene: &Scene<'_>) -> Option<Change> {
    let node = destination(vm, live, scene.observed)?;
    let own = scene.observed.nodes.get(&live.node)?;
    let disks = local_disks(live, own).into_iter().filter(|(_, disk)| !disk.storage.is_empty());
    let copied = disks.map(|(slot, disk)| match disk.size {
        Some(size) => format!("{slot} on `{}` is copied, {} GiB", disk.storage, size.div_ceil(GIB)),
        None => format!("{slot} on `{}` is copied", disk.storage),
    });
    let way = match stopped {
        Some(why) => format!("it is shut down, moved and started again: {why}"),
        None if live.running => "it moves while it runs".to_owned(),
        None => "it moves while it is off".to_owned(),
    };
    let words: Vec<String> = std::iter::once(way).chain(copied).collect();
    let words = words.join("; ");
    let why = match scene.observed.homes.get(&vm.vm_id) {
        // All that the plan said then: how the VM moves is looked at anew.
        Some(Home::At { why, agreed: true, .. }) => why.strip_suffix(&words).unwrap_or_default().trim_end_matches("; "),
        Some(Home::At { why, .. }) if why.is_empty() => "the file names no other",
        Some(Home::At { why, .. }) => why,
        _ => "",
    };
    Some(Change {
        key: Key::Node.name(),
        old: Some(live.node.clone()),
        new: node.to_owned(),
        origin: vm.origins.of(Key::Node),
        disruption: match stopped {
            Some(_) => Disruption::Restart,
            None if live.running => Disruption::Live,
            None => Disruption::None,
        },
        note: if why.is_empty() { words } else { format!("{why}; {words}") },
        ..Change::default()
    })
}

/// Refuses what is done on the target's own node alone to a VM that may be on another one: snippets would not be there,
/// a password would stand in the command line of a program on the way.
pub(super) fn snippets(vm: &DesiredVm, scene: &Scene<'_>) -> Vec<Diagnostic> {
    let data = [(Key::UserData, &vm.user_data), (Key::VendorData, &vm.vendor_data)];
    let given = data.into_iter().filter(|(_, data)| data.is_some() && placement::may_be_elsewhere(vm, scene.observed));
    let problem = |(key, _): (Key, _)| {
        let what = format!("`{}` is written on the target's own node, and the VM may be on another one", key.name());
        let hint = "name the target's own node in `node`";
        Diagnostic::error(codes::SERVED_ELSEWHERE, what).vm(vm.vm_id).about(key).about(Key::Node).hint(hint)
    };
    let mut found: Vec<Diagnostic> = given.map(problem).collect();
    if vm.user_config.as_ref().is_some_and(|user| user.password.is_some())
        && placement::may_be_elsewhere(vm, scene.observed)
    {
        let what = "a password can be set only for VMs on the target's own node, and the VM may be on another one";
        let hint = "name the target's own node in `node`, or give the user keys alone";
        let problem = Diagnostic::error(codes::SERVED_ELSEWHERE, what).vm(vm.vm_id);
        found.push(problem.about(Key::UserConfig).about(Key::Node).hint(hint));
    }
    found
}

/// Refuses volumes that a node of the target serves itself to a VM that may be on another one: they would not follow.
pub(super) fn served(vm: &DesiredVm, mounts: &[std::sync::Arc<Mount>], scene: &Scene<'_>) -> Vec<Diagnostic> {
    let observed = scene.observed;
    if !placement::may_be_elsewhere(vm, observed) {
        return Vec::new();
    }
    let by_node = |mount: &&std::sync::Arc<Mount>| observed.nodes.values().any(|node| node.is_server(&mount.server));
    let problem = |mount: &std::sync::Arc<Mount>| {
        let what = format!(
            "the volume at {} is served by a node of the target, and reaches only VMs on the target's own node",
            mount.mount_point
        );
        let hint = if mount.implicit {
            "declare a volume on a share of a server of its own at this mount point, or name the target's own node in \
             `node`"
        } else {
            "use a share of a server of its own (`hypervisor.nfs_shares`), or name the target's own node in `node`"
        };
        let key = if mount.implicit { Key::Features } else { Key::Volumes };
        Diagnostic::error(codes::SERVED_ELSEWHERE, what).vm(vm.vm_id).about(key).about(Key::Node).hint(hint)
    };
    mounts.iter().filter(by_node).map(problem).collect()
}
