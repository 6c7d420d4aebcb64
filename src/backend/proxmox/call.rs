//! Which calls of Proxmox's API an operation is.

use crate::hypervisor::HostOp;
use crate::hypervisor::image::{import, import_further};
use crate::model::{Digest, VmId};
use crate::observed::ConfigWrite;

/// How long a guest may take to shut down: longer than systemd gives a service to stop.
const SHUTDOWN_SECONDS: &str = "180";

/// One call of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend) struct Call {
    /// What is done there.
    pub(in crate::backend) method: Method,
    /// Where, segment by segment from the root, as they are: how one is written in a URL is the transport's business.
    pub(in crate::backend) path: Vec<String>,
    /// Names and values, in the order in which they are said. The value of `sshkeys` is URL-encoded text, as it stands
    /// in a configuration; what a transport does to every value comes on top of that.
    pub(in crate::backend) parameters: Vec<(String, String)>,
}

/// The methods of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Method {
    /// Looks.
    Get,
    /// Makes something, or begins a task.
    Post,
    /// Changes something.
    Put,
    /// Removes something.
    Delete,
}

impl Call {
    /// A call without parameters.
    pub(in crate::backend) fn new(method: Method, path: &[&str]) -> Self {
        Self { method, path: path.iter().map(|part| (*part).to_owned()).collect(), parameters: Vec::new() }
    }

    /// Adds a parameter.
    #[must_use]
    pub(in crate::backend) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a parameter that is said only if it is so; absent, Proxmox takes it for no.
    fn flag(self, name: &str, is_so: bool) -> Self {
        if is_so { self.with(name, "1") } else { self }
    }
}

/// The VMs of a node.
#[derive(Clone, Copy)]
struct Vms<'n>(&'n str);

impl Vms<'_> {
    /// A call about one VM; `rest` is what stands behind it in the path.
    fn of(self, vm: VmId, method: Method, rest: &[&str]) -> Call {
        let vm = vm.to_string();
        let all = ["nodes", self.0, "qemu", &vm];
        Call::new(method, &[&all, rest].concat())
    }

    fn post(self, vm: VmId, what: &str) -> Call {
        self.of(vm, Method::Post, &[what])
    }

    fn status(self, vm: VmId, what: &str) -> Call {
        self.of(vm, Method::Post, &["status", what])
    }
}

/// The calls that an operation on `node` stands for, in order; each must end well before the next begins.
///
/// What is done with files of the node is no call. Nor is taking off the lock of what an interrupted clone left,
/// without which the calls of [`HostOp::RemoveLeftover`] are refused: each way to a node has its own for that.
pub(in crate::backend) fn calls(op: &HostOp, node: &str) -> Vec<Call> {
    let vms = Vms(node);
    let call = match op {
        HostOp::Clone { source, target, name, description, storage, node: to } => {
            let call = vms.post(*source, "clone").with("newid", target.to_string()).with("name", name);
            // Said in both cases: from a template the default is a linked clone, from a VM a full one.
            let call = call.with("description", description).with("full", if storage.is_some() { "1" } else { "0" });
            let call = match storage {
                Some(storage) => call.with("storage", storage),
                None => call,
            };
            match to {
                Some(node) => call.with("target", node),
                None => call,
            }
        }
        HostOp::Create { vm, name, description } => {
            let call = Call::new(Method::Post, &["nodes", node, "qemu"]).with("vmid", vm.to_string());
            call.with("name", name).with("description", description)
        }
        HostOp::ImportDisk { vm, image, storage, digest } => {
            import_disk(node, *vm, &import(&image.fetched(), storage), digest)
        }
        HostOp::ImportFurther { vm, image, disk, digest } => {
            import_disk(node, *vm, &import_further(&image.fetched(), disk), digest)
        }
        HostOp::Configure { vm, write, digest } => config(vms.of(*vm, Method::Put, &["config"]), write, digest),
        HostOp::Resize { vm, disk, size_gb } => {
            vms.of(*vm, Method::Put, &["resize"]).with("disk", disk).with("size", format!("{size_gb}G"))
        }
        HostOp::SetPool { vm, from, to } => {
            let call = |pool: &str| Call::new(Method::Put, &["pools"]).with("poolid", pool).with("vms", vm.to_string());
            match (from, to) {
                // A VM of another pool is refused, unless it is said that it moves (recorded).
                (from, Some(to)) => call(to).flag("allow-move", from.is_some()),
                (Some(from), None) => call(from).with("delete", "1"),
                (None, None) => return Vec::new(),
            }
        }
        HostOp::SetHa { vm, ha, is_new } => {
            let sid = format!("vm:{vm}");
            let call = if *is_new {
                Call::new(Method::Post, &["cluster", "ha", "resources"]).with("sid", sid)
            } else {
                Call::new(Method::Put, &["cluster", "ha", "resources", &sid])
            };
            let call = call.with("state", ha.state.as_str()).with("max_restart", ha.max_restart.to_string());
            call.with("max_relocate", ha.max_relocate.to_string())
        }
        HostOp::LeaveHa { vm } => Call::new(Method::Delete, &["cluster", "ha", "resources", &format!("vm:{vm}")]),
        HostOp::UpdateCloudInit { vm } => vms.of(*vm, Method::Put, &["cloudinit"]),
        HostOp::MoveDisk { vm, disk, storage, delete_source, digest } => {
            let call = vms.post(*vm, "move_disk").with("disk", disk).with("storage", storage);
            call.flag("delete", *delete_source).with("digest", &digest.0)
        }
        HostOp::Migrate { vm, node: to, online, .. } => {
            // Offline, local disks move without being named (recorded).
            let call = vms.post(*vm, "migrate").with("target", to);
            call.flag("online", *online).flag("with-local-disks", *online)
        }
        HostOp::Snapshot { vm, name, description, .. } => {
            vms.post(*vm, "snapshot").with("snapname", name).with("description", description)
        }
        HostOp::RemoveSnapshot { vm, name } => vms.of(*vm, Method::Delete, &["snapshot", name]),
        HostOp::Rollback { vm, name, start, .. } => {
            vms.of(*vm, Method::Post, &["snapshot", name, "rollback"]).flag("start", *start)
        }
        HostOp::Template { vm, disk, .. } => match disk {
            Some(disk) => vms.post(*vm, "template").with("disk", disk),
            None => vms.post(*vm, "template"),
        },
        HostOp::Start { vm } => vms.status(*vm, "start"),
        HostOp::Shutdown { vm } => vms.status(*vm, "shutdown").with("timeout", SHUTDOWN_SECONDS),
        HostOp::Stop { vm } => vms.status(*vm, "stop"),
        HostOp::Destroy { vm, .. } => vms.of(*vm, Method::Delete, &[]).with("purge", "1"),
        HostOp::Revert { vm, keys, digest } => {
            let call = vms.of(*vm, Method::Put, &["config"]).with("revert", keys.join(","));
            call.with("digest", &digest.0)
        }
        HostOp::RemoveLeftover { vm, unreferenced } => {
            let destroy = vms.of(*vm, Method::Delete, &[]);
            if !unreferenced {
                return vec![destroy];
            }
            let destroy = destroy.with("purge", "1").with("destroy-unreferenced-disks", "1");
            return vec![vms.of(*vm, Method::Put, &["config"]).with("protection", "0"), destroy];
        }
        HostOp::FetchImage { .. } => return Vec::new(),
    };
    vec![call]
}

/// The write that imports an image into a VM: of the two methods that write a configuration the one whose answer does
/// not wait for the copy.
pub(in crate::backend) fn import_disk(node: &str, vm: VmId, write: &ConfigWrite, digest: &Digest) -> Call {
    config(Vms(node).of(vm, Method::Post, &["config"]), write, digest)
}

fn config(call: Call, write: &ConfigWrite, digest: &Digest) -> Call {
    let mut call = write.set.iter().fold(call, |call, (key, value)| call.with(key, value));
    if !write.delete.is_empty() {
        let keys: Vec<&str> = write.delete.iter().map(String::as_str).collect();
        call = call.with("delete", keys.join(","));
    }
    call.with("digest", &digest.0)
}

/// Asks whether the guest agent of a VM answers.
pub(in crate::backend) fn ping(node: &str, vm: VmId) -> Call {
    Vms(node).of(vm, Method::Post, &["agent", "ping"])
}

/// Asks the guest agent of a VM for the guest's network interfaces.
pub(in crate::backend) fn interfaces(node: &str, vm: VmId) -> Call {
    Vms(node).of(vm, Method::Get, &["agent", "network-get-interfaces"])
}

/// Asks the guest agent of a VM for the guest's CPUs.
pub(in crate::backend) fn cpus(node: &str, vm: VmId) -> Call {
    Vms(node).of(vm, Method::Get, &["agent", "get-vcpus"])
}

/// Asks the guest agent of a VM for the blocks of the guest's memory.
pub(in crate::backend) fn memory_blocks(node: &str, vm: VmId) -> Call {
    Vms(node).of(vm, Method::Get, &["agent", "get-memory-blocks"])
}

/// Asks the guest agent of a VM how large the blocks of the guest's memory are.
pub(in crate::backend) fn memory_block_size(node: &str, vm: VmId) -> Call {
    Vms(node).of(vm, Method::Get, &["agent", "get-memory-block-info"])
}

/// Starts a program in the guest, which reads this on standard input if it is not empty.
pub(in crate::backend) fn exec(node: &str, vm: VmId, argv: &[String], input: &str) -> Call {
    let call = Vms(node).of(vm, Method::Post, &["agent", "exec"]);
    let call = argv.iter().fold(call, |call, word| call.with("command", word));
    if input.is_empty() { call } else { call.with("input-data", input) }
}

/// Asks the guest agent of a VM after a program.
pub(in crate::backend) fn exec_status(node: &str, vm: VmId, pid: u64) -> Call {
    Vms(node).of(vm, Method::Get, &["agent", "exec-status"]).with("pid", pid.to_string())
}

#[cfg(test)]
mod tests {
    use super::calls;
    use crate::hypervisor::HostOp;
    use crate::model::{Digest, VmId};
    use crate::observed::ConfigWrite;

    #[track_caller]
    fn check(op: &HostOp, expected: &[&str]) {
        let lines = calls(op, "pve1").into_iter().map(|call| {
            let parameters: Vec<String> =
                call.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{:?} /{} {}", call.method, call.path.join("/"), parameters.join(" ")).trim_end().to_owned()
        });
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_operation_has_its_calls() {
        let vm = |n: u32| VmId::try_from(n).unwrap();
        let clone = |storage: Option<&str>| HostOp::Clone {
            source: vm(9000),
            target: vm(1000),
            name: "web".to_owned(),
            description: "-x".to_owned(),
            storage: storage.map(ToOwned::to_owned),
            node: None,
        };
        check(
            &clone(Some("local-zfs")),
            &["Post /nodes/pve1/qemu/9000/clone newid=1000 name=web description=-x full=1 storage=local-zfs"],
        );
        check(&clone(None), &["Post /nodes/pve1/qemu/9000/clone newid=1000 name=web description=-x full=0"]);
        let (name, description) = ("web".to_owned(), "x".to_owned());
        check(
            &HostOp::Create { vm: vm(1000), name, description },
            &["Post /nodes/pve1/qemu vmid=1000 name=web description=x"],
        );
        let mut write = ConfigWrite::default();
        write.set.insert("sshkeys".to_owned(), "ssh-rsa%20AAAA%0A".to_owned());
        write.set.insert("tags".to_owned(), "a".to_owned());
        write.delete.extend(["onboot".to_owned(), "cores".to_owned()]);
        let digest = Digest("0bcf".to_owned());
        check(
            &HostOp::Configure { vm: vm(1000), write, digest: digest.clone() },
            &["Put /nodes/pve1/qemu/1000/config sshkeys=ssh-rsa%20AAAA%0A tags=a delete=cores,onboot digest=0bcf"],
        );
        let (disk, storage) = ("scsi0".to_owned(), "local".to_owned());
        check(
            &HostOp::MoveDisk { vm: vm(1000), disk, storage, delete_source: true, digest: digest.clone() },
            &["Post /nodes/pve1/qemu/1000/move_disk disk=scsi0 storage=local delete=1 digest=0bcf"],
        );
        check(
            &HostOp::Rollback { vm: vm(1000), name: "a/b".to_owned(), start: true, digest: digest.clone() },
            &["Post /nodes/pve1/qemu/1000/snapshot/a/b/rollback start=1"],
        );
        check(&HostOp::Shutdown { vm: vm(1000) }, &["Post /nodes/pve1/qemu/1000/status/shutdown timeout=180"]);
        check(&HostOp::Destroy { vm: vm(1000), digest }, &["Delete /nodes/pve1/qemu/1000 purge=1"]);
        check(
            &HostOp::RemoveLeftover { vm: vm(1000), unreferenced: true },
            &[
                "Put /nodes/pve1/qemu/1000/config protection=0",
                "Delete /nodes/pve1/qemu/1000 purge=1 destroy-unreferenced-disks=1",
            ],
        );
    }
}
