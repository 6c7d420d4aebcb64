//! Every VM of a node, and what they take of its storages.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{self, Reader};
use super::fresh;
use super::node::{AllVms, Embedded};
use super::storage::{self, Used};
use crate::hypervisor::{Fault, Hypervisor};
use crate::model::VmId;
use crate::observed::{Storage, VmObserved};

impl Embedded {
    /// The storages of the node that the target stands on; with their use only where that matters, because it takes
    /// reading every VM.
    pub(super) fn storages(&self, with_use: bool) -> Result<BTreeMap<String, Storage>, Fault> {
        self.storages_on(&self.settings.name, with_use)
    }

    /// The same, of the node that a VM is on.
    pub(super) fn storages_of(&self, vm: VmId, with_use: bool) -> Result<BTreeMap<String, Storage>, Fault> {
        self.storages_on(self.room_of(vm).name, with_use)
    }

    /// The same, of a node.
    pub(super) fn storages_on(&self, node: &str, with_use: bool) -> Result<BTreeMap<String, Storage>, Fault> {
        let storages = self.storages_with(node, &Used::new())?;
        if with_use && storages.values().any(|storage| storage.thick) {
            return self.storages_with(node, &self.read_all()?.1);
        }
        Ok(storages)
    }

    pub(super) fn storages_with(&self, node: &str, used: &Used) -> Result<BTreeMap<String, Storage>, Fault> {
        let text = if self.is_unmade() {
            storage::fresh(&self.settings)
        } else {
            files::read(&self.dir.join("storage.cfg"))?.unwrap_or_default()
        };
        Ok(storage::parse_cfg(&text, node, &self.settings, used))
    }

    /// Reads every VM. Whether one of a node that is not online runs, is not known: it counts as stopped.
    pub(super) fn read_all(&self) -> Result<AllVms, Fault> {
        if self.is_unmade() {
            return fresh::vms(&self.settings);
        }
        let running: BTreeSet<VmId> = self.machines().running()?.into_iter().collect();
        // A map made of a whole list has full nodes; one that grows has half-full ones.
        let mut vms = Vec::new();
        let mut used = Used::new();
        let mut reader = Reader::default();
        for (node, confs) in self.confs_of_nodes() {
            let names = files::names(&confs)?;
            vms.reserve_exact(names.len());
            for name in names {
                let Some(vm) = name.strip_suffix(".conf").and_then(|id| id.parse::<VmId>().ok()) else { continue };
                // One that was removed in this moment is gone.
                let Some(file) = reader.bytes(&confs.join(&name))? else { continue };
                storage::add_use(&String::from_utf8_lossy(file), node.name, &mut used);
                let runs = node.online && running.contains(&vm);
                vms.push((vm, VmObserved::from_file(vm, file, runs).on(node.name)));
            }
        }
        Ok((vms.into_iter().collect(), used))
    }

    /// Looks again at VMs that were locked by a clone when they were read: the clone may have ended since, and a VM
    /// that only seems to be left over must not be called so.
    pub(super) fn settle(&self, vms: &mut BTreeMap<VmId, VmObserved>, cloning: &mut Vec<VmId>) -> Result<(), Fault> {
        let locked = |vm: &&mut VmObserved| vm.lock.as_deref() == Some("clone");
        for vm in vms.values_mut().filter(locked) {
            loop {
                if self.tasks.clones()?.0.contains(&vm.id) {
                    cloning.push(vm.id);
                    break;
                }
                let Some(now) = Hypervisor::vm(self, vm.id)? else { break };
                let same = now.digest == vm.digest;
                *vm = now;
                if same || vm.lock.as_deref() != Some("clone") {
                    break;
                }
            }
        }
        cloning.sort_unstable();
        cloning.dedup();
        Ok(())
    }
}
