//! Cloning (`qm clone`), and removing what an interrupted clone left.
//!
//! A clone goes through the states that the real one shows: first the VMID is taken by a placeholder, then the new
//! configuration is there with its description and still locked while its disks are copied, then the lock goes.

use std::collections::BTreeMap;

use super::files;
use super::options::{is_dns_name, new_mac, normal_value};
use super::refusals::{refused, unlocked};
use super::rehearse::Attempt;
use super::storage::{self, NewName, usable};
use super::{Embedded, disk_image};
use crate::hypervisor::{Fault, FaultKind};
use crate::model::VmId;
use crate::observed::{Conf, Net, PropertyString, Storage, VmObserved, holds_volume, is_volume_part, parse_size};

/// The configuration of a VMID that is only reserved.
const PLACEHOLDER: &str = "# qmclone temporary file\nlock: clone\n";

/// What to clone, in the words of [`HostOp::Clone`](crate::hypervisor::HostOp::Clone).
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) source: VmId,
    pub(super) target: VmId,
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) storage: Option<&'a str>,
    /// The node that the clone is given to in the end; `None`: it stays on its source's.
    pub(super) node: Option<&'a str>,
}

/// A drive of the source and what becomes of it.
struct Drive {
    key: String,
    options: PropertyString,
    size: u64,
    /// Storage for the copy; `None`: the drive is taken over as it is.
    storage: Option<String>,
    kind: NewName,
}

impl Drive {
    fn volume(&self) -> Option<&str> {
        self.options.parts.iter().find(|(name, _)| is_volume_part(name)).map(|(_, volume)| volume.as_str())
    }
}

/// A clone under way.
struct Job<'a> {
    order: Order<'a>,
    /// Configuration of the source.
    conf: &'a Conf<'a>,
    drives: Vec<Drive>,
    storages: BTreeMap<String, Storage>,
    attempt: Attempt,
}

impl Embedded {
    /// Clones a VM or template.
    pub(super) fn clone_vm(&self, order: Order<'_>, attempt: Attempt) -> Result<(), Fault> {
        let Order { source, target, name, storage, .. } = order;
        if !is_dns_name(name) {
            return Err(refused(&["name: invalid format - value does not look like a valid DNS name".to_owned()]));
        }
        if let Err(why) = normal_value("description", order.description) {
            return Err(refused(&[format!("description: {why}")]));
        }
        let from = self.room_of(source).name;
        let missing = || {
            let what = format!("unable to find configuration file for VM {source} on node '{from}'");
            Fault::harmless(FaultKind::Missing, what)
        };
        let text = self.conf_text(source)?.ok_or_else(missing)?;
        let conf = Conf::parse(&text);
        unlocked(&conf)?;
        let storages = self.storages_of(source, storage.is_some())?;
        let drives = drives(&conf, storage, &storages)?;
        self.can_give(&conf, &order, &storages)?;
        if self.conf_path(target).exists() {
            return Err(exists(target));
        }
        // From here on it is a task, which shows what it does even if this process dies.
        let task = self.tasks.begin_clone(source, target)?;
        let result = self.clone_task(&Job { order, conf: &conf, drives, storages, attempt });
        task.end(result)
    }

    fn clone_task(&self, job: &Job<'_>) -> Result<(), Fault> {
        let target = job.order.target;
        {
            let _lock = self.lock_vm(target, job.attempt.deadline)?;
            if self.conf_path(target).exists() {
                return Err(exists(target));
            }
            self.write_conf_on(self.room_of(job.order.source).name, target, PLACEHOLDER)?;
        }
        let mut made = Vec::new();
        let result = self.fill_clone(job, &mut made);
        if result.is_err() {
            // A clone that fails cleans up after itself: what it made, and nothing that lay there before.
            made.iter().try_for_each(|volume| self.volumes_on_disk().erase(volume, target))?;
            files::remove(&self.guest_dir(target))?;
            files::remove(&self.conf_path(target))?;
        }
        result
    }

    fn fill_clone(&self, job: &Job<'_>, made: &mut Vec<String>) -> Result<(), Fault> {
        let target = job.order.target;
        let half = self.settings.latency() / 2;
        job.attempt.early()?;
        job.attempt.deadline.pass(half)?;
        let text = fresh_config(job.conf, job.order);
        let mut conf = Conf::parse(&text);
        conf.set("lock", "clone");
        for drive in &job.drives {
            conf.remove(&drive.key);
        }
        // Before the first volume: a run that finds one of ours must find our record beside it.
        self.write_conf(target, &conf.to_string())?;
        // The cloud-init drive comes first and stands in the locked configuration already.
        let (first, disks): (Vec<&Drive>, Vec<&Drive>) =
            job.drives.iter().partition(|drive| drive.kind == NewName::CloudInit || drive.storage.is_none());
        for drive in first {
            conf.set(&drive.key, &self.copy(drive, job, made)?);
        }
        self.write_conf(target, &conf.to_string())?;
        for drive in disks {
            conf.set(&drive.key, &self.copy(drive, job, made)?);
        }
        job.attempt.halfway()?;
        job.attempt.deadline.pass(half)?;
        self.copy_guest(job.order.source, target)?;
        conf.remove("lock");
        let _lock = self.lock_vm(target, job.attempt.deadline)?;
        self.write_conf(target, &conf.to_string())?;
        match job.order.node {
            Some(node) if node != self.room_of(target).name => self.hand_over(target, node),
            _ => Ok(()),
        }
    }

    /// Refuses a clone for another node that does not see all of it (recorded).
    fn can_give(&self, conf: &Conf<'_>, order: &Order<'_>, storages: &BTreeMap<String, Storage>) -> Result<(), Fault> {
        let Some(node) = order.node.filter(|node| *node != self.room_of(order.source).name) else { return Ok(()) };
        let refused = |what: String| Err(Fault::harmless(FaultKind::Refused, what));
        self.online(node)?;
        if !self.local_volumes(conf)?.is_empty() {
            return refused(format!("can't clone VM to node '{node}' (VM uses local storage)"));
        }
        match order.storage {
            Some(id) if storages.get(id).is_some_and(|storage| !storage.shared) => {
                refused(format!("can't clone to non-shared storage '{id}'"))
            }
            _ => Ok(()),
        }
    }

    /// Makes the copy of one drive and returns its line. New volumes are noted in `made`.
    fn copy(&self, drive: &Drive, job: &Job<'_>, made: &mut Vec<String>) -> Result<String, Fault> {
        let Some(id) = &drive.storage else { return Ok(drive.options.to_string()) };
        let linked = job.order.storage.is_none() && drive.kind == NewName::Disk;
        let needed = if linked { 0 } else { drive.size };
        let storage = usable(&job.storages, id, needed)?;
        let new = self.volumes_on_disk().allocate(storage, job.order.target, drive.kind, drive.size)?;
        made.push(new.clone());
        if drive.kind == NewName::Disk {
            self.copy_image(drive, job, &new, linked)?;
        }
        let mut options = drive.options.clone();
        let volume = options.parts.iter_mut().find(|(key, _)| is_volume_part(key));
        if let Some((_, volume)) = volume {
            *volume = if linked { storage::linked(volume, &new) } else { new };
        }
        if drive.kind == NewName::CloudInit {
            options.set("size", "4M");
        }
        Ok(options.to_string())
    }

    /// Copies what is on a drive, or builds on it, where the source's volume is an image.
    fn copy_image(&self, drive: &Drive, job: &Job<'_>, new: &str, linked: bool) -> Result<(), Fault> {
        let volumes = self.volumes_on_disk();
        let from = drive.volume().and_then(|volume| volumes.file(volume, job.order.source));
        let (Some(from), Some(to)) = (from, volumes.file(new, job.order.target)) else { return Ok(()) };
        if !disk_image::is_image(&from)? {
            return Ok(());
        }
        match from.file_name().and_then(|name| name.to_str()) {
            Some(name) if linked => disk_image::link(&format!("../{}/{name}", job.order.source), &to),
            _ => disk_image::copy(&from, &to, job.attempt.deadline),
        }
    }

    /// Removes a VM that an interrupted clone left: its volumes, its guest and, last, its configuration.
    ///
    /// A `protection` does not stop it: what stands in the configuration of a half-made clone was copied from the
    /// template and protects nothing of this VM.
    pub(super) fn remove_leftover(&self, vm: VmId, unreferenced: bool, attempt: Attempt) -> Result<(), Fault> {
        self.tasks.bury()?;
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        let text = self.existing(vm)?;
        let conf = Conf::parse(&text);
        let running = self.runs(vm)?;
        if !VmObserved::from_conf(vm, &text, running).is_half_cloned() {
            let what = format!("VM {vm} is not left over by a clone");
            return Err(Fault::harmless(FaultKind::Refused, what));
        }
        let (targets, unknown) = self.tasks.clones()?;
        if unknown || targets.contains(&vm) {
            return Err(Fault::harmless(FaultKind::Busy, "VM is locked (clone)"));
        }
        if running {
            return Err(Fault::harmless(FaultKind::Refused, format!("VM {vm} is running - destroy failed")));
        }
        self.erase(vm, &conf, unreferenced, attempt)
    }

    /// Removes a VM whose config lock the caller holds: its volumes, its guest and, last, its configuration.
    pub(super) fn erase(&self, vm: VmId, conf: &Conf<'_>, unreferenced: bool, attempt: Attempt) -> Result<(), Fault> {
        let task = self.tasks.begin("qmdestroy", vm, "")?;
        let removed = || {
            self.volumes_on_disk().erase_named(conf, vm)?;
            if unreferenced {
                self.volumes_on_disk().erase_all(vm)?;
            }
            self.leave_pool(vm, attempt)?;
            self.leave_ha(vm, attempt)?;
            attempt.halfway()?;
            self.machines().forget(vm)?;
            files::remove(&self.guest_dir(vm))?;
            files::remove(&self.conf_path(vm))
        };
        task.end(removed())
    }
}

fn exists(target: VmId) -> Fault {
    Fault::harmless(FaultKind::Refused, format!("unable to create VM {target}: config file already exists"))
}

/// The drives of the source with what becomes of each, or why they cannot be cloned.
fn drives(conf: &Conf<'_>, wanted: Option<&str>, storages: &BTreeMap<String, Storage>) -> Result<Vec<Drive>, Fault> {
    let mut drives = Vec::new();
    let mut needed: BTreeMap<String, u64> = BTreeMap::new();
    for (key, line) in conf.entries().filter(|(key, _)| holds_volume(key)) {
        let options = PropertyString::parse(line);
        let volume = options.parts.iter().find(|(key, _)| is_volume_part(key));
        let volume = volume.map_or("", |(_, volume)| volume.as_str());
        let own = volume.split_once(':').map(|(storage, _)| storage).filter(|_| !volume.starts_with('/'));
        let cloud_init = volume.contains("-cloudinit");
        let copied = own.is_some() && (cloud_init || options.get("media") != Some("cdrom"));
        let kind = if cloud_init { NewName::CloudInit } else { NewName::Disk };
        if copied && kind == NewName::Disk && wanted.is_none() && conf.get("template") != Some("1") {
            let what = format!("Linked clone feature is not supported for '{volume}' ({key})");
            return Err(Fault::harmless(FaultKind::Refused, what));
        }
        let storage = own.filter(|_| copied).map(|own| wanted.unwrap_or(own).to_owned());
        let size = options.get("size").and_then(parse_size).unwrap_or(4 << 20);
        if let (Some(storage), true) = (&storage, wanted.is_some()) {
            *needed.entry(storage.clone()).or_default() += size;
        }
        drives.push(Drive { key: key.to_owned(), options, size, storage, kind });
    }
    if let Some(wanted) = wanted {
        usable(storages, wanted, needed.get(wanted).copied().unwrap_or(0))?;
    }
    Ok(drives)
}

/// The configuration of the clone before its disks: what a clone copies, with an identity of its own.
fn fresh_config(source: &Conf<'_>, order: Order<'_>) -> String {
    let mut conf = source.clone();
    conf.drop_sections();
    let keys: Vec<String> = conf.entries().map(|(key, _)| key.to_owned()).collect();
    for key in keys {
        if key.starts_with("unused") || ["template", "lock", "parent", "vmstate", "snaptime"].contains(&key.as_str()) {
            conf.remove(&key);
        } else if let Some(mut net) = conf.get(&key).filter(|_| is_net(&key)).and_then(Net::parse) {
            net.mac = Some(new_mac());
            conf.set(&key, &net.to_string());
        }
    }
    let mut machine = PropertyString::parse(conf.get("smbios1").unwrap_or_default());
    machine.set("uuid", &uuid::Uuid::new_v4().to_string());
    conf.set("smbios1", &machine.to_string());
    conf.set("vmgenid", &uuid::Uuid::new_v4().to_string());
    conf.set("name", order.name);
    if !order.description.is_empty() {
        conf.set_description(order.description);
    }
    conf.to_string()
}

fn is_net(key: &str) -> bool {
    key.strip_prefix("net").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}
