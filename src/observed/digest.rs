//! The digest of a configuration.

use sha1::{Digest as _, Sha1};

use crate::model::Digest;

/// The digest Proxmox gives a configuration: the SHA-1 of the file.
#[must_use]
pub fn config_digest<T: AsRef<[u8]> + ?Sized>(file: &T) -> Digest {
    let mut hex = String::with_capacity(40);
    for byte in Sha1::digest(file.as_ref()) {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    Digest(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_the_sha1_of_the_file() {
        assert_eq!(config_digest("abc").0, "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
