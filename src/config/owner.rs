//! The object that a value of a VM is written in.

use super::raw::{Raw, RawProfiles, RawVm};
use super::spans::{Place, escaped};

/// `vm_defaults`, a profile or a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner<'r> {
    /// `vm_defaults`.
    Defaults,
    /// The profile of this name.
    Profile(&'r str),
    /// An entry of `virtual_machines`.
    Vm(usize),
}

impl Owner<'_> {
    pub(super) fn pointer(self) -> String {
        match self {
            Self::Defaults => "/vm_defaults".to_owned(),
            Self::Profile(name) => format!("/profiles/{}", escaped(name)),
            Self::Vm(n) => format!("/virtual_machines/{n}"),
        }
    }

    /// The place of a value below it.
    pub(super) fn value(self, below: &str) -> Place {
        Place::value(format!("{}/{below}", self.pointer()))
    }

    /// Whether what it says is for one VM alone.
    pub(super) fn is_vm(self) -> bool {
        matches!(self, Self::Vm(_))
    }
}

/// Every object with values of VMs: the defaults, the profiles, then the VMs.
pub(super) fn owners(raw: &Raw) -> impl Iterator<Item = (Owner<'_>, &RawVm)> {
    let defaults = raw.vm_defaults.iter().map(|vm| (Owner::Defaults, vm));
    let profiles = raw.profiles.iter().map(|(name, vm)| (Owner::Profile(name), vm));
    let vms = raw.virtual_machines.iter().enumerate().map(|(n, vm)| (Owner::Vm(n), vm));
    defaults.chain(profiles).chain(vms)
}

/// The objects that say what a VM is, from the nearest: itself, its profiles, the defaults.
pub(super) fn layers(raw: &Raw, n: usize) -> impl Iterator<Item = (Owner<'_>, &RawVm)> {
    let own = raw.virtual_machines.get(n);
    let names = own.and_then(|vm| vm.profile.as_ref()).map_or(&[][..], RawProfiles::names);
    let profiles = names.iter().rev().filter_map(|name| raw.profiles.get_key_value(name));
    let profiles = profiles.map(|(name, vm)| (Owner::Profile(name), vm));
    let defaults = raw.vm_defaults.iter().map(|vm| (Owner::Defaults, vm));
    own.map(|vm| (Owner::Vm(n), vm)).into_iter().chain(profiles).chain(defaults)
}

/// What a VM ends up with of a key, and where that is written.
pub(super) fn said<'r, T>(raw: &'r Raw, n: usize, key: impl Fn(&'r RawVm) -> Option<T>) -> Option<(Owner<'r>, T)> {
    layers(raw, n).find_map(|(owner, vm)| Some((owner, key(vm)?)))
}
