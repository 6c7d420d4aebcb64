//! Options that a file sets by Proxmox's own names: what a VM has, what is desired, and how it is taken over.

use std::borrow::Cow;

use super::taking::{Taking, at_once, at_restart};
use super::value::{Value, Wish};
use crate::model::proxmox::{ProxmoxOption, Taken};
use crate::model::{DesiredVm, Disruption};
use crate::observed::VmObserved;

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
    let why_later = match option.spec.taken {
        Taken::Live => None,
        Taken::Boot => return at_once(taking, "the guest reads it when it boots next"),
        Taken::Usb => (!hot("usb")).then_some("USB hotplug is off"),
        Taken::Vcpus => (!hot("cpu")).then_some("CPU hotplug is off"),
        Taken::Balloon => ((old == "0") != (new == "0")).then_some("ballooning is switched at a start only"),
        Taken::Hotplug => (whole(old) || whole(&new)).then_some("CPUs and memory are prepared at a start only"),
        Taken::Restart => Some(""),
    };
    why_later.map_or_else(|| at_once(taking, ""), |why| at_restart(taking, why))
}
