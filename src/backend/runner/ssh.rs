//! Programs on another machine, through the system's own `ssh`.
//!
//! The user's configuration counts: agent, jump hosts, known hosts. One connection is shared by all calls. ssh says 255
//! for failures of its own, and so does `qm` for a failed task (recorded): the program's status therefore travels in
//! the output, behind a mark that no program prints by chance. The same mark on standard error parts what the program
//! says from what ssh said before it: banners, warnings, and that another call was faster to share its connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{Command, LOCALE, Output, Runner, local};
use crate::hypervisor::{Effect, Fault, FaultKind};

/// Runs programs on a machine that ssh reaches.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// `[user@]host`
    destination: String,
    port: Option<u16>,
    /// Where the socket of the shared connection is.
    sockets: Sockets,
    /// Programs are run through `sudo -n`.
    sudo: bool,
}

/// A directory for the socket of a shared connection.
#[derive(Debug, Clone)]
pub enum Sockets {
    /// One that stays: a later call of phoenix uses the connection as long as it lasts.
    At(PathBuf),
    /// One for this process alone, which goes with it; the connection then ends a minute after its last use.
    Own(Arc<TempDir>),
}

impl Sockets {
    fn directory(&self) -> &Path {
        match self {
            Self::At(path) => path,
            Self::Own(dir) => dir.path(),
        }
    }
}

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(15);

impl Ssh {
    /// A runner for `[user@]host`. Anyone but root is expected to have passwordless `sudo`.
    #[must_use]
    pub fn new(user: Option<&str>, host: &str, port: Option<u16>, sockets: Sockets) -> Self {
        let destination = user.map_or_else(|| host.to_owned(), |user| format!("{user}@{host}"));
        let sudo = user.is_some_and(|user| user != "root");
        Self { destination, port, sockets, sudo }
    }

    /// The argv of the local `ssh` for a command, with the mark that its status stands behind.
    fn argv(&self, command: &Command, mark: &str) -> Vec<String> {
        let mut argv: Vec<String> =
            ["ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15"]
                .map(ToOwned::to_owned)
                .into();
        let path = format!("ControlPath={}", self.sockets.directory().join("%C").display());
        let share = ["ControlMaster=auto", "ControlPersist=60", &path];
        argv.extend(share.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]));
        if let Some(port) = self.port {
            argv.extend(["-p".to_owned(), port.to_string()]);
        }
        argv.extend(["--".to_owned(), self.destination.clone(), remote(&command.argv, self.sudo, mark)]);
        argv
    }
}

/// The command line for the remote shell. Quoting happens here and nowhere else.
fn remote(argv: &[String], sudo: bool, mark: &str) -> String {
    let sudo = if sudo { "sudo -n -- " } else { "" };
    let words: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
    // The login shell may be anything: all it has to understand is `sh -c '…'`.
    let (words, mark) = (words.join(" "), quoted(mark));
    let script =
        format!("printf '%s\\n' {mark} >&2; {sudo}env LC_ALL={LOCALE} {words}; printf '\\n%s %s\\n' {mark} \"$?\"");
    format!("sh -c {}", quoted(&script))
}

/// One word in single quotes, which every shell takes literally.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

impl Runner for Ssh {
    fn run(&self, command: &Command) -> Result<Output, Fault> {
        if command.argv.iter().any(|word| word.contains('\0')) {
            return Err(Fault::harmless(FaultKind::Refused, "a NUL cannot be part of an argument"));
        }
        let mark = format!("phoenix-{}", uuid::Uuid::new_v4().simple());
        let local = Command {
            argv: self.argv(command, &mark),
            stdin: command.stdin.clone(),
            deadline: command.deadline + CONNECT,
            changes: command.changes,
            attended: command.attended,
        };
        let mut output = local::run(&local)?;
        let began = take_what_ssh_said(&mut output.stderr, &mark);
        match status_behind(&mut output.stdout, &mark) {
            Some(status) => {
                output.status = status;
                Ok(output)
            }
            None if began => Err(self.broke(&output, command)),
            None => Err(self.not_run(&output, command)),
        }
    }

    fn place(&self) -> String {
        self.destination.clone()
    }
}

/// Takes the status off the end of the output.
fn status_behind(stdout: &mut Vec<u8>, mark: &str) -> Option<i32> {
    let needle = format!("\n{mark} ");
    let at = stdout.windows(needle.len()).rposition(|window| window == needle.as_bytes())?;
    let status = std::str::from_utf8(&stdout[at + needle.len()..]).ok()?.trim().parse().ok()?;
    stdout.truncate(at);
    Some(status)
}

/// Takes what ssh said before the program began off standard error. Says whether the program began.
fn take_what_ssh_said(stderr: &mut String, mark: &str) -> bool {
    let needle = format!("{mark}\n");
    let Some(at) = stderr.find(&needle) else { return false };
    stderr.drain(..at + needle.len());
    true
}

impl Ssh {
    /// Why there is no status, and no word of the program's beginning: the connection was refused, or broke early.
    fn not_run(&self, output: &Output, command: &Command) -> Fault {
        let said = output.stderr.trim();
        let last = last_line(said);
        let place = &self.destination;
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        let never = |kind: FaultKind, what: String, hint: &str| Fault::harmless(kind, what).hint(hint);
        if has(&["Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
            let hint = "connect once with `ssh` by hand and compare the fingerprint with the node's";
            return never(FaultKind::Denied, format!("the host key of {place} is not known or has changed"), hint);
        }
        if has(&["Permission denied ("]) {
            let hint = "put a key of yours into the node's authorized_keys, and load it into your agent";
            return never(FaultKind::Denied, format!("{place} does not let you in: {last}"), hint);
        }
        // ssh says `Connection timed out` of a connection that broke as well: only these tell that none was made.
        if has(&["ssh: Could not resolve hostname", "ssh: connect to host", "during banner exchange"]) {
            let hint = "is the host name right, and does `ssh` reach it by hand?";
            return never(FaultKind::Unreachable, format!("cannot connect to {place}: {last}"), hint);
        }
        self.broke(output, command)
    }

    /// The connection broke while the program ran.
    fn broke(&self, output: &Output, command: &Command) -> Fault {
        let effect = if command.changes { Effect::Maybe } else { Effect::None };
        let what = format!("the connection to {} broke: {}", self.destination, last_line(&output.stderr));
        Fault { effect, ..Fault::harmless(FaultKind::Unreachable, what) }
    }
}

fn last_line(said: &str) -> &str {
    said.trim().lines().last().unwrap_or("ssh said nothing")
}

#[cfg(test)]
mod tests {
    use super::{quoted, remote, status_behind, take_what_ssh_said};

    #[test]
    fn the_status_is_taken_off_the_end() {
        let mut out = b"data\nmark 1\n\nmark 255\n".to_vec();
        assert_eq!(status_behind(&mut out, "mark"), Some(255));
        assert_eq!(out, b"data\nmark 1\n");
        assert_eq!(status_behind(&mut b"cut off".to_vec(), "mark"), None);
    }

    #[test]
    fn what_ssh_said_is_taken_off() {
        for (text, began, rest) in [
            ("BE NICE\nmark\nqm: no\n", true, "qm: no\n"),
            ("mark\n", true, ""),
            ("Permission denied (publickey).\n", false, "Permission denied (publickey).\n"),
        ] {
            let mut stderr = text.to_owned();
            assert_eq!(take_what_ssh_said(&mut stderr, "mark"), began);
            assert_eq!(stderr, rest);
        }
    }

    #[test]
    fn words_are_quoted_once() {
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        let line = remote(&["qm".to_owned(), "set".to_owned(), "a b".to_owned()], false, "m");
        let expected =
            quoted(r#"printf '%s\n' 'm' >&2; env LC_ALL=C.UTF-8 'qm' 'set' 'a b'; printf '\n%s %s\n' 'm' "$?""#);
        assert_eq!(line, format!("sh -c {expected}"));
    }

    /// Anyone but root runs everything through `sudo`, which hands on neither the locale nor an environment.
    #[test]
    fn sudo_stands_before_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let sudo = dir.path().join("sudo");
        let text = "#!/bin/sh\n[ \"$1 $2\" = '-n --' ] || exit 9\nshift 2\nexec env -i PATH=\"$PATH\" \"$@\"\n";
        // Another process writes it: a child of another test's thread would inherit the open file, which keeps it from
        // being run.
        let write = std::process::Command::new("sh")
            .args(["-c", "printf %s \"$2\" >\"$1\" && chmod 755 \"$1\"", "sh"])
            .arg(&sudo)
            .arg(text)
            .status();
        assert!(write.unwrap().success());
        let argv = ["/bin/sh", "-c", "echo $LC_ALL \"$1\"", "name", "it's $HOME"].map(ToOwned::to_owned);
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let line = remote(&argv, true, "mark");
        let output = std::process::Command::new("sh").args(["-c", &line]).env("PATH", path).output().unwrap();
        let mut stdout = output.stdout;
        assert_eq!(status_behind(&mut stdout, "mark"), Some(0));
        assert_eq!(String::from_utf8_lossy(&stdout), "C.UTF-8 it's $HOME\n");
    }

    proptest::proptest! {
        /// Whatever a word holds, the shell hands it to the program as it was.
        #[test]
        fn a_shell_reads_back_what_was_quoted(words in proptest::collection::vec("[^\0]{0,40}", 1..4)) {
            let mut argv = vec!["printf".to_owned(), "%s\\0".to_owned()];
            argv.extend(words.iter().cloned());
            let line = remote(&argv, false, "mark");
            let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            let mut stdout = output.stdout;
            proptest::prop_assert_eq!(status_behind(&mut stdout, "mark"), Some(0));
            let expected = words.join("\0") + "\0";
            proptest::prop_assert_eq!(String::from_utf8_lossy(&stdout), expected);
        }
    }
}
