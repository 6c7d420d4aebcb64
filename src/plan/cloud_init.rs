//! What a VM tells cloud-init, beyond the values themselves.

use super::{Change, codes};
use crate::diag::Diagnostic;
use crate::model::{DesiredVm, Key};
use crate::observed::VmObserved;
use crate::observed::options::{self, Wish};

/// Whether the guest of a running VM has not been seen to boot since what cloud-init tells it changed.
pub(super) fn is_unread(live: &VmObserved) -> bool {
    live.running && live.record.valid().is_some_and(|record| record.unread)
}

/// What is wished must reach the guest, through the drive that is there or one that is added.
pub(super) fn without_drive(vm: &DesiredVm, live: &VmObserved) -> Option<Diagnostic> {
    let what = "cloud-init needs a drive, and none of ide0 to ide3 is free";
    let hint = "add a cloud-init drive in Proxmox, or take `network_config` and `user_config` out of the file";
    let problem = || Diagnostic::error(codes::NO_PLACE_FOR_DRIVE, what).vm(vm.vm_id).hint(hint);
    let key = if vm.network_config.is_some() { Key::NetworkConfig } else { Key::UserConfig };
    options::lacks_drive(vm, live).then(|| problem().about(key))
}

/// Why the drive of a running VM is to be made anew, if it is: a value of cloud-init changes, or an interrupted run, or
/// an administrator, changed one and left the drive as it was.
pub(super) fn drive_waits(vm: &DesiredVm, live: &VmObserved, changes: &[Change]) -> Option<&'static str> {
    if !live.running || live.cloud_init.drive.is_none() {
        return None;
    }
    let keys = [Key::NetworkConfig, Key::UserConfig];
    if changes.iter().any(|change| keys.iter().any(|key| key.name() == change.key)) {
        return Some("values of cloud-init change");
    }
    let wished: Vec<&str> = options::rows()
        .filter(|row| row.key.is_some_and(|key| keys.contains(&key)) && row.wished(vm, Some(live)) != Wish::Leave)
        .flat_map(|row| row.options.iter().copied())
        .collect();
    let stale = live.cloud_init.not_in_drive.iter().any(|option| wished.contains(&option.as_str()));
    stale.then_some("the drive does not have all values yet")
}
