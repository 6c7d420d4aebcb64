//! What a target exports.

use std::collections::BTreeMap;

use super::Mount;
use crate::model::VmId;
use crate::observed::{Export, Observed};

/// What a target exports, looked through once for all VMs.
pub(super) struct Exports<'a> {
    /// The exports of phoenix's, by VM.
    pub own: BTreeMap<VmId, Vec<&'a Export>>,
    /// The exports of everybody else.
    pub others: Vec<&'a Export>,
}

impl<'a> Exports<'a> {
    pub(super) fn of(observed: &'a Observed) -> Self {
        let mut exports = Self { own: BTreeMap::new(), others: Vec::new() };
        for export in &observed.exports {
            match export.vm {
                Some(vm) => exports.own.entry(vm).or_default().push(export),
                None => exports.others.push(export),
            }
        }
        exports
    }

    /// Phoenix's exports to a VM.
    pub(super) fn own_of(&self, vm: VmId) -> &[&'a Export] {
        self.own.get(&vm).map_or(&[], Vec::as_slice)
    }

    /// Whether an export that is not phoenix's gives the directory to every address.
    pub(super) fn is_open(&self, mount: &Mount) -> bool {
        self.others.iter().any(|export| export.is_open(&mount.export))
    }
}
