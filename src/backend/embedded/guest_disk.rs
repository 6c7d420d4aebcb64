//! Further disks as a simulated guest has them: file systems are made on them, mounted and grown.
//!
//! What is on a disk stands in the file of its volume, below its size: `TYPE UUID BYTES`.

use super::Embedded;
use super::processes::{failed, printed};
use crate::hypervisor::{Fault, GuestExit};
use crate::model::VmId;
use crate::observed::{VmObserved, VmVolume};

/// What is on a disk.
struct Content {
    kind: String,
    uuid: String,
    bytes: u64,
}

/// A file system as the programs name it: the name that its disk bears, its type and its uuid.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) disk: &'a str,
    pub(super) kind: &'a str,
    pub(super) uuid: &'a str,
}

/// Whether a line of a guest's fstab mounts this source there.
pub(super) fn is_line(line: &str, source: &str, mount_point: &str) -> bool {
    line.strip_prefix(source)
        .and_then(|rest| rest.strip_prefix('\t')?.strip_prefix(mount_point))
        .is_some_and(|rest| rest.starts_with('\t'))
}

impl Embedded {
    /// The disks that a running guest has.
    fn attached(&self, vm: VmId) -> Result<Vec<VmVolume>, Fault> {
        let live = VmObserved::from_conf(vm, &self.existing(vm)?, true);
        let there = |volume: &VmVolume| live.pending.get(&volume.device).is_none_or(|change| change.active.is_some());
        let disks = live.volumes.iter().filter(|volume| !volume.device.starts_with("unused") && there(volume));
        Ok(disks.cloned().collect())
    }

    fn disk_named(&self, vm: VmId, name: &str) -> Result<Option<VmVolume>, Fault> {
        let slot = name.strip_prefix("drive-").filter(|slot| slot.starts_with("scsi")).unwrap_or_default();
        Ok(self.attached(vm)?.into_iter().find(|volume| volume.device == slot))
    }

    fn content(&self, vm: VmId, disk: &VmVolume) -> Result<Option<Content>, Fault> {
        let text = self.volumes_on_disk().content(&disk.volume, vm)?;
        let read = |line: &str| {
            let mut words = line.split_whitespace().map(ToOwned::to_owned);
            let (kind, uuid) = (words.next()?, words.next()?);
            Some(Content { kind, uuid, bytes: words.next()?.parse().ok()? })
        };
        Ok(read(&text))
    }

    fn put_content(&self, vm: VmId, disk: &VmVolume, on: Named<'_>) -> Result<(), Fault> {
        let text = format!("{} {} {}\n", on.kind, on.uuid, disk.size.unwrap_or(0));
        self.volumes_on_disk().set_content(&disk.volume, vm, &text)
    }

    /// Makes a file system on an empty disk.
    pub(super) fn format(&self, vm: VmId, on: Named<'_>) -> Result<GuestExit, Fault> {
        let Named { disk: name, kind, uuid } = on;
        let Some(disk) = self.disk_named(vm, name)? else { return Ok(no_disk(name)) };
        match self.content(vm, &disk)? {
            Some(found) if found.kind == kind && found.uuid == uuid => Ok(printed("already")),
            Some(found) => Ok(failed(
                5,
                format!("{}, the disk {name}, is not empty: wipefs finds {} on it", disk.device, found.kind),
            )),
            None => {
                self.put_content(vm, &disk, on)?;
                Ok(printed("formatted"))
            }
        }
    }

    /// Mounts the file system of a disk, now and at every start, as large as the disk.
    pub(super) fn mount_disk(&self, vm: VmId, on: Named<'_>, mount_point: &str) -> Result<GuestExit, Fault> {
        let Named { disk: name, kind, uuid } = on;
        let Some(disk) = self.disk_named(vm, name)? else { return Ok(no_disk(name)) };
        let Some(found) = self.content(vm, &disk)?.filter(|found| found.uuid == uuid) else {
            let what =
                format!("{}, the disk {name}, does not bear the file system that phoenix made, {uuid}", disk.device);
            return Ok(failed(5, what));
        };
        let grows = found.bytes < disk.size.unwrap_or(0);
        if grows {
            self.put_content(vm, &disk, on)?;
        }
        let mounted = self.put_mount(vm, &format!("UUID={uuid}"), mount_point, kind)?;
        Ok(printed(if mounted || grows { "mounted" } else { "already" }))
    }

    /// Whether a guest that boots finds the file system of this source, `UUID=…`, on one of its disks.
    pub(super) fn has_filesystem(&self, vm: VmId, uuid: &str) -> Result<bool, Fault> {
        for disk in self.attached(vm)? {
            if self.content(vm, &disk)?.is_some_and(|found| found.uuid == uuid) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn no_disk(name: &str) -> GuestExit {
    failed(4, format!("the guest has no disk that bears the name {name}"))
}
