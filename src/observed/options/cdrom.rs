//! CD drives by their slots, and the devices that a VM tries to boot from.

use std::borrow::Cow;

use super::edit::Edit;
use super::taking::{Taking, at_once, at_restart};
use super::value::{Value, Wish};
use crate::model::Disruption;
use crate::model::proxmox::{BOOT_DEVICES, CDROM, ProxmoxOption, boot_order};
use crate::observed::{PropertyString, VmObserved};

/// What lies in an empty drive.
pub(super) const NONE: &str = "none";

/// Whether an option is a CD drive of the file.
pub(super) fn is_drive(option: &ProxmoxOption) -> bool {
    option.key.starts_with(CDROM)
}

/// Whether an option is the devices that a VM tries to boot from.
pub(super) fn is_order(option: &ProxmoxOption) -> bool {
    option.key == BOOT_DEVICES
}

/// What lies in the drive in a slot; `None`: there is none.
pub(super) fn disc(option: &ProxmoxOption, live: &VmObserved) -> Option<String> {
    let text = live.options.get(option.name)?;
    (PropertyString::parse(text).get("media") == Some("cdrom")).then(|| option.own(text))
}

/// What becomes of a drive that the file does not say any more: one that phoenix made goes, of another one the image
/// that the file had said. `was`: what the file had said.
pub(super) fn left<'a>(option: &ProxmoxOption, live: Option<&VmObserved>, was: &str) -> Wish<'a> {
    let Some(now) = live.and_then(|live| disc(option, live)) else { return Wish::Leave };
    let made = live.and_then(|live| live.record.valid()).is_some_and(|record| record.made.contains(option.name));
    match () {
        () if made => Wish::Unset,
        // Another process or an administrator put another one in.
        () if now == NONE || now != was => Wish::Leave,
        () => Wish::Value(Value::text(NONE)),
    }
}

/// A drive as Proxmox takes it, with whatever else it said before.
pub(super) fn drive(now: &str, disc: &str) -> String {
    let mut drive = PropertyString::parse(now);
    drive.parts.retain(|(name, _)| !["", "file", "media", "size"].contains(&name.as_str()));
    drive.parts.insert(0, (String::new(), disc.to_owned()));
    drive.parts.insert(1, ("media".to_owned(), "cdrom".to_owned()));
    drive.to_string()
}

/// Writes the order of these devices. One that goes with the same write is none that Proxmox takes.
pub(super) fn put_order(devices: &str, edit: &mut Edit<'_>) {
    let there = |device: &&str| {
        let was = edit.live.options.get(device).is_some();
        !was || !edit.get(device).is_empty()
    };
    let devices: Vec<&str> = devices.split(';').filter(there).collect();
    let order = format!("order={}", devices.join(";"));
    edit.put("boot", order);
}

/// How a VM takes a drive that is added, whose image is changed, or that is removed. `new`: what will lie in it;
/// `None`: it goes.
pub(super) fn taken<'a>(option: &ProxmoxOption, new: Option<&str>, taking: &Taking<'a>) -> (Disruption, Cow<'a, str>) {
    let live = taking.live;
    let changes = taking.capabilities.plugs_network;
    let hot = changes && option.name.starts_with("scsi") && live.hotplug.contains("disk");
    let order = live.options.get("boot").unwrap_or_default();
    match (disc(option, live), new) {
        (Some(_), Some(_)) if changes && !live.pending.contains_key(option.name) => {
            at_once(taking, "the image is changed in the drive")
        }
        (Some(_), Some(_)) => at_restart(taking, "the image is changed at a start only"),
        (Some(_), None) if hot && boot_order(order).any(|device| device == option.name) => {
            at_restart(taking, "the guest loses this drive at once; the boot order, which names it, waits")
        }
        (Some(_), None) if hot => at_once(taking, "the guest loses this drive"),
        (Some(_), None) => at_restart(taking, "a CD drive is removed at a start only"),
        // Proxmox puts it at the end of the order, and that pends (recorded).
        (None, _) if hot && boot_order(order).next().is_some() => {
            at_restart(taking, "the guest has the new CD drive at once; the boot order, which gets it, waits")
        }
        (None, _) if hot => at_once(taking, "a new CD drive"),
        (None, Some(NONE)) => at_restart(taking, "an empty CD drive is added at a start only"),
        (None, _) => at_restart(taking, "a CD drive is added at a start only"),
    }
}
