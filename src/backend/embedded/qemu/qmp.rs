//! QMP, the language in which QEMU is told what to do (`docs/interop/qmp-spec` of QEMU).

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::channel::Channel;
use crate::hypervisor::{Fault, FaultKind};

/// Name of the socket in a machine's directory.
pub(super) const SOCKET: &str = "qmp";

/// How long QEMU may take for one conversation. Its main loop serves the monitor, so a busy guest delays it.
pub(super) const TIME: Duration = Duration::from_secs(10);

/// A conversation with a QEMU.
#[derive(Debug)]
pub(super) struct Qmp(Channel);

impl Qmp {
    /// Connects to the QEMU of a machine's directory. `None`: none listens there.
    pub(super) fn connect(dir: &Path, time: Duration) -> Result<Option<Self>, Fault> {
        let Some(channel) = Channel::connect(dir, SOCKET, time)? else { return Ok(None) };
        let mut qmp = Self(channel);
        let greeting = qmp.0.receive().map_err(explained)?;
        if greeting.get("QMP").is_none() {
            return Err(Fault::harmless(
                FaultKind::Garbled,
                "what answers on the socket of QEMU's monitor is not QEMU",
            ));
        }
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(Some(qmp))
    }

    /// Carries out a command and returns its answer. Events in between are passed over.
    pub(super) fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value, Fault> {
        self.0.send(&json!({ "execute": command, "arguments": arguments })).map_err(explained)?;
        loop {
            let mut answer = self.0.receive().map_err(explained)?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                let desc = error.get("desc").and_then(Value::as_str).unwrap_or("it gave no reason");
                return Err(Fault::uncertain(FaultKind::Failed, format!("QEMU refuses `{command}`: {desc}")));
            }
        }
    }

    /// What the machine is doing: `running`, `paused`, `io-error`, …
    pub(super) fn status(&mut self) -> Result<String, Fault> {
        let answer = self.execute("query-status", &json!({}))?;
        let status = answer.get("status").and_then(Value::as_str);
        status.map(str::to_owned).ok_or_else(|| Fault::harmless(FaultKind::Garbled, "QEMU does not report its status"))
    }

    /// Whether the guest has opened the port of this chardev.
    pub(super) fn is_open(&mut self, label: &str) -> Result<bool, Fault> {
        let answer = self.execute("query-chardev", &json!({}))?;
        let devices = answer.as_array().map(Vec::as_slice).unwrap_or_default();
        let named = devices.iter().find(|device| device.get("label").and_then(Value::as_str) == Some(label));
        Ok(named.and_then(|device| device.get("frontend-open")).and_then(Value::as_bool) == Some(true))
    }
}

fn explained(fault: Fault) -> Fault {
    Fault { what: format!("QEMU's monitor: {}", fault.what), ..fault }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{Qmp, SOCKET, TIME};
    use crate::backend::embedded::qemu::double::{Double, words};
    use crate::hypervisor::FaultKind;

    #[test]
    fn commands_are_answered_whatever_happens_in_between() {
        let double = Double::new(SOCKET);
        let served = double.greet("{\"QMP\": {\"version\": {}, \"capabilities\": []}}\n", |line| {
            words(
                &[
                    ("qmp_capabilities", "{\"return\": {}}\n"),
                    ("query-status", "{\"event\": \"RESUME\"}\n{\"return\": {\"status\": \"io-error\", \"running\": false}}\n"),
                    ("query-chardev", "{\"return\": [{\"label\": \"agent\", \"frontend-open\": true}, {\"label\": \"console\", \"frontend-open\": false}]}\n"),
                    ("quit", "{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}\n"),
                ],
                line,
            )
        });
        let mut qmp = Qmp::connect(double.dir(), TIME).unwrap().unwrap();
        assert_eq!(qmp.status().unwrap(), "io-error");
        assert!(qmp.is_open("agent").unwrap());
        assert!(!qmp.is_open("console").unwrap() && !qmp.is_open("other").unwrap());
        assert!(qmp.execute("quit", &json!({})).unwrap_err().what.contains("not now"));
        drop(qmp);
        served.join().unwrap();
    }

    #[test]
    fn what_is_no_qemu_is_told() {
        let double = Double::new(SOCKET);
        let served = double.greet("{\"hello\": 1}\n", |_| String::new());
        assert_eq!(Qmp::connect(double.dir(), TIME).unwrap_err().kind, FaultKind::Garbled);
        served.join().unwrap();
    }

    #[test]
    fn nobody_there_is_no_fault_and_nobody_answering_is_one_in_time() {
        let double = Double::new(SOCKET);
        assert!(Qmp::connect(&double.dir().join("nowhere"), TIME).unwrap().is_none());
        // It listens, and never takes anybody.
        let short = Duration::from_millis(50);
        assert_eq!(Qmp::connect(double.dir(), short).unwrap_err().kind, FaultKind::TimedOut);
        let dir = double.stop();
        assert!(Qmp::connect(dir.path(), TIME).unwrap().is_none(), "a stale socket");
    }
}
