//! Which of the declared VMs a command is about.

use crate::model::{DesiredVm, VmId};

/// Names VMs: by VMID, by name or by tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The VM with this VMID.
    Id(VmId),
    /// The VM with this name, or all VMs with this tag.
    Word(String),
}

/// `--only` and `--exclude`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these; empty means all.
    pub only: Vec<Selector>,
    /// Not these; stronger than `only`.
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
            Self::Word(word) => {
                let tag = word.to_ascii_lowercase();
                vm.vm_name == *word || vm.tags.contains(&tag)
            }
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

impl Selection {
    /// Whether the VM is selected.
    #[must_use]
    pub fn takes(&self, vm: &DesiredVm) -> bool {
        let named = |list: &[Selector]| list.iter().any(|selector| selector.names(vm));
        (self.only.is_empty() || named(&self.only)) && !named(&self.exclude)
    }

    /// The selectors that name none of the VMs: probably typing errors.
    #[must_use]
    pub fn unmatched<'s>(&'s self, vms: &[DesiredVm]) -> Vec<&'s Selector> {
        self.only.iter().chain(&self.exclude).filter(|selector| !vms.iter().any(|vm| selector.names(vm))).collect()
    }
}
