//! The rules for VMs that become templates.

use super::codes;
use super::defaults::is_from_image;
use super::owner::{Owner, said};
use super::problem::{Problem, Problems};
use super::raw::Raw;

/// A key that does not go with `is_template`: its name, and why.
type Conflict = (&'static str, &'static str);

const ADOPT: Conflict = ("adopt", "a VM that is taken over does not become a template");
const STARTED: Conflict = ("started", "a VM that becomes a template has to run while it is built");
const FULL_CLONE: Conflict =
    ("full_clone", "a VM that becomes a template has a disk of its own, which clones can be built on");

const HA: Conflict = ("ha", "the HA manager starts and stops the VMs that it looks after, and a template never runs");

/// Refuses what does not go together with `is_template`.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for (n, vm) in raw.virtual_machines.iter().enumerate().filter(|(_, vm)| vm.is_template == Some(true)) {
        let mut refuse = |owner: Owner<'_>, (key, what): Conflict| {
            let hint = match (key, owner) {
                ("ha", Owner::Vm(_)) => "take `ha` or `is_template` out".to_owned(),
                ("ha", Owner::Defaults | Owner::Profile(_)) => "give this VM `ha` of its own: null".to_owned(),
                ("adopt", _) => "take `adopt` or `is_template` out".to_owned(),
                (_, Owner::Vm(_)) => format!("take `{key}` out: it is true then"),
                (_, Owner::Defaults | Owner::Profile(_)) => format!("give this VM a `{key}` of its own: true"),
            };
            let also = Owner::Vm(n).value("is_template");
            let problem = Problem::new(codes::TEMPLATE_CONFLICT, what, owner.value(key));
            problems.push(problem.also(also, "this VM becomes a template").hint(hint).vm(vm.vm_id));
        };
        if vm.adopt.is_some() {
            refuse(Owner::Vm(n), ADOPT);
        }
        if let Some((owner, false)) = said(raw, n, |vm| vm.started) {
            refuse(owner, STARTED);
        }
        if let Some((owner, true)) = said(raw, n, |vm| vm.ha.as_ref().map(|ha| ha.0.is_some())) {
            refuse(owner, HA);
        }
        if let Some((owner, false)) = said(raw, n, |vm| vm.full_clone)
            && !is_from_image(raw, n)
        {
            refuse(owner, FULL_CLONE);
        }
    }
}
