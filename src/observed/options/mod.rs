//! The table of options: one row for each thing that a VM's configuration says and a file can wish for.
//!
//! What a plan shows, what is written, what the record keeps, what drifted, what `import` writes and what of a VM is
//! phoenix's own are folds over these rows.

mod cdrom;
mod cloud_init;
mod data;
mod disks;
mod edit;
mod listed;
mod named;
#[cfg(test)]
mod probe;
mod row;
mod table;
mod taking;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

pub use self::cloud_init::{A_PASSWORD, DRIVE, PASSWORD, PASSWORD_OPTION, lacks_drive, new_drive};
pub use self::data::{custom_volume, replaces_host_name};
pub use self::disks::fills_last;
pub use self::edit::Edit;
pub use self::listed::{is_size_key, is_storage_key, size_key, storage_key};
use self::row::Aspect;
pub use self::row::{Kept, Row};
pub use self::table::AGENT;
pub use self::taking::Taking;
pub use self::value::{Value, Wish, gib};
use super::{ConfigWrite, Net, PendingChange, RecordError, VmObserved};
use crate::model::{DesiredVm, Key, Record, proxmox};

/// A row whose value is not as desired.
pub struct Differing<'a> {
    /// The row.
    pub row: &'static Row,
    /// What the VM has.
    pub now: Option<Value<'a>>,
    /// What is desired: never [`Wish::Leave`].
    pub wish: Wish<'a>,
}

/// The rows that every VM has, in the order in which people read them.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    let rows = table::VALUES.iter().chain(cloud_init::ROWS).chain(data::ROWS).chain(table::OWN);
    #[cfg(test)]
    let rows = rows.chain(probe::ROWS);
    rows
}

/// Those of them that stand for this key.
pub fn rows_of_key(key: Key) -> &'static [&'static Row] {
    static OF_KEYS: LazyLock<BTreeMap<Key, Vec<&'static Row>>> = LazyLock::new(|| {
        let of = |key: Key| rows().filter(|row| row.key == Some(key)).collect();
        Key::ALL.into_iter().map(|key| (key, of(key))).collect()
    });
    OF_KEYS.get(&key).map_or(&[], Vec::as_slice)
}

/// The rows that a change of this name, and of this part if it has one, stands for.
pub fn rows_of<'n>(name: &'n str, part: &'n str) -> impl Iterator<Item = &'static Row> + use<'n> {
    rows().filter(move |row| row.name == name && (part.is_empty() || row.part == part)).chain(listed::row(name))
}

/// All rows that matter for a VM: those of every VM, then those of the options that the file sets by Proxmox's own
/// names, or that phoenix set and the file does not say any more. `live`: the VM, if it is there.
pub fn rows_for<'v>(
    desired: &'v DesiredVm,
    live: Option<&'v VmObserved>,
) -> impl Iterator<Item = &'static Row> + use<'v> {
    let (there, new) = match live {
        Some(live) => (Some(listed::of(desired, live)), None),
        None => (None, Some(listed::of_file(desired))),
    };
    rows().chain(there.into_iter().flatten()).chain(new.into_iter().flatten())
}

/// All rows of which a record says what was applied.
pub fn rows_in(record: &Record) -> impl Iterator<Item = &'static Row> {
    rows().chain(listed::of_record(&record.applied))
}

/// What differs between a VM as desired and as it is: compared is the pending view, so a change that only waits for a
/// restart is not a change any more.
///
/// `fresh`: the VM was just cloned, and what its template gave it and should not have is taken back.
pub fn differing<'a>(desired: &'a DesiredVm, live: &'a VmObserved, fresh: bool) -> impl Iterator<Item = Differing<'a>> {
    rows_for(desired, Some(live)).filter_map(move |row| of_row(row, desired, live, fresh))
}

/// The write that gives a VM what the file wishes of these rows, of all of which only what differs is written. What
/// else the options say stays, the MAC address of a card among it.
///
/// `record` is what shall stand in the notes; `None` leaves the one that is there. `left_drive` is the volume of a
/// cloud-init drive that an interrupted run made and did not attach.
pub fn render(
    selected: impl Iterator<Item = &'static Row>,
    (desired, live, fresh): (&DesiredVm, &VmObserved, bool),
    left_drive: Option<&str>,
    record: Option<&Record>,
) -> Result<ConfigWrite, RecordError> {
    let mut edit = Edit::new(live, left_drive);
    for differing in selected.filter_map(|row| of_row(row, desired, live, fresh)) {
        differing.row.put(desired, differing.wish.value(), &mut edit);
    }
    edit.finish(record)
}

/// The slots of a running VM's disks that get what QEMU takes over at its next start, and that no pending value tells
/// of.
#[must_use]
pub fn late_slots(desired: &DesiredVm, live: &VmObserved) -> BTreeSet<String> {
    let late = |row: &&'static Row| {
        row.aspect == Aspect::Whole && row.option.is_some_and(|option| named::is_late(option, desired, live))
    };
    let rows = rows_for(desired, Some(live)).filter(late);
    rows.map(|row| row.option.and_then(|option| named::name(option, live)).unwrap_or_default().to_owned()).collect()
}

/// What the file calls what one of [`late_slots`] waits for.
#[must_use]
pub fn late_called(slot: &str, live: &VmObserved, desired: Option<&DesiredVm>) -> String {
    match &live.boot_disk {
        Some(disk) if disk.device == slot => Key::BootDiskOptions.name().to_owned(),
        _ => called(slot, &PendingChange { active: None, pending: None }, desired),
    }
}

/// What the file calls an option of Proxmox whose value changes: the one key that stands for it, or `proxmox.OPTION`
/// where the file sets it by that name; the option's own name where no key, or more than one, stands for the change.
#[must_use]
pub fn called(option: &str, change: &PendingChange, desired: Option<&DesiredVm>) -> String {
    // Which device is the boot disk is not known here.
    let named = desired.into_iter().flat_map(listed::of_file).filter(|row| row.options == [option]);
    let mut keys: Vec<&str> = rows()
        .filter(|row| row.key.is_some() && row.options.contains(&option))
        .filter(|row| row.key.is_none_or(|key| option != "net0" || rewires(key, change)))
        .chain(named)
        .map(Row::applied_as)
        .collect();
    keys.dedup();
    match (&keys[..], desired) {
        ([key], _) => (*key).to_owned(),
        (_, Some(vm)) if vm.networks.contains_key(option) => format!("{}{option}", proxmox::NETWORKS),
        (_, Some(vm)) if vm.disks.contains_key(option) => format!("{}{option}", proxmox::DISKS),
        _ => option.to_owned(),
    }
}

/// Whether a change of net0 is one of the part that a key stands for.
fn rewires(key: Key, change: &PendingChange) -> bool {
    let [before, after] = [&change.active, &change.pending].map(|value| value.as_deref().and_then(Net::parse));
    let (Some(before), Some(after)) = (before, after) else { return true };
    if key == Key::NetworkModel { before.model != after.model } else { before.bridge != after.bridge }
}

/// Whether phoenix looks after an option of Proxmox, whole or in part.
#[must_use]
pub fn is_own(option: &str) -> bool {
    rows().any(|row| row.kept != Kept::Not && row.options.contains(&option))
}

/// What a row wishes, if the VM has something else.
fn of_row<'a>(row: &'static Row, desired: &'a DesiredVm, live: &'a VmObserved, fresh: bool) -> Option<Differing<'a>> {
    let wish = match row.wished(desired, Some(live)) {
        Wish::Leave if fresh && (row.inherited)(desired, live) => Wish::Unset,
        Wish::Leave => return None,
        wish => wish,
    };
    let now = row.has(live);
    let same = match &wish {
        Wish::Value(value) => now.as_ref() == Some(value),
        Wish::Unset => now.is_none(),
        Wish::Leave => true,
    };
    (!same).then_some(Differing { row, now, wish })
}
