//! What people do with the node itself: `phoenix node show`, `add-template`, `reset`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::configure::refused;
use super::files::{self, Deadline, unwritten};
use super::options::{is_dns_name, new_mac};
use super::settings::{self, Settings};
use super::storage::{self, NewName, usable};
use super::tasks::Task;
use super::{DIRECTORIES, Embedded, rehearse};
use crate::hypervisor::{Fault, FaultKind};
use crate::model::{GIB, VmId};
use crate::observed::{Storage, print_size};

/// First VMID of templates.
const FIRST_TEMPLATE: u32 = 9000;

/// Template of a fresh node: its name and the size of its disk in GiB.
const FRESH_TEMPLATE: (&str, u32) = ("ubuntu-22.04-cloud-template-v3", 3);

/// Lock that says "somebody is making or changing this node"; its presence marks a node that is being made.
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
    /// Its VMs and templates by VMID.
    pub vms: Vec<VmSummary>,
    /// Tasks: running ones first, then what ended, oldest first.
    pub tasks: Vec<Task>,
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
}

/// Makes the node in `dir` if there is none, and returns its settings.
///
/// A directory that holds anything else is refused. Several processes may do this at once.
pub(super) fn open(dir: &Path) -> Result<Settings, Fault> {
    if let Some(settings) = Settings::read(dir)? {
        return Ok(settings);
    }
    let foreign = |name: &String| *name != MAKING;
    let names = files::names(dir)?;
    if !names.contains(&MAKING.to_owned()) && names.iter().any(foreign) {
        let what = format!("{} is no embedded node, and not empty: it holds `{}`", dir.display(), names[0]);
        return Err(
            Fault::harmless(FaultKind::Refused, what).hint("name an empty directory, or one that does not exist")
        );
    }
    files::make_dir(dir)?;
    let _making = files::lock(&dir.join(MAKING), Deadline::after(WAIT))?;
    if let Some(settings) = Settings::read(dir)? {
        return Ok(settings);
    }
    for name in DIRECTORIES {
        files::make_dir(&dir.join(name))?;
    }
    files::make_dir(&dir.join("root/mnt/pve/local-nfs"))?;
    let cfg = dir.join("storage.cfg");
    fs::write(&cfg, storage::FRESH).map_err(unwritten(&cfg))?;
    let settings = Settings::default();
    let node = Embedded::with(dir, settings.clone());
    let (name, size) = FRESH_TEMPLATE;
    // A process that was killed here may have made it already.
    if files::names(&dir.join("qemu-server"))?.is_empty() {
        node.make_template(name, size)?;
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
        if let Some(vm) = self.read_all()?.0.into_values().find(|vm| vm.template && vm.name == name) {
            return Err(Fault::harmless(
                FaultKind::Refused,
                format!("template '{name}' exists already: VMID {}", vm.id),
            ));
        }
        self.make_template(name, size_gb)
    }

    fn make_template(&self, name: &str, size_gb: u32) -> Result<VmId, Fault> {
        let full = || Fault::harmless(FaultKind::Refused, "no VMID is free");
        let mut ids = (FIRST_TEMPLATE..=VmId::MAX).filter_map(|id| VmId::try_from(id).ok());
        let vm = ids.find(|&id| !self.conf_path(id).exists()).ok_or_else(full)?;
        let storages = self.storages(true)?;
        let images: Vec<&String> = storages.iter().filter(|(_, s)| s.images && s.active).map(|(id, _)| id).collect();
        let id = images
            .iter()
            .find(|id| id.as_str() == "local-zfs")
            .or(images.first())
            .map_or("local-zfs", |id| id.as_str());
        let size = u64::from(size_gb) * GIB;
        let on = usable(&storages, id, size)?;
        let _lock = self.lock_vm(vm, Deadline::after(WAIT))?;
        let volumes = self.volumes_on_disk();
        volumes.erase_all(vm)?;
        let disk = volumes.allocate(id, on, vm, NewName::Base, size)?;
        let cloud_init = volumes.allocate(id, on, vm, NewName::CloudInit, 4 << 20)?;
        let (size, mac) = (print_size(size), new_mac());
        let (uuid, genid) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        let conf = format!(
            "agent: enabled=1\nboot: order=scsi0\ncores: 1\nide2: {cloud_init},media=cdrom,size=4M\nipconfig0: ip=dhcp\n\
             memory: 2048\nname: {name}\nnet0: virtio={mac},bridge=vmbr0\nostype: l26\n\
             scsi0: {disk},discard=on,size={size}\nscsihw: virtio-scsi-pci\nserial0: socket\nsmbios1: uuid={uuid}\n\
             template: 1\nvga: serial0\nvmgenid: {genid}\n"
        );
        self.write_conf(vm, &conf)?;
        Ok(vm)
    }

    /// The node in short.
    pub fn summary(&self) -> Result<Summary, Fault> {
        let (vms, used) = self.read_all()?;
        let vms = vms.into_values().map(|vm| VmSummary {
            id: vm.id,
            name: vm.name,
            template: vm.template,
            running: vm.running,
            lock: vm.lock,
        });
        Ok(Summary {
            vms: vms.collect(),
            storages: self.storages_with(&used)?,
            settings: self.settings.clone(),
            tasks: self.tasks.list()?,
        })
    }

    /// Removes the node in `dir`: its own files and nothing else. A directory without a node is refused, and one where
    /// something runs. What people put beside the node's files stays.
    pub fn reset(dir: &Path) -> Result<(), Fault> {
        let Some(settings) = Settings::read(dir)? else {
            let what = format!("{} is no embedded node: nothing was removed", dir.display());
            return Err(Fault::harmless(FaultKind::Refused, what));
        };
        let making = files::lock(&dir.join(MAKING), Deadline::after(WAIT))?;
        let node = Self::with(dir, settings);
        if node.tasks.any_running()? {
            return Err(Fault::harmless(FaultKind::Busy, "a task is running on this node"));
        }
        for name in DIRECTORIES.iter().filter_map(|name| name.split('/').next()) {
            files::remove(&dir.join(name))?;
        }
        for name in [rehearse::FILE, rehearse::VICTIM, "storage.cfg", settings::FILE, MAKING] {
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
