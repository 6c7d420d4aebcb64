//! Which program stands for an operation. Pure.

use crate::hypervisor::HostOp;
use crate::hypervisor::image::import;
use crate::model::VmId;
use crate::observed::{ConfigWrite, decode_keys};

/// The option that `qm set` takes as the path of a file, and what its configuration calls it.
pub const KEYS: &str = "sshkeys";

/// The keys that belong into the file behind `--sshkeys`, which is the only option whose value [`commands`] leaves out.
#[must_use]
pub fn keys(op: &HostOp) -> Option<String> {
    match op {
        HostOp::Configure { write, .. } => write.set.get(KEYS).map(|keys| decode_keys(keys)),
        _ => None,
    }
}

/// The `qm` commands that an operation stands for, in order; each must end well before the next begins.
///
/// What is done with files on the node has no command of Proxmox and gives none.
#[must_use]
pub fn commands(op: &HostOp) -> Vec<Vec<String>> {
    match op {
        HostOp::Clone { source, target, name, description, storage } => {
            let mut argv = qm(&["clone", &source.to_string(), &target.to_string()]);
            option(&mut argv, "name", name);
            option(&mut argv, "description", description);
            // Said in both cases: from a template the default is a linked clone, from a VM a full one.
            option(&mut argv, "full", if storage.is_some() { "1" } else { "0" });
            if let Some(storage) = storage {
                option(&mut argv, "storage", storage);
            }
            vec![argv]
        }
        HostOp::Create { vm, name, description } => {
            let mut argv = qm(&["create", &vm.to_string()]);
            option(&mut argv, "name", name);
            option(&mut argv, "description", description);
            vec![argv]
        }
        HostOp::ImportDisk { vm, image, storage, digest } => {
            vec![set(*vm, &import(&image.fetched(), storage), &digest.0)]
        }
        HostOp::Configure { vm, write, digest } => vec![set(*vm, write, &digest.0)],
        HostOp::Resize { vm, disk, size_gb } => {
            vec![qm(&["disk", "resize", &vm.to_string(), disk, &format!("{size_gb}G")])]
        }
        HostOp::UpdateCloudInit { vm } => vec![qm(&["cloudinit", "update", &vm.to_string()])],
        HostOp::MoveDisk { vm, disk, storage, delete_source, digest } => {
            let mut argv = qm(&["disk", "move", &vm.to_string(), disk, storage]);
            if *delete_source {
                option(&mut argv, "delete", "1");
            }
            option(&mut argv, "digest", &digest.0);
            vec![argv]
        }
        HostOp::Snapshot { vm, name, description, .. } => {
            let mut argv = qm(&["snapshot", &vm.to_string(), name]);
            option(&mut argv, "description", description);
            vec![argv]
        }
        HostOp::RemoveSnapshot { vm, name } => vec![qm(&["delsnapshot", &vm.to_string(), name])],
        HostOp::Rollback { vm, name, start, .. } => {
            let mut argv = qm(&["rollback", &vm.to_string(), name]);
            if *start {
                option(&mut argv, "start", "1");
            }
            vec![argv]
        }
        HostOp::Template { vm, disk, .. } => {
            let mut argv = qm(&["template", &vm.to_string()]);
            if let Some(disk) = disk {
                option(&mut argv, "disk", disk);
            }
            vec![argv]
        }
        HostOp::Start { vm } => vec![qm(&["start", &vm.to_string()])],
        HostOp::Shutdown { vm } => vec![qm(&["shutdown", &vm.to_string(), "--timeout", SHUTDOWN_SECONDS])],
        HostOp::Stop { vm } => vec![qm(&["stop", &vm.to_string()])],
        HostOp::Destroy { vm, .. } => vec![qm(&["destroy", &vm.to_string(), "--purge", "1"])],
        HostOp::Revert { vm, keys, digest } => {
            let mut argv = qm(&["set", &vm.to_string()]);
            option(&mut argv, "revert", &keys.join(","));
            option(&mut argv, "digest", &digest.0);
            vec![argv]
        }
        HostOp::RemoveLeftover { vm, unreferenced } => {
            let vm = vm.to_string();
            let mut destroy = qm(&["destroy", &vm]);
            if *unreferenced {
                option(&mut destroy, "purge", "1");
                option(&mut destroy, "destroy-unreferenced-disks", "1");
                vec![qm(&["unlock", &vm]), qm(&["set", &vm, "--protection", "0"]), destroy]
            } else {
                vec![qm(&["unlock", &vm]), destroy]
            }
        }
        HostOp::FetchImage { .. } | HostOp::MakeDirectory { .. } | HostOp::WriteExports { .. } => Vec::new(),
    }
}

/// `qm guest exec VM --synchronous 0 [--pass-stdin 1] -- ARGV…`: starts a program in the guest, which reads what `qm` does
/// on standard input if it has `input`.
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

/// How long a guest may take to shut down: longer than systemd gives a service to stop.
const SHUTDOWN_SECONDS: &str = "180";

/// `qm set VM --key value … --delete a,b --digest D`
pub(super) fn set(vm: VmId, write: &ConfigWrite, digest: &str) -> Vec<String> {
    let mut argv = qm(&["set", &vm.to_string()]);
    for (key, value) in write.set.iter().filter(|(key, _)| *key != KEYS) {
        option(&mut argv, key, value);
    }
    if !write.delete.is_empty() {
        let keys: Vec<&str> = write.delete.iter().map(String::as_str).collect();
        option(&mut argv, "delete", &keys.join(","));
    }
    option(&mut argv, "digest", digest);
    // Its value is the path of a file, which stands behind it.
    argv.extend(write.set.contains_key(KEYS).then(|| format!("--{KEYS}")));
    argv
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
    use super::{commands, keys};
    use crate::hypervisor::HostOp;
    use crate::model::{Digest, VmId};
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
        let mut write = ConfigWrite::default();
        write.set.insert("sshkeys".to_owned(), "ssh-rsa%20AAAA%20me%40desk%0A".to_owned());
        let op = HostOp::Configure { vm: vm(1000), write, digest: Digest("0bcf".to_owned()) };
        check(&op, &["qm set 1000 --digest 0bcf --sshkeys"]);
        assert_eq!(keys(&op).as_deref(), Some("ssh-rsa AAAA me@desk\n"));
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
}
