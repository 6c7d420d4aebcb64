//! Starting the server, letting it read its configuration again, and what it says when something is wrong.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::super::files;
use super::call::{self, Answer};
use super::{Nfs, SERVER, TIME, config, process};
use crate::hypervisor::{Fault, FaultKind};

/// How long a server that was started may be on its way to its pid file.
const STARTING: Duration = Duration::from_secs(3);

impl Nfs<'_> {
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
