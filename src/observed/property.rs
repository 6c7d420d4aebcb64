//! Proxmox property strings: `virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1`.

/// A property string in its own order, every part kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PropertyString {
    /// The parts; a part without `=` has an empty key.
    pub parts: Vec<(String, String)>,
}
