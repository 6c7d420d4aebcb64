//! Which program makes a call of Proxmox's API, with which arguments. Pure.

use super::super::proxmox::call::{Call, Method, calls, exec};
use crate::hypervisor::HostOp;
use crate::model::VmId;
use crate::observed::decode_keys;
use crate::observed::options::PASSWORD_OPTION;

/// What Proxmox's programs call the node they run on.
pub(super) const HERE: &str = "localhost";

/// The option that `qm set` takes as the path of a file, and what its configuration calls it.
pub const KEYS: &str = "sshkeys";

/// The keys that belong into the file behind `--sshkeys`, whose value [`commands`] leaves out.
#[must_use]
pub fn keys(op: &HostOp) -> Option<String> {
    match op {
        HostOp::Configure { write, .. } => write.set.get(KEYS).map(|keys| decode_keys(keys)),
        _ => None,
    }
}

/// The password that an operation sets. [`commands`] leaves option and value out: neither a message nor a command line
/// of ssh is to have it.
#[must_use]
pub fn password(op: &HostOp) -> Option<&str> {
    match op {
        HostOp::Configure { write, .. } => write.set.get(PASSWORD_OPTION).map(String::as_str),
        _ => None,
    }
}

/// The commands that an operation stands for, in order; each must end well before the next begins.
///
/// What is done with files on the node has no command of Proxmox and gives none.
#[must_use]
pub fn commands(op: &HostOp) -> Vec<Vec<String>> {
    // No call of the API takes a lock off: `qm` does.
    let unlock = match op {
        HostOp::RemoveLeftover { vm, .. } => Some(qm(&["unlock", &vm.to_string()])),
        _ => None,
    };
    unlock.into_iter().chain(calls(op, HERE).iter().map(command)).collect()
}

/// The same of a VM of another node of the cluster, reached through the own one.
#[must_use]
pub fn commands_on(op: &HostOp, node: &str) -> Vec<Vec<String>> {
    calls(op, node).iter().map(command).collect()
}

/// A question to the guest agent of a VM of another node: `ping`, `network-get-interfaces`.
#[must_use]
pub fn agent_on(node: &str, vm: VmId, question: &str) -> Vec<String> {
    let method = if question == "ping" { Method::Post } else { Method::Get };
    command(&Call::new(method, &["nodes", node, "qemu", &vm.to_string(), "agent", question]))
}

/// Starts a program in the guest of a VM of another node; what it reads is one more option, `--input-data`.
#[must_use]
pub fn guest_exec_on(node: &str, vm: VmId, argv: &[String]) -> Vec<String> {
    command(&exec(node, vm, argv, ""))
}

/// The command that makes a call: of the own node `qm`'s own where it has one, with what it takes as plain words first;
/// else `pvesh`, which makes any.
pub(super) fn command(call: &Call) -> Vec<String> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    if matches!(path.as_slice(), ["nodes", node, ..] if *node != HERE) {
        return pvesh(call);
    }
    let (words, plain): (Vec<&str>, &[&str]) = match (call.method, path.as_slice()) {
        (Method::Post, ["nodes", _, "qemu"]) => (vec!["create"], &["vmid"]),
        (Method::Delete, ["nodes", _, "qemu", vm]) => (vec!["destroy", vm], &[]),
        (method, ["nodes", _, "qemu", vm, rest @ ..]) => match (method, rest) {
            (Method::Post, ["clone"]) => (vec!["clone", vm], &["newid"]),
            (Method::Put | Method::Post, ["config"]) => (vec!["set", vm], &[]),
            (Method::Put, ["resize"]) => (vec!["disk", "resize", vm], &["disk", "size"]),
            (Method::Post, ["move_disk"]) => (vec!["disk", "move", vm], &["disk", "storage"]),
            (Method::Post, ["migrate"]) => (vec!["migrate", vm], &["target"]),
            (Method::Put, ["cloudinit"]) => (vec!["cloudinit", "update", vm], &[]),
            (Method::Post, ["snapshot"]) => (vec!["snapshot", vm], &["snapname"]),
            (Method::Delete, ["snapshot", name]) => (vec!["delsnapshot", vm, name], &[]),
            (Method::Post, ["snapshot", name, "rollback"]) => (vec!["rollback", vm, name], &[]),
            (Method::Post, ["template"]) => (vec!["template", vm], &[]),
            (Method::Post, ["status", what]) => (vec![what, vm], &[]),
            (Method::Get, ["agent", "exec-status"]) => (vec!["guest", "exec-status", vm], &["pid"]),
            (_, ["agent", question]) => (vec!["agent", vm, question], &[]),
            _ => return pvesh(call),
        },
        _ => return pvesh(call),
    };
    let mut argv = qm(&words);
    let is_plain = |(name, _): &&(String, String)| plain.contains(&name.as_str());
    let left_out = |(name, _): &&(String, String)| name == KEYS || name == PASSWORD_OPTION;
    argv.extend(call.parameters.iter().filter(is_plain).map(|(_, value)| value.clone()));
    for (name, value) in call.parameters.iter().filter(|parameter| !is_plain(parameter) && !left_out(parameter)) {
        option(&mut argv, name, value);
    }
    // Its value is the path of a file, which stands behind it.
    argv.extend(call.parameters.iter().any(|(name, _)| name == KEYS).then(|| format!("--{KEYS}")));
    argv
}

/// `pvesh get PATH --name value … --output-format json`, and the like.
fn pvesh(call: &Call) -> Vec<String> {
    let verb = match call.method {
        Method::Get => "get",
        Method::Post => "create",
        Method::Put => "set",
        Method::Delete => "delete",
    };
    let mut argv = vec!["pvesh".to_owned(), verb.to_owned(), format!("/{}", call.path.join("/"))];
    for (name, value) in &call.parameters {
        option(&mut argv, name, value);
    }
    option(&mut argv, "output-format", "json");
    argv
}

/// `qm guest exec VM --synchronous 0 [--pass-stdin 1] -- ARGV…`: starts a program in the guest, which reads what `qm`
/// does on standard input if it has `input`.
///
/// Never synchronous: such a call "succeeds" after 30 s whatever the program does (recorded).
#[must_use]
pub fn guest_exec(vm: VmId, argv: &[String], input: bool) -> Vec<String> {
    let mut words = qm(&["guest", "exec", &vm.to_string(), "--synchronous", "0"]);
    if input {
        option(&mut words, "pass-stdin", "1");
    }
    words.push("--".to_owned());
    words.extend(argv.iter().cloned());
    words
}

fn qm(words: &[&str]) -> Vec<String> {
    std::iter::once("qm").chain(words.iter().copied()).map(ToOwned::to_owned).collect()
}

/// The value is a word of its own: Proxmox takes the word after an option as its value, even one that begins with a
/// dash (recorded: `--tags -x` is refused for what the tag holds).
fn option(argv: &mut Vec<String>, name: &str, value: &str) {
    argv.extend([format!("--{name}"), value.to_owned()]);
}

#[cfg(test)]
mod tests {
    use super::super::super::proxmox::call::{Call, Method};
    use super::{command, commands, keys, password};
    use crate::hypervisor::HostOp;
    use crate::model::{Digest, HaState, HaWish, VmId};
    use crate::observed::ConfigWrite;

    #[track_caller]
    fn check(op: &HostOp, expected: &[&str]) {
        let lines: Vec<String> = commands(op).iter().map(|argv| argv.join(" ")).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn an_operation_has_its_commands() {
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
            &["qm clone 9000 1000 --name web --description -x --full 1 --storage local-zfs"],
        );
        check(&clone(None), &["qm clone 9000 1000 --name web --description -x --full 0"]);
        let mut write = ConfigWrite::default();
        write.set.insert("cores".to_owned(), "4".to_owned());
        write.delete.extend(["tags".to_owned(), "onboot".to_owned()]);
        let digest = Digest("0bcf".to_owned());
        check(
            &HostOp::Configure { vm: vm(1000), write, digest },
            &["qm set 1000 --cores 4 --delete onboot,tags --digest 0bcf"],
        );
        check(
            &HostOp::Resize { vm: vm(1000), disk: "scsi0".to_owned(), size_gb: 50 },
            &["qm disk resize 1000 scsi0 50G"],
        );
        let pool = |name: &str| Some(name.to_owned());
        check(
            &HostOp::SetPool { vm: vm(1000), from: None, to: pool("a/b") },
            &["pvesh set /pools --poolid a/b --vms 1000 --output-format json"],
        );
        check(
            &HostOp::SetPool { vm: vm(1000), from: pool("dev"), to: pool("prod") },
            &["pvesh set /pools --poolid prod --vms 1000 --allow-move 1 --output-format json"],
        );
        check(
            &HostOp::SetPool { vm: vm(1000), from: pool("dev"), to: None },
            &["pvesh set /pools --poolid dev --vms 1000 --delete 1 --output-format json"],
        );
        let ha = HaWish { state: HaState::Started, max_restart: 3, max_relocate: 1 };
        check(
            &HostOp::SetHa { vm: vm(1000), ha, is_new: true },
            &["pvesh create /cluster/ha/resources --sid vm:1000 --state started --max_restart 3 --max_relocate 1 \
               --output-format json"],
        );
        check(
            &HostOp::SetHa { vm: vm(1000), ha, is_new: false },
            &["pvesh set /cluster/ha/resources/vm:1000 --state started --max_restart 3 --max_relocate 1 \
               --output-format json"],
        );
        check(&HostOp::LeaveHa { vm: vm(1000) }, &["pvesh delete /cluster/ha/resources/vm:1000 --output-format json"]);
        let mut write = ConfigWrite::default();
        write.set.insert("sshkeys".to_owned(), "ssh-rsa%20AAAA%20me%40desk%0A".to_owned());
        let op = HostOp::Configure { vm: vm(1000), write, digest: Digest("0bcf".to_owned()) };
        check(&op, &["qm set 1000 --digest 0bcf --sshkeys"]);
        assert_eq!(keys(&op).as_deref(), Some("ssh-rsa AAAA me@desk\n"));
        let mut write = ConfigWrite::default();
        write.set.extend([("cipassword", "hunter2"), ("ciuser", "admin")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        let op = HostOp::Configure { vm: vm(1000), write, digest: Digest("0bcf".to_owned()) };
        check(&op, &["qm set 1000 --ciuser admin --digest 0bcf"]);
        assert_eq!((keys(&op), password(&op)), (None, Some("hunter2")));
        check(&HostOp::UpdateCloudInit { vm: vm(1000) }, &["qm cloudinit update 1000"]);
        let moved = |delete_source: bool| HostOp::MoveDisk {
            vm: vm(1000),
            disk: "scsi0".to_owned(),
            storage: "local".to_owned(),
            delete_source,
            digest: Digest("0bcf".to_owned()),
        };
        check(&moved(false), &["qm disk move 1000 scsi0 local --digest 0bcf"]);
        check(&moved(true), &["qm disk move 1000 scsi0 local --delete 1 --digest 0bcf"]);
        let template = |disk: Option<&str>| HostOp::Template {
            vm: vm(9000),
            disk: disk.map(ToOwned::to_owned),
            digest: Digest("0bcf".to_owned()),
        };
        check(&template(None), &["qm template 9000"]);
        check(&template(Some("scsi1")), &["qm template 9000 --disk scsi1"]);
        check(&HostOp::Shutdown { vm: vm(1000) }, &["qm shutdown 1000 --timeout 180"]);
        check(&HostOp::Stop { vm: vm(1000) }, &["qm stop 1000"]);
        check(&HostOp::Destroy { vm: vm(1000), digest: Digest("0bcf".to_owned()) }, &["qm destroy 1000 --purge 1"]);
        let (keys, digest) = (vec!["net0".to_owned(), "cores".to_owned()], Digest("0bcf".to_owned()));
        check(&HostOp::Revert { vm: vm(1000), keys, digest }, &["qm set 1000 --revert net0,cores --digest 0bcf"]);
        check(
            &HostOp::RemoveLeftover { vm: vm(1000), unreferenced: true },
            &[
                "qm unlock 1000",
                "qm set 1000 --protection 0",
                "qm destroy 1000 --purge 1 --destroy-unreferenced-disks 1",
            ],
        );
        check(&HostOp::RemoveLeftover { vm: vm(1000), unreferenced: false }, &["qm unlock 1000", "qm destroy 1000"]);
    }
    #[test]
    fn what_qm_has_no_command_for_is_asked_of_pvesh() {
        let call = Call::new(Method::Get, &["nodes", "pve", "tasks", "UPID:x", "log"]).with("limit", "1");
        assert_eq!(command(&call).join(" "), "pvesh get /nodes/pve/tasks/UPID:x/log --limit 1 --output-format json");
    }
}
