//! VMs on other nodes of the cluster: reached through the node that phoenix is on, which hands calls of the API on.
//!
//! Such a call takes seconds (recorded: three to five). What it begins is a task of the other node, which goes on by
//! itself whatever happens to phoenix or to this node; phoenix waits for its end by asking after it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::proxmox::call::{Call, Method, calls};
use super::super::proxmox::task::{self, Task};
use super::super::runner::{Command, Output};
use super::command::command;
use super::{LOOK, Qm, answer};
use crate::hypervisor::{Fault, FaultKind, HostOp};
use crate::model::ImagePlace;

/// How long to wait between two looks at a task.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether a call of the API begins a task whose id is its answer. Those that write a configuration at once do not.
fn begins_a_task(call: &Call) -> bool {
    let what = call.path.last().map(String::as_str);
    call.method != Method::Put || !matches!(what, Some("config" | "cloudinit"))
}

impl Qm {
    /// Carries out an operation on a VM of another node, and returns when its task has ended.
    pub(super) fn perform_on(&self, node: &str, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        if let HostOp::ImportDisk { vm, .. } = op {
            let what = format!("VM {vm} is on node `{node}`, and the image lies on the node that phoenix reaches");
            let hint = format!("move the VM back, or destroy it: `qm migrate {vm} NODE` on node `{node}`");
            return Err(Fault::harmless(FaultKind::Refused, what).hint(hint));
        }
        if let HostOp::ImportFurther { vm, image, .. } = op
            && !matches!(image.place(), ImagePlace::Volume(_))
        {
            let what = format!(
                "VM {vm} is on node `{node}`, and {} lies on the node that phoenix reaches, or is fetched there",
                image.source
            );
            let hint = "put the image on a storage that both nodes share, and name it as a volume";
            return Err(Fault::harmless(FaultKind::Refused, what).hint(hint));
        }
        if super::command::password(op).is_some() {
            let what = format!(
                "a password can be set only for VMs on the node that phoenix reaches, and this one is on `{node}`"
            );
            return Err(Fault::harmless(FaultKind::Refused, what).hint("take `password` out, or move the VM"));
        }
        if let HostOp::RemoveLeftover { vm, .. } = op {
            // Copies that still run there, and volumes of a former VM, are seen on that node alone.
            let what =
                format!("what an interrupted run left of VM {vm} is on node `{node}`, and is removed only there");
            let hint =
                format!("`qm unlock {vm}` and `qm destroy {vm}` on node `{node}`, when no copy runs there any more");
            return Err(Fault::harmless(FaultKind::Refused, what).hint(hint));
        }
        let until = Instant::now() + deadline;
        for call in calls(op, node) {
            let left = until.saturating_duration_since(Instant::now());
            let command = Command::change(command(&call), left);
            let output = match super::perform::job(op) {
                Some(name) => self.detached(&name, &command)?,
                None => self.runner.run(&command)?,
            };
            if output.status != 0 {
                return Err(answer::fault(&command, &output));
            }
            let said = String::from_utf8_lossy(&output.stdout);
            if let Some(upid) = task::begun(&said).filter(|_| begins_a_task(&call)) {
                self.seen
                    .during(super::perform::job(op), (node, upid), || self.await_end(node, upid, &command, until))?;
            }
        }
        Ok(())
    }

    /// Waits until a task of another node has ended, which `begun` began there.
    fn await_end(&self, node: &str, upid: &str, begun: &Command, until: Instant) -> Result<(), Fault> {
        let [status, log] = task::looks(node, upid).map(|call| Command::look(command(&call), LOOK));
        // It has begun: whatever cannot be seen of it may have happened.
        let unknown = |fault: Fault| Fault::uncertain(fault.kind, fault.what);
        loop {
            let output = self.run(&status).map_err(unknown)?;
            let end = task::end(&output.stdout).map_err(|why| {
                let what = format!("what node `{node}` says of its task {upid} cannot be understood: {why}");
                Fault::uncertain(FaultKind::Garbled, what)
            })?;
            if let Some(end) = end {
                if task::succeeded(&end) {
                    return Ok(());
                }
                let log = self.run(&log).map(|output| output.stdout).unwrap_or_default();
                let told = Output { status: 255, stdout: Vec::new(), stderr: task::why(&end, &log) };
                return Err(answer::fault(begun, &told));
            }
            if Instant::now() + PAUSE >= until {
                let what = format!("`{}` did not end in time; its task still runs on node `{node}`", begun.words());
                return Err(Fault::uncertain(FaultKind::TimedOut, what));
            }
            sleep(PAUSE);
        }
    }

    /// The tasks that run on other nodes of the cluster.
    pub(super) fn tasks_elsewhere(&self, here: &str) -> Result<Vec<Task>, Fault> {
        if !self.seen.has_others() {
            return Ok(Vec::new());
        }
        let list = Call::new(Method::Get, &["cluster", "tasks"]);
        let output = self.run(&Command::look(command(&list), LOOK))?;
        task::elsewhere(&String::from_utf8_lossy(&output.stdout), here)
    }
}

#[cfg(test)]
mod tests {
    use super::begins_a_task;
    use crate::backend::proxmox::call::{Call, Method, calls};
    use crate::backend::qm::command::command;
    use crate::hypervisor::HostOp;
    use crate::model::{Digest, VmId};
    use crate::observed::ConfigWrite;

    #[track_caller]
    fn check(op: &HostOp, expected: &[&str]) {
        let lines: Vec<String> = calls(op, "pve2").iter().map(|call| command(call).join(" ")).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn an_operation_on_another_node_is_asked_of_pvesh() {
        let vm = VmId::try_from(1000).unwrap();
        let mut write = ConfigWrite::default();
        write.set.insert("sshkeys".to_owned(), "ssh-rsa%20AAAA%0A".to_owned());
        let digest = Digest("0bcf".to_owned());
        check(
            &HostOp::Configure { vm, write, digest: digest.clone() },
            &["pvesh set /nodes/pve2/qemu/1000/config --sshkeys ssh-rsa%20AAAA%0A --digest 0bcf --output-format json"],
        );
        check(&HostOp::Start { vm }, &["pvesh create /nodes/pve2/qemu/1000/status/start --output-format json"]);
        check(
            &HostOp::Migrate { vm, node: "pve3".to_owned(), online: true, digest: digest.clone() },
            &[
                "pvesh create /nodes/pve2/qemu/1000/migrate --target pve3 --online 1 --with-local-disks 1 --output-format json",
            ],
        );
        check(&HostOp::Destroy { vm, digest }, &["pvesh delete /nodes/pve2/qemu/1000 --purge 1 --output-format json"]);
    }

    #[test]
    fn what_writes_at_once_begins_no_task() {
        let call = |method, last: &str| Call::new(method, &["nodes", "a", "qemu", "1", last]);
        assert!(!begins_a_task(&call(Method::Put, "config")) && !begins_a_task(&call(Method::Put, "cloudinit")));
        assert!(begins_a_task(&call(Method::Post, "config")) && begins_a_task(&call(Method::Put, "resize")));
    }
}
