//! The guest agent of a VM, and what it says, whichever way it is asked (`docs/interop/qemu-ga` of QEMU).
//!
//! It serves one connection at a time, and as long as one is open no other program reaches it, Proxmox's backups among
//! them. So each question is a connection of its own, with a deadline, and begins with a random number: what an earlier
//! connection left unread comes first, and everything up to our own number is not for us.

use data_encoding::BASE64;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::hypervisor::{Effect, Fault, FaultKind, GuestAddress, GuestExit, GuestStatus, Plugged};

/// Byte before a synchronisation and before its answer: no JSON holds it, and the agent forgets what came before it.
pub(super) const DELIMITER: u8 = 0xFF;

/// A way to one agent.
pub(super) trait Ask {
    /// Asks one question and returns the agent's whole answer, as it is.
    fn ask(&mut self, question: &Value) -> Result<Value, Fault>;
}

/// A random number, and the line that asks for it.
pub(super) fn synchronisation() -> (u64, String) {
    let id = u64::from(uuid::Uuid::new_v4().as_fields().0);
    (id, json!({ "execute": "guest-sync-delimited", "arguments": { "id": id } }).to_string())
}

/// Whether a line is the answer to the synchronisation with this number.
pub(super) fn is_synchronised(line: &[u8], id: u64) -> bool {
    let answer = line.rsplit(|byte| *byte == DELIMITER).next().unwrap_or_default();
    let number = serde_json::from_slice::<Value>(answer).ok().and_then(|value| value.get("return")?.as_u64());
    number == Some(id)
}

#[derive(Deserialize)]
struct Started {
    pid: u64,
}

#[derive(Deserialize)]
struct Status {
    exited: bool,
    exitcode: Option<i32>,
    #[serde(default, rename = "out-data")]
    out: String,
    #[serde(default, rename = "err-data")]
    err: String,
}

fn call<T: DeserializeOwned>(agent: &mut dyn Ask, command: &str, arguments: &Value) -> Result<T, Fault> {
    let mut answer = agent.ask(&json!({ "execute": command, "arguments": arguments }))?;
    if let Some(error) = answer.get("error") {
        let desc = error.get("desc").and_then(Value::as_str).unwrap_or("it gave no reason");
        return Err(explained(Fault::uncertain(FaultKind::Failed, format!("Agent error: {command}: {desc}"))));
    }
    let value = answer.get_mut("return").map(Value::take).unwrap_or_default();
    serde_json::from_value(value).map_err(|error| garbled(&error.to_string()))
}

/// Whether the agent answers.
pub(super) fn ping(agent: &mut dyn Ask) -> Result<(), Fault> {
    call::<Value>(agent, "guest-ping", &json!({})).map(drop)
}

/// The addresses of the guest.
pub(super) fn ask_addresses(agent: &mut dyn Ask) -> Result<Vec<GuestAddress>, Fault> {
    call(agent, "guest-network-get-interfaces", &json!({})).map(addresses)
}

/// How much the guest has online: CPUs, or bytes of memory.
pub(super) fn ask_online(agent: &mut dyn Ask, what: Plugged) -> Result<u64, Fault> {
    match what {
        Plugged::Cpus => call::<Vec<Part>>(agent, "guest-get-vcpus", &json!({})).map(|cpus| online(&cpus)),
        Plugged::Memory => {
            let blocks: Vec<Part> = call(agent, "guest-get-memory-blocks", &json!({}))?;
            let of: BlockSize = call(agent, "guest-get-memory-block-info", &json!({}))?;
            Ok(bytes(&blocks, &of))
        }
    }
}

/// Starts a program with this standard input; returns its pid.
pub(super) fn exec(agent: &mut dyn Ask, argv: &[String], input: &[u8]) -> Result<u64, Fault> {
    let Some((path, arguments)) = argv.split_first() else {
        return Err(Fault::harmless(FaultKind::Refused, "no program to run"));
    };
    let mut order = json!({ "path": path, "arg": arguments, "capture-output": true });
    if !input.is_empty() {
        order["input-data"] = BASE64.encode(input).into();
    }
    Ok(call::<Started>(agent, "guest-exec", &order)?.pid)
}

/// How a program stands.
pub(super) fn exec_status(agent: &mut dyn Ask, pid: u64) -> Result<GuestStatus, Fault> {
    let status: Status = call(agent, "guest-exec-status", &json!({ "pid": pid }))?;
    if !status.exited {
        return Ok(GuestStatus::Running);
    }
    let text = |data: &str| match BASE64.decode(data.as_bytes()) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => Err(garbled(&error.to_string())),
    };
    Ok(GuestStatus::Ended(GuestExit { code: status.exitcode, out: text(&status.out)?, err: text(&status.err)? }))
}

/// An agent that did not answer at all.
pub(super) fn down() -> Fault {
    Fault::harmless(FaultKind::AgentDown, "QEMU guest agent is not running")
}

/// An agent that answered a moment ago and does not any more: it was restarted, or its guest.
pub(super) fn lost(why: &str) -> Fault {
    Fault::uncertain(FaultKind::AgentDown, format!("the guest agent stopped answering: {why}"))
}

/// An answer that makes no sense.
pub(super) fn garbled(why: &str) -> Fault {
    Fault::uncertain(FaultKind::Garbled, format!("the guest agent's answer makes no sense: {why}"))
}

/// A CPU of a guest, or a block of its memory, as `guest-get-vcpus` and `guest-get-memory-blocks` tell it.
#[derive(Deserialize)]
pub(super) struct Part {
    online: bool,
}

/// What `guest-get-memory-block-info` tells.
#[derive(Deserialize)]
pub(super) struct BlockSize {
    size: u64,
}

/// How many of these a guest has online.
pub(super) fn online(parts: &[Part]) -> u64 {
    parts.iter().map(|part| u64::from(part.online)).sum()
}

/// How many bytes of these blocks of memory a guest has online.
pub(super) fn bytes(blocks: &[Part], of: &BlockSize) -> u64 {
    online(blocks).saturating_mul(of.size)
}

/// An interface of a guest, as `guest-network-get-interfaces` tells it.
#[derive(Deserialize)]
pub(super) struct Interface {
    #[serde(default, rename = "hardware-address")]
    mac: String,
    #[serde(default, rename = "ip-addresses")]
    addresses: Vec<InterfaceAddress>,
}

#[derive(Deserialize)]
struct InterfaceAddress {
    #[serde(rename = "ip-address")]
    address: String,
}

/// The interfaces of a guest with their addresses. An address that is none says nothing about the guest and is not
/// handed on.
pub(super) fn addresses(interfaces: Vec<Interface>) -> Vec<GuestAddress> {
    let of = |Interface { mac, addresses }: Interface| {
        let mut addresses: Vec<_> =
            addresses.into_iter().filter_map(|one| one.address.parse().ok()).map(Some).collect();
        if addresses.is_empty() {
            addresses.push(None);
        }
        addresses.into_iter().map(move |address| GuestAddress { mac: mac.clone(), address }).collect::<Vec<_>>()
    };
    interfaces.into_iter().flat_map(of).collect()
}

/// What the words about an agent mean, where no waiting helps; and the way out.
pub(super) fn explained(mut fault: Fault) -> Fault {
    let has = |words: &[&str]| words.iter().any(|word| fault.what.contains(word));
    let (kind, hint) = if has(&["No QEMU guest agent configured"]) {
        let hint = "the VM runs without a guest agent: plan again; apply switches it on, and `--restart` restarts the \
            VM for it";
        (FaultKind::Refused, hint)
    } else if has(&["guest-exec"])
        && has(&["has been disabled", "has been blacklisted", "not been allowed", "is not allowed"])
    {
        let hint = "the guest's agent forbids exec: take `guest-exec` and `guest-exec-status` off its block list, \
                    e.g. in /etc/sysconfig/qemu-ga or /etc/qemu/qemu-ga.conf";
        (FaultKind::Denied, hint)
    } else if has(&["Failed to execute child process"]) && has(&["Permission denied"]) {
        let hint = "the guest confines its agent (SELinux does so in the RHEL family): \
                    `setsebool -P virt_qemu_ga_run_unconfined on` there, or in the template";
        (FaultKind::Denied, hint)
    } else if has(&["Failed to execute child process"]) {
        (FaultKind::Refused, "phoenix needs a guest with /bin/sh: is this a Linux guest?")
    } else if has(&["Invalid parameter 'pid'"]) {
        // The agent forgot the program: it was restarted, or another program took the answer.
        (FaultKind::Garbled, "the agent forgot what it runs: does something in the guest keep restarting it?")
    } else {
        return fault;
    };
    if kind != FaultKind::Garbled {
        fault.effect = Effect::None;
    }
    Fault { kind, hint: Some(hint.to_owned()), ..fault }
}
