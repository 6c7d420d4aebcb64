//! What is at a declared VMID: nothing, a leftover, ours, or something to leave alone.

use super::earlier::{self, leftover};
use super::{Leftover, codes, lock, template};
use crate::diag::Diagnostic;
use crate::model::{DesiredVm, Key, Record, VmId};
use crate::observed::{Observed, RecordFound, Taken, VmObserved};

/// What is at a declared VMID.
pub(super) enum Situation<'o> {
    /// Nothing, or a leftover that is removed first, and what is to be known of it.
    Absent(Option<(Leftover, Diagnostic)>),
    /// A VM of ours.
    Ours(&'o VmObserved, &'o Record),
    /// A template that was built, or whose building ended in the middle of its last step.
    Template(&'o VmObserved, &'o Record),
    /// A VM that phoenix did not make and that is to be taken over, with this record.
    Adopted(&'o VmObserved, Record),
}

/// Looks at the VMID of a declared VM. What is there and must be left alone is an error.
pub(super) fn situation<'o>(
    vm: &DesiredVm,
    project: &str,
    observed: &'o Observed,
) -> Result<Situation<'o>, Diagnostic> {
    let id = vm.vm_id;
    let block = |problem: Diagnostic| Err(problem.vm(id));
    let live = observed.vms.get(&id);
    // One that has our record is waited for, or has come to its end since.
    if observed.cloning.contains(&id) && live.is_none_or(|live| owned(live, project).is_err()) {
        return block(
            Diagnostic::error(codes::CLONE_RUNNING, "a clone into this VMID is running")
                .hint("wait until it has ended, then plan again"),
        );
    }
    if let Some(Taken { node, name, container, .. }) = observed.taken.get(&id) {
        let (what, hint) = if *container {
            (
                format!("the container `{name}` on node `{node}` has this VMID"),
                "VMs and containers share their ids: choose another `vm_id`",
            )
        } else {
            (
                format!("the VM `{name}` on node `{node}` has this VMID"),
                "a target reaches the VMs of one node: choose another `vm_id`, or name that node with `--target`",
            )
        };
        return block(Diagnostic::error(codes::VMID_TAKEN, what).about(Key::VmId).hint(hint));
    }
    let Some(live) = live else {
        return match &vm.adopt {
            Some(uuid) => block(not_there(uuid, observed)),
            None => Ok(Situation::Absent(None)),
        };
    };
    if let Some(leftover) = leftover(live, project) {
        if earlier::clone(id, project, observed).is_some() {
            return Ok(Situation::Absent(Some((leftover, earlier::clone_at_work(vm, observed)))));
        }
        if observed.unattributed_clone {
            return block(
                Diagnostic::error(
                    codes::CLONE_RUNNING,
                    "half cloned, and a clone is running whose target is not known",
                )
                .hint("wait until it has ended, then plan again"),
            );
        }
        let made = if vm.cloud_image.is_some() { "made" } else { "cloned" };
        let what = format!("left over by an interrupted run: it is removed and {made} again");
        let removed = Diagnostic::warning(codes::LEFTOVER, what).vm(id);
        return Ok(Situation::Absent(Some((leftover, removed))));
    }
    match owned(live, project) {
        Err(problem) => match (adoption(vm, live, project), &vm.adopt) {
            (Some(record), _) => Ok(Situation::Adopted(live, record)),
            (None, None) if lost_its_record(vm, live, observed) => block(record_gone(vm)),
            (None, _) if is_reserved(live, &vm.vm_name) => block(reserved(live)),
            (None, Some(_)) if problem.code == codes::NOT_OURS && !is_claimed(live) => {
                block(another(on_its_node(problem, live, observed)))
            }
            (None, _) => block(on_its_node(problem, live, observed)),
        },
        Ok(record) => match template::otherwise(vm, live, record) {
            Some(problem) => block(problem),
            None if live.template => Ok(Situation::Template(live, record)),
            None => Ok(Situation::Ours(live, record)),
        },
    }
}

/// The record of a VM of this project; a VM that is not is refused with the reason.
pub(super) fn owned<'o>(live: &'o VmObserved, project: &str) -> Result<&'o Record, Diagnostic> {
    let id = live.id;
    match &live.record {
        RecordFound::Broken(why) => {
            Err(Diagnostic::error(codes::BROKEN_RECORD, format!("the record in its notes is broken: {why}"))
                .hint("look at its notes, and correct or remove the line `<!-- phoenix … -->`"))
        }
        RecordFound::Valid(record) if record.project != project => {
            let other = &record.project;
            let what = format!("the VM belongs to project `{other}`, this file is project `{project}`");
            let hint = format!(
                "choose another `vm_id`, or set `hypervisor.project`; to move the VM, `phoenix forget {id}` with a file of \
                 project `{other}`, then `phoenix import {id}` with this one"
            );
            Err(Diagnostic::error(codes::NOT_OURS, what).about(Key::VmId).hint(hint))
        }
        RecordFound::None | RecordFound::Void(_) => Err(foreign(id, live)),
        RecordFound::Valid(record) => Ok(record),
    }
}

/// The record with which a VM is taken over, if it is the one that `adopt` names. One with a valid record keeps it.
fn adoption(vm: &DesiredVm, live: &VmObserved, project: &str) -> Option<Record> {
    let uuid = live.uuid.as_deref().filter(|uuid| vm.adopt.as_deref().is_some_and(|a| a.eq_ignore_ascii_case(uuid)))?;
    (!is_claimed(live) && !live.template).then(|| Record::adopted(project, live.id, uuid))
}

/// Whether the VM has a record that counts, or may count.
fn is_claimed(live: &VmObserved) -> bool {
    matches!(live.record, RecordFound::Valid(_) | RecordFound::Broken(_))
}

/// Names the node of a VM that has the VMID, if it is another one than the target's own.
fn on_its_node(mut problem: Diagnostic, live: &VmObserved, observed: &Observed) -> Diagnostic {
    if live.node != observed.here && problem.code == codes::NOT_OURS {
        problem.message.push_str(&format!("; it is on node `{}`", live.node));
    }
    problem
}

/// Says that a VM is not the one that was to be taken over.
fn another(mut problem: Diagnostic) -> Diagnostic {
    problem.message.push_str("; it is not the one whose uuid stands in `adopt`");
    Diagnostic { keys: vec!["adopt"], ..problem }
}

/// Says that a VM which is to be taken over is not there: a new, empty one in its place is not what was agreed to.
fn not_there(uuid: &str, observed: &Observed) -> Diagnostic {
    let has_it = |live: &&VmObserved| live.uuid.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(uuid));
    let (what, hint) = match observed.vms.values().find(has_it) {
        Some(other) => (
            format!(
                "it is to be taken over and is not there; VM {} `{}` has the uuid in `adopt`",
                other.id, other.name
            ),
            format!("set `vm_id` to {}, if that is the VM that is meant", other.id),
        ),
        None => (
            "it is to be taken over and is not there, and no VM of the target has the uuid in `adopt`".to_owned(),
            "look at `vm_id` and at the target; to have a new, empty VM made, take `adopt` out".to_owned(),
        ),
    };
    Diagnostic { keys: vec!["adopt"], ..Diagnostic::error(codes::ADOPT_ABSENT, what).hint(hint) }
}

/// Says that there is no VM where one is asked for.
pub(super) fn absent(id: VmId, observed: &Observed) -> Diagnostic {
    let problem = match observed.taken.get(&id) {
        Some(other) if other.container => {
            Diagnostic::error(codes::VMID_TAKEN, format!("a container on node `{}` has this VMID", other.node))
        }
        Some(other) => Diagnostic::error(codes::VMID_TAKEN, format!("the VM is on node `{}`", other.node))
            .hint("a target reaches the VMs of one node: name that node with `--target`"),
        None => Diagnostic::error(codes::NO_SUCH_VM, "there is no such VM"),
    };
    problem.vm(id)
}

/// Whether nothing is there but the VMID: what `qm create`, or a restore, leaves that is killed in its first second.
fn is_reserved(live: &VmObserved, name: &str) -> bool {
    let empty = live.volumes.is_empty() && live.devices.is_empty() && live.drives.is_empty() && !live.running;
    let named = live.name.is_empty() || live.name == name;
    live.lock.as_deref() == Some("create") && empty && named && live.record == RecordFound::None && !live.template
}

fn reserved(live: &VmObserved) -> Diagnostic {
    let what = "the VMID is only reserved: locked (create), without a disk, a network card or a record, as a `qm create` leaves it \
         that was killed in its first second, or that runs right now";
    Diagnostic::error(codes::NOT_OURS, what).about(Key::VmId).hint(lock::way_out(live, "create"))
}

/// Whether a VM without a record is probably this project's: it has the declared name, and what only phoenix gives, or
/// the project's tag.
fn lost_its_record(vm: &DesiredVm, live: &VmObserved, observed: &Observed) -> bool {
    let marked = || {
        let tagged = vm.project_tag.as_ref().is_some_and(|tag| live.tags.contains(tag));
        let exported =
            || observed.nodes.values().any(|node| node.exports.iter().any(|export| export.vm == Some(live.id)));
        tagged || live.own_snapshots().next().is_some() || exported()
    };
    let free = live.lock.as_deref() != Some("create") && !live.template;
    live.record == RecordFound::None && live.name == vm.vm_name && free && marked()
}

fn record_gone(vm: &DesiredVm) -> Diagnostic {
    let id = vm.vm_id;
    let what = "the record is gone from its notes: `phoenix forget`, another program or a person took it out";
    let hint = format!(
        "`phoenix import {id}` takes the VM back; what is in its guest is then checked again. Notes are edited around \
            the \
         line `<!-- phoenix … -->`"
    );
    Diagnostic::error(codes::RECORD_GONE, what).about(Key::VmId).hint(hint)
}

fn foreign(id: VmId, live: &VmObserved) -> Diagnostic {
    let copied = match &live.record {
        // One that lost its identity, or got another one, has its own record still.
        RecordFound::Void(record) if record.vm == id && live.uuid.is_none() => {
            "; the record in its notes names a uuid, and the VM has none (`smbios1`)"
        }
        RecordFound::Void(record) if record.vm == id => "; the record in its notes is of a VM with another uuid",
        RecordFound::Void(_) => "; the record in its notes was copied from another VM",
        _ => "",
    };
    let kind = match (live.template, live.name.as_str()) {
        (true, name) => format!("the template `{name}`"),
        (false, "") => "a VM without a name".to_owned(),
        (false, name) => format!("the VM `{name}`"),
    };
    Diagnostic::error(
        codes::NOT_OURS,
        format!("the VMID is taken by {kind}, which phoenix did not make{copied}"),
    )
    .about(Key::VmId)
    .hint(if live.lock.as_deref() == Some("create") {
        lock::way_out(live, "create")
    } else if live.template {
        format!("choose another `vm_id`, or leave it alone with `--exclude {id}`")
    } else {
        format!(
            "choose another `vm_id`, leave it alone with `--exclude {id}`, or take it over with `phoenix import {id}`"
        )
    })
}
