//! The process of a QEMU: for people to see, and for the case that it does not react.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::machine::PID;
use crate::hypervisor::{Fault, FaultKind};

/// The process of the QEMU that lives in a directory. `None`: its note is gone, or names a process that is not it.
///
/// The caller knows that it lives. A pid that was given to another process since is told by its arguments: they name
/// the uuid of the VM.
pub(super) fn pid(dir: &Path, uuid: &str) -> Option<u32> {
    let pid: u32 = fs::read_to_string(dir.join(PID)).ok()?.trim().parse().ok()?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    is_of(&command, uuid).then_some(pid)
}

/// Whether a command line, its words ended by zero bytes, is that of the QEMU of this VM.
fn is_of(command: &[u8], uuid: &str) -> bool {
    let words: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
    !uuid.is_empty() && words.windows(2).any(|pair| pair == [b"-uuid".as_slice(), uuid.as_bytes()])
}

/// Memory that a process takes, in MiB.
pub(super) fn resident_mb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    kib.trim().parse::<u64>().ok().map(|kib| kib / 1024)
}

/// Ends a process without asking it.
pub(super) fn kill(pid: u32) -> Result<(), Fault> {
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let failed = |why: String| Fault::uncertain(FaultKind::Failed, format!("process {pid} cannot be ended: {why}"));
    let id = id.ok_or_else(|| failed("not a pid".to_owned()))?;
    match kill_process(id, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_of, pid};

    #[test]
    fn a_process_is_known_by_its_uuid() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(pid(dir.path(), "u-1"), None, "no note");
        std::fs::write(dir.path().join("pid"), format!("{}\n", std::process::id())).unwrap();
        assert_eq!(pid(dir.path(), "u-1"), None, "the pid is another process's now");
        std::fs::write(dir.path().join("pid"), "nonsense").unwrap();
        assert_eq!(pid(dir.path(), "u-1"), None);
        assert!(is_of(b"qemu-system-x86_64\0-name\0x\0-uuid\0u-1\0", "u-1"));
        assert!(!is_of(b"qemu-system-x86_64\0-uuid\0u-12\0", "u-1"));
        assert!(!is_of(b"qemu-system-x86_64\0-name\0u-1\0-uuid\0\0", ""));
    }
}
