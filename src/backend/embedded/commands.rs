//! What people do with the VMs of a node and phoenix does not, or not in these steps: `qm stop`, `qm destroy`, …
//!
//! The programs of tests that stand in for Proxmox's own are made of this.

use std::time::Duration;

use super::files::Deadline;
use super::refusals::{refused, unchanged, unlocked};
use super::rehearse::{Attempt, Call};
use super::{Embedded, options};
use crate::hypervisor::{Fault, FaultKind, FileOp, HostOp};
use crate::model::{Digest, VmId};
use crate::observed::{Conf, ConfigWrite, holds_volume, volume_of};

/// One command of the node's own programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `qm set VM --KEY VALUE… [--delete …] [--digest …]`
    Set {
        /// The VM.
        vm: VmId,
        /// What to set and delete.
        write: ConfigWrite,
        /// Digest the configuration must still have.
        digest: Option<Digest>,
    },
    /// `qm set VM --revert KEY,… [--digest …]`
    Revert {
        /// The VM.
        vm: VmId,
        /// Options whose pending changes are dropped.
        keys: Vec<String>,
        /// Digest the configuration must still have.
        digest: Option<Digest>,
    },
    /// `qm disk resize VM DISK BYTES`, or `+BYTES`.
    Resize {
        /// The VM.
        vm: VmId,
        /// Disk, e.g. `scsi0`.
        disk: String,
        /// Bytes.
        size: u64,
        /// Whether the bytes are added to what there is.
        more: bool,
    },
    /// `qm create VM --name … --description …`
    Create {
        /// The VM.
        vm: VmId,
        /// Its name.
        name: String,
        /// Its notes.
        description: String,
    },
    /// `qm cloudinit update VM`
    UpdateCloudInit {
        /// The VM.
        vm: VmId,
    },
    /// `qm unlock VM`
    Unlock {
        /// The VM.
        vm: VmId,
    },
    /// `qm stop VM`
    Stop {
        /// The VM.
        vm: VmId,
    },
    /// `qm shutdown VM`
    Shutdown {
        /// The VM.
        vm: VmId,
    },
    /// `qm destroy VM [--purge 1] [--destroy-unreferenced-disks 1]`
    Destroy {
        /// The VM.
        vm: VmId,
        /// Also forget it in backup jobs and the like.
        purge: bool,
        /// Also erase its volumes that no configuration names.
        unreferenced: bool,
    },
}

/// Whether a write makes a disk as a copy of an image.
fn imports(write: &ConfigWrite) -> bool {
    let imports = |(key, value): (&String, &String)| holds_volume(key) && value.contains(":0,import-from=");
    write.set.iter().any(imports)
}

impl Command {
    fn call(&self) -> Call {
        let (op, vm) = match self {
            // One of the steps in which `qm` removes what an interrupted clone left.
            Self::Set { vm, write, .. } if write.delete.is_empty() && write.set.keys().eq(["protection"]) => {
                ("unprotect", vm)
            }
            Self::Set { vm, write, .. } if imports(write) => {
                // The one that makes a VM says in the same write what it boots from.
                (if write.set.contains_key("boot") { "import-disk" } else { "import-further" }, vm)
            }
            Self::Set { vm, .. } => ("configure", vm),
            Self::Create { vm, .. } => ("create", vm),
            Self::Revert { vm, .. } => ("revert", vm),
            Self::Resize { vm, .. } => ("resize", vm),
            Self::UpdateCloudInit { vm } => ("update-cloud-init", vm),
            Self::Unlock { vm } => ("unlock", vm),
            Self::Stop { vm } => ("stop", vm),
            Self::Shutdown { vm } => ("shutdown", vm),
            Self::Destroy { vm, purge: true, unreferenced: false } => ("destroy", vm),
            // The last of them.
            Self::Destroy { vm, .. } => ("remove-leftover", vm),
        };
        Call { op, vms: vec![vm.get()], program: String::new() }
    }
}

impl Embedded {
    /// Carries out one command and returns when it has ended.
    pub fn execute(&self, command: &Command, deadline: Duration) -> Result<(), Fault> {
        let call = command.call();
        let attempt = self.begin_call(&call, Deadline::after(deadline))?;
        self.may_do(&call, attempt)?;
        let power = match command {
            Command::Stop { vm } => Some(HostOp::Stop { vm: *vm }),
            Command::Shutdown { vm } => Some(HostOp::Shutdown { vm: *vm }),
            _ => None,
        };
        if power.map_or(Ok(false), |op| self.hands_on(&op, attempt))? {
            return attempt.after(Ok(()));
        }
        attempt.after(match command {
            Command::Set { vm, write, digest } => self.configure(*vm, write, digest.as_ref(), attempt),
            Command::Revert { vm, keys, digest } => self.revert(*vm, keys, digest.as_ref(), attempt),
            Command::Resize { vm, disk, size, more } => {
                let wanted = |old: u64| if *more { old.saturating_add(*size) } else { *size };
                self.grow(*vm, disk, &wanted, attempt)
            }
            Command::Create { vm, name, description } => self.create_vm(*vm, name, description, attempt),
            Command::UpdateCloudInit { vm } => self.update_cloud_init(*vm, attempt),
            Command::Unlock { vm } => self.unlock(*vm, attempt),
            Command::Stop { vm } => self.stop_vm(*vm, attempt),
            Command::Shutdown { vm } => self.shutdown_vm(*vm, attempt),
            Command::Destroy { vm, unreferenced, purge } => {
                if !purge {
                    self.not_ha(*vm)?;
                }
                self.destroy(*vm, None, *unreferenced, attempt)
            }
        })
    }

    /// Lets another program carry out an operation, with the failures that are scripted for it.
    pub fn rehearse(&self, op: &HostOp, carry_out: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
        self.rehearse_call(&Call::of(op), carry_out)
    }

    /// Lets another program carry out an operation on files, with the failures that are scripted for it.
    pub fn rehearse_files(&self, op: &FileOp, carry_out: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
        self.rehearse_call(&Call::of_files(op), carry_out)
    }

    fn rehearse_call(&self, call: &Call, carry_out: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
        let attempt = self.begin_call(call, Deadline::after(Duration::MAX))?;
        attempt.halfway()?;
        attempt.after(carry_out())
    }

    /// Whether a VM has an option of this name.
    #[must_use]
    pub fn is_option(key: &str) -> bool {
        options::is_known(key)
    }

    /// The log of a task, running or ended. `None`: there is no such task.
    pub fn task_log(&self, upid: &str) -> Result<Option<String>, Fault> {
        self.tasks.log(upid)
    }

    /// Drops changes that wait for the next start.
    pub(super) fn revert(
        &self,
        vm: VmId,
        keys: &[String],
        digest: Option<&Digest>,
        attempt: Attempt,
    ) -> Result<(), Fault> {
        let unknown = keys.iter().filter(|key| !options::is_known(key) && !holds_volume(key));
        let wrong: Vec<String> = unknown.map(|key| format!("revert: unknown option '{key}'")).collect();
        if !wrong.is_empty() {
            return Err(refused(&wrong));
        }
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.existing(vm)?;
        unchanged(&text, digest)?;
        let mut conf = Conf::parse(&text);
        unlocked(&conf)?;
        for key in keys {
            conf.clear_pending(key);
        }
        attempt.halfway()?;
        self.write_conf(vm, &conf.to_string())
    }

    /// Takes the lock out of a configuration, whatever put it there.
    fn unlock(&self, vm: VmId, attempt: Attempt) -> Result<(), Fault> {
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.existing(vm)?;
        let mut conf = Conf::parse(&text);
        conf.remove("lock");
        attempt.halfway()?;
        self.write_conf(vm, &conf.to_string())
    }

    /// Switches a VM off. One that is off is fine. What waits goes on waiting.
    pub(super) fn stop_vm(&self, vm: VmId, attempt: Attempt) -> Result<(), Fault> {
        self.end_vm("qmstop", vm, attempt)
    }

    /// Asks a guest to shut down: at once if it is up, in vain if not. A VM that is off is fine.
    pub(super) fn shutdown_vm(&self, vm: VmId, attempt: Attempt) -> Result<(), Fault> {
        self.end_vm("qmshutdown", vm, attempt)
    }

    fn end_vm(&self, kind: &str, vm: VmId, attempt: Attempt) -> Result<(), Fault> {
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.existing(vm)?;
        let conf = Conf::parse(&text);
        unlocked(&conf)?;
        if !self.runs(vm)? {
            return Ok(());
        }
        let task = self.tasks.begin(kind, vm, "")?;
        let end = || {
            attempt.halfway()?;
            match kind {
                "qmshutdown" => self.machines().shutdown(vm, &conf, attempt.deadline)?,
                _ => self.machines().stop(vm, attempt.deadline)?,
            }
            self.nfs().rest()
        };
        task.end(end())
    }

    /// Removes a VM or template that is stopped, and neither locked nor protected.
    pub(super) fn destroy(
        &self,
        vm: VmId,
        digest: Option<&Digest>,
        unreferenced: bool,
        attempt: Attempt,
    ) -> Result<(), Fault> {
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.as_read(vm, digest)?;
        let conf = Conf::parse(&text);
        let refused = |what: String| Err(Fault::harmless(FaultKind::Refused, what));
        if conf.get("protection") == Some("1") {
            return refused(format!("can't remove VM {vm} - protection mode enabled"));
        }
        if self.runs(vm)? {
            return refused(format!("VM {vm} is running - destroy failed"));
        }
        if conf.get("template") == Some("1")
            && let Some(base) = self.base_in_use(vm, &conf)?
        {
            return refused(format!("base volume '{base}' is still in use by linked cloned"));
        }
        self.erase(vm, &conf, unreferenced, attempt)
    }

    /// A volume of a template that a linked clone is built on.
    pub(super) fn base_in_use(&self, template: VmId, conf: &Conf<'_>) -> Result<Option<String>, Fault> {
        let bases: Vec<&str> =
            conf.entries().filter(|(key, _)| holds_volume(key)).filter_map(|(_, drive)| volume_of(drive)).collect();
        for (vm, text) in self.all_confs()? {
            if vm != template
                && let Some(base) = bases.iter().find(|base| text.contains(&format!(": {base}/")))
            {
                return Ok(Some((*base).to_owned()));
            }
        }
        Ok(None)
    }
}
