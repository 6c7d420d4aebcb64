//! Proxmox VE itself, whichever way it is reached: which calls of its API an operation is, and what its answers mean.
//!
//! Pure: texts and JSON in, values out. A back end that reaches a Proxmox node is a transport beside this room: it
//! carries a [`call::Call`] there, and asks here what came back. Nothing here knows of programs, connections or exit
//! statuses.
//!
//! - `call`: operation → calls of the API: method, path, parameters.
//! - `answer`: words of a refusal → kind of the fault, whether something may have happened, and the way out.
//! - `task`: UPIDs, running tasks, how one ended, and which clone makes which VM.
//! - `copied`: how far a copy is, from the log of its task.
//! - `cluster`: which VMs there are, here and on other nodes. `nodes`: what a node says of the others.
//! - `ha`: VMs that the HA manager looks after. `pools`: the resource pools. `storage`: the storages and `storage.cfg`.
//! - `content`: the volumes on a storage of a node.
//! - `mappings`: devices and directories of nodes that have one name. `moves`: whether a VM can move to another node.
//! - `agent`: what the API says for the guest agent.

pub(super) mod agent;
pub(super) mod answer;
pub(super) mod call;
pub(super) mod cluster;
pub(super) mod content;
pub(super) mod copied;
pub(super) mod ha;
pub(super) mod mappings;
pub(super) mod moves;
pub(super) mod nodes;
pub(super) mod pools;
pub(super) mod storage;
pub(super) mod task;
