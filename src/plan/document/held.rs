//! Holding a plan that is made now to one that was agreed to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{DocumentAction, DocumentConfig, DocumentProblem, DocumentValue, DocumentVm, Moved, PlanDocument};
use crate::model::{Key, Outcome, VmId};
use crate::plan::{Agreed, codes};

/// An action and what it waits for, by their ids.
type Order<'d> = BTreeMap<&'d str, &'d [Arc<str>]>;

/// Warnings by the VM that they are about.
type Warnings<'d> = BTreeMap<u32, Vec<&'d DocumentProblem>>;

impl PlanDocument {
    /// What of the plan as a whole is not as it was agreed to, seen against a plan that is made now: a sentence.
    #[must_use]
    pub fn contradicts(&self, now: &Self) -> Option<String> {
        if (&self.target.node, &self.target.identity) != (&now.target.node, &now.target.identity) {
            let of = |plan: &Self| match plan.target.identity.as_str() {
                "" => format!("node `{}`", plan.target.node),
                identity => format!("node `{}` ({identity})", plan.target.node),
            };
            return Some(format!("the plan was made for {}, and `{}` is {}", of(self), now.target.name, of(now)));
        }
        if (&self.target.label, self.target.simulated) != (&now.target.label, now.target.simulated) {
            let (shown, is) = (&self.target.label, &now.target.label);
            return Some(format!("the plan says of its target that it is `{shown}`, and it is `{is}`"));
        }
        let files = self.config.differing(&now.config);
        let is_same = self.config.digest == now.config.digest && self.config.meaning == now.config.meaning;
        if !is_same || !files.is_empty() {
            return Some(match files.as_slice() {
                [] => format!("`{}` or a script changed since it was planned", self.config.path),
                files => format!("`{}` changed since it was planned: {}", self.config.path, files.join(", ")),
            });
        }
        let whole = (&self.project, self.summary.declared);
        (whole != (&now.project, now.summary.declared))
            .then(|| "the plan and the config disagree about the project or the number of its VMs".to_owned())
    }

    /// The nodes on which it places VMs, each with what it says of that.
    #[must_use]
    pub fn nodes(&self) -> Agreed {
        let node = |vm: &DocumentVm| {
            let change = vm.changes.iter().find(|change| change.key == Key::Node.name())?;
            Some((VmId::try_from(vm.vm).ok()?, (change.new.to_string(), change.note.clone())))
        };
        self.vms.iter().filter_map(node).collect()
    }

    /// The VMs of which something else would be done than this plan says and shows, seen against a plan that is made
    /// now. `exists` tells whether the target has a VM.
    ///
    /// A VM that is as it was to become needs nothing and is none of them. Nor is one that was to go and is gone. One
    /// that this plan does not have, and to which something would be done now, is.
    #[must_use]
    pub fn moved(&self, now: &Self, exists: &dyn Fn(u32) -> bool) -> Vec<Moved> {
        let planned: BTreeMap<u32, &DocumentVm> = self.vms.iter().map(|vm| (vm.vm, vm)).collect();
        let found: BTreeMap<u32, &DocumentVm> = now.vms.iter().map(|vm| (vm.vm, vm)).collect();
        let (known, warned) = (warnings(&self.problems), warnings(&now.problems));
        let mut moved: BTreeMap<u32, String> = BTreeMap::new();
        for (id, vm) in &planned {
            let what = match found.get(id) {
                None if vm.outcome == Outcome::NoOp => None,
                None if vm.outcome == Outcome::Destroy && !exists(*id) => None,
                None => Some("it is no longer planned".to_owned()),
                Some(now) if now.blocked => Some("it is blocked now".to_owned()),
                Some(now) if !now.outcome.acts() => None,
                Some(found) => difference(vm, found).or_else(|| untold(&known, &warned, *id)),
            };
            moved.extend(what.map(|what| (*id, what)));
        }
        for vm in now.vms.iter().filter(|vm| !planned.contains_key(&vm.vm)) {
            let what = match vm.outcome {
                _ if vm.blocked => "it is not in the plan, and is blocked",
                Outcome::NoOp => continue,
                Outcome::Create => "it is not in the plan, and would be created",
                Outcome::Update => "it is not in the plan, and would be updated",
                Outcome::Recreate => "it is not in the plan, and would be destroyed and made anew",
                Outcome::Destroy => "it is not in the plan, and would be destroyed",
            };
            moved.insert(vm.vm, what.to_owned());
        }
        let acts = |id: u32| found.get(&id).is_some_and(|vm| vm.outcome.acts()) && !moved.contains_key(&id);
        let (then, today) = (order(&self.vms), order(&now.vms));
        let waits_otherwise = |vm: &&DocumentVm| {
            // What is done already, or left out, is not waited for.
            let kept = |own: u32, other: &str| vm_of(other).is_some_and(|vm| vm != own && acts(vm));
            let implied = |from: &DocumentAction, to: &Order<'_>| {
                from.after.iter().filter(|other| kept(vm.vm, other)).all(|other| reaches(to, &from.id, other))
            };
            let saved = planned.get(&vm.vm).map_or(&[][..], |saved| &saved.actions);
            !(saved.iter().all(|action| implied(action, &today))
                && vm.actions.iter().all(|action| implied(action, &then)))
        };
        let others: Vec<u32> =
            now.vms.iter().filter(|vm| acts(vm.vm)).filter(waits_otherwise).map(|vm| vm.vm).collect();
        moved.extend(others.into_iter().map(|vm| (vm, "it waits for other virtual machines than planned".to_owned())));
        moved.into_iter().map(|(vm, what)| Moved { vm, what }).collect()
    }
}

/// The warnings about each VM, and what would be written on its node, in their order.
fn warnings(problems: &[DocumentProblem]) -> Warnings<'_> {
    let mut found = Warnings::new();
    for problem in problems.iter().filter(|it| it.severity == "warning" || it.code == codes::WRITES_ON_NODE) {
        if let Some(vm) = problem.vm {
            found.entry(vm).or_default().push(problem);
        }
    }
    found
}

/// A warning about a VM that the plan which was agreed to does not have, and the plan that is made now has.
fn untold(agreed: &Warnings<'_>, now: &Warnings<'_>, vm: u32) -> Option<String> {
    // How much room is left, and how many there are, may differ.
    let words = |problem: &DocumentProblem| {
        let words: String = problem.message.chars().filter(|c| !c.is_ascii_digit()).collect();
        (problem.code.clone(), words)
    };
    let known: BTreeSet<_> = agreed.get(&vm).into_iter().flatten().map(|problem| words(problem)).collect();
    let new = now.get(&vm)?.iter().find(|problem| !known.contains(&words(problem)))?;
    Some(format!("a warning is not in the plan: {}", new.bare()))
}

impl DocumentConfig {
    /// The files of a directory that are not as they were, each with what became of it.
    fn differing(&self, now: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.files.keys().chain(now.files.keys()).collect();
        let said = |name: &String| match (self.files.get(name), now.files.get(name)) {
            (Some(then), Some(now)) => (then != now).then(|| format!("`{name}` has another text")),
            (Some(_), None) => Some(format!("`{name}` is gone")),
            (None, _) => Some(format!("`{name}` is new")),
        };
        names.into_iter().filter_map(said).collect()
    }
}

/// What of a VM's plan is not as it was saved.
fn difference(saved: &DocumentVm, now: &DocumentVm) -> Option<String> {
    // Made anew by this plan already, it looks the same: only its configuration tells that it is another one.
    if now.outcome == Outcome::Recreate && saved.basis != now.basis {
        return Some("it is to be destroyed, and its configuration is not the one that was planned for".to_owned());
    }
    let text = |value: Option<&DocumentValue>| value.map_or("nothing".to_owned(), |value| format!("`{value}`"));
    for change in &now.changes {
        let before = saved.changes.iter().find(|saved| saved.key == change.key && saved.new == change.new);
        match before {
            Some(before) if before.old == change.old => {}
            Some(before) => {
                let (planned, found) = (text(before.old.as_ref()), text(change.old.as_ref()));
                return Some(format!("{}: planned from {planned}, found {found}", change.key));
            }
            None => {
                let planned = saved.changes.iter().find(|saved| saved.key == change.key);
                let (new, found) = (text(Some(&change.new)), text(change.old.as_ref()));
                return Some(match planned {
                    Some(planned) => format!("{}: planned {}, now {new}", change.key, text(Some(&planned.new))),
                    None => format!("{}: no change was planned, found {found}, now {new}", change.key),
                });
            }
        }
    }
    let acting = |vm: &DocumentVm| -> Vec<Arc<str>> {
        vm.actions.iter().filter(|action| action.outcome.acts()).map(|action| Arc::clone(&action.id)).collect()
    };
    let planned = acting(saved);
    if let Some(more) = acting(now).iter().find(|id| !planned.contains(id)) {
        return Some(format!("{more} was not planned"));
    }
    (comparable(saved) != comparable(now)).then(|| "other values or fewer actions than planned".to_owned())
}

/// A VM's plan without what may differ: what was looked at last, and what it waits for of other VMs.
fn comparable(vm: &DocumentVm) -> DocumentVm {
    let mut vm = DocumentVm { basis: None, ..vm.clone() };
    for action in &mut vm.actions {
        action.after.retain(|other| vm_of(other) == Some(vm.vm));
    }
    vm
}

/// The VM of an action's id.
fn vm_of(action: &str) -> Option<u32> {
    action.split_once('/')?.0.parse().ok()
}

fn order(vms: &[DocumentVm]) -> Order<'_> {
    let actions = vms.iter().flat_map(|vm| &vm.actions);
    actions.map(|action| (&*action.id, action.after.as_slice())).collect()
}

/// Whether an action waits for another one, be it through others.
fn reaches(order: &Order<'_>, from: &str, to: &str) -> bool {
    let direct = |id: &str| order.get(id).copied().unwrap_or_default();
    if direct(from).iter().any(|other| **other == *to) {
        return true;
    }
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(id) = open.pop() {
        for other in direct(id).iter().map(|other| &**other) {
            if other == to {
                return true;
            }
            if seen.insert(other) {
                open.push(other);
            }
        }
    }
    false
}
