//! A server in the background that holds its pid file open as long as it lives.
//!
//! A pid alone says nothing: it may belong to another process by now. The process that has the very file open is the
//! server.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::super::files;
use crate::hypervisor::{Fault, FaultKind};

/// The server's program, and what installs it.
pub(super) const SERVER: (&str, &str) = ("ganesha.nfsd", "`apt install nfs-ganesha nfs-ganesha-vfs`");

/// The process that a pid file names, if it lives and has the file open.
pub(super) fn alive(pid_file: &Path) -> Result<Option<u32>, Fault> {
    let Some(text) = files::read(pid_file)? else { return Ok(None) };
    let Ok(pid) = text.trim().parse::<u32>() else { return Ok(None) };
    let Ok(file) = fs::metadata(pid_file) else { return Ok(None) };
    let open = match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(open) => open,
        // Root's, and we are not: its name must do.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            return Ok((name.trim_end() == SERVER.0).then_some(pid));
        }
        Err(_) => return Ok(None),
    };
    let same = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.dev() == file.dev() && meta.ino() == file.ino());
    Ok(open.flatten().any(|entry| same(&entry.path())).then_some(pid))
}

/// Ends the process of a pid file and returns when it is gone: first asks it, after `mercy` ends it by force.
pub(super) fn end(pid_file: &Path, mercy: Duration) -> Result<(), Fault> {
    for (signal, time) in [(Signal::TERM, mercy), (Signal::KILL, FORCED)] {
        let Some(pid) = alive(pid_file)? else { return Ok(()) };
        send(pid, signal)?;
        let end = Instant::now() + time;
        while alive(pid_file)? == Some(pid) {
            if Instant::now() >= end {
                break;
            }
            sleep(LOOK);
        }
    }
    match alive(pid_file)? {
        None => Ok(()),
        Some(pid) => Err(Fault::uncertain(FaultKind::Failed, format!("process {pid} cannot be ended"))),
    }
}

/// Sends a signal; that the process is gone is no error.
pub(super) fn send(pid: u32, signal: Signal) -> Result<(), Fault> {
    let Some(to) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    match kill_process(to, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(Fault::harmless(FaultKind::Denied, format!("process {pid} takes no signal: {error}"))),
    }
}

/// How long one takes at most that is ended by force.
const FORCED: Duration = Duration::from_secs(5);

/// How often to look.
pub(super) const LOOK: Duration = Duration::from_millis(10);
