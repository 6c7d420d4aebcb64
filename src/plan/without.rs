//! Leaving VMs out of a plan that was made, without planning anew.

use std::collections::{BTreeMap, BTreeSet};

use super::Plan;
use crate::dag::Dag;
use crate::model::{ActionKind, VmId};

impl Plan {
    /// The VMs that something would be done to and that depend on one of these, be it through others: each with the one
    /// that it depends on.
    #[must_use]
    pub fn dependants(&self, of: &BTreeSet<VmId>) -> BTreeMap<VmId, VmId> {
        let mut found: BTreeMap<VmId, VmId> = BTreeMap::new();
        loop {
            let before = found.len();
            for (at, vm) in self.vms.iter().enumerate() {
                if !vm.outcome.acts() || of.contains(&vm.vm) || found.contains_key(&vm.vm) {
                    continue;
                }
                let out = |other: &VmId| of.contains(other) || found.contains_key(other);
                if let Some(other) = self.depends_on(at).into_iter().find(out) {
                    found.insert(vm.vm, other);
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }

    /// The VMs that must be as planned before anything is done to this one; not those that it only takes turns with.
    fn depends_on(&self, at: usize) -> Vec<VmId> {
        let vm = &self.vms[at];
        if vm.desired.is_none() && vm.retired.is_some() {
            // A template goes after its linked clones.
            let waits = (self.first[at]..self.first[at + 1]).flat_map(|action| self.graph.dependencies(action));
            return waits.map(|other| self.vms[self.vm_index(other)].vm).filter(|other| *other != vm.vm).collect();
        }
        let Some(desired) = &vm.desired else { return Vec::new() };
        let cloned = vm.actions.iter().any(|action| action.kind == ActionKind::Clone && action.outcome.acts());
        desired.depends_on.iter().copied().chain(desired.template.filter(|_| cloned)).collect()
    }

    /// The plan without these VMs, and without the problems that are theirs. What waited for others through them still
    /// does.
    #[must_use]
    pub fn without(mut self, left_out: &BTreeSet<VmId>) -> Self {
        let kept: Vec<bool> = self.vms.iter().map(|vm| !left_out.contains(&vm.vm)).collect();
        let mut number = vec![None; self.action_count()];
        let mut first = Vec::with_capacity(self.first.len());
        let mut next = 0;
        for (at, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
            first.push(next);
            for slot in &mut number[self.first[at]..self.first[at + 1]] {
                *slot = Some(next);
                next += 1;
            }
        }
        first.push(next);
        let mut edges = Vec::new();
        for (old, new) in number.iter().enumerate() {
            let Some(new) = *new else { continue };
            let (mut seen, mut open) = (BTreeSet::new(), self.graph.dependencies(old));
            while let Some(other) = open.pop() {
                match number[other] {
                    Some(other) => edges.push((new, other)),
                    None if seen.insert(other) => open.extend(self.graph.dependencies(other)),
                    None => {}
                }
            }
        }
        edges.sort_unstable();
        edges.dedup();
        // A part of what has no ring has none.
        self.graph = Dag::new(next, &edges).unwrap_or_default();
        self.first = first;
        let mut kept = kept.into_iter();
        self.vms.retain(|_| kept.next().unwrap_or(true));
        self.problems.retain(|problem| problem.vm.is_none_or(|vm| !left_out.contains(&vm)));
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::dag::Dag;
    use crate::model::{ActionKind, Disruption, Outcome, VmId};
    use crate::observed::Observed;
    use crate::plan::{Action, Plan, VmPlan, lint};

    fn id(number: u32) -> VmId {
        VmId::try_from(number).unwrap()
    }

    /// A VM that is restarted and gets a record.
    fn vm(number: u32) -> VmPlan {
        let action = |kind| Action {
            kind,
            subject: None,
            outcome: Outcome::NoOp,
            reason: "",
            disruption: Disruption::None,
            timeout_seconds: 1,
            awaits: None,
            step: None,
        };
        VmPlan {
            vm: id(number),
            name: String::new(),
            outcome: Outcome::NoOp,
            disruption: Disruption::None,
            changes: Vec::new(),
            waiting: Vec::new(),
            actions: vec![action(ActionKind::Restart), action(ActionKind::Record)],
            blocked: false,
            basis: None,
            force_stop: false,
            retired: None,
            desired: None,
            completing: false,
            asks_agent: true,
        }
    }

    #[test]
    fn who_took_turns_through_one_that_is_left_out_still_does() {
        // Four VMs, each restarted when the one before it is ready.
        let edges = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 6)];
        let plan = Plan {
            project: String::new(),
            declared: 4,
            vms: [1000, 1001, 1002, 1003].map(vm).into(),
            image_storages: Vec::new(),
            capacity: None,
            problems: Vec::new(),
            graph: Dag::new(8, &edges).unwrap(),
            first: vec![0, 2, 4, 6, 8],
        };
        let left_out = |ids: &[u32]| ids.iter().map(|number| id(*number)).collect::<BTreeSet<VmId>>();
        let rest = plan.clone().without(&left_out(&[1001, 1002]));
        assert_eq!(lint::lint(&rest, &Observed::default()), Vec::<String>::new());
        let ids: Vec<String> = (0..rest.action_count()).map(|number| rest.action_id(number)).collect();
        assert_eq!(ids, ["1000/restart", "1000/record", "1003/restart", "1003/record"]);
        let waits: Vec<Vec<usize>> = (0..4).map(|number| rest.graph.dependencies(number)).collect();
        assert_eq!(waits, [vec![], vec![0], vec![1], vec![2]]);
        assert_eq!(plan.without(&left_out(&[1000, 1001, 1002, 1003])).action_count(), 0);
    }
}
