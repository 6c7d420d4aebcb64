//! The guest agent, on a socket of its own (`docs/interop/qemu-ga` of QEMU).

use std::path::Path;
use std::time::Duration;

use data_encoding::BASE64;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::super::agent::{Interface, addresses, explained};
use super::channel::Channel;
use crate::hypervisor::{Fault, FaultKind, GuestAddress, GuestExit, GuestStatus};

/// Name of the socket in a machine's directory, and of its chardev.
pub(super) const SOCKET: &str = "agent";

/// How long an agent may take for one conversation: as long as Proxmox gives most of its calls.
const TIME: Duration = Duration::from_secs(10);

/// Byte that both sides put before the answer to a synchronisation: no JSON holds it.
const DELIMITER: u8 = 0xFF;

/// A conversation with an agent that has answered.
pub(super) struct Agent(Channel);

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

impl Agent {
    /// Connects to the agent of the machine with this directory.
    pub(super) fn connect(dir: &Path) -> Result<Self, Fault> {
        let down = || Fault::harmless(FaultKind::AgentDown, "QEMU guest agent is not running");
        let channel = Channel::connect(dir, SOCKET, TIME)?;
        let mut agent = Self(channel.ok_or_else(down)?);
        // What an earlier conversation left unread comes first: everything up to our own number is not for us.
        let id = u64::from(uuid::Uuid::new_v4().as_fields().0);
        let sync = json!({ "execute": "guest-sync-delimited", "arguments": { "id": id } });
        let silent = |_: Fault| down();
        let mut message = vec![DELIMITER];
        message.extend_from_slice(format!("{sync}\n").as_bytes());
        agent.0.send_bytes(&message).map_err(silent)?;
        loop {
            let line = agent.0.line().map_err(silent)?;
            let answer = line.rsplit(|byte| *byte == DELIMITER).next().unwrap_or_default();
            let number = serde_json::from_slice::<Value>(answer).ok().and_then(|value| value.get("return")?.as_u64());
            if number == Some(id) {
                return Ok(agent);
            }
        }
    }

    fn call<T: DeserializeOwned>(&mut self, command: &str, arguments: &Value) -> Result<T, Fault> {
        self.0.send(&json!({ "execute": command, "arguments": arguments })).map_err(lost)?;
        let mut answer = self.0.receive().map_err(lost)?;
        if let Some(error) = answer.get("error") {
            let desc = error.get("desc").and_then(Value::as_str).unwrap_or("it gave no reason");
            return Err(explained(Fault::uncertain(FaultKind::Failed, format!("Agent error: {command}: {desc}"))));
        }
        let value = answer.get_mut("return").map(Value::take).unwrap_or_default();
        serde_json::from_value(value).map_err(|error| garbled(&error.to_string()))
    }

    pub(super) fn ping(&mut self) -> Result<(), Fault> {
        self.call::<Value>("guest-ping", &json!({})).map(drop)
    }

    pub(super) fn addresses(&mut self) -> Result<Vec<GuestAddress>, Fault> {
        Ok(addresses(self.call::<Vec<Interface>>("guest-network-get-interfaces", &json!({}))?))
    }

    pub(super) fn exec(&mut self, argv: &[String], input: &[u8]) -> Result<u64, Fault> {
        let Some((path, arguments)) = argv.split_first() else {
            return Err(Fault::harmless(FaultKind::Refused, "no program to run"));
        };
        let mut order = json!({ "path": path, "arg": arguments, "capture-output": true });
        if !input.is_empty() {
            order["input-data"] = BASE64.encode(input).into();
        }
        Ok(self.call::<Started>("guest-exec", &order)?.pid)
    }

    pub(super) fn exec_status(&mut self, pid: u64) -> Result<GuestStatus, Fault> {
        let status: Status = self.call("guest-exec-status", &json!({ "pid": pid }))?;
        if !status.exited {
            return Ok(GuestStatus::Running);
        }
        let text = |data: &str| match BASE64.decode(data.as_bytes()) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => Err(garbled(&error.to_string())),
        };
        Ok(GuestStatus::Ended(GuestExit { code: status.exitcode, out: text(&status.out)?, err: text(&status.err)? }))
    }

    /// Asks the guest to power off. It answers only where it refuses.
    pub(super) fn power_off(&mut self) -> Result<(), Fault> {
        let order = json!({ "execute": "guest-shutdown", "arguments": { "mode": "powerdown" } });
        self.0.send(&order).map_err(lost)
    }
}

/// An agent that answered a moment ago and does not any more: it was restarted, or its guest.
fn lost(fault: Fault) -> Fault {
    match fault.kind {
        FaultKind::Garbled => fault,
        _ => Fault {
            kind: FaultKind::AgentDown,
            what: format!("the guest agent stopped answering: {}", fault.what),
            ..fault
        },
    }
}

fn garbled(why: &str) -> Fault {
    Fault::uncertain(FaultKind::Garbled, format!("the guest agent's answer makes no sense: {why}"))
}

#[cfg(test)]
mod tests {
    use std::thread::JoinHandle;

    use super::Agent;
    use crate::backend::embedded::qemu::double::{Double, Says, words};
    use crate::hypervisor::{FaultKind, GuestExit, GuestStatus};

    /// An agent that first says what an earlier conversation left, then answers the synchronisation and the rest.
    fn agent(rest: &'static [Says]) -> (Double, JoinHandle<Vec<String>>) {
        let double = Double::new(super::SOCKET);
        let served = double.serve(move |line| {
            let order: serde_json::Value = serde_json::from_str(line).unwrap();
            let number = order["arguments"]["id"].as_u64();
            match number {
                Some(id) => format!("{{\"return\": 4711}}\n\u{1}{{\"return\": {id}}}\n"),
                None => words(rest, line),
            }
        });
        (double, served)
    }

    #[test]
    fn what_is_left_of_an_earlier_conversation_is_passed_over() {
        let (double, served) = agent(&[("guest-ping", "{\"return\": {}}\n")]);
        Agent::connect(double.dir()).unwrap().ping().unwrap();
        let heard = served.join().unwrap();
        assert!(heard[0].contains("guest-sync-delimited") && heard[1].contains("guest-ping"), "{heard:?}");
    }

    #[test]
    fn a_program_is_started_and_its_end_is_told() {
        let (double, served) = agent(&[
            (
                "guest-exec-status",
                "{\"return\": {\"exited\": true, \"exitcode\": 7, \"out-data\": \"w7wK\", \"err-data\": \"bm8=\"}}\n",
            ),
            ("guest-exec", "{\"return\": {\"pid\": 42}}\n"),
        ]);
        let mut agent = Agent::connect(double.dir()).unwrap();
        assert_eq!(agent.exec(&["/bin/sh".to_owned(), "-c".to_owned(), "a \"b\"".to_owned()], b"in").unwrap(), 42);
        let ended = GuestExit { code: Some(7), out: "ü\n".to_owned(), err: "no".to_owned() };
        assert_eq!(agent.exec_status(42).unwrap(), GuestStatus::Ended(ended));
        drop(agent);
        let heard = served.join().unwrap();
        let order: serde_json::Value = serde_json::from_str(&heard[1]).unwrap();
        assert_eq!(order["arguments"]["arg"], serde_json::json!(["-c", "a \"b\""]));
        assert_eq!(order["arguments"]["input-data"], "aW4=");
    }

    #[test]
    fn refusals_are_told_apart() {
        let (double, served) = agent(&[
            (
                "guest-exec-status",
                "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Invalid parameter 'pid'\"}}\n",
            ),
            (
                "guest-exec",
                "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Command guest-exec has been disabled\"}}\n",
            ),
            ("guest-network-get-interfaces", "{\"return\": 7}\n"),
        ]);
        let mut agent = Agent::connect(double.dir()).unwrap();
        assert_eq!(agent.exec_status(1).unwrap_err().kind, FaultKind::Garbled);
        assert_eq!(agent.exec(&["x".to_owned()], b"").unwrap_err().kind, FaultKind::Denied);
        assert_eq!(agent.addresses().unwrap_err().kind, FaultKind::Garbled);
        drop(agent);
        served.join().unwrap();
    }

    #[test]
    fn an_agent_that_goes_away_is_down() {
        let (double, served) = agent(&[("guest-ping", "")]);
        assert_eq!(Agent::connect(double.dir()).unwrap().ping().unwrap_err().kind, FaultKind::AgentDown);
        served.join().unwrap();
        // Its socket is still there, and nobody behind it.
        let dir = double.stop();
        assert_eq!(Agent::connect(dir.path()).map(drop).unwrap_err().kind, FaultKind::AgentDown);
    }
}
