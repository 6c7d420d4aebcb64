//! How far a copy, or a download, is.

/// How far the copy of a disk, or a download, is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// What is there already, `total` at most.
    pub done: u64,
    /// The whole; `None`: it is not known.
    pub total: Option<u64>,
}
