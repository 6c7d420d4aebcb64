//! A cluster without quorum: its nodes run their VMs, and change nothing.

use super::{Goal, Power, codes};
use crate::diag::Diagnostic;
use crate::observed::Observed;

/// Says that the cluster of the target has no quorum. VMs can still be stopped; all else is refused.
pub(super) fn lost(observed: &Observed, goal: &Goal) -> Option<Diagnostic> {
    let offline = observed.without_quorum.as_ref()?;
    let others = match offline.as_slice() {
        [] => String::new(),
        [node] => format!("; node `{node}` is not online"),
        nodes => format!("; not online are {}", nodes.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")),
    };
    let what = format!("the node's cluster has no quorum{others}: no VM can be made, changed or started until it has");
    let hint = "bring the other nodes back; `pvecm status` on the node shows what it waits for";
    let problem = match goal {
        Goal::Power { power: Power::Stop, .. } => Diagnostic::warning(codes::NO_QUORUM, what),
        _ => Diagnostic::error(codes::NO_QUORUM, what),
    };
    Some(problem.hint(hint))
}
