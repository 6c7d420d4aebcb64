//! What the API says for the guest agent. Its answers are the agent's, in forms of Proxmox's own.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::agent::{self, BlockSize, Interface, Part};
use crate::hypervisor::{Fault, GuestAddress, GuestExit, GuestStatus};

#[derive(Deserialize)]
struct Started {
    pid: u64,
}

#[derive(Deserialize)]
struct Status {
    exited: u8,
    exitcode: Option<i32>,
    #[serde(default, rename = "out-data")]
    out: String,
    #[serde(default, rename = "err-data")]
    err: String,
}

/// What the agent said, of an answer of the API: what only asks it gives its answer in `result`. `qm` prints that
/// alone.
pub(in crate::backend) fn inner(answer: Vec<u8>) -> Vec<u8> {
    match serde_json::from_slice(&answer) {
        Ok(Value::Object(told)) if told.contains_key("result") => told["result"].to_string().into_bytes(),
        _ => answer,
    }
}

/// The network interfaces of a guest.
pub(in crate::backend) fn addresses(answer: &[u8]) -> Result<Vec<GuestAddress>, Fault> {
    parse::<Vec<Interface>>(answer).map(agent::addresses)
}

/// How many CPUs a guest has online.
pub(in crate::backend) fn cpus(answer: &[u8]) -> Result<u64, Fault> {
    parse::<Vec<Part>>(answer).map(|cpus| agent::online(&cpus))
}

/// How many bytes of memory a guest has online, by what it says of its blocks and of their size.
pub(in crate::backend) fn memory(blocks: &[u8], size: &[u8]) -> Result<u64, Fault> {
    Ok(agent::bytes(&parse::<Vec<Part>>(blocks)?, &parse::<BlockSize>(size)?))
}

/// The pid of a program that was started.
pub(in crate::backend) fn started(answer: &[u8]) -> Result<u64, Fault> {
    parse::<Started>(answer).map(|started| started.pid)
}

/// How a program stands. Of one that ended this is said once: an answer that is lost is gone.
pub(in crate::backend) fn status(answer: &[u8]) -> Result<GuestStatus, Fault> {
    let status: Status = parse(answer)?;
    if status.exited == 0 {
        return Ok(GuestStatus::Running);
    }
    let (out, err) = (decoded(&status.out), decoded(&status.err));
    Ok(GuestStatus::Ended(GuestExit { code: status.exitcode, out, err }))
}

fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(answer).map_err(|why| agent::garbled(&why.to_string()))
}

/// Proxmox hands on bytes as Latin-1 characters (recorded): turns them into the UTF-8 they were.
fn decoded(text: &str) -> String {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    match bytes {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        // It was no Latin-1: a newer Proxmox may have decoded it already.
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{addresses, cpus, decoded, inner, memory, status};
    use crate::hypervisor::{FaultKind, GuestExit, GuestStatus};

    #[test]
    fn text_of_the_agent_is_put_right() {
        assert_eq!(decoded("plain"), "plain");
        let mojibake: String = "ümlaut ✓".bytes().map(char::from).collect();
        assert_eq!(decoded(&mojibake), "ümlaut ✓");
        assert_eq!(decoded("✓"), "✓");
    }

    #[test]
    fn what_is_offline_does_not_count() {
        let parts = br#"[{"can-offline":false,"logical-id":0,"online":true},{"online":false},{"online":true}]"#;
        assert_eq!(cpus(parts).unwrap(), 2);
        assert_eq!(memory(parts, br#"{"size":134217728}"#).unwrap(), 2 << 27);
        // A guest may say anything.
        assert_eq!(memory(parts, br#"{"size":18446744073709551615}"#).unwrap(), u64::MAX);
        assert_eq!(memory(parts, br#"{"size":-1}"#).unwrap_err().kind, FaultKind::Garbled);
        assert_eq!(cpus(br#"[{"logical-id":0}]"#).unwrap_err().kind, FaultKind::Garbled);
    }

    #[test]
    fn what_the_api_wraps_is_unwrapped() {
        let wrapped = br#"{"result":[{"name":"eth0","hardware-address":"bc:24:11:00:00:01"}]}"#.to_vec();
        let plain = br#"[{"name":"eth0","hardware-address":"bc:24:11:00:00:01"}]"#.to_vec();
        assert_eq!(addresses(&inner(wrapped)).unwrap(), addresses(&inner(plain)).unwrap());
        assert_eq!(inner(br#"{"pid":287}"#.to_vec()), br#"{"pid":287}"#);
    }

    #[test]
    fn a_program_runs_or_has_ended() {
        assert_eq!(status(br#"{"exited":0}"#).unwrap(), GuestStatus::Running);
        let exit = GuestExit { code: Some(3), out: "x\n".to_owned(), err: String::new() };
        assert_eq!(status(br#"{"exited":1,"exitcode":3,"out-data":"x\n"}"#).unwrap(), GuestStatus::Ended(exit));
        assert_eq!(status(b"no").unwrap_err().kind, FaultKind::Garbled);
    }
}
