//! What a VM's configuration tells cloud-init, and the write that makes it what is wanted.

use std::collections::BTreeSet;

use data_encoding::HEXUPPER;
use serde::{Deserialize, Serialize};

use super::property::value;
use super::write::ConfigWrite;
use super::{Conf, PropertyString, VmObserved};
use crate::model::{Address, NetworkConfig, SshKey, UserConfig};

/// The options of cloud-init, in normal form. Passwords are not read, and keys are only named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CloudInit {
    /// `ipconfig0` as it stands; empty when it is not set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ipconfig0: String,
    /// `nameserver` with single spaces; empty when it is not set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nameserver: String,
    /// `searchdomain` with single spaces; empty when it is not set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub searchdomain: String,
    /// `ciuser`; empty when it is not set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The keys of `sshkeys` by their fingerprints: kind and SHA-256.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub ssh_keys: BTreeSet<String>,
    /// Device of the drive that brings all this to the guest, e.g. `ide2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drive: Option<String>,
    /// Options whose value the drive of the running VM does not have yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_in_drive: Vec<String>,
}

/// Options of cloud-init that the config can set.
pub const CLOUD_INIT_KEYS: [&str; 5] = ["ciuser", "ipconfig0", "nameserver", "searchdomain", "sshkeys"];

/// Places for a cloud-init drive, as Proxmox's own pages use them first.
const DRIVES: [&str; 4] = ["ide2", "ide0", "ide1", "ide3"];

impl CloudInit {
    /// Reads the options. `get` gives the value of a key, `entries` all of them.
    pub(super) fn read<'a>(
        conf: &Conf<'_>,
        get: impl Fn(&str) -> Option<&'a str>,
        keys: impl Iterator<Item = &'a str>,
    ) -> Self {
        let text = |key: &str| get(key).unwrap_or_default();
        let drive = keys.filter(|key| super::is_disk_key(key)).find(|key| get(key).is_some_and(is_drive));
        Self {
            ipconfig0: text("ipconfig0").to_owned(),
            nameserver: words(text("nameserver")),
            searchdomain: words(text("searchdomain")),
            user: text("ciuser").to_owned(),
            ssh_keys: decode_keys(text("sshkeys"))
                .lines()
                .filter(|key| !key.trim().is_empty())
                .map(SshKey::name)
                .collect(),
            drive: drive.map(str::to_owned),
            not_in_drive: conf.not_in_drive(),
        }
    }

    /// How the first card gets its address: `v6` of the two kinds.
    #[must_use]
    pub fn address(&self, v6: bool) -> Address {
        let (ip, gw) = names(v6);
        let get = |key| value(&self.ipconfig0, key, "").map(str::to_owned);
        Address { ip: get(ip).unwrap_or_default(), gw: get(gw) }
    }
}

/// Words parted by single spaces. Proxmox takes commas and semicolons, too.
fn words(text: &str) -> String {
    let parting = |c: char| c.is_whitespace() || c == ',' || c == ';';
    text.split(parting).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether a drive is that of cloud-init.
fn is_drive(drive: &str) -> bool {
    let volume = value(drive, "file", "file").unwrap_or_default();
    let name = volume.rsplit(['/', ':']).next().unwrap_or_default();
    name == "cloudinit" || (name.starts_with("vm-") && name.contains("-cloudinit"))
}

fn names(v6: bool) -> (&'static str, &'static str) {
    if v6 { ("ip6", "gw6") } else { ("ip", "gw") }
}

/// Keys as Proxmox stores them: one a line, percent-encoded.
#[must_use]
pub fn encode_keys(keys: &[SshKey]) -> String {
    let mut out = String::new();
    for byte in keys.iter().flat_map(|key| key.line().bytes().chain([b'\n'])) {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&HEXUPPER.encode(&[byte]));
        }
    }
    out
}

/// The text of `sshkeys`. What is not encoded stays as it is.
#[must_use]
pub fn decode_keys(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let decoded = match (first, after) {
            (b'%', [high, low, ..]) => HEXUPPER.decode(&[*high, *low].map(|b| b.to_ascii_uppercase())).ok(),
            _ => None,
        };
        if let Some([byte]) = decoded.as_deref() {
            bytes.push(*byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a VM's configuration should tell cloud-init.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CloudInitWanted<'a> {
    /// The network; `None` leaves it.
    pub network: Option<&'a NetworkConfig>,
    /// The user; `None` leaves it.
    pub user: Option<&'a UserConfig>,
    /// Storage of a drive that has to be added.
    pub storage: &'a str,
    /// A volume that such a drive had in a run that was interrupted.
    pub volume: Option<&'a str>,
}

impl CloudInitWanted<'_> {
    /// Where a drive is to be added so that what is wanted reaches the guest; `None`: none is needed, or no place is free.
    #[must_use]
    pub fn new_drive(&self, live: &VmObserved) -> Option<&'static str> {
        let needed = (self.network.is_some() || self.user.is_some()) && live.cloud_init.drive.is_none();
        DRIVES.into_iter().find(|device| needed && !live.drives.contains(*device))
    }

    /// `ipconfig0` as it should be. A kind of address that is not wished for stays, unless it is a fixed one that a fresh
    /// clone has from its template: without any, it asks DHCP.
    fn ipconfig0(&self, live: &CloudInit, fresh: bool) -> String {
        let mut text = PropertyString::parse(&live.ipconfig0);
        for (v6, wish) in
            [(false, self.network.and_then(|n| n.ip.as_ref())), (true, self.network.and_then(|n| n.ip6.as_ref()))]
        {
            let now = live.address(v6);
            let (ip, gw) = names(v6);
            match wish {
                Some(wish) if *wish != now => {
                    text.set(ip, &wish.ip);
                    match &wish.gw {
                        Some(gateway) => text.set(gw, gateway),
                        None => text.remove(gw),
                    }
                }
                None if fresh && now.is_fixed() => {
                    text.remove(ip);
                    text.remove(gw);
                }
                _ => {}
            }
        }
        // Said aloud: a guest that is told nothing has no network at all where its image does not ask by itself.
        if text.parts.is_empty() && !live.ipconfig0.is_empty() {
            text.set("ip", "dhcp");
        }
        text.to_string()
    }

    /// Adds what differs to a write.
    pub(super) fn add_to(&self, write: &mut ConfigWrite, live: &VmObserved, fresh: bool) {
        let now = &live.cloud_init;
        let mut text = |key: &str, now: &str, wish: String| {
            if wish == now {
            } else if wish.is_empty() {
                write.delete.insert(key.to_owned());
            } else {
                write.set.insert(key.to_owned(), wish);
            }
        };
        text("ipconfig0", &now.ipconfig0, self.ipconfig0(now, fresh));
        if let Some(network) = self.network {
            text("nameserver", &now.nameserver, network.nameserver.clone().unwrap_or_else(|| now.nameserver.clone()));
            let domains = network.searchdomain.clone().unwrap_or_else(|| now.searchdomain.clone());
            text("searchdomain", &now.searchdomain, domains);
        }
        if let Some(user) = self.user {
            text("ciuser", &now.user, user.username.clone().unwrap_or_else(|| now.user.clone()));
            if let Some(keys) = &user.ssh_authorized_keys
                && keys.iter().map(SshKey::fingerprint).collect::<BTreeSet<_>>() != now.ssh_keys
            {
                if keys.is_empty() {
                    write.delete.insert("sshkeys".to_owned());
                } else {
                    write.set.insert("sshkeys".to_owned(), encode_keys(keys));
                }
            }
        }
        if let Some(device) = self.new_drive(live) {
            let drive = match self.volume {
                Some(volume) => format!("{volume},media=cdrom"),
                None => format!("{}:cloudinit", self.storage),
            };
            write.set.insert(device.to_owned(), drive);
        }
    }
}
