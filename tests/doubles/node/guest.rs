//! `qm agent` and `qm guest`.

use phoenix::hypervisor::{Fault, FaultKind, GuestStatus, Hypervisor as _, Plugged};
use phoenix::model::VmId;
use phoenix::observed::{Conf, Net, PropertyString};
use serde_json::{Value, json};

use crate::Node;
use crate::answer::Answer;
use crate::json::pretty;

/// `qm agent VM COMMAND`
pub(crate) fn agent(node: &Node, vm: VmId, command: &str) -> Option<Result<Answer, Fault>> {
    let ping = || node.did(node.core.guests().ping(vm));
    match command {
        "ping" => Some(ping().map(|()| Answer::default())),
        _ if PLUGGED.iter().any(|(question, _)| *question == command) => {
            Some(ping().and_then(|()| Ok(Answer::said(pretty(&plugged(node, vm, command)?)))))
        }
        "network-get-interfaces" => Some(ping().and_then(|()| Ok(Answer::said(pretty(&interfaces(node, vm)?))))),
        _ => None,
    }
}

/// Questions about what a VM may get while it runs, and what they are about.
pub(crate) const PLUGGED: [(&str, Plugged); 3] =
    [("get-vcpus", Plugged::Cpus), ("get-memory-blocks", Plugged::Memory), ("get-memory-block-info", Plugged::Memory)];

/// Bytes of a block of memory, as a guest of a few GiB has them (recorded).
const BLOCK: u64 = 128 << 20;

/// What the guest would say of its CPUs and memory: those it uses, and one that it does not.
pub(crate) fn plugged(node: &Node, vm: VmId, question: &str) -> Result<Value, Fault> {
    let what = PLUGGED.iter().find(|(known, _)| *known == question).map_or(Plugged::Memory, |(_, what)| *what);
    if question == "get-memory-block-info" {
        return Ok(json!({ "size": BLOCK }));
    }
    let online = node.core.guests().online(vm, what)?;
    let (name, online) = match what {
        Plugged::Cpus => ("logical-id", online),
        Plugged::Memory => ("phys-index", online.div_ceil(BLOCK)),
    };
    let part = |number: u64| json!({ name: number, "online": number < online, "can-offline": number > 0 });
    Ok((0..=online).map(part).collect())
}

/// What the guest would say of its cards: `lo`, and one for net0 that has the address it was given.
fn interfaces(node: &Node, vm: VmId) -> Result<Value, Fault> {
    let text = node.config(vm).unwrap_or_default();
    let conf = Conf::parse(&text);
    let card = |name: &str, mac: &str, addresses: [(&str, &str, u8); 2], traffic: [u32; 4]| {
        let addresses: Vec<Value> = addresses
            .iter()
            .map(|(kind, address, prefix)| json!({ "ip-address": address, "ip-address-type": kind, "prefix": prefix }))
            .collect();
        let [in_bytes, in_packets, out_bytes, out_packets] = traffic;
        json!({
            "hardware-address": mac, "ip-addresses": addresses, "name": name, "statistics": {
                "rx-bytes": in_bytes, "rx-dropped": 0, "rx-errs": 0, "rx-packets": in_packets,
                "tx-bytes": out_bytes, "tx-dropped": 0, "tx-errs": 0, "tx-packets": out_packets,
            },
        })
    };
    let mut cards = vec![card("lo", "00:00:00:00:00:00", [("ipv4", "127.0.0.1", 8), ("ipv6", "::1", 128)], [0; 4])];
    let mac = conf.get("net0").and_then(Net::parse).and_then(|net| net.mac).map(|mac| mac.to_ascii_lowercase());
    let found = node.core.guests().addresses(vm)?;
    // None where the guest has no driver for the card.
    if let Some(told) = found.iter().find(|found| Some(&found.mac) == mac.as_ref()) {
        let mac = told.mac.clone();
        let own = PropertyString::parse(conf.get("ipconfig0").unwrap_or_default());
        let given = own.get("ip").and_then(|ip| ip.split_once('/'));
        let told = told.address.map(|address| address.to_string()).unwrap_or_default();
        let (ip, prefix) = (told.as_str(), given.map_or("24", |(_, prefix)| prefix));
        let prefix = prefix.parse().unwrap_or(24);
        let local = link_local(&mac);
        cards.push(card("eth0", &mac, [("ipv4", ip, prefix), ("ipv6", &local, 64)], [110, 1, 796, 10]));
    }
    Ok(cards.into())
}

/// The address that IPv6 makes of a MAC.
fn link_local(mac: &str) -> String {
    let bytes: Vec<u16> = mac.split(':').filter_map(|byte| u16::from_str_radix(byte, 16).ok()).collect();
    let [vendor @ .., d, e, f] = bytes.as_slice() else { return String::new() };
    let [first, second, third] = vendor else { return String::new() };
    let groups = [((first ^ 2) << 8) | second, (third << 8) | 0xff, 0xfe00 | d, (e << 8) | f];
    format!("fe80::{}", groups.map(|group| format!("{group:x}")).join(":"))
}

/// `qm guest exec VM … -- ARGV`, and what the program reads on standard input.
pub(crate) fn exec(node: &Node, vm: VmId, synchronous: bool, (argv, input): (&[&str], &[u8])) -> Result<Answer, Fault> {
    if argv.iter().any(|word| !word.is_ascii()) && node.existing(vm)?.running {
        let what = format!("VM {vm} qga command 'guest-exec' failed - got timeout");
        return Err(Fault::uncertain(FaultKind::Failed, what));
    }
    let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
    let pid = node.did(node.core.guests().start(vm, &argv, input))?;
    if synchronous { exec_status(node, vm, pid) } else { Ok(Answer::said(pretty(&json!({ "pid": pid })))) }
}

/// `qm guest exec-status VM PID`
pub(crate) fn exec_status(node: &Node, vm: VmId, pid: u64) -> Result<Answer, Fault> {
    let status = match node.did(node.core.guests().status(vm, pid))? {
        GuestStatus::Running => json!({ "exited": 0 }),
        GuestStatus::Ended(exit) => {
            let mut status = json!({ "exited": 1 });
            match exit.code {
                Some(code) => status["exitcode"] = code.into(),
                None => status["signal"] = 9.into(),
            }
            for (name, text) in [("out", exit.out), ("err", exit.err)].iter().filter(|(_, text)| !text.is_empty()) {
                // The agent hands on bytes as if they were Latin-1.
                status[format!("{name}-data")] = text.bytes().map(char::from).collect::<String>().into();
                status[format!("{name}-truncated")] = 0.into();
            }
            status
        }
    };
    Ok(Answer::said(pretty(&status)))
}
