//! How the VMs are, beside what the config says of them: what `phoenix status` tells.
//!
//! Pure, and made from a plan: what a plan would not change is up to date.

use core::net::IpAddr;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::states::{AgentState, FeatureState, VmState};

use super::document::{DocumentCluster, DocumentProblem, DocumentTarget, DocumentValue, DocumentWaiting, schema_of};
use super::reach::{self, Reach};
use super::{Change, ChangedBy, Plan, VmPlan, codes, diff, drift};
use crate::diag::{Diagnostic, Severity};
use crate::model::{ActionKind, DesiredVm, Outcome, Ready, Record, RecordState, VmId};
use crate::observed::{Ha, Observed, VmObserved};

/// Version of the document's shape. A field may be added within a version; none changes its meaning or goes.
pub const STATUS_VERSION: u32 = 1;

/// How the VMs of a project are. Contains no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusDocument {
    /// Version of this document's shape.
    pub format_version: u32,
    /// Version of the phoenix that made it.
    pub phoenix: String,
    /// Where was looked.
    pub target: DocumentTarget,
    /// The project.
    pub project: String,
    /// The VMs, by VMID: those the config declares, and those of the project that it no longer does.
    pub vms: Vec<StatusVm>,
    /// The nodes, and what their VMs are promised; absent: the target has one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<DocumentCluster>,
    /// What is wrong, or good to know.
    pub problems: Vec<DocumentProblem>,
}

/// How one VM is.
#[expect(clippy::struct_excessive_bools, reason = "each says something of its own")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusVm {
    /// VMID.
    pub vm: u32,
    /// Name as declared; of a VM that is not, the one it has.
    pub name: String,
    /// Whether the config declares it.
    pub declared: bool,
    /// Whether it is there, and runs.
    pub state: VmState,
    /// The node that it is on; only of a VM of the project that is there, like the two below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// MAC address of its first card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its addresses: those that are fixed, else those that its guest agent gives for that card; IPv4 before IPv6.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Its guest agent; only of a VM of the project that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentState>,
    /// Proxmox's lock on it, e.g. `backup`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// How the HA manager looks after it; absent where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ha: Option<StatusHa>,
    /// An earlier run began to make it and did not finish.
    pub unfinished: bool,
    /// What the next apply would do about it; `no-op`: it is as the config says, or is not declared.
    pub outcome: Outcome,
    /// An error keeps the next apply from doing that.
    pub blocked: bool,
    /// Keys whose values differ from the config; empty for a VM that is not there.
    pub differs: Vec<String>,
    /// Values that were changed outside phoenix since the last apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<StatusDrift>,
    /// Options of Proxmox that wait for a restart.
    pub waiting: Vec<String>,
    /// The same, with what the running VM has and what it will have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<DocumentWaiting>,
    /// phoenix's own snapshots: runs that did not come to their end kept them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// What it has to be to be called ready, where that is less than a guest whose cloud-init has ended: `agent` or
    /// `running`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// Its features, by name.
    pub features: BTreeMap<String, FeatureState>,
    /// Whether it is declared, as the config says, and nothing about it needs attention.
    #[serde(default)]
    pub well: bool,
}

/// How the HA manager looks after a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusHa {
    /// The state that it is to keep the VM in: `started`, `stopped`, `disabled` or `ignored`.
    pub state: String,
    /// The state that the VM has for it now, e.g. `started`, `error`; absent: it has not seen the VM yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// Whether it acts: not on a VM that it is to ignore, nor while it is disarmed.
    pub acts: bool,
}

impl From<&Ha> for StatusHa {
    fn from(ha: &Ha) -> Self {
        Self { state: ha.state.clone(), now: ha.now.clone(), acts: ha.acts() }
    }
}

/// A value that was changed outside phoenix since the last apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusDrift {
    /// The config's key.
    pub key: String,
    /// The value at the last apply; absent where it was too long to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<DocumentValue>,
    /// The value now.
    pub now: DocumentValue,
    /// The value that the file gives; absent where the config does not declare the VM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wished: Option<DocumentValue>,
}

/// What a VM has to be to be called ready, where that is less than a guest whose cloud-init has ended.
#[must_use]
pub fn less_than_cloud_init(vm: &DesiredVm) -> Option<String> {
    (vm.ready != Ready::CloudInit && !vm.is_template).then(|| vm.ready.to_string())
}

impl StatusVm {
    fn is_well(&self) -> bool {
        let ready = self.declared && !self.blocked && !self.unfinished && !self.outcome.acts();
        let waits = !self.waiting.is_empty() || !self.snapshots.is_empty();
        ready && !waits && self.lock.is_none() && self.agent != Some(AgentState::Silent)
    }
}

impl StatusDocument {
    /// What is wrong with a VM, or left of a run on it, as far as nothing else of the document tells it.
    pub fn problems_of(&self, vm: u32) -> impl Iterator<Item = &DocumentProblem> {
        self.problems.iter().filter(move |problem| problem.vm == Some(vm) && is_problem(problem))
    }

    /// Why the next apply leaves a VM alone that the config does not declare, and the way out.
    #[must_use]
    pub fn why_undeclared(&self, vm: u32) -> Option<String> {
        let problem =
            self.problems.iter().find(|problem| problem.vm == Some(vm) && problem.code == codes::UNDECLARED)?;
        let hint = problem.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        Some(format!("{}{hint}", problem.bare()))
    }

    /// Whether the VMs' own words tell a problem.
    #[must_use]
    pub fn tells(&self, problem: &Diagnostic) -> bool {
        let problem = DocumentProblem::from(problem);
        let listed = problem.vm.is_some_and(|vm| self.vms.iter().any(|listed| listed.vm == vm));
        listed && (TOLD.contains(&problem.code.as_str()) || is_problem(&problem))
    }
}

/// Problems that fields of their own tell.
const TOLD: [&str; 2] = [codes::DRIFT, codes::UNDECLARED];

/// Whether it is something wrong, or left of a run, that no field tells.
fn is_problem(problem: &DocumentProblem) -> bool {
    let matters = problem.severity != Severity::Notice.as_str() || problem.code == codes::SNAPSHOT_KEPT;
    matters && !TOLD.contains(&problem.code.as_str())
}

/// The VMs whose guest agents have something to tell: those of the project that run and have one.
#[must_use]
pub fn with_agents(plan: &Plan, observed: &Observed) -> Vec<VmId> {
    let all = plan.vms.iter().filter(|vm| vm.asks_agent).map(|vm| vm.vm).chain(undeclared(plan));
    all.filter(|vm| ours(*vm, plan, observed).is_some_and(|live| live.running && live.agent)).collect()
}

/// What the guests' agents tell.
#[derive(Debug, Default)]
pub struct Agents {
    /// The VMs whose agents answer.
    pub answering: Vec<VmId>,
    /// By which addresses VMs are reached.
    pub reach: Reach,
}

/// Tells how the VMs of a plan are, and those that it says are no longer declared.
#[must_use]
pub fn status(plan: &Plan, observed: &Observed, agents: &Agents, target: DocumentTarget) -> StatusDocument {
    let answering = &agents.answering;
    let declared = plan.vms.iter().map(|vm| of_declared(vm, plan, observed, answering));
    let gone = undeclared(plan).filter_map(|vm| ours(vm, plan, observed)).map(|live| of_undeclared(live, answering));
    let mut vms: Vec<StatusVm> = declared.chain(gone).collect();
    vms.sort_by_key(|vm| vm.vm);
    for vm in &mut vms {
        vm.well = vm.is_well();
        let live = VmId::try_from(vm.vm).ok().and_then(|id| ours(id, plan, observed));
        let Some(live) = live.filter(|live| !live.template) else { continue };
        if observed.nodes.get(&live.node).is_some_and(|node| !node.online) {
            vm.state = VmState::Unknown;
        }
        vm.node = Some(reach::node_of(live, observed).to_owned());
        vm.mac = live.net0.as_ref().and_then(|net| net.mac.clone());
        vm.addresses = agents.reach.of(live.id).to_vec();
    }
    let cluster = plan.capacity.as_deref().map(|capacity| {
        let ids = || plan.vms.iter().map(|vm| vm.vm);
        let mut on = capacity.on(ids(), false);
        for live in undeclared(plan).filter_map(|vm| ours(vm, plan, observed)) {
            on.entry(&live.node).or_default().push(live.id.get());
        }
        for vms in on.values_mut() {
            vms.sort_unstable();
        }
        DocumentCluster::of(capacity, ids(), on)
    });
    StatusDocument {
        format_version: STATUS_VERSION,
        phoenix: env!("CARGO_PKG_VERSION").to_owned(),
        target,
        project: plan.project.clone(),
        vms,
        cluster,
        problems: plan.problems.iter().map(DocumentProblem::from).collect(),
    }
}

/// The JSON schema of the document: draft-07, pretty, with a line break at the end.
#[must_use]
pub fn schema() -> String {
    schema_of::<StatusDocument>()
}

/// The plan tells of each such VM, selection and project considered.
fn undeclared(plan: &Plan) -> impl Iterator<Item = VmId> {
    plan.problems.iter().filter(|problem| problem.code == codes::UNDECLARED).filter_map(|problem| problem.vm)
}

/// A VM that is there and belongs to the project. No guest of another project is asked anything.
fn ours<'o>(vm: VmId, plan: &Plan, observed: &'o Observed) -> Option<&'o VmObserved> {
    let live = observed.vms.get(&vm)?;
    live.record.valid().is_some_and(|record| record.project == plan.project).then_some(live)
}

fn of_declared(vm: &VmPlan, plan: &Plan, observed: &Observed, agents: &[VmId]) -> StatusVm {
    let live = observed.vms.get(&vm.vm);
    let mine = ours(vm.vm, plan, observed);
    let features = vm.actions.iter().filter(|action| action.kind == ActionKind::Feature);
    let state = |outcome: Outcome| if outcome.acts() { FeatureState::ToRun } else { FeatureState::Ran };
    let seen = seen(vm.vm, live, mine, agents);
    StatusVm {
        name: vm.name.clone(),
        declared: true,
        agent: if vm.asks_agent { seen.agent } else { seen.agent.map(|_| AgentState::NotAsked) },
        outcome: vm.outcome,
        blocked: vm.blocked,
        differs: match live {
            Some(_) => vm.changes.iter().map(|change| change.key.to_owned()).collect(),
            None => Vec::new(),
        },
        drift: vm.changes.iter().filter(|change| change.by.is_some_and(ChangedBy::is_drift)).map(drifted).collect(),
        waiting: vm.waiting.iter().map(|waiting| waiting.option.clone()).collect(),
        pending: vm.waiting.iter().map(DocumentWaiting::from).collect(),
        features: features
            .filter_map(|action| Some((action.subject.as_ref()?.to_string(), state(action.outcome))))
            .collect(),
        ..seen
    }
}

fn drifted(change: &Change) -> StatusDrift {
    let shown = |value: String| DocumentValue::of(change.key, value);
    StatusDrift {
        key: change.key.to_owned(),
        applied: change.applied.clone().map(shown),
        now: shown(change.old.clone().unwrap_or_default()),
        wished: Some(shown(change.new.clone())),
    }
}

fn of_undeclared(live: &VmObserved, agents: &[VmId]) -> StatusVm {
    let record = live.record.valid();
    let ran = record.into_iter().flat_map(|record| record.features.keys());
    let outside = record.into_iter().flat_map(|record| drift::outside(live, record));
    StatusVm {
        name: live.name.clone(),
        drift: outside
            .map(|(key, applied, now)| StatusDrift {
                key: key.to_owned(),
                applied: applied.map(|applied| DocumentValue::of(key, applied)),
                now: DocumentValue::of(key, now),
                wished: None,
            })
            .collect(),
        waiting: live.pending.keys().cloned().collect(),
        pending: diff::waiting(live, None).iter().map(DocumentWaiting::from).collect(),
        features: ran.map(|name| (name.clone(), FeatureState::Ran)).collect(),
        ..seen(live.id, Some(live), Some(live), agents)
    }
}

/// What can be told of a VM without the config.
fn seen(vm: VmId, live: Option<&VmObserved>, mine: Option<&VmObserved>, agents: &[VmId]) -> StatusVm {
    let agent = |live: &VmObserved| match (live.agent, agents.contains(&live.id)) {
        (false, _) => AgentState::Off,
        (true, true) => AgentState::Answers,
        (true, false) => AgentState::Silent,
    };
    // A template is one at its end, and of no use before.
    let begun = |r: &Record| r.state == RecordState::Creating || (r.is_template && !r.state.is_ready());
    let unfinished = |live: &VmObserved| live.record.valid().is_some_and(begun);
    StatusVm {
        vm: vm.get(),
        name: String::new(),
        declared: false,
        state: match live {
            None => VmState::Absent,
            Some(live) if live.template => VmState::Template,
            Some(live) if live.running => VmState::Running,
            Some(_) => VmState::Stopped,
        },
        node: None,
        mac: None,
        addresses: Vec::new(),
        agent: mine.filter(|live| live.running).map(agent),
        lock: live.and_then(|live| live.lock.clone()),
        ha: live.and_then(|live| live.ha.as_ref()).map(StatusHa::from),
        unfinished: mine.is_some_and(unfinished),
        outcome: Outcome::NoOp,
        blocked: false,
        differs: Vec::new(),
        drift: Vec::new(),
        waiting: Vec::new(),
        pending: Vec::new(),
        snapshots: mine.into_iter().flat_map(VmObserved::own_snapshots).cloned().collect(),
        ready: None,
        features: BTreeMap::new(),
        well: false,
    }
}
