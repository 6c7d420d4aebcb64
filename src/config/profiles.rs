//! The rules for profiles, which say things for several VMs once.

use std::collections::BTreeSet;

use super::codes;
use super::lexis;
use super::owner::Owner;
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawProfiles};
use super::rule::text;
use super::spans::Place;
use crate::diag::nearest;

/// Checks the names of profiles, and that each VM's are there.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for name in raw.profiles.keys() {
        let at = || Place::key(Owner::Profile(name).pointer());
        text(Some(name), (codes::BAD_PROFILE, "cannot be the name of a profile"), lexis::profile, at, problems);
    }
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for (n, vm) in raw.virtual_machines.iter().enumerate() {
        let Some(profiles) = &vm.profile else { continue };
        let at = |entry: usize| match profiles {
            RawProfiles::One(_) => Owner::Vm(n).value("profile"),
            RawProfiles::Several(_) => Owner::Vm(n).value(&format!("profile/{entry}")),
        };
        let names = profiles.names();
        for (entry, name) in names.iter().enumerate() {
            if lexis::profile(name).is_err() {
                let cannot = (codes::BAD_PROFILE, "cannot be the name of a profile");
                let before = problems.kept();
                text(Some(name), cannot, lexis::profile, || at(entry), problems);
                problems.since(before, vm.vm_id);
                used.insert(name);
            } else if let Some(first) = names[..entry].iter().position(|other| other == name) {
                let what = format!("the profile {} is named twice", shown(name));
                let problem = Problem::new(codes::BAD_PROFILE, what, at(entry)).label("again here");
                problems.push(problem.also(at(first), "first here").hint("keep one of them").vm(vm.vm_id));
            } else if raw.profiles.contains_key(name) {
                used.insert(name);
            } else if problems.has_room(codes::UNKNOWN_PROFILE) {
                problems.push(unknown(raw, name, at(entry)).vm(vm.vm_id));
            } else {
                problems.count(codes::UNKNOWN_PROFILE);
            }
        }
    }
    for name in raw.profiles.keys().filter(|name| !used.contains(name.as_str())) {
        let what = format!("no VM has the profile {}", shown(name));
        let problem = Problem::new(codes::UNUSED_PROFILE, what, Place::key(Owner::Profile(name).pointer()));
        problems.push(problem.hint(format!("name it with `\"profile\": \"{name}\"` in VMs, or take it out")));
    }
}

fn unknown(raw: &Raw, name: &str, at: Place) -> Problem {
    let hint = match nearest(name, raw.profiles.keys().map(String::as_str)) {
        Some(near) => format!("did you mean {}?", shown(near)),
        None if raw.profiles.is_empty() => {
            "`profiles`, beside `virtual_machines`, holds them: `\"profiles\": { \"worker\": { \"cpu_cores\": 8 } }`"
                .to_owned()
        }
        None => {
            let names: Vec<String> = raw.profiles.keys().take(10).map(|name| shown(name)).collect();
            format!("known are {}", names.join(", "))
        }
    };
    Problem::new(codes::UNKNOWN_PROFILE, format!("there is no profile {}", shown(name)), at).hint(hint)
}
