//! Making a template of a VM.

use super::failure::failure;
use super::hints;
use super::host::Holds;
use super::operation;
use super::perform::Performing;
use crate::event::Failure;
use crate::guest;
use crate::hypervisor::{FileOp, HostOp};
use crate::model::Outcome;

impl Performing<'_> {
    /// Takes out of the guest what its clones must not have: phoenix's own volumes and files, and what makes a machine
    /// this one.
    pub(super) fn clean_guest(&mut self) -> Result<Outcome, Failure> {
        let live = self.live()?;
        self.must_not_have_moved(&live)?;
        let exit = self.run_program(&guest::clean(), "cleaning the guest")?;
        guest::read_clean(&exit)?;
        Ok(self.action.outcome)
    }

    /// Switches the VM off, takes back what is exported to it, and converts it, disk by disk where an interrupted run
    /// converted only some of them.
    pub(super) fn convert_to_template(&mut self) -> Result<Outcome, Failure> {
        let id = self.id();
        let live = self.live()?;
        if live.template && live.unconverted().next().is_none() {
            return Ok(Outcome::NoOp);
        }
        self.must_not_have_moved(&live)?;
        if live.running {
            // Whatever else is at work in the guest would be frozen into every clone.
            guest::read_cleaned(&self.run_program(&guest::cleaned(), "the guest")?)?;
            self.switch_off(&live)?;
            self.leave()?;
        }
        if self.exports()?.iter().any(|export| export.vm == Some(id)) {
            self.write_files(&FileOp::WriteExports { vm: id, entries: Vec::new() })?;
        }
        // The VM as a whole first, then each disk that is left.
        let mut converted = false;
        for _ in 0..=live.unconverted().count() {
            let live = match self.live() {
                found if converted => self.afterwards(found)?,
                found => Some(found?),
            };
            let Some(live) = live else { return Ok(self.action.outcome) };
            if live.template && live.unconverted().next().is_none() {
                return Ok(self.action.outcome);
            }
            self.must_not_have_moved(&live)?;
            if let Some(work) = self.ask(|hypervisor| hypervisor.working(id))? {
                let what = format!("a task is working on the disks of VM {id} ({work})");
                return Err(failure(what, Some(hints::WAIT_AND_APPLY)));
            }
            let op = operation::template(id, &live);
            let whole = !live.template || live.unconverted().count() == 1;
            match self.host(&op, &|| self.converted(&op)) {
                // Another process's apply was faster.
                Err(failure) if failure.stale && self.converted(&op)? == Holds::Yes => {}
                ended => ended?,
            }
            converted = whole;
            self.leave()?;
        }
        let live = self.live()?;
        if live.template && live.unconverted().next().is_none() {
            return Ok(self.action.outcome);
        }
        Err(failure(
            format!("VM {id} was not converted to a template, though the target reported success"),
            Some(hints::LOOK_AT_TASK_LOG),
        ))
    }

    /// Whether a conversion took effect. Proxmox marks the VM first and renames its disks then.
    fn converted(&self, op: &HostOp) -> Result<Holds, Failure> {
        let HostOp::Template { vm, disk, .. } = op else { return Ok(Holds::No) };
        let is_done = || {
            let live = self.live()?;
            let left = disk.as_ref().is_some_and(|disk| live.unconverted().any(|device| device == disk));
            Ok::<bool, Failure>(live.template && !left)
        };
        if self.ask(|hypervisor| hypervisor.working(*vm))?.is_some() {
            return Ok(Holds::NotYet);
        }
        Ok(if is_done()? { Holds::Yes } else { Holds::No })
    }
}
