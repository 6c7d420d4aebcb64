//! Who agrees to a plan, and how.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::Exit;
use super::console::Console;
use super::exit::Refusal;
use super::planning::Planned;
use crate::model::{ActionKind, Outcome, VmId};
use crate::plan::VmPlan;
use crate::ui;
use crate::ui::text::safe;

/// Whether the operator agrees to a plan; `Err(exit)` inside: not so, which has been said.
pub(super) fn to_plan(planned: &Planned, asks: bool, console: &Console) -> Result<Result<(), Exit>> {
    if !asks {
        return Ok(Ok(()));
    }
    match console.confirm(&ui::verdict::question(&planned.document)) {
        Some(true) => Ok(Ok(())),
        Some(false) => Ok(Err(nothing_done(console))),
        None => Err(Refusal::usage(
            format!("cannot ask for approval: {}", console.why_silent()),
            "`--auto-approve` approves the plan above",
        )),
    }
}

/// Whether the operator agrees to the end of every VM that goes, also of one that is made anew, each named beyond
/// doubt: typed, or given with `--yes-destroy`. No other consent counts for what cannot be taken back.
pub(super) fn to_destruction(planned: &Planned, given: &[String], console: &Console) -> Result<Result<(), Exit>> {
    let going =
        planned.plan.vms.iter().filter(|vm| matches!(vm.outcome, Outcome::Destroy | Outcome::Recreate) && !vm.blocked);
    let question = Question {
        option: "--yes-destroy",
        also: "the plan also destroys",
        other: "what the plan does not destroy",
        keep: "name every VM that the plan destroys, or keep it with `--exclude`",
        lost: "and its disks will be deleted permanently",
        asked: "whether VMs may be destroyed",
    };
    to_loss(&question, &Named::of(planned), &going.map(|vm| vm.vm).collect::<Vec<_>>(), given, console)
}

/// Whether the operator agrees that VMs lose what they did since a snapshot, each named beyond doubt: typed, or given
/// with `--yes-rollback`.
pub(super) fn to_rollback(planned: &Planned, given: &[String], console: &Console) -> Result<Result<(), Exit>> {
    let going = planned.plan.vms.iter().filter(|vm| vm.outcome.acts() && !vm.blocked);
    let question = Question {
        option: "--yes-rollback",
        also: "the plan also rolls back",
        other: "what the plan does not roll back",
        keep: "name every VM that is rolled back",
        lost: "loses what it did since the snapshot",
        asked: "whether VMs may be rolled back",
    };
    to_loss(&question, &Named::of(planned), &going.map(|vm| vm.vm).collect::<Vec<_>>(), given, console)
}

/// Whether the operator agrees that unused volumes of VMs are erased, each VM named beyond doubt: typed, or given with
/// `--yes-delete-unused`.
pub(super) fn to_erasure(planned: &Planned, given: &[String], console: &Console) -> Result<Result<(), Exit>> {
    let erases = |vm: &&VmPlan| vm.actions.iter().any(|action| action.kind == ActionKind::DeleteUnused);
    let going = planned.plan.vms.iter().filter(|vm| !vm.blocked).filter(erases);
    let question = Question {
        option: "--yes-delete-unused",
        also: "the plan also erases unused volumes of",
        other: "VMs of which the plan erases no unused volume",
        keep: "name every VM whose unused volumes are erased",
        lost: "loses its unused volumes permanently",
        asked: "whether unused volumes may be erased",
    };
    to_loss(&question, &Named::of(planned), &going.map(|vm| vm.vm).collect::<Vec<_>>(), given, console)
}

/// What VMs lose, in words.
struct Question {
    /// The option that agrees without a question.
    option: &'static str,
    /// What is done to VMs that were not named.
    also: &'static str,
    /// What was named without need.
    other: &'static str,
    /// What helps where one was not named.
    keep: &'static str,
    /// What a VM loses.
    lost: &'static str,
    /// What no one can be asked.
    asked: &'static str,
}

/// The names of all VMs, on the target and in the file, also of those that the plan leaves alone; of a saved plan, of
/// its own alone.
struct Named {
    names: BTreeMap<VmId, BTreeSet<String>>,
    /// By each VMID and name the number of VMs that it stands for.
    owners: BTreeMap<String, usize>,
}

impl Named {
    fn of(planned: &Planned) -> Self {
        let planned_names = planned.plan.vms.iter().map(|vm| (vm.vm, &vm.name));
        let live = planned.observed.vms.iter().map(|(vm, live)| (*vm, &live.name));
        let declared = planned.names.iter().map(|(vm, name)| (*vm, name));
        let mut names: BTreeMap<VmId, BTreeSet<String>> = BTreeMap::new();
        // What a saved plan does not have, nothing is done to.
        let agreed = planned.document.request.agreed;
        let ours: BTreeSet<VmId> = planned.plan.vms.iter().map(|vm| vm.vm).collect();
        let is_of_plan = |vm: VmId| !agreed || ours.contains(&vm);
        let all = planned_names.chain(live.chain(declared).filter(|(vm, _)| is_of_plan(*vm)));
        for (vm, name) in all.filter(|(_, name)| !name.is_empty()) {
            names.entry(vm).or_default().insert(name.clone());
        }
        let mut owners: BTreeMap<String, usize> = BTreeMap::new();
        for (vm, names) in &names {
            let id = vm.to_string();
            let own = (!names.contains(&id)).then_some(id);
            for word in names.iter().cloned().chain(own) {
                *owners.entry(word).or_default() += 1;
            }
        }
        Self { names, owners }
    }

    /// The VMID of a VM and its names.
    fn words(&self, vm: VmId) -> Vec<String> {
        std::iter::once(vm.to_string()).chain(self.names.get(&vm).into_iter().flatten().cloned()).collect()
    }

    /// Whether a VM has this name or VMID.
    fn has(&self, vm: VmId, word: &str) -> bool {
        vm.to_string() == word || self.names.get(&vm).is_some_and(|names| names.contains(word))
    }

    /// Whether a word names this VM and no other one: it is its VMID, or a name that it alone has.
    fn is_meant(&self, word: &str, vm: VmId) -> bool {
        vm.to_string() == word || (self.has(vm, word) && self.owners.get(word) == Some(&1))
    }

    /// A word that names this VM and no other one: a name, or else the VMID.
    fn word(&self, vm: VmId) -> String {
        let mut names = self.names.get(&vm).into_iter().flatten();
        names.find(|name| self.is_meant(name, vm)).cloned().unwrap_or_else(|| vm.to_string())
    }

    /// The VM as people read it: its VMID, and its names.
    fn shown(&self, vm: VmId) -> String {
        let names: Vec<String> = self.names.get(&vm).into_iter().flatten().map(|name| format!(" `{name}`")).collect();
        format!("{vm}{}", names.join(","))
    }
}

fn to_loss(
    question: &Question,
    named: &Named,
    going: &[VmId],
    given: &[String],
    console: &Console,
) -> Result<Result<(), Exit>> {
    let shown = |vms: &[VmId]| vms.iter().map(|vm| named.shown(*vm)).collect::<Vec<_>>().join(", ");
    let words = || going.iter().map(|vm| named.word(*vm)).collect::<Vec<_>>().join(",");
    if !given.is_empty() {
        let said: BTreeSet<&str> = given.iter().map(String::as_str).collect();
        let words_of = |vm: VmId| named.words(vm).into_iter().filter(|word| said.contains(word.as_str()));
        let missing: Vec<VmId> =
            going.iter().copied().filter(|vm| !words_of(*vm).any(|word| named.is_meant(&word, *vm))).collect();
        let known: BTreeSet<String> = going.iter().flat_map(|vm| named.words(*vm)).collect();
        let foreign = given.iter().filter(|word| !known.contains(*word));
        let foreign: Vec<String> = foreign.map(|word| format!("`{word}`")).collect();
        if !foreign.is_empty() {
            // Agreed to already, and gone already: no reason to stop a run that was interrupted and is repeated.
            let Question { option, other, .. } = question;
            console.note(&format!("`{option}` names {other}: {}\n", safe(&foreign.join(", "))));
        }
        let shared = |vm: &&VmId| words_of(**vm).next().is_some();
        if let Some(vm) = missing.iter().find(shared) {
            let what =
                format!("the name given for VM {} is that of other VMs, too; nothing was done", named.shown(*vm));
            return Err(Refusal::usage(what, format!("name them by VMID: `{} {}`", question.option, words())));
        }
        if !missing.is_empty() {
            let what = format!("{} {}; nothing was done", question.also, shown(&missing));
            return Err(Refusal::usage(what, question.keep));
        }
        return Ok(Ok(()));
    }
    for vm in going {
        let word = named.word(*vm);
        let kind = if word == vm.to_string() { "VMID" } else { "name" };
        match console.typed(&format!("VM {} {}. Type its {kind} to confirm: ", named.shown(*vm), question.lost)) {
            Some(typed) if named.is_meant(&typed, *vm) => {}
            Some(_) => return Ok(Err(nothing_done(console))),
            None => {
                let what = format!("cannot ask {}: {}", question.asked, console.why_silent());
                return Err(Refusal::usage(what, format!("if they may, give `{} {}`", question.option, words())));
            }
        }
    }
    Ok(Ok(()))
}

fn nothing_done(console: &Console) -> Exit {
    console.note("Nothing was done.\n");
    Exit::Failed
}
