//! `phoenix observe`, and reading what it wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::args::{Args, Observe};
use super::connect::Intent;
use super::console::Console;
use super::exit::Refusal;
use super::write::write;
use super::{Exit, connect, load};
use crate::apply::{Addresses, RealClock, addresses, in_a_minute};
use crate::hypervisor::{Fault, Hypervisor, Wanted};
use crate::model::{Desired, VmId};
use crate::observed::{LocalVolume, MoveCheck, Observed, RECORDING_VERSION, Recording, VmObserved};
use crate::plan::reach::to_reach;
use crate::plan::{
    self, Agreed, Request, directories, homes, iso_storages, isos_elsewhere, more_directories, to_list, to_move,
    unused_to_follow, unused_to_list, volumes_to_list, wanted_nodes,
};
use crate::ui::layout::count;
use crate::ui::text::{safe, safe_block, safe_pretty_json};

/// Records the state of the target.
pub(super) fn run(args: &Args, verb: &Observe, console: &Console) -> Result<Exit> {
    load::refuse_within(&args.config, verb.out.as_deref())?;
    // The config says which directories matter, and perhaps the target. Without one, the target alone is looked at.
    let desired = if load::is_there(&args.config) {
        let config = load::load(&args.config, &args.given());
        console.diagnostics(&config.loaded.diagnostics, config.source.as_ref());
        let Some(desired) = config.loaded.desired else { return Ok(Exit::Config) };
        Some(desired)
    } else {
        None
    };
    let chosen = connect::target(&args.config, args.named().as_ref(), desired.as_ref())?;
    let target = &chosen.target;
    let hypervisor = connect::open(&chosen, desired.as_ref(), args.guests, Intent::Look)
        .with_context(|| format!("cannot open {target}"))?;
    let observed = match &desired {
        Some(desired) => observed(hypervisor.as_ref(), desired, &Agreed::new()).map(|mut observed| {
            let vms = to_reach(desired, &observed, &BTreeMap::new());
            observed.addresses = asked(hypervisor.as_ref(), &vms, ADDRESSES, console).lowest();
            observed.unnamed = unnamed(hypervisor.as_ref(), desired, &observed, &Request::default(), console);
            observed.moves = moves(hypervisor.as_ref(), desired, &observed, &Request::default());
            observed
        }),
        None => hypervisor.observe(),
    };
    let observed = observed.with_context(|| format!("cannot read target {target}"))?;
    let about = hypervisor.about();
    let recording = Recording {
        format_version: RECORDING_VERSION,
        target: target.to_string(),
        label: about.label,
        simulated: about.simulated,
        observed_at: jiff::Timestamp::now().to_string(),
        observed,
    };
    let text = serde_json::to_string_pretty(&recording).context("the recording cannot be written as JSON")?;
    let text = safe_pretty_json(&text);
    match &verb.out {
        None => console.print(&text),
        Some(file) => {
            write(file, &text)?;
            console.note(&format!("recorded {} in {}\n", safe(&target.to_string()), safe(&file.display().to_string())));
        }
    }
    Ok(Exit::Done)
}

/// Looks at a target and at the directories of it that a config is about, and places its VMs; `nodes` were agreed upon.
pub(super) fn observed(hypervisor: &dyn Hypervisor, desired: &Desired, nodes: &Agreed) -> Result<Observed, Fault> {
    let mut observed =
        hypervisor.observe_with(&Wanted { directories: directories(desired), nodes: wanted_nodes(desired) })?;
    let storages = iso_storages(desired, &observed);
    if !storages.is_empty() {
        let storages: Vec<&str> = storages.iter().map(String::as_str).collect();
        observed.own_node_mut().isos = hypervisor.isos(&storages)?;
    }
    let elsewhere: Vec<(String, String)> = isos_elsewhere(desired, &observed).into_iter().collect();
    let answers = in_a_minute(&elsewhere, &RealClock::start(), |(node, storage)| hypervisor.isos_of(node, storage));
    for ((node, storage), answer) in elsewhere.into_iter().zip(answers) {
        // Of what is not known the plan says so.
        if let (Some(node), Some(Ok(Some(isos)))) = (observed.nodes.get_mut(&node), answer) {
            node.isos.insert(storage, isos);
        }
    }
    observed.homes = homes(desired, &observed, nodes);
    // Only a share that is a storage of the node itself lies where the config does not say.
    let more = more_directories(desired, &observed);
    if let Some(files) = hypervisor.files().filter(|_| !more.is_empty()) {
        observed.own_node_mut().places.extend(files.places(&more)?);
    }
    let (vms, storages) = volumes_to_list(desired, &observed);
    if !storages.is_empty() {
        observed.own_node_mut().listed = hypervisor.listed(&vms, &storages)?;
    }
    Ok(observed)
}

/// Looks how large the unused volumes are that are to be erased, and whose.
pub(super) fn sized(
    target: &dyn Hypervisor,
    desired: &Desired,
    observed: &mut Observed,
    request: &Request,
) -> Result<(), Fault> {
    let (more, on) = unused_to_list(observed, request);
    if on.is_empty() {
        return Ok(());
    }
    // A storage that is listed is listed for all that ask.
    let (vms, storages) = volumes_to_list(desired, observed);
    let vms: BTreeSet<VmId> = vms.into_iter().chain(more).collect();
    let storages: BTreeSet<&str> = storages.into_iter().chain(on.iter().map(String::as_str)).collect();
    let (vms, storages) = (Vec::from_iter(vms), Vec::from_iter(storages));
    let listed = target.listed(&vms, &storages)?;
    observed.own_node_mut().listed = listed;
    Ok(())
}

/// Asks the target of each VM of a plan that is to move to another node whether it can: a call for each, as many as
/// there is time for. Where that fails, or one was not asked, the plan says so of that VM.
pub(super) fn moves(
    target: &dyn Hypervisor,
    desired: &Desired,
    observed: &Observed,
    request: &Request,
) -> BTreeMap<VmId, MoveCheck> {
    let vms = to_move(desired, observed, request);
    let answers = in_a_minute(&vms, &RealClock::start(), |(vm, from, to)| {
        let answer = target.can_move(*vm, from, to).and_then(|answer| match answer {
            Some(check) if check.failed.is_none() => {
                Ok(Some(MoveCheck { gone: gone(target, *vm, observed)?, ..check }))
            }
            answer => Ok(answer),
        });
        answer.unwrap_or_else(|fault| Some(MoveCheck::failed(to, fault.what)))
    });
    let unasked =
        |to: &str| Some(MoveCheck::failed(to, "it was not asked, as others took longer than a minute".to_owned()));
    let answer = |((vm, _, to), answer): (&(VmId, &str, &str), Option<Option<MoveCheck>>)| {
        Some((*vm, answer.unwrap_or_else(|| unasked(to))?))
    };
    vms.iter().zip(answers).filter_map(answer).collect()
}

/// The unused volumes of a VM that is to move which its node no longer has: one call for each storage that has such.
fn gone(target: &dyn Hypervisor, vm: VmId, observed: &Observed) -> Result<Vec<LocalVolume>, Fault> {
    let mut found = Vec::new();
    for (node, storage, volumes) in unused_to_follow(vm, observed) {
        let Some(there) = target.volumes_on(node, storage, vm)? else { continue };
        found.extend(volumes.into_iter().filter(|volume| !there.contains(&volume.volume)));
    }
    Ok(found)
}

/// What stays unknown of guests whose agents were not asked: whether they reach their volumes.
pub(super) const EXPORTS: &str = "Whether their volumes are exported to the right address is not known.";

/// What stays unknown of guests whose agents were not asked: how they are reached.
pub(super) const ADDRESSES: &str = "Only their fixed addresses are known.";

/// Asks the agents of these VMs for the guests' addresses, and says so if there were too many that did not answer, and
/// what is `unknown` then.
pub(super) fn asked(target: &dyn Hypervisor, vms: &[&VmObserved], unknown: &str, console: &Console) -> Addresses {
    let asked = addresses(target.guests(), vms, &RealClock::start());
    if asked.unasked > 0 {
        let guests = count(asked.unasked, "guest agent");
        console
            .note(&format!("{guests} not asked for the guest's address: others took too long to answer. {unknown}\n"));
    }
    asked
}

/// Volumes that no configuration names, of the VMs of which it matters. That storages cannot be listed keeps nothing
/// from being planned: apply looks again just before it makes a VM.
pub(super) fn unnamed(
    target: &dyn Hypervisor,
    desired: &Desired,
    observed: &Observed,
    request: &Request,
    console: &Console,
) -> BTreeMap<VmId, Vec<String>> {
    let vms = to_list(desired, observed, request);
    if vms.is_empty() {
        return BTreeMap::new();
    }
    let storages: Vec<&str> = observed.image_storages().collect();
    match target.volumes_of(&vms, &storages) {
        Ok(volumes) => plan::unnamed(volumes, observed),
        Err(fault) => {
            console.note(&format!(
                "Whether volumes of VMs that are to be made are there already is not known: {}\n",
                safe_block(&fault.to_string())
            ));
            BTreeMap::new()
        }
    }
}

/// Reads a recording.
pub(super) fn read(file: &Path) -> Result<Recording> {
    let name = file.display();
    let text = super::files::text(file)?;
    let unfit = |error: serde_json::Error| {
        // The words of the parser quote what it read.
        let why = safe(&error.to_string()).into_owned();
        Refusal::usage(format!("`{name}` is not a recording: {why}"), "make one with `phoenix observe --out FILE`")
    };
    // First, and alone: a recording of another format lacks whatever it lacks.
    let Version { format_version } = serde_json::from_str(&text).map_err(unfit)?;
    if format_version != RECORDING_VERSION {
        return Err(Refusal::usage(
            format!("`{name}` is a recording of format {format_version}; this phoenix reads {RECORDING_VERSION}"),
            "record again with `phoenix observe --out FILE`",
        ));
    }
    serde_json::from_str(&text).map_err(unfit)
}

/// The one thing that recordings of every format have.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

/// How long ago a moment was, in words for people.
pub(super) fn age(moment: &str) -> String {
    let Ok(then) = moment.parse::<jiff::Timestamp>() else { return "at an unknown time".to_owned() };
    let seconds = jiff::Timestamp::now().duration_since(then).as_secs();
    match seconds {
        ..0 => "in the future, says its clock".to_owned(),
        0..120 => "just now".to_owned(),
        120..7200 => format!("{} minutes ago", seconds / 60),
        7200..172_800 => format!("{} hours ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    #[test]
    fn what_is_no_recording_is_quoted_as_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("recording.json");
        fs::write(&file, "{\"format_version\":\"\\n::error::\\u001b\\u202e\"}").unwrap();
        let told = super::read(&file).unwrap_err().to_string();
        let quoted = "is not a recording: invalid type: string \"\\n::error::\\u{1b}";
        assert!(told.contains(quoted) && !told.contains(['\n', '\u{202e}']), "{told}");
    }
}
