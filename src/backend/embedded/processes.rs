//! The programs that run, or ran, in a guest: a small file for each, because the process that asks after one may be
//! another process than the one that started it. They are gone when the VM stops.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Embedded;
use super::files::{self, unread, unwritten};
use crate::hypervisor::{Fault, FaultKind, GuestExit, GuestStatus};
use crate::model::VmId;

/// What a file says. An empty one belongs to a program that has not ended.
#[derive(Serialize, Deserialize)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// The end of a program that printed this.
pub(super) fn printed(out: &str) -> GuestExit {
    GuestExit { code: Some(0), out: format!("{out}\n"), err: String::new() }
}

/// The end of a program that failed with this code, and why.
pub(super) fn failed(code: i32, err: String) -> GuestExit {
    GuestExit { code: Some(code), out: String::new(), err: err + "\n" }
}

impl Embedded {
    fn processes(&self, vm: VmId) -> PathBuf {
        self.dir.join("processes").join(vm.to_string())
    }

    /// Notes how a program of a guest ended, and returns its pid.
    pub(super) fn note_process(&self, vm: VmId, exit: &GuestExit) -> Result<u64, Fault> {
        let dir = self.processes(vm);
        files::make_dir(&dir)?;
        let ended = Ended { code: exit.code, out: exit.out.clone(), err: exit.err.clone() };
        let text =
            serde_json::to_string(&ended).map_err(|error| Fault::harmless(FaultKind::Failed, error.to_string()))?;
        loop {
            // Linux hands out pids up to 2²²; a pid must not come back soon, whichever process asks next.
            let pid = 500 + u64::from(uuid::Uuid::new_v4().as_fields().0 >> 10);
            let path = dir.join(pid.to_string());
            match File::create_new(&path) {
                Ok(mut file) => {
                    file.write_all(text.as_bytes()).map_err(unwritten(&path))?;
                    return Ok(pid);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unread(&path)(error)),
            }
        }
    }

    /// How a program of a guest stands. Of one that ended this is told once. `None`: there is no such program.
    pub(super) fn take_process(&self, vm: VmId, pid: u64) -> Result<Option<GuestStatus>, Fault> {
        let path = self.processes(vm).join(pid.to_string());
        let Some(text) = files::read(&path)? else { return Ok(None) };
        if text.is_empty() {
            return Ok(Some(GuestStatus::Running));
        }
        let ended: Ended = serde_json::from_str(&text)
            .map_err(|error| Fault::harmless(FaultKind::Garbled, format!("{}: {error}", path.display())))?;
        files::remove(&path)?;
        let Ended { code, out, err } = ended;
        Ok(Some(GuestStatus::Ended(GuestExit { code, out, err })))
    }

    /// Forgets the programs of a guest that stops or starts.
    pub(super) fn forget_processes(&self, vm: VmId) -> Result<(), Fault> {
        files::remove(&self.processes(vm))
    }
}
