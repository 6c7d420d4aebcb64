//! The step that makes a further disk as a copy of an image.

use std::sync::Arc;

use serde::Serialize;

use crate::model::{CloudImage, Record};

/// How to make a further disk as a copy of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportStep {
    /// The slot of the disk.
    pub slot: &'static str,
    /// The image.
    pub image: CloudImage,
    /// Storage of the disk.
    pub storage: String,
    /// Its options by Proxmox's own names; empty: none.
    pub options: String,
    /// The size that it has in the end, in GiB; `None`: that of the image.
    pub size_gb: Option<u32>,
    /// What the record says in the end. Not serialised: the step that writes it has it.
    #[serde(skip)]
    pub record: Arc<Record>,
}
