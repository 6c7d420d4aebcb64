//! Rehearsing failures: `faults.json` tells the node what shall go wrong.
//!
//! The file is a list. Each entry fires once and is then gone from the file, also when several processes use the node:
//!
//! ```json
//! [
//!   { "op": "clone", "vm": 1000, "how": "die-halfway" },
//!   { "op": "guest-start", "program": "phoenix-mount", "how": "fail", "skip": 1 }
//! ]
//! ```
//!
//! | key | meaning |
//! |---|---|
//! | `op` | one of `OPS`; of [`Command`](super::Command), `remove-leftover` is also a `destroy` that is part of it |
//! | `vm` | only for this VM; of a directory, the VMID that is part of its path |
//! | `program` | only for this program in the guest: `cloud-init`, or the `$0` of a script |
//! | `skip` | so many matching calls pass first |
//! | `how` | see [`How`] |
//!
//! What dies is the process that works on the node, unless the node's directory has a file `victim` with the
//! pid of another: then that one dies, and the operation goes on to its end, as Proxmox's own would.

use std::path::Path;
use std::process::{self, Command, ExitStatus, Stdio};

use serde::{Deserialize, Serialize};

use super::files::{self, Deadline};
use crate::hypervisor::{Fault, FaultKind, FileOp, HostOp};

/// File with the failures to rehearse.
pub(super) const FILE: &str = "faults.json";

/// File with the pid of the process that dies instead of the one that works on the node.
pub(super) const VICTIM: &str = "victim";

/// Every operation that an entry can name.
const OPS: [&str; 35] = [
    "clone",
    "configure",
    "create",
    "destroy",
    "fetch-image",
    "guest-addresses",
    "guest-online",
    "guest-start",
    "guest-status",
    "import-disk",
    "import-further",
    "leave-ha",
    "make-directory",
    "migrate",
    "move-disk",
    "observe",
    "ping",
    "remove-leftover",
    "remove-snapshot",
    "remove-snippet",
    "resize",
    "revert",
    "rollback",
    "set-ha",
    "set-pool",
    "shutdown",
    "snapshot",
    "start",
    "stop",
    "template",
    "unlock",
    "unprotect",
    "update-cloud-init",
    "write-exports",
    "write-snippet",
];

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The operation fails and has no effect.
    Fail,
    /// The operation is carried out, but its answer is lost.
    Lose,
    /// The process is killed (SIGKILL) before anything happened.
    DieBefore,
    /// The process is killed when a clone's target is only a placeholder; elsewhere as `die-before`.
    DieEarly,
    /// The process is killed in the middle: a clone has its configuration and volumes and is still locked.
    DieHalfway,
    /// The process is killed when everything is done, before the answer.
    DieAfter,
    /// Nothing happens, and nothing is answered until the deadline.
    Hang,
    /// The cluster loses its quorum just before: the operation, and all that follow, fail as on Proxmox, until
    /// `.members` is removed.
    LoseQuorum,
}

/// One entry of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    op: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vm: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    how: How,
    #[serde(default, skip_serializing_if = "is_zero")]
    skip: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A call, as entries name it.
#[derive(Debug, Clone, Default)]
pub(super) struct Call {
    pub(super) op: &'static str,
    /// VMIDs it is about.
    pub(super) vms: Vec<u32>,
    /// Program in the guest.
    pub(super) program: String,
}

impl Call {
    /// How entries name an operation.
    pub(super) fn of(op: &HostOp) -> Self {
        let (op, vms) = match op {
            HostOp::Clone { target, .. } => ("clone", vec![target.get()]),
            HostOp::FetchImage { vm, .. } => ("fetch-image", vec![vm.get()]),
            HostOp::Create { vm, .. } => ("create", vec![vm.get()]),
            HostOp::ImportDisk { vm, .. } => ("import-disk", vec![vm.get()]),
            HostOp::ImportFurther { vm, .. } => ("import-further", vec![vm.get()]),
            HostOp::Configure { vm, .. } => ("configure", vec![vm.get()]),
            HostOp::MoveDisk { vm, .. } => ("move-disk", vec![vm.get()]),
            HostOp::Migrate { vm, .. } => ("migrate", vec![vm.get()]),
            HostOp::Snapshot { vm, .. } => ("snapshot", vec![vm.get()]),
            HostOp::RemoveSnapshot { vm, .. } => ("remove-snapshot", vec![vm.get()]),
            HostOp::Rollback { vm, .. } => ("rollback", vec![vm.get()]),
            HostOp::Resize { vm, .. } => ("resize", vec![vm.get()]),
            HostOp::SetPool { vm, .. } => ("set-pool", vec![vm.get()]),
            HostOp::SetHa { vm, .. } => ("set-ha", vec![vm.get()]),
            HostOp::LeaveHa { vm } => ("leave-ha", vec![vm.get()]),
            HostOp::UpdateCloudInit { vm } => ("update-cloud-init", vec![vm.get()]),
            HostOp::Template { vm, .. } => ("template", vec![vm.get()]),
            HostOp::Start { vm } => ("start", vec![vm.get()]),
            HostOp::Shutdown { vm } => ("shutdown", vec![vm.get()]),
            HostOp::Stop { vm } => ("stop", vec![vm.get()]),
            HostOp::Destroy { vm, .. } => ("destroy", vec![vm.get()]),
            HostOp::Revert { vm, .. } => ("revert", vec![vm.get()]),
            HostOp::RemoveLeftover { vm, .. } => ("remove-leftover", vec![vm.get()]),
        };
        Self { op, vms, program: String::new() }
    }

    /// How entries name an operation on files.
    pub(super) fn of_files(op: &FileOp) -> Self {
        let in_path = |path: &str| path.split('/').filter_map(|part| part.parse().ok()).collect();
        let (op, vms) = match op {
            FileOp::WriteExports { vm, .. } => ("write-exports", vec![vm.get()]),
            FileOp::MakeDirectory { path } => ("make-directory", in_path(path)),
            FileOp::WriteSnippet { vm, .. } => ("write-snippet", vec![vm.get()]),
            FileOp::RemoveSnippet { vm, .. } => ("remove-snippet", vec![vm.get()]),
        };
        Self { op, vms, program: String::new() }
    }

    fn matches(&self, entry: &Entry) -> bool {
        self.op == entry.op
            && entry.vm.is_none_or(|vm| self.vms.contains(&vm))
            && entry.program.as_ref().is_none_or(|program| *program == self.program)
    }
}

/// One call that is carried out: by when it must have ended, and what shall go wrong with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) deadline: Deadline,
    how: Option<How>,
    /// Process that dies; `None`: this one.
    victim: Option<u32>,
}

/// Begins a call: takes what shall go wrong with it from the file.
pub(super) fn begin(dir: &Path, call: &Call, deadline: Deadline) -> Result<Attempt, Fault> {
    let path = dir.join(FILE);
    let as_usual = Attempt::as_usual(deadline);
    if !path.exists() {
        return Ok(as_usual);
    }
    let _lock = files::lock(&dir.join("locks/faults.lock"), Deadline::after(std::time::Duration::MAX))?;
    let Some(text) = files::read(&path)? else { return Ok(as_usual) };
    let garbled =
        |error: serde_json::Error| Fault::harmless(FaultKind::Garbled, format!("{}: {error}", path.display()));
    let mut entries: Vec<Entry> = serde_json::from_str(&text).map_err(garbled)?;
    debug_assert!(OPS.contains(&call.op), "no entry can name {}", call.op);
    // It would never happen, and the rehearsal would count as passed.
    if let Some(entry) = entries.iter().find(|entry| !OPS.contains(&entry.op.as_str())) {
        let what = format!("{}: no operation is called `{}`; there are {}", path.display(), entry.op, OPS.join(", "));
        return Err(Fault::harmless(FaultKind::Garbled, what));
    }
    let before = entries.clone();
    let mut fired = None;
    entries.retain_mut(|entry| {
        if fired.is_some() || !call.matches(entry) {
            return true;
        }
        if entry.skip > 0 {
            entry.skip -= 1;
            return true;
        }
        fired = Some(entry.how);
        false
    });
    if entries != before {
        let text = serde_json::to_string_pretty(&entries).map_err(garbled)?;
        files::replace(&path, &dir.join("tmp").join(FILE), &text)?;
    }
    let victim = files::read(&dir.join(VICTIM))?.and_then(|pid| pid.trim().parse().ok());
    Ok(Attempt { how: fired, victim, ..as_usual })
}

impl Attempt {
    /// A call with which nothing goes wrong.
    pub(super) fn as_usual(deadline: Deadline) -> Self {
        Self { deadline, how: None, victim: None }
    }

    /// The same call with nothing that goes wrong, for another step that is part of it.
    pub(super) fn unrehearsed(self) -> Self {
        Self { how: None, victim: None, ..self }
    }

    /// Whether the cluster loses its quorum.
    pub(super) fn loses_quorum(self) -> bool {
        self.how == Some(How::LoseQuorum)
    }

    /// Before anything happened.
    pub(super) fn before(self, early_is_before: bool) -> Result<(), Fault> {
        match self.how {
            Some(How::Fail) => Err(Fault::harmless(FaultKind::Failed, "rehearsed failure")),
            Some(How::Hang) => Err(self.deadline.wait_out()),
            Some(How::DieBefore) => self.die(),
            Some(How::DieEarly) if early_is_before => self.die(),
            _ => Ok(()),
        }
    }

    /// When the target of a clone is only a placeholder.
    pub(super) fn early(self) -> Result<(), Fault> {
        if self.how == Some(How::DieEarly) { self.die() } else { Ok(()) }
    }

    /// In the middle.
    pub(super) fn halfway(self) -> Result<(), Fault> {
        if self.how == Some(How::DieHalfway) { self.die() } else { Ok(()) }
    }

    /// When everything is done.
    pub(super) fn after<T>(self, result: Result<T, Fault>) -> Result<T, Fault> {
        match self.how {
            Some(How::Lose) => Err(Fault::uncertain(FaultKind::Unreachable, "rehearsed loss of the answer")),
            Some(How::DieAfter) => self.die().and(result),
            _ => result,
        }
    }

    /// Ends the process that shall die as a power cut would: no destructor, no handler. If it is this one, returns only
    /// when that failed.
    fn die(self) -> Result<(), Fault> {
        let pid = self.victim.unwrap_or_else(process::id);
        let kill = Command::new("kill").arg("-9").arg(pid.to_string()).stdout(Stdio::null()).status();
        if self.victim.is_some() && kill.as_ref().is_ok_and(ExitStatus::success) {
            return Ok(());
        }
        let why = kill.map_or_else(|error| error.to_string(), |status| status.to_string());
        Err(Fault::uncertain(FaultKind::Failed, format!("could not kill process {pid} for a rehearsal: kill: {why}")))
    }
}
