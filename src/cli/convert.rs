//! `phoenix convert`: a config of the former shell system into one of phoenix. No target is needed.

use anyhow::Result;

use super::args::{Args, Convert};
use super::console::Console;
use super::exit::Refusal;
use super::write::write_new;
use super::{Exit, load};
use crate::config::Source;
use crate::config::convert::{Converted, Left, converted};
use crate::ui::layout::count;
use crate::ui::text::safe;

/// Writes the new config, and says what of the old one is not in it, and what it lacks still.
pub(super) fn run(args: &Args, verb: &Convert, console: &Console) -> Result<Exit> {
    let source = match load::source(&verb.file) {
        Ok(source) => source,
        Err(problem) => {
            console.diagnostics(&[*problem], None);
            return Ok(Exit::Config);
        }
    };
    let Converted { text, left } = match converted(&source.text) {
        Ok(converted) => converted,
        Err(problems) => {
            console.diagnostics(&problems, Some(&source));
            return Ok(Exit::Config);
        }
    };
    if let Some(file) = &verb.out {
        if !write_new(file, &text)? {
            let what = format!("`{}` is there already", safe(&file.display().to_string()));
            return Err(Refusal::failed(what, "name a file that is not there with `--out FILE`"));
        }
    } else {
        console.print(&text);
    }
    console.note(&not_carried_over(&source, &left));
    // Files that it names are looked for where it lies.
    let place = verb.out.clone().unwrap_or_else(|| args.config.clone());
    let new = load::instead(&place, &args.given(), Source::new(load::name(&place), text.as_str()));
    let name = verb.out.as_ref().map_or_else(|| "the new config".to_owned(), |file| load::name(file));
    let new_source = new.source.map(|new| Source { name, ..new });
    console.diagnostics(&new.loaded.diagnostics, new_source.as_ref());
    Ok(if new.loaded.desired.is_some() { Exit::Done } else { Exit::Config })
}

/// What was left, a line for each; the same of several VMs is one.
fn not_carried_over(source: &Source, left: &[Left]) -> String {
    if left.is_empty() {
        return "everything was carried over\n".to_owned();
    }
    let mut out = format!("{} not carried over:\n", count(left.len(), "key"));
    let mut shown: Vec<(&Left, Vec<&str>)> = Vec::new();
    for one in left {
        match shown.iter_mut().find(|(first, _)| (&first.key, &first.why) == (&one.key, &one.why)) {
            Some((_, vms)) => vms.push(&one.vm),
            None => shown.push((one, vec![&one.vm])),
        }
    }
    for (Left { line, column, key, why, .. }, vms) in shown {
        let vms: Vec<&str> = vms.into_iter().filter(|vm| !vm.is_empty()).collect();
        let of = if vms.is_empty() { String::new() } else { format!(" of VM {}", vms.join(", ")) };
        let (name, key, of) = (safe(&source.name), safe(key), safe(&of));
        out.push_str(&format!("  {name}:{line}:{column}: `{key}`{of}: {}\n", safe(why)));
    }
    out
}
