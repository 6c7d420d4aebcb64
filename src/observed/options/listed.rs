//! The rows of options that a file sets by Proxmox's own names: as many as there are options, all of one kind.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::row::{Aspect, Row};
use crate::model::proxmox::{self, BOOT_DEVICES, CDROM, DISKS, NETWORKS, PREFIX, ProxmoxOption};
use crate::model::{ActionKind, Applied, DesiredVm, Key};
use crate::observed::VmObserved;

/// The end of the name of a disk's size in the file.
const SIZE: &str = ".size_gb";

/// The end of the name of a disk's storage in the file.
const STORAGE: &str = ".storage";

/// The name under which the record keeps the storage of the further disk in a slot. What it says of one whose move was
/// begun is empty; records of earlier versions say nothing.
#[must_use]
pub fn storage_key(slot: &str) -> String {
    format!("{DISKS}{slot}{STORAGE}")
}

/// The name under which the record keeps the size of the further disk in a slot.
#[must_use]
pub fn size_key(slot: &str) -> String {
    format!("{DISKS}{slot}{SIZE}")
}

/// Whether the record keeps the storage of a further disk under this name.
#[must_use]
pub fn is_storage_key(key: &str) -> bool {
    key.starts_with(DISKS) && key.ends_with(STORAGE)
}

/// Whether it is the size of a further disk that this name stands for.
#[must_use]
pub fn is_size_key(key: &str) -> bool {
    key.starts_with(DISKS) && key.ends_with(SIZE)
}

/// The row of an option, by its name in the file: `proxmox.cpu`.
pub(super) fn row(key: &str) -> Option<&'static Row> {
    static ROWS: LazyLock<BTreeMap<&'static str, Row>> = LazyLock::new(|| {
        let row = |option: &'static ProxmoxOption| {
            let (key, options): (_, &'static [&'static str]) = match option.name {
                proxmox::BOOT_DISK => (Key::BootDiskOptions, all_disks()),
                _ if option.key.starts_with(PREFIX) => (Key::Proxmox, std::slice::from_ref(&option.name)),
                _ if option.key.starts_with(DISKS) => (Key::Disks, std::slice::from_ref(&option.name)),
                _ if option.key.starts_with(CDROM) => (Key::Cdrom, std::slice::from_ref(&option.name)),
                _ if option.key == BOOT_DEVICES => (Key::BootDevices, std::slice::from_ref(&option.name)),
                _ => (Key::Networks, std::slice::from_ref(&option.name)),
            };
            (option.key, Row { key: Some(key), option: Some(option), ..Row::own(option.key, options) })
        };
        let mut rows: BTreeMap<&'static str, Row> =
            proxmox::options().values().chain(proxmox::own().values()).map(row).collect();
        for option in proxmox::own().values().filter(|option| option.key.starts_with(DISKS)) {
            let more = [(SIZE, Aspect::Size, ActionKind::ResizeDisk), (STORAGE, Aspect::Storage, ActionKind::MoveDisk)];
            for (end, aspect, step) in more {
                // Once in the life of the program, two names for each of sixty slots.
                let name: &'static str = format!("{}{end}", option.key).leak();
                let row = Row { key: Some(Key::Disks), option: Some(option), aspect, step, ..Row::own(name, &[]) };
                rows.insert(name, row);
            }
        }
        rows
    });
    ROWS.get(key)
}

/// Proxmox's options that can be a boot disk.
fn all_disks() -> &'static [&'static str] {
    static ALL: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let disks = proxmox::own().values().filter(|option| option.key.starts_with(DISKS));
        disks.map(|option| option.name).filter(|name| !proxmox::holds_state(name)).collect()
    });
    &ALL
}

/// The rows of what a file says of a VM.
pub(super) fn of_file(desired: &DesiredVm) -> impl Iterator<Item = &'static Row> {
    devices_and_others(desired).chain(order(desired))
}

/// The row of the devices to boot from. It comes last: what devices there will be is known then.
fn order(desired: &DesiredVm) -> impl Iterator<Item = &'static Row> {
    desired.boot_devices.iter().filter_map(|_| row(BOOT_DEVICES))
}

fn devices_and_others(desired: &DesiredVm) -> impl Iterator<Item = &'static Row> {
    let named = desired.proxmox.keys().filter_map(|name| proxmox::option(name));
    let disk = desired.boot_disk_options.iter().filter_map(|_| row(proxmox::BOOT_DISK));
    let card = |name: &&'static str| match name.strip_prefix("ipconfig") {
        Some(number) => row(&format!("{NETWORKS}net{number}.ip")),
        None => row(&format!("{NETWORKS}{name}")),
    };
    let cards = desired.networks.keys().filter_map(card);
    let further = desired
        .disks
        .keys()
        .flat_map(|slot| ["", SIZE, STORAGE].into_iter().filter_map(move |end| row(&format!("{DISKS}{slot}{end}"))));
    let drives = desired.cdrom.keys().filter_map(|slot| row(&format!("{CDROM}{slot}")));
    named.filter_map(|option| row(option.key)).chain(disk).chain(cards).chain(further).chain(drives)
}

/// The rows of what phoenix set, as a record says.
pub(super) fn of_record(applied: &Applied) -> impl Iterator<Item = &'static Row> {
    applied.keys().filter_map(row)
}

/// The rows of what a file says of a VM, and of what phoenix set and the file does not say any more.
pub(super) fn of<'v>(desired: &'v DesiredVm, live: &'v VmObserved) -> impl Iterator<Item = &'static Row> + use<'v> {
    let left = live.record.valid().into_iter().flat_map(|record| of_record(&record.applied));
    let left = left.filter(|row| row.option.is_some_and(|option| desired.option(option).is_none()));
    devices_and_others(desired).chain(left).chain(order(desired))
}
