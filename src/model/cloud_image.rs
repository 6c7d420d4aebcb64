//! Images that VMs are made from.

use std::fmt;

use serde::Serialize;

use super::{content_digest, noted};

/// `cloud_image`: the disk that a VM is made from instead of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CloudImage {
    /// Absolute path of a file on the node, `https:` URL, or volume of a storage, e.g. `local:import/debian-13.qcow2`.
    pub source: String,
    /// SHA-256 of the image in lower-case hex; a URL has this or the other.
    pub sha256: Option<String>,
    /// SHA-512 of the image in lower-case hex, in place of the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha512: Option<String>,
}

/// Where an image comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImagePlace<'a> {
    /// A file on the node.
    File(&'a str),
    /// Fetched by the node.
    Url(&'a str),
    /// A volume of a storage.
    Volume(&'a str),
}

/// Where a node keeps images that it fetched.
pub const IMAGE_CACHE: &str = "/var/lib/phoenix/images";

impl CloudImage {
    /// Where it comes from.
    #[must_use]
    pub fn place(&self) -> ImagePlace<'_> {
        let source = self.source.as_str();
        if source.starts_with("https://") {
            ImagePlace::Url(source)
        } else if source.starts_with('/') {
            ImagePlace::File(source)
        } else {
            ImagePlace::Volume(source)
        }
    }

    /// The digest that it must have; its length says which kind it is.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.sha256.as_deref().or(self.sha512.as_deref())
    }

    /// What its digest is called, as people write it and as a key.
    #[must_use]
    pub fn digest_kind(&self) -> (&'static str, &'static str) {
        if self.sha256.is_none() && self.sha512.is_some() { ("SHA-512", "sha512") } else { ("SHA-256", "sha256") }
    }

    /// What is imported once it was fetched: a path on the node, or a volume.
    #[must_use]
    pub fn fetched(&self) -> String {
        match (self.place(), self.digest()) {
            (ImagePlace::Url(_), Some(digest)) => format!("{IMAGE_CACHE}/{digest}.img"),
            _ => self.source.clone(),
        }
    }

    /// Whether something is to be done before it can be imported: it is fetched, or its digest is compared.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.digest().is_some()
    }

    /// What a record says of it: the beginning of its digest, or one of its source.
    #[must_use]
    pub fn name(&self) -> String {
        match self.digest() {
            Some(digest) => noted(digest).to_owned(),
            None => noted(&content_digest(self.source.as_bytes())).to_owned(),
        }
    }
}

impl fmt::Display for CloudImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        let (_, kind) = self.digest_kind();
        self.digest().map_or(Ok(()), |digest| write!(f, ", {kind}={digest}"))
    }
}
