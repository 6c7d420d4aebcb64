//! The guests of a node, behind the port that every target has, with the failures that are rehearsed for them.

use super::Embedded;
use super::files::{self, Deadline};
use super::rehearse::{Attempt, Call};
use crate::hypervisor::{Fault, GuestAddress, GuestStatus, Guests, Plugged};
use crate::model::VmId;

impl Embedded {
    /// What lies on a simulated guest's own disk goes with the copy of the disk.
    pub(super) fn copy_guest(&self, source: VmId, target: VmId) -> Result<(), Fault> {
        let (from, to) = (self.guest_dir(source), self.guest_dir(target));
        for dir in ["", "runs"] {
            for name in files::names(&from.join(dir))?.iter().filter(|name| *name != "runs") {
                files::make_dir(&to.join(dir))?;
                let content = files::read(&from.join(dir).join(name))?.unwrap_or_default();
                let temporary = self.dir.join(format!("tmp/guest-{target}"));
                files::replace(&to.join(dir).join(name), &temporary, &content)?;
            }
        }
        Ok(())
    }

    fn call(&self, op: &'static str, vm: VmId, program: &str) -> Result<Attempt, Fault> {
        let call = Call { op, vms: vec![vm.get()], program: program.to_owned() };
        self.begin_call(&call, Deadline::NONE)
    }
}

impl Guests for Embedded {
    fn ping(&self, vm: VmId) -> Result<(), Fault> {
        let attempt = self.call("ping", vm, "")?;
        attempt.after(self.machines().ping(vm))
    }

    fn addresses(&self, vm: VmId) -> Result<Vec<GuestAddress>, Fault> {
        let attempt = self.call("guest-addresses", vm, "")?;
        attempt.after(self.machines().addresses(vm))
    }

    fn online(&self, vm: VmId, what: Plugged) -> Result<u64, Fault> {
        let attempt = self.call("guest-online", vm, "")?;
        attempt.after(self.machines().online(vm, what))
    }

    fn start(&self, vm: VmId, argv: &[String], input: &[u8]) -> Result<u64, Fault> {
        let attempt = self.call("guest-start", vm, super::programs::name(argv))?;
        attempt.after(self.machines().exec(vm, argv, input, &|| attempt.halfway()))
    }

    fn status(&self, vm: VmId, pid: u64) -> Result<GuestStatus, Fault> {
        let attempt = self.call("guest-status", vm, "")?;
        attempt.after(self.machines().exec_status(vm, pid))
    }
}
