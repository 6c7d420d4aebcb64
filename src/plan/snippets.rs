//! Snippets: which storage holds those of a VM, which are to be written, and which are left over.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::ops::Bound;
use std::sync::Arc;

use super::{Change, ChangedBy, Scene, Selection, Selector, SnippetStep, codes};
use crate::diag::Diagnostic;
use crate::model::{CloudData, DataPart, Desired, DesiredVm, Disruption, Snippet, VmId};
use crate::observed::options::custom_volume;
use crate::observed::{Node, Observed, PropertyString, SnippetSeen, Storage, VmObserved};

/// The part of a change of a snippet that holds something else than its name says.
pub(super) const CONTENT: &str = "content";

/// A VM with a storage for each of its snippets; and what is wrong where there is none.
pub(super) fn placed(vm: &Arc<DesiredVm>, scene: &Scene<'_>) -> (Arc<DesiredVm>, Option<Diagnostic>) {
    let parts: Vec<DataPart> = DataPart::ALL.into_iter().filter(|part| vm.data(*part).is_some()).collect();
    if parts.is_empty() {
        return (Arc::clone(vm), None);
    }
    let node = scene.node(vm.vm_id);
    let live = scene.observed.vms.get(&vm.vm_id);
    let mut placed = DesiredVm::clone(vm);
    let mut refused = None;
    for part in parts {
        let storage = storage(node, live, part).map(ToOwned::to_owned);
        if storage.is_none() || !scene.observed.capabilities.host_files {
            refused = refused.or_else(|| Some(no_storage(vm, part, node, scene)));
            continue;
        }
        let placed = match part {
            DataPart::User => &mut placed.user_data,
            DataPart::Vendor => &mut placed.vendor_data,
        };
        if let Some(data) = placed {
            data.storage = storage;
            // Where the value of a secret is not there, a snippet of the same text is taken for the VM's.
            let now = live.and_then(|live| custom_volume(live, part));
            if let Some(now) = now.as_deref().and_then(Snippet::parse).filter(|now| data.is_in(now.file)) {
                now.file.clone_into(&mut data.file);
            }
        }
    }
    (Arc::new(placed), refused)
}

/// The storage for a snippet: the one that has the VM's own already, `local`, or the first of those that have snippets.
fn storage<'n>(node: &'n Node, live: Option<&VmObserved>, part: DataPart) -> Option<&'n str> {
    let usable = |id: &str| node.storages.get_key_value(id).filter(|(_, storage)| takes(storage)).map(|(id, _)| &**id);
    let now = live.and_then(|live| custom_volume(live, part));
    let now = now.as_deref().and_then(Snippet::parse).filter(|snippet| live.is_some_and(|live| snippet.vm == live.id));
    let now = now.and_then(|snippet| usable(snippet.storage));
    now.or_else(|| usable("local")).or_else(|| node.storages.keys().find_map(|id| usable(id)))
}

fn takes(storage: &Storage) -> bool {
    storage.active && storage.snippets.is_some()
}

fn no_storage(vm: &DesiredVm, part: DataPart, node: &Node, scene: &Scene<'_>) -> Diagnostic {
    let error = |what: String| Diagnostic::error(codes::NO_SNIPPETS, what).vm(vm.vm_id).about(part.key());
    let key = part.key().name();
    if !scene.observed.capabilities.host_files {
        let what = format!("this target reaches no files of the node, and `{key}` is written into one");
        return error(what).hint("run phoenix on the node or over ssh");
    }
    let what = format!("no storage of the node takes snippets, and `{key}` is written into one");
    let directory = |(_, storage): &(&String, &Storage)| storage.kind == "dir" && storage.path.is_some();
    let hint = match node.storages.iter().find(directory) {
        Some((id, _)) => format!(
            "allow them on a storage that is a directory of the node, beside what it holds: `pvesm set {id} --content \
             CONTENT,snippets`, where CONTENT is what `/etc/pve/storage.cfg` says of it now"
        ),
        None => "add a storage that is a directory of the node: `pvesm add dir snippets --path /var/lib/snippets \
                 --content snippets`"
            .to_owned(),
    };
    error(what).hint(hint)
}

/// A snippet that is to be written: its part, how, and why.
pub(super) fn to_write(vm: &DesiredVm, scene: &Scene<'_>) -> Vec<(DataPart, SnippetStep, &'static str)> {
    let node = scene.node(vm.vm_id);
    let step = |part: DataPart| {
        let data = vm.data(part)?;
        let reason = match node.snippets.get(&data.volume()?) {
            Some(seen) if seen.holds(&data.text) => return None,
            Some(_) => "it holds something else",
            None => "it is not there",
        };
        let digest = data.text.digest();
        Some((part, SnippetStep { path: path(node, data)?, text: data.text.clone(), digest }, reason))
    };
    DataPart::ALL.into_iter().filter_map(step).collect()
}

fn path(node: &Node, data: &CloudData) -> Option<String> {
    path_of(node, data.storage.as_deref()?, &data.file)
}

fn path_of(node: &Node, storage: &str, file: &str) -> Option<String> {
    Some(format!("{}/{file}", node.storages.get(storage)?.snippets.as_ref()?))
}

/// phoenix's snippets of a VM: volume to path. They lie on the target's own node, where they were written, wherever the
/// VM is by now.
fn all_of<'o>(vm: VmId, project: &str, observed: &'o Observed) -> BTreeMap<&'o str, String> {
    let node = observed.own_node();
    let mut own = BTreeMap::new();
    // A node may have those of ten thousand VMs.
    for storage in node.storages.keys() {
        let start = Snippet::start(storage, project, vm);
        let all = node.snippets.range::<str, _>((Bound::Included(&*start), Bound::Unbounded)).map(|(volume, _)| volume);
        for volume in all.take_while(|volume| volume.starts_with(&start)) {
            let snippet = Snippet::parse(volume).filter(|snippet| snippet.is_of(project, vm));
            let path = snippet.and_then(|snippet| path_of(node, snippet.storage, snippet.file));
            own.extend(path.map(|path| (volume.as_str(), path)));
        }
    }
    own
}

/// Whether another VM than this one names a snippet: a clone of it that was made outside phoenix does.
fn is_named(volume: &str, vm: VmId, observed: &Observed) -> bool {
    let names = |live: &VmObserved| {
        let option = live.options.get("cicustom").map(PropertyString::parse);
        option.is_some_and(|option| DataPart::ALL.iter().any(|part| option.get(part.as_str()) == Some(volume)))
    };
    observed.vms.values().any(|live| live.id != vm && names(live))
}

/// The VMs of the project that are neither declared nor there, of which the target's own node still has snippets: they
/// were destroyed outside phoenix. A snippet that another VM names counts for none.
pub(super) fn survivors(desired: &Desired, observed: &Observed, selection: &Selection) -> BTreeSet<VmId> {
    if !observed.capabilities.host_files {
        return BTreeSet::new();
    }
    let of_none = |volume: &String| {
        let vm = Snippet::parse(volume).filter(|snippet| snippet.project == desired.settings.project)?.vm;
        let is_known = desired.vm(vm).is_some() || observed.vms.contains_key(&vm) || observed.taken.contains_key(&vm);
        let is_left_out = selection.exclude.contains(&Selector::Id(vm));
        (!is_known && !is_left_out && !observed.cloning.contains(&vm) && !is_named(volume, vm, observed)).then_some(vm)
    };
    observed.own_node().snippets.keys().filter_map(of_none).collect()
}

/// Says that snippets of a VM are left which is neither declared nor there.
pub(super) fn survive(vm: VmId, desired: &Desired, observed: &Observed) -> Diagnostic {
    let paths: Vec<String> = all_of(vm, &desired.settings.project, observed).into_values().collect();
    let what = format!("VM {vm} is not there any more, and what its cloud-init was to read is: {}", paths.join(", "));
    let hint = if desired.settings.project_named {
        format!("`phoenix destroy {vm}`, or `phoenix apply --prune`, removes it")
    } else {
        format!("`phoenix destroy {vm}` removes it, if no other file of the project declares the VM")
    };
    Diagnostic::warning(codes::SNIPPETS_SURVIVE, what).hint(hint)
}

/// The snippets that a VM does not name once these changes are made, as an action names them, each with its path. None
/// while it has snapshots, which may name them.
pub(super) fn left_over(vm: &DesiredVm, changes: &[Change], scene: &Scene<'_>) -> Vec<(String, String)> {
    let live = scene.observed.vms.get(&vm.vm_id);
    if live.is_some_and(|live| !live.snapshots.is_empty()) {
        return Vec::new();
    }
    let stays = |part: DataPart| {
        let changes = changes.iter().any(|change| change.key == part.key().name());
        live.filter(|_| !changes).and_then(|live| custom_volume(live, part))
    };
    let declared = |part: DataPart| vm.data(part)?.volume();
    let named: Vec<String> =
        DataPart::ALL.into_iter().flat_map(|part| [declared(part), stays(part)]).flatten().collect();
    let mut found = all_of(vm.vm_id, &scene.desired.settings.project, scene.observed);
    found.retain(|volume, _| !named.iter().any(|named| named == volume) && !is_named(volume, vm.vm_id, scene.observed));
    found.into_iter().map(as_named).collect()
}

/// The snippets that go with a VM, as an action names them, each with its path; not those that another VM names.
pub(super) fn gone_with(vm: VmId, scene: &Scene<'_>) -> Vec<(String, String)> {
    let mut found = all_of(vm, &scene.desired.settings.project, scene.observed);
    found.retain(|volume, _| !is_named(volume, vm, scene.observed));
    found.into_iter().map(as_named).collect()
}

/// A snippet as an action names it: storage, part, and the beginning of its digest.
fn as_named((volume, path): (&str, String)) -> (String, String) {
    let short = Snippet::parse(volume).map(|snippet| {
        let digest = snippet.file.rsplit('-').next().unwrap_or_default();
        format!("{}:{}-{}", snippet.storage, snippet.part.as_str(), digest.get(..12).unwrap_or(digest))
    });
    (short.unwrap_or_else(|| volume.to_owned()), path)
}

/// A text whose secrets keep it from being shown.
const SEALED: &str = "a text with secrets";

/// Says what a VM has of a part whole, and is to have, in place of the names of its snippets: the texts, where they can
/// be shown.
pub(super) fn say_texts(change: &mut Change, vm: &DesiredVm, live: &VmObserved, part: DataPart, scene: &Scene<'_>) {
    let volume = custom_volume(live, part);
    let now = volume.as_deref().and_then(Snippet::parse);
    let is_sealed = now.is_some_and(|snippet| snippet.has_secrets);
    let data = vm.data(part);
    change.new = data.map(|data| data.text.to_string()).unwrap_or_default();
    let Some(old) = &mut change.old else { return };
    if let (Some(data), Some(now)) = (data, now)
        && data.is_in_but_for_secrets(now.file)
    {
        SEALED.clone_into(old);
        let names = data.text.secrets();
        let of = if names.len() == 1 { "" } else { "at least one of " };
        change.new = format!("the same text, {of}{} changed", names.join(", "));
    } else if is_sealed {
        // Beside a text of several lines nothing stands for what is not shown.
        if change.new.contains('\n') {
            old.clear();
        } else {
            SEALED.clone_into(old);
        }
        change.note = [mem::take(&mut change.note), "what it is now has secrets and is not shown".to_owned()]
            .into_iter()
            .filter(|note| !note.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
    } else if let Some(seen) = volume.and_then(|volume| scene.node(live.id).snippets.get(&volume))
        && let Some(text) = seen.text()
    {
        text.clone_into(old);
    }
}

/// Snippets that the VM names, and that do not hold what their names say: the files were written or removed outside
/// phoenix.
pub(super) fn otherwise(vm: &DesiredVm, live: &VmObserved, scene: &Scene<'_>) -> Vec<Change> {
    let node = scene.node(vm.vm_id);
    let change = |part: DataPart| {
        let data = vm.data(part)?;
        let volume = custom_volume(live, part)?;
        let now = node.snippets.get(&volume);
        let named = Snippet::parse(&volume)?;
        // What is on a storage that is not looked into is not known.
        let is_known = scene.observed.capabilities.host_files && node.storages.get(named.storage).is_some_and(takes);
        if !is_known || named.file != data.file || now.is_some_and(|now| now.holds(&data.text)) {
            return None;
        }
        let disruption = if live.running { Disruption::Restart } else { Disruption::None };
        Some(Change {
            key: part.key().name(),
            part: CONTENT,
            old: Some(now.and_then(SnippetSeen::text).unwrap_or_default().to_owned()),
            new: data.text.to_string(),
            origin: vm.origins.of(part.key()),
            disruption,
            note: if now.is_some_and(|now| now.text().is_none()) {
                "the file on the node is another, is not shown, and is written again".to_owned()
            } else {
                "the file on the node is written again".to_owned()
            },
            by: Some(ChangedBy::Outside),
            applied: None,
        })
    };
    DataPart::ALL.into_iter().filter_map(change).collect()
}
