//! What is missing of a target, and of what a config needs of it: what `phoenix doctor` tells.
//!
//! Pure. What keeps a plan from being carried out the plan itself finds; here it is put into groups, beside what was
//! found to be well and what no plan looks at.

mod config;
mod target;
mod there;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use config::{images, of_config, servers};
pub use target::{Moment, of_target, without_config};
pub use there::There;

use super::document::{DocumentTarget, schema_of};
use crate::diag::{Diagnostic, Severity};
use crate::model::{Fault, VmId};

/// Version of the document's shape. A field may be added within a version; none changes its meaning or goes.
pub const DOCTOR_VERSION: u32 = 1;

/// What was checked of a target and a config. Contains no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorDocument {
    /// Version of this document's shape.
    pub format_version: u32,
    /// Version of the phoenix that made it.
    pub phoenix: String,
    /// Where was looked.
    pub target: DocumentTarget,
    /// The config whose needs were checked; absent: there was none, and the target alone was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// What stands before a command of the node where it is typed on this machine, e.g. `ssh root@pve1`; absent:
    /// phoenix is on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands_by: Option<String>,
    /// Whether nothing is missing; warnings do not count.
    pub well: bool,
    /// The checks, by area.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What it is about.
    pub area: Area,
    /// How it went.
    pub state: CheckState,
    /// Code of what was found; absent where all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The VM concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<u32>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What was found, without the VM.
    pub message: String,
    /// What corrects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// The node, its rights and its programs.
    Target,
    /// Storages.
    Storages,
    /// Templates and images.
    Templates,
    /// Bridges and addresses.
    Network,
    /// Servers and exports of NFS.
    Nfs,
    /// The config and its scripts.
    Config,
}

impl Area {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 6] = [Self::Target, Self::Storages, Self::Templates, Self::Network, Self::Nfs, Self::Config];

    /// The heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Target => "Target",
            Self::Storages => "Storages",
            Self::Templates => "Templates and images",
            Self::Network => "Network",
            Self::Nfs => "NFS",
            Self::Config => "Config",
        }
    }
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// All is well.
    Ok,
    /// It works, perhaps not as it is meant.
    Warning,
    /// Something is missing or wrong.
    Error,
}

impl CheckState {
    /// The word of the document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Check {
    /// What is well.
    #[must_use]
    pub fn ok(area: Area, message: impl Into<String>) -> Self {
        Self { area, state: CheckState::Ok, code: None, vm: None, name: None, message: message.into(), hint: None }
    }

    /// What was found.
    #[must_use]
    pub fn of(area: Area, found: &Diagnostic) -> Self {
        let state = match found.severity {
            Severity::Error => CheckState::Error,
            Severity::Warning => CheckState::Warning,
            Severity::Notice => CheckState::Ok,
        };
        Self {
            area,
            state,
            code: Some(found.code.to_owned()),
            vm: found.vm.map(VmId::get),
            name: found.name.clone(),
            message: found.message.clone(),
            hint: found.hint.clone(),
        }
    }

    /// A target that cannot be looked at.
    #[must_use]
    pub fn not_seen(what: &str, fault: &Fault) -> Self {
        let found = Diagnostic::error(super::codes::NOT_SEEN, format!("{what}: {fault}"));
        Self { hint: fault.hint.clone(), ..Self::of(Area::Target, &found) }
    }
}

impl DoctorDocument {
    /// The document of checks, which come into their areas.
    #[must_use]
    pub fn new(target: DocumentTarget, there: &There, config: Option<String>, mut checks: Vec<Check>) -> Self {
        checks.sort_by_key(|check| check.area);
        let well = checks.iter().all(|check| check.state != CheckState::Error);
        let phoenix = env!("CARGO_PKG_VERSION").to_owned();
        let commands_by = there.prefix().map(ToOwned::to_owned);
        Self { format_version: DOCTOR_VERSION, phoenix, target, config, commands_by, well, checks }
    }
}

/// The JSON schema of the document: draft-07, pretty, with a line break at the end.
#[must_use]
pub fn schema() -> String {
    schema_of::<DoctorDocument>()
}
