//! Which of the declared VMs a command is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Selection, codes, earlier, template};
use crate::diag::Diagnostic;
use crate::model::{Desired, DesiredVm, Key, RecordState, VmId};
use crate::observed::{Observed, VmObserved};

/// The selected VMs, and those that they depend on or are cloned from and that are not ready yet, by VMID.
///
/// One that is not ready and that the operator left out by name stays out, which is reported: no VM waits for it then.
pub(super) fn with_dependencies<'d>(
    desired: &'d Desired,
    selection: &Selection,
    observed: &Observed,
) -> (Vec<&'d Arc<DesiredVm>>, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let choice = selection.choice();
    let all: BTreeMap<VmId, &Arc<DesiredVm>> = desired.vms.iter().map(|vm| (vm.vm_id, vm)).collect();
    let mut taken: BTreeSet<VmId> = all.values().filter(|vm| choice.takes(vm)).map(|vm| vm.vm_id).collect();
    let mut queue: Vec<VmId> = taken.iter().copied().collect();
    while let Some(id) = queue.pop() {
        let Some(vm) = all.get(&id) else { continue };
        let implied = vm.template.filter(|template| !vm.depends_on.contains(template));
        let template = vm.template.filter(|_| is_to_be_made(vm, &desired.settings.project, observed));
        for other in vm.depends_on.iter().copied().chain(implied.and(template)).filter_map(|other| all.get(&other)) {
            if taken.contains(&other.vm_id) || is_ready(other, &desired.settings.project, observed) {
                continue;
            }
            if choice.excludes(other) && template == Some(other.vm_id) {
                let what = format!(
                    "cloned from template {} `{}`, which is left out and not built",
                    other.vm_id, other.vm_name
                );
                let problem = Diagnostic::error(codes::DEPENDENCY_LEFT_OUT, what).hint("select it, too");
                problems.push(problem.vm(id).about(Key::TemplateName));
            } else if choice.excludes(other) {
                let what =
                    format!("depends on VM {} `{}`, which is left out and not ready", other.vm_id, other.vm_name);
                problems.push(
                    Diagnostic::warning(codes::DEPENDENCY_LEFT_OUT, what)
                        .hint("it is not waited for; select it, too")
                        .vm(id)
                        .about(Key::DependsOn),
                );
            } else {
                taken.insert(other.vm_id);
                queue.push(other.vm_id);
            }
        }
    }
    (taken.iter().filter_map(|id| all.get(id).copied()).collect(), problems)
}

/// Whether there is no VM yet, or only what an interrupted run left of one.
fn is_to_be_made(vm: &DesiredVm, project: &str, observed: &Observed) -> bool {
    observed.vms.get(&vm.vm_id).is_none_or(|live| earlier::leftover(live, project).is_some())
}

/// Whether a VM runs and its guest has been brought up; one that is not to run need only be there.
fn is_ready(vm: &DesiredVm, project: &str, observed: &Observed) -> bool {
    let Some(live) = observed.vms.get(&vm.vm_id) else { return false };
    if vm.is_template {
        return template::is_built(live, project);
    }
    let up = live.running || !vm.started;
    let ready = |state: RecordState| if vm.started { state.is_ready() } else { state != RecordState::Creating };
    up && live.record.valid().is_some_and(|record| record.project == project && ready(record.state))
}

/// The VMs of this project that the file does not declare and that are not left out, by VMID.
pub(super) fn undeclared<'o>(desired: &Desired, observed: &'o Observed, selection: &Selection) -> Vec<&'o VmObserved> {
    let ours = |vm: &&VmObserved| vm.record.valid().is_some_and(|record| record.project == desired.settings.project);
    let declared = |vm: &VmObserved| desired.vms.binary_search_by_key(&vm.id, |declared| declared.vm_id).is_ok();
    let choice = selection.choice();
    // A file that says nothing of nodes is about the VMs of the target's own: another file may have those of another
    // one.
    let everywhere = desired.vms.iter().any(|vm| vm.node.is_some());
    let about = |vm: &VmObserved| everywhere || vm.node.is_empty() || vm.node == observed.here;
    observed.vms.values().filter(ours).filter(|vm| about(vm) && !declared(vm) && !choice.excludes_live(vm)).collect()
}
