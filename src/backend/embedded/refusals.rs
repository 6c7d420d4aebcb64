//! Refusals that several operations share, as Proxmox words them.

use crate::hypervisor::{Fault, FaultKind};
use crate::model::Digest;
use crate::observed::{Conf, config_digest};

/// A refusal of parameters, as Proxmox words it; each line begins with its parameter.
pub(super) fn refused(lines: &[String]) -> Fault {
    let options = lines.iter().filter_map(|line| Some(line.split_once(": ")?.0));
    Fault::harmless(FaultKind::Refused, format!("400 Parameter verification failed.\n{}", lines.join("\n")))
        .about(options)
}

/// Refuses a configuration that has not the digest that the caller named.
pub(super) fn unchanged(conf: &str, digest: Option<&Digest>) -> Result<(), Fault> {
    if digest.is_none_or(|digest| config_digest(conf) == *digest) {
        return Ok(());
    }
    Err(Fault::harmless(FaultKind::Stale, "checksum mismatch (file change by other user?)"))
}

/// Refuses a VM that Proxmox has locked.
pub(super) fn unlocked(conf: &Conf<'_>) -> Result<(), Fault> {
    match conf.get("lock") {
        Some(lock) if !lock.is_empty() => Err(Fault::harmless(FaultKind::Busy, format!("VM is locked ({lock})"))),
        _ => Ok(()),
    }
}
