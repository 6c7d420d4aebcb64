//! The ways out of what can fail in a run: what an administrator can do about it. All of them stand here, so that one
//! case has one hint; a back end adds those that only it knows, and a guest's program its own.

use std::fmt::Display;

use crate::model::{FaultKind, VmId};

pub(super) const PLAN_AGAIN: &str = "plan again";
pub(super) const WOULD_BE_MADE_ANEW: &str = "plan again: it would be made anew";
pub(super) const LOOK_WHAT_DIFFERS: &str = "plan again and look at what differs";
pub(super) const LOOK_WHO_STARTED_IT: &str = "find out what started it, then plan again";
pub(super) const LOOK_AT_TASK_LOG: &str = "look at the task log of the node";
pub(super) const LOOK_AT_VM: &str = "look at the VM; the next apply looks again and continues from what it finds";
pub(super) const RESTART_BRINGS_IT: &str = "`phoenix apply --restart` restarts it; nothing else is needed";
pub(super) const WAIT: &str = "wait until it has ended";
pub(super) const WAIT_AND_APPLY: &str = "wait until it has ended, then apply again";
pub(super) const STARTED_AGAIN: &str = "apply again: it is started again";
pub(super) const REPORT_BUG: &str = "apply again; please report it";
pub(super) const NO_SHUTDOWN: &str =
    "its guest does not react: look at its console; `--force-stop` stops it all the same";
pub(super) const NO_ADDRESS: &str = "does a DHCP server answer on the VM's bridge? look at the guest's console";
pub(super) const CLOUD_INIT_LOG: &str = "`cloud-init status --long` and /var/log/cloud-init.log in the guest say \
    more; the output of its scripts is in /var/log/cloud-init-output.log";
pub(super) const CLOUD_INIT_STATUS: &str = "`cloud-init status --long` in the guest shows what it is doing";
pub(super) const STILL_IN_GUEST: &str = "it may still be running in the guest: `ps` there shows what it waits for";
pub(super) const NFS_SILENT: &str = "does an NFS server not answer? `findmnt` in the guest shows what is mounted";

/// What can be done about a fault of which the back end says nothing more than its kind.
pub(super) const fn by_kind(kind: FaultKind) -> Option<&'static str> {
    match kind {
        FaultKind::Busy => Some("another task holds the lock: try again when it has ended"),
        FaultKind::Denied => Some("the account phoenix uses lacks the right for this"),
        FaultKind::Unreachable => {
            Some("when the node can be reached again, apply again: it continues from what it finds")
        }
        FaultKind::TimedOut => Some("look at the node's task log; the next apply checks what came of it"),
        FaultKind::Missing
        | FaultKind::Stale
        | FaultKind::Refused
        | FaultKind::Hotplug
        | FaultKind::Failed
        | FaultKind::Garbled
        | FaultKind::AgentDown => None,
    }
}

/// The HA manager has not acted yet.
pub(super) const HA_STATUS: &str = "`ha-manager status` on a node shows what it is doing; when it is done, apply again: it continues from what it finds";

/// The HA manager looks after a VM that is to go.
pub(super) fn leave_ha(vm: VmId) -> String {
    format!("`ha-manager remove vm:{vm}` first, then plan again")
}

/// The HA manager gave up on a VM.
pub(super) fn ha_error(vm: VmId) -> String {
    format!(
        "`ha-manager status` and the task log of its node show why; `ha-manager set vm:{vm} --state disabled`, put it right, \
         then `ha-manager set vm:{vm} --state started`"
    )
}

/// A value that a running VM refused still waits for its next start.
pub(super) fn take_back_by_hand(vm: VmId) -> String {
    format!("`qm set {vm} --delete` or `--revert` the option by hand")
}

/// Volumes of a VMID that no configuration names are in the way, or stay.
pub(super) fn volumes_left(volumes: &[String]) -> String {
    let free = volumes.iter().map(|volume| format!("`pvesm free {volume}`")).collect::<Vec<_>>().join(", ");
    format!("they belong to a VM that is gone, or an interrupted run left them: check what is on them, then {free}")
}

/// The configuration of a VM does not say how large a disk is.
pub(super) fn rescan(vm: VmId) -> String {
    format!("`qm disk rescan --vmid {vm}` on its node writes it down; then apply again")
}

/// The disk in an image is larger than the file says; `gib` is what it takes.
pub(super) fn larger_disk(key: &str, gib: u64) -> String {
    format!("set `{key}` to {gib} or more; nothing was made")
}

/// The guest has no driver for its new card; `before` says which one it had.
pub(super) fn no_driver(before: impl Display, console: impl Display) -> String {
    format!(
        "set `network_model` back to {before} and apply, or install the driver in the guest, at its console ({console})"
    )
}

/// The guest agent does not answer.
pub(super) fn no_agent(console: impl Display) -> String {
    format!(
        "the agent is not installed or not started in the guest, or the guest has not booted: look at its console \
         ({console})"
    )
}

/// The guest agent of a VM that nothing was planned for yet does not answer.
pub(super) fn look_at_console(vm: VmId) -> String {
    format!("look at its console (`qm terminal {vm}`, or the web interface)")
}

/// A script does not end.
pub(super) fn script_runs(seconds: impl Display, log: impl Display) -> String {
    format!("systemd ends it after {seconds} s; its log is {log} in the guest")
}

/// A snapshot without a record is gone back to by hand.
pub(super) fn rollback_by_hand(vm: VmId, name: &str) -> String {
    format!("`qm rollback {vm} {name}` still takes it back, but phoenix does not know then what the disk has")
}
