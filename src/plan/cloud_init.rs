//! What a VM tells cloud-init, beyond the values themselves.

use super::{Change, codes, snippets};
use crate::diag::Diagnostic;
use crate::model::{DesiredVm, Key, Snippet};
use crate::observed::options::{self, Kept, Row, Wish};
use crate::observed::{PropertyString, VmObserved};

/// Whether the guest of a running VM has not been seen to boot since what cloud-init tells it changed.
pub(super) fn is_unread(live: &VmObserved) -> bool {
    live.running && live.record.valid().is_some_and(|record| record.unread)
}

/// What is desired must reach the guest, through the drive that is there or one that is added.
pub(super) fn without_drive(vm: &DesiredVm, live: &VmObserved) -> Option<Diagnostic> {
    let what = "cloud-init needs a drive, and none of ide0 to ide3 is free";
    let hint = "add a cloud-init drive in Proxmox, or take `network_config`, `user_config`, `user_data` and \
                `vendor_data` out of the file";
    let problem = || Diagnostic::error(codes::NO_PLACE_FOR_DRIVE, what).vm(vm.vm_id).hint(hint);
    let key = match () {
        () if vm.network_config.is_some() => Key::NetworkConfig,
        () if vm.user_data.is_some() => Key::UserData,
        () if vm.vendor_data.is_some() && vm.user_config.is_none() => Key::VendorData,
        () => Key::UserConfig,
    };
    options::lacks_drive(vm, live).then(|| problem().about(key))
}

/// Says what of the file cannot reach the guest, because files of its own take its place: `base` is the VM, or the
/// template that it becomes a copy of. An error where it is about to be written, else a warning.
pub(super) fn overridden(vm: &DesiredVm, base: &VmObserved, changes: &[Change]) -> Vec<Diagnostic> {
    let Some(custom) = base.options.get("cicustom") else { return Vec::new() };
    let custom = PropertyString::parse(custom);
    let of = if base.id == vm.vm_id { "the VM".to_owned() } else { format!("template {} `{}`", base.id, base.name) };
    let says = [
        (Key::NetworkConfig, vm.network_config.is_some(), "network"),
        (Key::UserConfig, vm.user_config.is_some(), "user"),
    ];
    let problem = |(key, is_said, part): (Key, bool, &str)| {
        // phoenix's own goes, or comes from another VM, and is not inherited.
        let file = custom.get(part).filter(|file| is_said && Snippet::parse(file).is_none())?;
        let what =
            format!("`{}` does not reach the guest: `cicustom` of {of} gives it {file} in its place", key.name());
        let is_written = changes.iter().any(|change| change.key == key.name());
        let make = if is_written { Diagnostic::error } else { Diagnostic::warning };
        let hint = format!(
            "take `{}` out of the file, or that file out of the options: `qm set {} --delete cicustom`",
            key.name(),
            base.id
        );
        Some(make(codes::VOID_FOR_GUEST, what).vm(vm.vm_id).about(key).hint(hint))
    };
    says.into_iter().filter_map(problem).collect()
}

/// Why the drive of a running VM is to be made anew, if it is: a value of cloud-init changes, or an interrupted run, or
/// an administrator, changed one and left the drive as it was.
pub(super) fn drive_waits(vm: &DesiredVm, live: &VmObserved, changes: &[Change]) -> Option<&'static str> {
    if !live.running || live.cloud_init.drive.is_none() {
        return None;
    }
    // The host name of the guest is the VM's name.
    let keys = [Key::NetworkConfig, Key::UserConfig, Key::UserData, Key::VendorData, Key::VmName];
    let own_name = options::replaces_host_name(vm, live);
    let is_told = |row: &Row| {
        if own_name && row.key == Some(Key::VmName) {
            return false;
        }
        row.key.is_some_and(|key| keys.contains(&key)) || row.options.iter().any(|name| name.starts_with("ipconfig"))
    };
    if changes.iter().any(|change| change.rows().any(|row| row.kept != Kept::Not && is_told(row))) {
        return Some("values of cloud-init change");
    }
    if changes.iter().any(|change| change.part == snippets::CONTENT) {
        return Some("a snippet is written again");
    }
    if live.cloud_init.not_in_drive.is_empty() {
        return None;
    }
    let wished: Vec<&str> = options::rows_for(vm, Some(live))
        .filter(|row| row.kept != Kept::Not && is_told(row) && row.wished(vm, Some(live)) != Wish::Leave)
        .flat_map(|row| row.options.iter().copied())
        .collect();
    let stale = live.cloud_init.not_in_drive.iter().any(|option| wished.contains(&option.as_str()));
    stale.then_some("the drive does not have all values yet")
}
