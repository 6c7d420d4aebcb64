//! What a VM of ours that the file lost had of what no option of it says: what its record keeps beside what was applied
//! to it, and what is mounted in its guest.

use serde_json::{Value, json};

use crate::model::{CloudInitErrors, Desired, Ready, Record, Timeouts, VmId, Volume};
use crate::observed::{Observed, VmObserved};
use crate::plan::{drift, placement, volumes};

/// When a VM counts as ready, as its record says; `None`: it does not say.
pub(super) fn ready(record: &Record) -> Option<Ready> {
    record.applied.get(drift::READY).and_then(Ready::from_word)
}

/// How long phoenix waits for a VM, as its record says; `None`: it does not say.
pub(super) fn timeouts(record: &Record) -> Option<Timeouts> {
    let said = record.applied.get(drift::TIMEOUTS)?;
    let numbers: Vec<u32> = said.split(',').filter_map(|number| number.parse().ok()).collect();
    let &[guest_agent, cloud_init, feature] = numbers.as_slice() else { return None };
    Some(Timeouts { guest_agent, cloud_init, feature })
}

/// The same as an entry has it, without what is usual.
pub(super) fn timeouts_value(timeouts: &Timeouts) -> Value {
    let usual = Timeouts::default();
    let each = [
        ("guest_agent", timeouts.guest_agent, usual.guest_agent),
        ("cloud_init", timeouts.cloud_init, usual.cloud_init),
        ("feature", timeouts.feature, usual.feature),
    ];
    each.into_iter().filter(|(_, is, usual)| is != usual).map(|(name, is, _)| (name.to_owned(), json!(is))).collect()
}

/// What an error of cloud-init is for a VM, as its record says; `None`: it does not say.
pub(super) fn cloud_init_errors(record: &Record) -> Option<CloudInitErrors> {
    record.applied.get(drift::CLOUD_INIT_ERRORS).and_then(CloudInitErrors::from_word)
}

/// The VMs that a VM waits for, as its record says.
pub(super) fn depends_on(record: &Record) -> Vec<VmId> {
    let said = record.applied.get(drift::DEPENDS_ON).unwrap_or_default();
    said.split(',').filter_map(|id| id.parse::<u32>().ok()?.try_into().ok()).collect()
}

/// The volumes that are mounted in a VM of ours, but for the one through which scripts reach it without being declared.
pub(super) fn mounted(record: &Record, live: &VmObserved, desired: &Desired, observed: &Observed) -> Vec<Value> {
    let settings = &desired.settings;
    let implicit = format!(":{}/{}", settings.persistent_storage.host_path, record.vm);
    let declared = |(at, source): &(&String, &String)| {
        **at != settings.persistent_storage.mount_point || !source.ends_with(&implicit)
    };
    let parted = |(at, source): (&String, &String)| {
        // An IPv6 address stands in brackets.
        let (server, path) = source.split_once(":/")?;
        let (server, path) = (server.trim_matches(['[', ']']).to_owned(), format!("/{path}"));
        let named = Volume { share: None, server: Some(server), path, mount_point: at.clone() };
        Some(volume(&of_share(&named, live, desired, observed).unwrap_or(named)))
    };
    record.volumes.iter().filter(declared).filter_map(parted).collect()
}

/// The same volume by the share of the file, or of the VM's node, that it lies in; `None`: it lies in none, or the file
/// names this server itself.
fn of_share(volume: &Volume, live: &VmObserved, desired: &Desired, observed: &Observed) -> Option<Volume> {
    let server = volume.server.as_deref()?;
    let declared = || std::iter::once(&desired.defaults).chain(desired.vms.iter().map(AsRef::as_ref));
    if declared().flat_map(|vm| &vm.volumes).any(|other| other.server.as_deref() == Some(server)) {
        return None;
    }
    let node = placement::node_of(live.id, observed);
    let below = |export: &str| {
        let rest = volume.path.strip_prefix(export.trim_end_matches('/'))?;
        rest.starts_with('/').then(|| rest.to_owned())
    };
    let found = volumes::shares(&desired.settings, node).filter(|(_, (at, ..))| *at == server);
    let (share, path) = found.filter_map(|(share, (_, export, _))| Some((share, below(export)?))).min_by_key(
        // The nearest one; of several the file's own, then by name.
        |(share, path)| (path.len(), !desired.settings.nfs_shares.contains_key(*share), *share),
    )?;
    Some(Volume { share: Some(share.to_owned()), server: None, path, ..volume.clone() })
}

/// A volume as an entry has it.
pub(super) fn volume(volume: &Volume) -> Value {
    let (key, from) = match (&volume.share, &volume.server) {
        (Some(share), _) => ("share", share),
        (None, server) => ("server", server.as_ref().unwrap_or(&volume.path)),
    };
    json!({ "type": "nfs", key: from, "path": volume.path, "mount_point": volume.mount_point })
}
