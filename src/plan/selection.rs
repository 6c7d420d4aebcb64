//! What `--only` and `--exclude` name.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{DesiredVm, VmId};
use crate::observed::VmObserved;

/// Names VMs: by VMID, by name or by tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Selector {
    /// The VM with this VMID.
    Id(VmId),
    /// The VM with this name, or all VMs with this tag.
    Word(String),
}

/// `--only` and `--exclude`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Selection {
    /// Only these; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<Selector>,
    /// Not these; stronger than `only`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Selector>,
}

impl Selector {
    /// Reads a selector; digits are a VMID.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(id) => Self::Id(id),
            Err(_) => Self::Word(text.to_owned()),
        }
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Word(word) => f.write_str(word),
        }
    }
}

impl From<String> for Selector {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}

impl Selection {
    /// Whether it takes all VMs.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.only.is_empty() && self.exclude.is_empty()
    }

    /// The same, ready to be asked about many VMs.
    #[must_use]
    pub fn choice(&self) -> Choice {
        let only = (!self.only.is_empty()).then(|| Named::by(&self.only));
        Choice { only, exclude: Named::by(&self.exclude) }
    }
}

/// What a [`Selection`] takes.
#[derive(Debug)]
pub struct Choice {
    only: Option<Named>,
    exclude: Named,
}

impl Choice {
    /// Whether the VM is selected.
    #[must_use]
    pub fn takes(&self, vm: &DesiredVm) -> bool {
        let named = |by: &Named| by.has(vm.vm_id, &vm.vm_name, &vm.tags);
        self.only.as_ref().is_none_or(named) && !named(&self.exclude)
    }

    /// Whether the VM is left out by name.
    #[must_use]
    pub fn excludes(&self, vm: &DesiredVm) -> bool {
        self.exclude.has(vm.vm_id, &vm.vm_name, &vm.tags)
    }

    /// Whether a VM of the target, declared or not, is left out by name.
    #[must_use]
    pub fn excludes_live(&self, vm: &VmObserved) -> bool {
        self.exclude.has(vm.id, &vm.name, &vm.tags)
    }
}

/// What VMs are named by.
#[derive(Debug, Default)]
struct Named {
    ids: BTreeSet<VmId>,
    /// In lower case: names of hosts are compared in any case of letters, and tags are lower-case.
    words: BTreeSet<String>,
}

impl Named {
    fn by(selectors: &[Selector]) -> Self {
        let mut named = Self::default();
        for selector in selectors {
            match selector {
                Selector::Id(id) => named.ids.insert(*id),
                Selector::Word(word) => named.words.insert(word.to_ascii_lowercase()),
            };
        }
        named
    }

    fn has<'t>(&self, id: VmId, name: &str, tags: impl IntoIterator<Item = &'t String>) -> bool {
        let worded =
            || self.words.contains(&name.to_ascii_lowercase()) || tags.into_iter().any(|tag| self.words.contains(tag));
        self.ids.contains(&id) || (!self.words.is_empty() && worded())
    }
}
