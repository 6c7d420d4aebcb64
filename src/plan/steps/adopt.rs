//! Taking over a VM that phoenix did not make.

use std::sync::Arc;

use super::draft::Draft;
use super::update::Existing;
use super::volumes;
use crate::diag::Diagnostic;
use crate::model::{Applied, DesiredVm, Record};
use crate::observed::options::AGENT;
use crate::observed::{RecordError, VmObserved, with_record};
use crate::plan::Scene;
use crate::plan::{Change, VmPlan, cloud_init, codes, diff, disk, drift, migrate, obstacles, preflight};

/// Plans a VM that is taken over with a record that stands in its notes before anything else is done to it.
///
/// From then on it is one of ours: what differs from the file is planned as for every other.
pub(super) fn plan_adopted(
    mut draft: Draft,
    vm: &Arc<DesiredVm>,
    live: &VmObserved,
    mut record: Record,
    scene: &Scene<'_>,
) -> (VmPlan, Vec<Diagnostic>) {
    draft.finds(disk::boot_disk(vm, live, scene));
    draft.finds(cloud_init::without_drive(vm, live));
    let mounts = volumes::granted(vm, scene);
    draft.finds(mounts.problems);
    draft.finds(migrate::served(vm, &mounts.mounts, scene));
    draft.finds(migrate::snippets(vm, scene));
    draft.finds(preflight::host(vm, Some(live), scene));
    draft.finds(obstacles::in_the_way(vm, live, scene));
    draft.finds(room(live, &record));
    let changes = diff::changes(vm, live, scene);
    if draft.is_refused() {
        draft.changes = changes;
        return draft.into_plan(None);
    }
    record.applied = as_wished(vm, &changes);
    if room(live, &record).is_some() {
        record.applied.clear();
    }
    draft.update(vm, &Existing { live, record: &record, mounts: &mounts.mounts }, scene)
}

/// What is as it would be had phoenix applied it; nothing where the agent is off, with which phoenix begins.
fn as_wished(vm: &DesiredVm, changes: &[Change]) -> Applied {
    let mut applied = drift::applied(vm);
    let changes = |name: &str| changes.iter().flat_map(Change::rows).any(|row| row.applied_as() == name);
    if changes(AGENT) {
        applied.clear();
    }
    applied.retain(|key, _| !changes(key));
    applied
}

/// Says why the record cannot stand in the notes as they are, if it cannot.
pub(in crate::plan) fn room(live: &VmObserved, record: &Record) -> Option<Diagnostic> {
    let error = with_record(&live.notes, record).err()?;
    let id = live.id;
    let (code, hint) = match &error {
        RecordError::TooLong(_) => {
            (codes::NOTES_TOO_LONG, format!("shorten the notes of VM {id}: phoenix keeps its record in them"))
        }
        _ => {
            (codes::BROKEN_RECORD, "look at its notes, and correct or remove the line `<!-- phoenix … -->`".to_owned())
        }
    };
    Some(Diagnostic::error(code, error.to_string()).hint(hint).vm(id).about("adopt"))
}
