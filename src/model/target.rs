//! Where phoenix acts.

use std::fmt;
use std::path::PathBuf;

/// A target, written by users as one string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `embedded:DIR`: a node in a directory, no Proxmox.
    Embedded(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(dir) => write!(f, "embedded:{}", dir.display()),
        }
    }
}
