//! What a VM's configuration tells cloud-init.

use std::collections::BTreeSet;

use data_encoding::HEXUPPER;

use super::disk::volume_of;
use super::property::value;
use crate::model::{Address, SshKey};

/// The options of cloud-init, in normal form. Passwords are not read, and keys are only named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudInit {
    /// `ipconfig0` as it stands; empty when it is not set.
    pub ipconfig0: String,
    /// `nameserver` with single spaces; empty when it is not set.
    pub nameserver: String,
    /// `searchdomain` with single spaces; empty when it is not set.
    pub searchdomain: String,
    /// `ciuser`; empty when it is not set.
    pub user: String,
    /// The keys of `sshkeys` by their fingerprints: kind and SHA-256.
    pub ssh_keys: BTreeSet<String>,
    /// Device of the drive that brings all this to the guest, e.g. `ide2`.
    pub drive: Option<String>,
    /// Options whose value the drive of the running VM does not have yet.
    pub not_in_drive: Vec<String>,
}

impl CloudInit {
    /// Reads the options. `get` gives the value of a key; `keys` are all of them; the rest is taken as it is.
    pub(super) fn read<'a>(
        get: impl Fn(&str) -> Option<&'a str>,
        keys: impl Iterator<Item = &'a str>,
        ssh_keys: BTreeSet<String>,
        not_in_drive: Vec<String>,
    ) -> Self {
        let text = |key: &str| get(key).unwrap_or_default();
        let drive = keys.filter(|key| super::is_disk_key(key)).find(|key| get(key).is_some_and(is_drive));
        Self {
            ipconfig0: text("ipconfig0").to_owned(),
            nameserver: words(text("nameserver")),
            searchdomain: words(text("searchdomain")),
            user: text("ciuser").to_owned(),
            ssh_keys,
            drive: drive.map(str::to_owned),
            not_in_drive,
        }
    }

    /// The keys of `sshkeys` by their fingerprints.
    pub(super) fn keys(text: &str) -> BTreeSet<String> {
        decode_keys(text).lines().filter(|key| !key.trim().is_empty()).map(SshKey::name).collect()
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
    let volume = volume_of(drive).unwrap_or_default();
    let name = volume.rsplit(['/', ':']).next().unwrap_or_default();
    name == "cloudinit" || (name.starts_with("vm-") && name.contains("-cloudinit"))
}

pub(super) fn names(v6: bool) -> (&'static str, &'static str) {
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
