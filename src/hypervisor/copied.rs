//! Copies and downloads that are waited for, and how far they are.

use super::HostOp;
use crate::model::VmId;

/// How far the copy of a disk, or a download, is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// What is there already, `total` at most.
    pub done: u64,
    /// The whole; `None`: it is not known.
    pub total: Option<u64>,
}

/// A copy, or a download, that a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copying<'a> {
    /// That of an operation that this run carries out.
    Of(&'a HostOp),
    /// The clone or import that makes a VM, which an earlier run began.
    Making(VmId),
    /// The move of a disk of a VM, which an earlier run began.
    Moving(VmId),
}
