//! What runs the VMs of a node: nothing at all ([`Simulated`](super::simulated::Simulated)), or QEMU
//! ([`Qemu`](super::qemu::Qemu)). Configurations, volumes, locks and tasks are the node's own and the same for both.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::files::Deadline;
use super::qemu::Qemu;
use super::simulated::Simulated;
use super::{Embedded, files};
use crate::hypervisor::{Fault, FaultKind, GuestAddress, GuestStatus};
use crate::model::VmId;
use crate::observed::{Conf, PropertyString};

/// What the guests of a node are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guests {
    /// Nothing is executed: an agent that answers, and the handful of programs that phoenix asks it to run.
    #[default]
    Simulated,
    /// Real virtual machines, run by QEMU on this machine.
    Qemu,
}

impl std::fmt::Display for Guests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Simulated => "simulated",
            Self::Qemu => "qemu",
        })
    }
}

/// The machines of a node. Whoever starts, stops or changes one holds the config lock of its VM.
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

    /// Whether a running VM takes a new network card over at once.
    fn plugs_network(&self) -> bool;

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
    /// What runs the VMs of this node.
    pub(super) fn machines(&self) -> Box<dyn Machines + '_> {
        match self.settings.guests {
            Guests::Simulated => Box::new(Simulated(self)),
            Guests::Qemu => Box::new(self.qemu()),
        }
    }

    /// The node's QEMU guests.
    pub(super) fn qemu(&self) -> Qemu<'_> {
        Qemu::new(self)
    }

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

    /// Whether a VM runs.
    pub(super) fn runs(&self, vm: VmId) -> Result<bool, Fault> {
        Ok(self.machines().started_at(vm)?.is_some())
    }

    /// Every VM whose machine is the node's own has its things in a directory of its VMID below `dir`.
    pub(super) fn vms_in(&self, dir: &str) -> Result<Vec<VmId>, Fault> {
        Ok(files::names(&self.dir.join(dir))?.iter().filter_map(|id| id.parse().ok()).collect())
    }
}

/// Whether a configuration has the guest agent switched on.
pub(super) fn agent_is_on(conf: &Conf<'_>) -> bool {
    let agent = PropertyString::parse(conf.get("agent").unwrap_or_default());
    let enabled = agent.get("enabled").or(agent.get("")).unwrap_or("0");
    ["1", "on", "yes", "true"].contains(&enabled.to_ascii_lowercase().as_str())
}
