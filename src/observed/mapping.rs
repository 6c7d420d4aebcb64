//! Devices and directories of nodes that have one name in the whole cluster: resource mappings.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::property::value;

/// What is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mapped {
    /// A PCI device, for `hostpciN`.
    Pci,
    /// A USB device, for `usbN`.
    Usb,
    /// A directory, for `virtiofsN`.
    Dir,
}

impl Mapped {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Pci, Self::Usb, Self::Dir];

    /// The file of `/etc/pve/mapping` that has the mappings of this kind, without `.cfg`.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Pci => "pci",
            Self::Usb => "usb",
            Self::Dir => "directory",
        }
    }

    /// The mapping that an option of a VM names, if it names one.
    #[must_use]
    pub fn named<'v>(option: &str, text: &'v str) -> Option<(Self, &'v str)> {
        let stem = option.trim_end_matches(|c: char| c.is_ascii_digit());
        let (kind, name) = match stem {
            "hostpci" => (Self::Pci, value(text, "mapping", "host")),
            "usb" => (Self::Usb, value(text, "mapping", "host")),
            "virtiofs" => (Self::Dir, value(text, "dirid", "dirid")),
            _ => return None,
        };
        (stem.len() < option.len()).then_some((kind, name?))
    }
}

/// The mappings of a cluster: by kind and name the nodes that each has an entry for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mappings(pub BTreeMap<Mapped, BTreeMap<String, BTreeSet<String>>>);

impl Mappings {
    /// The names of all mappings of a kind.
    pub fn names(&self, kind: Mapped) -> impl Iterator<Item = &str> {
        self.0.get(&kind).into_iter().flat_map(|of| of.keys().map(String::as_str))
    }

    /// The nodes that a mapping has an entry for; `None`: there is no such mapping.
    #[must_use]
    pub fn nodes(&self, kind: Mapped, name: &str) -> Option<&BTreeSet<String>> {
        self.0.get(&kind)?.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::Mapped;

    #[test]
    fn options_name_mappings() {
        for (option, value, named) in [
            ("hostpci0", "mapping=gpu,pcie=1", Some((Mapped::Pci, "gpu"))),
            ("hostpci0", "0000:01:00.0", None),
            ("hostpci0", "host=0000:01:00.0", None),
            ("usb1", "usb3=1,mapping=key", Some((Mapped::Usb, "key"))),
            ("usb1", "spice", None),
            ("virtiofs0", "labdir,cache=always", Some((Mapped::Dir, "labdir"))),
            ("virtiofs0", "cache=always,dirid=labdir", Some((Mapped::Dir, "labdir"))),
            ("virtiofs", "labdir", None),
            ("usb", "mapping=x", None),
            ("net0", "mapping=x", None),
        ] {
            assert_eq!(Mapped::named(option, value), named, "{option}: {value}");
        }
    }
}
