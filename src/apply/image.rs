//! VMs that are made from an image.

use super::failure::{failure, stale};
use super::hints;
use super::host::Holds;
use super::operation;
use super::perform::Performing;
use crate::event::Failure;
use crate::hypervisor::HostOp;
use crate::model::{CloudImage, GIB, Key, Outcome};
use crate::observed::print_size;
use crate::plan::ImageStep;

impl Performing<'_> {
    pub(super) fn fetch_image(&mut self, image: &CloudImage) -> Result<Outcome, Failure> {
        let op = HostOp::FetchImage { vm: self.id(), image: image.clone() };
        self.waiting("the image");
        // What is there already is only compared: it may be repeated.
        self.host(&op, &|| Ok(Holds::No))?;
        Ok(self.action.outcome)
    }

    /// Refuses an image whose disk would have to shrink, before anything is made.
    fn must_fit(&self, step: &ImageStep) -> Result<(), Failure> {
        let (image, wanted) = (&step.image, step.desired.boot_disk_size_gb);
        let size = self.ask(|hypervisor| hypervisor.image_size(image))?.unwrap_or(0);
        if size <= u64::from(wanted) * GIB {
            return Ok(());
        }
        let (whole, size) = (size.div_ceil(GIB), print_size(size));
        let hint = hints::larger_disk(whole);
        let what = format!("the disk in the image is {size} and cannot shrink to {wanted} GiB");
        Err(failure(what, Some(&hint)).about([Key::BootDiskSizeGb.name()]))
    }

    /// Makes the VM with its record first, and then its disk: whatever is left of an interrupted run names whose it is.
    pub(super) fn create_from_image(&mut self, step: &ImageStep) -> Result<Outcome, Failure> {
        let id = self.id();
        if self.is_made()? {
            return Ok(Outcome::NoOp);
        }
        self.must_fit(step)?;
        let there = || {
            let live = self.ask(|hypervisor| hypervisor.vm(id))?;
            Ok(if live.is_some_and(|live| self.is_ours(&live)) { Holds::Yes } else { Holds::No })
        };
        self.host(&operation::create(id, step)?, &there)?;
        let live = self.live()?;
        if !self.is_ours(&live) {
            return Err(stale(format!("VMID {id} was taken after it was planned"), hints::PLAN_AGAIN));
        }
        let op = operation::import_disk(id, step, live.digest);
        self.host(&op, &|| self.made(&|live| live.boot_disk.is_some()))?;
        self.leave()?;
        Ok(self.action.outcome)
    }
}
