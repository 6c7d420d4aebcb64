//! The plan as a document: what `--format json` prints, `--out` saves, and `apply FILE` is held to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChangedBy, Request};
use crate::diag::whose;
use crate::model::{ActionKind, Disruption, Origin, Outcome, RestartDue};

mod agreed;
mod cluster;
mod held;
mod made;
mod operands;
mod value;
mod worded;

pub use agreed::Broken;
pub use cluster::{DocumentCluster, DocumentMemory, DocumentNode, DocumentStorage, NodeState};
pub use made::{Provenance, meaning};
pub use operands::DocumentOperands;
pub use value::{DocumentValue, DocumentWaiting};

/// Version of the document's shape. A field may be added within a version; none changes its meaning or goes.
pub const DOCUMENT_VERSION: u32 = 4;

/// A plan of phoenix: every action that would be done, and what it was made from. Contains no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanDocument {
    /// Version of this document's shape.
    pub format_version: u32,
    /// Version of the phoenix that made it.
    pub phoenix: String,
    /// SHA-256 of the rest of this document, which shows whether it is whole; not who wrote it.
    #[serde(default)]
    pub digest: String,
    /// The plan hash, a SHA-256: names everything that decides what would be done, and nothing that differs from one
    /// look at the target to the next.
    pub hash: String,
    /// Where it would be done.
    pub target: DocumentTarget,
    /// What it was made from.
    pub config: DocumentConfig,
    /// What was asked for.
    pub request: Request,
    /// The project it acts for.
    pub project: String,
    /// The counts.
    pub summary: DocumentSummary,
    /// The VMs, by VMID.
    pub vms: Vec<DocumentVm>,
    /// The nodes, what their VMs are promised, and what the plan adds; absent: the target has one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<DocumentCluster>,
    /// What is wrong, or good to know.
    pub problems: Vec<DocumentProblem>,
}

/// Where a plan would be carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentTarget {
    /// The target as `--target` takes it.
    pub name: String,
    /// Who named the target; absent: a recording was looked at, or it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<TargetOrigin>,
    /// The target in words.
    pub label: String,
    /// Name of the node.
    pub node: String,
    /// What tells the node from every other one of this name, however it is reached; empty: not known.
    pub identity: String,
    /// Directories of the node that its administrator allows VMs to have, beyond what is built in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// Nothing real happens there.
    pub simulated: bool,
    /// A recording was looked at, not the target itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recorded: bool,
    /// When it was looked at, RFC 3339 in UTC.
    pub observed_at: String,
}

/// Who named a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetOrigin {
    /// `--target`
    CommandLine,
    /// `PHOENIX_TARGET` in the environment.
    Environment,
    /// `hypervisor.target` of the config.
    Config,
    /// Nothing: it is what phoenix takes then.
    Default,
}

impl DocumentTarget {
    /// Who named the target: words, and the config if they go with it, else nothing. `None`: it is not known.
    #[must_use]
    pub fn named_by<'c>(&self, config: &'c str) -> Option<(&'static str, &'c str)> {
        Some(match self.origin? {
            TargetOrigin::CommandLine => ("named by --target", ""),
            TargetOrigin::Environment => ("named by PHOENIX_TARGET", ""),
            TargetOrigin::Config => ("named by hypervisor.target of", config),
            TargetOrigin::Default => ("the default", ""),
        })
    }
}

/// The config a plan was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentConfig {
    /// Its path as it was given.
    pub path: String,
    /// SHA-256 of its text and of the scripts its VMs use.
    pub digest: String,
    /// SHA-256 of what it says, defaults and scripts included, however it is written.
    pub meaning: String,
    /// Of a directory its files, each with the SHA-256 of its text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// How many VMs have which outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentSummary {
    /// VMs that the config declares, planned or not.
    pub declared: usize,
    /// To create.
    pub create: usize,
    /// To update.
    pub update: usize,
    /// To destroy and make anew.
    #[serde(default, skip_serializing_if = "crate::diag::is_zero")]
    pub recreate: usize,
    /// To destroy.
    #[serde(default)]
    pub destroy: usize,
    /// Unchanged.
    pub no_op: usize,
    /// Blocked by an error.
    pub blocked: usize,
    /// That the plan restarts.
    pub restarts_now: usize,
    /// With values that wait for a restart when everything planned is done; counted with the updated and the unchanged,
    /// too.
    pub waits_for_restart: usize,
}

/// What would be done to one VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentVm {
    /// VMID.
    pub vm: u32,
    /// Name as declared.
    pub name: String,
    /// What would become of it.
    pub outcome: Outcome,
    /// The worst that its changes cost it.
    pub disruption: Disruption,
    /// When its values take effect that only a restart brings into effect.
    pub restart: RestartDue,
    /// An error is about it: nothing would be done.
    pub blocked: bool,
    /// Digest of the configuration it was planned from; absent where there was no VM, or nothing is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
    /// SHA-256 of everything that would be done to this VM, with all that it takes.
    pub fingerprint: String,
    /// Values that change; for a new VM, all.
    pub changes: Vec<DocumentChange>,
    /// Values that wait for a restart since an earlier change.
    pub waiting: Vec<DocumentWaiting>,
    /// What is erased with it, where it goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub erases: Vec<String>,
    /// What is known of it and stays, where it goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keeps: Vec<String>,
    /// A guest that does not shut down is stopped by force.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force_stop: bool,
    /// Its actions, in order.
    pub actions: Vec<DocumentAction>,
}

/// A value that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentChange {
    /// The config's key; `record` where phoenix's own record is taken out of the VM's notes.
    pub key: Cow<'static, str>,
    /// The value now; absent for a new VM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<DocumentValue>,
    /// The value that the file gives.
    pub new: DocumentValue,
    /// Where the wish comes from.
    pub origin: Origin,
    /// What the change costs.
    pub disruption: Disruption,
    /// A word about it; may be empty.
    pub note: String,
    /// Who made the VM and the file differ since the last apply; absent: not known, or no one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<ChangedBy>,
    /// The value at the last apply; absent: not known, or too long to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<DocumentValue>,
}

impl DocumentChange {
    /// Whether the value was changed outside phoenix.
    #[must_use]
    pub fn is_drift(&self) -> bool {
        self.changed_by.is_some_and(ChangedBy::is_drift)
    }

    /// The word about it, and who changed it.
    #[must_use]
    pub fn remark(&self) -> String {
        let was = match self.applied.as_ref().map(DocumentValue::text).as_deref() {
            None => " since the last apply".to_owned(),
            Some("") => ", was not set at the last apply".to_owned(),
            Some(was) => format!(", was {was} at the last apply"),
        };
        let who = match self.changed_by {
            None => String::new(),
            Some(ChangedBy::File) => "the file changed".to_owned(),
            Some(ChangedBy::Outside) => format!("changed outside phoenix{was}"),
            Some(ChangedBy::Both) => format!("changed outside phoenix{was}; the file changed, too"),
        };
        let parts = [self.note.as_str(), who.as_str()].into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("; ")
    }
}

/// An action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentAction {
    /// Stable id, e.g. `1000/feature:install_docker`.
    pub id: Arc<str>,
    /// What it does.
    pub kind: ActionKind,
    /// What it does it to, where a VM can have several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Arc<str>>,
    /// What is expected to come of it.
    pub outcome: Outcome,
    /// Why, for people.
    pub reason: Cow<'static, str>,
    /// What it costs a running VM.
    pub disruption: Disruption,
    /// How long it may take, in seconds.
    pub timeout_seconds: u32,
    /// What an earlier run began at the VM and is waited for before anything else: `clone`, which an import is, too, or
    /// `move`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<String>,
    /// What it takes; absent: nothing beyond its VM and its subject, or nothing is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Box<DocumentOperands>>,
    /// Ids of the actions it waits for.
    pub after: Vec<Arc<str>>,
}

impl DocumentVm {
    /// Whether it is a VM that phoenix did not make and that is taken over.
    #[must_use]
    pub fn is_taken_over(&self) -> bool {
        !self.blocked && self.actions.iter().any(|action| action.kind == ActionKind::Adopt && action.outcome.acts())
    }

    /// What its changes cost it, in words; empty: nothing.
    #[must_use]
    pub fn cost_words(&self) -> &'static str {
        if self.disruption == Disruption::Restart { self.restart.as_str() } else { self.disruption.as_str() }
    }

    /// What one of its changes costs it, in words; empty: nothing.
    #[must_use]
    pub fn cost_of(&self, change: &DocumentChange) -> &'static str {
        match (change.disruption, self.restart) {
            (Disruption::Restart, RestartDue::Now) => "takes effect with this restart",
            (Disruption::Restart, _) => "takes effect at the next restart",
            (Disruption::Network, _) => "interrupts the network",
            (other, _) => other.as_str(),
        }
    }

    /// When values that waited before this plan take effect, in words.
    #[must_use]
    pub fn waiting_words(&self) -> &'static str {
        let starts = |action: &DocumentAction| action.kind == ActionKind::Start && action.outcome.acts();
        match self.restart {
            RestartDue::Now => "takes effect with this restart",
            RestartDue::No if self.actions.iter().any(starts) => "takes effect with this start",
            RestartDue::No | RestartDue::Later => "waits for a restart",
        }
    }
}

impl DocumentAction {
    /// The action's name within its VM, e.g. `clone`, `feature install_docker`.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.subject {
            None => self.kind.as_str().to_owned(),
            Some(subject) => format!("{} {subject}", self.kind.as_str()),
        }
    }
}

/// Something wrong, or good to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentProblem {
    /// `error`, `warning` or `notice`.
    pub severity: String,
    /// Stable code.
    pub code: String,
    /// The VM concerned, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<u32>,
    /// That VM's name, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The keys of the config that it comes from, as the config calls them: `memory_mb`, `proxmox.cpu`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// What it is; of a VM, it begins with that VM's id and name.
    pub message: String,
    /// The way out, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl DocumentProblem {
    /// The message without the VM before it.
    #[must_use]
    pub fn bare(&self) -> &str {
        let whose = self.vm.map(|vm| whose(vm, self.name.as_deref()));
        let bare = whose.and_then(|whose| self.message.strip_prefix(&whose)?.strip_prefix(": "));
        bare.unwrap_or(&self.message)
    }
}

/// A VM for which a saved plan does not hold any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// VMID.
    pub vm: u32,
    /// What differs from what was planned: a lower-case fragment.
    pub what: String,
}

/// The JSON schema of a plan's document: draft-07, pretty, with a line break at the end.
#[must_use]
pub fn schema() -> String {
    schema_of::<PlanDocument>()
}

/// The JSON schema of anything: draft-07, pretty, with a line break at the end.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> String {
    let settings = schemars::generate::SchemaSettings::draft07();
    let schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    format!("{schema:#}\n")
}
