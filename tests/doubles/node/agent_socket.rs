//! The relay to a guest agent's socket, as phoenix has the node's perl do it: two lines in, the agent's line out.
//!
//! The relay itself runs against a real socket in its own tests; here stands the agent behind it.

use std::io::BufRead as _;

use data_encoding::BASE64;
use phoenix::hypervisor::{Fault, FaultKind, GuestStatus, Hypervisor as _};
use phoenix::model::VmId;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::guest::{PLUGGED, plugged};
use crate::{Node, note};

/// Where there is no socket, or no QEMU behind it.
const NO_SOCKET: u8 = 3;

/// The agent does not answer.
const DOWN: u8 = 4;

/// What the agent behind the socket at `path` answers to the question on standard input.
pub(crate) fn run(node: &Node, path: &str) -> Answer {
    let ended = |status: u8| Answer { status, err: "doubles\n".to_owned(), ..Answer::default() };
    let vm = path.rsplit('/').next().and_then(|name| name.strip_suffix(".qga")?.parse::<VmId>().ok());
    let Some(vm) = vm else { return Answer::unknown("perl", &[path]) };
    let mut lines = std::io::stdin().lock().lines().map_while(Result::ok).skip(1);
    let question = lines.next().and_then(|line| serde_json::from_str::<Value>(&line).ok());
    let Some(question) = question else { return Answer::unknown("perl", &[path]) };
    if let Err(why) = note(&words(vm, &question)) {
        return Answer { err: format!("doubles: {why}\n"), status: crate::answer::UNKNOWN, ..Answer::default() };
    }
    // A VM that is off, was made without an agent, or is on another node has no socket.
    let is_here = node.node_of(vm) == node.core.settings().name;
    if !is_here || !node.core.vm(vm).ok().flatten().is_some_and(|live| live.running) {
        return ended(NO_SOCKET);
    }
    match node.did(answer(node, vm, &question)) {
        Ok(value) => Answer::said(format!("{}\n", json!({ "return": value }))),
        Err(fault) if fault.kind == FaultKind::AgentDown => ended(DOWN),
        Err(fault) if fault.kind == FaultKind::Refused => ended(NO_SOCKET),
        Err(fault) => {
            // The program that is spoken of is named by whoever asked.
            let desc = fault.what.strip_prefix("Agent error: ").unwrap_or(&fault.what);
            Answer::said(format!("{}\n", json!({ "error": { "class": "GenericError", "desc": desc } })))
        }
    }
}

/// A question as words: `agent VMID COMMAND`, of a program what it is and gets, and how many bytes it reads.
fn words(vm: VmId, question: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let given = &question["arguments"];
    let mut words = vec!["agent".to_owned(), vm.to_string(), text(&question["execute"])];
    if given["path"].is_string() {
        words.push(text(&given["path"]));
        words.extend(given["arg"].as_array().into_iter().flatten().map(text));
    }
    if given["input-data"].is_string() {
        words.push("<input>".to_owned());
    }
    words
}

fn answer(node: &Node, vm: VmId, question: &Value) -> Result<Value, Fault> {
    let guests = node.core.guests();
    let given = &question["arguments"];
    match question["execute"].as_str().unwrap_or_default() {
        "guest-ping" => guests.ping(vm).map(|()| json!({})),
        "guest-network-get-interfaces" => {
            let card = |found: &phoenix::hypervisor::GuestAddress| json!({ "hardware-address": found.mac, "ip-addresses": found.address.iter().map(|address| json!({ "ip-address": address.to_string() })).collect::<Vec<_>>() });
            Ok(guests.addresses(vm)?.iter().map(card).collect())
        }
        question if PLUGGED.iter().any(|(known, _)| question.strip_prefix("guest-") == Some(*known)) => {
            plugged(node, vm, &question["guest-".len()..])
        }
        "guest-exec" => {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let arguments = given["arg"].as_array().into_iter().flatten().map(text);
            let argv: Vec<String> = std::iter::once(text(&given["path"])).chain(arguments).collect();
            let input = BASE64.decode(text(&given["input-data"]).as_bytes()).unwrap_or_default();
            guests.start(vm, &argv, &input).map(|pid| json!({ "pid": pid }))
        }
        "guest-exec-status" => Ok(match guests.status(vm, given["pid"].as_u64().unwrap_or_default())? {
            GuestStatus::Running => json!({ "exited": false }),
            GuestStatus::Ended(exit) => {
                let mut status = json!({ "exited": true, "out-data": BASE64.encode(exit.out.as_bytes()),
                    "err-data": BASE64.encode(exit.err.as_bytes()) });
                match exit.code {
                    Some(code) => status["exitcode"] = code.into(),
                    None => status["signal"] = 9.into(),
                }
                status
            }
        }),
        other => Err(Fault::harmless(FaultKind::Failed, format!("The command {other} has not been found"))),
    }
}
