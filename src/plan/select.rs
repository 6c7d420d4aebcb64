//! Which of the declared VMs a command is about.

use std::collections::{BTreeMap, BTreeSet};

use super::{codes, existing, template};
use crate::diag::Diagnostic;
use crate::model::{Desired, DesiredVm, RecordState, VmId};
use crate::observed::{Observed, VmObserved};

/// Names VMs: by VMID, by name or by tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The VM with this VMID.
    Id(VmId),
    /// The VM with this name, or all VMs with this tag.
    Word(String),
}

/// `--only` and `--exclude`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these; empty means all.
    pub only: Vec<Selector>,
    /// Not these; stronger than `only`.
    pub exclude: Vec<Selector>,
}

impl Selector {
    /// Reads a selector; digits are a VMID.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(id) => Self::Id(id),
            Err(_) => Self::Word(text.to_owned()),
        }
    }

    /// Whether it names the VM.
    #[must_use]
    pub fn names(&self, vm: &DesiredVm) -> bool {
        match self {
            Self::Id(id) => vm.vm_id == *id,
            Self::Word(word) => {
                let tag = word.to_ascii_lowercase();
                vm.vm_name == *word || vm.tags.contains(&tag)
            }
        }
    }
}

impl Selector {
    /// Whether it names a VM of the target, declared or not.
    #[must_use]
    pub fn names_live(&self, vm: &VmObserved) -> bool {
        match self {
            Self::Id(id) => vm.id == *id,
            Self::Word(word) => vm.name == *word || vm.tags.contains(&word.to_ascii_lowercase()),
        }
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Word(word) => f.write_str(word),
        }
    }
}

impl Selection {
    /// Whether the VM is selected.
    #[must_use]
    pub fn takes(&self, vm: &DesiredVm) -> bool {
        let named = |list: &[Selector]| list.iter().any(|selector| selector.names(vm));
        (self.only.is_empty() || named(&self.only)) && !named(&self.exclude)
    }

    /// The selectors that name none of the VMs: probably typing errors.
    #[must_use]
    pub fn unmatched<'s>(&'s self, vms: &[DesiredVm]) -> Vec<&'s Selector> {
        self.only.iter().chain(&self.exclude).filter(|selector| !vms.iter().any(|vm| selector.names(vm))).collect()
    }
}

/// The selected VMs, and those that they depend on or are cloned from and that are not ready yet, by VMID.
///
/// One that is not ready and that somebody left out by name stays out, which is told: nobody waits for it then.
pub(super) fn with_dependencies<'d>(
    desired: &'d Desired,
    selection: &Selection,
    observed: &Observed,
    problems: &mut Vec<Diagnostic>,
) -> Vec<&'d DesiredVm> {
    let excluded = |vm: &DesiredVm| selection.exclude.iter().any(|selector| selector.names(vm));
    let all: BTreeMap<VmId, &DesiredVm> = desired.vms.iter().map(|vm| (vm.vm_id, vm)).collect();
    let mut taken: BTreeSet<VmId> = all.values().filter(|vm| selection.takes(vm)).map(|vm| vm.vm_id).collect();
    let mut queue: Vec<VmId> = taken.iter().copied().collect();
    while let Some(id) = queue.pop() {
        let Some(vm) = all.get(&id) else { continue };
        let implied = vm.template.filter(|template| !vm.depends_on.contains(template));
        let template = vm.template.filter(|_| is_to_be_made(vm, &desired.settings.project, observed));
        for other in vm.depends_on.iter().copied().chain(implied.and(template)).filter_map(|other| all.get(&other)) {
            if taken.contains(&other.vm_id) || is_ready(other, &desired.settings.project, observed) {
                continue;
            }
            if excluded(other) && template == Some(other.vm_id) {
                let what = format!(
                    "VM {id} is cloned from template {} `{}`, which is left out and not built",
                    other.vm_id, other.vm_name
                );
                problems.push(Diagnostic::error(codes::DEPENDENCY_LEFT_OUT, what).hint("select it, too").vm(id));
            } else if excluded(other) {
                let what = format!(
                    "VM {id} depends on VM {} `{}`, which is left out and not ready",
                    other.vm_id, other.vm_name
                );
                problems.push(
                    Diagnostic::warning(codes::DEPENDENCY_LEFT_OUT, what)
                        .hint("it is not waited for; select it, too")
                        .vm(id),
                );
            } else {
                taken.insert(other.vm_id);
                queue.push(other.vm_id);
            }
        }
    }
    taken.iter().filter_map(|id| all.get(id).copied()).collect()
}

/// Whether there is no VM yet, or only what an interrupted run left of one.
fn is_to_be_made(vm: &DesiredVm, project: &str, observed: &Observed) -> bool {
    observed.vms.get(&vm.vm_id).is_none_or(|live| existing::leftover(live, project).is_some())
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

/// The VMs of this project that the file does not declare and nobody left out, by VMID.
pub(super) fn undeclared<'o>(desired: &Desired, observed: &'o Observed, selection: &Selection) -> Vec<&'o VmObserved> {
    let ours = |vm: &&VmObserved| vm.record.valid().is_some_and(|record| record.project == desired.settings.project);
    let declared = |vm: &VmObserved| desired.vms.binary_search_by_key(&vm.id, |declared| declared.vm_id).is_ok();
    let left_out = |vm: &VmObserved| selection.exclude.iter().any(|selector| selector.names_live(vm));
    observed.vms.values().filter(ours).filter(|vm| !declared(vm) && !left_out(vm)).collect()
}
