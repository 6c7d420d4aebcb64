//! Who agrees to a plan, and how.

use anyhow::Result;

use super::Exit;
use super::console::Console;
use super::exit::Refusal;
use crate::model::Outcome;
use crate::plan::Plan;
use crate::ui::text::safe;

/// Whether somebody agrees to a plan; `Err(exit)` inside: nobody does, which has been told.
pub(super) fn to_plan(asks: bool, console: &Console) -> Result<Result<(), Exit>> {
    if !asks {
        return Ok(Ok(()));
    }
    match console.confirm("Carry out this plan?") {
        Some(true) => Ok(Ok(())),
        Some(false) => Ok(Err(nothing_done(console))),
        None => Err(Refusal::usage(
            "nobody to ask: standard input is not a terminal",
            "look at `phoenix plan`, then give `--auto-approve`",
        )),
    }
}

/// Whether somebody agrees to the end of every VM that goes, by its name: typed, or given with `--yes-destroy`. No other
/// consent counts for what cannot be taken back.
pub(super) fn to_destruction(plan: &Plan, given: &[String], console: &Console) -> Result<Result<(), Exit>> {
    let going = plan.vms.iter().filter(|vm| vm.outcome == Outcome::Destroy && !vm.blocked);
    // A VM without a name is called by its VMID.
    let names: Vec<String> =
        going.map(|vm| if vm.name.is_empty() { vm.vm.to_string() } else { vm.name.clone() }).collect();
    let quoted = |names: &[&String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if !given.is_empty() {
        let missing: Vec<&String> = names.iter().filter(|name| !given.contains(name)).collect();
        let foreign: Vec<&String> = given.iter().filter(|name| !names.contains(name)).collect();
        if !foreign.is_empty() {
            // Agreed to already, and gone already: no reason to stop a run that was interrupted and is repeated.
            console
                .note(&format!("`--yes-destroy` names what the plan does not destroy: {}\n", safe(&quoted(&foreign))));
        }
        if !missing.is_empty() {
            let what = format!("the plan also destroys {}; nothing was done", quoted(&missing));
            return Err(Refusal::usage(what, "name every VM that the plan destroys, or keep it with `--exclude`"));
        }
        return Ok(Ok(()));
    }
    for name in &names {
        match console.typed(&format!("VM `{name}` and its disks go for good. Type its name to agree: ")) {
            Some(typed) if typed == *name => {}
            Some(_) => return Ok(Err(nothing_done(console))),
            None => {
                let what = "nobody to ask whether VMs may be destroyed: standard input is not a terminal";
                let hint = format!("if they may, give `--yes-destroy {}`", names.join(","));
                return Err(Refusal::usage(what, hint));
            }
        }
    }
    Ok(Ok(()))
}

/// Whether somebody agrees that VMs lose what they did since a snapshot, by their names: typed, or given with
/// `--yes-rollback`.
pub(super) fn to_rollback(plan: &Plan, given: &[String], console: &Console) -> Result<Result<(), Exit>> {
    for vm in plan.vms.iter().filter(|vm| vm.outcome.acts() && !vm.blocked) {
        let name = if vm.name.is_empty() { vm.vm.to_string() } else { vm.name.clone() };
        if !given.is_empty() {
            if !given.contains(&name) {
                let what = format!("`{name}` goes back, too, and was not agreed to; nothing was done");
                return Err(Refusal::usage(what, "name every VM that goes back"));
            }
            continue;
        }
        match console.typed(&format!("VM `{name}` loses what it did since. Type its name to agree: ")) {
            Some(typed) if typed == name => {}
            Some(_) => return Ok(Err(nothing_done(console))),
            None => {
                let what = "nobody to ask whether VMs may go back: standard input is not a terminal";
                return Err(Refusal::usage(what, format!("if they may, give `--yes-rollback {name}`")));
            }
        }
    }
    Ok(Ok(()))
}

fn nothing_done(console: &Console) -> Exit {
    console.note("Nothing was done.\n");
    Exit::Failed
}
