//! The rules for options of Proxmox by its own names.

use super::codes;
use super::owner::{Owner, owners};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawVm};
use crate::model::proxmox;

/// Applies the rules to every `proxmox`.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for (owner, vm) in owners(raw) {
        let before = problems.kept();
        options(owner, vm, problems);
        problems.since(before, vm.vm_id);
    }
}

fn options(owner: Owner<'_>, vm: &RawVm, problems: &mut Problems) {
    for (name, value) in vm.proxmox.iter().flatten().filter(|(_, value)| !value.is_null()) {
        // A name that is not known is the schema's to tell.
        let Some(option) = proxmox::option(name) else { continue };
        if let Err(wrong) = option.read(value) {
            let what = format!("{} {wrong}", shown(name));
            problems.push(Problem::new(codes::BAD_OPTION, what, owner.value(&format!("proxmox/{name}"))));
        }
    }
}
