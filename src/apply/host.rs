//! The actions on the hypervisor.

use crate::event::Failure;
use crate::hypervisor::{Cloning, Effect, Fault, FileContent, HostOp};
use crate::model::{Outcome, Record, RecordState};
use crate::observed::{ConfigWrite, VmObserved, Wanted, with_record, write_for};
use crate::plan::{Leftover, StagedFile};

use super::perform::{Step, failure, stale};

/// Whether an operation took effect, as far as can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    /// It is under way.
    NotYet,
}

/// How long to wait before looking again after something that is under way.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

impl Step<'_> {
    /// Carries out an operation. After a lost answer it looks whether the effect is there, and repeats only what
    /// certainly did not happen.
    fn host(&self, op: &HostOp, holds: &dyn Fn() -> Result<Holds, Failure>) -> Result<(), Failure> {
        let mut attempt = 0;
        loop {
            let fault = match self.by.hypervisor.perform(op, self.remaining()) {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            };
            if fault.effect == Effect::Maybe && self.took_effect(&fault, holds)? {
                return Ok(());
            }
            attempt += 1;
            self.before_trying_again(fault, attempt)?;
        }
    }

    fn took_effect(&self, fault: &Fault, holds: &dyn Fn() -> Result<Holds, Failure>) -> Result<bool, Failure> {
        let unknown = |why: &str| Failure {
            error: format!("{}; it may have happened: {why}", fault.what),
            hint: Some("look at the VM; the next apply looks again and goes on from what it finds".to_owned()),
            may_have_happened: true,
            stale: false,
        };
        loop {
            match holds() {
                Ok(Holds::Yes) => return Ok(true),
                Ok(Holds::No) => return Ok(false),
                Ok(Holds::NotYet) if self.is_late() => return Err(unknown("it is still under way")),
                Ok(Holds::NotYet) => {
                    self.waiting("the answer was lost; it is still under way");
                    self.by.clock.pause(LOOK_AGAIN);
                }
                Err(second) => return Err(unknown(&second.error)),
            }
        }
    }

    /// One write of the configuration, guarded by the digest of what was read.
    pub(super) fn write(
        &self,
        write: ConfigWrite,
        live: &VmObserved,
        holds: &dyn Fn(&VmObserved) -> bool,
    ) -> Result<(), Failure> {
        let op = HostOp::Configure { vm: self.id(), write, digest: live.digest.clone() };
        self.host(&op, &|| self.live().map(|live| if holds(&live) { Holds::Yes } else { Holds::No }))
    }

    pub(super) fn remove_leftover(&mut self) -> Result<Outcome, Failure> {
        let id = self.id();
        let Some(live) = self.ask(|hypervisor| hypervisor.vm(id))? else { return Ok(Outcome::NoOp) };
        let planned = self.task.clone.as_ref().and_then(|clone| clone.leftover);
        if is_leftover(&live, &self.task.record.project) != planned {
            return Err(stale(format!("VM {id} is no longer the leftover that was planned"), "plan again"));
        }
        self.no_clone_running()?;
        let op = HostOp::RemoveLeftover { vm: id, unreferenced: planned == Some(Leftover::HalfMade) };
        let gone = || {
            let found = self.ask(|hypervisor| hypervisor.vm(id))?;
            Ok(if found.is_none() { Holds::Yes } else { Holds::No })
        };
        self.host(&op, &gone)?;
        Ok(self.action.outcome)
    }

    fn no_clone_running(&self) -> Result<(), Failure> {
        let id = self.id();
        match self.ask(|hypervisor| hypervisor.cloning(id))? {
            Cloning::No => Ok(()),
            Cloning::Yes => Err(failure(format!("a clone into VM {id} is running"), Some("wait until it has ended"))),
            Cloning::Unknown => Err(failure(
                "a clone is running whose target cannot be told",
                Some("wait until it has ended, then apply again"),
            )),
        }
    }

    pub(super) fn clone_template(&mut self) -> Result<Outcome, Failure> {
        let id = self.id();
        let task = self.task;
        let Some(plan) = &task.clone else { return Err(failure("the plan does not say what to clone", None)) };
        let ours = |live: &VmObserved| {
            live.record.valid().is_some_and(|record| record.project == task.record.project && record.vm == id)
        };
        if let Some(live) = self.ask(|hypervisor| hypervisor.vm(id))? {
            if ours(&live) && live.lock.is_none() {
                return Ok(Outcome::NoOp);
            }
            return Err(stale(format!("VMID {id} was taken after it was planned"), "plan again"));
        }
        self.no_clone_running()?;
        let volumes = self.ask(|hypervisor| hypervisor.volumes(id))?;
        if !volumes.is_empty() {
            return Err(failure(
                format!("there are volumes of VMID {id} already: {}", volumes.join(", ")),
                Some("they belong to a VM that is gone; look what is on them and remove them by hand"),
            ));
        }
        let creating = Record::creating(&task.record.project, id);
        let description =
            with_record(&task.desired.description, &creating).map_err(|error| failure(error.to_string(), None))?;
        let op = HostOp::Clone {
            source: plan.source,
            target: id,
            name: task.desired.vm_name.clone(),
            description,
            storage: Some(plan.storage.clone()),
        };
        let made = || {
            let Some(live) = self.ask(|hypervisor| hypervisor.vm(id))? else {
                let running = self.ask(|hypervisor| hypervisor.cloning(id))?;
                return Ok(if running == Cloning::No { Holds::No } else { Holds::NotYet });
            };
            if live.lock.is_none() && ours(&live) {
                return Ok(Holds::Yes);
            }
            match self.ask(|hypervisor| hypervisor.cloning(id))? {
                Cloning::No => Err(failure("a half-made VM is there and no clone is running", None)),
                Cloning::Yes | Cloning::Unknown => Ok(Holds::NotYet),
            }
        };
        self.host(&op, &made)?;
        self.leave()?;
        Ok(self.action.outcome)
    }

    pub(super) fn configure(&mut self) -> Result<Outcome, Failure> {
        let task = self.task;
        let wanted = Wanted { fresh: task.fresh, ..Wanted::from(&task.desired) };
        let live = self.live()?;
        let write = config_write(&wanted, &live, &task.record)?;
        if write.is_empty() {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        let holds = |live: &VmObserved| config_write(&wanted, live, &task.record).is_ok_and(|rest| rest.is_empty());
        self.write(write, &live, &holds)?;
        self.leave()?;
        let rest = config_write(&wanted, &self.live()?, &task.record)?;
        // People may have written into the notes since; everything else must be as it was accepted.
        let keys: Vec<&str> = rest.set.keys().chain(&rest.delete).map(String::as_str).collect();
        let wrong: Vec<&str> = keys.into_iter().filter(|key| *key != "description").collect();
        if !wrong.is_empty() {
            return Err(failure(
                format!("the write was accepted, but {} is not as written", wrong.join(", ")),
                Some("plan again and look at what differs"),
            ));
        }
        Ok(self.action.outcome)
    }

    pub(super) fn resize(&mut self) -> Result<Outcome, Failure> {
        let size_gb = self.task.desired.boot_disk_size_gb;
        let wished = u64::from(size_gb) * crate::model::GIB;
        let live = self.live()?;
        let Some(disk) = live.boot_disk.clone() else {
            return Err(stale(format!("VM {} has no boot disk any more", self.id()), "plan again"));
        };
        let size = |live: &VmObserved| live.boot_disk.as_ref().and_then(|disk| disk.size);
        if size(&live) == Some(wished) {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        let op = HostOp::Resize { vm: self.id(), disk: disk.device.clone(), size_gb };
        let grown = |live: &VmObserved| size(live) == Some(wished);
        self.host(&op, &|| self.live().map(|live| if grown(&live) { Holds::Yes } else { Holds::No }))?;
        // `qm resize` exits 0 when its task failed: only the size that is read back counts.
        let now = self.live()?;
        if !grown(&now) {
            return Err(failure(
                format!("{} was not grown to {size_gb} GiB, though the target reported success", disk.device),
                Some("look at the task log of the node"),
            ));
        }
        self.leave()?;
        Ok(self.action.outcome)
    }

    pub(super) fn start(&mut self) -> Result<Outcome, Failure> {
        let live = self.live()?;
        if live.running {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        let op = HostOp::Start { vm: self.id() };
        self.host(&op, &|| self.live().map(|live| if live.running { Holds::Yes } else { Holds::No }))?;
        // A start applies what was pending.
        self.leave()?;
        Ok(self.action.outcome)
    }

    pub(super) fn prepare_share(&mut self) -> Result<Outcome, Failure> {
        let mount = self.mount_of_action()?;
        let Some(path) = mount.host_path.clone() else {
            return Err(failure("the plan does not say where the directory is", None));
        };
        // Making a directory that is there changes nothing: it may be repeated.
        self.host(&HostOp::MakeDirectory { path }, &|| Ok(Holds::No))?;
        Ok(self.action.outcome)
    }

    pub(super) fn stage_scripts(&mut self) -> Result<Outcome, Failure> {
        let channel = self.task.mounts.iter().find(|mount| mount.channel);
        let Some(path) = channel.and_then(crate::plan::Mount::host_scripts) else {
            return Err(failure("the plan does not say where the scripts go", None));
        };
        let files = self
            .task
            .files
            .iter()
            .map(|StagedFile { name, content, executable }| FileContent {
                name: name.clone(),
                content: std::sync::Arc::clone(content),
                executable: *executable,
            })
            .collect();
        // Staging the same files again changes nothing: it may be repeated.
        self.host(&HostOp::ReplaceDirectory { path, files }, &|| Ok(Holds::No))?;
        Ok(self.action.outcome)
    }

    pub(super) fn record(&mut self) -> Result<Outcome, Failure> {
        let wished = &self.task.record;
        let written = self.write_record(&|record| {
            record.state = wished.state;
            record.template.clone_from(&wished.template);
            record.features.extend(wished.features.clone());
            record.volumes.extend(wished.volumes.clone());
            record.staged.clone_from(&wished.staged);
        })?;
        Ok(if written { self.action.outcome } else { Outcome::NoOp })
    }
}

/// What an interrupted clone of this project left, if that is what the VM is.
fn is_leftover(live: &VmObserved, project: &str) -> Option<Leftover> {
    if live.lock.as_deref() != Some("clone") {
        return None;
    }
    let creating = |record: &Record| record.state == RecordState::Creating && record.project == project;
    if live.record.valid().is_some_and(creating) {
        Some(Leftover::HalfMade)
    } else {
        live.placeholder.then_some(Leftover::Placeholder)
    }
}

/// The write that makes a VM what is wanted; for a VM that is being made, its record gets its uuid.
fn config_write(wanted: &Wanted<'_>, live: &VmObserved, wished: &Record) -> Result<ConfigWrite, Failure> {
    let named = live.record.valid().filter(|record| record.state == RecordState::Creating).map(|record| Record {
        state: RecordState::Setup,
        uuid: live.uuid.clone(),
        template: wished.template.clone(),
        ..record.clone()
    });
    write_for(wanted, live, &live.notes, named.as_ref()).map_err(|error| failure(error.to_string(), None))
}
