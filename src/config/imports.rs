//! The rules for further disks that are made as copies of images.

use std::collections::BTreeSet;

use super::codes;
use super::disks::{said_of, saying};
use super::lexis::image_path;
use super::owner::{Owner, layers};
use super::problem::{Problem, Problems, shown};
use super::raw::{Raw, RawCloudImage, RawDisk, RawImport};
use super::spans::Place;
use crate::model::proxmox;

/// Applies the rules to every `import_from` of a disk.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    let mut told = BTreeSet::new();
    for n in 0..raw.virtual_machines.len() {
        let slots: BTreeSet<&str> =
            layers(raw, n).flat_map(|(_, layer)| layer.disks.iter().flatten()).map(|(slot, _)| slot.as_str()).collect();
        for slot in slots {
            let Some(import) = Import::of(raw, n, slot) else { continue };
            let found = import.of_a_vm().filter(|_| !problems.is_said(&import.source_at()));
            let found = found.or_else(|| import.in_the_way());
            // What the defaults say is wrong once, however many VMs have it.
            problems.extend(found.filter(|_| told.insert(import.at().pointer)));
        }
    }
}

/// The VMID that the name of a volume says it belongs to: `tank:vm-1000-disk-1`; `None`: it is no volume of a VM.
pub(super) fn owner_of(source: &str) -> Option<&str> {
    let (storage, name) = image_path(source).split_once(':')?;
    // What has content of its own is called as its maker likes.
    let (first, last) = (name.split('/').next()?, name.rsplit('/').next()?);
    let is_content = first != last && !first.starts_with("base-") && !first.bytes().all(|byte| byte.is_ascii_digit());
    if storage.contains('/') || is_content {
        return None;
    }
    let of = ["vm-", "base-", "subvol-", "basevol-"].into_iter().find_map(|kind| last.strip_prefix(kind))?;
    of.split('-').next().filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
}

/// An image that a VM ends up with for a disk, and where that is written.
struct Import<'r> {
    slot: &'r str,
    owner: Owner<'r>,
    as_written: &'r RawImport,
    image: RawCloudImage,
    /// What is said of the disk, from the nearest.
    said: Vec<(Owner<'r>, &'r RawDisk)>,
    vm: Option<u32>,
}

impl<'r> Import<'r> {
    fn of(raw: &'r Raw, n: usize, slot: &'r str) -> Option<Self> {
        let said = said_of(raw, n, slot);
        let (owner, as_written) =
            saying(&said, "import_from").find_map(|(owner, disk)| Some((owner, disk.import_from.as_ref()?)))?;
        Some(Self { slot, owner, as_written, image: as_written.image(), said, vm: raw.virtual_machines.get(n)?.vm_id })
    }

    fn at(&self) -> Place {
        self.owner.value(&format!("disks/{}/import_from", self.slot))
    }

    fn source_at(&self) -> Place {
        self.owner.value(&format!("disks/{}/import_from{}", self.slot, self.as_written.place_of("source")))
    }

    /// The disk of a VM: what runs there may write to it, or remove it, while it is copied.
    fn of_a_vm(&self) -> Option<Problem> {
        let source = self.image.source.as_deref()?;
        let what = format!(
            "{} is by its name a volume of VM {}: no disk is made from one, which its VM may write to, move or remove while \
             it is copied",
            shown(source),
            owner_of(source)?
        );
        let hint = "with that VM stopped, copy it into an image of its own (`qemu-img convert -O qcow2 \"$(pvesm path VOLUME)\" \
                    IMAGE.qcow2`), and name that";
        Some(Problem::new(codes::IMPORT_OF_VM, what, self.source_at()).hint(hint).vm(self.vm))
    }

    /// A key or a slot that does not go with it.
    fn in_the_way(&self) -> Option<Problem> {
        let slot = shown(self.slot);
        let problem =
            |what: String, hint: &str| Problem::new(codes::IMPORT_CONFLICT, what, self.at()).hint(hint).vm(self.vm);
        if proxmox::holds_state(self.slot) {
            let what = format!(
                "{slot} takes no `import_from`: firmware or a TPM keeps its state there, and Proxmox makes that disk itself"
            );
            return Some(problem(what, "take it out"));
        }
        let also = |key: &str, has: fn(&RawDisk) -> bool| {
            let (owner, _) = saying(&self.said, key).find(|(_, disk)| has(disk))?;
            Some(owner.value(&format!("disks/{}/{key}", self.slot)))
        };
        if let Some(at) = also("volume", |disk| disk.volume.is_some()) {
            let what = format!("{slot} is made from an image or attached as a volume, not both");
            return Some(problem(what, "take `import_from` or `volume` out").also(at, "the volume"));
        }
        let mounted = also("filesystem", |disk| disk.filesystem.is_some());
        let at = mounted.or_else(|| also("mount_point", |disk| disk.mount_point.is_some()))?;
        let what = format!(
            "{slot} is a copy of an image, which is never formatted, and what file system is in it phoenix does not know"
        );
        let hint = "take `filesystem` and `mount_point` out, and mount it in the guest by a feature or by `user_data`";
        Some(problem(what, hint).also(at, "said here"))
    }
}
