//! Network cards (`netN`).

/// A network card. Options phoenix does not own are kept in `rest`, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Net {
    /// Card model, e.g. `virtio`.
    pub model: String,
    /// MAC address; without one Proxmox makes up a new one at every write.
    pub mac: Option<String>,
    /// Bridge.
    pub bridge: Option<String>,
    /// Everything else (`firewall`, `tag`, `mtu`, …).
    pub rest: Vec<(String, String)>,
}
