//! Snapshots of VMs (`qm snapshot`, `qm delsnapshot`, `qm rollback`): of the configuration, and of what a simulated
//! guest has on its disk.
//!
//! Each is one replacement of the configuration, last of all: a process that is killed has done it or not. Proxmox
//! takes longer, and shows it by a lock.

use std::fs;
use std::path::{Path, PathBuf};

use super::Embedded;
use super::clock::now_ms;
use super::files::{self, unwritten};
use super::guest_kind::GuestKind;
use super::refusals::refused;
use super::rehearse::Attempt;
use crate::hypervisor::{Fault, FaultKind};
use crate::model::{Digest, VmId};
use crate::observed::{Conf, VmVolume, rolled_back, snapshot_section, with_snapshot, without_snapshot};

/// Whether Proxmox takes it for the name of a snapshot.
fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    (2..=40).contains(&name.len()) && name.as_bytes()[0].is_ascii_alphabetic() && name.bytes().all(plain)
}

fn no(what: String) -> Fault {
    Fault::harmless(FaultKind::Refused, what)
}

impl Embedded {
    fn snapshot_dir(&self, vm: VmId, name: &str) -> PathBuf {
        self.dir.join(format!("snapshots/{vm}/{name}"))
    }

    /// The configuration of a VM that a snapshot is made of, or gone back to.
    fn guarded(&self, vm: VmId, digest: Option<&Digest>) -> Result<String, Fault> {
        let text = self.as_read(vm, digest)?;
        if self.settings.guests == GuestKind::Qemu {
            return Err(no("an embedded node whose guests are real takes no snapshots".to_owned()));
        }
        Ok(text)
    }

    /// Takes a snapshot with a name and words of its own.
    pub(super) fn snapshot(
        &self,
        vm: VmId,
        (name, description): (&str, &str),
        digest: Option<&Digest>,
        attempt: Attempt,
    ) -> Result<(), Fault> {
        if !is_name(name) {
            return Err(refused(&["snapname: invalid configuration ID".to_owned()]));
        }
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.guarded(vm, digest)?;
        let conf = Conf::parse(&text);
        if conf.snapshots().any(|other| other == name) {
            return Err(no(format!("snapshot name '{name}' already used")));
        }
        self.can_be_snapshotted(vm, &conf)?;
        let task = self.tasks.begin("qmsnapshot", vm, "")?;
        let taken = || {
            let dir = self.snapshot_dir(vm, name);
            files::remove(&dir)?;
            copy(&self.guest_dir(vm), &dir)?;
            attempt.halfway()?;
            self.write_conf(vm, &with_snapshot(&text, name, description, now_ms() / 1000))
        };
        task.end(taken())
    }

    fn can_be_snapshotted(&self, vm: VmId, conf: &Conf<'_>) -> Result<(), Fault> {
        let storages = self.storages_of(vm, false)?;
        let volumes = conf.entries().filter_map(|(key, value)| VmVolume::parse(key, value));
        for disk in volumes.filter(|disk| disk.belongs_to(vm) && !disk.device.starts_with("unused")) {
            let kind =
                disk.volume.split(':').next().and_then(|id| storages.get(id)).map(|storage| storage.kind.as_str());
            let files = matches!(kind, Some("dir" | "nfs" | "cifs"));
            let raw = files && disk.volume.rsplit('.').next() != Some("qcow2") && !disk.volume.contains("-cloudinit");
            if raw || kind == Some("lvm") {
                return Err(no("snapshot feature is not available".to_owned()));
            }
        }
        Ok(())
    }

    /// Removes a snapshot.
    pub(super) fn remove_snapshot(&self, vm: VmId, name: &str, attempt: Attempt) -> Result<(), Fault> {
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.guarded(vm, None)?;
        missing(&text, name)?;
        let task = self.tasks.begin("qmdelsnapshot", vm, "")?;
        let removed = || {
            attempt.halfway()?;
            self.write_conf(vm, &without_snapshot(&text, name))?;
            files::remove(&self.snapshot_dir(vm, name))?;
            if files::names(&self.dir.join(format!("snapshots/{vm}")))?.is_empty() {
                files::remove(&self.dir.join(format!("snapshots/{vm}")))?;
            }
            Ok(())
        };
        task.end(removed())
    }

    /// Goes back to a snapshot: the VM is switched off and has what it had.
    pub(super) fn rollback(&self, vm: VmId, name: &str, digest: &Digest, attempt: Attempt) -> Result<(), Fault> {
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.guarded(vm, Some(digest))?;
        missing(&text, name)?;
        let task = self.tasks.begin("qmrollback", vm, "")?;
        let back = || {
            if self.machines().started_at(vm)?.is_some() {
                self.machines().stop(vm, attempt.deadline)?;
            }
            attempt.halfway()?;
            files::remove(&self.guest_dir(vm))?;
            copy(&self.snapshot_dir(vm, name), &self.guest_dir(vm))?;
            let back = rolled_back(&text, name).unwrap_or_default();
            let mut conf = Conf::parse(&back);
            conf.drop_pending();
            conf.set("vmgenid", &uuid::Uuid::new_v4().to_string());
            for volume in conf.entries().filter_map(|(key, value)| VmVolume::parse(key, value)) {
                if let Some(size) = volume.size.filter(|_| !volume.device.starts_with("unused")) {
                    self.volumes_on_disk().set_size(&volume.volume, vm, size)?;
                }
            }
            self.write_conf(vm, &conf.to_string())
        };
        task.end(back())
    }
}

fn missing(conf: &str, name: &str) -> Result<(), Fault> {
    let there = snapshot_section(conf, name).is_some();
    let fault = || Fault::harmless(FaultKind::Missing, format!("snapshot '{name}' does not exist"));
    if there { Ok(()) } else { Err(fault()) }
}

/// Copies what a guest has on its disk.
fn copy(from: &Path, to: &Path) -> Result<(), Fault> {
    files::make_dir(to)?;
    for name in files::names(from)? {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to).map_err(unwritten(&to))?;
        }
    }
    Ok(())
}
