//! What the plan says of directories that VMs get.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::diag::Diagnostic;
use crate::model::{VmId, normal_path};
use crate::observed::Observed;
use crate::plan::{Mount, Step, VmPlan, codes, placement};

/// Most VMs that one sentence names.
const NAMED: usize = 10;

/// What stands for the VMID where each VM has a directory of its own.
const OWN: &str = "/VMID";

/// A node as messages call it, and what VMs get of it.
type Shared = (Cow<'static, str>, String);

/// Says which VMs will be able to write which directories of the node that they cannot write now, and where that lets
/// them fill it. VMs that get the same, or each a directory named by its VMID beside the others, share a sentence.
pub(in crate::plan) fn notices(vms: &[VmPlan], observed: &Observed) -> Vec<Diagnostic> {
    let (mut written, mut filled) = (BTreeMap::new(), BTreeMap::new());
    for (vm, mount) in vms.iter().flat_map(new) {
        let path = normal_path(&mount.export);
        let node = placement::node_of(vm, observed);
        let place = node.places.get(&path);
        let real = place.map_or(&path, |place| &place.real);
        let named = real.strip_suffix(&format!("/{vm}")).map(|parent| format!("{parent}{OWN}"));
        let shared = named.unwrap_or_else(|| real.clone());
        let add = |to: &mut BTreeMap<Shared, Vec<(VmId, String)>>| {
            to.entry((placement::called(node, observed), shared.clone())).or_default().push((vm, real.clone()));
        };
        add(&mut written);
        if place.is_some_and(|place| place.on_root) {
            add(&mut filled);
        }
    }
    let mut found = Vec::with_capacity(written.len() + filled.len());
    for ((node, shared), vms) in written {
        let (who, which, vm) = sentence(&shared, &vms);
        let each = if vm.is_none() && shared.ends_with(OWN) { "each be" } else { "be" };
        let what = format!("{who} will {each} able to write all of {which} on {node}");
        found.push(Diagnostic { vm, ..Diagnostic::notice(codes::WRITES_ON_NODE, what) });
    }
    for ((node, shared), vms) in filled {
        let (who, which, vm) = sentence(&shared, &vms);
        let what = format!("{who} can fill the root file system of {node}, on which {which} lies");
        let hint = "put it on a file system of its own, e.g. a ZFS dataset with a quota for each VM";
        found.push(Diagnostic { vm, ..Diagnostic::warning(codes::FILLS_NODE, what).hint(hint) });
    }
    found
}

/// The volumes that a VM gets from the node and does not have yet.
fn new(vm: &VmPlan) -> impl Iterator<Item = (VmId, &Mount)> {
    let acting = vm.actions.iter().filter(|_| !vm.blocked).filter_map(|action| action.step.as_ref());
    acting.filter_map(|step| match step {
        Step::Mount(step) if step.mount.served && !step.verify => Some((vm.vm, &*step.mount)),
        _ => None,
    })
}

/// Who gets what, in words, and the VM if it is one.
fn sentence<'s>(shared: &'s str, vms: &'s [(VmId, String)]) -> (String, &'s str, Option<VmId>) {
    let mut ids: Vec<VmId> = vms.iter().map(|(vm, _)| *vm).collect();
    ids.dedup();
    let words: Vec<String> = ids.iter().take(NAMED).map(ToString::to_string).collect();
    match (&ids[..], &words[..]) {
        ([vm], _) => (format!("VM {vm}"), vms.first().map_or(shared, |(_, real)| real), Some(*vm)),
        (_, [words @ .., last]) if ids.len() <= NAMED => (format!("VMs {} and {last}", words.join(", ")), shared, None),
        _ => (format!("VMs {} and {} more", words.join(", "), ids.len() - words.len()), shared, None),
    }
}
