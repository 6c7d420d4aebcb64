//! What Proxmox means by its words.

use crate::hypervisor::{Effect, FaultKind};

/// Words of failures, and what they mean: the first row of which one is there counts.
const MEANINGS: [(&[&str], FaultKind, Effect); 13] = [
    (&["checksum mismatch"], FaultKind::Stale, Effect::None),
    // Refused, and yet kept as a pending change, whatever QEMU said about it, `got timeout` among it.
    (&[HOTPLUG], FaultKind::Hotplug, Effect::Maybe),
    // QEMU is there, and no agent at the other end of the agent's channel.
    (&["qga socket", "qga command '", "qmp command 'guest-"], FaultKind::AgentDown, Effect::None),
    // With or without `- got timeout`: the guest did not end, which no second try makes better.
    (&["VM quit/powerdown failed"], FaultKind::Failed, Effect::Maybe),
    (&["cluster not ready"], FaultKind::Refused, Effect::None),
    // What it did before it came to write is done: a disk has grown (recorded).
    (&NO_QUORUM, FaultKind::Failed, Effect::Maybe),
    (&["can't lock file", "got timeout", "got lock request timeout", "VM is locked"], FaultKind::Busy, Effect::None),
    (&["QEMU guest agent is not running", "is not running"], FaultKind::AgentDown, Effect::None),
    (&["Agent error"], FaultKind::Garbled, Effect::Maybe),
    (
        &["Permission check failed", "permission denied", "Permission denied", "please run as root"],
        FaultKind::Denied,
        Effect::None,
    ),
    (&REFUSALS, FaultKind::Refused, Effect::None),
    // Found out when the VM starts, which takes over what waits first.
    (&["bridge '"], FaultKind::Failed, Effect::Maybe),
    (&["does not exist", "unable to find configuration file"], FaultKind::Missing, Effect::None),
];

/// Words for a value that a running VM refused to take over.
const HOTPLUG: &str = "hotplug problem";

/// Words for that a guest does not let go of what is to be unplugged or changed, or that QEMU still has an object of
/// that name, in or out of sight of the guest (recorded): no value is taken while it runs, and the next start takes it.
const HELD: [&str; 4] = ["still busy in guest", "error unplugging", "error unplug memory module", "Duplicate ID"];

/// What stands above the parameters that are refused.
const PARAMETERS: &str = "Parameter verification failed";

/// Words with which values are refused.
const REFUSALS: [&str; 17] = [
    PARAMETERS,
    "unable to parse",
    "not allowed",
    "already exists",
    "already defined",
    "no options",
    "shrinking disks is not supported",
    "protection mode enabled",
    "is running - destroy failed",
    "is still in use by linked clone",
    "you can't move",
    "you can't convert",
    "because VM contains snapshots",
    "does not support template/clone",
    "already used",
    "snapshot feature is not available",
    "does not support vm images",
];

/// Words of what a node of a cluster without quorum cannot write.
const NO_QUORUM: [&str; 3] = ["no quorum", "unable to open file '/etc/pve/", "unable to create output file '/etc/pve/"];

const NO_SPACE: [&str; 7] = [
    "No space left",
    "no space left",
    "out of space",
    "insufficient free space",
    "Insufficient free space",
    "reached threshold",
    "Disk quota exceeded",
];

const STORAGE_DOWN: [&str; 7] = [
    "is not online",
    "not available on node",
    "is disabled",
    "not activate storage",
    "activate storage",
    "is not mounted",
    "zfs error: cannot open",
];

fn has(said: &str, words: &[&str]) -> bool {
    words.iter().any(|word| said.contains(word))
}

/// What the words of a failed call mean, and whether it may have changed something if it is one that changes anything.
/// `None`: nothing that is known; it tried and failed.
pub(in crate::backend) fn meaning(said: &str) -> Option<(FaultKind, Effect)> {
    let (_, kind, effect) = MEANINGS.iter().find(|(words, ..)| has(said, words))?;
    Some((*kind, *effect))
}

/// The options that a running VM refused only because of what it, or its guest, still has. What is said of an option
/// goes on over the lines up to the next one.
pub(in crate::backend) fn at_restart(kind: FaultKind, said: &str) -> Vec<String> {
    let mut held: Vec<String> = Vec::new();
    let mut about = Vec::new();
    for line in said.lines() {
        let named = options(FaultKind::Hotplug, line);
        if !named.is_empty() {
            about = named;
        }
        if kind == FaultKind::Hotplug && has(line, &HELD) {
            held.append(&mut about);
        }
    }
    held
}

/// The options that a refusal is about: `net0: hotplug problem - …`, and `tags: invalid format` below the head of
/// refused parameters.
pub(in crate::backend) fn options(kind: FaultKind, said: &str) -> Vec<String> {
    let name = |line: &str| {
        let (name, why) = line.split_once(": ")?;
        let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        (is_name && (kind != FaultKind::Hotplug || why.starts_with(HOTPLUG))).then(|| name.to_owned())
    };
    match kind {
        FaultKind::Hotplug => said.lines().filter_map(name).collect(),
        FaultKind::Refused => said.lines().skip_while(|line| !line.contains(PARAMETERS)).filter_map(name).collect(),
        _ => Vec::new(),
    }
}

/// The way out, where the words tell it. `asked_for` is the storage that the call named, if any: words about a storage
/// need not say which one they mean.
pub(in crate::backend) fn hint(kind: FaultKind, said: &str, asked_for: Option<&str>) -> Option<String> {
    if let Some((_, right)) = said.split_once("Permission check failed (") {
        let right = right.split(')').next().unwrap_or_default();
        return Some(match right.split_once(", ") {
            Some((path, right)) => format!("the account lacks the right {right} on {path}: give it a role that has it"),
            None => format!("the account lacks a right: {right}"),
        });
    }
    if has(said, &NO_QUORUM) {
        return Some(
            "the cluster has no quorum, or /etc/pve cannot be written for another reason: `pvecm status` on the node \
                shows which"
                .to_owned(),
        );
    }
    if kind == FaultKind::Denied {
        return None;
    }
    if has(said, &["VM quit/powerdown failed"]) {
        return Some(
            "its guest does not shut down: look at its console; `--force-stop` stops it all the same".to_owned(),
        );
    }
    let named = said.split_once("storage '").and_then(|(_, rest)| Some(rest.split_once('\'')?.0));
    let storage = named.or(asked_for).map_or_else(|| "the storage".to_owned(), |name| format!("storage `{name}`"));
    if has(said, &NO_SPACE) {
        Some(format!("free space on {storage}, or name another one in `boot_disk_storage`"))
    } else if has(said, &STORAGE_DOWN) {
        Some(format!("{storage} is not active on the node, see `pvesm status`: mount or enable it, then apply again"))
    } else if has(said, &["storage '"]) && kind == FaultKind::Missing {
        Some(format!("{storage} is not in the node's storage.cfg: `pvesm status` lists what is"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{at_restart, hint, meaning, options};
    use crate::hypervisor::FaultKind;

    #[test]
    fn words_tell_the_kind() {
        for (said, kind) in [
            ("checksum mismatch (file change by other user?)", Some(FaultKind::Stale)),
            ("can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout", Some(FaultKind::Busy)),
            ("VM is locked (backup)", Some(FaultKind::Busy)),
            ("QEMU guest agent is not running", Some(FaultKind::AgentDown)),
            ("VM 101 is not running", Some(FaultKind::AgentDown)),
            ("VM 101 qmp command 'guest-ping' failed - got timeout", Some(FaultKind::AgentDown)),
            ("VM 101 qmp command 'query-status' failed - got timeout", Some(FaultKind::Busy)),
            ("VM 101 qga command 'guest-exec' failed - got timeout", Some(FaultKind::AgentDown)),
            ("VM quit/powerdown failed - got timeout", Some(FaultKind::Failed)),
            ("No QEMU guest agent configured", None),
            ("Agent error: Invalid parameter 'pid'", Some(FaultKind::Garbled)),
            ("Configuration file 'nodes/vm/qemu-server/777.conf' does not exist", Some(FaultKind::Missing)),
            ("cluster not ready - no quorum?", Some(FaultKind::Refused)),
            ("unable to open file '/etc/pve/a.conf.tmp.1' - Permission denied", Some(FaultKind::Failed)),
            ("storage 'nosuch' does not exist", Some(FaultKind::Missing)),
            ("bridge 'vmbr9' does not exist", Some(FaultKind::Failed)),
            ("shrinking disks is not supported", Some(FaultKind::Refused)),
            ("unable to create VM 101: config file already exists", Some(FaultKind::Refused)),
            ("400 Parameter verification failed.\ntags: invalid format", Some(FaultKind::Refused)),
            ("net0: hotplug problem - no\n400 Parameter verification failed.", Some(FaultKind::Hotplug)),
            ("403 Permission check failed (/vms/1, VM.Clone)", Some(FaultKind::Denied)),
        ] {
            assert_eq!(meaning(said).map(|(kind, _)| kind), kind, "{said}");
        }
    }

    #[test]
    fn words_tell_the_options() {
        let hotplug = "400 Parameter verification failed.\nnet0: hotplug problem - VM 201 qmp command 'netdev_add' failed - got \
                       timeout\nscsi1: hotplug problem - no\ncores: an invalid value";
        for (said, kind, expected) in [
            (hotplug, FaultKind::Hotplug, &["net0", "scsi1"][..]),
            ("400 Parameter verification failed.\ntags: invalid format", FaultKind::Refused, &["tags"]),
            ("400 Parameter verification failed.\ncores: no\nmemory: no", FaultKind::Refused, &["cores", "memory"]),
            ("unable to parse value: x", FaultKind::Refused, &[]),
            ("error: no", FaultKind::Failed, &[]),
        ] {
            let told = meaning(said).map_or(FaultKind::Failed, |(kind, _)| kind);
            assert_eq!(
                (told, options(told, said)),
                (kind, expected.iter().map(|o| (*o).to_owned()).collect()),
                "{said}"
            );
        }
    }

    #[test]
    fn words_tell_what_a_restart_brings_in() {
        let busy = "net1: hotplug problem - error on hot-unplugging device 'net1' - still busy in guest?";
        let cpu = "vcpus: hotplug problem - 400 Parameter verification failed.\nvcpus: error unplugging cpu2";
        let dimm = "memory: hotplug problem - 400 Parameter verification failed.\ndimm1: error unplug memory module";
        let twice = "net8: hotplug problem - VM 3200 qmp command 'netdev_add' failed - Duplicate ID 'net8'";
        let no_bridge = "net0: hotplug problem - interface vmbr7 does not exist";
        for (said, expected) in [
            (busy.to_owned(), &["net1"][..]),
            (cpu.to_owned(), &["vcpus"]),
            (dimm.to_owned(), &["memory"]),
            (twice.to_owned(), &["net8"]),
            (no_bridge.to_owned(), &[]),
            (format!("{no_bridge}\n{cpu}\n{no_bridge}"), &["vcpus"]),
            (format!("{busy}\n{no_bridge}"), &["net1"]),
            ("error unplugging cpu2".to_owned(), &[]),
        ] {
            let said = format!("400 Parameter verification failed.\n{said}");
            let kind = meaning(&said).map_or(FaultKind::Failed, |(kind, _)| kind);
            assert_eq!(at_restart(kind, &said), expected, "{said}");
        }
    }

    #[test]
    fn words_tell_the_way_out() {
        for (said, expected) in [
            ("clone failed: No space left on device", "free space on storage `fast`"),
            ("lvcreate 'pve/vm-1' error: insufficient free space (1 extents): 2 required", "storage `fast`"),
            ("storage 'slow' is not online", "storage `slow` is not active"),
            ("storage 'slow' does not exist", "storage `slow` is not in the node's storage.cfg"),
            ("403 Permission check failed (/vms/1, VM.Clone)", "the right VM.Clone on /vms/1"),
            ("cluster not ready - no quorum?", "`pvecm status`"),
            (
                "unable to open file '/etc/pve/nodes/pve1/qemu-server/211.conf.tmp.781' - Permission denied",
                "`pvecm status`",
            ),
        ] {
            let kind = meaning(said).map_or(FaultKind::Failed, |(kind, _)| kind);
            let told = hint(kind, said, Some("fast")).unwrap_or_default();
            assert!(told.contains(expected), "{said}: {told}");
        }
        assert_eq!(hint(FaultKind::Denied, "permission denied - storage 'slow' is disabled", None), None);
    }
}
