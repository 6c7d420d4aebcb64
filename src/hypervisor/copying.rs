//! Copies and downloads that are waited for.

use super::HostOp;
use crate::model::VmId;

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
