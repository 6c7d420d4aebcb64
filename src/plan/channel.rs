//! The way by which scripts reach a guest: a volume, or the VM's own disk.

use std::sync::Arc;

use serde::Serialize;

use super::Mount;

/// Where scripts, utilities and context lie in a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Below the mount point of a volume.
    Volume(Arc<Mount>),
    /// In a directory on the VM's own disk, at which nothing is mounted.
    OwnDisk(String),
}

impl Channel {
    /// The volume that it is, if it is one.
    #[must_use]
    pub fn volume(&self) -> Option<&Arc<Mount>> {
        match self {
            Self::Volume(mount) => Some(mount),
            Self::OwnDisk(_) => None,
        }
    }

    /// What must be mounted at its directory; empty: nothing may be.
    #[must_use]
    pub fn source(&self) -> String {
        self.volume().map(|mount| mount.source()).unwrap_or_default()
    }

    /// Directory of the scripts as the guest sees it.
    #[must_use]
    pub fn guest_scripts(&self) -> String {
        format!("{}/{SCRIPTS}", self.directory())
    }

    /// Log of a feature's script as the guest sees it.
    #[must_use]
    pub fn guest_log(&self, feature: &str) -> String {
        format!("{}/{LOGS}/{feature}.log", self.directory())
    }

    fn directory(&self) -> &str {
        match self {
            Self::Volume(mount) => &mount.mount_point,
            Self::OwnDisk(directory) => directory,
        }
    }
}

/// Directory of the scripts' logs below the channel. Not beside the scripts: those are replaced as a whole.
const LOGS: &str = ".phoenix_logs";

/// Directory of the scripts below the channel, as the specification names it.
const SCRIPTS: &str = ".phoenix_scripts";
