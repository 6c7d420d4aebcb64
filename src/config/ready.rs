//! The rules for VMs whose guests are asked for nothing.

use super::codes;
use super::owner::Owner;
use super::problem::{Problem, Problems};
use super::raw::{Raw, RawVm};
use crate::model::Ready;

/// Refuses what needs the guest agent of a VM that is ready when it runs.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    let defaults = raw.vm_defaults.as_ref();
    for (n, vm) in raw.virtual_machines.iter().enumerate() {
        let Some((owner, Ready::Running)) = said(n, vm, defaults, |vm| vm.ready) else { continue };
        let count = |list: Option<usize>| list.filter(|count| *count > 0);
        let needs = [
            ("features", said(n, vm, defaults, |vm| count(vm.features.as_ref().map(Vec::len))), "a feature runs"),
            ("volumes", said(n, vm, defaults, |vm| count(vm.volumes.as_ref().map(Vec::len))), "a volume is mounted"),
            ("is_template", vm.is_template.filter(|is| *is).map(|_| (Owner::Vm(n), 1)), "a template is cleaned"),
        ];
        for (key, found, what) in needs {
            let Some((by, _)) = found else { continue };
            let own_none = by == Owner::Defaults && matches!(key, "features" if vm.features.is_some());
            if own_none || (by == Owner::Defaults && key == "volumes" && vm.volumes.is_some()) {
                continue;
            }
            let hint = match by {
                Owner::Vm(_) => format!("take `{key}` out, or let `ready` be `agent` or `cloud-init`"),
                Owner::Defaults => format!("give this VM `{key}` of its own: `[]`"),
            };
            let message =
                format!("{what} through the guest agent, and `ready` is `running`: nothing is asked of the guest");
            let problem = Problem::new(codes::READY_CONFLICT, message, by.value(key));
            problems.push(problem.also(owner.value("ready"), "said here").hint(hint).vm(vm.vm_id));
        }
    }
}

/// What a VM says of a key, itself or by the defaults, and where.
fn said<T>(n: usize, vm: &RawVm, defaults: Option<&RawVm>, key: impl Fn(&RawVm) -> Option<T>) -> Option<(Owner, T)> {
    key(vm).map(|own| (Owner::Vm(n), own)).or_else(|| Some((Owner::Defaults, key(defaults?)?)))
}
