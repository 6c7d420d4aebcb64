//! VMs that are made from an image.

use super::host::Holds;
use super::operation;
use super::perform::{Step, failure, stale};
use crate::event::Failure;
use crate::hypervisor::HostOp;
use crate::model::{CloudImage, Outcome};
use crate::plan::Source;

impl<'a> Step<'a> {
    fn image(&self) -> Result<&'a CloudImage, Failure> {
        match self.task()?.clone.as_ref().map(|plan| &plan.source) {
            Some(Source::Image(image)) => Ok(image),
            _ => Err(failure("the plan does not say which image", None)),
        }
    }

    pub(super) fn fetch_image(&mut self) -> Result<Outcome, Failure> {
        let op = HostOp::FetchImage { vm: self.id(), image: self.image()?.clone() };
        self.waiting("the image");
        // What is there already is only compared: it may be repeated.
        self.host(&op, &|| Ok(Holds::No))?;
        Ok(self.action.outcome)
    }

    /// Makes the VM with its record first, and then its disk: whatever is left of an interrupted run names whose it is.
    pub(super) fn create_from_image(&mut self) -> Result<Outcome, Failure> {
        let (id, task, image) = (self.id(), self.task()?, self.image()?);
        if self.is_made()? {
            return Ok(Outcome::NoOp);
        }
        let there = || {
            let live = self.ask(|hypervisor| hypervisor.vm(id))?;
            Ok(if live.is_some_and(|live| self.is_ours(&live)) { Holds::Yes } else { Holds::No })
        };
        self.host(&operation::create(id, task)?, &there)?;
        let live = self.live()?;
        if !self.is_ours(&live) {
            return Err(stale(format!("VMID {id} was taken after it was planned"), "plan again"));
        }
        let op = operation::import_disk(id, image, task, live.digest);
        self.host(&op, &|| self.made(&|live| live.boot_disk.is_some()))?;
        self.leave()?;
        Ok(self.action.outcome)
    }
}
