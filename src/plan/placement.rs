//! On which node a VM is, or will be: the one answer to that, which everything asks that looks at a node for a VM.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::diag::{Diagnostic, Severity};
use crate::model::{Desired, DesiredVm, Key, Nodes, Outcome, VmId};
use crate::observed::{Home, Node, Observed, VmObserved};

use super::{Goal, Request, VmPlan, codes};

/// A VM that is there; what an interrupted clone left of one is not: it is removed where it is, and made anew.
pub(super) fn there(vm: VmId, observed: &Observed) -> Option<&VmObserved> {
    observed.vms.get(&vm).filter(|live| !live.is_half_cloned())
}

/// The name of the node that a VM is on; of one that is not there, of the node that it will be made on.
pub(super) fn name_of(vm: VmId, observed: &Observed) -> &str {
    let home = || observed.homes.get(&vm).and_then(Home::node);
    there(vm, observed).map(|live| live.node.as_str()).or_else(home).unwrap_or(&observed.here)
}

/// Where a VM is, in words that follow its id or name: nothing, where that is the target's own node.
pub(super) fn words_of(vm: VmId, observed: &Observed) -> String {
    let elsewhere = observed.vms.get(&vm).filter(|live| live.node != observed.here);
    elsewhere.map(|live| format!(" on node `{}`", live.node)).unwrap_or_default()
}

/// The node that a VM is on, or will be made on. One of which nothing is known has nothing, and is not online.
pub(super) fn node_of(vm: VmId, observed: &Observed) -> &Node {
    observed.nodes.get(name_of(vm, observed)).unwrap_or_else(|| Node::unknown())
}

/// Whether a VM may be, or is, on another node than the target's own.
pub(super) fn may_be_elsewhere(vm: &DesiredVm, observed: &Observed) -> bool {
    let elsewhere = match &vm.node {
        None => false,
        Some(Nodes::Any) => observed.nodes.len() > 1,
        Some(Nodes::Of(names)) => names.iter().any(|name| *name != observed.here),
    };
    elsewhere || name_of(vm.vm_id, observed) != observed.here
}

/// Why none of the nodes that a VM may be on can take it, if at least one of them may later: it is down or in
/// maintenance.
fn waits_for_node(vm: VmId, observed: &Observed) -> Option<&[(String, String)]> {
    let Home::Nowhere(refused) = observed.homes.get(&vm)? else { return None };
    let passes = |name: &str| observed.nodes.get(name).is_some_and(|node| !node.online || node.maintenance);
    refused.iter().any(|(node, _)| passes(node)).then_some(refused)
}

/// Says of each node that a VM may be on why it cannot be there.
pub(super) fn nowhere(refused: &[(String, String)]) -> String {
    let why: Vec<String> = refused.iter().map(|(node, why)| format!("`{node}`: {why}")).collect();
    format!("the VM can be on none of the nodes that the file names: {}", why.join("; "))
}

/// Says that nothing can be made of a VM as the file has it, because its node, or the one that it is to move to, is not
/// there to be asked.
pub(super) fn out_of_reach(vm: VmId, observed: &Observed) -> Option<Diagnostic> {
    absent(vm, observed).or_else(|| {
        let refused = waits_for_node(vm, observed).filter(|_| !observed.taken.contains_key(&vm))?;
        let hint =
            format!("bring the node back, name other nodes in `node`, or leave the VM alone with `--exclude {vm}`");
        let problem = Diagnostic::error(codes::NODE_OUT_OF_REACH, nowhere(refused));
        Some(problem.vm(vm).about(Key::Node).hint(hint))
    })
}

/// Says that nothing at all can be done to a VM, because its node is not there to be asked.
fn absent(vm: VmId, observed: &Observed) -> Option<Diagnostic> {
    // What has such a VMID is refused with its own words.
    if observed.taken.contains_key(&vm) {
        return None;
    }
    // What an interrupted run left of a VM is removed where it is, before anything else.
    let left = observed.vms.get(&vm).filter(|live| live.is_half_cloned()).map(|live| live.node.as_str());
    let is_down = |name: &&str| !observed.nodes.get(*name).is_some_and(|node| node.online);
    let (name, place) = if let Some(node) = left.filter(is_down) {
        (node, "was left half made by an interrupted run")
    } else if let Some(node) = Some(name_of(vm, observed)).filter(is_down) {
        (node, if observed.vms.contains_key(&vm) { "is" } else { "is to be made" })
    } else {
        return None;
    };
    let (why, hint) = if let Some(node) = observed.nodes.get(name) {
        (node.absence(), format!("{}, or leave the VM alone with `--exclude {vm}`", node.way_back()))
    } else {
        ("is not one of the target's nodes", format!("leave the VM alone with `--exclude {vm}`"))
    };
    let what = format!("node `{name}`, on which the VM {place}, {why}");
    Some(Diagnostic::error(codes::NODE_OUT_OF_REACH, what).vm(vm).hint(hint))
}

/// The same of every VM of a plan, and of those whose templates are on such nodes, as was `found`. Where the file as a
/// whole is applied, a node that is not online keeps no other VM from anything: that is a warning then, unless the VM
/// is to be made anew, by name.
pub(super) fn lost(
    vms: &[VmPlan],
    found: &[Diagnostic],
    observed: &Observed,
    request: &Request,
) -> BTreeMap<VmId, Diagnostic> {
    let of_templates = found.iter().filter(|problem| problem.code == codes::NODE_OUT_OF_REACH);
    let of_templates = of_templates.filter_map(|problem| Some((problem.vm?, problem.clone())));
    let is_file = matches!(request.goal, Goal::Config { .. });
    // A VM is started, stopped and destroyed where it is, wherever the file wants it.
    let reach = if is_file { out_of_reach } else { absent };
    let found = vms.iter().filter_map(|vm| Some((vm.vm, reach(vm.vm, observed)?))).chain(of_templates);
    let is_known = |vm: VmId| {
        let node = observed.vms.get(&vm).map_or_else(|| name_of(vm, observed), |live| live.node.as_str());
        observed.nodes.contains_key(node)
    };
    let of_one = |(vm, problem): (VmId, Diagnostic)| {
        if is_file && request.recreate.contains(&vm) && there(vm, observed).is_some() {
            let what =
                format!("{}: it can neither be destroyed there nor be made anew on another one", problem.message);
            let problem = Diagnostic { message: what, ..problem };
            return (vm, problem.hint("bring the node up, or leave `--recreate` out"));
        }
        let passes = is_file && is_known(vm);
        let severity = if passes { Severity::Warning } else { problem.severity };
        (vm, Diagnostic { severity, ..problem })
    };
    found.map(of_one).collect()
}

/// Says of the new VMs that depend on one of those whose nodes are not online that they wait for it.
pub(super) fn waiting(desired: &Desired, vms: &[VmPlan], lost: &BTreeSet<VmId>) -> Vec<Diagnostic> {
    let (mut found, mut waits) = (Vec::new(), lost.clone());
    // As often as one more is found: chains of dependences are short.
    while !lost.is_empty() {
        let is_new =
            |vm: &&VmPlan| matches!(vm.outcome, Outcome::Create | Outcome::Recreate) && !waits.contains(&vm.vm);
        let awaited = |vm: &VmPlan| {
            let other = desired.vm(vm.vm)?.depends_on.iter().find(|other| waits.contains(other))?;
            Some((vm.vm, *other))
        };
        let Some((vm, other)) = vms.iter().filter(is_new).find_map(awaited) else { break };
        let what = format!("depends on VM {other}, to which nothing is done now: it waits for that one");
        let problem = Diagnostic::warning(codes::NODE_OUT_OF_REACH, what).vm(vm).about(Key::DependsOn);
        found.push(problem.hint("bring the node of that VM up"));
        waits.insert(vm);
    }
    found
}

/// Says of new VMs that they are made on a node that the HA manager keeps free of VMs. Placement never puts one there,
/// but without `node` in the file there is none.
pub(super) fn in_maintenance(vms: &[VmPlan], observed: &Observed) -> Vec<Diagnostic> {
    let made = vms.iter().filter(|vm| !vm.blocked && vm.makes_it() && node_of(vm.vm, observed).maintenance);
    let of_one = |vm: &VmPlan| {
        let name = name_of(vm.vm, observed);
        let what = format!("node `{name}`, on which the VM is to be made, is in maintenance");
        let hint = format!(
            "name other nodes in `node`, or end it when its time comes: `ha-manager crm-command node-maintenance disable \
             {name}`"
        );
        Diagnostic::warning(codes::IN_MAINTENANCE, what).vm(vm.vm).hint(hint)
    };
    made.map(of_one).collect()
}

/// A node as messages call it: by its name only where there are others.
pub(super) fn called(node: &Node, observed: &Observed) -> Cow<'static, str> {
    if observed.nodes.len() > 1 { format!("node `{}`", node.name).into() } else { "the node".into() }
}

/// The words that say on which node something is missing: none where there is only one.
pub(super) fn on(node: &Node, observed: &Observed) -> Cow<'static, str> {
    if observed.nodes.len() > 1 { format!(" on node `{}`", node.name).into() } else { "".into() }
}
