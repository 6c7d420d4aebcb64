//! Public keys of OpenSSH, as `authorized_keys` has them.

use data_encoding::{BASE64, BASE64_NOPAD};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A public key: kind, key and comment in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct SshKey {
    line: String,
    fingerprint: String,
}

/// Why a text is no public key. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidKey {
    /// It is, or holds, a private key.
    Private,
    /// It is something else, for this reason.
    Other(&'static str),
}

/// What stands in every private key that is written as text.
pub const PRIVATE_KEY: &str = "PRIVATE KEY";

/// The kinds that OpenSSH takes.
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

impl From<SshKey> for String {
    fn from(key: SshKey) -> Self {
        key.line
    }
}

impl SshKey {
    /// Reads a line like `ssh-ed25519 AAAA… name@host`.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let other = |why| Err(InvalidKey::Other(why));
        if text.contains(PRIVATE_KEY) {
            return Err(InvalidKey::Private);
        }
        if text.contains(['\n', '\r']) {
            return other("it has a line break: each entry is one key, in one line");
        }
        if text.chars().any(char::is_control) {
            return other("it has control characters");
        }
        let mut words = text.split_whitespace();
        let Some(kind) = words.next() else { return other("it is empty") };
        if !KINDS.contains(&kind) {
            return other(if text.split_whitespace().any(|word| KINDS.contains(&word)) {
                "options before the key are not possible here"
            } else if text.trim_start().starts_with(['/', '~', '.']) {
                "it is a path: put the content of the `.pub` file there"
            } else {
                "it does not begin with a kind of key that OpenSSH takes, like `ssh-ed25519`"
            });
        }
        let Some(key) = words.next() else { return other("nothing follows its kind") };
        let Ok(blob) = BASE64.decode(key.as_bytes()) else {
            return other("what follows its kind is not Base64: is it cut off?");
        };
        if !is_key(kind, &blob) {
            return other("what follows its kind is not a key of that kind: is it cut off?");
        }
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Self { line, fingerprint: fingerprint(kind, &blob) })
    }

    /// The line, with single spaces.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Kind and SHA-256 of the key, as `ssh-keygen -l` prints it: `ssh-ed25519 SHA256:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    /// Names any line of a list of keys without repeating it: a key by its fingerprint, anything else by a digest.
    #[must_use]
    pub fn name(line: &str) -> String {
        Self::parse(line).map_or_else(|_| fingerprint("other", line.as_bytes()), |key| key.fingerprint)
    }
}

fn fingerprint(kind: &str, blob: &[u8]) -> String {
    format!("{kind} SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(blob)))
}

/// Whether a blob is made of fields, each after its length (RFC 4253), and the first one names its kind.
fn is_key(kind: &str, blob: &[u8]) -> bool {
    let (mut rest, mut fields) = (blob, 0);
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((field, after)) = after.split_at_checked(length) else { return false };
        if fields == 0 && field != kind.as_bytes() {
            return false;
        }
        (rest, fields) = (after, fields + 1);
    }
    rest.is_empty() && fields > 1
}

#[cfg(test)]
mod tests {
    use super::{InvalidKey, SshKey};

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    #[test]
    fn a_key_is_told_by_its_fingerprint() {
        let key = SshKey::parse(&format!("  {KEY}   me@desk  ")).unwrap();
        assert_eq!(key.line(), format!("{KEY} me@desk"));
        assert_eq!(key.fingerprint(), SshKey::parse(KEY).unwrap().fingerprint());
        assert_eq!(SshKey::name(KEY), key.fingerprint());
        assert!(key.fingerprint().starts_with("ssh-ed25519 SHA256:"));
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let pem = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl";
        assert_eq!(SshKey::parse(pem), Err(InvalidKey::Private));
        for (text, says) in [
            ("", "empty"),
            (" ", "empty"),
            ("me@desk", "does not begin"),
            ("~/.ssh/id_ed25519.pub", "path"),
            ("ssh-ed25519", "nothing follows its kind"),
            ("ssh-ed25519 AAAA", "not a key of that kind"),
            ("ssh-ed25519 AAA*", "not Base64"),
            (&KEY[..60], "cut off"),
            (&KEY.replacen("ssh-ed25519", "ssh-rsa", 1), "not a key of that kind"),
            (&format!("no-pty {KEY}"), "options"),
            (&format!("{KEY}\n{KEY}"), "line break"),
            (&format!("{KEY} \u{1b}[2J"), "control"),
        ] {
            let Err(InvalidKey::Other(why)) = SshKey::parse(text) else { panic!("{text} is accepted") };
            assert!(why.contains(says), "{text}: {why}");
        }
        assert!(SshKey::name("anything").starts_with("other SHA256:"));
    }
}
