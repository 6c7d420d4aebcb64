//! How guests are reached: asking their agents, and what is told of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::console::Console;
use super::observe::{ADDRESSES, asked};
use super::planning::{Looked, Planned};
use crate::apply::{RealClock, addresses, at_once};
use crate::backend::embedded::{Embedded, GuestKind, Summary as NodeSummary};
use crate::event::{Summary, VmReached};
use crate::hypervisor::Hypervisor;
use crate::model::{Desired, VmId};
use crate::observed::{Observed, VmObserved};
use crate::plan::inventory::Ways;
use crate::plan::reach::{Reach, claims, judge, node_of, own, parsed, to_reach};
use crate::plan::status::less_than_cloud_init;
use crate::plan::{Plan, VmPlan};

/// Decides by which addresses VMs are reached, where agents say this.
pub(super) fn reach(desired: &Desired, observed: &Observed, said: &BTreeMap<VmId, Vec<IpAddr>>) -> Reach {
    let one_network = observed.capabilities.has_bridges;
    judge(&claims(Some(desired), &observed.vms, said), &own(observed), one_network)
}

/// By which addresses the VMs of a plan are reached. Agents that were asked for the plan are not asked again, nor are
/// those that are known to be `silent`.
pub(super) fn of_plan(planned: &Planned, silent: &[VmId], console: &Console) -> Reach {
    let (desired, observed) = (&*planned.desired, &*planned.observed);
    let mut said = planned.said.clone();
    if let Some(target) = planned.hypervisor.as_deref() {
        let mut vms = to_reach(desired, observed, &said);
        vms.retain(|vm| !silent.contains(&vm.id));
        said.extend(asked(target, &vms, ADDRESSES, console).said);
    }
    reach(desired, observed, &said)
}

/// All ways to the guests of a project. Of a recording, what was recorded of them.
pub(super) fn ways(looked: &Looked, console: &Console) -> Ways {
    let Looked { desired, observed, .. } = looked;
    let Some(target) = looked.hypervisor.as_deref() else {
        let said = observed.addresses.iter().map(|(vm, ip)| (*vm, vec![*ip])).collect();
        return Ways { reach: reach(desired, observed, &said), doors: BTreeMap::new() };
    };
    let said = asked(target, &to_reach(desired, observed, &BTreeMap::new()), ADDRESSES, console).said;
    let running = observed.vms.values().filter(|vm| vm.running && desired.vm(vm.id).is_some());
    // A machine that ended a moment ago leads nowhere, which is what a user who goes there is told.
    let doors = running.filter_map(|vm| Some((vm.id, target.door(vm.id).ok()??))).collect();
    Ways { reach: reach(desired, observed, &said), doors }
}

/// By which addresses the VMs of an embedded node are reached, whichever project they belong to: all of them are this
/// node's.
pub(super) fn of_node(node: &Embedded, summary: &NodeSummary, console: &Console) -> Reach {
    let vms: BTreeMap<VmId, VmObserved> = summary.vms.iter().map(|vm| (vm.id, vm.live.clone())).collect();
    let running: Vec<&VmObserved> = vms.values().filter(|vm| vm.running && vm.agent).collect();
    let said = asked(node, &running, ADDRESSES, console).said;
    let own = parsed(summary.settings.bridges.values().flatten().map(String::as_str));
    judge(&claims(None, &vms, &said), &own, summary.settings.guests == GuestKind::Simulated)
}

/// What a run looks at again when it is over.
pub(super) struct After<'r> {
    pub(super) desired: &'r Desired,
    /// What was observed before it began.
    pub(super) before: &'r Observed,
    /// What agents said before it began.
    pub(super) said: &'r BTreeMap<VmId, Vec<IpAddr>>,
    pub(super) plan: &'r Plan,
    pub(super) target: &'r dyn Hypervisor,
}

impl After<'_> {
    /// How the VMs of the run are reached. One that was interrupted ends at once, and asks nothing more.
    pub(super) fn vms(&self, summary: &Summary) -> Vec<VmReached> {
        if summary.interrupted {
            return Vec::new();
        }
        let acted = |vm: &&VmPlan| vm.actions.iter().any(|action| action.outcome.acts());
        let acted: Vec<VmId> = self.plan.vms.iter().filter(acted).map(|vm| vm.vm).collect();
        let mut now = self.before.clone();
        for (vm, live) in acted.iter().zip(at_once(&acted, |vm| self.target.vm(*vm))) {
            match live {
                Ok(Some(live)) => drop(now.vms.insert(*vm, live)),
                // What cannot be looked at is left out; whatever was done about it is done.
                Ok(None) | Err(_) => drop(now.vms.remove(vm)),
            }
        }
        let mut said = self.said.clone();
        said.retain(|vm, _| !acted.contains(vm));
        let vms = to_reach(self.desired, &now, &said);
        // The agents of others are only asked where they could contradict one that is told of.
        if vms.iter().any(|vm| self.plan.vms.iter().any(|told| told.vm == vm.id)) {
            said.extend(addresses(self.target.guests(), &vms, &RealClock::start()).said);
        }
        let reach = reach(self.desired, &now, &said);
        self.plan.vms.iter().filter_map(|vm| self.reached(now.vms.get(&vm.vm)?, &now, &reach)).collect()
    }

    /// How a VM of the project is reached; a template never runs.
    fn reached(&self, live: &VmObserved, now: &Observed, reach: &Reach) -> Option<VmReached> {
        live.record.valid().filter(|record| record.project == self.desired.settings.project)?;
        (!live.template).then(|| VmReached {
            vm: live.id,
            name: live.name.clone(),
            node: node_of(live, now).to_owned(),
            mac: live.net0.as_ref().and_then(|net| net.mac.clone()),
            addresses: reach.of(live.id).to_vec(),
            ready: self.desired.vm(live.id).and_then(less_than_cloud_init),
        })
    }
}
