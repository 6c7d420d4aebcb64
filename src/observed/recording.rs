//! The state of a target as a document: what `phoenix observe` writes and `plan --against` reads.

use serde::{Deserialize, Serialize};

use super::Observed;

/// Version of the document's shape.
pub const RECORDING_VERSION: u32 = 3;

/// The state of a target at some moment, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Version of this document's shape.
    pub format_version: u32,
    /// The target as `--target` takes it.
    pub target: String,
    /// The target in words.
    pub label: String,
    /// Nothing real happens there.
    pub simulated: bool,
    /// When it was looked at, RFC 3339 in UTC.
    pub observed_at: String,
    /// What there was.
    pub observed: Observed,
}
