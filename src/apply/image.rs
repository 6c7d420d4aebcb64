//! VMs that are made from an image.

use super::failure::{failure, stale};
use super::hints;
use super::host::Holds;
use super::operation;
use super::perform::Step;
use crate::event::Failure;
use crate::hypervisor::HostOp;
use crate::model::{CloudImage, GIB, Key, Outcome};
use crate::observed::print_size;
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

    /// Refuses an image whose disk would have to shrink, before anything is made.
    fn must_fit(&self, image: &CloudImage) -> Result<(), Failure> {
        let wished = self.task()?.desired.boot_disk_size_gb;
        let size = self.ask(|hypervisor| hypervisor.image_size(image))?.unwrap_or(0);
        if size <= u64::from(wished) * GIB {
            return Ok(());
        }
        let (whole, size) = (size.div_ceil(GIB), print_size(size));
        let hint = hints::larger_disk(whole);
        let what = format!("the disk in the image has {size}, wished are {wished} GiB: a disk never shrinks");
        Err(failure(what, Some(&hint)).about([Key::BootDiskSizeGb.name()]))
    }

    /// Makes the VM with its record first, and then its disk: whatever is left of an interrupted run names whose it is.
    pub(super) fn create_from_image(&mut self) -> Result<Outcome, Failure> {
        let (id, task, image) = (self.id(), self.task()?, self.image()?);
        if self.is_made()? {
            return Ok(Outcome::NoOp);
        }
        self.must_fit(image)?;
        let there = || {
            let live = self.ask(|hypervisor| hypervisor.vm(id))?;
            Ok(if live.is_some_and(|live| self.is_ours(&live)) { Holds::Yes } else { Holds::No })
        };
        self.host(&operation::create(id, task)?, &there)?;
        let live = self.live()?;
        if !self.is_ours(&live) {
            return Err(stale(format!("VMID {id} was taken after it was planned"), hints::PLAN_AGAIN));
        }
        let op = operation::import_disk(id, image, task, live.digest);
        self.host(&op, &|| self.made(&|live| live.boot_disk.is_some()))?;
        self.leave()?;
        Ok(self.action.outcome)
    }
}
