//! How far a copy is.

/// How far the copy of a disk is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// What is copied already, `total` at most.
    pub done: u64,
    /// The whole.
    pub total: u64,
}
