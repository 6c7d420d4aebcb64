//! What can happen in a run, as values. Faces are folds over these; wall-clock times are added where they are shown.

use core::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Fault, Outcome, VmId};

/// Version of the event stream's shape, written as `v` on every line.
pub const STREAM_VERSION: u32 = 1;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// Where it acts, for people.
        target: String,
        /// Nothing real happens there.
        simulated: bool,
        /// The config's name, for people.
        config: String,
        /// How many VMs the plan covers.
        vms: usize,
        /// How many actions it has.
        actions: usize,
        /// How many of them act.
        acting: usize,
    },
    /// An action begins.
    ActionStarted {
        /// Which.
        #[serde(flatten)]
        action: ActionName,
        /// What is expected to come of it.
        expected: Outcome,
        /// How long it may take, in seconds.
        timeout_seconds: u32,
    },
    /// A running action waits for something; told from time to time.
    ActionWaiting {
        /// Which.
        #[serde(flatten)]
        action: ActionName,
        /// What it waits for.
        goal: String,
        /// Milliseconds since the action began.
        elapsed_ms: u64,
    },
    /// A running action has something to say that is no failure.
    ActionNoticed {
        /// Which.
        #[serde(flatten)]
        action: ActionName,
        /// What.
        message: String,
    },
    /// An action ended well.
    ActionEnded {
        /// Which.
        #[serde(flatten)]
        action: ActionName,
        /// What came of it.
        outcome: Outcome,
        /// Milliseconds since the action began.
        elapsed_ms: u64,
    },
    /// An action failed.
    ActionFailed {
        /// Which.
        #[serde(flatten)]
        action: ActionName,
        /// What went wrong.
        #[serde(flatten)]
        failure: Failure,
        /// Milliseconds since the action began.
        elapsed_ms: u64,
    },
    /// An action was not begun because one it waits for failed.
    ActionSkipped {
        /// Which.
        #[serde(flatten)]
        action: ActionName,
        /// The action that failed.
        because: String,
    },
    /// The person at the keyboard asked to stop.
    Interrupted {
        /// 1: nothing new begins, what runs may finish. 2: the run is left at once.
        times: u32,
        /// Actions that run at this moment.
        running: Vec<String>,
    },
    /// The run is over.
    RunEnded {
        /// How it went.
        #[serde(flatten)]
        summary: Summary,
        /// The VMs of the run that are there, by VMID, and how they are reached; none of a run that was interrupted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        vms: Vec<VmReached>,
        /// Milliseconds since the run began.
        elapsed_ms: u64,
    },
}

impl Event {
    /// The action it is about, if it is about one.
    #[must_use]
    pub fn action(&self) -> Option<&ActionName> {
        match self {
            Self::ActionStarted { action, .. }
            | Self::ActionWaiting { action, .. }
            | Self::ActionNoticed { action, .. }
            | Self::ActionEnded { action, .. }
            | Self::ActionFailed { action, .. }
            | Self::ActionSkipped { action, .. } => Some(action),
            Self::RunStarted { .. } | Self::Interrupted { .. } | Self::RunEnded { .. } => None,
        }
    }
}

/// Names an action in an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionName {
    /// Stable id, e.g. `1000/feature:install_docker`.
    pub id: String,
    /// The VM.
    pub vm: VmId,
    /// The VM's name.
    pub name: String,
    /// The action within the VM, e.g. `feature install_docker`.
    pub action: String,
}

/// Why an action failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// One lower-case fragment; may go on over several lines with what the target said.
    pub error: String,
    /// The way out, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The answer was lost and the effect could not be checked.
    pub may_have_happened: bool,
    /// The VM changed since it was planned; nothing was done to it after that was seen.
    pub stale: bool,
    /// What the target refused, or could not do; absent where phoenix itself found something wrong, or a guest did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Box<Fault>>,
    /// The VM's keys in the file that it is about; none where no key stands for what failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Where these keys stand in the file, else where the VM does; none where the file could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<KeyPlace>,
}

/// Where keys of a VM stand in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyPlace {
    /// The file, as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The keys; none where it is the VM's place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

impl Failure {
    /// A failure that has no fault behind it.
    #[must_use]
    pub fn new(error: impl Into<String>, hint: Option<&str>) -> Self {
        Self {
            error: error.into(),
            hint: hint.map(ToOwned::to_owned),
            may_have_happened: false,
            stale: false,
            fault: None,
            keys: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Keeps the fault behind it, but for its hint, which is the failure's own or is not given.
    #[must_use]
    pub fn because_of(mut self, fault: Fault) -> Self {
        self.fault = Some(Box::new(Fault { hint: None, ..fault }));
        self
    }

    /// Names the keys that it is about.
    #[must_use]
    pub fn about(mut self, keys: impl IntoIterator<Item = &'static str>) -> Self {
        self.keys = keys.into_iter().map(ToOwned::to_owned).collect();
        self
    }
}

/// How a run went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Actions that ended with `create`.
    pub created: usize,
    /// Actions that ended with `update`.
    pub updated: usize,
    /// Actions that ended with `destroy`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub destroyed: usize,
    /// Actions that ended with `no-op`.
    pub unchanged: usize,
    /// Ids of the actions that failed.
    pub failed: Vec<String>,
    /// Of those, how many failed because the VM had moved since the plan.
    pub stale: usize,
    /// Ids of the actions that were skipped because of them.
    pub skipped: Vec<String>,
    /// Ids of the acting actions that were not begun because of an interruption.
    pub not_started: Vec<String>,
    /// Ids of the actions that were left running.
    pub left_running: Vec<String>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// What became of the VMs; absent in what an earlier phoenix logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Results>,
}

/// How many VMs of a run came to what. Each counts once, but for those that wait for a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Results {
    /// All of them.
    pub planned: usize,
    /// Made, up to the finished guest.
    pub created: usize,
    /// Destroyed and made anew, up to the finished guest.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recreated: usize,
    /// Changed.
    pub updated: usize,
    /// Taken over, and else as they were.
    pub taken_over: usize,
    /// Given up: the VM stays, phoenix looks after it no more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forgotten: usize,
    /// Destroyed.
    pub destroyed: usize,
    /// Left as they were, because nothing differs.
    pub unchanged: usize,
    /// With an action that failed.
    pub failed: usize,
    /// Left alone, because they changed since the plan.
    pub stale: usize,
    /// Left alone, because their node is not online.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub blocked: usize,
    /// Not begun or not finished, because an action of another VM failed.
    pub skipped: usize,
    /// Not begun or not finished, because the run was interrupted.
    pub interrupted: usize,
    /// Of the created, updated, taken over and unchanged: with values that take effect at their next restart.
    pub waits_for_restart: usize,
}

/// How a VM is reached when a run is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VmReached {
    /// VMID.
    pub vm: VmId,
    /// Name.
    pub name: String,
    /// The node that it is on.
    pub node: String,
    /// MAC address of its first card, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its addresses: those that are fixed, else those that its guest agent gives for that card; IPv4 before IPv6.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// What it had to be to be called ready, where that is less than a guest whose cloud-init has ended: `agent` or
    /// `running`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Summary {
    /// Whether everything that was planned is done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty() && self.not_started.is_empty() && self.left_running.is_empty()
    }
}
