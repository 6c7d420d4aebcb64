//! Proxmox's locks on a VM: what takes each kind, and what helps when it stays.

use super::codes;
use crate::diag::Diagnostic;
use crate::model::VmId;
use crate::observed::{Observed, VmObserved};

/// Proxmox's word for the kind of task that takes a VM to another node.
pub(super) const MIGRATION: &str = "qmigrate";

/// Anything but our own half-made clone that is locked is left alone; and so is a VM on whose disks a task works.
pub(super) fn lock(vm: VmId, live: &VmObserved, observed: &Observed) -> Option<Diagnostic> {
    let Some(task) = observed.working.get(&vm) else { return locked(live) };
    let (what, hint) = if task == MIGRATION {
        (
            "it is being migrated to another node".to_owned(),
            "wait until it has arrived; `phoenix apply` waits by itself",
        )
    } else {
        (format!("a task is working on the disks ({task})"), "wait until it has ended, then plan again")
    };
    Some(Diagnostic::error(codes::TASK_RUNNING, what).vm(vm).hint(hint))
}

/// A VM that is locked is left alone.
pub(super) fn locked(live: &VmObserved) -> Option<Diagnostic> {
    if let Some(line) = live.not_utf8 {
        let what = format!("its configuration is not UTF-8: line {line}");
        let hint = format!(
            "correct line {line} of `{}.conf` on its node: phoenix changes nothing in a file that it cannot read as a whole",
            live.id
        );
        return Some(Diagnostic::error(codes::NOT_UTF8, what).vm(live.id).hint(hint));
    }
    let lock = live.lock.as_deref()?;
    Some(Diagnostic::error(codes::LOCKED, words(lock)).vm(live.id).hint(way_out(live, lock)))
}

/// That a VM has this lock, and why: without its subject.
pub(crate) fn words(lock: &str) -> String {
    let why = match lock {
        "backup" => "a backup of it is running, or was killed",
        "clone" => "a clone into it is running, or was killed",
        "create" => "it is being created or restored, or the task that did so was killed",
        "migrate" => "it is being migrated to another node, or the migration was killed",
        "rollback" => "it is being rolled back to a snapshot, or the rollback was killed",
        "snapshot" => "a snapshot of it is being taken, or the task that took it was killed",
        "snapshot-delete" => "a snapshot of it is being removed, or the task that removed it was killed",
        "suspending" => "it is being hibernated: its memory is written to a disk",
        "suspended" => "it is hibernated: its memory lies on a disk",
        _ => return format!("locked ({lock})"),
    };
    format!("locked ({lock}): {why}")
}

/// What helps against a lock. One that a killed task left has to be taken off by hand, and mostly that is not enough.
pub(crate) fn way_out(live: &VmObserved, lock: &str) -> String {
    let id = live.id;
    let half = live.half_snapshots.first().map_or("NAME", String::as_str);
    match lock {
        "backup" => format!("wait until the backup has ended; if its task was killed, `qm unlock {id}`"),
        "clone" | "create" => format!(
            "wait until that task has ended; if it was killed, the VM is incomplete: `qm unlock {id}`, then `qm destroy \
             {id} --purge 1 --destroy-unreferenced-disks 1` removes it with its disks"
        ),
        "migrate" => format!(
            "wait until the migration has ended, then plan again, against the node that has the VM then; if its task was \
             killed, `qm unlock {id}`"
        ),
        "rollback" => format!(
            "no task was seen that works on it: if one was killed, the disks may be half back: `qm unlock {id}`, then go \
             back again (`phoenix rollback {id}`, or `qm rollback {id} NAME`)"
        ),
        "snapshot" | "snapshot-delete" => format!(
            "no task was seen that works on it: if one was killed, `qm unlock {id}`, then `qm delsnapshot {id} {half} \
             --force` removes what it left"
        ),
        "suspending" => {
            format!(
                "wait until it is hibernated, then `qm resume {id}` wakes it; if the task was killed, `qm unlock {id}`"
            )
        }
        "suspended" => format!("`qm resume {id}` wakes it; then plan again"),
        _ => format!("wait until the task that holds the lock has ended; if it was killed, `qm unlock {id}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds in the schema of Proxmox's API.
    const KINDS: [&str; 9] =
        ["backup", "clone", "create", "migrate", "rollback", "snapshot", "snapshot-delete", "suspending", "suspended"];

    #[test]
    fn every_kind_has_a_cause_and_a_way_out_of_its_own() {
        let live = VmObserved::from_conf(VmId::try_from(1000).unwrap(), "", false);
        let [mut causes, mut ways] = [Vec::new(), Vec::new()];
        for kind in KINDS.into_iter().chain(["unheard-of"]) {
            causes.push(words(kind));
            ways.push(way_out(&live, kind));
        }
        assert!(causes.iter().all(|cause| cause.starts_with("locked (")), "{causes:?}");
        assert!(ways.iter().all(|way| way.contains(" 1000`")), "{ways:?}");
        causes.sort();
        causes.dedup();
        ways.sort();
        ways.dedup();
        assert_eq!(
            (causes.len(), ways.len()),
            (KINDS.len() + 1, KINDS.len() - 1),
            "clone and create share a way out, and both kinds of snapshots"
        );
    }
}
