//! `phoenix inventory`

use anyhow::Result;

use super::args::{Args, Inventory};
use super::console::Console;
use super::format::{Format, Output};
use super::output::put;
use super::planning::{Looked, Wish, looked};
use super::{Exit, reach};
use crate::plan::give_names;
use crate::plan::inventory::{InventoryDocument, inventory};
use crate::ui;
use crate::ui::inventory::Rendered;

/// What stands for no `--format` at all.
const DEFAULT: Output = Output { format: Format::Ansible, file: None };

/// Tells other programs how the VMs are reached. Changes nothing.
pub(super) fn run(args: &Args, verb: &Inventory, console: &Console) -> Result<Exit> {
    let wish = Wish { against: verb.against.clone(), ..Wish::new(args, &verb.selecting) };
    let looked = match looked(&wish, console)? {
        Ok(looked) => looked,
        Err(exit) => return Ok(exit),
    };
    let mut ways = reach::ways(&looked, console);
    let Looked { desired, source, target, observed, .. } = looked;
    let selection = &wish.request.selection;
    let choice = selection.choice();
    let selected = desired.vms.iter().filter(|vm| choice.takes(vm)).map(|vm| vm.vm_id);
    let selected: std::collections::BTreeSet<_> = selected.collect();
    ways.reach.notices.retain(|notice| notice.vm.is_some_and(|vm| selected.contains(&vm)));
    let (document, unreached) = inventory(&desired, &observed, selection, &ways, target);
    let outputs = if verb.format.is_empty() { &[DEFAULT][..] } else { &verb.format };
    for output in outputs {
        let Rendered { text, notices } = rendered(output.format, &document);
        put(output, &text, console)?;
        for notice in notices {
            console.note(&format!("{notice}\n"));
        }
    }
    let mut notices = [ways.reach.notices, unreached].concat();
    give_names(&mut notices, &desired, &observed);
    console.findings(&notices, source.as_ref());
    if document.target.simulated {
        console.note("Embedded node: its guests are simulated, and nothing answers at their addresses.\n");
    }
    Ok(Exit::Done)
}

fn rendered(format: Format, document: &InventoryDocument) -> Rendered {
    match format {
        Format::Json => ui::inventory::json(document),
        Format::SshConfig => ui::inventory::ssh_config(document),
        Format::Hosts => ui::inventory::hosts(document),
        // `Output::of_inventory` lets no other format in.
        _ => ui::inventory::ansible(document),
    }
}
