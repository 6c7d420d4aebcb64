//! The HA manager: `ha/resources.cfg` says which VMs it looks after, `ha/manager_status` how it finds them, in
//! Proxmox's syntax. People add VMs to it; here it only does what it is asked, and starts nothing that broke down.
//!
//! As on Proxmox (recorded), a call for such a VM is only handed on to it. It waits in `ha/queue/VMID`, and is carried
//! out in the second look at that VM: later, and always at the same moment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::proxmox::ha::{Status, resources, with};
use super::Embedded;
use super::cluster::Migration;
use super::files::{self, Deadline};
use super::rehearse::Attempt;
use crate::hypervisor::{Fault, FaultKind, HostOp};
use crate::model::{HaState, HaWish, VmId};
use crate::observed::Ha;

/// The directory of all that.
pub(super) const DIR: &str = "ha";

/// After so many looks a call is carried out.
const LOOKS: u32 = 2;

impl Embedded {
    fn ha(&self, name: &str) -> PathBuf {
        self.dir.join(DIR).join(name)
    }

    fn queued(&self, vm: VmId) -> PathBuf {
        self.ha("queue").join(vm.to_string())
    }

    /// How it finds VMs and nodes.
    pub(super) fn ha_status(&self) -> Result<Status, Fault> {
        Status::parse(&files::read(&self.ha("manager_status"))?.unwrap_or_default())
    }

    /// The VMs that it looks after.
    pub(super) fn managed(&self) -> Result<BTreeMap<VmId, Ha>, Fault> {
        let Some(text) = files::read(&self.ha("resources.cfg"))? else { return Ok(BTreeMap::new()) };
        let status = self.ha_status()?;
        Ok(resources(&text).into_iter().map(|(vm, state)| (vm, status.of(vm, &state))).collect())
    }

    /// Hands a call on to the HA manager, if it looks after the VM: it gets another state to keep the VM in, and acts
    /// later. `false`: the call is the node's own.
    pub(super) fn hands_on(&self, op: &HostOp, attempt: Attempt) -> Result<bool, Fault> {
        let (vm, task, what, state) = match op {
            HostOp::Start { vm } => (*vm, "hastart", "start".to_owned(), Some("started")),
            HostOp::Shutdown { vm } => (*vm, "hastop", "shutdown".to_owned(), Some("stopped")),
            HostOp::Stop { vm } => (*vm, "hastop", "stop".to_owned(), Some("stopped")),
            HostOp::Migrate { vm, node, online, .. } => {
                (*vm, "hamigrate", format!("migrate {node} {}", u8::from(*online)), None)
            }
            _ => return Ok(false),
        };
        let Some(ha) = self.managed()?.remove(&vm).filter(Ha::acts) else { return Ok(false) };
        self.existing(vm)?;
        if let HostOp::Migrate { node, .. } = op {
            self.online(node)?;
        }
        let task = self.tasks.begin(task, vm, "")?;
        let handed_on = || {
            if ha.has_failed() {
                let what = format!("service 'vm:{vm}' in error state, must be disabled and fixed first");
                return Err(Fault::harmless(FaultKind::Failed, what));
            }
            attempt.halfway()?;
            let _lock = self.lock_ha(attempt.deadline)?;
            self.queue(vm, &what)?;
            state.map_or(Ok(()), |state| self.write_resource(vm, Some(&[("state", state.to_owned())])))
        };
        task.end(handed_on())?;
        Ok(true)
    }

    fn lock_ha(&self, deadline: Deadline) -> Result<files::Lock, Fault> {
        files::lock(&self.dir.join("locks/ha"), deadline)
    }

    /// Takes a VM that is removed from it.
    pub(super) fn leave_ha(&self, vm: VmId, attempt: Attempt) -> Result<(), Fault> {
        if !self.managed()?.contains_key(&vm) {
            return Ok(());
        }
        let _lock = self.lock_ha(attempt.deadline)?;
        files::remove(&self.queued(vm))?;
        self.write_resource(vm, None)
    }

    /// Refuses to remove a VM that it looks after, in Proxmox's words (recorded).
    pub(super) fn not_ha(&self, vm: VmId) -> Result<(), Fault> {
        if !self.managed()?.contains_key(&vm) {
            return Ok(());
        }
        let what = format!("unable to remove VM {vm} - used in HA resources and purge parameter not set.");
        Err(Fault::harmless(FaultKind::Refused, what))
    }

    /// Puts a VM under it, or changes how it looks after the VM, as `POST` and `PUT` of `/cluster/ha/resources` do
    /// (recorded). It acts later where the VM is to be switched on or off; what it gave up on, `disabled` makes good.
    pub(super) fn set_ha(&self, vm: VmId, (ha, is_new): (&HaWish, bool), attempt: Attempt) -> Result<(), Fault> {
        let refused = |what: String| Err(Fault::harmless(FaultKind::Refused, what));
        if self.conf_text(vm)?.is_none() {
            return refused(format!("resource 'vm:{vm}' does not exist in cluster"));
        }
        let _lock = self.lock_ha(attempt.deadline)?;
        match (self.managed()?.contains_key(&vm), is_new) {
            (true, true) => return refused(format!("create resource failed: resource ID 'vm:{vm}' already defined")),
            (false, false) => return refused(format!("the HA manager does not look after VM {vm}")),
            _ => {}
        }
        attempt.halfway()?;
        let tries = |tries: u32| tries.to_string();
        self.write_resource(
            vm,
            Some(&[
                ("state", ha.state.to_string()),
                ("max_restart", tries(ha.max_restart)),
                ("max_relocate", tries(ha.max_relocate)),
            ]),
        )?;
        if ha.state == HaState::Disabled {
            self.forget_error(vm)?;
        }
        match ha.state.runs() {
            Some(runs) if runs != self.runs(vm)? => self.queue(vm, if runs { "start" } else { "shutdown" }),
            _ => Ok(()),
        }
    }

    /// Takes a VM out of it, as `DELETE` of `/cluster/ha/resources` does (recorded).
    pub(super) fn take_from_ha(&self, vm: VmId, attempt: Attempt) -> Result<(), Fault> {
        if !self.managed()?.contains_key(&vm) {
            let what = format!("cannot delete service 'vm:{vm}', not HA managed!");
            return Err(Fault::harmless(FaultKind::Refused, what));
        }
        attempt.halfway()?;
        self.leave_ha(vm, attempt)?;
        self.forget_error(vm)
    }

    fn write_resource(&self, vm: VmId, wish: Option<&[(&str, String)]>) -> Result<(), Fault> {
        let path = self.ha("resources.cfg");
        files::make_dir(&self.ha(""))?;
        let text = with(&files::read(&path)?.unwrap_or_default(), vm, wish);
        files::replace(&path, &self.dir.join("tmp/ha-resources"), &text)
    }

    /// What it is to do with a VM, later.
    fn queue(&self, vm: VmId, what: &str) -> Result<(), Fault> {
        files::make_dir(&self.ha("queue"))?;
        if what.starts_with("migrate ") {
            self.finds(vm, "migrate")?;
        }
        files::replace(&self.queued(vm), &self.dir.join(format!("tmp/ha-{vm}")), &format!("{LOOKS} {what}\n"))
    }

    /// Notes how it finds a VM.
    fn finds(&self, vm: VmId, state: &str) -> Result<(), Fault> {
        let text = files::read(&self.ha("manager_status"))?.unwrap_or_default();
        let mut status: serde_json::Value = serde_json::from_str(&text).unwrap_or(serde_json::json!({}));
        status["service_status"][format!("vm:{vm}")] = serde_json::json!({ "state": state });
        files::replace(&self.ha("manager_status"), &self.dir.join("tmp/ha-status"), &status.to_string())
    }

    /// Forgets how it found a VM.
    fn forget_error(&self, vm: VmId) -> Result<(), Fault> {
        let path = self.ha("manager_status");
        let Some(text) = files::read(&path)? else { return Ok(()) };
        let Ok(mut status) = serde_json::from_str::<serde_json::Value>(&text) else { return Ok(()) };
        let services = status.get_mut("service_status").and_then(serde_json::Value::as_object_mut);
        if services.is_some_and(|services| services.remove(&format!("vm:{vm}")).is_some()) {
            files::replace(&path, &self.dir.join("tmp/ha-status"), &status.to_string())?;
        }
        Ok(())
    }

    /// It acts on what it was handed, at every look at a VM.
    pub(super) fn let_ha_act(&self, vm: VmId) -> Result<(), Fault> {
        if !self.queued(vm).exists() {
            return Ok(());
        }
        let lock = self.lock_ha(Deadline::NONE)?;
        let Some(text) = files::read(&self.queued(vm))? else { return Ok(()) };
        let mut words = text.split_whitespace();
        let looks: u32 = words.next().and_then(|looks| looks.parse().ok()).unwrap_or(0);
        if looks > 1 {
            let rest: Vec<&str> = words.collect();
            let text = format!("{} {}\n", looks - 1, rest.join(" "));
            return files::replace(&self.queued(vm), &self.dir.join(format!("tmp/ha-{vm}")), &text);
        }
        files::remove(&self.queued(vm))?;
        let attempt = Attempt::as_usual(Deadline::NONE);
        match words.collect::<Vec<_>>().as_slice() {
            // What it cannot start, it gives up.
            ["start"] if !self.runs(vm)? && self.start_vm(vm, attempt).is_err() => self.finds(vm, "error")?,
            // By force what does not shut down.
            ["shutdown"] if self.shutdown_vm(vm, attempt).is_err() => self.stop_vm(vm, attempt)?,
            ["stop"] => self.stop_vm(vm, attempt)?,
            // What cannot move stays.
            ["migrate", node, online] => {
                let _ = self.migrate(Migration { vm, node, online: *online == "1" }, attempt);
                self.forget_error(vm)?;
            }
            _ => {}
        }
        drop(lock);
        Ok(())
    }
}
