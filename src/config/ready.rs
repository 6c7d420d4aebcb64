//! The rules for VMs whose guests are asked for nothing.

use super::codes;
use super::owner::{Owner, said};
use super::problem::{Problem, Problems};
use super::raw::Raw;
use crate::model::Ready;

/// Refuses what needs the guest agent of a VM that is ready when it runs.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for (n, vm) in raw.virtual_machines.iter().enumerate() {
        let Some((owner, Ready::Running)) = said(raw, n, |vm| vm.ready) else { continue };
        let needs = [
            ("features", said(raw, n, |vm| vm.features.as_ref().map(Vec::len)), "a feature runs"),
            ("volumes", said(raw, n, |vm| vm.volumes.as_ref().map(Vec::len)), "a volume is mounted"),
            ("is_template", vm.is_template.map(|is| (Owner::Vm(n), usize::from(is))), "a template is cleaned"),
        ];
        for (key, found, what) in needs {
            let Some((by, 1..)) = found else { continue };
            let hint = match by {
                Owner::Vm(_) => format!("take `{key}` out, or let `ready` be `agent` or `cloud-init`"),
                Owner::Defaults | Owner::Profile(_) => format!("give this VM `{key}` of its own: `[]`"),
            };
            let message =
                format!("{what} through the guest agent, and `ready` is `running`: nothing is asked of the guest");
            let problem = Problem::new(codes::READY_CONFLICT, message, by.value(key));
            problems.push(problem.also(owner.value("ready"), "said here").hint(hint).vm(vm.vm_id));
        }
    }
}
