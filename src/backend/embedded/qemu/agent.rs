//! The guest agent of a machine, on a socket of its own.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::super::agent::{self, Ask, DELIMITER};
use super::channel::Channel;
use crate::hypervisor::{Fault, FaultKind};

/// Name of the socket in a machine's directory, and of its chardev.
pub(super) const SOCKET: &str = "agent";

/// How long an agent may take for one conversation: as long as Proxmox gives most of its calls.
const TIME: Duration = Duration::from_secs(10);

/// A conversation with an agent that has answered.
pub(super) struct Agent(Channel);

impl Agent {
    /// Connects to the agent of the machine with this directory.
    pub(super) fn connect(dir: &Path) -> Result<Self, Fault> {
        let channel = Channel::connect(dir, SOCKET, TIME)?;
        let mut agent = Self(channel.ok_or_else(agent::down)?);
        let (id, line) = agent::synchronisation();
        let silent = |_: Fault| agent::down();
        let mut message = vec![DELIMITER];
        message.extend_from_slice(format!("{line}\n").as_bytes());
        agent.0.send_bytes(&message).map_err(silent)?;
        while !agent::is_synchronised(&agent.0.line().map_err(silent)?, id) {}
        Ok(agent)
    }

    /// Asks the guest to power off. It answers only where it refuses.
    pub(super) fn power_off(&mut self) -> Result<(), Fault> {
        let order = json!({ "execute": "guest-shutdown", "arguments": { "mode": "powerdown" } });
        self.0.send(&order).map_err(|fault| lost(&fault))
    }
}

impl Ask for Agent {
    fn ask(&mut self, question: &Value) -> Result<Value, Fault> {
        self.0.send(question).map_err(|fault| lost(&fault))?;
        self.0.receive().map_err(|fault| lost(&fault))
    }
}

fn lost(fault: &Fault) -> Fault {
    if fault.kind == FaultKind::Garbled { agent::garbled(&fault.what) } else { agent::lost(&fault.what) }
}

#[cfg(test)]
mod tests {
    use std::thread::JoinHandle;

    use super::Agent;
    use crate::backend::agent::{ask_addresses, exec, exec_status, ping};
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
        ping(&mut Agent::connect(double.dir()).unwrap()).unwrap();
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
        assert_eq!(
            exec(&mut agent, &["/bin/sh".to_owned(), "-c".to_owned(), "a \"b\"".to_owned()], b"in").unwrap(),
            42
        );
        let ended = GuestExit { code: Some(7), out: "ü\n".to_owned(), err: "no".to_owned() };
        assert_eq!(exec_status(&mut agent, 42).unwrap(), GuestStatus::Ended(ended));
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
        assert_eq!(exec_status(&mut agent, 1).unwrap_err().kind, FaultKind::Garbled);
        assert_eq!(exec(&mut agent, &["x".to_owned()], b"").unwrap_err().kind, FaultKind::Denied);
        assert_eq!(ask_addresses(&mut agent).unwrap_err().kind, FaultKind::Garbled);
        drop(agent);
        served.join().unwrap();
    }

    #[test]
    fn an_agent_that_goes_away_is_down() {
        let (double, served) = agent(&[("guest-ping", "")]);
        assert_eq!(ping(&mut Agent::connect(double.dir()).unwrap()).unwrap_err().kind, FaultKind::AgentDown);
        served.join().unwrap();
        // Its socket is still there, and no process behind it.
        let dir = double.stop();
        assert_eq!(Agent::connect(dir.path()).map(drop).unwrap_err().kind, FaultKind::AgentDown);
    }
}
