//! What people do with the node itself: `phoenix node show`, `add-template`, `reset`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::{self, Deadline, unwritten};
use super::fresh::{DIRECTORIES, FIRST_TEMPLATE, FRESH_TEMPLATE, template_conf};
use super::options::is_dns_name;
use super::qemu::Console;
use super::refusals::refused;
use super::settings::{self, Settings};
use super::storage::{self, NewName, usable};
use super::tasks::Task;
use super::{Embedded, GuestKind, Machine, NfsState, disk_image, ha, pools, rehearse};
use crate::hypervisor::{Fault, FaultKind};
use crate::model::{GIB, VmId};
use crate::observed::{Conf, Node, Storage, VmObserved};

/// Lock that says "a process is making or changing this node"; its presence marks a node that is being made.
const MAKING: &str = ".phoenix-node.lock";

/// Longest wait for another process that makes the node.
const WAIT: Duration = Duration::from_secs(10);

/// A node in short, for `phoenix node show`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its settings.
    pub settings: Settings,
    /// Its storages by id.
    pub storages: BTreeMap<String, Storage>,
    /// It and the others of its cluster, by name.
    pub nodes: BTreeMap<String, Node>,
    /// Its VMs and templates by VMID.
    pub vms: Vec<VmSummary>,
    /// Tasks: running ones first, then what ended, oldest first.
    pub tasks: Vec<Task>,
    /// The NFS server of real guests.
    pub nfs: Option<NfsState>,
}

/// A VM of a node in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmSummary {
    /// VMID.
    pub id: VmId,
    /// Name.
    pub name: String,
    /// Whether it is a template.
    pub template: bool,
    /// Whether it runs.
    pub running: bool,
    /// `lock:` of its configuration.
    pub lock: Option<String>,
    /// All of it.
    pub live: VmObserved,
    /// The QEMU that runs it.
    pub machine: Option<Machine>,
}

/// What is on the disk of a new template.
enum Content<'a> {
    /// Nothing; so many bytes of it.
    Nothing(u64),
    /// What is in this file.
    Image(&'a Path, &'a disk_image::Image),
}

fn exists(template: &str, vm: VmId) -> Fault {
    Fault::harmless(FaultKind::Refused, format!("template '{template}' exists already: VMID {vm}"))
}

/// Makes the node in `dir` if there is none, and returns its settings.
///
/// A directory that holds anything else is refused. Several processes may do this at once.
///
/// `guests` says what its guests are to be; a node that was made otherwise is changed, as long as nothing runs there.
pub(super) fn open(dir: &Path, guests: Option<GuestKind>) -> Result<Settings, Fault> {
    let settings = make(dir, guests.unwrap_or_default())?;
    match guests {
        Some(guests) if guests != settings.guests => change(dir, settings, guests),
        _ => Ok(settings),
    }
}

/// Changes what the guests of a node are.
fn change(dir: &Path, settings: Settings, guests: GuestKind) -> Result<Settings, Fault> {
    let _lock = files::lock(&dir.join(MAKING), Deadline::after(WAIT))?;
    let settings = with_guests(dir, settings, guests)?;
    settings.write(dir)?;
    Ok(settings)
}

/// The settings with other guests, unless VMs of the node run.
pub(super) fn with_guests(dir: &Path, settings: Settings, guests: GuestKind) -> Result<Settings, Fault> {
    let node = Embedded::with(dir, settings);
    if let Some(vm) = node.machines().running()?.first() {
        let what = format!(
            "VM {vm} runs: the guests of this node stay {} until all of its VMs are stopped",
            node.settings.guests
        );
        return Err(Fault::harmless(FaultKind::Refused, what).hint("stop the node's VMs first"));
    }
    let mut settings = node.settings;
    settings.guests = guests;
    Ok(settings)
}

/// Refuses a directory that holds anything else than what is left of a node that was being made.
pub(super) fn vacant(dir: &Path) -> Result<(), Fault> {
    let names = files::names(dir)?;
    match names.first() {
        Some(name) if !names.iter().any(|name| name == MAKING) => {
            let what = format!("{} is not an embedded node, and not empty: it holds `{name}`", dir.display());
            let hint = "name an empty directory, or one that does not exist";
            Err(Fault::harmless(FaultKind::Refused, what).hint(hint))
        }
        _ => Ok(()),
    }
}

fn make(dir: &Path, guests: GuestKind) -> Result<Settings, Fault> {
    if let Some(settings) = Settings::read(dir)? {
        return Ok(settings);
    }
    vacant(dir)?;
    files::make_own_dir(dir)?;
    let _making = files::lock(&dir.join(MAKING), Deadline::after(WAIT))?;
    if let Some(settings) = Settings::read(dir)? {
        return Ok(settings);
    }
    for name in DIRECTORIES {
        files::make_dir(&dir.join(name))?;
    }
    files::make_dir(&dir.join("root/mnt/pve/local-nfs"))?;
    let cfg = dir.join("storage.cfg");
    let settings = Settings::of(guests);
    fs::write(&cfg, storage::fresh(&settings)).map_err(unwritten(&cfg))?;
    let node = Embedded::with(dir, settings.clone());
    let (name, size) = FRESH_TEMPLATE;
    // A process that was killed here may have made it already. Nothing real can boot from it.
    if guests == GuestKind::Simulated && files::names(&dir.join("qemu-server"))?.is_empty() {
        node.make_template(name, node.free_id()?, &Content::Nothing(u64::from(size) * GIB))?;
    }
    // Last: from here on it is a node.
    settings.write(dir)?;
    Ok(settings)
}

impl Embedded {
    /// Adds a template with a disk of `size_gb` GiB and returns its VMID: the first free one from 9000.
    pub fn add_template(&self, name: &str, size_gb: u32) -> Result<VmId, Fault> {
        if !is_dns_name(name) {
            return Err(refused(&["name: invalid format - value does not look like a valid DNS name".to_owned()]));
        }
        if size_gb == 0 {
            return Err(refused(&["size: value must have a minimum value of 1".to_owned()]));
        }
        let _lock = files::lock(&self.dir.join(MAKING), Deadline::after(WAIT))?;
        if let Some(vm) = self.template_of(name)? {
            return Err(exists(name, vm.id));
        }
        let vm = self.free_id()?;
        self.make_template(name, vm, &Content::Nothing(u64::from(size_gb) * GIB))?;
        Ok(vm)
    }

    /// Adds a template with the disk of this image, and returns its VMID and the size of the disk in bytes. One of the
    /// same name that has no image gives way, unless VMs are built on it.
    pub fn add_image_template(&self, name: &str, image: &Path) -> Result<(VmId, u64), Fault> {
        if !is_dns_name(name) {
            return Err(refused(&["name: invalid format - value does not look like a valid DNS name".to_owned()]));
        }
        if self.settings.guests == GuestKind::Simulated {
            let what = "the guests of this node are simulated: nothing would boot from an image";
            return Err(Fault::harmless(FaultKind::Refused, what).hint("add `--guests qemu`"));
        }
        let found = disk_image::inspect(image)?;
        let _lock = files::lock(&self.dir.join(MAKING), Deadline::after(WAIT))?;
        let vm = match self.template_of(name)? {
            None => self.free_id()?,
            Some(old) if self.can_give_way(&old)? => old.id,
            Some(old) => return Err(exists(name, old.id)),
        };
        self.make_template(name, vm, &Content::Image(image, &found))?;
        Ok((vm, found.size))
    }

    fn template_of(&self, name: &str) -> Result<Option<VmObserved>, Fault> {
        Ok(self.read_all()?.0.into_values().find(|vm| vm.template && vm.name == name))
    }

    /// Whether nothing is lost with a template: it has no image, and no VM is built on it.
    fn can_give_way(&self, template: &VmObserved) -> Result<bool, Fault> {
        let volume = template.boot_disk.as_ref().map_or("", |disk| disk.volume.as_str());
        let file = self.volumes_on_disk().file(volume, template.id);
        let has_image = file.map_or(Ok(false), |path| disk_image::is_image(&path))?;
        let text = self.existing(template.id)?;
        Ok(!has_image && self.base_in_use(template.id, &Conf::parse(&text))?.is_none())
    }

    /// The first free VMID for a template.
    fn free_id(&self) -> Result<VmId, Fault> {
        let full = || Fault::harmless(FaultKind::Refused, "no VMID is free");
        let mut ids = (FIRST_TEMPLATE..=VmId::MAX).filter_map(|id| VmId::try_from(id).ok());
        ids.find(|&id| !self.conf_path(id).exists()).ok_or_else(full)
    }

    fn make_template(&self, name: &str, vm: VmId, content: &Content<'_>) -> Result<(), Fault> {
        let storages = self.storages(true)?;
        let images: Vec<&String> = storages.iter().filter(|(_, s)| s.images && s.active).map(|(id, _)| id).collect();
        let id = images
            .iter()
            .find(|id| id.as_str() == "local-zfs")
            .or(images.first())
            .map_or("local-zfs", |id| id.as_str());
        let (size, hotplug) = match content {
            Content::Nothing(size) => (*size, ""),
            // What is plugged into a QEMU that runs, phoenix does not change.
            Content::Image(_, image) => (image.size, "hotplug: 0\n"),
        };
        let on = usable(&storages, id, size)?;
        if size > on.storage.total {
            let what = format!("a disk of {size} bytes is larger than storage '{id}'");
            return Err(Fault::harmless(FaultKind::Refused, what));
        }
        let _lock = self.lock_vm(vm, Deadline::after(WAIT))?;
        let volumes = self.volumes_on_disk();
        volumes.erase_all(vm)?;
        let disk = volumes.allocate(on, vm, NewName::Base, size)?;
        if let (Content::Image(from, image), Some(to)) = (content, volumes.file(&disk, vm)) {
            let imported = disk_image::import(from, &image.format, &to, Deadline::NONE);
            if imported.is_err() {
                volumes.erase_all(vm)?;
            }
            imported?;
        }
        let cloud_init = volumes.allocate(on, vm, NewName::CloudInit, 4 << 20)?;
        self.write_conf(vm, &template_conf(name, &disk, &cloud_init, size, hotplug))
    }

    /// Why QEMU guests of this node are emulated although that was not asked for. `None`: they are not. Finds it out
    /// where it is not known, which takes some seconds.
    pub fn why_emulated(&self) -> Result<Option<String>, Fault> {
        Ok(self.qemu().accelerator()?.1)
    }

    /// The serial console of a QEMU guest that runs.
    pub fn console(&self, vm: VmId) -> Result<Console, Fault> {
        self.qemu().console(vm)
    }

    /// The node in short.
    pub fn summary(&self) -> Result<Summary, Fault> {
        let (vms, used) = self.read_all()?;
        let nodes = self.nodes(&vms, &used)?;
        let mut summaries = Vec::new();
        for vm in vms.into_values() {
            let is_machine = vm.running && self.settings.guests == GuestKind::Qemu;
            let machine = if is_machine { self.qemu().show(vm.id)? } else { None };
            let VmObserved { id, name, template, running, lock, .. } = vm.clone();
            summaries.push(VmSummary { id, name, template, running, lock, live: vm, machine });
        }
        Ok(Summary {
            nodes,
            vms: summaries,
            storages: self.storages_with(&self.settings.name, &used)?,
            settings: self.settings.clone(),
            tasks: self.tasks.list()?,
            nfs: self.nfs().look()?,
        })
    }

    /// Removes the node in `dir`: its own files and nothing else. A directory without a node is refused, and one where
    /// a task runs. QEMU guests are stopped. What people put beside the node's files stays.
    pub fn reset(dir: &Path) -> Result<(), Fault> {
        let Some(settings) = Settings::read(dir)? else {
            let what = format!("{} is not an embedded node: nothing was removed", dir.display());
            return Err(Fault::harmless(FaultKind::Refused, what));
        };
        let making = files::lock(&dir.join(MAKING), Deadline::after(WAIT))?;
        let node = Self::with(dir, settings);
        if node.tasks.any_running()? {
            return Err(Fault::harmless(FaultKind::Busy, "a task is running on this node"));
        }
        // Without configurations nothing is started any more.
        files::remove(&dir.join("qemu-server"))?;
        files::remove(&dir.join("nodes"))?;
        node.qemu().stop_all()?;
        node.nfs().stop()?;
        for name in DIRECTORIES.iter().filter_map(|name| name.split('/').next()) {
            files::remove(&dir.join(name))?;
        }
        files::remove(&dir.join(ha::DIR))?;
        files::remove(&dir.join("mapping"))?;
        for name in [rehearse::FILE, rehearse::VICTIM, "storage.cfg", pools::FILE, settings::FILE, MAKING] {
            files::remove(&dir.join(name))?;
        }
        drop(making);
        // It may hold something else.
        let _ = fs::remove_dir(dir);
        Ok(())
    }

    /// Changes the settings of the node; they count for nodes opened from then on.
    pub fn save_settings(&self, settings: &Settings) -> Result<(), Fault> {
        let _lock = files::lock(&self.dir.join(MAKING), Deadline::after(WAIT))?;
        settings.write(&self.dir)
    }
}

/// The path of a directory from the root on, without links, as far as it is there.
pub(super) fn whole(dir: &Path) -> PathBuf {
    let path = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let found = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let Some((above, real)) = found else { return path };
    match path.strip_prefix(above) {
        Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
        _ => real,
    }
}
