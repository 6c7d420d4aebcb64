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
            let row = Row::own(option.key, std::slice::from_ref(&option.name));
            (option.key, Row { key: Some(Key::Proxmox), option: Some(option), ..row })
        };
        proxmox::options().values().map(row).collect()
    });
    ROWS.get(key)
}

/// The rows of what a file says of a VM.
pub(super) fn of_file(desired: &DesiredVm) -> impl Iterator<Item = &'static Row> {
    desired.proxmox.keys().filter_map(|name| row(proxmox::option(name)?.key))
}

/// The rows of what phoenix set, as a record says.
pub(super) fn of_record(applied: &BTreeMap<String, String>) -> impl Iterator<Item = &'static Row> {
    let from = applied.range(PREFIX.to_owned()..);
    from.take_while(|(key, _)| key.starts_with(PREFIX)).filter_map(|(key, _)| row(key))
}

/// The rows of what a file says of a VM, and of what phoenix set and the file does not say any more.
pub(super) fn of<'v>(desired: &'v DesiredVm, live: &'v VmObserved) -> impl Iterator<Item = &'static Row> + use<'v> {
    let left = live.record.valid().into_iter().flat_map(|record| of_record(&record.applied));
    let left = left.filter(|row| row.option.is_some_and(|option| !desired.proxmox.contains_key(option.name)));
    of_file(desired).chain(left)
}
