//! The object that a value of a VM is written in.

use super::raw::{Raw, RawVm};
use super::spans::Place;

/// `vm_defaults` or a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// `vm_defaults`.
    Defaults,
    /// An entry of `virtual_machines`.
    Vm(usize),
}

impl Owner {
    pub(super) fn pointer(self) -> String {
        match self {
            Self::Defaults => "/vm_defaults".to_owned(),
            Self::Vm(n) => format!("/virtual_machines/{n}"),
        }
    }

    /// The place of a value below it.
    pub(super) fn value(self, below: &str) -> Place {
        Place::value(format!("{}/{below}", self.pointer()))
    }
}

/// Every object with values of VMs: the defaults, then the VMs.
pub(super) fn owners(raw: &Raw) -> impl Iterator<Item = (Owner, &RawVm)> {
    let defaults = raw.vm_defaults.iter().map(|vm| (Owner::Defaults, vm));
    defaults.chain(raw.virtual_machines.iter().enumerate().map(|(n, vm)| (Owner::Vm(n), vm)))
}
