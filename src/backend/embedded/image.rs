//! VMs that are made from an image: fetched, created, imported.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::files::{Deadline, unread};
use super::guest_kind::GuestKind;
use super::options::is_dns_name;
use super::refusals::refused;
use super::rehearse::Attempt;
use super::storage::{NewName, usable};
use super::{Embedded, disk_image};
use crate::hypervisor::image::{FETCH, FETCHING, HEAD, disk_size, fetching};
use crate::hypervisor::{Copied, Fault, FaultKind};
use crate::model::{CloudImage, IMAGE_CACHE, ImagePlace, VmId};
use crate::observed::{Conf, print_size};

impl Embedded {
    /// The path on this machine of what a node would import.
    pub(super) fn image_path(&self, image: &CloudImage) -> String {
        match image.place() {
            ImagePlace::Url(_) => {
                let root = self.dir.join("root");
                // What cannot be made absolute is as it is.
                let root = std::path::absolute(&root).unwrap_or(root);
                format!("{}{}", root.display(), image.fetched())
            }
            ImagePlace::File(_) | ImagePlace::Volume(_) => image.fetched(),
        }
    }

    /// Fetches an image, or compares its digest.
    pub(super) fn fetch_image(&self, image: &CloudImage, attempt: Attempt) -> Result<(), Fault> {
        attempt.halfway()?;
        let Some(digest) = image.digest() else { return Ok(()) };
        let (kind, source) = match image.place() {
            ImagePlace::File(path) => ("file", path.to_owned()),
            ImagePlace::Url(url) => ("url", url.to_owned()),
            ImagePlace::Volume(volume) => ("cache", self.file_of(volume)?.display().to_string()),
        };
        let output = shell(&[FETCH, "phoenix-fetch-image", kind, &source, digest, &self.image_cache()])?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Fault::harmless(FaultKind::Refused, format!("`phoenix-fetch-image`: {}", said.trim())))
    }

    /// How far the download of an image is.
    pub(super) fn fetched(&self, image: &CloudImage) -> Result<Option<Copied>, Fault> {
        let (ImagePlace::Url(_), Some(digest)) = (image.place(), image.digest()) else { return Ok(None) };
        let output = shell(&[FETCHING, "phoenix-image-fetching", digest, &self.image_cache()])?;
        Ok(fetching(&String::from_utf8_lossy(&output.stdout)))
    }

    fn image_cache(&self) -> String {
        format!("{}{IMAGE_CACHE}", self.dir.join("root").display())
    }

    /// The size of the disk in an image.
    pub(super) fn measure(&self, image: &CloudImage) -> Result<u64, Fault> {
        if let ImagePlace::File(path) = image.place()
            && Path::new(path).canonicalize().is_ok_and(|real| real != Path::new(path))
        {
            let what = format!("a symbolic link is on the way to {path}: name the file itself");
            return Err(Fault::harmless(FaultKind::Refused, what));
        }
        self.size_of(&self.file_of(&self.image_path(image))?)
    }

    /// The file on this machine that a path or a volume stands for.
    fn file_of(&self, from: &str) -> Result<PathBuf, Fault> {
        if from.starts_with('/') {
            return Ok(from.into());
        }
        // What is not there does not come by trying again.
        self.image_file(from).map_err(|fault| Fault { kind: FaultKind::Refused, ..fault })
    }

    fn size_of(&self, from: &Path) -> Result<u64, Fault> {
        match self.settings.guests {
            GuestKind::Simulated => image_size(from),
            GuestKind::Qemu => Ok(disk_image::inspect(from)?.size),
        }
    }

    /// Makes a VM without disks.
    pub(super) fn create_vm(&self, vm: VmId, name: &str, description: &str, attempt: Attempt) -> Result<(), Fault> {
        if !is_dns_name(name) {
            return Err(refused(&["name: invalid format - value does not look like a valid DNS name".to_owned()]));
        }
        let _lock = self.lock_vm(vm, attempt.deadline)?;
        if self.conf_path(vm).exists() {
            let what = format!("unable to create VM {vm} - VM {vm} already exists on node '{}'", self.settings.name);
            return Err(Fault::harmless(FaultKind::Refused, what));
        }
        let (uuid, genid) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        // What is plugged into a QEMU that runs, phoenix does not change.
        let hotplug = if self.settings.guests == GuestKind::Qemu { "hotplug: 0\n" } else { "" };
        let text = format!("{hotplug}name: {name}\nsmbios1: uuid={uuid}\nvmgenid: {genid}\n");
        let mut conf = Conf::parse(&text);
        conf.set_description(description);
        attempt.halfway()?;
        self.write_conf(vm, &conf.to_string())
    }

    /// Makes a disk from an image; returns the value as it is stored.
    pub(super) fn import_image(
        &self,
        vm: VmId,
        (storage, from, options): (&str, &str, &str),
        deadline: Deadline,
    ) -> Result<String, Fault> {
        let from = &self.file_of(from)?;
        let size = self.size_of(from)?;
        let found = match self.settings.guests {
            GuestKind::Simulated => None,
            GuestKind::Qemu => Some(disk_image::inspect(from)?),
        };
        let (storages, volumes) = (self.storages_of(vm, true)?, self.volumes_on_disk());
        let on = usable(&storages, storage, size)?;
        let volume = volumes.allocate(on, vm, NewName::Disk, size)?;
        if let (Some(image), Some(to)) = (found, volumes.file(&volume, vm))
            && let Err(fault) = disk_image::import(from, &image.format, &to, deadline)
        {
            // An import that fails cleans up after itself.
            volumes.erase(&volume, vm)?;
            return Err(fault);
        }
        let options = if options.is_empty() { String::new() } else { format!(",{options}") };
        Ok(format!("{volume}{options},size={}", print_size(size)))
    }
}

/// Runs one of the scripts for images, with its name and its words.
fn shell(words: &[&str]) -> Result<Output, Fault> {
    let command = Command::new("/bin/sh").arg("-c").args(words).stdin(Stdio::null()).output();
    command.map_err(|error| Fault::harmless(FaultKind::Failed, format!("/bin/sh: {error}")))
}

/// The size of the disk in an image that is one whole disk in one file.
fn image_size(path: &Path) -> Result<u64, Fault> {
    match fs::symlink_metadata(path) {
        Err(_) => {
            let what = format!("the node has no file {}", path.display());
            return Err(Fault::harmless(FaultKind::Missing, what).hint("paths of images are the node's"));
        }
        Ok(meta) if !meta.is_file() => {
            let what = format!("{} is not a regular file of the node", path.display());
            return Err(Fault::harmless(FaultKind::Refused, what));
        }
        Ok(_) => {}
    }
    let file = File::open(path).map_err(unread(path))?;
    let length = file.metadata().map_err(unread(path))?.len();
    let mut head = Vec::with_capacity(HEAD);
    file.take(HEAD as u64).read_to_end(&mut head).map_err(unread(path))?;
    disk_size(&head, length)
        .map_err(|why| Fault::harmless(FaultKind::Refused, format!("the image {} is not used: {why}", path.display())))
}
