//! The program that runs guests.

use crate::hypervisor::{Fault, FaultKind};

/// Its name.
pub(super) const PROGRAM: &str = "qemu-system-x86_64";

/// A fault where the program itself is missing names the package.
pub(super) fn without_qemu(fault: Fault) -> Fault {
    match fault.kind {
        FaultKind::Missing => fault.hint("`apt-get install qemu-system-x86` brings it"),
        _ => fault,
    }
}
