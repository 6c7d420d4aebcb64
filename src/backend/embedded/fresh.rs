//! What a fresh node has.

use super::guest_kind::GuestKind;
use super::node::AllVms;
use super::options::new_mac;
use super::settings::Settings;
use super::storage;
use crate::hypervisor::{Fault, FaultKind};
use crate::model::{GIB, VmId};
use crate::observed::{VmObserved, print_size};

/// Directories of a node.
pub(super) const DIRECTORIES: [&str; 11] =
    ["qemu-server", "images", "run", "guests", "processes", "qemu", "nfs", "root", "tasks/active", "locks", "tmp"];

/// First VMID of templates.
pub(super) const FIRST_TEMPLATE: u32 = 9000;

/// Template of a fresh node: its name and the size of its disk in GiB.
pub(super) const FRESH_TEMPLATE: (&str, u32) = ("ubuntu-22.04-cloud-template-v3", 3);

/// The configuration of a new template with these volumes.
pub(super) fn template_conf(name: &str, disk: &str, cloud_init: &str, size: u64, hotplug: &str) -> String {
    let (size, mac) = (print_size(size), new_mac());
    let (uuid, genid) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    format!(
        "agent: enabled=1\nboot: order=scsi0\ncores: 1\n{hotplug}ide2: {cloud_init},media=cdrom,size=4M\n\
         ipconfig0: ip=dhcp\nmemory: 2048\nname: {name}\nnet0: virtio={mac},bridge=vmbr0\nostype: l26\n\
         scsi0: {disk},discard=on,size={size}\nscsihw: virtio-scsi-pci\nserial0: socket\nsmbios1: uuid={uuid}\n\
         template: 1\nvga: serial0\nvmgenid: {genid}\n"
    )
}

/// The VMs of a fresh node with these settings, as one is made: its template.
pub(super) fn vms(settings: &Settings) -> Result<AllVms, Fault> {
    let (mut vms, mut used) = AllVms::default();
    let id = VmId::try_from(FIRST_TEMPLATE).map_err(|error| Fault::harmless(FaultKind::Failed, error.to_string()))?;
    if settings.guests == GuestKind::Simulated {
        let (name, size) = FRESH_TEMPLATE;
        let disk = format!("local-zfs:base-{id}-disk-0");
        let text = template_conf(name, &disk, &format!("local-zfs:vm-{id}-cloudinit"), u64::from(size) * GIB, "");
        storage::add_use(&text, &settings.name, &mut used);
        vms.insert(id, VmObserved::from_conf(id, &text, false).on(&settings.name));
    }
    Ok((vms, used))
}
