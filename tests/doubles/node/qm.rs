//! `qm`.

use std::collections::BTreeMap;

use std::io::Read as _;

use phoenix::backend::embedded::Command;
use phoenix::hypervisor::{Fault, FaultKind, HostOp, Hypervisor as _};
use phoenix::model::{Digest, VmId};
use phoenix::observed::{Conf, VmObserved, encode_description};

use crate::answer::Answer;
use crate::clone_log::clone_log;
use crate::words::{Takes, Words};
use crate::{Node, guest, set};

/// `qm` knows the VMs of its own node, and no other.
pub(crate) fn run(node: &Node, words: &[&str]) -> Answer {
    let own = &node.core.settings().name;
    let vm = words.iter().find_map(|word| word.parse::<VmId>().ok());
    match vm.filter(|vm| words.first() != Some(&"create") && node.node_of(*vm) != *own) {
        Some(vm) => Answer::refused(&Node::not_on(own, vm), &format!("qm {} <vmid>", words[0])),
        None => carry_out(node, words),
    }
}

/// The same, of a VM of whichever node: as `qm` there does.
pub(crate) fn carry_out(node: &Node, words: &[&str]) -> Answer {
    let answer = match words {
        ["clone", rest @ ..] => clone(node, rest),
        ["create", rest @ ..] => create(node, rest),
        ["set", rest @ ..] => set::set(node, rest),
        ["disk", "resize", rest @ ..] | ["resize", rest @ ..] => resize(node, rest),
        ["disk", "move", rest @ ..] => move_disk(node, rest),
        ["migrate", rest @ ..] => migrate(node, rest),
        ["template", rest @ ..] => template(node, rest),
        ["snapshot", rest @ ..] => snapshots(node, "snapshot", rest),
        ["delsnapshot", rest @ ..] => snapshots(node, "delsnapshot", rest),
        ["rollback", rest @ ..] => snapshots(node, "rollback", rest),
        ["destroy", rest @ ..] => destroy(node, rest),
        ["config", rest @ ..] => config(node, rest),
        ["shutdown", rest @ ..] => shutdown(node, rest),
        ["guest", "exec", rest @ ..] => exec(node, rest),
        ["guest", "exec-status", vm, pid] => exec_status(node, vm, pid),
        ["guest", "cmd", vm, command] | ["agent", vm, command] => agent(node, vm, command, words),
        ["start", vm] => simple(vm, "qm start <vmid> [OPTIONS]", |vm| Ok(start(node, vm))),
        ["cloudinit", "update", vm] => {
            simple(vm, "qm cloudinit update <vmid>", |vm| quiet(node, &Command::UpdateCloudInit { vm }))
        }
        ["stop", vm] => simple(vm, "qm stop <vmid> [OPTIONS]", |vm| quiet(node, &Command::Stop { vm })),
        ["unlock", vm] => simple(vm, "qm unlock <vmid>", |vm| quiet(node, &Command::Unlock { vm })),
        ["status", vm] => simple(vm, "qm status <vmid> [OPTIONS]", |vm| {
            let status = if node.existing(vm)?.running { "running" } else { "stopped" };
            Ok(Answer::said(format!("status: {status}\n")))
        }),
        _ => Err(Answer::unknown("qm", words)),
    };
    answer.unwrap_or_else(|refusal| refusal)
}

fn quiet(node: &Node, command: &Command) -> Result<Answer, Fault> {
    node.execute(command).map(|()| Answer::default())
}

/// A command that takes a VMID and nothing else.
fn simple(vm: &str, usage: &str, run: impl FnOnce(VmId) -> Result<Answer, Fault>) -> Result<Answer, Answer> {
    let words = Words::parse(&[vm], Takes { usage, words: 1, option: &|_| false })?;
    let vm = words.vm(0, "vmid", usage)?;
    run(vm).map_err(|fault| Answer::refused(&fault, usage))
}

fn clone(node: &Node, words: &[&str]) -> Result<Answer, Answer> {
    const USAGE: &str = "qm clone <vmid> <newid> [OPTIONS]";
    let option = |name: &str| ["name", "description", "full", "storage", "target"].contains(&name);
    let words = Words::parse(words, Takes { usage: USAGE, words: 2, option: &option })?;
    let (source, target) = (words.vm(0, "vmid", USAGE)?, words.vm(1, "newid", USAGE)?);
    let refused = |fault: Fault| Answer::refused(&fault, USAGE);
    let found = node.core.vm(source).map_err(refused)?;
    let full = words.flag("full").unwrap_or(found.as_ref().is_some_and(|vm| !vm.template));
    if !full && words.option("storage").is_some() {
        let what = "parameter 'storage' not allowed for linked clones";
        return Err(refused(Fault::harmless(FaultKind::Refused, what)));
    }
    let name = found.as_ref().map_or("", |vm| vm.name.as_str());
    let own = found.as_ref().and_then(|vm| vm.boot_disk.as_ref()).map_or("local-zfs", |disk| disk.storage.as_str());
    let op = HostOp::Clone {
        source,
        target,
        name: words.option("name").map_or_else(|| format!("Copy-of-VM-{name}"), ToOwned::to_owned),
        description: words.option("description").unwrap_or_default().to_owned(),
        storage: full.then(|| words.option("storage").unwrap_or(own).to_owned()),
        node: words.option("target").map(ToOwned::to_owned),
    };
    node.perform(&op).map_err(refused)?;
    clone_log(node, source, target, full).map(Answer::said).map_err(refused)
}

fn create(node: &Node, words: &[&str]) -> Result<Answer, Answer> {
    const USAGE: &str = "qm create <vmid> [OPTIONS]";
    let option = |name: &str| ["name", "description"].contains(&name);
    let words = Words::parse(words, Takes { usage: USAGE, words: 1, option: &option })?;
    let vm = words.vm(0, "vmid", USAGE)?;
    let text = |name: &str| words.option(name).unwrap_or_default().to_owned();
    quiet(node, &Command::Create { vm, name: text("name"), description: text("description") })
        .map_err(|fault| Answer::refused(&fault, USAGE))
}

/// Growing is a task: when it fails, `qm` says so and ends as if nothing had gone wrong.
fn resize(node: &Node, words: &[&str]) -> Result<Answer, Answer> {
    const USAGE: &str = "qm disk resize <vmid> <disk> <size> [OPTIONS]";
    let words = Words::parse(words, Takes { usage: USAGE, words: 3, option: &|_| false })?;
    let vm = words.vm(0, "vmid", USAGE)?;
    let disk = words.plain[1].to_owned();
    let Some((more, size)) = size(words.plain[2]) else {
        return Err(Answer::bad_parameter("size: value does not match the regex pattern", USAGE));
    };
    let now = || -> Result<(VmObserved, String), Fault> {
        let seen = node.existing(vm)?;
        let drive = node.config(vm).unwrap_or_default();
        Ok((seen, Conf::parse(&drive).get(&disk).unwrap_or_default().to_owned()))
    };
    let (before, old) = now().map_err(|fault| Answer::refused(&fault, USAGE))?;
    // As large as it is to be already, whatever its configuration says: nothing is done, nor written.
    let volume = old.split(',').next().unwrap_or_default();
    let storage = volume.split(':').next().unwrap_or_default();
    let listed = node.core.listed(&[vm], &[storage]).unwrap_or_default();
    if !more && listed.get(storage).and_then(|on| on.get(volume)?.size) == Some(size) {
        return Ok(Answer::default());
    }
    match node.execute(&Command::Resize { vm, disk: disk.clone(), size, more }) {
        Ok(()) => {
            let storage = old.split(':').next().and_then(|id| node.section(id));
            let file = storage.is_some_and(|section| section.kind == "dir") && !before.running;
            let grown = now().is_ok_and(|(_, new)| new != old);
            Ok(Answer::said(if file && grown { "Image resized.\n" } else { "" }))
        }
        Err(fault) => {
            let answer = Answer::refused(&fault, USAGE);
            let failed_task = !fault.what.starts_with("400 ") && !fault.what.starts_with("rehearsed");
            Err(if failed_task { Answer { status: 0, ..answer } } else { answer })
        }
    }
}

fn template(node: &Node, words: &[&str]) -> Result<Answer, Answer> {
    const USAGE: &str = "qm template <vmid> [OPTIONS]";
    let words = Words::parse(words, Takes { usage: USAGE, words: 1, option: &|name| name == "disk" })?;
    let vm = words.vm(0, "vmid", USAGE)?;
    let refused = |fault: Fault| Answer::refused(&fault, USAGE);
    let digest = node.existing(vm).map_err(refused)?.digest;
    let op = HostOp::Template { vm, disk: words.option("disk").map(ToOwned::to_owned), digest };
    node.perform(&op).map(|()| Answer::default()).map_err(refused)
}

fn migrate(node: &Node, words: &[&str]) -> Result<Answer, Answer> {
    const USAGE: &str = "qm migrate <vmid> <target> [OPTIONS]";
    let option = |name: &str| ["online", "with-local-disks"].contains(&name);
    let words = Words::parse(words, Takes { usage: USAGE, words: 2, option: &option })?;
    let (vm, to) = (words.vm(0, "vmid", USAGE)?, words.plain[1].to_owned());
    let refused = |fault: Fault| Answer::refused(&fault, USAGE);
    let digest = node.existing(vm).map_err(refused)?.digest;
    let online = words.flag("online").unwrap_or(false);
    node.perform(&HostOp::Migrate { vm, node: to.clone(), online, digest }).map_err(refused)?;
    Ok(Answer::said(format!(
        "2026-11-26 10:00:26 starting migration of VM {vm} to node '{to}' (10.98.0.2)\n\
         2026-11-26 10:00:44 migration finished successfully (duration 00:00:19)\n"
    )))
}

/// `qm snapshot`, `qm delsnapshot`, `qm rollback`.
fn snapshots(node: &Node, verb: &str, words: &[&str]) -> Result<Answer, Answer> {
    let usage = format!("qm {verb} <vmid> <snapname> [OPTIONS]");
    let option = |name: &str| match verb {
        "snapshot" => name == "description" || name == "vmstate",
        "rollback" => name == "start",
        _ => name == "force",
    };
    let words = Words::parse(words, Takes { usage: &usage, words: 2, option: &option })?;
    let vm = words.vm(0, "vmid", &usage)?;
    let name = words.plain[1].to_owned();
    let refused = |fault: Fault| Answer::refused(&fault, &usage);
    let before = node.existing(vm).map_err(refused)?;
    let digest = before.digest.clone();
    let op = match verb {
        "snapshot" => HostOp::Snapshot {
            vm,
            name,
            description: words.option("description").unwrap_or_default().to_owned(),
            digest,
        },
        "rollback" => HostOp::Rollback { vm, name, start: words.flag("start").unwrap_or(false), digest },
        _ => HostOp::RemoveSnapshot { vm, name },
    };
    node.perform(&op).map_err(refused)?;
    let disk = before.boot_disk.filter(|_| verb == "snapshot");
    let lines = disk.map(|disk| format!("snapshotting 'drive-{}' ({})\n", disk.device, disk.volume));
    Ok(Answer::said(lines.unwrap_or_default()))
}

fn move_disk(node: &Node, words: &[&str]) -> Result<Answer, Answer> {
    const USAGE: &str = "qm disk move <vmid> <disk> [<storage>] [OPTIONS]";
    let option = |name: &str| ["delete", "digest"].contains(&name);
    let words = Words::parse(words, Takes { usage: USAGE, words: 3, option: &option })?;
    let vm = words.vm(0, "vmid", USAGE)?;
    let refused = |fault: Fault| Answer::refused(&fault, USAGE);
    let before = node.existing(vm).map_err(refused)?;
    let digest = words.option("digest").map_or(before.digest, |digest| Digest(digest.to_owned()));
    let (disk, storage) = (words.plain[1].to_owned(), words.plain[2].to_owned());
    let delete_source = words.flag("delete").unwrap_or(false);
    let op = HostOp::MoveDisk { vm, disk: disk.clone(), storage, delete_source, digest };
    node.perform(&op).map_err(refused)?;
    let size = before.boot_disk.filter(|found| found.device == disk).and_then(|disk| disk.size).unwrap_or(0) >> 30;
    let log =
        format!("transferred 0.0 B of {size}.0 GiB (0.00%)\ntransferred {size}.0 GiB of {size}.0 GiB (100.00%)\n");
    // Proxmox says it where a task of the program warns.
    let warns = !before.snapshots.is_empty();
    let err = if warns { "moving disk with snapshots, snapshots will not be moved!\n" } else { "" };
    Ok(Answer { err: err.to_owned(), ..Answer::said(log) })
}

/// `+1G`, `4.5G`, `5000M`, bytes: whether it is added, and bytes.
fn size(text: &str) -> Option<(bool, u64)> {
    let (more, text) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
    let (number, shift) = match text.char_indices().next_back()? {
        (at, unit @ ('K' | 'M' | 'G' | 'T')) => (&text[..at], 10 * (1 + "KMGT".find(unit)?)),
        _ => (text, 0),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let scale = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
    let bytes = |number: u64| number.checked_shl(u32::try_from(shift).ok()?);
    Some((more, bytes(digits(whole)?)? + bytes(digits(part)?)? / scale))
}

fn start(node: &Node, vm: VmId) -> Answer {
    let conf = node.config(vm).unwrap_or_default();
    let result = node.perform(&HostOp::Start { vm });
    let mut answer = match &result {
        Ok(()) => Answer::default(),
        Err(fault) => Answer::refused(fault, "qm start <vmid> [OPTIONS]"),
    };
    let tried = match &result {
        Ok(()) => true,
        // What Proxmox finds only while it starts the VM.
        Err(fault) => ["bridge '", "MAX ", "start failed"].iter().any(|text| fault.what.starts_with(text)),
    };
    if tried && conf.contains("-cloudinit") {
        answer.out.push_str("generating cloud-init ISO\n");
    }
    if answer.err.starts_with("start failed") {
        answer.out.push_str("kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory\n");
    }
    answer
}

fn shutdown(node: &Node, words: &[&str]) -> Result<Answer, Answer> {
    const USAGE: &str = "qm shutdown <vmid> [OPTIONS]";
    let words = Words::parse(words, Takes { usage: USAGE, words: 1, option: &|name| name == "timeout" })?;
    let vm = words.vm(0, "vmid", USAGE)?;
    let run = || {
        let running = node.existing(vm)?.running;
        node.execute(&Command::Shutdown { vm })?;
        Ok(if running { String::new() } else { format!("VM {vm} not running\n\n") })
    };
    run().map(|err| Answer { err, ..Answer::default() }).map_err(|fault| Answer::refused(&fault, USAGE))
}

fn destroy(node: &Node, words: &[&str]) -> Result<Answer, Answer> {
    const USAGE: &str = "qm destroy <vmid> [OPTIONS]";
    let option = |name: &str| ["purge", "destroy-unreferenced-disks"].contains(&name);
    let words = Words::parse(words, Takes { usage: USAGE, words: 1, option: &option })?;
    let vm = words.vm(0, "vmid", USAGE)?;
    let flag = |name: &str| words.flag(name).unwrap_or(false);
    node.execute(&Command::Destroy { vm, purge: flag("purge"), unreferenced: flag("destroy-unreferenced-disks") })
        .map_err(|fault| Answer::refused(&fault, USAGE))?;
    let purging = format!("purging VM {vm} from related configurations..\n");
    Ok(Answer::said(if flag("purge") { purging } else { String::new() }))
}

fn config(node: &Node, words: &[&str]) -> Result<Answer, Answer> {
    const USAGE: &str = "qm config <vmid> [OPTIONS]";
    let words = Words::parse(words, Takes { usage: USAGE, words: 1, option: &|name| name == "current" })?;
    let vm = words.vm(0, "vmid", USAGE)?;
    let text = || -> Result<String, Fault> {
        node.existing(vm)?;
        Ok(node.config(vm).unwrap_or_default())
    };
    let text = text().map_err(|fault| Answer::refused(&fault, USAGE))?;
    let conf = Conf::parse(&text);
    let mut values: BTreeMap<&str, String> = conf.entries().map(|(key, value)| (key, value.to_owned())).collect();
    let description = conf.description();
    if !description.is_empty() {
        let block = encode_description(&description);
        let lines: Vec<&str> = block.lines().map(|line| line.trim_start_matches('#')).collect();
        values.insert("description", lines.join("%0A"));
    }
    if words.flag("current") != Some(true) {
        values.extend(conf.pending_entries().map(|(key, value)| (key, value.to_owned())));
        conf.pending_deletes().for_each(|(key, _)| _ = values.remove(key));
    }
    values.entry("cipassword").and_modify(|password| "**********".clone_into(password));
    // No value at all is stored as a single space.
    let shown = |value: &str| if value.is_empty() { " ".to_owned() } else { value.to_owned() };
    let lines: Vec<String> = values.iter().map(|(key, value)| format!("{key}: {}\n", shown(value))).collect();
    Ok(Answer::said(lines.concat()))
}

fn agent(node: &Node, vm: &str, command: &str, words: &[&str]) -> Result<Answer, Answer> {
    const USAGE: &str = "qm guest cmd <vmid> <command>";
    let parsed = Words::parse(&[vm], Takes { usage: USAGE, words: 1, option: &|_| false })?;
    let vm = parsed.vm(0, "vmid", USAGE)?;
    let done = guest::agent(node, vm, command).ok_or_else(|| Answer::unknown("qm", words))?;
    done.map_err(|fault| Answer::refused(&fault, USAGE))
}

fn exec(node: &Node, words: &[&str]) -> Result<Answer, Answer> {
    const USAGE: &str = "qm guest exec <vmid> [<extra-args>] [OPTIONS]";
    let option = |name: &str| ["synchronous", "timeout", "pass-stdin"].contains(&name);
    let parsed = Words::parse(words, Takes { usage: USAGE, words: 1, option: &option })?;
    let vm = parsed.vm(0, "vmid", USAGE)?;
    if parsed.rest.is_empty() {
        return Err(Answer::unknown("qm guest exec", words));
    }
    let synchronous = parsed.flag("synchronous").unwrap_or(true);
    let mut input = Vec::new();
    if parsed.flag("pass-stdin") == Some(true) {
        std::io::stdin().read_to_end(&mut input).map_err(|_| Answer::unknown("qm guest exec", words))?;
    }
    guest::exec(node, vm, synchronous, (&parsed.rest, &input)).map_err(|fault| Answer::refused(&fault, USAGE))
}

fn exec_status(node: &Node, vm: &str, pid: &str) -> Result<Answer, Answer> {
    const USAGE: &str = "qm guest exec-status <vmid> <pid>";
    let parsed = Words::parse(&[vm, pid], Takes { usage: USAGE, words: 2, option: &|_| false })?;
    let vm = parsed.vm(0, "vmid", USAGE)?;
    let pid = pid
        .parse()
        .map_err(|_| Answer::bad_parameter(&format!("pid: type check ('integer') failed - got '{pid}'"), USAGE))?;
    guest::exec_status(node, vm, pid).map_err(|fault| Answer::refused(&fault, USAGE))
}
