//! Images that VMs and further disks are made from.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::json;

use crate::config::lexis;

/// Longest source of an image.
const MAX_SOURCE: u32 = 2048;

/// Names an image to make a VM from.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawCloudImage {
    /// Names the image: the absolute path of a file on the node (also as `file:` URL), an `https:` URL that the node
    /// fetches once, or a volume of a storage.
    #[schemars(title = "Source", regex(pattern = lexis::IMAGE), length(max = 2048))]
    #[schemars(example = &"https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2")]
    pub(in crate::config) source: Option<String>,
    /// Gives the SHA-256 of the image in hex, which is compared before it is used. URLs need it, or `sha512`.
    #[schemars(title = "SHA-256", regex(pattern = lexis::SHA256))]
    #[schemars(example = &"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub(in crate::config) sha256: Option<String>,
    /// Gives the SHA-512 of the image in hex, where that is what is published, in place of `sha256`.
    #[schemars(title = "SHA-512", regex(pattern = lexis::SHA512), example = &EXAMPLE_SHA512)]
    pub(in crate::config) sha512: Option<String>,
}

/// Names an image to make a further disk from.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum RawImport {
    /// By its source alone.
    Source(String),
    /// As `cloud_image` does.
    Image(RawCloudImage),
}

impl RawImport {
    /// The image as `cloud_image` names one.
    pub(in crate::config) fn image(&self) -> RawCloudImage {
        match self {
            Self::Source(source) => RawCloudImage { source: Some(source.clone()), ..RawCloudImage::default() },
            Self::Image(image) => image.clone(),
        }
    }

    /// Where a key of the image stands, below the image; one that is named by its source alone has no keys of its own.
    pub(in crate::config) fn place_of(&self, key: &str) -> String {
        match self {
            Self::Source(_) => String::new(),
            Self::Image(_) => format!("/{key}"),
        }
    }
}

/// Makes the schema of such an image.
pub(super) fn import_from(generator: &mut SchemaGenerator) -> Schema {
    let mut image = RawCloudImage::json_schema(generator);
    image.remove("description");
    image.insert("type".to_owned(), json!(["string", "object"]));
    image.insert("pattern".to_owned(), json!(lexis::IMAGE));
    image.insert("maxLength".to_owned(), json!(MAX_SOURCE));
    image.insert("required".to_owned(), json!(["source"]));
    image
}

/// The SHA-512 of nothing.
const EXAMPLE_SHA512: &str = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                              47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
