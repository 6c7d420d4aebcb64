//! From declared volumes to what is mounted from where.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::diag::Diagnostic;
use crate::model::{Desired, DesiredVm, Key, Record, Settings, normal_path};
use crate::observed::{Node, Observed};

use super::words::known_words;
use super::{Mount, codes, placement};

/// The volumes of a VM, resolved.
pub(super) struct Resolved {
    /// The declared ones in their order, preceded by the implicit one if there is one.
    pub(super) mounts: Vec<Arc<Mount>>,
    /// Those that cannot be resolved and are left out, and why.
    pub(super) problems: Vec<Diagnostic>,
}

/// Resolves the volumes of a VM.
pub(super) fn resolve(vm: &DesiredVm, settings: &Settings, observed: &Observed) -> Resolved {
    let mut problems = Vec::new();
    let persistent = &settings.persistent_storage;
    let node = placement::node_of(vm.vm_id, observed);
    let mut mounts = Vec::with_capacity(vm.volumes.len() + 1);
    let declared_channel = vm.volumes.iter().any(|volume| volume.mount_point == persistent.mount_point);
    let own_disk = on_own_disk(vm, settings, observed).is_some();
    if !vm.features.is_empty() && !declared_channel && !own_disk {
        let path = implicit_path(settings, vm);
        if let Some(server) = persistent.server.as_deref().or_else(|| node.bridges.get(&vm.network_bridge)?.as_deref())
        {
            mounts.push(Arc::new(Mount {
                mount_point: persistent.mount_point.clone(),
                server: server.to_owned(),
                export: path.clone(),
                host_path: Some(path),
                served: node.is_server(server),
                channel: true,
                implicit: true,
            }));
        } else if node.bridges.contains_key(&vm.network_bridge) {
            problems.push(
                Diagnostic::error(
                    codes::NO_NODE_ADDRESS,
                    format!(
                        "{} has no address on bridge `{}` to serve files from",
                        placement::called(node, observed),
                        vm.network_bridge
                    ),
                )
                .vm(vm.vm_id)
                .about(Key::NetworkBridge)
                .about(Key::Features)
                .hint("set `hypervisor.persistent_storage.server` to an address the guests reach"),
            );
        }
    }
    for volume in &vm.volumes {
        let channel = !vm.features.is_empty() && volume.mount_point == persistent.mount_point;
        let (server, export, host_path) = match (&volume.share, &volume.server) {
            (Some(share), _) => {
                let Some((server, export, host)) = share_source(share, settings, node) else {
                    problems.push(unknown_share(vm, share, settings, node));
                    continue;
                };
                let host = host.map(|host| normal_path(&format!("{host}/{}", volume.path)));
                (server.to_owned(), format!("{}{}", export.trim_end_matches('/'), volume.path), host)
            }
            (None, Some(server)) => (server.clone(), volume.path.clone(), None),
            // The config refuses a volume with neither.
            (None, None) => continue,
        };
        mounts.push(Arc::new(Mount {
            mount_point: volume.mount_point.clone(),
            served: node.is_server(&server) && host_path.is_some(),
            server,
            export,
            host_path,
            channel,
            implicit: false,
        }));
    }
    Resolved { mounts, problems }
}

/// The directory of a VM's scripts, if it is on the VM's own disk: no volume is declared there, and a directory of the
/// target's own node would not reach the VM wherever it may be, or phoenix does not reach that directory.
///
/// What was begun one way stays so, as its record says: neither is data that scripts left on a disk covered by a
/// volume, nor taken away what they left on a volume.
pub(super) fn on_own_disk<'s>(vm: &DesiredVm, settings: &'s Settings, observed: &Observed) -> Option<&'s str> {
    let persistent = &settings.persistent_storage;
    let at = persistent.mount_point.as_str();
    if vm.features.is_empty() || vm.volumes.iter().any(|volume| volume.mount_point == at) {
        return None;
    }
    let live = placement::there(vm.vm_id, observed);
    let record = live.and_then(|live| live.record.valid()).filter(|record| record.project == settings.project);
    let implicit = format!(":{}", implicit_path(settings, vm));
    let is_on_volume = |record: &Record| record.volumes.get(at).is_some_and(|source| source.ends_with(&implicit));
    if let Some(record) = record.filter(|record| record.own_disk || is_on_volume(record)) {
        return record.own_disk.then_some(at);
    }
    let is_served_here = match &persistent.server {
        Some(server) => observed.nodes.values().any(|node| node.is_server(server)),
        None => true,
    };
    let elsewhere = is_served_here && placement::may_be_elsewhere(vm, observed);
    (elsewhere || !observed.capabilities.host_files).then_some(at)
}

/// The directories on the hypervisor that volumes may lie in, as far as the config alone tells: worth a look when the
/// target is observed.
#[must_use]
pub fn directories(desired: &Desired) -> Vec<String> {
    let settings = &desired.settings;
    let mut found = BTreeSet::new();
    for vm in &desired.vms {
        for volume in &vm.volumes {
            let Some(share) = &volume.share else { continue };
            let below = |at: &str| normal_path(&format!("{at}/{}", volume.path));
            match settings.nfs_shares.get(share) {
                Some(share) => found.extend([below(&share.host_path), below(&share.export)]),
                // Where Proxmox mounts a storage of type nfs unless it is told otherwise.
                None => _ = found.insert(below(&format!("/mnt/pve/{share}"))),
            }
        }
        if !vm.features.is_empty() {
            found.insert(normal_path(&implicit_path(settings, vm)));
        }
    }
    found.into_iter().collect()
}

/// The directories on the target's own node that volumes lie in and that have not been looked at, as only its storages
/// tell them.
#[must_use]
pub fn more_directories(desired: &Desired, observed: &Observed) -> Vec<String> {
    let mut found = BTreeSet::new();
    let here = |vm: &DesiredVm| placement::name_of(vm.vm_id, observed) == observed.here;
    for vm in
        desired.vms.iter().filter(|vm| vm.volumes.iter().any(|volume| volume.share.is_some())).filter(|vm| here(vm))
    {
        let mounts = resolve(vm, &desired.settings, observed).mounts;
        found.extend(mounts.iter().flat_map(|mount| mount.directories()).map(normal_path));
    }
    found.retain(|path| !observed.own_node().places.contains_key(path));
    found.into_iter().collect()
}

/// The directory of a VM's implicit volume.
fn implicit_path(settings: &Settings, vm: &DesiredVm) -> String {
    format!("{}/{}", settings.persistent_storage.host_path, vm.vm_id)
}

/// Server, export and host path of a share: the config's own first, then a Proxmox storage of type `nfs`.
fn share_source<'a>(
    share: &str,
    settings: &'a Settings,
    node: &'a Node,
) -> Option<(&'a str, &'a str, Option<&'a str>)> {
    if let Some(own) = settings.nfs_shares.get(share) {
        return Some((&own.server, &own.export, Some(&own.host_path)));
    }
    let storage = node.storages.get(share)?;
    let nfs = storage.nfs.as_ref()?;
    Some((&nfs.server, &nfs.export, storage.path.as_deref()))
}

/// Every share by its name, the config's own first, with what [`share_source`] says of it.
pub(super) fn shares<'a>(
    settings: &'a Settings,
    node: &'a Node,
) -> impl Iterator<Item = (&'a str, (&'a str, &'a str, Option<&'a str>))> {
    let own = settings.nfs_shares.keys();
    let others = node.storages.keys().filter(|id| !settings.nfs_shares.contains_key(*id));
    own.chain(others).filter_map(|share| Some((share.as_str(), share_source(share, settings, node)?)))
}

fn unknown_share(vm: &DesiredVm, share: &str, settings: &Settings, node: &Node) -> Diagnostic {
    let mut known: Vec<&str> = settings.nfs_shares.keys().map(String::as_str).collect();
    known.extend(node.storages.iter().filter(|(_, s)| s.nfs.is_some()).map(|(id, _)| id.as_str()));
    let mut problem = Diagnostic::error(
        codes::UNKNOWN_SHARE,
        format!("share `{share}` is neither in `hypervisor.nfs_shares` nor a storage of type nfs on the target"),
    )
    .vm(vm.vm_id)
    .about(Key::Volumes);
    problem.hint = Some(known_words("shares", share, &known));
    problem
}
