//! What an operation makes of a VM that is only imagined.

use std::collections::BTreeMap;

use crate::hypervisor::{Fault, FaultKind};
use crate::model::{Digest, VmId};
use crate::observed::{ConfigWrite, NEW_MAC, Net, PropertyString, VmObserved};

/// Changes a VM, whose digest is another one then.
pub(super) fn change(
    vms: &mut BTreeMap<VmId, VmObserved>,
    vm: VmId,
    how: impl FnOnce(&VmObserved) -> VmObserved,
) -> Result<(), Fault> {
    let live = vms.get_mut(&vm).ok_or_else(|| missing(vm))?;
    let before = std::mem::replace(&mut live.digest, unknown());
    *live = how(live);
    if before == live.digest {
        live.digest = Digest("<new digest>".to_owned());
    }
    Ok(())
}

pub(super) fn missing(vm: VmId) -> Fault {
    Fault::harmless(FaultKind::Missing, format!("there is no VM {vm}"))
}

pub(super) fn unknown() -> Digest {
    Digest("<digest>".to_owned())
}

fn set(live: &VmObserved, option: &str, value: String) -> VmObserved {
    live.after(&ConfigWrite { set: [(option.to_owned(), value)].into(), ..ConfigWrite::default() })
}

/// A VM one of whose options has another part.
pub(super) fn with_part(live: &VmObserved, option: &str, part: &str, value: &str) -> VmObserved {
    let mut text = PropertyString::parse(live.options.get(option).unwrap_or_default());
    text.set(part, value);
    set(live, option, text.to_string())
}

/// A VM with a disk of its own on another storage.
pub(super) fn on_storage(live: &VmObserved, disk: &str, storage: &str) -> VmObserved {
    let text = live.options.get(disk).unwrap_or_default();
    let rest = text.split_once(',').map(|(_, rest)| format!(",{rest}")).unwrap_or_default();
    set(live, disk, format!("{storage}:vm-{}-disk-0{rest}", live.id))
}

/// A VM whose card has a MAC address, which Proxmox makes up.
pub(super) fn carded(live: VmObserved) -> VmObserved {
    match &live.net0 {
        Some(net) if net.mac.is_none() => {
            let text = Net { mac: Some(NEW_MAC.to_owned()), ..net.clone() }.to_string();
            set(&live, "net0", text)
        }
        _ => live,
    }
}

/// Switches a VM on or off, which makes what waited count.
pub(super) fn power(vms: &mut BTreeMap<VmId, VmObserved>, vm: VmId, running: bool) -> Result<(), Fault> {
    let live = vms.get_mut(&vm).ok_or_else(|| missing(vm))?;
    live.running = running;
    if live.pending.is_empty() {
        return Ok(());
    }
    change(vms, vm, |live| VmObserved { pending: BTreeMap::new(), ..live.clone() })
}

/// What Proxmox makes of a VM and its disks.
pub(super) fn as_template(live: &VmObserved) -> VmObserved {
    let mut write = ConfigWrite::default();
    write.set.insert("template".to_owned(), "1".to_owned());
    for device in live.unconverted() {
        let text = live.options.get(device).unwrap_or_default();
        write
            .set
            .insert(device.to_owned(), text.replacen(&format!("vm-{}-", live.id), &format!("base-{}-", live.id), 1));
    }
    live.after(&write)
}
