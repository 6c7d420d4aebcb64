//! States of VMs, their agents and features, as `phoenix status` tells them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a VM is there, and runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VmState {
    /// There is no VM.
    Absent,
    /// It is off.
    Stopped,
    /// It runs.
    Running,
    /// It is a template, which never runs.
    Template,
    /// Its node is not online: whether it runs cannot be seen.
    Unknown,
}

/// A guest agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentState {
    /// It answers.
    Answers,
    /// It does not.
    Silent,
    /// The VM has none: Proxmox's agent flag is off.
    Off,
    /// The file says that it is ready when it runs: its guest is asked for nothing.
    NotAsked,
}

/// A feature of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureState {
    /// It ran as it is now.
    Ran,
    /// It is still to run, or to run again because its script changed.
    ToRun,
}
