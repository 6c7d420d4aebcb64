//! VMs that phoenix forgets: the record goes from their notes, and they stay.

use super::draft::Draft;
use crate::diag::Diagnostic;
use crate::model::{ActionKind, Disruption, Key, Outcome, Record, RecordState, VmId};
use crate::observed::{Export, RecordFound, VmObserved, without_record};
use crate::plan::existing::absent;
use crate::plan::{Change, Scene, Step, VmPlan, codes, lock, snippets};

/// What a plan calls the record, which no key is about.
const RECORD: &str = "record";

/// Plans that the record goes from a VM's notes and the project's tag off it, and says what was found. What stays is
/// said, too, and what the file makes of such a VM.
pub(in crate::plan) fn plan_forgotten(vm: VmId, scene: &Scene<'_>) -> (VmPlan, Vec<Diagnostic>) {
    let declared = scene.desired.vm(vm);
    let mut draft = Draft::of(vm, declared.map(|vm| vm.vm_name.clone()).unwrap_or_default(), declared);
    let Some(live) = scene.observed.vms.get(&vm) else {
        draft.finds([absent(vm, scene.observed)]);
        return draft.into_plan(None);
    };
    draft.name.clone_from(&live.name);
    if live.record == RecordFound::None {
        draft.idle(ActionKind::Forget, "there is no record in its notes");
        let what = "there is nothing to forget: no record of phoenix is in its notes";
        draft.finds([Diagnostic::notice(codes::NOT_OURS, what).vm(vm)]);
        return draft.into_plan(None);
    }
    draft.finds(lock::lock(vm, live, scene.observed));
    let record = match forgettable(live, scene) {
        Ok(record) if !draft.is_refused() => record,
        refused => {
            draft.finds(refused.err().map(|problem| problem.vm(vm)));
            return draft.into_plan(None);
        }
    };
    draft.basis = Some(live.digest.clone());
    draft.changes.push(Change {
        key: RECORD,
        old: Some(format!("project {}", record.project)),
        disruption: if live.running { Disruption::Live } else { Disruption::None },
        note: "the line `<!-- phoenix … -->` of its notes".to_owned(),
        ..Change::default()
    });
    let tag = scene.desired.settings.project_tag.as_deref().filter(|tag| live.tags.iter().any(|own| own == tag));
    if let Some(tag) = tag {
        let kept: Vec<&str> = live.tags.iter().map(String::as_str).filter(|own| *own != tag).collect();
        let disruption = if live.running { Disruption::Live } else { Disruption::None };
        draft.changes.push(Change {
            key: Key::Tags.name(),
            old: Some(live.tags.join(", ")),
            new: kept.join(", "),
            disruption,
            note: format!("`{tag}` is the project's tag"),
            ..Change::default()
        });
    }
    let reason = "phoenix's record is taken out of its notes; the VM stays as it is";
    draft.does(Step::Forget(tag.map(Into::into)), Outcome::Update, reason);
    draft.finds(declared.map(|declared| {
        let uuid = live.uuid.as_deref().unwrap_or_default();
        let adopts = declared.adopt.as_deref().is_some_and(|adopt| adopt.eq_ignore_ascii_case(uuid));
        still_declared(vm, adopts && !live.template)
    }));
    draft.finds(stays(live, record, scene));
    draft.finds(unknown(live, record));
    draft.into_plan(None)
}

/// The record of a VM that may be forgotten; why it may not, otherwise.
fn forgettable<'o>(live: &'o VmObserved, scene: &Scene<'_>) -> Result<&'o Record, Diagnostic> {
    let project = &scene.desired.settings.project;
    let broken = |why: &str| {
        Diagnostic::error(codes::BROKEN_RECORD, format!("the record in its notes is broken: {why}"))
            .hint("look at its notes, and take the line `<!-- phoenix … -->` out by hand")
    };
    let record = match &live.record {
        RecordFound::Valid(record) => record,
        RecordFound::Broken(why) => return Err(broken(why)),
        RecordFound::None | RecordFound::Void(_) => {
            let what = "phoenix does not look after it: the record in its notes is of a VM with another uuid or VMID, and \
                        counts for nothing";
            let hint = "take the line `<!-- phoenix … -->` out of its notes by hand, if it disturbs you";
            return Err(Diagnostic::error(codes::NOT_OURS, what).hint(hint));
        }
    };
    if record.project != *project {
        let other = &record.project;
        let what = format!("the VM belongs to project `{other}`, this file is project `{project}`");
        let hint = format!("name a file of project `{other}` with `--config`: only that project can forget it");
        return Err(Diagnostic::error(codes::NOT_OURS, what).hint(hint));
    }
    if record.state == RecordState::Creating || scene.observed.cloning.contains(&live.id) {
        let id = live.id;
        let what = "an earlier run did not finish making the VM";
        let hint = format!("`phoenix create {id}` completes it, `phoenix destroy {id}` removes it with its disks");
        return Err(Diagnostic::error(codes::UNFINISHED, what).hint(hint));
    }
    without_record(&live.notes).map(|_| &**record).map_err(|error| broken(&error.to_string()))
}

/// What the next plan makes of a VM that the file still lists. `adopts`: its entry names its uuid.
fn still_declared(vm: VmId, adopts: bool) -> Diagnostic {
    let warning = |what: &str| Diagnostic::warning(codes::FORGOTTEN_DECLARED, what).vm(vm);
    if adopts {
        warning("still declared, with `adopt`: the next apply takes the VM over again")
            .hint("take its entry out of the file, too")
    } else {
        warning("still declared: the next plan stops at it, as at a VM that phoenix did not make")
            .hint(format!("take its entry out of the file, too; `phoenix import {vm}` takes the VM back"))
    }
}

/// Says what phoenix made for the VM and leaves to it.
fn stays(live: &VmObserved, record: &Record, scene: &Scene<'_>) -> Option<Diagnostic> {
    let vm = live.id;
    let mut what = Vec::new();
    let mounts: Vec<&str> = record.volumes.keys().map(String::as_str).collect();
    if !mounts.is_empty() {
        what.push(format!("what its guest mounts at {}", mounts.join(", ")));
    }
    if !scene.exports.own_of(vm).is_empty() {
        what.push(format!("the exports to it in /etc/exports.d/{}", Export::file_name(vm)));
    }
    what.extend(snippets::gone_with(vm, scene).into_iter().map(|(_, path)| format!("the snippet {path}")));
    if record.ha && live.ha.is_some() {
        what.push(format!("its place under the HA manager (`ha-manager remove vm:{vm}`)"));
    }
    what.extend(live.own_snapshots().map(|name| format!("snapshot {name}")));
    if what.is_empty() {
        return None;
    }
    let what = format!("stays, and phoenix no longer looks after it: {}", what.join("; "));
    Some(Diagnostic::notice(codes::FORGOTTEN, what).vm(vm))
}

/// Says what only the record knows.
fn unknown(live: &VmObserved, record: &Record) -> Option<Diagnostic> {
    let mut what = Vec::new();
    if !record.features.is_empty() {
        let ran: Vec<String> = record.features.keys().map(|name| format!("`{name}`")).collect();
        what.push(format!("that {} ran", ran.join(", ")));
    }
    if !record.filesystems.is_empty() {
        let slots: Vec<&str> = record.filesystems.keys().map(String::as_str).collect();
        what.push(format!("which file systems it made on {}", slots.join(", ")));
    }
    if what.is_empty() {
        return None;
    }
    let what = format!("phoenix forgets {}", what.join(", and "));
    let hint = "a file that takes the VM over later runs features again, and mounts no disk's file system";
    Some(Diagnostic::notice(codes::FORGOTTEN, what).vm(live.id).hint(hint))
}
