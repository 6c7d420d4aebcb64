//! What differs: values that change, and values that wait for a restart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Disruption, Origin, proxmox};
use crate::observed::options::{self, Row};

/// One value that changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The config's key; or what no key sets: `guest_agent`, where Proxmox's agent flag must be turned on, and
    /// `cloud_init_drive`, where one must be added, and `record`, where phoenix's own is taken out of the notes.
    pub key: &'static str,
    /// The part of the key, where its parts are applied each by itself; else empty.
    pub part: &'static str,
    /// The value now; `None` for a new VM.
    pub old: Option<String>,
    /// The value that the file gives.
    pub new: String,
    /// Where the wish comes from.
    pub origin: Origin,
    /// What the change costs.
    pub disruption: Disruption,
    /// Why it costs that, or another word about it; may be empty.
    pub note: String,
    /// Who made the VM and the file differ; `None`: not known, or no one did.
    pub by: Option<ChangedBy>,
    /// The value at the last apply; `None`: not known, or too long to keep.
    pub applied: Option<String>,
}

impl Change {
    /// The rows of the table of options that it stands for; none where actions of their own do what it says.
    pub fn rows(&self) -> impl Iterator<Item = &'static Row> + use<> {
        options::rows_of(self.key, self.part)
    }
}

/// What counts where a key is not set: Proxmox's default, where it is known.
#[must_use]
pub fn unset(key: &str) -> Option<String> {
    let option = proxmox::option(key.strip_prefix(proxmox::PREFIX)?)?;
    option.default().map(|value| format!("default ({value})"))
}

/// A value that Proxmox has accepted and the running VM does not have yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The option in Proxmox's words.
    pub option: String,
    /// As the file calls it; the option's own name where no key stands for it.
    pub key: String,
    /// What the running VM has.
    pub active: Option<String>,
    /// What it will have; `None`: the option goes away.
    pub pending: Option<String>,
}

/// Who made a VM and the file differ since the last apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangedBy {
    /// The file changed.
    File,
    /// The VM was changed outside phoenix.
    Outside,
    /// The VM was changed outside phoenix, and the file changed, too.
    Both,
}

impl ChangedBy {
    /// Whether the VM was changed outside phoenix.
    #[must_use]
    pub fn is_drift(self) -> bool {
        self != Self::File
    }
}
