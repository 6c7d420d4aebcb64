//! Which VMs of the file wait for which: for their templates, and for what `depends_on` names.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Owner, owners};
use super::lower::TEMPLATE_NAME;
use super::problem::{Problem, shown};
use super::raw::{Raw, RawReference, RawVm};
use super::spans::Place;
use super::{codes, images};
use crate::dag::{Cycle, Dag};
use crate::diag::nearest;
use crate::model::VmId;

/// The VMs of a file by name, in lower case: case does not tell DNS names apart.
pub(super) type Ids = BTreeMap<String, VmId>;

/// The VMs of a file by name.
pub(super) fn ids(vms: &[RawVm]) -> Ids {
    let id = |vm: &RawVm| Some((vm.vm_name.as_ref()?.to_ascii_lowercase(), vm.vm_id?.try_into().ok()?));
    vms.iter().filter_map(id).collect()
}

/// The VMs that a list names, ascending, each once. The list has passed [`check`].
pub(super) fn named(list: &[RawReference], ids: &Ids) -> Vec<VmId> {
    let mut found: Vec<VmId> = list
        .iter()
        .filter_map(|reference| match reference {
            RawReference::Id(id) => (*id).try_into().ok(),
            RawReference::Name(name) => ids.get(&name.to_ascii_lowercase()).copied(),
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Checks that every VM waited for is declared, and that none waits for itself in the end.
pub(super) fn check(raw: &Raw, problems: &mut Vec<Problem>) {
    let places = Places::of(&raw.virtual_machines);
    for (owner, vm) in owners(raw) {
        for (n, reference) in vm.depends_on.iter().flatten().enumerate() {
            if places.find(reference).is_none() {
                let place = owner.value(&format!("depends_on/{n}"));
                problems.push(unknown(reference, raw, place).vm(vm.vm_id));
            }
        }
    }
    let waits = waits(raw, &places);
    let ringed = rings(raw, &waits, problems);
    for wait in waits.iter().filter(|wait| wait.template && !ringed.contains(&wait.vm)) {
        problems.extend(no_template(raw, wait));
    }
}

/// Says that the VM of this file which is to be cloned does not become a template.
fn no_template(raw: &Raw, wait: &Wait) -> Option<Problem> {
    let other = &raw.virtual_machines[wait.other];
    if other.is_template == Some(true) {
        return None;
    }
    let name = shown(other.vm_name.as_deref().unwrap_or_default());
    let what = format!("{name} is a VM of this file that does not become a template");
    let problem = Problem::new(codes::NOT_A_TEMPLATE, what, wait.place.clone()).vm(raw.virtual_machines[wait.vm].vm_id);
    let hint = format!("give {name} `\"is_template\": true`, or clone from another template");
    Some(problem.also(Owner::Vm(wait.other).value("vm_name"), "declared here").hint(hint))
}

fn unknown(reference: &RawReference, raw: &Raw, place: Place) -> Problem {
    match reference {
        RawReference::Id(id) => Problem::new(codes::UNKNOWN_DEPENDENCY, format!("VM {id} is not declared"), place)
            .hint("name a VM of this file by VMID or name"),
        RawReference::Name(name) => {
            let known = raw.virtual_machines.iter().filter_map(|vm| vm.vm_name.as_deref());
            let hint = match nearest(name, known) {
                Some(near) => format!("did you mean {}?", shown(near)),
                None => "name a VM of this file by VMID or name".to_owned(),
            };
            Problem::new(codes::UNKNOWN_DEPENDENCY, format!("no VM of this file is called {}", shown(name)), place)
                .hint(hint)
        }
    }
}

/// Positions of the VMs in the file.
struct Places {
    names: BTreeMap<String, usize>,
    ids: BTreeMap<u32, usize>,
}

impl Places {
    fn of(vms: &[RawVm]) -> Self {
        let name = |(n, vm): (usize, &RawVm)| Some((vm.vm_name.as_ref()?.to_ascii_lowercase(), n));
        Self {
            names: vms.iter().enumerate().filter_map(name).collect(),
            ids: vms.iter().enumerate().filter_map(|(n, vm)| Some((vm.vm_id?, n))).collect(),
        }
    }

    fn find(&self, reference: &RawReference) -> Option<usize> {
        match reference {
            RawReference::Id(id) => self.ids.get(id).copied(),
            RawReference::Name(name) => self.names.get(&name.to_ascii_lowercase()).copied(),
        }
    }
}

/// One VM waits for another.
struct Wait {
    vm: usize,
    other: usize,
    /// Where the file says so.
    place: Place,
    /// By `template_name`, not by `depends_on`.
    template: bool,
}

/// What each VM waits for: the VM of this file that is its template, and what it depends on.
fn waits(raw: &Raw, places: &Places) -> Vec<Wait> {
    let defaults = raw.vm_defaults.as_ref();
    let mut found = Vec::new();
    for (vm, own) in raw.virtual_machines.iter().enumerate() {
        let (owner, template) = match own.template_name.as_deref() {
            Some(name) => (Owner::Vm(vm), name),
            None => (Owner::Defaults, defaults.and_then(|vm| vm.template_name.as_deref()).unwrap_or(TEMPLATE_NAME)),
        };
        if images::is_from_image(own, defaults) {
            // Nothing is cloned.
        } else if let Some(&other) = places.names.get(&template.to_ascii_lowercase()) {
            found.push(Wait { vm, other, place: owner.value("template_name"), template: true });
        }
        let (owner, list) = match &own.depends_on {
            Some(list) => (Owner::Vm(vm), Some(list)),
            None => (Owner::Defaults, defaults.and_then(|vm| vm.depends_on.as_ref())),
        };
        for (n, reference) in list.into_iter().flatten().enumerate() {
            if let Some(other) = places.find(reference) {
                let place = owner.value(&format!("depends_on/{n}"));
                found.push(Wait { vm, other, place, template: false });
            }
        }
    }
    found
}

/// Nobody may wait for himself. Returns the VMs that do.
fn rings(raw: &Raw, waits: &[Wait], problems: &mut Vec<Problem>) -> BTreeSet<usize> {
    let vms = &raw.virtual_machines;
    let mut ringed = BTreeSet::new();
    let mut waits: Vec<&Wait> = waits.iter().collect();
    // A ring that was told is opened, so that the next one is found.
    while !waits.is_empty() {
        let edges: Vec<(usize, usize)> = waits.iter().map(|wait| (wait.vm, wait.other)).collect();
        let Err(Cycle(ring)) = Dag::new(vms.len(), &edges) else { break };
        let next = |n: usize| ring[(n + 1) % ring.len()];
        let links: Vec<&Wait> = ring
            .iter()
            .enumerate()
            .filter_map(|(n, vm)| waits.iter().copied().find(|wait| wait.vm == *vm && wait.other == next(n)))
            .collect();
        let Some((first, rest)) = links.split_first() else { break };
        let name = |n: usize| vms[n].vm_name.as_deref().unwrap_or_default();
        let path: Vec<&str> = ring.iter().chain(ring.first()).map(|&n| name(n)).collect();
        let path = path.join(" → ");
        let (code, what, hint) = if links.iter().all(|wait| wait.template) {
            (
                codes::TEMPLATE_RING,
                "VMs are each other's templates",
                "give one of them a template that is not in the ring",
            )
        } else {
            (codes::DEPENDENCY_RING, "VMs wait for each other", "take one of them out of `depends_on`")
        };
        let problem =
            Problem::new(code, format!("{what}: `{path}`"), first.place.clone()).hint(hint).vm(vms[first.vm].vm_id);
        problems.push(rest.iter().take(3).fold(problem, |problem, wait| problem.also(wait.place.clone(), "")));
        waits.retain(|wait| !ring.contains(&wait.vm));
        ringed.extend(ring);
    }
    ringed
}
