//! The last look before an operation that a target does not guard by a digest itself.

use std::time::Duration;

use crate::hypervisor::{Fault, FaultKind, HostOp, Hypervisor};
use crate::model::{Digest, RecordState, VmId};
use crate::observed::VmObserved;

/// Carries out one operation. Just before one with which Proxmox takes no digest, it looks whether the VM is still what
/// the operation was meant for: its configuration has the digest, or it is still left over. What a target guards itself
/// is left to it; one that can look and act at once does so on top of this.
///
/// # Errors
/// What the target says; `Stale` or `Refused`, and nothing was done, if the VM is another one by now.
pub fn guarded(target: &dyn Hypervisor, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
    match op {
        HostOp::Destroy { vm, digest }
        | HostOp::Snapshot { vm, digest, .. }
        | HostOp::Migrate { vm, digest, .. }
        | HostOp::Rollback { vm, digest, .. }
        | HostOp::Template { vm, digest, .. } => must_be_as_read(target, *vm, digest)?,
        HostOp::RemoveLeftover { vm, .. } => must_be_left_over(target, *vm)?,
        // Proxmox compares the digest itself, or nothing is lost.
        HostOp::Clone { .. }
        | HostOp::FetchImage { .. }
        | HostOp::Create { .. }
        | HostOp::ImportDisk { .. }
        | HostOp::ImportFurther { .. }
        | HostOp::Configure { .. }
        | HostOp::Resize { .. }
        | HostOp::SetPool { .. }
        | HostOp::SetHa { .. }
        | HostOp::LeaveHa { .. }
        | HostOp::UpdateCloudInit { .. }
        | HostOp::MoveDisk { .. }
        | HostOp::RemoveSnapshot { .. }
        | HostOp::Start { .. }
        | HostOp::Shutdown { .. }
        | HostOp::Stop { .. }
        | HostOp::Revert { .. } => {}
    }
    target.perform(op, deadline)
}

fn existing(target: &dyn Hypervisor, vm: VmId) -> Result<VmObserved, Fault> {
    target.vm(vm)?.ok_or_else(|| Fault::harmless(FaultKind::Missing, format!("there is no VM {vm}")))
}

fn must_be_as_read(target: &dyn Hypervisor, vm: VmId, digest: &Digest) -> Result<(), Fault> {
    if existing(target, vm)?.digest == *digest {
        return Ok(());
    }
    Err(Fault::harmless(FaultKind::Stale, "the configuration changed since it was read"))
}

/// Refuses to take a finished VM for something left over. One that is not locked counts while its notes say that it is
/// being made, even if it has a disk: as it is when a removal ended between taking the lock off and the rest.
fn must_be_left_over(target: &dyn Hypervisor, vm: VmId) -> Result<(), Fault> {
    let live = existing(target, vm)?;
    let is_being_made = || live.record.valid().is_some_and(|record| record.state == RecordState::Creating);
    let is_left_over = match live.lock.as_deref() {
        Some(lock) => lock == "clone",
        None => live.placeholder || is_being_made(),
    };
    if is_left_over {
        return Ok(());
    }
    let what = format!("VM {vm} is not left over by a clone: it is not locked (clone)");
    Err(Fault::harmless(FaultKind::Refused, what))
}
