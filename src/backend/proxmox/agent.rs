//! What the API says for the guest agent. Its answers are the agent's, in forms of Proxmox's own.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::agent::{self, Interface};
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

/// The network interfaces of a guest.
pub(in crate::backend) fn addresses(answer: &[u8]) -> Result<Vec<GuestAddress>, Fault> {
    parse::<Vec<Interface>>(answer).map(agent::addresses)
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
    use super::{decoded, status};
    use crate::hypervisor::{FaultKind, GuestExit, GuestStatus};

    #[test]
    fn text_of_the_agent_is_put_right() {
        assert_eq!(decoded("plain"), "plain");
        let mojibake: String = "ümlaut ✓".bytes().map(char::from).collect();
        assert_eq!(decoded(&mojibake), "ümlaut ✓");
        assert_eq!(decoded("✓"), "✓");
    }

    #[test]
    fn a_program_runs_or_has_ended() {
        assert_eq!(status(br#"{"exited":0}"#).unwrap(), GuestStatus::Running);
        let exit = GuestExit { code: Some(3), out: "x\n".to_owned(), err: String::new() };
        assert_eq!(status(br#"{"exited":1,"exitcode":3,"out-data":"x\n"}"#).unwrap(), GuestStatus::Ended(exit));
        assert_eq!(status(b"no").unwrap_err().kind, FaultKind::Garbled);
    }
}
