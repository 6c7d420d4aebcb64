//! What must hold of a disk that is to move before anything is done.

use super::{Scene, codes};
use crate::diag::Diagnostic;
use crate::model::DesiredVm;
use crate::observed::{BootDisk, VmObserved};

/// What stands in the way of a disk that is to move, or is to be known of it. `back`: how the file says that it stays.
pub(super) fn problems(
    vm: &DesiredVm,
    live: &VmObserved,
    (disk, back): (&BootDisk, &str),
    scene: &Scene<'_>,
) -> Vec<Diagnostic> {
    let id = vm.vm_id;
    let error = |code: &'static str, what: String, hint: String| Diagnostic::error(code, what).hint(hint);
    if disk.storage.is_empty() {
        let what = format!("{} is the device `{}` of the node, which does not move", disk.device, disk.volume);
        let hint = "`boot_disk_storage` is for disks that lie on a storage".to_owned();
        return vec![error(codes::DISK_ELSEWHERE, what, hint)];
    }
    let mut found = Vec::new();
    if live.pending.contains_key(&disk.device) {
        let what = format!("another value of {} waits for a restart: the disk cannot move", disk.device);
        found.push(error(codes::DISK_ELSEWHERE, what, format!("restart it first; until then {back}")));
    }
    if !scene.observed.capabilities.moves_running_disks && live.running {
        let what = format!("{} does not move while its QEMU runs on an embedded node", disk.device);
        found.push(error(codes::DISK_ELSEWHERE, what, format!("`phoenix stop {id}`, then apply; until then {back}")));
    }
    let snapshots = live.snapshots.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if !scene.delete_source {
        if !live.snapshots.is_empty() {
            let what = format!("snapshots do not move, they stay with {}: {snapshots}", disk.volume);
            found.push(Diagnostic::warning(codes::SNAPSHOTS, what));
        }
        return found;
    }
    if !live.snapshots.is_empty() {
        let what = format!("snapshots hold on to {}, which is to be erased: {snapshots}", disk.volume);
        let hint = format!("remove them (`qm delsnapshot {id} NAME` on its node), or move without `--delete-source`");
        found.push(error(codes::SNAPSHOTS, what, hint));
    }
    if live.protection || vm.protected == Some(true) {
        let what = format!("the VM is protected: {} must not be erased", disk.volume);
        let hint = "move without `--delete-source`: the volume stays then".to_owned();
        found.push(error(codes::PROTECTED, what, hint));
    }
    let what = format!("when {} has moved, {} is erased", disk.device, disk.volume);
    found.push(Diagnostic::warning(codes::SOURCE_ERASED, what));
    found
}
