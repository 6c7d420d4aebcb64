//! The rows of options that a file sets by Proxmox's own names: as many as there are options, all of one kind.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::row::Row;
use crate::model::proxmox::{self, PREFIX, ProxmoxOption};
use crate::model::{DesiredVm, Key};
use crate::observed::VmObserved;

/// The row of an option, by its name in the file: `proxmox.cpu`.
pub(super) fn row(key: &str) -> Option<&'static Row> {
    static ROWS: LazyLock<BTreeMap<&'static str, Row>> = LazyLock::new(|| {
        let row = |option: &'static ProxmoxOption| {
            let (key, options): (_, &'static [&'static str]) = match option.name {
                proxmox::BOOT_DISK => (Key::BootDiskOptions, disks()),
                _ if option.key.starts_with(PREFIX) => (Key::Proxmox, std::slice::from_ref(&option.name)),
                _ => (Key::Networks, std::slice::from_ref(&option.name)),
            };
            (option.key, Row { key: Some(key), option: Some(option), ..Row::own(option.key, options) })
        };
        proxmox::options().values().chain(proxmox::own().values()).map(row).collect()
    });
    ROWS.get(key)
}

/// Proxmox's options that can be a boot disk.
fn disks() -> &'static [&'static str] {
    static DISKS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let numbered = [("scsi", 31), ("virtio", 16), ("sata", 6), ("ide", 4)].into_iter();
        // Once in the life of the program.
        let names = numbered.flat_map(|(stem, numbers)| (0..numbers).map(move |n| &*format!("{stem}{n}").leak()));
        names.collect()
    });
    &DISKS
}

/// The rows of what a file says of a VM.
pub(super) fn of_file(desired: &DesiredVm) -> impl Iterator<Item = &'static Row> {
    let named = desired.proxmox.keys().filter_map(|name| proxmox::option(name));
    let own = proxmox::own().values().filter(|option| desired.option(option).is_some());
    named.chain(own).filter_map(|option| row(option.key))
}

/// The rows of what phoenix set, as a record says.
pub(super) fn of_record(applied: &BTreeMap<String, String>) -> impl Iterator<Item = &'static Row> {
    applied.keys().filter_map(|key| row(key))
}

/// The rows of what a file says of a VM, and of what phoenix set and the file does not say any more.
pub(super) fn of<'v>(desired: &'v DesiredVm, live: &'v VmObserved) -> impl Iterator<Item = &'static Row> + use<'v> {
    let left = live.record.valid().into_iter().flat_map(|record| of_record(&record.applied));
    let left = left.filter(|row| row.option.is_some_and(|option| desired.option(option).is_none()));
    of_file(desired).chain(left)
}
