//! What an earlier run left at a VMID, and what it began and is still at work on the target: that is waited for.

use std::sync::Arc;

use serde::Serialize;

use super::{Change, Leftover, codes};
use crate::diag::Diagnostic;
use crate::model::{ActionKind, DesiredVm, Record, RecordState, VmId};
use crate::observed::options::Row;
use crate::observed::{COPY, Observed, VmObserved};

/// What an earlier run began at a VM and what is still at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Earlier {
    /// The clone, or the import of an image, that makes the VM.
    Clone,
    /// A move of a disk of this VM. Not serialised: the plan has its digest.
    Move(#[serde(skip)] Arc<VmObserved>),
}

impl Earlier {
    /// The word for it in plans.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Clone => "clone",
            Self::Move(_) => "move",
        }
    }

    /// The kind of action that it was begun by.
    pub(super) fn kind(&self) -> ActionKind {
        match self {
            Self::Clone => ActionKind::Clone,
            Self::Move(_) => ActionKind::MoveDisk,
        }
    }
}

/// What an interrupted clone of this project left, if that is what the VM is. Whether one is running is for the caller.
pub(crate) fn leftover(live: &VmObserved, project: &str) -> Option<Leftover> {
    if !live.is_half_cloned() {
        return None;
    }
    let creating = |record: &Record| record.state == RecordState::Creating && record.project == project;
    if live.record.valid().is_some_and(creating) {
        Some(Leftover::HalfMade)
    } else {
        live.placeholder.then_some(Leftover::Placeholder)
    }
}

/// The clone or import of an earlier run that makes a VM of this project right now. The record in the half-made VM's
/// notes tells whose it is; a placeholder has none, and may be anybody's.
pub(super) fn clone(vm: VmId, project: &str, observed: &Observed) -> Option<Earlier> {
    let is_at_work = observed.cloning.contains(&vm) || observed.unattributed_clone;
    let left = observed.vms.get(&vm).and_then(|live| leftover(live, project));
    (is_at_work && left == Some(Leftover::HalfMade)).then_some(Earlier::Clone)
}

/// The move of a disk that an earlier run began at a VM of this project, if that is what works on its disks, and what
/// the disk is called.
///
/// A run that moves the boot disk takes out of the record where it lies; of a further disk the record says then that
/// this is not known. So a move is phoenix's own if it is one that the plan has anyway and whose beginning the record
/// knows; a move of another process leaves the record as it was, and a record of an earlier version says nothing.
pub(super) fn disk_move(
    live: &VmObserved,
    changes: &[Change],
    record: &Record,
    observed: &Observed,
) -> Option<(Earlier, &'static str)> {
    let work = observed.working.get(&live.id)?;
    let moves = |row: &&'static Row| row.step == ActionKind::MoveDisk;
    let begun = |row: &Row| {
        let said = record.applied.get(row.applied_as());
        row.option.is_none() || record.applied.is_empty() || said.is_some_and(str::is_empty)
    };
    let mut moving = changes.iter().filter(|change| change.by.is_none()).flat_map(Change::rows).filter(moves);
    let row = moving.find(|row| begun(row))?;
    let is_move = work == "qmmove" || work == COPY;
    is_move.then(|| (Earlier::Move(Arc::new(live.clone())), row.option.map_or("the boot disk", |option| option.name)))
}

/// Says that apply waits for a clone, or for an import.
pub(super) fn clone_at_work(vm: &DesiredVm, observed: &Observed) -> Diagnostic {
    let id = vm.vm_id;
    let what = if !observed.cloning.contains(&id) {
        "half made by an earlier run, and a clone is at work whose target is not known"
    } else if vm.cloud_image.is_some() {
        "the import of an image into it, started by an earlier run, is still running"
    } else {
        "the clone into it, started by an earlier run, is still running"
    };
    let then = "apply waits until it has ended; a VM that is whole is taken as made, a half-made one is removed";
    Diagnostic::notice(codes::CLONE_RUNNING, format!("{what}: {then}")).vm(id)
}

/// Says that apply waits for a move.
pub(super) fn move_at_work(vm: VmId, disk: &str) -> Diagnostic {
    let what = format!(
        "the move of {disk}, started by an earlier run, is still running: apply waits until it has ended and continues \
            from where the disk lies then"
    );
    Diagnostic::notice(codes::TASK_RUNNING, what).vm(vm)
}
