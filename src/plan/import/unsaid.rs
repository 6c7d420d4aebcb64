//! What a VM has that no file can say.

use super::beyond::{disc, is_connected, unsaid};
use super::disks::is_of_the_node as of_the_node;
use crate::diag::Diagnostic;
use crate::model::proxmox;
use crate::observed::{VmObserved, options};
use crate::plan::codes;

/// Whether a disk of a VM is a device or a file of the node.
fn is_of_the_node(device: &str, live: &VmObserved) -> bool {
    let volume = live.options.get(device).and_then(|text| text.split(',').next()).unwrap_or_default();
    of_the_node(volume.strip_prefix("file=").unwrap_or(volume))
}

/// Whether the file can say this device of a VM.
fn can_be_said(device: &str, live: &VmObserved) -> bool {
    let is_drive = live.options.get(device).is_some_and(|text| text.contains("media=cdrom"));
    proxmox::option(device).is_some()
        || (proxmox::card(device).is_some() && live.options.get(device).is_none_or(is_connected))
        || (proxmox::disk(device).is_some() && !is_drive && !is_of_the_node(device, live))
        || disc(device, live).is_some()
}

/// Whether an option of a VM is one that a file can say, that is told elsewhere, or that Proxmox keeps for itself.
fn is_known(name: &str, live: &VmObserved) -> bool {
    const OTHERS: [&str; 13] = [
        "autostart",
        "boot",
        "bootdisk",
        "cicustom",
        "cipassword",
        "description",
        "digest",
        "lock",
        "meta",
        "parent",
        "template",
        "vmgenid",
        "vmstate",
    ];
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_slot = || live.devices.iter().any(|device| device == name);
    OTHERS.contains(&name)
        || ["ipconfig", "unused"].contains(&stem)
        || options::is_own(name)
        || proxmox::option(name).is_some()
        || is_slot()
}

/// Says what a VM has that the file cannot say.
pub(super) fn more(live: &VmObserved) -> Option<Diagnostic> {
    let boot = live.boot_disk.as_ref().map(|disk| disk.device.as_str());
    // Through this one, `network_config` and `user_config` reach the guest.
    let own = [Some("net0"), boot, live.cloud_init.drive.as_deref()];
    let devices = live.devices.iter().filter(|key| !own.contains(&Some(*key)) && !can_be_said(key, live));
    let is_disk = |key: &&str| {
        let is_whole = live.cloud_init.drive.as_deref() != Some(*key) && disc(key, live).is_none();
        is_whole && (own.contains(&Some(*key)) || can_be_said(key, live))
    };
    let parts = live
        .devices
        .iter()
        .filter(is_disk)
        .flat_map(|key| unsaid(key, live).into_iter().map(move |part| format!("`{part}` of {key}")));
    let options = live.options.iter().map(|(name, _)| name).filter(|name| !is_known(name, live));
    let others: Vec<String> = devices.chain(options).map(str::to_owned).chain(parts).collect();
    let id = live.id;
    let what = format!("the VM also has {}, which stays as it is: the file cannot say it", others.join(", "));
    (!others.is_empty()).then(|| Diagnostic::notice(codes::HAS_MORE, what).vm(id))
}
