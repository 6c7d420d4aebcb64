//! Disks and sizes.

/// The disk a VM boots from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootDisk {
    /// Device, e.g. `scsi0`.
    pub device: String,
    /// Storage it lies on.
    pub storage: String,
    /// Volume id, e.g. `local-zfs:vm-101-disk-0`.
    pub volume: String,
    /// Size in bytes, when the configuration says it.
    pub size: Option<u64>,
}
