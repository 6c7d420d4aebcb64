//! Proxmox VM configuration files, kept to the byte.

/// Name of the section with pending changes.
pub const PENDING: &str = "PENDING";
