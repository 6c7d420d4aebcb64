//! Storages: `storage.cfg` in Proxmox's syntax, and the volumes on them.
//!
//! A volume is a small file `images/STORAGE/VMID/NAME` that holds its size in bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::super::proxmox::storage::{Section, sections, takes};
use super::disk_image;
use super::files::{self, unwritten};
use super::settings::{AddedStorage, Settings};
use crate::hypervisor::{Fault, FaultKind};
use crate::model::VmId;
use crate::observed::{Conf, Listed, ListedVolume, Storage, holds_volume, parse_size, volume_of};

/// The storages of a fresh node.
pub(super) fn fresh(settings: &Settings) -> String {
    let server = settings.bridges.values().flatten().next().unwrap_or(&settings.name);
    format!(
        "zfspool: local-zfs\n\tpool rpool/data\n\tcontent images,rootdir\n\tsparse 1\n\n\
         dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,snippets,images\n\n\
         nfs: local-nfs\n\tserver {server}\n\texport /srv/nfs\n\tpath /mnt/pve/local-nfs\n\tcontent backup,snippets\n"
    )
}

/// What disks take, in bytes: by the node that their VM is on, and the storage.
pub(super) type Used = BTreeMap<(String, String), u64>;

/// Reads `storage.cfg` as a node sees it. Sizes come from the settings; `used` is what the VMs' disks take.
pub(super) fn parse_cfg(text: &str, node: &str, settings: &Settings, used: &Used) -> BTreeMap<String, Storage> {
    let storage = |(id, section): (String, Section)| {
        let total = settings.storage_size(&id, node);
        let shared = section.is_shared();
        let counts = |of: &str| shared || of == node;
        let taken = used.iter().filter(|((of, storage), _)| *storage == id && counts(of)).map(|(_, bytes)| bytes);
        let taken = taken.fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
        let sparse = section.get("sparse").is_some_and(|value| value != "0");
        let storage = Storage {
            images: section.get("content").is_some_and(|content| takes("images", content)),
            isos: section.get("content").is_some_and(|content| takes("iso", content)),
            active: section.get("disable").is_none_or(|value| value == "0"),
            total,
            free: total.saturating_sub(taken),
            shared,
            thick: section.kind == "lvm" || (section.kind == "zfspool" && !sparse),
            nfs: section.source(),
            path: section.get("path").map(ToOwned::to_owned),
            content_dirs: section.content_dirs(),
            snippets: section.snippets(section.get("content").unwrap_or_default()),
            kind: section.kind,
        };
        (id, storage)
    };
    sections(text).into_iter().filter(|(_, section)| section.is_on(node)).map(storage).collect()
}

/// `storage.cfg` with a storage that `node` has: a new one, of that node alone unless all see the same there, or one
/// that is there and gets the node.
///
/// # Errors
/// Why that storage cannot be it.
pub(super) fn with_node(text: &str, added: &AddedStorage, node: &str) -> Result<String, String> {
    let AddedStorage { id, shared, .. } = added;
    let Some(there) = sections(text).remove(id) else {
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let section = if *shared {
            format!("rbd: {id}\n\tpool {id}\n\tcontent images\n")
        } else {
            format!("zfspool: {id}\n\tpool {id}\n\tcontent images,rootdir\n\tsparse 1\n\tnodes {node}\n")
        };
        return Ok(format!("{text}{end}\n{section}"));
    };
    if there.is_shared() != *shared {
        let is = if *shared { "is not shared" } else { "is shared by all nodes: say `,shared` behind it" };
        return Err(format!("storage `{id}` is there already and {is}"));
    }
    if there.is_on(node) {
        return Ok(text.to_owned());
    }
    let header = format!("{}: {id}", there.kind);
    let (mut inside, mut lines) = (false, String::with_capacity(text.len() + node.len() + 1));
    for line in text.lines() {
        if !line.starts_with(['\t', ' ']) {
            inside = line.trim_end() == header;
        }
        lines.push_str(line.trim_end());
        if inside && line.trim_start().starts_with("nodes ") {
            lines.push_str(&format!(",{node}"));
        }
        lines.push('\n');
    }
    Ok(lines)
}

/// Whether volumes of this kind of storage are files in a directory per VM, with the VMID in their volume id.
fn has_files(kind: &str) -> bool {
    matches!(kind, "dir" | "nfs" | "cifs" | "btrfs" | "cephfs" | "glusterfs")
}

/// Adds what the disks of a VM on a node take to the use of their storages.
pub(super) fn add_use(conf: &str, node: &str, used: &mut Used) {
    for line in conf.lines().take_while(|line| !line.starts_with('[')) {
        let Some((key, drive)) = line.split_once(": ") else { continue };
        if !holds_volume(key) {
            continue;
        }
        let (Some((storage, _)), Some((_, size))) = (drive.split_once(':'), drive.rsplit_once("size=")) else {
            continue;
        };
        let size = size.split(',').next().and_then(parse_size).unwrap_or(0);
        let sum = used.entry((node.to_owned(), storage.to_owned())).or_default();
        *sum = sum.saturating_add(size);
    }
}

/// A storage that takes VM disks.
#[derive(Clone, Copy)]
pub(super) struct Usable<'s> {
    id: &'s str,
    pub(super) storage: &'s Storage,
}

/// The volumes of one node.
#[derive(Debug, Clone)]
pub(super) struct Volumes {
    /// Directory `images` of the node.
    pub(super) images: PathBuf,
}

impl Volumes {
    fn of(&self, storage: &str, vm: VmId) -> PathBuf {
        self.images.join(storage).join(vm.to_string())
    }

    /// The file that stands for a volume id, whichever of its two forms it has. `None`: it is no volume id.
    pub(super) fn file(&self, volume: &str, vm: VmId) -> Option<PathBuf> {
        let (storage, rest) = volume.split_once(':')?;
        let name = rest.rsplit('/').next().filter(|name| is_safe(name))?;
        is_safe(storage).then(|| self.of(storage, vm).join(name))
    }

    /// Volume ids of a VMID on all storages.
    pub(super) fn list(&self, vm: VmId, storages: &BTreeMap<String, Storage>) -> Result<Vec<String>, Fault> {
        let mut volumes = Vec::new();
        for storage in files::names(&self.images)? {
            let files = storages.get(&storage).is_some_and(|storage| has_files(&storage.kind));
            for name in files::names(&self.of(&storage, vm))? {
                volumes.push(volume_id(&storage, files, vm, &name));
            }
        }
        Ok(volumes)
    }

    /// The volumes of these VMIDs on these storages.
    pub(super) fn listed(
        &self,
        vms: &[VmId],
        storages: &[&str],
        all: &BTreeMap<String, Storage>,
    ) -> Result<Listed, Fault> {
        let mut found: Listed = storages.iter().map(|storage| ((*storage).to_owned(), BTreeMap::new())).collect();
        for vm in vms {
            for volume in self.list(*vm, all)? {
                let size = self.size(&volume, *vm)?;
                let on = volume.split_once(':').and_then(|(storage, _)| found.get_mut(storage));
                if let Some(on) = on {
                    on.insert(volume.clone(), ListedVolume { vm: *vm, size });
                }
            }
        }
        Ok(found)
    }

    /// Size of a volume in bytes. `None`: its file does not say it.
    pub(super) fn size(&self, volume: &str, vm: VmId) -> Result<Option<u64>, Fault> {
        let Some(path) = self.file(volume, vm) else { return Ok(None) };
        if disk_image::is_image(&path)? {
            return Ok(Some(disk_image::inspect(&path)?.size));
        }
        let text = files::read(&path)?.unwrap_or_default();
        Ok(text.lines().next().and_then(|size| size.trim().parse().ok()))
    }

    /// Takes room for a new disk and returns its volume id.
    pub(super) fn allocate(&self, on: Usable<'_>, vm: VmId, name: NewName, size: u64) -> Result<String, Fault> {
        let Usable { id, storage } = on;
        let dir = self.of(id, vm);
        files::make_dir(&dir)?;
        let files = has_files(&storage.kind);
        let suffix = match (files, name) {
            (false, _) => "",
            (true, NewName::RawDisk) => ".raw",
            (true, _) => ".qcow2",
        };
        let taken = files::names(&dir)?;
        let name = match name {
            NewName::CloudInit => format!("vm-{vm}-cloudinit{suffix}"),
            NewName::Disk | NewName::RawDisk | NewName::Base => {
                let start = if name == NewName::Base { "base" } else { "vm" };
                let free =
                    (0..=u32::MAX).map(|n| format!("{start}-{vm}-disk-{n}{suffix}")).find(|name| !taken.contains(name));
                free.unwrap_or_default()
            }
        };
        let path = dir.join(&name);
        fs::write(&path, size.to_string()).map_err(unwritten(&path))?;
        Ok(volume_id(id, files, vm, &name))
    }

    /// Notes the new size of a volume.
    pub(super) fn set_size(&self, volume: &str, vm: VmId, size: u64) -> Result<(), Fault> {
        let Some(path) = self.file(volume, vm) else { return Ok(()) };
        if let Some(dir) = path.parent() {
            files::make_dir(dir)?;
        }
        let text = files::read(&path)?.unwrap_or_default();
        let rest = text.split_once('\n').map(|(_, rest)| format!("\n{rest}")).unwrap_or_default();
        fs::write(&path, format!("{size}{rest}")).map_err(unwritten(&path))
    }

    /// What a simulated guest has put on a volume; empty: nothing.
    pub(super) fn content(&self, volume: &str, vm: VmId) -> Result<String, Fault> {
        let text = self.file(volume, vm).map_or(Ok(None), |path| files::read(&path))?.unwrap_or_default();
        Ok(text.split_once('\n').map(|(_, content)| content.to_owned()).unwrap_or_default())
    }

    /// Notes what a simulated guest puts on a volume.
    pub(super) fn set_content(&self, volume: &str, vm: VmId, content: &str) -> Result<(), Fault> {
        let Some(path) = self.file(volume, vm) else { return Ok(()) };
        let text = files::read(&path)?.unwrap_or_default();
        let size = text.split_once('\n').map_or(text.as_str(), |(size, _)| size);
        fs::write(&path, format!("{size}\n{content}")).map_err(unwritten(&path))
    }

    /// Erases one volume.
    pub(super) fn erase(&self, volume: &str, vm: VmId) -> Result<(), Fault> {
        self.file(volume, vm).map_or(Ok(()), |path| files::remove(&path))
    }

    /// Erases the volumes that a configuration names.
    pub(super) fn erase_named(&self, conf: &Conf<'_>, vm: VmId) -> Result<(), Fault> {
        for (key, drive) in conf.entries() {
            let volume = volume_of(drive).unwrap_or_default();
            if holds_volume(key) || key.starts_with("unused") {
                self.erase(volume, vm)?;
            }
        }
        Ok(())
    }

    /// Erases every volume of a VMID.
    pub(super) fn erase_all(&self, vm: VmId) -> Result<(), Fault> {
        files::names(&self.images)?.iter().try_for_each(|storage| files::remove(&self.of(storage, vm)))
    }
}

/// What a new volume is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NewName {
    /// A disk of a VM.
    Disk,
    /// The same, raw where the storage knows several formats.
    RawDisk,
    /// A disk of a template.
    Base,
    /// The drive with the cloud-init data.
    CloudInit,
}

fn volume_id(storage: &str, files: bool, vm: VmId, name: &str) -> String {
    if files { format!("{storage}:{vm}/{name}") } else { format!("{storage}:{name}") }
}

/// Volume id of a linked clone: its base and itself.
pub(super) fn linked(base: &str, volume: &str) -> String {
    let own = volume.split_once(':').map_or(volume, |(_, rest)| rest);
    format!("{base}/{own}")
}

fn is_safe(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

/// A storage, if it can take VM disks with so many bytes; otherwise, Proxmox's refusal.
pub(super) fn usable<'s>(storages: &'s BTreeMap<String, Storage>, id: &str, needed: u64) -> Result<Usable<'s>, Fault> {
    let refused = |what: String| Err(Fault::harmless(FaultKind::Refused, what));
    match storages.get_key_value(id) {
        None => Err(Fault::harmless(FaultKind::Missing, format!("storage '{id}' does not exist"))),
        Some((_, storage)) if !storage.active => refused(format!("storage '{id}' is disabled")),
        Some((_, storage)) if !storage.images => refused(format!("storage '{id}' does not support vm images")),
        Some((_, storage)) if storage.thick && storage.free < needed => {
            refused(format!("storage '{id}' has {} bytes free, {needed} are needed", storage.free))
        }
        Some((id, storage)) => Ok(Usable { id, storage }),
    }
}
