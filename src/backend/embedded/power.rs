//! Starting and stopping a VM, and growing its disks.

use super::configure::apply_pending;
use super::refusals::{refused, unlocked};
use super::rehearse::Attempt;
use super::storage::usable;
use super::{Embedded, disk_image};
use crate::hypervisor::{Effect, Fault, FaultKind};
use crate::model::proxmox::bounds;
use crate::model::{GIB, VmId};
use crate::observed::{BootDisk, Conf, Net, PropertyString, VmObserved, is_disk_key, print_size};

impl Embedded {
    /// Starts a VM: takes over what waits, then checks what Proxmox checks only now.
    pub(super) fn start_vm(&self, vm: VmId, attempt: Attempt) -> Result<(), Fault> {
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.existing(vm)?;
        let mut conf = Conf::parse(&text);
        unlocked(&conf)?;
        let failed = |what: String| Err(Fault::harmless(FaultKind::Failed, what));
        if conf.get("template") == Some("1") {
            return failed("you can't start a vm if it's a template".to_owned());
        }
        if self.runs(vm)? {
            return failed(format!("VM {vm} already running"));
        }
        let task = self.tasks.begin("qmstart", vm, "")?;
        let mut started = || {
            apply_pending(&mut conf);
            conf.drive_made();
            let new = conf.to_string();
            let effect = if new == text { Effect::None } else { Effect::Maybe };
            if new != text {
                self.write_conf(vm, &new)?;
            }
            let failed = |what: String| Err(Fault { effect, ..Fault::harmless(FaultKind::Failed, what) });
            let live = VmObserved::from_conf(vm, &new, false);
            let node = self.room_of(vm);
            if u64::from(live.cpu_cores) * u64::from(live.cpu_sockets) > u64::from(node.cpus) {
                return failed(format!("MAX {} vcpus allowed per VM on this node", node.cpus));
            }
            if let Some(bound) = bounds(&|name| conf.get(name).map(ToOwned::to_owned)).into_iter().next() {
                return failed(bound.words);
            }
            if let Err(fault) = self.custom(&conf) {
                return Err(Fault { effect, ..fault });
            }
            let cards = (0..32).filter_map(|n| conf.get(&format!("net{n}")).and_then(Net::parse));
            for bridge in cards.filter_map(|net| net.bridge) {
                if !node.bridges.contains_key(&bridge) {
                    return failed(format!("bridge '{bridge}' does not exist"));
                }
            }
            if live.memory_mb > node.memory_mb {
                return failed("start failed: QEMU exited with code 1".to_owned())
                    .map_err(|fault: Fault| fault.hint("the node has less memory than this VM asks for"));
            }
            attempt.halfway()?;
            self.machines()
                .start(vm, &conf, attempt.deadline)
                .map_err(|fault| Fault { effect: if effect == Effect::Maybe { effect } else { fault.effect }, ..fault })
        };
        let result = started();
        task.end(result)
    }

    /// Grows a disk to an absolute size. The size it has already is fine.
    pub(super) fn resize(&self, vm: VmId, disk: &str, size_gb: u32, attempt: Attempt) -> Result<(), Fault> {
        self.grow(vm, disk, &|_| u64::from(size_gb) * GIB, attempt)
    }

    /// Grows a disk to the size in bytes that `wanted` makes of the one it has.
    pub(super) fn grow(
        &self,
        vm: VmId,
        disk: &str,
        wanted: &dyn Fn(u64) -> u64,
        attempt: Attempt,
    ) -> Result<(), Fault> {
        if !is_disk_key(disk) {
            let buses = [("ide", 4), ("scsi", 31), ("virtio", 16), ("sata", 6), ("efidisk", 1), ("tpmstate", 1)];
            let disks = buses.iter().flat_map(|(bus, count)| (0..*count).map(move |n| format!("{bus}{n}")));
            let disks = disks.collect::<Vec<_>>().join(", ");
            let line = format!("disk: value '{disk}' does not have a value in the enumeration '{disks}'");
            return Err(refused(&[line]));
        }
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.existing(vm)?;
        let mut conf = Conf::parse(&text);
        unlocked(&conf)?;
        let failed = |what: &str| Err(Fault::harmless(FaultKind::Failed, what));
        let Some(drive) = conf.get(disk) else {
            return Err(Fault::harmless(FaultKind::Missing, format!("disk '{disk}' does not exist")));
        };
        let Some(found) = BootDisk::parse(disk, drive) else { return failed("you can't resize a cdrom") };
        if conf.get("template") == Some("1") {
            return failed("the disk of a template cannot be changed");
        }
        let old = found.size.unwrap_or(0);
        let new = wanted(old);
        if new < old {
            return Err(Fault::harmless(FaultKind::Refused, "shrinking disks is not supported"));
        }
        if new == old {
            return Ok(());
        }
        let task = self.tasks.begin("resize", vm, "")?;
        let mut options = PropertyString::parse(drive);
        options.set("size", &print_size(new));
        let mut grown = || {
            let storages = self.storages_of(vm, true)?;
            usable(&storages, &found.storage, new - old)?;
            self.grow_volume(vm, &found, new)?;
            attempt.halfway()?;
            // By then the disk has grown (recorded).
            self.can_write(vm.get())?;
            conf.set(disk, &options.to_string());
            self.write_conf(vm, &conf.to_string())
        };
        let result = grown();
        task.end(result)
    }

    /// Grows the volume of a disk: its image, by QEMU itself where it runs, or the note of its size.
    fn grow_volume(&self, vm: VmId, disk: &BootDisk, bytes: u64) -> Result<(), Fault> {
        let volumes = self.volumes_on_disk();
        match volumes.file(&disk.volume, vm) {
            Some(path) if !disk_image::is_image(&path)? => volumes.set_size(&disk.volume, vm, bytes),
            Some(_) if self.runs(vm)? => self.machines().grow(vm, &disk.device, bytes),
            Some(path) => disk_image::resize(&path, bytes),
            None => Ok(()),
        }
    }
}
