//! `phoenix import`: existing VMs into the config. Nothing is changed on the target.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use super::args::{Args, Import};
use super::choosing::{Known, selectors};
use super::connect::Intent;
use super::console::Console;
use super::exit::Refusal;
use super::replace::rewrite;
use super::write::write_new;
use super::{Exit, connect, load};
use crate::config::edit::{Edit, put};
use crate::config::{Source, fmt};
use crate::diag::{Diagnostic, Severity, Span, nearest};
use crate::model::{Desired, Origin, VmId};
use crate::observed::Observed;
use crate::plan::import::{Found, Write, known_dependencies, leave_cloud_init, look};
use crate::plan::{Agreed, Change, Plan, Request, Selection, Selector, VmPlan, codes, give_names, plan};
use crate::ui;
use crate::ui::layout::count;
use crate::ui::text::safe;

/// Writes VMs into the config, after a look at what a plan would make of them.
pub(super) fn run(args: &Args, verb: &Import, console: &Console) -> Result<Exit> {
    if load::is_stdin(&args.config) {
        let what = "`import` writes into the config, and nothing can be written into standard input";
        return Err(Refusal::usage(what, "name the file with `--config FILE`"));
    }
    let config = load::load(&args.config, &args.given());
    console.diagnostics(&config.loaded.diagnostics, config.source.as_ref());
    let (Some(source), Some(desired)) = (&config.source, &config.loaded.desired) else {
        return Ok(Exit::Config);
    };
    let aim = connect::target(&args.config, args.named().as_ref(), Some(desired))?;
    let target = &aim.target;
    let hypervisor = connect::open(&aim, Some(desired), args.guests, Intent::Look)
        .with_context(|| format!("cannot open {target}"))?;
    let observed = super::observe::observed(hypervisor.as_ref(), desired, &Agreed::new())
        .with_context(|| format!("cannot read target {target}"))?;
    let (found, mut refused) = look(&chosen(verb, desired, &observed, console)?, desired, &observed);
    let known = found.iter().filter(|found| found.write == Write::Nothing).count();
    let new = found.into_iter().filter(|found| found.write != Write::Nothing).collect();
    let draft = draft(args, (source, desired), new, &observed)?;
    refused.extend_from_slice(&draft.refused);
    let by_name = !verb.vms.is_empty();
    if !by_name {
        for problem in &mut refused {
            problem.severity = Severity::Warning;
        }
    }
    refused.sort_by(|a, b| (a.vm, a.code, &a.message).cmp(&(b.vm, b.code, &b.message)));
    give_names(&mut refused, desired, &observed);
    console.findings(&refused, Some(source));
    if by_name && !refused.is_empty() {
        return Err(Refusal::failed(
            "not all of these VMs can be imported; nothing was written",
            "name only the others",
        ));
    }
    let left_out = refused.iter().filter_map(|problem| problem.vm).collect::<BTreeSet<_>>().len();
    for (number, words) in [(left_out, "left out"), (known, "declared already")] {
        if number > 0 {
            console.note(&format!("{} {words}.\n", count(number, "VM")));
        }
    }
    if draft.found.is_empty() {
        console.note("Nothing to write.\n");
        return Ok(Exit::Done);
    }
    let changed = changed(source, &draft.source);
    for (new, old) in &changed {
        let old = old.as_ref().map_or("", |old| &old.text);
        console.print(&ui::edit::render(&new.name, old, &new.text, console.style()));
    }
    let mut notices = draft.notices();
    give_names(&mut notices, desired, &observed);
    console.findings(&notices, None);
    let vms = count(draft.found.len(), "VM");
    let names: Vec<String> = changed.iter().map(|(new, _)| format!("`{}`", safe(&new.name))).collect();
    let names = names.join(" and ");
    if verb.dry_run {
        console.note(&format!("{vms} would be written into {names}; nothing was.\n"));
        return Ok(Exit::Done);
    }
    for (new, old) in &changed {
        let path = match Path::new(&new.name).file_name() {
            Some(name) if args.config.is_dir() => load::within(&args.config, name),
            _ => args.config.clone(),
        };
        match old {
            Some(old) => rewrite(&path, &old.text, &new.text, "import again")?,
            None if write_new(&path, &new.text)? => {}
            None => {
                let what = format!("another program made `{}` in the meantime; it stays as it is", safe(&new.name));
                return Err(Refusal::failed(what, "import again"));
            }
        }
    }
    console.note(&format!(
        "{vms} written into {names}; nothing was changed on the target.\n`phoenix plan` shows what `phoenix apply` will \
         do.\n"
    ));
    Ok(Exit::Done)
}

/// The files of a config that are new or changed, laid out as before, each with what it was.
fn changed(before: &Source, after: &Source) -> Vec<(Source, Option<Source>)> {
    let before = before.apart();
    let one = |new: Source| {
        let old = before.iter().find(|old| old.name == new.name).cloned();
        let text = match &old {
            Some(old) if old.text == new.text => return None,
            Some(old) => fmt::as_before(old, new.text.clone()),
            None => fmt::formatted(&new).unwrap_or_else(|_| new.text.clone()),
        };
        Some((Source::new(new.name, text), old))
    };
    after.apart().into_iter().filter_map(one).collect()
}

/// The VMs that were asked for.
fn chosen(verb: &Import, desired: &Desired, observed: &Observed, console: &Console) -> Result<BTreeSet<VmId>> {
    if verb.all {
        return Ok(observed.vms.keys().copied().collect());
    }
    let words = selectors(&verb.vms, "import")?;
    let mut chosen: BTreeSet<VmId> = Known::of_target(observed).chosen(&words, console)?.into_iter().collect();
    for tag in &verb.tag {
        let tag = tag.to_lowercase();
        let before = chosen.len();
        chosen.extend(observed.vms.values().filter(|vm| vm.tags.contains(&tag)).map(|vm| vm.id));
        if chosen.len() == before && !desired.vms.iter().any(|vm| vm.tags.contains(&tag)) {
            let near = nearest(&tag, observed.vms.values().flat_map(|vm| &vm.tags).map(String::as_str));
            let hint =
                near.map_or("`phoenix import --all` takes every VM".into(), |near| format!("did you mean `{near}`?"));
            return Err(Refusal::usage(format!("no VM has the tag `{tag}`"), hint));
        }
    }
    Ok(chosen)
}

/// The file of a directory into which new VMs are written.
const NEW: &str = "imported.json";

/// Says that VMs cannot be put into a valid config.
fn no_place(source: &Source, new: &str) -> anyhow::Error {
    if source.files.is_empty() {
        return anyhow!("the config has no place for VMs (a bug in phoenix)");
    }
    let what = format!("`{}` has no `virtual_machines`, into which new VMs are written", safe(new));
    Refusal::failed(what, "write `\"virtual_machines\": []` into it, or give the file another name")
}

/// What is about to be written.
struct Draft {
    source: Source,
    found: Vec<Found>,
    /// Why the others were left out.
    refused: Vec<Diagnostic>,
    /// What would be done to the VMs once they are in the config.
    plan: Plan,
}

/// Puts VMs into the config and plans. A VM whose entry is not valid or cannot be planned is refused, and the others
/// are tried again without it.
fn draft(
    args: &Args,
    (source, desired): (&Source, &Desired),
    mut found: Vec<Found>,
    observed: &Observed,
) -> Result<Draft> {
    let mut refused = Vec::new();
    let into = load::name(&load::within(&args.config, NEW.as_ref()));
    loop {
        known_dependencies(&mut found, desired);
        let edits: Vec<Edit> = found.iter().filter_map(edit).collect();
        let (edited, places) = put(source, &edits, &into).ok_or_else(|| no_place(source, &into))?;
        let loaded = load::instead(&args.config, &args.given(), edited.clone()).loaded;
        let mut problems = Vec::new();
        for error in loaded.diagnostics.iter().filter(|problem| problem.is_error()) {
            match placed(error, &places) {
                Some(vm) => problems.push(invalid(error, vm)),
                // It stands elsewhere in the file: the VMs are at fault that it comes with.
                None => problems.extend(at_fault(args, (source, &into), &found)),
            }
            if problems.is_empty() {
                return Err(anyhow!("the config would not be valid: {} (a bug in phoenix)", error.message));
            }
        }
        if let Some(desired) = loaded.desired {
            let all: BTreeSet<VmId> = found.iter().map(|found| found.vm).collect();
            let only = all.iter().map(|vm| Selector::Id(*vm)).collect();
            let selection = Selection { only, exclude: Vec::new() };
            let plan = plan(&desired, observed, &Request { selection, ..Request::default() });
            let about = |problem: &&Diagnostic| problem.is_error() && problem.vm.is_some_and(|vm| all.contains(&vm));
            problems.extend(plan.problems.iter().filter(about).cloned());
            if problems.is_empty() {
                return Ok(Draft { source: edited, found, refused, plan });
            }
        }
        let is_at_fault = |vm: VmId| problems.iter().any(|problem| problem.vm == Some(vm));
        let at_fault = found.iter_mut().filter(|found| is_at_fault(found.vm));
        let tried_again: BTreeSet<VmId> =
            at_fault.filter_map(|found| leave_cloud_init(found, desired, observed).then_some(found.vm)).collect();
        problems.retain(|problem| problem.vm.is_none_or(|vm| !tried_again.contains(&vm)));
        found.retain(|found| !problems.iter().any(|problem| problem.vm == Some(found.vm)));
        refused.append(&mut problems);
    }
}

fn edit(found: &Found) -> Option<Edit> {
    match &found.write {
        Write::Nothing => None,
        Write::Adopt(uuid) => Some(Edit::Key(found.vm, "adopt", uuid.as_str().into())),
        Write::Entry(keys) => Some(Edit::Entry(found.vm, keys.clone())),
    }
}

/// The VM in whose entry an error of the config stands.
fn placed(error: &Diagnostic, places: &[(VmId, Span)]) -> Option<VmId> {
    let at = error.span.map_or(usize::MAX, |span| span.start);
    places.iter().find(|(_, place)| (place.start..place.end).contains(&at)).map(|(vm, _)| *vm)
}

/// An error of the config as a refusal of the VM whose entry brings it.
fn invalid(error: &Diagnostic, vm: VmId) -> Diagnostic {
    let what = format!("no entry can be written for the VM: {}", error.message);
    Diagnostic::error(codes::INEXPRESSIBLE, what).hint("change it on the node, or leave the VM out").vm(vm)
}

/// Refusals of the VMs with which alone the config is not valid.
fn at_fault(args: &Args, (source, into): (&Source, &str), found: &[Found]) -> Vec<Diagnostic> {
    let fault = |found: &Found| {
        let (alone, _) = put(source, &[edit(found)?], into)?;
        let loaded = load::instead(&args.config, &args.given(), alone).loaded;
        Some(invalid(loaded.diagnostics.iter().find(|problem| problem.is_error())?, found.vm))
    };
    found.iter().filter_map(fault).collect()
}

/// Says that a value differs which no key can say.
fn unsaid(vm: VmId, change: &Change) -> Diagnostic {
    let old = change.old.as_deref().filter(|old| !old.is_empty()).unwrap_or("nothing");
    let cost = change.disruption.as_str();
    let cost = if cost.is_empty() { String::new() } else { format!(" ({cost})") };
    let new = if change.new.is_empty() { crate::plan::unset(change.key) } else { Some(change.new.clone()) };
    let what = format!("apply changes `{}` from {old} to {}{cost}", change.key, new.as_deref().unwrap_or("nothing"));
    let notice = Diagnostic::notice(codes::INEXPRESSIBLE, what).vm(vm).about(change.key);
    if change.origin == Origin::VmDefaults {
        let hint = "`vm_defaults` says it, and an entry cannot take it back: to keep the VM as it is, move the key from there \
                    into the entries of the others";
        return notice.hint(hint);
    }
    notice
}

/// Tells that a VM is not as its entry says.
fn differs(vm: &VmPlan) -> Diagnostic {
    let mut keys: Vec<&'static str> = vm.changes.iter().map(|change| change.key).collect();
    keys.dedup();
    let what = format!("the VM differs from its entry: apply changes {}", keys.join(", "));
    Diagnostic { keys, ..Diagnostic::notice(codes::DIFFERS, what).vm(vm.vm) }
}

impl Draft {
    /// What is to be known of the VMs.
    fn notices(&self) -> Vec<Diagnostic> {
        let mut notices: Vec<Diagnostic> = self.found.iter().flat_map(|found| found.notices.clone()).collect();
        let writes: BTreeMap<VmId, &Write> = self.found.iter().map(|found| (found.vm, &found.write)).collect();
        for vm in self.plan.vms.iter().filter(|vm| !vm.changes.is_empty()) {
            match writes.get(&vm.vm) {
                // An entry says what the VM is: what differs all the same is what no key can say.
                Some(Write::Entry(_)) => notices.extend(vm.changes.iter().map(|change| unsaid(vm.vm, change))),
                Some(Write::Adopt(_)) => notices.push(differs(vm)),
                Some(Write::Nothing) | None => {}
            }
        }
        let about = |problem: &&Diagnostic| problem.vm.is_some_and(|vm| writes.contains_key(&vm));
        notices.extend(self.plan.problems.iter().filter(about).cloned());
        notices.sort_by_key(|notice| (notice.vm, notice.code));
        notices
    }
}
