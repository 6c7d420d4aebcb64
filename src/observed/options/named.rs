//! The rows of options that a file sets by Proxmox's own names: as many as there are options, all of one kind.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::row::{Row, Taking, at_once, at_restart};
use super::value::{Value, Wish};
use crate::model::proxmox::{self, PREFIX, ProxmoxOption, Taken};
use crate::model::{DesiredVm, Disruption, Key};
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

pub(super) fn read<'a>(option: &ProxmoxOption, live: &'a VmObserved) -> Option<Value<'a>> {
    let normal = option.normal(live.options.get(option.name)?);
    (!normal.is_empty()).then_some(Value::Text(Cow::Owned(normal)))
}

/// What phoenix set at the last apply, where the record still has the words.
fn applied<'v>(option: &ProxmoxOption, live: Option<&'v VmObserved>) -> Option<&'v str> {
    live?.record.valid()?.applied.get(option.key).map(String::as_str)
}

pub(super) fn wish<'a>(option: &ProxmoxOption, desired: &'a DesiredVm, live: Option<&VmObserved>) -> Wish<'a> {
    let now = live.and_then(|live| live.options.get(option.name)).unwrap_or_default();
    let before = applied(option, live);
    let text = match (desired.proxmox.get(option.name), before) {
        (Some(file), _) => option.merged(now, &file.value, before.unwrap_or_default()),
        // Without it the VM would lose its uuid for good.
        (None, Some(before)) if option.name == "smbios1" => option.merged(now, "", before),
        (None, Some(_)) => return Wish::Unset,
        (None, None) => return Wish::Leave,
    };
    if text.is_empty() { Wish::Unset } else { Wish::Value(Value::Text(Cow::Owned(text))) }
}

/// How a running VM takes it over (recorded).
pub(super) fn taken<'a>(option: &ProxmoxOption, taking: &Taking<'a>) -> (Disruption, Cow<'a, str>) {
    let live = taking.live;
    let hot = |feature: &str| live.hotplug.iter().any(|hot| hot == feature);
    let wish = wish(option, taking.desired, Some(live));
    let new = wish.value().map(ToString::to_string).unwrap_or_default();
    let old = live.options.get(option.name).unwrap_or_default();
    let whole = |text: &str| text.split(',').any(|word| word == "cpu" || word == "memory");
    match option.spec.taken {
        Taken::Live => at_once(taking, ""),
        Taken::Boot => at_once(taking, "the guest reads it when it boots next"),
        Taken::Usb if hot("usb") => at_once(taking, ""),
        Taken::Usb => at_restart(taking, "USB hotplug is off"),
        Taken::Vcpus if hot("cpu") => at_once(taking, ""),
        Taken::Vcpus => at_restart(taking, "CPU hotplug is off"),
        Taken::Balloon if (old == "0") == (new == "0") => at_once(taking, ""),
        Taken::Balloon => at_restart(taking, "ballooning is switched at a start only"),
        Taken::Hotplug if whole(old) || whole(&new) => {
            at_restart(taking, "CPUs and memory are prepared at a start only")
        }
        Taken::Hotplug => at_once(taking, ""),
        Taken::Restart => at_restart(taking, ""),
    }
}
