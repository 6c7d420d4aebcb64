//! VMs that the HA manager looks after.

use super::codes;
use crate::diag::Diagnostic;
use crate::model::VmId;
use crate::observed::{Ha, Observed};

/// Says that the HA manager looks after a VM, or that it gave up on it; `needed`: to do what the plan asks of it.
pub(super) fn looks_after(vm: VmId, needed: bool, observed: &Observed) -> Option<Diagnostic> {
    if !observed.ha.contains(&vm) {
        return None;
    }
    let ha = observed.vms.get(&vm).and_then(|live| live.ha.as_ref());
    if ha.is_some_and(Ha::has_failed) {
        let what = "the HA manager gave up on the VM: its state is `error`";
        let found =
            if needed { Diagnostic::error(codes::HA_ERROR, what) } else { Diagnostic::warning(codes::HA_ERROR, what) };
        let hint = format!(
            "`ha-manager status` and the task log of its node show why; `ha-manager set vm:{vm} --state disabled`, \
             put it right, then `ha-manager set vm:{vm} --state started`"
        );
        return Some(found.vm(vm).hint(hint));
    }
    let what = "the HA manager looks after the VM, and may start or stop it at any time";
    let what = match ha {
        Some(ha) if !ha.acts() => return None,
        Some(ha) => format!("{what}: it is to be `{}`", ha.state),
        None => what.to_owned(),
    };
    Some(Diagnostic::notice(codes::HA_MANAGED, what).vm(vm))
}
