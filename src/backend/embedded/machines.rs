//! What runs the VMs of a node: nothing at all ([`Simulated`](super::simulated::Simulated)), or QEMU
//! ([`Qemu`](super::qemu::Qemu)). Configurations, volumes, locks and tasks are the node's own and the same for both.

use std::collections::BTreeSet;

use super::files::Deadline;
use super::node::Embedded;
use super::options::agent_is_on;
use crate::hypervisor::{Fault, FaultKind, GuestAddress, GuestStatus, Plugged};
use crate::model::VmId;
use crate::observed::Conf;

/// The machines of a node. A process that starts, stops or changes one holds the config lock of its VM.
pub(super) trait Machines {
    /// The VMs that run.
    fn running(&self) -> Result<BTreeSet<VmId>, Fault>;

    /// When a running VM was started, in milliseconds since 1970. `None`: it does not run.
    fn started_at(&self, vm: VmId) -> Result<Option<u64>, Fault>;

    /// Starts a VM that does not run.
    fn start(&self, vm: VmId, conf: &Conf<'_>, deadline: Deadline) -> Result<(), Fault>;

    /// Asks the guest of a running VM to shut down, and returns when the VM is off.
    fn shutdown(&self, vm: VmId, conf: &Conf<'_>, deadline: Deadline) -> Result<(), Fault>;

    /// Switches a running VM off, whatever its guest is doing.
    fn stop(&self, vm: VmId, deadline: Deadline) -> Result<(), Fault>;

    /// Whether a running VM takes a new network card, CPUs and memory over at once, where its configuration says so.
    fn plugs(&self) -> bool;

    /// Grows the disk of a running VM to this many bytes, where its volume is an image.
    fn grow(&self, vm: VmId, device: &str, bytes: u64) -> Result<(), Fault>;

    /// Makes the drive with cloud-init's data anew, where there is one.
    fn seed(&self, vm: VmId, conf: &Conf<'_>) -> Result<(), Fault>;

    /// Forgets whatever is kept of a VM that does not run and goes.
    fn forget(&self, vm: VmId) -> Result<(), Fault>;

    /// Whether the guest agent answers, with Proxmox's words if not.
    fn ping(&self, vm: VmId) -> Result<(), Fault>;

    /// The addresses of the guest's interfaces.
    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault>;

    /// How much of it the guest has online.
    fn online(&self, vm: VmId, what: Plugged) -> Result<u64, Fault>;

    /// Starts a program in the guest with this standard input; `ready` is called when the agent is known to answer.
    fn exec(
        &self,
        vm: VmId,
        argv: &[String],
        input: &[u8],
        ready: &dyn Fn() -> Result<(), Fault>,
    ) -> Result<u64, Fault>;

    /// How a program in the guest stands.
    fn exec_status(&self, vm: VmId, pid: u64) -> Result<GuestStatus, Fault>;
}

impl Embedded {
    /// Refuses a VM whose configuration has no guest agent.
    ///
    /// What counts is the configuration the VM was started with: a switch that waits does not cut the agent off.
    pub(super) fn has_agent(&self, vm: VmId) -> Result<(), Fault> {
        let text = self.existing(vm)?;
        if agent_is_on(&Conf::parse(&text)) {
            return Ok(());
        }
        Err(Fault::harmless(FaultKind::Refused, "No QEMU guest agent configured"))
    }
}
