//! A program in a guest, run to its end.

use crate::guest::Program;
use crate::hypervisor::{Fault, FaultKind, GuestExit, GuestStatus, Guests};
use crate::model::VmId;

/// Runs a program in the guest of a VM to its end.
///
/// Only for programs that may be run twice: one whose answer is lost is started again. `wait` is called before each
/// question after the first, with the fault if the last one was lost; it waits or gives up.
pub(super) fn run<E: From<Fault>>(
    guests: &dyn Guests,
    vm: VmId,
    program: &Program,
    mut wait: impl FnMut(Option<Fault>) -> Result<(), E>,
) -> Result<GuestExit, E> {
    let mut pid = None;
    loop {
        let asked = match pid {
            None => guests.start(vm, &program.argv, &program.input).and_then(|new| {
                pid = Some(new);
                // At once after the start: short programs have ended by then.
                guests.status(vm, new)
            }),
            Some(pid) => guests.status(vm, pid),
        };
        let lost = match asked {
            Ok(GuestStatus::Ended(exit)) => return Ok(exit),
            Ok(GuestStatus::Running) => None,
            // The agent is restarting, or another process got the answer: both pass.
            Err(fault) if fault.is_transient() || matches!(fault.kind, FaultKind::AgentDown | FaultKind::Garbled) => {
                pid = None;
                Some(fault)
            }
            Err(fault) => return Err(fault.into()),
        };
        wait(lost)?;
    }
}
