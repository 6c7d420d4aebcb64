//! What the VMs of findings are called.

use crate::diag::Diagnostic;
use crate::model::Desired;
use crate::observed::Observed;

/// Gives findings the names of their VMs: those of the file, else those of the target.
pub fn give_names(found: &mut [Diagnostic], desired: &Desired, observed: &Observed) {
    for finding in found.iter_mut().filter(|finding| finding.name.is_none()) {
        let Some(vm) = finding.vm else { continue };
        let declared = desired.vm(vm).map(|vm| &vm.vm_name);
        finding.name = declared.or_else(|| observed.vms.get(&vm).map(|live| &live.name)).cloned();
    }
}
