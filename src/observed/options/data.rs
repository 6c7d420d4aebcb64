//! The rows of what a file gives cloud-init whole: the snippets that `cicustom` names.

use std::borrow::Cow;

use super::edit::Edit;
use super::row::Row;
use super::taking::{Taking, at_once, at_restart};
use super::value::{Value, Wish};
use crate::model::{DataPart, DesiredVm, Disruption, Key, Record, Snippet};
use crate::observed::{PropertyString, VmObserved};

/// The option that names the snippets.
const OPTION: &str = "cicustom";

/// User data and vendor data. A value is the file name of phoenix's own snippet, and of any other one its volume.
pub(super) static ROWS: &[Row] = &[
    Row {
        read: |live| read(live, DataPart::User),
        wish: |vm, live| wish(vm, live, DataPart::User),
        inherited: |_, live| is_anothers(live, DataPart::User),
        write: |vm, value, edit| put(vm, value, edit, DataPart::User),
        uptake: |taking| {
            let note = "cloud-init treats the guest as a new instance at its next boot and repeats what it does once per instance";
            boots_next(taking, note)
        },
        ..Row::of(Key::UserData, &[OPTION])
    },
    Row {
        read: |live| read(live, DataPart::Vendor),
        wish: |vm, live| wish(vm, live, DataPart::Vendor),
        inherited: |_, live| is_anothers(live, DataPart::Vendor),
        write: |vm, value, edit| put(vm, value, edit, DataPart::Vendor),
        uptake: |taking| {
            let note = "the guest reads it when it boots next, and does not repeat what cloud-init does once";
            boots_next(taking, note)
        },
        ..Row::of(Key::VendorData, &[OPTION])
    },
];

/// Whether user data takes the place of what Proxmox makes for the guest, its host name in it (recorded).
#[must_use]
pub fn replaces_host_name(desired: &DesiredVm, live: &VmObserved) -> bool {
    let own = |volume: &String| Snippet::parse(volume).is_some_and(|snippet| snippet.vm == live.id);
    desired.user_data.is_some() || custom_volume(live, DataPart::User).is_some_and(|volume| !own(&volume))
}

/// Volume of what a VM gives cloud-init whole of a part.
#[must_use]
pub fn custom_volume(live: &VmObserved, part: DataPart) -> Option<String> {
    PropertyString::parse(live.options.get(OPTION)?).get(part.as_str()).map(ToOwned::to_owned)
}

fn read(live: &VmObserved, part: DataPart) -> Option<Value<'_>> {
    let volume = custom_volume(live, part)?;
    let file = Snippet::parse(&volume).map(|snippet| snippet.file.to_owned());
    Some(Value::Text(Cow::Owned(file.unwrap_or(volume))))
}

fn wish<'a>(vm: &'a DesiredVm, live: Option<&VmObserved>, part: DataPart) -> Wish<'a> {
    match vm.data(part) {
        Some(data) => {
            // Where the value of a secret is not there, the text alone is compared.
            let now = live.and_then(|live| custom_volume(live, part));
            let same = now.as_deref().and_then(Snippet::parse).filter(|snippet| data.is_in(snippet.file));
            let same = same.map(|snippet| Value::Text(Cow::Owned(snippet.file.to_owned())));
            Wish::Value(same.unwrap_or_else(|| Value::text(&data.file)))
        }
        None if live.is_some_and(|live| is_own(live, part)) => Wish::Unset,
        None => Wish::Leave,
    }
}

/// Whether phoenix gave it to this VM, and the record says so: one that was taken over with it keeps it.
fn is_own(live: &VmObserved, part: DataPart) -> bool {
    // A record without room for what was applied says nothing of it.
    let given = |record: &&Record| record.applied.is_empty() || record.applied.contains_key(part.key().name());
    let Some(record) = live.record.valid().filter(given) else { return false };
    let volume = custom_volume(live, part);
    volume.is_some_and(|volume| Snippet::parse(&volume).is_some_and(|snippet| snippet.is_of(&record.project, live.id)))
}

/// Whether phoenix gave it to another VM, of which this one is a copy.
fn is_anothers(live: &VmObserved, part: DataPart) -> bool {
    let volume = custom_volume(live, part);
    volume.is_some_and(|volume| Snippet::parse(&volume).is_some_and(|snippet| snippet.vm != live.id))
}

/// Names the snippet, or no longer; what else the option names stays. Where no storage was chosen nothing is written.
fn put(vm: &DesiredVm, value: Option<&Value<'_>>, edit: &mut Edit<'_>, part: DataPart) {
    let mut custom = PropertyString::parse(edit.get(OPTION));
    match (value, vm.data(part)) {
        (None, _) => custom.remove(part.as_str()),
        (Some(_), Some(data)) => match data.volume() {
            Some(volume) => custom.set(part.as_str(), &volume),
            None => return,
        },
        (Some(_), None) => return,
    }
    edit.put(OPTION, custom.to_string());
}

fn boots_next<'a>(taking: &Taking<'a>, note: &'static str) -> (Disruption, Cow<'a, str>) {
    if taking.live.running { at_restart(taking, note) } else { at_once(taking, note) }
}
