//! How much a config may have of everything, and what a description must leave to phoenix.

/// Longest declared description in characters. Proxmox keeps 8,192 characters of notes, and phoenix's record of the
/// VM stands in the same notes: 1,500 are kept for it.
pub const MAX_DESCRIPTION: usize = 8192 - 1500;

/// Most profiles that a VM names.
pub(super) const MAX_PROFILES: usize = 16;
/// Most nodes that a VM names.
pub(super) const MAX_NODES: usize = 64;
/// Most tries of the HA manager that a VM asks for. Proxmox has no limit.
pub(super) const MAX_TRIES: u32 = 1000;
/// Most keys and values of a config, and most entries that its VMs have from the lists of `vm_defaults` and profiles.
pub const MAX_ITEMS: usize = 500_000;

/// Most VMs of a config.
pub const MAX_VMS: usize = 50_000;

/// Most shares; the entries of a list that is longer are not looked at.
pub const MAX_ENTRIES: usize = 10_000;

/// Largest user data or vendor data of a VM, in bytes.
pub const MAX_DATA_BYTES: usize = 64 << 10;

/// Longest name of the variable of a secret.
pub(super) const MAX_VARIABLE: usize = 128;

/// Longest value of a secret, in bytes.
pub const MAX_SECRET_BYTES: usize = 16 << 10;

/// Longest value of a secret that is a password, in bytes.
pub(super) const MAX_PASSWORD_BYTES: usize = 1024;

/// Largest feature script in bytes.
pub const MAX_SCRIPT_BYTES: usize = 256 << 10;
