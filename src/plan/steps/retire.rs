//! VMs that go: what is lost with them, what stays, and what forbids it.

use super::draft::Draft;
use crate::diag::{Diagnostic, Severity};
use crate::model::{BY_UUID, Disruption, Key, Outcome, RecordState, VmId};
use crate::observed::{VmObserved, print_size};
use crate::plan::Scene;
use crate::plan::earlier::leftover;
use crate::plan::existing::{absent, owned};
use crate::plan::{Action, Leftover, Retired, Step, VmPlan, codes, ha, lock, snippets};

/// Plans that a VM goes, and says what was found. One that something stands in the way of gets no actions.
pub(in crate::plan) fn plan_retired(vm: VmId, scene: &Scene<'_>) -> (VmPlan, Vec<Diagnostic>) {
    let declared = scene.desired.vm(vm);
    let mut draft = Draft::of(vm, declared.map(|vm| vm.vm_name.clone()).unwrap_or_default(), declared);
    let Some(live) = scene.observed.vms.get(&vm) else {
        // Gone is what was asked for: a run that was interrupted asks again.
        let mut problem = absent(vm, scene.observed);
        if problem.code == codes::NO_SUCH_VM {
            problem.severity = Severity::Warning;
        }
        draft.finds([problem]);
        if declared.is_none() && !scene.observed.taken.contains_key(&vm) && !scene.observed.cloning.contains(&vm) {
            draft.remove_snippets(vm, Outcome::Update, "the VM is not there any more", scene);
        }
        return draft.into_plan(None);
    };
    if declared.is_none() {
        draft.name.clone_from(&live.name);
    }
    let project = &scene.desired.settings.project;
    let left = match leftover(live, project) {
        // The placeholder of another process's clone looks the same: only the file tells that it is ours.
        Some(Leftover::Placeholder) if declared.is_none() => None,
        left => left,
    };
    draft.finds(forbidden(live, left, scene).map(|problem| problem.vm(vm)));
    if left.is_none() {
        draft.finds(lock::lock(vm, live, scene.observed));
        if declared.is_some_and(|vm| vm.protected == Some(true)) && !live.protection {
            draft.finds([protected().vm(vm)]);
        }
    }
    if draft.is_refused() {
        return draft.into_plan(None);
    }
    if declared.is_some() {
        let what = "still declared: the next apply makes it anew";
        let still = Diagnostic::warning(codes::STILL_DECLARED, what).vm(vm);
        draft.finds([still.hint("take it out of the file, too")]);
    }
    draft.basis = Some(live.digest.clone());
    let mut retired = Retired::default();
    let destroys = |step, reason| Action::does(step, Outcome::Destroy, reason).costing(Disruption::Destroy);
    if let Some(left) = left {
        draft.push(destroys(Step::RemoveLeftover(left), "left over by an interrupted run"));
        draft.remove_snippets(vm, Outcome::Destroy, "it ends with the VM", scene);
    } else {
        if live.running {
            draft
                .push(Action::does(Step::Stop, Outcome::Update, "the VM is to be destroyed").costing(Disruption::Stop));
        }
        draft.remove_snippets(vm, Outcome::Destroy, "it ends with the VM", scene);
        if !scene.exports.own_of(vm).is_empty() {
            draft.does(Step::ExportShare(Vec::new()), Outcome::Destroy, "the VM's exports end with it");
        }
        // When it is off: as long as the HA manager looks after it, that would start it again.
        if ha::is_own(live) {
            draft.does(Step::LeaveHa, Outcome::Update, "the VM is to be destroyed");
        }
        draft.push(destroys(Step::Destroy, "the VM is to be destroyed"));
        if declared.is_none() {
            let shared = if scene.desired.settings.project_named {
                ""
            } else {
                "; files without `hypervisor.project` share that project, and another one may declare the VM"
            };
            let what = format!(
                "only the record in its notes says that it belongs to project `{project}`, and every account with rights \
                 on the VM can write that{shared}"
            );
            draft.finds([Diagnostic::notice(codes::CLAIMED, what).vm(vm)]);
        }
        (retired.erases, retired.keeps) = inventory(live);
    }
    draft.retired = Some(Box::new(retired));
    draft.into_plan(None)
}

impl Draft {
    /// Removes the snippets of a VM that goes, or is gone.
    fn remove_snippets(&mut self, vm: VmId, outcome: Outcome, reason: &'static str, scene: &Scene<'_>) {
        for (file, path) in snippets::gone_with(vm, scene) {
            let step = Step::RemoveSnippet(path.into());
            self.push(Action::does(step, outcome, reason).to(file));
        }
    }
}

/// Why a VM must not go.
fn forbidden(live: &VmObserved, left: Option<Leftover>, scene: &Scene<'_>) -> Option<Diagnostic> {
    let (vm, observed) = (live.id, scene.observed);
    let cloning = observed.cloning.contains(&vm) || (left.is_some() && observed.unattributed_clone);
    if cloning {
        let what = "a clone into this VMID is running";
        return Some(Diagnostic::error(codes::CLONE_RUNNING, what).hint("wait until it has ended"));
    }
    if left.is_some() {
        return None;
    }
    let record = match owned(live, &scene.desired.settings.project) {
        Ok(record) => record,
        Err(problem) => return Some(problem),
    };
    if live.protection {
        return Some(if live.template {
            // Nothing about a template is applied any more.
            protected().hint(format!("`qm set {vm} --protection 0` first"))
        } else {
            protected()
        });
    }
    // What phoenix put there, it takes out first; what the HA manager gave up on, it does not stop.
    if ha::is_own(live) {
        if let Some(problem) = ha::looks_after(vm, live.running, observed).filter(Diagnostic::is_error) {
            return Some(problem);
        }
    } else if observed.ha.contains(&vm) {
        let what = "the HA manager looks after the VM";
        return Some(Diagnostic::error(codes::HA_MANAGED, what).hint(format!("`ha-manager remove vm:{vm}` first")));
    }
    // Those that go as well go first.
    let stays = |other: &&VmId| observed.vms.contains_key(other) && !scene.going.contains(other);
    let clones: Vec<String> = scene.clones.get(&vm).into_iter().flatten().filter(stays).map(VmId::to_string).collect();
    if !clones.is_empty() {
        let what = format!("linked clones are built on its disks: {}", clones.join(", "));
        return Some(Diagnostic::error(codes::HAS_CLONES, what).hint("destroy them first"));
    }
    let unfinished = record.state == RecordState::Creating && live.running;
    unfinished.then(|| Diagnostic::error(codes::UNFINISHED, "the VM is being made, and runs"))
}

fn protected() -> Diagnostic {
    Diagnostic::error(codes::PROTECTED, "the VM is protected")
        .about(Key::Protected)
        .hint("set `protected` to false and apply that first")
}

/// What is erased with a VM, and what stays.
fn inventory(live: &VmObserved) -> (Vec<String>, Vec<String>) {
    let mut erases = Vec::new();
    let mut keeps = Vec::new();
    for volume in &live.volumes {
        let size = volume.size.map(|size| format!(" ({})", print_size(size))).unwrap_or_default();
        let text = format!("{} {}{size}", volume.device, volume.volume);
        if volume.belongs_to(live.id) { &mut erases } else { &mut keeps }.push(text);
    }
    erases.extend(live.snapshots.iter().map(|name| format!("snapshot {name}")));
    if let Some(record) = live.record.valid() {
        keeps.extend(
            record
                .volumes
                .iter()
                .filter(|(_, source)| !source.starts_with(BY_UUID))
                .map(|(at, source)| format!("{source} (was mounted at {at})")),
        );
    }
    (erases, keeps)
}
