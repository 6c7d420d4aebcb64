//! Which VMs of the file wait for which: for their templates, and for what `depends_on` names.

use std::collections::{BTreeMap, BTreeSet};

use super::codes;
use super::defaults::{TEMPLATE_NAME, is_from_image};
use super::lexis::MAX_DNS_NAME;
use super::owner::{Owner, owners, said};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawReference, RawVm};
use super::spans::Place;
use crate::dag::rings;
use crate::diag::nearest;

/// Checks that every VM waited for is declared, and that none waits for itself in the end.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    let places = Places::of(&raw.virtual_machines);
    for (owner, vm) in owners(raw) {
        for (n, reference) in vm.depends_on.iter().flatten().enumerate() {
            if places.find(reference).is_none() {
                if problems.has_room(codes::UNKNOWN_DEPENDENCY) {
                    let place = owner.value(&format!("depends_on/{n}"));
                    problems.push(unknown(reference, raw, place).vm(vm.vm_id));
                } else {
                    problems.count(codes::UNKNOWN_DEPENDENCY);
                }
            }
        }
    }
    let waits = waits(raw, &places);
    let ringed = in_rings(raw, &waits, problems);
    for wait in waits.iter().filter(|wait| wait.is_for_template() && !ringed.contains(&wait.vm)) {
        problems.extend(no_template(raw, wait));
    }
}

/// Says that the VM of this file which is to be cloned does not become a template.
fn no_template(raw: &Raw, wait: &Wait<'_>) -> Option<Problem> {
    let other = &raw.virtual_machines[wait.other];
    if other.is_template == Some(true) {
        return None;
    }
    let name = shown(other.vm_name.as_deref().unwrap_or_default());
    let what = format!("{name} is a VM of this file that does not become a template");
    let problem = Problem::new(codes::NOT_A_TEMPLATE, what, wait.place()).vm(raw.virtual_machines[wait.vm].vm_id);
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
struct Wait<'r> {
    vm: usize,
    other: usize,
    /// What of the file says so.
    owner: Owner<'r>,
    /// Which entry of its `depends_on`; `None`: its `template_name`.
    entry: Option<usize>,
}

impl Wait<'_> {
    fn is_for_template(&self) -> bool {
        self.entry.is_none()
    }

    /// Where the file says so.
    fn place(&self) -> Place {
        match self.entry {
            Some(n) => self.owner.value(&format!("depends_on/{n}")),
            None => self.owner.value("template_name"),
        }
    }
}

/// What each VM waits for: the VM of this file that is its template, and what it depends on.
fn waits<'r>(raw: &'r Raw, places: &Places) -> Vec<Wait<'r>> {
    let mut found = Vec::new();
    for vm in 0..raw.virtual_machines.len() {
        let template = said(raw, vm, |vm| vm.template_name.as_deref());
        let (owner, template) = template.unwrap_or((Owner::Defaults, TEMPLATE_NAME));
        if is_from_image(raw, vm) {
            // Nothing is cloned.
        } else if let Some(&other) = places.names.get(&template.to_ascii_lowercase()) {
            found.push(Wait { vm, other, owner, entry: None });
        }
        let Some((owner, list)) = said(raw, vm, |vm| vm.depends_on.as_ref()) else { continue };
        for (n, reference) in list.iter().enumerate() {
            if let Some(other) = places.find(reference) {
                found.push(Wait { vm, other, owner, entry: Some(n) });
            }
        }
    }
    found
}

/// Most names of a ring that a message repeats.
const MOST_NAMES: usize = 12;

/// How many waits are looked at in search of rings, all rounds together; the first round always looks at all.
const MOST_WAITS: usize = 500_000;

/// No VM may wait for itself. Returns the VMs that do.
fn in_rings(raw: &Raw, waits: &[Wait<'_>], problems: &mut Problems) -> BTreeSet<usize> {
    let mut ringed = BTreeSet::new();
    let mut waits: Vec<&Wait<'_>> = waits.iter().collect();
    let mut looked_at = 0;
    // Rings that were told are opened, so that the next ones are found.
    while !waits.is_empty() && (looked_at == 0 || looked_at + waits.len() <= MOST_WAITS) {
        looked_at += waits.len();
        let edges: Vec<(usize, usize)> = waits.iter().map(|wait| (wait.vm, wait.other)).collect();
        let found = rings(raw.virtual_machines.len(), &edges);
        if found.is_empty() {
            break;
        }
        // Of several waits between two VMs the first is pointed at.
        waits.sort_by_key(|wait| (wait.vm, wait.other));
        for ring in &found {
            problems.extend(ring_problem(raw, ring, &waits));
        }
        ringed.extend(found.into_iter().flatten());
        waits.retain(|wait| !ringed.contains(&wait.vm));
    }
    ringed
}

/// Says that VMs wait for each other. The waits are sorted by the two VMs.
fn ring_problem(raw: &Raw, ring: &[usize], waits: &[&Wait<'_>]) -> Option<Problem> {
    let vms = &raw.virtual_machines;
    let links = ring.iter().zip(ring.iter().cycle().skip(1)).filter_map(|pair| {
        let at = waits.partition_point(|wait| (&wait.vm, &wait.other) < pair);
        waits.get(at).filter(|wait| (&wait.vm, &wait.other) == pair)
    });
    let links: Vec<&Wait<'_>> = links.copied().collect();
    let (first, rest) = links.split_first()?;
    let name = |n: usize| {
        let name = vms[n].vm_name.as_deref().unwrap_or_default();
        // No DNS name is longer.
        name.char_indices().nth(MAX_DNS_NAME).map_or(name, |(end, _)| &name[..end])
    };
    let path: Vec<&str> = ring.iter().take(MOST_NAMES).map(|&n| name(n)).collect();
    let more = ring.len() - path.len();
    let more = if more > 0 { format!(" → … ({more} more)") } else { String::new() };
    let back = ring.first().map(|&n| name(n)).unwrap_or_default();
    let path = format!("{}{more} → {back}", path.join(" → "));
    let (code, what, hint) = if links.iter().all(|wait| wait.is_for_template()) {
        (
            codes::TEMPLATE_RING,
            "VMs are templates of each other in a ring",
            "give one of them a template that is not in the ring",
        )
    } else {
        (codes::DEPENDENCY_RING, "VMs wait for each other", "take one of them out of `depends_on`")
    };
    let problem = Problem::new(code, format!("{what}: `{path}`"), first.place()).hint(hint).vm(vms[first.vm].vm_id);
    Some(rest.iter().take(3).fold(problem, |problem, wait| problem.also(wait.place(), "")))
}
