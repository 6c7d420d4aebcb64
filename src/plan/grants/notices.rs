//! What the plan says of directories that VMs get.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::diag::{Diagnostic, whose_all};
use crate::model::{Key, VmId, normal_path};
use crate::observed::Observed;
use crate::plan::{Mount, Step, VmPlan, codes, placement};

/// What stands for the VMID where each VM has a directory of its own.
const OWN: &str = "/VMID";

/// A node as messages call it, and what VMs get of it.
type Shared = (Cow<'static, str>, String);

/// VMs, each with what it really gets.
type Gets<'v> = Vec<(&'v VmPlan, String)>;

/// Says which VMs will be able to write which directories of the node that they cannot write now, and where that lets
/// them fill it. VMs that get the same, or each a directory named by its VMID beside the others, share a sentence.
pub(in crate::plan) fn notices(vms: &[VmPlan], observed: &Observed) -> Vec<Diagnostic> {
    let (mut written, mut filled) = (BTreeMap::<Shared, Gets<'_>>::new(), BTreeMap::<Shared, Gets<'_>>::new());
    for (vm, mount) in vms.iter().flat_map(new) {
        let path = normal_path(&mount.export);
        let node = observed.own_node();
        let place = node.places.get(&path);
        let real = place.map_or(&path, |place| &place.real);
        let named = real.strip_suffix(&format!("/{}", vm.vm)).map(|parent| format!("{parent}{OWN}"));
        let shared = named.unwrap_or_else(|| real.clone());
        let on_root = place.is_some_and(|place| place.on_root);
        for to in [Some(&mut written), on_root.then_some(&mut filled)].into_iter().flatten() {
            to.entry((placement::called(node, observed), shared.clone())).or_default().push((vm, real.clone()));
        }
    }
    let mut found = Vec::with_capacity(written.len() + filled.len());
    for ((node, shared), vms) in written {
        let (who, which, vm) = sentence(&shared, &vms);
        let each = if vm.is_none() && shared.ends_with(OWN) { "each be" } else { "be" };
        let what = format!("{who} will {each} able to write all of {which} on {node}");
        found.push(Diagnostic { vm, ..Diagnostic::notice(codes::WRITES_ON_NODE, what).about(Key::Volumes) });
    }
    for ((node, shared), vms) in filled {
        let (who, which, vm) = sentence(&shared, &vms);
        let what = format!("{who} can fill the root file system of {node}, on which {which} lies");
        let hint = "put it on a file system of its own, e.g. a ZFS dataset with a quota for each VM";
        found.push(Diagnostic { vm, ..Diagnostic::warning(codes::FILLS_NODE, what).about(Key::Volumes).hint(hint) });
    }
    found
}

/// The volumes that a VM gets from the node and does not have yet.
fn new(vm: &VmPlan) -> impl Iterator<Item = (&VmPlan, &Mount)> {
    let acting = vm.actions.iter().filter(|_| !vm.blocked).filter_map(|action| action.step.as_ref());
    acting.filter_map(move |step| match step {
        Step::Mount(step) if step.mount.served && !step.verify => Some((vm, &*step.mount)),
        _ => None,
    })
}

/// Who gets what, in words, and the VM if it is one: a face says then which.
fn sentence<'s>(shared: &'s str, vms: &'s [(&VmPlan, String)]) -> (String, &'s str, Option<VmId>) {
    let mut all: Vec<(u32, Option<&str>)> = vms.iter().map(|(vm, _)| (vm.vm.get(), Some(vm.name.as_str()))).collect();
    all.dedup();
    match (&all[..], vms) {
        ([_], [(vm, real), ..]) => ("the guest".to_owned(), real, Some(vm.vm)),
        _ => (format!("{}: the guests", whose_all(all.into_iter())), shared, None),
    }
}
