//! Passwords as Proxmox stores them: never as they are given.

use sha_crypt::{PasswordHasher as _, ShaCrypt};
use uuid::Uuid;

use crate::hypervisor::{Fault, FaultKind};

/// Bytes of a salt that make the eight characters that Proxmox gives it (recorded: `$5$sxvG2pWO$…`).
const SALT: usize = 6;

/// The hash that stands in the configuration: SHA-256 crypt (recorded).
pub(super) fn hashed(password: &str) -> Result<String, Fault> {
    let salt = Uuid::new_v4();
    let hash = ShaCrypt::SHA256.hash_password_with_salt(password.as_bytes(), &salt.as_bytes()[..SALT]);
    hash.map(|hash| hash.as_str().to_owned())
        .map_err(|error| Fault::harmless(FaultKind::Failed, format!("cipassword: no hash can be made: {error}")))
}

#[cfg(test)]
mod tests {
    use sha_crypt::{PasswordHash, PasswordVerifier as _, ShaCrypt};

    use super::hashed;

    #[test]
    fn a_hash_is_of_its_password_and_another_one_each_time() {
        let hash = hashed("hunter2").unwrap();
        assert!(hash.starts_with("$5$") && !hash.contains("hunter2"), "{hash}");
        assert_ne!(hashed("hunter2").unwrap(), hash);
        let hash = PasswordHash::new(&hash).unwrap();
        assert!(ShaCrypt::SHA256.verify_password(b"hunter2", &hash).is_ok());
        assert!(ShaCrypt::SHA256.verify_password(b"hunter3", &hash).is_err());
    }
}
