//! Network cards (`netN`).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::property::parts;
use crate::model::NetworkModel;

/// A network card. Options phoenix does not own are kept in `rest`, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

impl Net {
    /// A card on a bridge without a MAC of its own yet.
    #[must_use]
    pub fn new(model: &str, bridge: &str) -> Self {
        Self { model: model.to_owned(), mac: None, bridge: Some(bridge.to_owned()), rest: Vec::new() }
    }

    /// Reads `virtio=MAC,bridge=…`, `virtio,bridge=…` and `model=virtio,macaddr=MAC,…`. `None`: no model in it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut model = None;
        let mut net = Self { model: String::new(), mac: None, bridge: None, rest: Vec::new() };
        for (key, value) in parts(text) {
            match key {
                "" | "model" => model = Some(value.to_owned()),
                "macaddr" => net.mac = Some(value.to_owned()),
                "bridge" => net.bridge = Some(value.to_owned()),
                word if NetworkModel::from_word(word).is_some() => {
                    model = Some(word.to_owned());
                    net.mac = Some(value.to_owned());
                }
                _ => net.rest.push((key.to_owned(), value.to_owned())),
            }
        }
        net.model = model?;
        Some(net)
    }

    /// The same card, MAC and options kept, with another bridge and model.
    #[must_use]
    pub fn rewired(&self, bridge: &str, model: &str) -> Self {
        Self { model: model.to_owned(), bridge: Some(bridge.to_owned()), ..self.clone() }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.model)?;
        if let Some(mac) = &self.mac {
            write!(f, "={mac}")?;
        }
        if let Some(bridge) = &self.bridge {
            write!(f, ",bridge={bridge}")?;
        }
        self.rest.iter().try_for_each(|(key, value)| write!(f, ",{key}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, printed) in [
            ("virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=20", "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=20"),
            ("virtio,bridge=vmbr0", "virtio,bridge=vmbr0"),
            ("model=e1000,macaddr=BC:24:11:00:00:01,bridge=b", "e1000=BC:24:11:00:00:01,bridge=b"),
            (
                "virtio=BC:24:11:00:00:01,firewall=1,bridge=b,mtu=1",
                "virtio=BC:24:11:00:00:01,bridge=b,firewall=1,mtu=1",
            ),
            ("virtio=BC:24:11:00:00:01", "virtio=BC:24:11:00:00:01"),
        ] {
            assert_eq!(Net::parse(text).map(|net| net.to_string()).as_deref(), Some(printed), "{text}");
        }
        assert_eq!(Net::parse("bridge=vmbr0"), None);
    }

    #[test]
    fn rewiring_keeps_what_is_not_ours() {
        let net = Net::parse("virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=20").unwrap();
        assert_eq!(net.rewired("vmbr1", "e1000").to_string(), "e1000=BC:24:11:00:00:01,bridge=vmbr1,firewall=1,tag=20");
    }
}
