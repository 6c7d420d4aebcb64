//! Carrying out an operation on a VM of the node itself.

use std::time::Duration;

use super::super::runner::Command;
use super::{Qm, answer, command, secrets};
use crate::hypervisor::{Effect, Fault, FaultKind, HostOp};

/// The name of the job as which an operation runs detached: half a copy is worth nothing, so it does not end with
/// phoenix, nor with the connection. `None`: it is over soon.
pub(super) fn job(op: &HostOp) -> Option<String> {
    Some(match op {
        HostOp::Clone { target, .. } => format!("clone-{target}"),
        HostOp::Snapshot { vm, .. } => format!("snapshot-{vm}"),
        HostOp::RemoveSnapshot { vm, .. } => format!("delsnapshot-{vm}"),
        HostOp::Rollback { vm, .. } => format!("rollback-{vm}"),
        HostOp::Template { vm, .. } => format!("template-{vm}"),
        HostOp::Migrate { vm, .. } => format!("migrate-{vm}"),
        HostOp::MoveDisk { vm, .. } => format!("move-{vm}"),
        HostOp::ImportDisk { vm, .. } => format!("import-{vm}"),
        HostOp::ImportFurther { vm, .. } => format!("further-{vm}"),
        _ => return None,
    })
}

impl Qm {
    /// Carries out an operation and returns when it has ended.
    pub(super) fn perform_here(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        let commands = match op {
            HostOp::ImportDisk { vm, image, storage, digest } => vec![self.import(*vm, image, storage, digest)],
            HostOp::ImportFurther { vm, image, disk, digest } => {
                vec![self.import_further(*vm, image, disk, digest)]
            }
            _ => command::commands(op),
        };
        for argv in commands {
            let command = Command::change(argv, deadline);
            let output = match job(op) {
                Some(name) => self.detached(&name, &command)?,
                None => self.runner.run(&secrets::with(&command, op))?,
            };
            if output.status != 0 {
                return Err(answer::fault(&command, &secrets::hidden(output, op)));
            }
            // `qm disk resize` exits 0 when its task failed; only standard error tells (recorded), and what holds for
            // one task of a disk may hold for another. A storage that warns of something says so there, too: the caller
            // has to look.
            if matches!(op, HostOp::Resize { .. } | HostOp::MoveDisk { .. }) && !output.stderr.trim().is_empty() {
                let fault = answer::fault(&command, &output);
                let effect = if fault.kind == FaultKind::Failed { Effect::Maybe } else { fault.effect };
                return Err(Fault { effect, ..fault });
            }
        }
        Ok(())
    }
}
