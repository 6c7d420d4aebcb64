//! Secrets: what a file calls them, and their values, which it does not have.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use sha_crypt::{Params, sha512_crypt};

use super::{VmId, content_digest};

/// What the environment variables of secrets begin with. No other one is ever read for a config.
pub const SECRET_PREFIX: &str = "PHOENIX_SECRET_";

/// Rounds of SHA-512 crypt that a guess at a secret costs.
const ROUNDS: u32 = 20_000;

/// Where the value of a secret is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretName {
    /// In the environment variable of this name.
    Env(String),
    /// In the file of this name.
    File(String),
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Env(name) | Self::File(name)) = self;
        f.write_str(name)
    }
}

/// A secret by its name. Its value is in no text that is made of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    name: SecretName,
    value: Option<Arc<str>>,
    digest: String,
}

/// The digests of secrets that were made already: each is slow.
#[derive(Default)]
pub struct Stretched(BTreeMap<SecretName, String>);

impl Secret {
    /// A secret, with its value where that could be read.
    #[must_use]
    pub fn new(name: SecretName, value: Option<Arc<str>>) -> Self {
        Self { name, value, digest: String::new() }
    }

    /// What the file calls it.
    #[must_use]
    pub fn name(&self) -> &SecretName {
        &self.name
    }

    /// The value, for those who write it to where it belongs.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// By what a VM's record knows it: a salted digest, longer than what a record keeps of a text; `None`: there is no
    /// value, or none was asked for yet.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        (!self.digest.is_empty()).then_some(self.digest.as_str())
    }

    /// Makes the digest by which the record of a VM knows it. Records, and what depends on them, are read by people who
    /// must not be able to guess a password: each guess costs as much as at a hash in `/etc/shadow`, and is good for
    /// one project.
    pub fn seal(&mut self, project: &str, vm: VmId, stretched: &mut Stretched) {
        let Some(value) = &self.value else { return };
        let slow = stretched.0.entry(self.name.clone()).or_insert_with(|| stretch(value, project));
        self.digest = format!("secret {}", content_digest(format!("{slow} {vm}").as_bytes()));
    }
}

/// The slow part of a digest, in hex.
fn stretch(value: &str, project: &str) -> String {
    let salt = content_digest(format!("phoenix secret {project}").as_bytes());
    // The number is within what the crate takes.
    let rounds = Params::new(ROUNDS).unwrap_or_default();
    content_digest(&sha512_crypt(value.as_bytes(), salt.as_bytes(), rounds))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").field(&self.name).finish()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret {}", self.name)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::{Secret, SecretName, Stretched};
    use crate::model::{VmId, kept};

    #[test]
    fn a_value_is_in_no_text_and_its_digest_is_salted() {
        let sealed = |value: &str, project: &str, vm: u32| {
            let mut secret = Secret::new(SecretName::Env("PHOENIX_SECRET_WEB".to_owned()), Some(value.into()));
            secret.seal(project, VmId::try_from(vm).unwrap(), &mut Stretched::default());
            secret
        };
        let digest = |value: &str, project: &str, vm: u32| sealed(value, project, vm).digest().unwrap().to_owned();
        let of = digest("hunter2", "p", 1000);
        assert_eq!(digest("hunter2", "p", 1000), of);
        for other in [digest("hunter3", "p", 1000), digest("hunter2", "q", 1000), digest("hunter2", "p", 1001)] {
            assert_ne!(other, of);
        }
        let secret = sealed("hunter2", "p", 1000);
        let json = serde_json::to_string(&secret).unwrap();
        assert_eq!(json, r#"{"env":"PHOENIX_SECRET_WEB"}"#);
        assert_eq!(secret.to_string(), "secret PHOENIX_SECRET_WEB");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(kept(&of).starts_with("sha256:"), "a record never shows it as a value");
    }
}
