//! What `--only` and `--exclude` name.

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

    /// Whether it names the VM.
    #[must_use]
    pub fn names(&self, vm: &DesiredVm) -> bool {
        match self {
            Self::Id(id) => vm.vm_id == *id,
            Self::Word(word) => is_name(word, &vm.vm_name) || is_tag(word, &vm.tags),
        }
    }

    /// Whether it names a VM of the target, declared or not.
    #[must_use]
    pub fn names_live(&self, vm: &VmObserved) -> bool {
        match self {
            Self::Id(id) => vm.id == *id,
            Self::Word(word) => is_name(word, &vm.name) || is_tag(word, &vm.tags),
        }
    }
}

/// Whether a word is the name of a VM, in any case of letters, as names of hosts are compared.
#[must_use]
pub fn is_name(word: &str, name: &str) -> bool {
    name.eq_ignore_ascii_case(word)
}

/// Whether a word is one of a VM's tags, which are lower-case.
#[must_use]
pub fn is_tag<'t>(word: &str, tags: impl IntoIterator<Item = &'t String>) -> bool {
    let word = word.to_ascii_lowercase();
    tags.into_iter().any(|tag| *tag == word)
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

    /// Whether the VM is selected.
    #[must_use]
    pub fn takes(&self, vm: &DesiredVm) -> bool {
        let named = |list: &[Selector]| list.iter().any(|selector| selector.names(vm));
        (self.only.is_empty() || named(&self.only)) && !named(&self.exclude)
    }
}
