//! Further disks by their slots: their sizes, where they lie, and what one is made of.

use std::borrow::Cow;

use super::taking::{Taking, at_once, at_restart};
use super::value::{Value, Wish, gib};
use crate::model::proxmox::{DISKS, ProxmoxOption, holds_state};
use crate::model::{DesiredVm, Disk, Disruption, GIB};
use crate::observed::{BootDisk, VmObserved, VmVolume};

/// The word for that there is a disk.
const ATTACHED: &str = "attached";

/// The volume in a slot.
fn volume<'v>(option: &ProxmoxOption, live: &'v VmObserved) -> Option<&'v VmVolume> {
    live.volumes.iter().find(|volume| volume.device == option.name)
}

/// The size of the disk in a slot.
pub(super) fn size<'a>(option: &ProxmoxOption, live: &'a VmObserved) -> Option<Value<'a>> {
    Some(Value::Bytes(volume(option, live)?.size?))
}

/// The desired size; nothing is desired of a disk that is not there yet, or is as large already: none ever shrinks.
pub(super) fn desired_size<'a>(option: &ProxmoxOption, desired: &'a DesiredVm, live: Option<&VmObserved>) -> Wish<'a> {
    let Some(size) = desired.disks.get(option.name).and_then(|disk| disk.size_gb) else { return Wish::Leave };
    let fills =
        live.is_some_and(|live| fills_last(size, volume(option, live).and_then(|volume| volume.size), desired, live));
    let size = u64::from(size) * GIB;
    match live.map(|live| volume(option, live).and_then(|volume| volume.size)) {
        Some(Some(_)) if fills => Wish::Leave,
        None => Wish::Value(Value::Bytes(size)),
        Some(Some(now)) if now < size => Wish::Value(Value::Bytes(size)),
        Some(_) => Wish::Leave,
    }
}

/// Whether a disk of a VM that was taken over fills the last of these GiB in part: no key can say that, and it is no
/// reason to grow it.
#[must_use]
pub fn fills_last(size_gb: u32, now: Option<u64>, desired: &DesiredVm, live: &VmObserved) -> bool {
    let uuid = live.uuid.as_deref().unwrap_or_default();
    let taken_over = desired.adopt.as_ref().is_some_and(|adopt| adopt.eq_ignore_ascii_case(uuid));
    taken_over && now.is_some_and(|now| now.div_ceil(GIB) == u64::from(size_gb))
}

/// The storage that the disk in a slot lies on.
pub(super) fn storage<'a>(option: &ProxmoxOption, live: &'a VmObserved) -> Option<Value<'a>> {
    volume(option, live)?.volume.split_once(':').map(|(storage, _)| Value::text(storage))
}

/// The desired storage; nothing is desired of a disk that is not there yet, nor of one of firmware or of a TPM, which
/// does not move.
pub(super) fn desired_storage<'a>(
    option: &ProxmoxOption,
    desired: &'a DesiredVm,
    live: Option<&VmObserved>,
) -> Wish<'a> {
    let there = live.is_none_or(|live| volume(option, live).is_some());
    match desired.disks.get(option.name).filter(|_| there && !holds_state(option.name)) {
        Some(disk) => Wish::Value(Value::text(&disk.storage)),
        None => Wish::Leave,
    }
}

/// Whether there is to be a further disk that is a copy of an image, and is not there yet.
pub(super) fn is_copied(option: &ProxmoxOption, desired: &DesiredVm, live: Option<&VmObserved>) -> bool {
    let disk = desired.disks.get(option.name).filter(|_| option.key.starts_with(DISKS));
    let lacks = || live.is_none_or(|live| live.options.get(option.name).is_none());
    disk.is_some_and(|disk| disk.import_from.is_some()) && lacks()
}

/// A disk that is to be made, as Proxmox takes it: `STORAGE:GIB,OPTIONS`; or attached: `VOLUME,OPTIONS`; or as a copy
/// of an image: `STORAGE:0,import-from=IMAGE,OPTIONS`, with the image as the file names it.
pub(super) fn new(option: &ProxmoxOption, disk: &Disk) -> String {
    let usual = match option.name {
        "efidisk0" => Some(("efitype", "efitype=4m")),
        "tpmstate0" => Some(("version", "version=v2.0")),
        _ => None,
    };
    let usual = usual.filter(|(name, _)| !disk.options.value.contains(name)).map(|(_, part)| part);
    let size = disk.size_gb.unwrap_or(1);
    let options = [usual.unwrap_or_default(), &disk.options.value].into_iter().filter(|part| !part.is_empty());
    let volume = match (&disk.volume, &disk.import_from) {
        (Some(volume), _) => volume.clone(),
        (None, Some(image)) => format!("{}:0,import-from={}", disk.storage, image.source),
        (None, None) => format!("{}:{size}", disk.storage),
    };
    [volume].into_iter().chain(options.map(str::to_owned)).collect::<Vec<_>>().join(",")
}

/// What is said of a disk that is there: that it is, and its options.
pub(super) fn attached(options: &str) -> String {
    if options.is_empty() { ATTACHED.to_owned() } else { format!("{ATTACHED},{options}") }
}

/// How a VM takes a disk that is added or detached. `added`: it is not there yet.
pub(super) fn plugged<'a>(option: &ProxmoxOption, added: bool, taking: &Taking<'a>) -> (Disruption, Cow<'a, str>) {
    let disk = taking.desired.disks.get(option.name);
    let note = if added && disk.is_some_and(|disk| disk.volume.is_some()) {
        "a volume that the VM has already; what is on it stays"
    } else if added && disk.is_some_and(|disk| disk.import_from.is_some()) {
        "a copy of the image, which takes time; it is never formatted"
    } else if added {
        "a new, empty disk"
    } else {
        "the guest loses this disk; its volume stays with the VM as an unused disk"
    };
    let hot = option.name.starts_with("scsi") || option.name.starts_with("virtio");
    let plugs = taking.capabilities.plugs_network && taking.live.hotplug.contains("disk");
    if hot && plugs { at_once(taking, note) } else { (at_restart(taking, "").0, Cow::Borrowed(note)) }
}

/// How a VM takes another size.
pub(super) fn grows<'a>(option: &ProxmoxOption, taking: &Taking<'a>) -> (Disruption, Cow<'a, str>) {
    let disruption = at_once(taking, "").0;
    let now = volume(option, taking.live).and_then(|volume| volume.size);
    let size_gb = taking.desired.disks.get(option.name).and_then(|disk| disk.size_gb);
    let note = now.zip(size_gb).map(|(now, size_gb)| growing(option.name, now, size_gb));
    (disruption, Cow::Owned(note.unwrap_or_default()))
}

/// What a disk that grows from `now` bytes takes of its storage, for good, in words.
pub(super) fn growing(slot: &str, now: u64, size_gb: u32) -> String {
    format!("{slot} grows by {} GiB, and cannot shrink again", gib((u64::from(size_gb) * GIB).saturating_sub(now)))
}

/// What happens to a disk that moves, and to what it leaves behind.
pub(super) fn moves<'a>(option: &ProxmoxOption, taking: &Taking<'a>) -> (Disruption, Cow<'a, str>) {
    let disruption = at_once(taking, "").0;
    let there = taking.live.options.get(option.name).and_then(|text| BootDisk::parse(option.name, text));
    let Some(disk) = there else { return (disruption, Cow::Borrowed("")) };
    let size = disk.size.map_or(String::new(), |size| format!(" ({} GiB)", gib(size)));
    (disruption, Cow::Owned(moving(&disk, &size, taking)))
}

/// What happens to a disk that moves, in words. `size`: what is said of it behind its name.
pub(super) fn moving(disk: &BootDisk, size: &str, taking: &Taking<'_>) -> String {
    let copied = if taking.live.running { "is copied while the VM runs" } else { "is copied" };
    let independent = if disk.is_linked() { ", whole" } else { "" };
    let source = if taking.delete_source { "is erased then" } else { "stays as an unused disk" };
    format!("{}{size} {copied}{independent}; {} {source}", disk.device, disk.volume)
}

/// Whether a disk that is there keeps its options whatever the file says: those of firmware and of a TPM are made once.
pub(super) fn is_fixed(option: &ProxmoxOption) -> bool {
    holds_state(option.name)
}
