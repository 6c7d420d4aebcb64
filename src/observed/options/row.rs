//! One row of the table.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::edit::Edit;
use super::value::{Value, Wish};
use crate::model::{ActionKind, DesiredVm, Disruption, Key, Origin};
use crate::observed::{Capabilities, VmObserved};

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

impl Row {
    /// A row that a key stands for, and that the configuration write applies at once. Whoever uses it says what to
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
            inherited: |_| false,
            write: |_, _, _| {},
            uptake: |_| (Disruption::Live, Cow::Borrowed("")),
            kept: Kept::Applied,
        }
    }

    /// Whether its name alone says what a file wishes: it is no part of a key, and nothing that phoenix sees to by
    /// itself.
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
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("name", &self.name).field("part", &self.part).finish_non_exhaustive()
    }
}

/// Nothing that a running VM notices.
pub(super) fn at_once(taking: &Taking<'_>, note: &'static str) -> (Disruption, Cow<'static, str>) {
    (if taking.live.running { Disruption::Live } else { Disruption::None }, Cow::Borrowed(note))
}

/// A running VM has it after its next stop and start.
pub(super) fn at_restart(taking: &Taking<'_>, note: &'static str) -> (Disruption, Cow<'static, str>) {
    if taking.live.running { (Disruption::Restart, Cow::Borrowed(note)) } else { (Disruption::None, Cow::Borrowed("")) }
}
