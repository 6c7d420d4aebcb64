//! The server: where its files lie, starting it, letting it read its configuration again, and what it says when
//! something is wrong.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::super::{Embedded, files};
use super::call::{self, Answer};
use super::config;
use super::process::{self, SERVER};
use crate::hypervisor::{Fault, FaultKind};

/// How long the server has to answer, to take a new configuration, and to end.
pub(super) const TIME: Duration = Duration::from_secs(15);

/// How long a server that was started may be on its way to its pid file.
const STARTING: Duration = Duration::from_secs(3);

/// The NFS server of a node with real guests.
pub(in super::super) struct Nfs<'n> {
    pub(super) node: &'n Embedded,
    pub(super) dir: PathBuf,
}

impl Embedded {
    /// The node's NFS server.
    pub(in super::super) fn nfs(&self) -> Nfs<'_> {
        Nfs { node: self, dir: self.dir.join("nfs") }
    }
}

impl Nfs<'_> {
    /// A file of the server.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The server's directory as a program sees it that has another current directory.
    pub(super) fn real(&self) -> Result<PathBuf, Fault> {
        self.dir.canonicalize().map_err(files::unread(&self.dir))
    }

    /// Starts a server that does not run.
    pub(super) fn start(&self, port: u16) -> Result<(), Fault> {
        for name in ["pid", "log"] {
            files::remove(&self.file(name))?;
        }
        files::make_dir(&self.file(config::RECOVERY))?;
        let dir = self.real()?;
        let at = |name: &str| dir.join(name);
        // It goes into the background by itself, out of the terminal's reach.
        let mut server = quiet(SERVER.0);
        server.arg("-f").arg(at("ganesha.conf")).arg("-L").arg(at("log")).arg("-p").arg(at("pid"));
        server.current_dir("/").process_group(0);
        let failed = |why: &str| Fault::uncertain(FaultKind::Failed, format!("the NFS server does not start: {why}"));
        match server.status() {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(failed(&status.to_string())),
            Err(error) => return Err(failed(&error.to_string())),
        }
        let began = Instant::now();
        loop {
            let alive = process::alive(&self.file("pid"))?.is_some();
            if alive && call::null(port, TIME) == Answer::Serves {
                return self.complaints(0);
            }
            let fatal = self.log(0)?.contains(" :FATAL :");
            if fatal || began.elapsed() > TIME || (!alive && began.elapsed() > STARTING) {
                self.complaints(0)?;
                return Err(failed("it does not answer").hint(self.see_log()));
            }
            sleep(process::LOOK);
        }
    }

    /// Lets the server read which directories there are. What clients hold open stays open.
    pub(super) fn reload(&self, pid: u32) -> Result<(), Fault> {
        let read = self.log(0)?.len();
        process::send(pid, Signal::HUP)?;
        let began = Instant::now();
        let is_read = |log: String| log.contains("Reread exports complete") || log.contains(" while parsing (");
        while !is_read(self.log(read)?) {
            if process::alive(&self.file("pid"))?.is_none() {
                self.complaints(read)?;
                return Err(Fault::uncertain(FaultKind::Failed, "the NFS server ended").hint(self.see_log()));
            }
            if began.elapsed() > TIME {
                return Err(self.silent(pid, TIME));
            }
            sleep(process::LOOK);
        }
        self.complaints(read)
    }

    /// Fails with what the server said of directories that it cannot serve, from a place in its log on.
    fn complaints(&self, from: usize) -> Result<(), Fault> {
        let log = self.log(from)?;
        let marks = [" :FATAL :", ":CONFIG :CRIT :", ":FSAL :CRIT :", ":EXPORT :CRIT :"];
        let said = log.lines().filter_map(|line| marks.iter().find_map(|mark| Some(line.split_once(mark)?.1)));
        // One thing that goes wrong is told by everybody it passes.
        let said: Vec<&str> = said.take(2).collect();
        if said.is_empty() {
            return Ok(());
        }
        let what = format!("the NFS server says: {}", said.join("; "));
        Err(Fault::uncertain(FaultKind::Failed, what).hint(self.see_log()))
    }

    pub(super) fn silent(&self, pid: u32, time: Duration) -> Fault {
        let what = format!("the NFS server (process {pid}) does not answer within {} s", time.as_secs());
        Fault::uncertain(FaultKind::TimedOut, what)
            .hint(format!("`kill -9 {pid}` ends it, and the next apply starts it anew; {}", self.see_log()))
    }

    fn see_log(&self) -> String {
        format!("its log is {}", self.file("log").display())
    }

    fn log(&self, from: usize) -> Result<String, Fault> {
        let log = files::read(&self.file("log"))?.unwrap_or_default();
        Ok(log.get(from..).unwrap_or_default().to_owned())
    }
}

/// A program that reads nothing and prints nothing.
pub(super) fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
