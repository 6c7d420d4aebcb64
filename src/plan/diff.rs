//! What differs between a VM as desired and as observed: folds over the table of options.

use super::Scene;
use super::{Change, Waiting, cloud_init, snippets};
use crate::model::{ActionKind, DataPart, DesiredVm, Disruption, GIB, Key, Origin, Ready, Secret, proxmox};
use crate::observed::options::{self, Differing, Row, Taking, Value, Wish};
use crate::observed::{ConfigWrite, PendingChange, PropertyString, VmObserved, holds_volume};

/// The values of an existing VM that the configuration write, the move or the resize changes, in table order.
pub(super) fn changes(vm: &DesiredVm, live: &VmObserved, scene: &Scene<'_>) -> Vec<Change> {
    let taking = Taking {
        desired: vm,
        live,
        capabilities: &scene.observed.capabilities,
        delete_source: scene.delete_source,
        restart: scene.restart,
    };
    let mut found = Vec::new();
    for differing in options::differing(vm, live, false) {
        add(&mut found, &differing, &taking);
    }
    for change in &mut found {
        if let Some(part) = DataPart::ALL.into_iter().find(|part| part.key().name() == change.key) {
            snippets::say_texts(change, vm, live, part, scene);
        }
        if change.part == options::PASSWORD {
            name_secret(change, vm, live);
        }
    }
    found.extend(snippets::otherwise(vm, live, scene));
    let mut said = "";
    for change in &mut found {
        let Some(note) = taken_back(change, vm, live) else {
            if change.disruption < Disruption::Restart && pends_beside(change, vm, live) {
                change.disruption = Disruption::Restart;
                "waits with what waits for a restart already".clone_into(&mut change.note);
            }
            continue;
        };
        change.disruption = Disruption::Live;
        change.note = if note == said { String::new() } else { note.to_owned() };
        said = note;
    }
    found
}

/// What a write of these rows sets and deletes of the options of a VM whose values wait for a restart; `None`: none
/// waits.
fn write(vm: &DesiredVm, live: &VmObserved, rows: impl Iterator<Item = &'static Row>) -> Option<ConfigWrite> {
    let waits = live.running && !live.pending.is_empty();
    let configured = |row: &&'static Row| row.applied_by(vm, Some(live)) == ActionKind::Configure;
    // Notes without room for what is desired are a problem of the plan.
    waits.then(|| options::render(rows.filter(configured), (vm, live, false), None, None).ok()).flatten()
}

/// Whether a running VM has all that these options are given: Proxmox then drops the value that waits (recorded).
fn takes_back(write: &ConfigWrite, live: &VmObserved) -> bool {
    let same = |new: Option<&str>, active: Option<&str>| match (new, active) {
        (Some(new), Some(active)) => {
            let [mut new, mut active] = [new, active].map(|text| PropertyString::parse(text).parts);
            new.sort();
            active.sort();
            new == active
        }
        (new, active) => new == active,
    };
    let mut options = write.options().peekable();
    options.peek().is_some()
        && options.all(|option| {
            let new = write.set.get(option).map(String::as_str);
            live.pending.get(option).is_some_and(|waits| same(new, waits.active.as_deref()))
        })
}

/// What is said of a change that only takes back what waits for a restart; `None`: it does more.
fn taken_back(change: &Change, vm: &DesiredVm, live: &VmObserved) -> Option<&'static str> {
    let write = write(vm, live, change.rows()).filter(|write| takes_back(write, live))?;
    // A card whose change failed may be gone from the guest (recorded); one that is only to leave is there.
    let leaves = |option: &str| live.pending.get(option).is_some_and(|waits| waits.pending.is_none());
    Some(if write.options().any(|option| option.starts_with("net") && leaves(option)) {
        "it stays plugged in: what waited for a restart is taken back"
    } else {
        "what waited for a restart is taken back"
    })
}

/// Whether a change is of a disk or a card of which something waits for a restart already: Proxmox then keeps all that
/// it is given waiting (recorded).
fn pends_beside(change: &Change, vm: &DesiredVm, live: &VmObserved) -> bool {
    let waits = |option: &str| {
        let waits = live.pending.get(option).is_some_and(|waits| waits.active.is_some() && waits.pending.is_some());
        waits && (option.starts_with("net") || holds_volume(option))
    };
    let written = |write: ConfigWrite| write.options().any(waits);
    write(vm, live, change.rows()).is_some_and(written)
}

/// Says a password that changes by the name of its secret.
fn name_secret(change: &mut Change, vm: &DesiredVm, live: &VmObserved) {
    let known = live.record.valid().is_some_and(|record| record.applied.contains_key(options::PASSWORD));
    let had = change.old.is_some();
    change.old = change.old.take().map(|_| options::A_PASSWORD.to_owned());
    change.new = match secret(vm) {
        Some(secret) if had && known => format!("{secret} (changed)"),
        Some(secret) => secret.to_string(),
        None => String::new(),
    };
}

fn secret(vm: &DesiredVm) -> Option<&Secret> {
    vm.user_config.as_ref()?.password.as_ref()
}

/// Adds the changes that a row stands for: one, or one for each of the keys that differ.
fn add(found: &mut Vec<Change>, differing: &Differing<'_>, taking: &Taking<'_>) {
    let Differing { row, now, wish } = differing;
    let (disruption, note) = row.taken(taking);
    let mut change = |old: Option<String>, new: String| {
        // Said once is enough.
        let said = found.iter().any(|change: &Change| change.note == note);
        let note = if said { String::new() } else { note.clone().into_owned() };
        found.push(Change { old, new, disruption, note, ..of_row(row, taking.desired) });
    };
    let text = |value: Option<&Value<'_>>| value.map(ToString::to_string);
    let (now, wish) = (now.as_ref(), wish.value());
    if let (Some(Value::Keys(now)), Some(Value::Keys(wish))) = (now, wish) {
        now.difference(wish).for_each(|gone| change(Some(gone.clone()), String::new()));
        wish.difference(now).for_each(|new| change(None, new.clone()));
    } else if row.part.is_empty() {
        let now = text(now).or_else(|| default_that_is_set(row, taking.live));
        change(Some(now.unwrap_or_default()), text(wish).unwrap_or_default());
    } else {
        change(text(now), text(wish).unwrap_or_default());
    }
}

/// What an option of Proxmox says that is set to what it is by default: its normal form is empty.
fn default_that_is_set(row: &Row, live: &VmObserved) -> Option<String> {
    let option = row.option.filter(|option| option.key.starts_with(proxmox::PREFIX))?;
    let text = live.options.get(option.name)?;
    Some(option.read(&text.into()).ok().filter(|read| !read.is_empty()).unwrap_or_else(|| text.to_owned()))
}

/// A change of a row, to be filled in.
fn of_row(row: &Row, vm: &DesiredVm) -> Change {
    Change { key: row.name, part: row.part, origin: row.origin(vm), ..Change::default() }
}

/// The cloud-init drive that a VM, or its template, lacks.
pub(super) fn drive(vm: &DesiredVm, live: &VmObserved, scene: &Scene<'_>) -> Vec<Change> {
    let mut drive = changes(vm, live, scene);
    drive.retain(|change| change.key == options::DRIVE);
    drive
}

/// Whether the card becomes one of another model; a VM that had none gets one, and nothing changes.
pub(super) fn changes_model(changes: &[Change]) -> bool {
    let had = |change: &Change| change.old.as_deref().is_some_and(|old| !old.is_empty());
    changes.iter().any(|change| change.key == Key::NetworkModel.name() && had(change))
}

/// What it costs that the network card changes, if it does.
pub(super) fn changes_card(changes: &[Change]) -> Option<Disruption> {
    let card = |change: &&Change| change.rows().any(|row| row.options.contains(&"net0"));
    changes.iter().filter(card).map(|change| change.disruption).max()
}

/// Whether a running VM gets its changed card only when it is restarted.
pub(super) fn card_waits(live: &VmObserved, changes: &[Change]) -> bool {
    // One that it lost comes back then, too.
    let lost = live.record.valid().is_some_and(|record| record.late.contains("net0"));
    let cost = changes_card(changes);
    lost || cost == Some(Disruption::Restart) || (cost.is_none() && live.pending.contains_key("net0"))
}

/// Whether a running VM gets this card, or what is to become of it, with these changes.
fn is_plugged(option: &str, changes: &[Change]) -> bool {
    let of = |change: &&Change| change.rows().any(|row| row.options.contains(&option));
    let cost = changes.iter().filter(of).map(|change| change.disruption).max();
    option.starts_with("net") && cost.is_some_and(|cost| cost < Disruption::Restart)
}

/// A VM that is stopped and will be started, or the other way round.
pub(super) fn power(vm: &DesiredVm) -> Change {
    let origin = vm.origins.of(Key::Started);
    let (disruption, note) = match (vm.started, &origin) {
        (false, _) => (Disruption::Stop, "its guest is asked to shut down"),
        (true, Origin::BuiltIn) => (Disruption::None, "declared VMs run"),
        (true, _) => (Disruption::None, ""),
    };
    Change {
        key: Key::Started.name(),
        old: Some((!vm.started).to_string()),
        new: vm.started.to_string(),
        origin,
        disruption,
        note: note.to_owned(),
        ..Change::default()
    }
}

/// What the config says of a VM that is to be made, as text, for a key that is no option of the VM: what it is made
/// from, and what is done with it. Empty where that is nothing, or its actions tell it.
fn made(vm: &DesiredVm, key: Key) -> String {
    match key {
        Key::TemplateName if vm.cloud_image.is_none() => vm.template_name.clone(),
        Key::CloudImage => vm.cloud_image.as_ref().map_or_else(String::new, ToString::to_string),
        Key::FullClone if !vm.full_clone => "false".to_owned(),
        Key::Started if !vm.started => "false".to_owned(),
        Key::IsTemplate if vm.is_template => "true".to_owned(),
        Key::Ready if vm.ready != Ready::CloudInit => vm.ready.to_string(),
        Key::DependsOn => vm.depends_on.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        _ => String::new(),
    }
}

/// What the config wishes for a key of a VM that is to be made, as text.
fn new_value(vm: &DesiredVm, key: Key) -> String {
    if let Some(data) = DataPart::ALL.into_iter().find(|part| part.key() == key).and_then(|part| vm.data(part)) {
        return data.text.to_string();
    }
    let parts = options::rows_of_key(key).iter().filter_map(|row| {
        if row.part == options::PASSWORD {
            return secret(vm).map(|secret| format!("password={secret}"));
        }
        let wish = row.wished(vm, None);
        if wish == Wish::Unset {
            return row.part.rsplit_once('.').map(|(_, part)| format!("{part}=none"));
        }
        let text = wish.value()?.to_string();
        Some(if matches!(wish.value(), Some(Value::Keys(_))) { text.replace('\n', ", ") } else { text })
    });
    let text = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    if text.is_empty() { made(vm, key) } else { text }
}

/// What is to be known of the size of a disk that an image becomes.
pub(super) const UNKNOWN_SIZE: &str = "the image's size is not known yet; a larger one is refused";

/// All values of a VM that is to be made, in table order. Its name stands in the heading. `base`: the template whose
/// options it will have.
pub(super) fn new_values(vm: &DesiredVm, base: Option<&VmObserved>, template: Option<String>) -> Vec<Change> {
    let mut template = template;
    // One line for each option by Proxmox's own name, and for what phoenix sees to by itself.
    let own = options::rows_for(vm, None);
    let own = own.filter(|row| row.option.is_some() || (row.key.is_none() && row.is_named_whole()));
    Key::ALL
        .into_iter()
        .filter(|key| *key != Key::VmName)
        .map(|key| Change {
            key: key.name(),
            origin: vm.origins.of(key),
            new: new_value(vm, key),
            note: match key {
                Key::TemplateName => template.take().unwrap_or_default(),
                Key::BootDiskSizeGb if vm.cloud_image.is_some() => UNKNOWN_SIZE.to_owned(),
                _ => String::new(),
            },
            ..Change::default()
        })
        .chain(own.map(|row| Change {
            new: row.becomes(vm, base).value().map(ToString::to_string).unwrap_or_default(),
            ..of_row(row, vm)
        }))
        .filter(|change| !change.new.is_empty())
        .collect()
}

/// A change of something that is done by actions of its own (features, volumes).
pub(super) fn told_by_actions(key: Key, origin: Origin, old: Option<String>, new: String, note: &str) -> Change {
    Change { key: key.name(), old, new, origin, note: note.to_owned(), ..Change::default() }
}

/// What waits for a restart since an earlier change, and still does when these changes are made.
pub(super) fn waiting_beside(live: &VmObserved, vm: &DesiredVm, changes: &[Change]) -> Vec<Waiting> {
    let write = write(vm, live, changes.iter().flat_map(Change::rows));
    let mut waiting = waiting(live, Some(vm));
    waiting.retain(|waiting| {
        let written = write.iter().flat_map(ConfigWrite::options).any(|option| option == waiting.option);
        !written && !is_plugged(&waiting.option, changes)
    });
    waiting
}

/// What waits for a restart since an earlier change: options of Proxmox, and what only a guest that boots reads.
pub(super) fn waiting(live: &VmObserved, desired: Option<&DesiredVm>) -> Vec<Waiting> {
    let unread = cloud_init::is_unread(live).then(|| Waiting {
        option: "cloud-init".to_owned(),
        key: "cloud-init".to_owned(),
        active: Some("the values of its last boot".to_owned()),
        pending: Some("newer ones".to_owned()),
    });
    let options = live.pending.iter().map(|(option, change)| {
        let boots = live.boot_disk.as_ref().is_some_and(|disk| disk.device == *option);
        let key = if boots { proxmox::BOOT_DISK.to_owned() } else { options::called(option, change, desired) };
        let (active, pending) = differing_parts(option, change);
        Waiting { option: option.clone(), key, active, pending }
    });
    let record = live.record.valid().filter(|_| live.running);
    let late = record.into_iter().flat_map(|record| &record.late).map(|slot| Waiting {
        option: slot.clone(),
        key: options::late_called(slot, live, desired),
        active: Some("what it was started with".to_owned()),
        pending: Some("what is configured".to_owned()),
    });
    options.chain(late).chain(unread).collect()
}

/// What the sides of a pending change do not share: of a disk, a card or a device its parts, of anything else all.
fn differing_parts(option: &str, change: &PendingChange) -> (Option<String>, Option<String>) {
    let has_parts = option.starts_with("net") || holds_volume(option);
    let (Some(active), Some(pending), true) = (&change.active, &change.pending, has_parts) else {
        return (change.active.clone(), change.pending.clone());
    };
    let [active, pending] = [active, pending].map(|text| PropertyString::parse(text));
    let beyond = |one: &PropertyString, other: &PropertyString| {
        let mut one = one.clone();
        one.parts.retain(|part| !other.parts.contains(part));
        (!one.parts.is_empty()).then(|| one.to_string())
    };
    (beyond(&active, &pending), beyond(&pending, &active))
}

/// The desired size of the boot disk in bytes.
pub(super) fn wanted_bytes(vm: &DesiredVm) -> u64 {
    u64::from(vm.boot_disk_size_gb) * GIB
}
