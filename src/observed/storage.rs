//! A storage, as a node sees it.

use serde::{Deserialize, Serialize};

/// A Proxmox storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Storage {
    /// `dir`, `zfspool`, `lvmthin`, `nfs`, …
    pub kind: String,
    /// Whether VM disks may be put there (`content` has `images`).
    pub images: bool,
    /// Whether it holds ISO images (`content` has `iso`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub isos: bool,
    /// Whether it is enabled and active on the node that it is seen from.
    pub active: bool,
    /// Size in bytes; 0 means unknown.
    pub total: u64,
    /// Free bytes.
    pub free: u64,
    /// Whether all nodes see the same there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// Whether a disk takes its whole size at once (as on plain LVM), so that a disk that does not fit must be refused.
    pub thick: bool,
    /// For `nfs`: server and exported path.
    pub nfs: Option<NfsSource>,
    /// Where the node sees its files, e.g. `/mnt/pve/local-nfs`.
    pub path: Option<String>,
    /// Directories below `path` that its `content-dirs` names for what the storage holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content_dirs: Vec<String>,
    /// Directory of its snippets, where it holds some and is one of the node's own file systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snippets: Option<String>,
}

/// Where an NFS storage comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NfsSource {
    /// Server.
    pub server: String,
    /// Exported path.
    pub export: String,
}

impl Storage {
    /// The directories of what a storage holds where its `content-dirs` says nothing else.
    const CONTENT: [&'static str; 6] = ["dump", "images", "import", "private", "snippets", "template"];

    /// Reads `content-dirs` of `storage.cfg`: `iso=isos,backup=old/dumps`.
    #[must_use]
    pub fn parse_content_dirs(value: &str) -> Vec<String> {
        value.split(',').filter_map(|pair| Some(pair.split_once('=')?.1.trim().to_owned())).collect()
    }

    /// Kinds of storages that are directories of the node: one whose server does not answer keeps nothing waiting
    /// there.
    const OWN_FILES: [&'static str; 2] = ["dir", "btrfs"];

    /// The directory of a storage's snippets: by its kind, its `content`, its `path` and its `content-dirs`.
    #[must_use]
    pub fn snippets_dir(kind: &str, content: &str, path: Option<&str>, dirs: Option<&str>) -> Option<String> {
        let holds = content.split(',').any(|content| content.trim() == "snippets");
        let path = path.filter(|path| path.starts_with('/') && holds && Self::OWN_FILES.contains(&kind))?;
        let named = dirs.into_iter().flat_map(|dirs| dirs.split(','));
        let below = named.filter_map(|pair| pair.trim().strip_prefix("snippets=")).next_back().unwrap_or("snippets");
        Some(format!("{}/{}", path.trim_end_matches('/'), below.trim().trim_matches('/')))
    }

    /// The directories of what the storage holds, relative to where its files lie.
    pub fn content(&self) -> impl Iterator<Item = &str> {
        Self::CONTENT.into_iter().chain(self.content_dirs.iter().map(String::as_str))
    }
}
