//! Proxmox's own options of a VM, under its own names: which there are, what they take, and their normal form.
//!
//! `options.json` beside this file has names, types, limits and formats as the API schema of qemu-server 9 has them,
//! and when a running VM takes a new value over, as it was recorded. An option with a key of its own in the file, and
//! one that is no user's to set, is not among them: [`why_not`] says so.

mod bound;
pub mod cpu;
mod fits;
mod own;
mod reaches;
mod refused;
mod smbios;
mod text;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

pub use bound::{Bound, When, bounds};
pub use own::{
    BOOT_DEVICES, BOOT_DISK, CARD_WORDS, CDROM, DISKS, NETWORKS, address, boot_devices, boot_disk, boot_order, card,
    cdrom, disk, holds_state, is_live_part, is_silent_part, made_once, other_buses, own,
};
pub use refused::why_not;

/// What stands before the name of an option where keys of the file are named.
pub const PREFIX: &str = "proxmox.";

/// One option, or all options of a kind that are told apart by a number at their end.
#[derive(Debug, Deserialize)]
pub struct Spec {
    /// What it takes.
    #[serde(flatten)]
    pub kind: Kind,
    /// When a running VM takes a new value over.
    pub taken: Taken,
    /// How many there are; they are counted from 0.
    #[serde(default)]
    pub numbers: Option<u32>,
    /// Only root itself can set it, no API token.
    #[serde(default)]
    pub root: bool,
}

/// What an option, or a part of one, takes.
#[derive(Debug, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Kind {
    /// On or off.
    Switch {
        /// Proxmox's default.
        default: Option<String>,
    },
    /// A whole number.
    Integer {
        /// Least value.
        min: Option<i64>,
        /// Greatest value.
        max: Option<i64>,
        /// Proxmox's default.
        default: Option<String>,
    },
    /// A number.
    Number {
        /// Least value.
        min: Option<f64>,
        /// Greatest value.
        max: Option<f64>,
        /// Proxmox's default.
        default: Option<String>,
    },
    /// One of these words.
    Words {
        /// The words.
        words: Vec<String>,
        /// Proxmox's default.
        default: Option<String>,
    },
    /// A text.
    Text {
        /// What it must look like, from its beginning to its end.
        pattern: Option<Pattern>,
        /// An example of such a text, or words for it.
        like: Option<String>,
        /// Most characters.
        max_length: Option<usize>,
        /// Proxmox's default.
        default: Option<String>,
    },
    /// A property string: `first,name=value,…`.
    Parts {
        /// The part whose name may be left out; empty: there is none.
        first: String,
        /// The parts by name.
        parts: BTreeMap<String, Part>,
    },
}

/// A part of a property string.
#[derive(Debug, Deserialize)]
pub struct Part {
    /// What it takes.
    #[serde(flatten)]
    pub kind: Kind,
    /// It cannot be left out.
    #[serde(default)]
    pub required: bool,
}

/// What a text must look like.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub struct Pattern {
    /// The pattern, for the whole text.
    pub text: String,
    regex: LazyRegex,
}

type LazyRegex = std::sync::OnceLock<Option<Regex>>;

impl From<String> for Pattern {
    fn from(pattern: String) -> Self {
        Self { text: format!("^(?:{pattern})$"), regex: LazyRegex::new() }
    }
}

impl Pattern {
    fn fits(&self, text: &str) -> bool {
        self.regex.get_or_init(|| Regex::new(&self.text).ok()).as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// When a running VM takes a new value over (recorded).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Taken {
    /// At once.
    Live,
    /// At its next stop and start.
    Restart,
    /// At once; its guest reads it when it boots next.
    Boot,
    /// At once where USB devices are hot-plugged, else at its next stop and start.
    Usb,
    /// At once where CPUs are hot-plugged, else at its next stop and start.
    Vcpus,
    /// At once while it stays on; at its next stop and start if it is switched on or off.
    Balloon,
    /// At once, unless the old or the new value has `cpu` or `memory`.
    Hotplug,
    /// The guest agent: what is done to cloned disks at once, the others at its next stop and start.
    Agent,
    /// A network card: at once where cards are hot-plugged.
    Card,
    /// The options of a disk: limits and what concerns copies at once, the others at its next stop and start.
    Drive,
}

impl Taken {
    /// When a running VM has a new value, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Live => "at once",
            Self::Restart => "after its next stop and start",
            Self::Boot => "at once, its guest when it boots next",
            Self::Usb => "at once where USB devices are hot-plugged, else after its next stop and start",
            Self::Vcpus => "at once where CPUs are hot-plugged, else after its next stop and start",
            Self::Balloon => "at once, but after its next stop and start where ballooning is switched on or off",
            Self::Hotplug => "at once, but after its next stop and start where CPUs or memory are concerned",
            Self::Agent => "`fstrim_cloned_disks` at once, the others after its next stop and start",
            Self::Card => "at once where network cards are hot-plugged, else after its next stop and start",
            Self::Drive => "limits, `backup` and `replicate` at once, the others after its next stop and start",
        }
    }
}

/// An option by its name, e.g. `hostpci0`.
#[derive(Debug)]
pub struct ProxmoxOption {
    /// Its name; that of the boot disk is [`BOOT_DISK`], for it is another in each VM.
    pub name: &'static str,
    /// Its name in the file: `proxmox.hostpci0`, `networks.net1`.
    pub key: &'static str,
    /// Which it is.
    pub spec: &'static Spec,
}

/// A value of a VM for an option of Proxmox.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ProxmoxValue {
    /// The value in normal form; empty: Proxmox's default.
    pub value: String,
    /// Where it comes from. Not serialised: a value is the same wherever it stands.
    #[serde(skip)]
    pub origin: super::Origin,
}

/// Every option as the data has it: a name that ends in `N` stands for numbered ones.
pub fn specs() -> &'static BTreeMap<String, Spec> {
    static SPECS: LazyLock<BTreeMap<String, Spec>> =
        LazyLock::new(|| serde_json::from_str(include_str!("options.json")).unwrap_or_default());
    &SPECS
}

/// Every option by its name.
pub fn options() -> &'static BTreeMap<&'static str, ProxmoxOption> {
    static OPTIONS: LazyLock<BTreeMap<&'static str, ProxmoxOption>> = LazyLock::new(|| {
        let numbered = |(name, spec): (&'static String, &'static Spec)| {
            let names: Vec<String> = match (name.strip_suffix('N'), spec.numbers) {
                (Some(stem), Some(numbers)) => (0..numbers).map(|n| format!("{stem}{n}")).collect(),
                _ => vec![name.clone()],
            };
            names.into_iter().map(move |name| {
                // Once in the life of the program, a hundred names.
                let key: &'static str = Box::leak(format!("{PREFIX}{name}").into_boxed_str());
                let name = &key[PREFIX.len()..];
                (name, ProxmoxOption { name, key, spec })
            })
        };
        specs().iter().flat_map(numbered).collect()
    });
    &OPTIONS
}

/// Whether an option of this name, with or without its number, may reach into the node.
#[must_use]
pub fn can_reach(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let known = |name: &str| option(name).is_some() || option(&format!("{name}0")).is_some();
    known(name) && ["args", "hookscript", "ivshmem", "parallel", "hostpci", "usb", "serial", "rng"].contains(&stem)
}

/// The option of this name.
#[must_use]
pub fn option(name: &str) -> Option<&'static ProxmoxOption> {
    options().get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(kind: &Kind) {
        match kind {
            Kind::Text { pattern: Some(pattern), .. } => drop(Regex::new(&pattern.text).unwrap()),
            Kind::Parts { first, parts } => {
                assert!(first.is_empty() || parts.contains_key(first), "{first}");
                for part in parts.values() {
                    patterns(&part.kind);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn the_data_is_whole() {
        assert_eq!(specs().len(), 48);
        assert_eq!(option("hostpci15").map(|option| option.key), Some("proxmox.hostpci15"));
        assert!(option("hostpci16").is_none() && option("cores").is_none() && option("hostpciN").is_none());
        for spec in specs().values() {
            patterns(&spec.kind);
        }
    }
}
