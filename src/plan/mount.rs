//! A volume, resolved.

use serde::Serialize;

use crate::model::Key;

/// A volume with everything resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Where it is mounted in the guest.
    pub mount_point: String,
    /// NFS server as the guest reaches it.
    pub server: String,
    /// Exported path on that server.
    pub export: String,
    /// Where the hypervisor sees the directory; `None`: it cannot (a server elsewhere).
    pub host_path: Option<String>,
    /// The target itself is the server: it exports the directory to the VM.
    pub served: bool,
    /// Scripts travel through it.
    pub channel: bool,
    /// Not declared: added because the VM has features.
    pub implicit: bool,
}

impl Mount {
    /// The key of a VM that brings it.
    pub(super) fn key(&self) -> Key {
        if self.implicit { Key::Features } else { Key::Volumes }
    }

    /// What the guest mounts: `server:export`, an IPv6 address in brackets.
    #[must_use]
    pub fn source(&self) -> String {
        if self.server.contains(':') {
            format!("[{}]:{}", self.server, self.export)
        } else {
            format!("{}:{}", self.server, self.export)
        }
    }

    /// Whether `source` is what the guest mounts; compares without making the text.
    pub(super) fn is_from(&self, source: &str) -> bool {
        if self.server.contains(':') {
            return self.source() == source;
        }
        let export = source.strip_prefix(self.server.as_str()).and_then(|rest| rest.strip_prefix(':'));
        export == Some(self.export.as_str())
    }

    /// The directories of the hypervisor that the VM gets: what is exported to it, and what is made for it.
    pub(super) fn directories(&self) -> impl Iterator<Item = &str> {
        self.served.then_some(self.export.as_str()).into_iter().chain(self.host_path.as_deref())
    }
}
