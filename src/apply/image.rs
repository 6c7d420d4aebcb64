//! VMs that are made from an image.

use super::failure::{failure, stale};
use super::hints;
use super::host::Holds;
use super::operation;
use super::perform::Performing;
use crate::event::Failure;
use crate::hypervisor::HostOp;
use crate::model::{CloudImage, GIB, ImagePlace, Key, Outcome};
use crate::observed::print_size;
use crate::plan::ImageStep;

impl Performing<'_> {
    pub(super) fn fetch_image(&mut self, image: &CloudImage) -> Result<Outcome, Failure> {
        let op = HostOp::FetchImage { vm: self.id(), image: image.clone() };
        let (kind, _) = image.digest_kind();
        self.waiting(match image.place() {
            ImagePlace::Url(_) => "the download".to_owned(),
            ImagePlace::File(_) | ImagePlace::Volume(_) => format!("the comparison of the image's {kind}"),
        });
        // What is there already is only compared: it may be repeated.
        self.host(&op, &|| Ok(Holds::No))?;
        Ok(self.action.outcome)
    }

    /// Refuses an image whose disk would have to shrink, before anything is made.
    fn must_fit(&self, step: &ImageStep) -> Result<(), Failure> {
        let Some((whole, what)) = self.too_large(&step.image, Some(step.desired.boot_disk_size_gb))? else {
            return Ok(());
        };
        let hint = hints::larger_disk(Key::BootDiskSizeGb.name(), whole);
        Err(failure(what, Some(&hint)).about([Key::BootDiskSizeGb.name()]))
    }

    /// Why an image cannot become a disk of so many GiB, and how many it takes at least. One that is not a whole disk
    /// is refused in any case.
    pub(super) fn too_large(&self, image: &CloudImage, wanted: Option<u32>) -> Result<Option<(u64, String)>, Failure> {
        let size = self.ask(|hypervisor| hypervisor.image_size(image))?.unwrap_or(0);
        let Some(wanted) = wanted.filter(|wanted| size > u64::from(*wanted) * GIB) else { return Ok(None) };
        let what = format!("the disk in the image is {} and cannot shrink to {wanted} GiB", print_size(size));
        Ok(Some((size.div_ceil(GIB), what)))
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
