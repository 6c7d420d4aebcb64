//! Who changed a value: what phoenix last applied, beside what there is and what the file says.

use super::Scene;
use super::{Change, ChangedBy, codes, diff};
use crate::diag::Diagnostic;
use crate::model::{
    Applied, CloudInitErrors, DesiredVm, Ready, Record, Timeouts, VmId, is_kept, is_kept_as_digest, kept,
};
use crate::observed::VmObserved;
use crate::observed::options::{self, Kept, Row, Value, Wish};

/// The name under which a record keeps when its VM counts as ready, where that is not cloud-init's word.
pub(super) const READY: &str = "ready";

/// The name under which a record keeps the VMIDs of the VMs that its VM waits for, where there are any.
pub(super) const DEPENDS_ON: &str = "depends_on";

/// The name under which a record keeps the timeouts of its VM, where they are not the usual ones.
pub(super) const TIMEOUTS: &str = "timeouts";

/// The name under which a record keeps what an error of cloud-init is for its VM, where that is not the usual.
pub(super) const CLOUD_INIT_ERRORS: &str = "cloud_init_errors";

/// What a record keeps that no option of its VM says.
const BESIDE: [&str; 4] = [READY, DEPENDS_ON, TIMEOUTS, CLOUD_INIT_ERRORS];

/// What of the file no option of a VM says, and what a VM that the file lost has back by its record alone. It is
/// written beside something else: for itself it is no reason to write.
fn beside(vm: &DesiredVm) -> impl Iterator<Item = (&'static str, String)> {
    let ready = (vm.ready != Ready::CloudInit).then(|| (READY, vm.ready.to_string()));
    let ids: Vec<String> = vm.depends_on.iter().map(ToString::to_string).collect();
    let waits = (!ids.is_empty()).then(|| (DEPENDS_ON, kept(&ids.join(",")).into_owned()));
    let usual = Timeouts::default();
    let Timeouts { guest_agent, cloud_init, feature } = vm.timeouts;
    let timeouts = (vm.timeouts != usual).then(|| (TIMEOUTS, format!("{guest_agent},{cloud_init},{feature}")));
    let errors =
        (vm.cloud_init_errors != CloudInitErrors::Fail).then(|| (CLOUD_INIT_ERRORS, vm.cloud_init_errors.to_string()));
    ready.into_iter().chain(waits).chain(timeouts).chain(errors)
}

/// What phoenix has applied to a VM that is as the config says.
pub(super) fn applied(vm: &DesiredVm) -> Applied {
    let applied = |row: &'static Row| {
        let kept = match (row.kept, row.wished(vm, None)) {
            (Kept::Applied, wish) if wish != Wish::Leave => kept(&text(wish.value())).into_owned(),
            (Kept::Always(_), Wish::Leave) => String::new(),
            _ => return None,
        };
        Some((row.applied_as(), kept))
    };
    options::rows_for(vm, None).filter_map(applied).chain(beside(vm)).collect()
}

/// A record of an earlier version, which kept long values otherwise, what is kept of them now, wherever that names
/// the same value. `applied`: what is kept of the VM as the config says.
pub(super) fn brought_up(mut record: Record, applied: &Applied) -> Record {
    let now = |key: &str, kept: &str| applied.get(key).filter(|now| kept != *now && is_kept(kept, now));
    if record.applied.iter().any(|(key, kept)| now(key, kept).is_some()) {
        record.applied = record.applied.iter().map(|(key, kept)| (key, now(key, kept).unwrap_or(kept))).collect();
    }
    record
}

/// A value as the record and people name it; empty where there is none.
fn text(value: Option<&Value<'_>>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// Whether a record that says what was applied does not say it of a key that the config has, whose [`applied`] is
/// given: a run that applied it did not finish, or another process or an administrator wrote the record.
pub(super) fn has_forgotten(applied: &Applied, record: &Record) -> bool {
    let forgotten = |key: &str| match record.applied.get(key) {
        // Earlier versions did not keep where a further disk lies.
        None => !options::is_storage_key(key) && !BESIDE.contains(&key),
        Some(kept) => kept.is_empty() && options::is_storage_key(key),
    };
    !record.applied.is_empty() && applied.keys().any(forgotten)
}

/// A size in GiB, the last one begun counted in full.
fn rounded_up(size: &str) -> Option<u32> {
    match size.split_once('.') {
        Some((whole, _)) => whole.parse::<u32>().ok()?.checked_add(1),
        None => size.parse().ok(),
    }
}

/// What differs between a VM as desired and as observed, and who made it so.
pub(super) fn changes(vm: &DesiredVm, live: &VmObserved, record: &Record, scene: &Scene<'_>) -> Vec<Change> {
    let mut changes = diff::changes(vm, live, scene);
    for change in &mut changes {
        attribute(change, vm, live, &record.applied);
    }
    changes
}

/// Says which of the changes of a VM another process or an administrator made necessary, if any.
pub(super) fn drifted(vm: VmId, changes: &[Change]) -> Option<Diagnostic> {
    let outside = changes.iter().filter(|change| change.by.is_some_and(ChangedBy::is_drift));
    let mut keys: Vec<&'static str> = outside.map(|change| change.key).collect();
    keys.dedup();
    if keys.is_empty() {
        return None;
    }
    let named = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let what = format!("changed outside phoenix since the last apply: {named}");
    let hint = "apply makes it what the file says; to keep what is there, put it into the file";
    Some(Diagnostic { keys, ..Diagnostic::warning(codes::DRIFT, what).vm(vm).hint(hint) })
}

/// What was changed outside phoenix, of a VM of ours for which no file wishes anything any more: the key, the value at
/// the last apply where it was kept, and the value now.
pub(super) fn outside(live: &VmObserved, record: &Record) -> Vec<(&'static str, Option<String>, String)> {
    let changed = |row: &'static Row| {
        let was = row.applied(&record.applied)?;
        let now = row.has(live);
        (!is_same(row, now.as_ref(), was)).then(|| (row.name, known(was), text(now.as_ref())))
    };
    options::rows_in(record).filter_map(changed).collect()
}

/// Whether a value is the one that was applied. A disk that was taken over may fill its last GiB in part; and none ever
/// shrinks.
fn is_same(row: &Row, now: Option<&Value<'_>>, was: &str) -> bool {
    let text = text(now);
    is_kept(was, &kept(&text))
        || row.still_has(&text, was)
        || (matches!(now, Some(Value::Bytes(_))) && rounded_up(&text) == rounded_up(was))
}

/// A value that was applied, where it was kept.
fn known(was: &str) -> Option<String> {
    (!is_kept_as_digest(was)).then(|| was.to_owned())
}

fn attribute(change: &mut Change, vm: &DesiredVm, live: &VmObserved, applied: &Applied) {
    let Some(row) = change.rows().next() else { return };
    let Some(was) = row.applied(applied) else { return };
    let (now, wish) = (row.has(live), row.wished(vm, None));
    let wished = is_kept(was, &kept(&text(wish.value())));
    // A disk without options of its own: that it is there says where it lies.
    if now.is_none() && was.is_empty() && applied.get(&format!("{}.storage", row.name)).is_some_and(|at| !at.is_empty())
    {
        change.by = Some(ChangedBy::Outside);
        return;
    }
    change.by = Some(match (is_same(row, now.as_ref(), was), wished) {
        (true, _) => ChangedBy::File,
        (false, true) => ChangedBy::Outside,
        (false, false) => ChangedBy::Both,
    });
    change.applied = known(was);
}
