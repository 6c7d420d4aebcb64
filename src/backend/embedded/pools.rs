//! Resource pools: `user.cfg`, in Proxmox's syntax. People add pools to it; phoenix adds and removes VMs.

use super::super::proxmox::pools::{self, Pools};
use super::files;
use super::node::Embedded;
use super::rehearse::Attempt;
use crate::hypervisor::{Fault, FaultKind};
use crate::model::VmId;

/// The file with the pools.
pub(super) const FILE: &str = "user.cfg";

impl Embedded {
    /// The file with the pools, as it is.
    fn users(&self) -> Result<String, Fault> {
        Ok(files::read(&self.dir.join(FILE))?.unwrap_or_default())
    }

    /// The pools and who is in them.
    pub(super) fn pools(&self) -> Result<Pools, Fault> {
        Ok(pools::parse(&self.users()?))
    }

    /// Puts a VM into a pool and takes it out of every other one, as `PUT /pools` does (recorded): a VM of another pool
    /// is taken only from where it is said to be.
    pub(super) fn set_pool(
        &self,
        vm: VmId,
        (from, to): (Option<&str>, Option<&str>),
        attempt: Attempt,
    ) -> Result<(), Fault> {
        let _lock = files::lock(&self.dir.join("locks/user.cfg"), attempt.deadline)?;
        let text = self.users()?;
        let pools = pools::parse(&text);
        let refused = |why: String| Err(Fault::harmless(FaultKind::Refused, format!("update pools failed: {why}")));
        for pool in [to, from].into_iter().flatten() {
            if !pools.names.contains(pool) {
                return refused(format!("pool '{pool}' does not exist"));
            }
        }
        match (pools.members.get(&vm), from, to) {
            (Some(now), _, Some(to)) if now == to => return refused(format!("VM {vm} is already a pool member")),
            (Some(now), None, Some(_)) => {
                return refused(format!("VM {vm} belongs already to pool '{now}' and 'allow-move' is not set"));
            }
            (now, Some(from), None) if now.map(String::as_str) != Some(from) => {
                return refused(format!("VM {vm} is not a pool member"));
            }
            _ => {}
        }
        attempt.halfway()?;
        self.write_members(&text, vm, to)
    }

    /// Takes a VM that is removed out of its pool.
    pub(super) fn leave_pool(&self, vm: VmId, attempt: Attempt) -> Result<(), Fault> {
        if !self.pools()?.members.contains_key(&vm) {
            return Ok(());
        }
        let _lock = files::lock(&self.dir.join("locks/user.cfg"), attempt.deadline)?;
        self.write_members(&self.users()?, vm, None)
    }

    /// Writes the file with a VM in this pool and in no other; every other line stays as it is.
    fn write_members(&self, text: &str, vm: VmId, to: Option<&str>) -> Result<(), Fault> {
        let id = vm.to_string();
        let line = |line: &str| {
            let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
            if fields.first().map(String::as_str) != Some("pool") || fields.len() < 4 {
                return line.to_owned();
            }
            let mut vms: Vec<&str> = fields[3].split(',').filter(|other| !other.is_empty() && *other != id).collect();
            if to == Some(fields[1].as_str()) {
                vms.push(&id);
                vms.sort_by_key(|vm| vm.parse::<u32>().unwrap_or(u32::MAX));
            }
            fields[3] = vms.join(",");
            fields.join(":")
        };
        let text: String = text.lines().map(|text| line(text) + "\n").collect();
        files::replace(&self.dir.join(FILE), &self.dir.join("tmp").join(FILE), &text)
    }
}
