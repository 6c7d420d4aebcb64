//! The table of options: one row for each thing that a VM's configuration says and a file can wish for.
//!
//! What a plan shows, what is written, what the record keeps, what drifted, what `import` writes and what of a VM is
//! phoenix's own are folds over these rows.

mod cloud_init;
mod edit;
#[cfg(test)]
mod probe;
mod table;
mod value;

use std::borrow::Cow;
use std::collections::BTreeMap;

pub use self::cloud_init::{DRIVE, lacks_drive, new_drive};
pub use self::edit::{ConfigWrite, Edit};
pub use self::table::AGENT;
pub use self::value::{Value, Wish, gib};
use super::{Capabilities, RecordError, VmObserved};
use crate::model::{ActionKind, DesiredVm, Disruption, Key, Origin, Record};

/// One thing that a VM's configuration says and a file can wish for.
pub struct Row {
    /// The key of the file; `None`: phoenix sees to it by itself.
    pub key: Option<Key>,
    /// What people read where no key stands for it; else the key's name.
    pub name: &'static str,
    /// The part of the key, where its parts are wished for, and applied, each by itself; else empty.
    pub part: &'static str,
    /// Proxmox's options it stands in.
    pub options: &'static [&'static str],
    /// The action that applies it.
    pub step: ActionKind,
    /// What the VM has, in the pending view; `None`: it has none.
    pub read: for<'a> fn(&'a VmObserved) -> Option<Value<'a>>,
    /// What the file wishes; of a VM that is there (`Some`), or of one that is to be made.
    pub wish: for<'a> fn(&'a DesiredVm, Option<&VmObserved>) -> Wish<'a>,
    /// Whether a clone that was just made has it from its template, and must not keep it unless the file wishes for it.
    pub inherited: fn(&VmObserved) -> bool,
    /// Writes the wish into the options, merged into what else they say; `None`: that it is not set.
    pub write: fn(&DesiredVm, Option<&Value<'_>>, &mut Edit<'_>),
    /// How a running VM takes it over, and why so, or another word about it.
    pub uptake: for<'a> fn(&Taking<'a>) -> (Disruption, Cow<'a, str>),
    /// What the record knows of it.
    pub kept: Kept,
}

/// What a VM's record knows of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// What was applied last, under the row's part, or its key.
    Applied,
    /// Always this, once anything was applied.
    Always(&'static str),
    /// Nothing.
    Not,
}

/// What decides how a VM takes a value over.
#[derive(Debug, Clone, Copy)]
pub struct Taking<'a> {
    /// The VM as the file wishes it.
    pub desired: &'a DesiredVm,
    /// The VM as it is.
    pub live: &'a VmObserved,
    /// What the target can do.
    pub capabilities: &'a Capabilities,
    /// The source of a disk that moves is erased.
    pub delete_source: bool,
}

/// A row whose value is not as wished.
pub struct Differing<'a> {
    /// The row.
    pub row: &'static Row,
    /// What the VM has.
    pub now: Option<Value<'a>>,
    /// What is wished: never [`Wish::Leave`].
    pub wish: Wish<'a>,
}

/// All rows, in the order in which people read them.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    let rows = table::VALUES.iter().chain(cloud_init::ROWS).chain(table::OWN);
    #[cfg(test)]
    let rows = rows.chain(probe::ROWS);
    rows
}

/// The rows that a change of this name, and of this part if it has one, stands for.
pub fn rows_of<'n>(name: &'n str, part: &'n str) -> impl Iterator<Item = &'static Row> + use<'n> {
    rows().filter(move |row| row.name == name && (part.is_empty() || row.part == part))
}

/// What differs between a VM as wished and as it is: compared is the pending view, so a change that only waits for a restart
/// is not a change any more.
///
/// `fresh`: the VM was just cloned, and what its template gave it and should not have is taken back.
pub fn differing<'a>(desired: &'a DesiredVm, live: &'a VmObserved, fresh: bool) -> impl Iterator<Item = Differing<'a>> {
    rows().filter_map(move |row| row.differing(desired, live, fresh))
}

/// The write that gives a VM what the file wishes of these rows, of all of which only what differs is written. What else
/// the options say stays, the MAC address of a card among it.
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
    for differing in selected.filter_map(|row| row.differing(desired, live, fresh)) {
        (differing.row.write)(desired, differing.wish.value(), &mut edit);
    }
    edit.finish(record)
}

/// Whether phoenix looks after an option of Proxmox, whole or in part.
#[must_use]
pub fn is_own(option: &str) -> bool {
    rows().any(|row| row.kept != Kept::Not && row.options.contains(&option))
}

impl Row {
    /// A row that a key stands for, and that the configuration write applies at once. Whoever uses it says what to read,
    /// to wish and to write.
    const fn of(key: Key, options: &'static [&'static str]) -> Self {
        Self { key: Some(key), ..Self::own(key.name(), options) }
    }

    /// A row that no key stands for.
    const fn own(name: &'static str, options: &'static [&'static str]) -> Self {
        Self {
            key: None,
            name,
            part: "",
            options,
            step: ActionKind::Configure,
            read: |_| None,
            wish: |_, _| Wish::Leave,
            inherited: |_| false,
            write: |_, _, _| {},
            uptake: |_| (Disruption::Live, Cow::Borrowed("")),
            kept: Kept::Applied,
        }
    }

    /// Whether its name alone says what a file wishes: it is no part of a key, and nothing that phoenix sees to by itself.
    #[must_use]
    pub fn is_named_whole(&self) -> bool {
        self.part.is_empty() && self.kept == Kept::Applied
    }

    /// Where the wish comes from.
    #[must_use]
    pub fn origin(&self, desired: &DesiredVm) -> Origin {
        self.key.map_or(Origin::BuiltIn, |key| desired.origins.of(key))
    }

    /// The name under which the record keeps what was applied.
    #[must_use]
    pub fn applied_as(&self) -> &'static str {
        if self.part.is_empty() { self.name } else { self.part }
    }

    /// What the record says was applied last.
    #[must_use]
    pub fn applied<'r>(&self, applied: &'r BTreeMap<String, String>) -> Option<&'r str> {
        match self.kept {
            Kept::Applied => applied.get(self.applied_as()).map(String::as_str),
            Kept::Always(value) => (!applied.is_empty()).then_some(value),
            Kept::Not => None,
        }
    }

    fn differing<'a>(
        &'static self,
        desired: &'a DesiredVm,
        live: &'a VmObserved,
        fresh: bool,
    ) -> Option<Differing<'a>> {
        let wish = match (self.wish)(desired, Some(live)) {
            Wish::Leave if fresh && (self.inherited)(live) => Wish::Unset,
            Wish::Leave => return None,
            wish => wish,
        };
        let now = (self.read)(live);
        let same = match &wish {
            Wish::Value(value) => now.as_ref() == Some(value),
            Wish::Unset => now.is_none(),
            Wish::Leave => true,
        };
        (!same).then_some(Differing { row: self, now, wish })
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("name", &self.name).field("part", &self.part).finish_non_exhaustive()
    }
}

/// Nothing that a running VM notices.
fn at_once(taking: &Taking<'_>, note: &'static str) -> (Disruption, Cow<'static, str>) {
    (if taking.live.running { Disruption::Live } else { Disruption::None }, Cow::Borrowed(note))
}

/// A running VM has it after its next stop and start.
fn at_restart(taking: &Taking<'_>, note: &'static str) -> (Disruption, Cow<'static, str>) {
    if taking.live.running { (Disruption::Restart, Cow::Borrowed(note)) } else { (Disruption::None, Cow::Borrowed("")) }
}
