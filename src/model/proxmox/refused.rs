//! Options of Proxmox that cannot stand under `proxmox`, each with the way out.

/// Options that have a key of their own in the file: stem, key. A number may follow the stem.
const OWN: &[(&str, &str)] = &[
    ("cores", "cpu_cores"),
    ("sockets", "cpu_sockets"),
    ("memory", "memory_mb"),
    ("name", "vm_name"),
    ("description", "description"),
    ("tags", "tags"),
    ("pool", "pool"),
    ("onboot", "start_at_boot"),
    ("startup", "boot_order`, `boot_delay` and `shutdown_timeout"),
    ("protection", "protected"),
    ("ostype", "os_type"),
    ("net", "networks"),
    ("ciuser", "user_config"),
    ("cipassword", "user_config.password"),
    ("sshkeys", "user_config"),
    ("ipconfig", "network_config"),
    ("nameserver", "network_config"),
    ("searchdomain", "network_config"),
    ("scsi", "disks"),
    ("virtio", "disks"),
    ("sata", "disks"),
    ("ide", "disks"),
    ("boot", "boot_devices"),
    ("bootdisk", "boot_devices"),
    ("cdrom", "cdrom"),
    ("efidisk", "disks"),
    ("tpmstate", "disks"),
];

/// Options that no file can set: stem, why.
const NEVER: &[(&str, &str)] = &[
    ("autostart", "it has no effect; perhaps `start_at_boot` is meant"),
    ("cicustom", "`user_data` and `vendor_data` write what it names"),
    ("digest", "it is not an option of a VM"),
    ("delete", "it is not an option of a VM; `null` takes an inherited option away"),
    ("force", "it is not an option of a VM"),
    ("lock", "Proxmox locks a VM while it works on it"),
    ("meta", "Proxmox notes there how the VM was made"),
    ("parent", "Proxmox notes there which snapshot the VM comes from"),
    ("revert", "it is not an option of a VM"),
    ("skiplock", "it is not an option of a VM"),
    ("smp", "it is an old name; `cpu_cores` is meant"),
    ("template", "`is_template` says whether the VM becomes a template"),
    ("unused", "a disk that is not used is Proxmox's to list"),
    ("vmgenid", "Proxmox makes one for each VM"),
    ("vmid", "`vm_id` says it"),
    ("vmstate", "Proxmox notes there what a hibernated VM is woken from"),
];

/// Why a name cannot stand under `proxmox`, and what helps: a message without its subject, and a hint. `None`: no
/// option of Proxmox is called so.
#[must_use]
pub fn why_not(name: &str) -> Option<(&'static str, String)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if let Some(number) = name.strip_prefix("ipconfig").filter(|number| !["", "0"].contains(number)) {
        return Some(("has a key of its own", format!("write `networks.net{number}.ip` at the VM instead")));
    }
    if let Some((_, key)) = OWN.iter().find(|(own, _)| *own == stem) {
        return Some(("has a key of its own", format!("write `{key}` at the VM instead")));
    }
    let (_, why) = NEVER.iter().find(|(never, _)| *never == stem)?;
    Some(("is not a user's to set", format!("take it out: {why}")))
}
