//! Digests: of content (ours) and of VM configurations (Proxmox's).

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The SHA-1 of a VM's configuration file in lower-case hex, as Proxmox reports it in `digest`.
///
/// Sent with a write, it makes Proxmox refuse the write if the file changed since
/// (`checksum mismatch (file change by other user?)`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

/// Names a piece of content: the first 16 hex digits of its SHA-256.
///
/// Short, because records live in a VM's notes, which Proxmox limits to 8,192 characters. It detects changes;
/// it is not meant to withstand forgery.
#[must_use]
pub fn content_digest(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    let mut hex = String::with_capacity(16);
    for byte in &hash[..8] {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    hex
}
