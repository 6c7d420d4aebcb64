//! Moving a disk to another storage (`qm disk move`), and what a guest has of its disk.

use super::files;
use super::refusals::{unchanged, unlocked};
use super::rehearse::Attempt;
use super::storage::{NewName, usable};
use super::{Embedded, disk_image};
use crate::hypervisor::{Fault, FaultKind};
use crate::model::{Digest, VmId};
use crate::observed::{BootDisk, Conf, PropertyString, VmObserved, is_volume_part};

/// What to move, in the words of [`HostOp::MoveDisk`](crate::hypervisor::HostOp::MoveDisk).
#[derive(Debug, Clone, Copy)]
pub(super) struct Move<'a> {
    pub(super) vm: VmId,
    pub(super) disk: &'a str,
    pub(super) storage: &'a str,
    pub(super) delete_source: bool,
    pub(super) digest: &'a Digest,
}

/// File of a guest's own disk with the size of its root file system in bytes.
const FILE_SYSTEM: &str = "filesystem";

impl Embedded {
    /// Copies a disk to another storage, then takes the copy.
    ///
    /// As in Proxmox nothing in the configuration shows that it is under way: the config lock is held all the time, and
    /// a process that is killed leaves a copy that nothing names.
    pub(super) fn move_disk(&self, what: Move<'_>, attempt: Attempt) -> Result<(), Fault> {
        let Move { vm, disk, storage, delete_source, digest } = what;
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.existing(vm)?;
        unchanged(&text, Some(digest))?;
        let mut conf = Conf::parse(&text);
        unlocked(&conf)?;
        let refused = |what: &str| Err(Fault::harmless(FaultKind::Refused, what));
        let Some(drive) = conf.get(disk).map(ToOwned::to_owned) else {
            return Err(Fault::harmless(FaultKind::Missing, format!("disk '{disk}' does not exist")));
        };
        let Some(found) = BootDisk::parse(disk, &drive) else { return refused("you can't move a cdrom") };
        if found.storage == storage {
            return refused("you can't move to the same storage with same format");
        }
        if delete_source && conf.snapshots().next().is_some() {
            return refused("you can't move a disk with snapshots and delete the source");
        }
        let from = self.volumes_on_disk().file(&found.volume, vm);
        let image = from.as_deref().map_or(Ok(false), disk_image::is_image)?;
        if image && self.runs(vm)? {
            return Err(Fault::harmless(FaultKind::Refused, "the disk of a QEMU guest does not move while it runs")
                .hint(format!("`phoenix stop {vm}`, then apply again")));
        }
        let size = found.size.unwrap_or(0);
        let storages = self.storages_of(what.vm, true)?;
        let target = usable(&storages, storage, size)?;
        let task = self.tasks.begin("qmmove", vm, "")?;
        let mut moved = || {
            // A copy keeps its format where the storage knows it.
            let format = found.volume.rsplit('.').next();
            let kind = if format == Some("qcow2") || image { NewName::Disk } else { NewName::RawDisk };
            let copy = self.volumes_on_disk().allocate(target, vm, kind, size)?;
            if let (true, Some(from), Some(to)) = (image, &from, self.volumes_on_disk().file(&copy, vm)) {
                disk_image::copy(from, &to, attempt.deadline)
                    .inspect_err(|_| _ = self.volumes_on_disk().erase(&copy, vm))?;
            }
            if !image {
                let volumes = self.volumes_on_disk();
                let content = volumes.content(&found.volume, vm)?;
                if !content.is_empty() {
                    volumes.set_content(&copy, vm, &content)?;
                }
            }
            attempt.halfway()?;
            let mut options = PropertyString::parse(&drive);
            if let Some((_, volume)) = options.parts.iter_mut().find(|(key, _)| is_volume_part(key)) {
                *volume = copy;
            }
            conf.set(disk, &options.to_string());
            if !delete_source {
                let free = (0..256).map(|n| format!("unused{n}")).find(|key| conf.get(key).is_none());
                conf.set(&free.unwrap_or_default(), &found.volume);
            }
            self.write_conf(vm, &conf.to_string())?;
            if delete_source { self.volumes_on_disk().erase(&found.volume, vm) } else { Ok(()) }
        };
        let result = moved();
        task.end(result)
    }

    /// The root file system of a guest takes all of its disk: as cloud-init makes it at each boot, and
    /// [`super::programs`] when asked. Returns whether it grew.
    pub(super) fn fill_disk(&self, vm: VmId, conf: &str) -> Result<bool, Fault> {
        let disk = VmObserved::from_conf(vm, conf, true).boot_disk.and_then(|disk| disk.size).unwrap_or(0);
        let before = files::read(&self.guest_dir(vm).join(FILE_SYSTEM))?.and_then(|text| text.trim().parse().ok());
        if before.is_some_and(|before: u64| before >= disk) {
            return Ok(false);
        }
        self.write_guest(vm, FILE_SYSTEM, &disk.to_string())?;
        Ok(true)
    }
}
