//! A cluster that has lost its quorum, as `.members` says: what a node refuses then, in Proxmox's words (recorded).

use serde_json::{Map, Value, json};

use super::super::proxmox::answer::{hint, meaning};
use super::super::proxmox::cluster;
use super::Embedded;
use super::files;
use super::rehearse::{Attempt, Call};
use crate::hypervisor::{Effect, Fault, FaultKind};

/// File that says whether the cluster has quorum.
const MEMBERS: &str = ".members";

/// What ends a VM, and what grows a disk before it comes to write its size.
const BEGIN: [&str; 3] = ["stop", "shutdown", "resize"];

/// What fails when it comes to write the configuration of a VM.
const WRITE: [&str; 12] = [
    "configure",
    "destroy",
    "import-disk",
    "import-further",
    "remove-leftover",
    "remove-snapshot",
    "revert",
    "rollback",
    "snapshot",
    "template",
    "unlock",
    "unprotect",
];

/// A refusal, understood as that of a node of Proxmox.
fn refused(what: String) -> Fault {
    let (kind, effect) = meaning(&what).unwrap_or((FaultKind::Failed, Effect::Maybe));
    let hint = hint(kind, &what, None);
    Fault { effect, hint, ..Fault::harmless(kind, what) }
}

impl Embedded {
    /// The other nodes of its cluster, where it has lost its quorum.
    pub(super) fn without_quorum(&self) -> Result<Option<Vec<String>>, Fault> {
        Ok(files::read(&self.dir.join(MEMBERS))?.and_then(|members| cluster::without_quorum(&members)))
    }

    /// Refuses what is refused before anything is begun.
    pub(super) fn with_quorum(&self) -> Result<(), Fault> {
        match self.without_quorum()? {
            Some(_) => Err(refused("cluster not ready - no quorum?".to_owned())),
            None => Ok(()),
        }
    }

    /// Refuses to write the configuration of a VM.
    pub(super) fn can_write(&self, vm: u32) -> Result<(), Fault> {
        if self.without_quorum()?.is_none() {
            return Ok(());
        }
        let node = vm.try_into().map_or(self.settings.name.as_str(), |vm| self.room_of(vm).name);
        let (path, process) = (format!("/etc/pve/nodes/{node}/qemu-server/{vm}.conf"), std::process::id());
        Err(refused(format!("unable to open file '{path}.tmp.{process}' - Permission denied")))
    }

    /// Refuses a call, once the cluster has lost its quorum, which it may do just now.
    pub(super) fn may_do(&self, call: &Call, attempt: Attempt) -> Result<(), Fault> {
        if attempt.loses_quorum() {
            self.lose_quorum()?;
        }
        match call.vms.last() {
            _ if BEGIN.contains(&call.op) => Ok(()),
            Some(vm) if WRITE.contains(&call.op) => self.can_write(*vm),
            _ => self.with_quorum(),
        }
    }

    /// From now on no other node is seen.
    fn lose_quorum(&self) -> Result<(), Fault> {
        let others: Vec<&str> = self.settings.nodes.keys().map(String::as_str).collect();
        let others = if others.is_empty() { vec!["another"] } else { others };
        let all = std::iter::once((self.settings.name.as_str(), 1)).chain(others.into_iter().map(|name| (name, 0)));
        let nodes: Map<String, Value> =
            all.zip(1..).map(|((name, online), id)| (name.to_owned(), json!({ "id": id, "online": online }))).collect();
        let members = json!({
            "nodename": self.settings.name, "version": 3,
            "cluster": { "name": "lab", "version": 2, "nodes": nodes.len(), "quorate": 0 }, "nodelist": nodes,
        });
        files::replace(&self.dir.join(MEMBERS), &self.dir.join("tmp/members"), &members.to_string())
    }
}
