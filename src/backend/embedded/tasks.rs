//! Tasks: what runs, and what ran.
//!
//! A running task is a file in `tasks/active`, named by its UPID, that its process holds locked; its content is the
//! log. When it ends, a line goes to `tasks/index`, and the log to `tasks/log`. A file that no process holds belongs to
//! a process that died: its task is listed with `unexpected status`, as Proxmox does.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process;

use super::super::proxmox::copied::copied;
use super::super::proxmox::task::{Upid, is_clone, is_on_disks, target_in};
use super::clock::now_s;
use super::files::{self, unread, unwritten};
use crate::hypervisor::{Copied, Fault, FaultKind};
use crate::model::VmId;

/// The task list of a node.
#[derive(Debug, Clone)]
pub(super) struct Tasks {
    /// Directory `tasks` of the node.
    pub(super) dir: PathBuf,
    /// Name of the node.
    pub(super) node: String,
}

/// A running task of this process. Dropped without [`Running::end`], it is found to have died.
#[derive(Debug)]
pub(super) struct Running {
    tasks: Tasks,
    upid: String,
    /// Held for its lock.
    file: File,
}

/// One task as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id in Proxmox's format.
    pub upid: String,
    /// `None` while it runs; then `OK` or what went wrong.
    pub status: Option<String>,
}

/// First line of a clone's log; the only place that tells its target.
fn clone_line(source: VmId, target: VmId) -> String {
    format!("creating a clone of VM {source} with ID {target}\n")
}

impl Tasks {
    fn active(&self) -> PathBuf {
        self.dir.join("active")
    }

    /// Begins a clone.
    pub(super) fn begin_clone(&self, source: VmId, target: VmId) -> Result<Running, Fault> {
        self.begin("qmclone", source, &clone_line(source, target))
    }

    fn guard_path(&self) -> PathBuf {
        self.dir.join("looking.lock")
    }

    fn guard(&self) -> Result<File, Fault> {
        let path = self.guard_path();
        File::options().create(true).truncate(false).write(true).open(&path).map_err(unwritten(&path))
    }

    /// Keeps others from burying tasks while this process looks which are alive; ends when it is dropped. Makes
    /// nothing: where the file is not there, no task was ever buried.
    fn look(&self) -> Result<Option<File>, Fault> {
        let path = self.guard_path();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unread(&path)(error)),
        };
        file.lock_shared().map_err(unread(&path))?;
        Ok(Some(file))
    }

    /// Begins a task of Proxmox type `kind` for a VM.
    pub(super) fn begin(&self, kind: &str, vm: VmId, log: &str) -> Result<Running, Fault> {
        // Proxmox runs each task in a process of its own; here the field for its start time tells them apart.
        let pstart = uuid::Uuid::new_v4().as_fields().0;
        let upid =
            format!("UPID:{}:{:08X}:{:08X}:{:08X}:{kind}:{vm}:root@pam:", self.node, process::id(), pstart, now_s());
        let waiting = self.dir.join(&upid);
        let mut file = File::create(&waiting).map_err(unread(&waiting))?;
        file.write_all(log.as_bytes()).map_err(unwritten(&waiting))?;
        file.lock().map_err(unwritten(&waiting))?;
        // Only a locked file with its log becomes visible.
        fs::rename(&waiting, self.active().join(&upid)).map_err(unwritten(&waiting))?;
        Ok(Running { tasks: self.clone(), upid, file })
    }

    /// VMIDs that running clones are making, and whether there is a clone whose target cannot be told.
    pub(super) fn clones(&self) -> Result<(Vec<VmId>, bool), Fault> {
        let _looking = self.look()?;
        let (mut targets, mut unknown) = (Vec::new(), false);
        for upid in files::names(&self.active())?.iter().filter(|upid| Upid(upid).kind().is_some_and(is_clone)) {
            let path = self.active().join(upid);
            if files::is_locked(&path) {
                match files::read(&path)?.as_deref().map(|log| target_in(log.lines().next()?)) {
                    Some(Some(target)) => targets.push(target),
                    Some(None) => unknown = true,
                    // It ended in this moment.
                    None => {}
                }
            }
        }
        targets.sort_unstable();
        Ok((targets, unknown))
    }

    /// VMs on whose disks a running task works, each with the task's kind.
    pub(super) fn working(&self) -> Result<BTreeMap<VmId, String>, Fault> {
        let _looking = self.look()?;
        let mut found = BTreeMap::new();
        for upid in files::names(&self.active())? {
            let kind = Upid(&upid).kind().filter(|kind| is_on_disks(kind));
            if let Some((kind, vm)) = kind.zip(Upid(&upid).vm())
                && files::is_locked(&self.active().join(&upid))
            {
                found.insert(vm, kind.to_owned());
            }
        }
        Ok(found)
    }

    /// How far the copy is of the running task that makes a VM or works on its disks, as its log says.
    pub(super) fn copied(&self, vm: VmId) -> Result<Option<Copied>, Fault> {
        let _looking = self.look()?;
        for upid in files::names(&self.active())? {
            let path = self.active().join(&upid);
            let Some(log) = files::read(&path)?.filter(|_| files::is_locked(&path)) else { continue };
            let (kind, id) = (Upid(&upid).kind().unwrap_or_default(), Upid(&upid).vm());
            let makes = is_clone(kind) && log.lines().next().and_then(target_in) == Some(vm);
            if makes || is_on_disks(kind) && id == Some(vm) {
                return Ok(copied(&log));
            }
        }
        Ok(None)
    }

    /// Whether any task is running.
    pub(super) fn any_running(&self) -> Result<bool, Fault> {
        let _looking = self.look()?;
        Ok(files::names(&self.active())?.iter().any(|upid| files::is_locked(&self.active().join(upid))))
    }

    /// Files tasks of processes that died under what ran.
    pub(super) fn bury(&self) -> Result<(), Fault> {
        // It locks the files of the dead for a moment, and who looked just then would think them alive.
        let burying = self.guard()?;
        burying.lock().map_err(unwritten(&self.guard_path()))?;
        for upid in files::names(&self.active())? {
            let path = self.active().join(&upid);
            let Ok(file) = File::open(&path) else { continue };
            if file.try_lock().is_ok() && path.exists() {
                self.file_away(&upid, "unexpected status")?;
            }
        }
        Ok(())
    }

    /// The tasks: running ones first, then what ended, oldest first.
    pub(super) fn list(&self) -> Result<Vec<Task>, Fault> {
        let _looking = self.look()?;
        let mut tasks = Vec::new();
        for upid in files::names(&self.active())? {
            let running = files::is_locked(&self.active().join(&upid));
            let status = (!running).then(|| "unexpected status".to_owned());
            tasks.push(Task { upid, status });
        }
        for line in files::read(&self.dir.join("index"))?.unwrap_or_default().lines() {
            let mut words = line.splitn(4, ' ');
            if let (Some(upid), Some(_), Some(_), Some(status)) =
                (words.next(), words.next(), words.next(), words.next())
            {
                tasks.push(Task { upid: upid.to_owned(), status: Some(status.to_owned()) });
            }
        }
        Ok(tasks)
    }

    /// The log of a task, running or ended. `None`: there is no such task.
    pub(super) fn log(&self, upid: &str) -> Result<Option<String>, Fault> {
        let plain = !upid.contains(['/', '\0']) && upid.starts_with("UPID:");
        for dir in ["active", "log"].iter().filter(|_| plain) {
            if let Some(log) = files::read(&self.dir.join(dir).join(upid))? {
                return Ok(Some(log));
            }
        }
        Ok(None)
    }

    /// Line of the index: UPID, start and end in hexadecimal seconds, status.
    fn file_away(&self, upid: &str, status: &str) -> Result<(), Fault> {
        let start = Upid(upid).start().unwrap_or("00000000");
        let status = status.lines().next().unwrap_or_default();
        files::append(&self.dir.join("index"), &format!("{upid} {start} {:08X} {status}", now_s()))?;
        // Who saw it running a moment ago may still ask what it does.
        files::make_dir(&self.dir.join("log"))?;
        let path = self.active().join(upid);
        fs::rename(&path, self.dir.join("log").join(upid)).map_err(unwritten(&path))
    }
}

impl Running {
    /// Ends the task with its result, which is handed on.
    pub(super) fn end<T>(self, result: Result<T, Fault>) -> Result<T, Fault> {
        let status = match &result {
            Ok(_) => "OK".to_owned(),
            Err(fault) => fault.what.clone(),
        };
        let filed = self.tasks.file_away(&self.upid, &status);
        drop(self.file);
        match (result, filed) {
            (Ok(value), Ok(())) => Ok(value),
            (Ok(_), Err(fault)) => Err(Fault::uncertain(FaultKind::Failed, fault.what)),
            (Err(fault), _) => Err(fault),
        }
    }
}
