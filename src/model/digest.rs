//! Digests: of content (ours) and of VM configurations (Proxmox's).

use std::borrow::Cow;
use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The SHA-1 of a VM's configuration file in lower-case hex, as Proxmox reports it in `digest`.
///
/// Sent with a write, it makes Proxmox refuse the write if the file changed since
/// (`checksum mismatch (file change by other user?)`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

/// Characters of a digest that a record keeps: 128 bits. Records live in a VM's notes, which Proxmox limits to 8,192
/// characters.
const NOTED: usize = 32;

/// Fewest characters that a record keeps: an earlier version kept 64 bits.
const FEWEST_NOTED: usize = 16;

/// Names a piece of content beyond doubt: its SHA-256, 64 lower-case hex digits.
#[must_use]
pub fn content_digest(content: &[u8]) -> String {
    hex(Sha256::new_with_prefix(content))
}

/// The [`content_digest`] of a value's JSON, of which no text is made: that of ten thousand VMs is tens of MiB.
///
/// # Errors
/// The value cannot be JSON: it has a map whose keys are no text.
pub fn json_digest(value: &impl Serialize) -> serde_json::Result<String> {
    /// Takes bytes in.
    struct Sink(Sha256);
    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    // Serialising writes in pieces of a few bytes.
    let mut sink = io::BufWriter::with_capacity(1 << 14, Sink(Sha256::new()));
    serde_json::to_writer(&mut sink, value)?;
    sink.into_inner().map(|sink| hex(sink.0)).map_err(|full| serde_json::Error::io(full.into_error()))
}

fn hex(hash: Sha256) -> String {
    let mut hex = String::with_capacity(64);
    for byte in hash.finalize() {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    hex
}

/// Whether a text has the shape of a [`content_digest`].
#[must_use]
pub fn is_content_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What a record keeps of a digest: its first 128 bits.
#[must_use]
pub fn noted(digest: &str) -> &str {
    digest.get(..NOTED).unwrap_or(digest)
}

/// Whether what a record keeps names this digest, or what the record would keep of it. A record of an earlier version
/// keeps half as much as one that is written now.
#[must_use]
pub fn is_noted(kept: &str, digest: &str) -> bool {
    kept.len() >= FEWEST_NOTED && digest.starts_with(kept)
}

/// Longest value that a record keeps as it is.
const MOST_KEPT: usize = 64;

/// What stands before the digest of a value that is too long to be kept.
const DIGEST: &str = "sha256:";

/// A value as a record keeps it: itself, or a digest of one that is long.
#[must_use]
pub fn kept(value: &str) -> Cow<'_, str> {
    if value.len() <= MOST_KEPT && !value.contains('\n') && !is_kept_as_digest(value) {
        value.into()
    } else {
        format!("{DIGEST}{}", noted(&content_digest(value.as_bytes()))).into()
    }
}

/// Whether of a value only a digest was kept.
#[must_use]
pub fn is_kept_as_digest(was: &str) -> bool {
    was.starts_with(DIGEST)
}

/// Whether a record that keeps `was` keeps the value that would be kept as `now`.
#[must_use]
pub fn is_kept(was: &str, now: &str) -> bool {
    let digests = was.strip_prefix(DIGEST).zip(now.strip_prefix(DIGEST));
    was == now || digests.is_some_and(|(was, now)| is_noted(was, now))
}

#[cfg(test)]
mod tests {
    use super::{content_digest, is_content_digest, is_noted, json_digest, noted};

    #[test]
    fn a_value_has_the_digest_of_its_json() {
        let value = serde_json::json!({ "long": "x".repeat(70_000), "list": [1, null, "two"] });
        assert_eq!(json_digest(&value).unwrap(), content_digest(&serde_json::to_vec(&value).unwrap()));
        assert!(json_digest(&std::collections::BTreeMap::from([(vec![1], 2)])).is_err());
    }

    #[test]
    fn a_digest_is_whole_and_a_record_keeps_half_of_it() {
        let digest = content_digest(b"abc");
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(is_content_digest(&digest) && !is_content_digest(&digest[1..]));
        assert!(!is_content_digest(&digest.to_uppercase()));
        assert_eq!(noted(&digest), "ba7816bf8f01cfea414140de5dae2223");
        assert!(is_noted(noted(&digest), &digest) && is_noted(&digest[..16], &digest) && is_noted(&digest, &digest));
        // Nothing shorter counts, and nothing that only looks alike.
        for other in ["", "ba7816bf8f01cfe", "ba7816bf8f01cfeb", &format!("{digest}0")] {
            assert!(!is_noted(other, &digest), "{other}");
        }
    }
}
