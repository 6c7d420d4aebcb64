//! Images on the node.

use std::time::Duration;

use super::super::proxmox::call::import_disk;
use super::super::runner::Command;
use super::command::{HERE, command};
use super::{Qm, script};
use crate::hypervisor::image::{FETCH, MEASURE, disk_size, import, import_further, measured};
use crate::hypervisor::{Fault, FaultKind, NewDisk};
use crate::model::{CloudImage, Digest, IMAGE_CACHE, ImagePlace, VmId};

impl Qm {
    /// Fetches an image on the node itself, or compares its digest there.
    pub(super) fn fetch_image(&self, image: &CloudImage, deadline: Duration) -> Result<(), Fault> {
        let Some(digest) = image.digest() else { return Ok(()) };
        let (kind, source) = match image.place() {
            ImagePlace::File(path) => ("file", path),
            ImagePlace::Url(url) => ("url", url),
            ImagePlace::Volume(volume) => ("volume", volume),
        };
        let cache = format!("{}{IMAGE_CACHE}", self.layout.root);
        let argv = script("phoenix-fetch-image", FETCH, &[kind, source, digest, &cache]);
        // Done again it goes on where it was: a lost answer is none to be afraid of.
        let output = self.run(&Command { changes: false, ..Command::change(argv, deadline) });
        output.map(drop).map_err(|fault| Fault { kind: refused(&fault), ..fault })
    }

    /// The size of the disk in an image on the node.
    pub(super) fn measure(&self, image: &CloudImage) -> Result<u64, Fault> {
        let (kind, source) = match image.place() {
            ImagePlace::File(path) => ("file", path.to_owned()),
            ImagePlace::Url(_) => ("cache", format!("{}{}", self.layout.root, image.fetched())),
            ImagePlace::Volume(volume) => ("volume", volume.to_owned()),
        };
        let output = self.look("phoenix-image-size", MEASURE, &[kind, &source]);
        let output = output.map_err(|fault| Fault { kind: refused(&fault), ..fault })?;
        let said = String::from_utf8_lossy(&output.stdout);
        let (head, length) = measured(&said).ok_or_else(|| {
            let start: String = said.chars().take(100).collect();
            Fault::harmless(FaultKind::Garbled, format!("`{start}` says nothing of the image {}", image.source))
        })?;
        disk_size(&head, length).map_err(|why| {
            Fault::harmless(FaultKind::Refused, format!("the image {} is not used: {why}", image.source))
        })
    }

    /// The program that makes an image a further disk.
    pub(super) fn import_further(&self, vm: VmId, image: &CloudImage, disk: &NewDisk, digest: &Digest) -> Vec<String> {
        command(&import_disk(HERE, vm, &import_further(&self.source_of(image), disk), digest))
    }

    /// What the node is told to import.
    fn source_of(&self, image: &CloudImage) -> String {
        let root = if matches!(image.place(), ImagePlace::Url(_)) { self.layout.root.as_str() } else { "" };
        format!("{root}{}", image.fetched())
    }

    /// The program that makes an image the boot disk.
    pub(super) fn import(&self, vm: VmId, image: &CloudImage, storage: &str, digest: &Digest) -> Vec<String> {
        command(&import_disk(HERE, vm, &import(&self.source_of(image), storage), digest))
    }
}

/// What is wrong with an image does not get better by trying again.
fn refused(fault: &Fault) -> FaultKind {
    match fault.kind {
        FaultKind::Failed | FaultKind::Missing => FaultKind::Refused,
        kind => kind,
    }
}
