//! Every VM of a node, and what they take of its storages.

use std::collections::BTreeMap;

use super::files::{self, Reader};
use super::fresh;
use super::node::{AllVms, Embedded};
use super::storage;
use crate::hypervisor::{Fault, Hypervisor};
use crate::model::VmId;
use crate::observed::{Storage, VmObserved};

impl Embedded {
    /// The storages; with their use only where that matters, because it takes reading every VM.
    pub(super) fn storages(&self, with_use: bool) -> Result<BTreeMap<String, Storage>, Fault> {
        let storages = self.storages_with(&BTreeMap::new())?;
        if with_use && storages.values().any(|storage| storage.thick) {
            return self.storages_with(&self.read_all()?.1);
        }
        Ok(storages)
    }

    pub(super) fn storages_with(&self, used: &BTreeMap<String, u64>) -> Result<BTreeMap<String, Storage>, Fault> {
        let text = if self.is_unmade() {
            storage::fresh(&self.settings)
        } else {
            files::read(&self.dir.join("storage.cfg"))?.unwrap_or_default()
        };
        Ok(storage::parse_cfg(&text, &self.settings, used))
    }

    /// Reads every VM.
    pub(super) fn read_all(&self) -> Result<AllVms, Fault> {
        if self.is_unmade() {
            return fresh::vms(&self.settings);
        }
        let running = self.machines().running()?;
        let mut vms = BTreeMap::new();
        let mut used = BTreeMap::new();
        let confs = self.dir.join("qemu-server");
        let mut reader = Reader::default();
        for name in files::names(&confs)? {
            let Some(vm) = name.strip_suffix(".conf").and_then(|id| id.parse::<VmId>().ok()) else { continue };
            // One that went in this moment is gone.
            let Some(text) = reader.read(&confs.join(&name))? else { continue };
            storage::add_use(text, &mut used);
            vms.insert(vm, VmObserved::from_conf(vm, text, false).on(&self.settings.name));
        }
        for vm in running {
            if let Some(vm) = vms.get_mut(&vm) {
                vm.running = true;
            }
        }
        Ok((vms, used))
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
