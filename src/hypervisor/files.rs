//! Files of a node: what is done with them.

use std::borrow::Cow;

use super::{Fault, FaultKind};
use crate::model::{DataText, VmId};

/// One operation on the files of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileOp {
    /// Writes `/etc/exports.d/phoenix-VM.exports` and makes it count (`exportfs -ra`). No other file is touched.
    WriteExports {
        /// The VM.
        vm: VmId,
        /// Everything that is exported to it.
        entries: Vec<ExportEntry>,
    },
    /// Makes a directory on the node: 0755, its parents 0700, so that no user of the node but root gets at what
    /// guests put there. Existing directories and their modes stay as they are; links are not followed.
    MakeDirectory {
        /// Absolute path.
        path: String,
    },
    /// Writes a snippet of a VM: not executable, for root alone, whole or not at all. Neither the file nor its
    /// directory may be a link. The directory is made if it is not there; what is above it must be.
    WriteSnippet {
        /// The VM.
        vm: VmId,
        /// Absolute path of the file.
        path: String,
        /// All that it holds: the file gets it with the values of its secrets, and nothing else does.
        text: DataText,
    },
    /// Removes a snippet of a VM; it is no error if there is none.
    RemoveSnippet {
        /// The VM.
        vm: VmId,
        /// Absolute path of the file.
        path: String,
    },
}

/// A text as its file gets it, with the values of its secrets. Refused, harmlessly, where one is not there: a plan that
/// writes anything has them all.
///
/// # Errors
///
/// Says which secrets the text has.
pub fn written(text: &DataText) -> Result<Cow<'_, str>, Fault> {
    text.expanded().ok_or_else(|| {
        let what = format!("the value of a secret is not there: {}", text.secrets().join(", "));
        Fault::harmless(FaultKind::Refused, what)
    })
}

/// A directory that is exported to one client, read-write, with root kept root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportEntry {
    /// Absolute path on the hypervisor.
    pub path: String,
    /// IP address of the client; a back end refuses anything else.
    pub client: String,
}
