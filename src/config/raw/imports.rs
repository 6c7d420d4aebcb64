//! The image that a further disk is made from: its source alone, or with its digest.

use schemars::{JsonSchema as _, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::json;

use super::RawCloudImage;
use crate::config::lexis;

/// Longest source of an image.
const MAX_SOURCE: u32 = 2048;

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

    /// What stands before the keys of the image: nothing of one that is named by its source alone.
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
