//! One row of the table.

use std::borrow::Cow;

use super::edit::Edit;
use super::taking::Taking;
use super::value::{Value, Wish};
use super::{disks, named};
use crate::model::proxmox::ProxmoxOption;
use crate::model::{ActionKind, Applied, DesiredVm, Disruption, Key, Origin, is_kept_as_digest};
use crate::observed::VmObserved;

/// One thing that a VM's configuration says and a file can wish for.
pub struct Row {
    /// The key of the file; `None`: phoenix sees to it by itself.
    pub key: Option<Key>,
    /// What people read where no key stands for it; else the key's name.
    pub name: &'static str,
    /// The part of the key, where its parts are desired, and applied, each by itself; else empty.
    pub part: &'static str,
    /// Proxmox's options it stands in.
    pub options: &'static [&'static str],
    /// The action that applies it.
    pub step: ActionKind,
    /// What the VM has, in the pending view; `None`: it has none.
    pub(super) read: for<'a> fn(&'a VmObserved) -> Option<Value<'a>>,
    /// What the file wishes; of a VM that is there (`Some`), or of one that is to be made.
    pub(super) wish: for<'a> fn(&'a DesiredVm, Option<&VmObserved>) -> Wish<'a>,
    /// Whether a clone that was just made has it from its template, and must not keep it unless the file wishes for it.
    pub(super) inherited: fn(&DesiredVm, &VmObserved) -> bool,
    /// Writes the wish into the options, merged into what else they say; `None`: that it is not set.
    pub(super) write: fn(&DesiredVm, Option<&Value<'_>>, &mut Edit<'_>),
    /// How a running VM takes it over, and why so, or another word about it.
    pub(super) uptake: for<'a> fn(&Taking<'a>) -> (Disruption, Cow<'a, str>),
    /// What the record knows of it.
    pub kept: Kept,
    /// The option of Proxmox that it stands for under its own name; then the functions above are those of the option.
    pub option: Option<&'static ProxmoxOption>,
    /// What of that option it stands for.
    pub(super) aspect: Aspect,
}

/// What of an option a row stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aspect {
    /// The option itself; of a disk, that it is there, and its options.
    Whole,
    /// The size of a further disk.
    Size,
    /// The storage that a further disk lies on.
    Storage,
}

/// What a VM's record knows of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// What was applied last, under the row's part, or its key.
    Applied,
    /// Always this, once anything was applied, unless the record names the row: then the file left it alone.
    Always(&'static str),
    /// Nothing.
    Not,
}

impl Row {
    /// A row that a key stands for, and that the configuration write applies at once. The caller says what to
    /// read, to wish and to write.
    pub(super) const fn of(key: Key, options: &'static [&'static str]) -> Self {
        Self { key: Some(key), ..Self::own(key.name(), options) }
    }

    /// A row that no key stands for.
    pub(super) const fn own(name: &'static str, options: &'static [&'static str]) -> Self {
        Self {
            key: None,
            name,
            part: "",
            options,
            step: ActionKind::Configure,
            read: |_| None,
            wish: |_, _| Wish::Leave,
            inherited: |_, _| false,
            write: |_, _, _| {},
            uptake: |_| (Disruption::Live, Cow::Borrowed("")),
            kept: Kept::Applied,
            option: None,
            aspect: Aspect::Whole,
        }
    }

    /// The action that applies it to a VM, or to one that is to be made: a further disk that becomes a copy of an image
    /// is made by one of its own.
    #[must_use]
    pub fn applied_by(&self, desired: &DesiredVm, live: Option<&VmObserved>) -> ActionKind {
        match self.option {
            Some(option) if self.aspect == Aspect::Whole && disks::is_copied(option, desired, live) => {
                ActionKind::ImportDisk
            }
            _ => self.step,
        }
    }

    /// What a VM has, in the pending view; `None`: it has none, or Proxmox's default.
    #[must_use]
    pub fn has<'a>(&self, live: &'a VmObserved) -> Option<Value<'a>> {
        match (self.option, self.aspect) {
            (Some(option), Aspect::Whole) => named::read(option, live),
            (Some(option), Aspect::Size) => disks::size(option, live),
            (Some(option), Aspect::Storage) => disks::storage(option, live),
            (None, _) => (self.read)(live),
        }
    }

    /// What the file wishes; of a VM that is there (`Some`), or of one that is to be made.
    #[must_use]
    pub fn wished<'a>(&self, desired: &'a DesiredVm, live: Option<&VmObserved>) -> Wish<'a> {
        match (self.option, self.aspect) {
            (Some(option), Aspect::Whole) => named::wish(option, desired, live),
            (Some(option), Aspect::Size) => disks::desired_size(option, desired, live),
            (Some(option), Aspect::Storage) => disks::desired_storage(option, desired, live),
            (None, _) => (self.wish)(desired, live),
        }
    }

    /// What a VM that is to be made of a template, or of an image, becomes by what the file says.
    #[must_use]
    pub fn becomes<'a>(&self, desired: &'a DesiredVm, template: Option<&VmObserved>) -> Wish<'a> {
        match (self.option, self.aspect) {
            (Some(option), Aspect::Whole) => named::becomes(option, desired, template),
            // A new disk says that itself.
            (Some(_), Aspect::Size | Aspect::Storage) => Wish::Leave,
            (None, _) => (self.wish)(desired, None),
        }
    }

    /// Writes the wish into the options; `None`: that it is not set.
    pub(super) fn put(&self, desired: &DesiredVm, value: Option<&Value<'_>>, edit: &mut Edit<'_>) {
        match self.option {
            Some(option) => named::put(option, desired, edit),
            None => (self.write)(desired, value, edit),
        }
    }

    /// How a VM takes the value that is desired over, and why so, or another word about it.
    #[must_use]
    pub fn taken<'a>(&self, taking: &Taking<'a>) -> (Disruption, Cow<'a, str>) {
        match (self.option, self.aspect) {
            (Some(option), Aspect::Whole) => named::taken(option, taking),
            (Some(option), Aspect::Size) => disks::grows(option, taking),
            (Some(option), Aspect::Storage) => disks::moves(option, taking),
            (None, _) => (self.uptake)(taking),
        }
    }

    /// Whether a value that a VM has is still the one that was applied, where a text can say so.
    #[must_use]
    pub fn still_has(&self, now: &str, applied: &str) -> bool {
        match self.option.filter(|_| self.aspect == Aspect::Whole) {
            Some(_) if now.is_empty() => applied.is_empty(),
            // What a digest stands for is not known.
            Some(_) if is_kept_as_digest(applied) => true,
            Some(option) => option.merged(now, applied, "") == option.own(now),
            None => now == applied,
        }
    }

    /// Whether its name alone says what a file wishes: it is no part of a key, and nothing that phoenix sees to by
    /// itself.
    #[must_use]
    pub fn is_named_whole(&self) -> bool {
        self.part.is_empty() && self.kept == Kept::Applied
    }

    /// Whether a VM has something here that one that is made from nothing, and of which the file says nothing, lacks.
    #[must_use]
    pub fn is_more_than_new(&self, desired: &DesiredVm, live: &VmObserved) -> bool {
        (self.inherited)(desired, live)
    }

    /// Where the wish comes from.
    #[must_use]
    pub fn origin(&self, desired: &DesiredVm) -> Origin {
        if let Some(option) = self.option {
            return desired.option(option).map_or(Origin::Vm, |value| value.origin.clone());
        }
        self.key.map_or(Origin::BuiltIn, |key| desired.origins.of(key))
    }

    /// The name under which the record keeps what was applied.
    #[must_use]
    pub fn applied_as(&self) -> &'static str {
        if self.part.is_empty() { self.name } else { self.part }
    }

    /// What the record says was applied last.
    #[must_use]
    pub fn applied<'r>(&self, applied: &'r Applied) -> Option<&'r str> {
        match self.kept {
            // Of a further disk whose move was begun it is not known.
            Kept::Applied if self.aspect == Aspect::Storage => {
                applied.get(self.applied_as()).filter(|storage| !storage.is_empty())
            }
            Kept::Applied => applied.get(self.applied_as()),
            Kept::Always(value) => (!applied.is_empty() && !applied.contains_key(self.applied_as())).then_some(value),
            Kept::Not => None,
        }
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("name", &self.name).field("part", &self.part).finish_non_exhaustive()
    }
}
