//! The guest agent's own socket on the node: `/run/qemu-server/VMID.qga`, which root may use beside Proxmox.
//!
//! A question through it takes milliseconds; each `qm agent` and `qm guest exec` takes most of a second of the node's
//! processor only to start (recorded). The node's own perl carries a question there and its answer back, the same on
//! the node and through ssh.

use std::time::Duration;

use serde_json::Value;

use super::super::agent::{self, Ask};
use super::super::runner::Command;
use super::{Qm, answer};
use crate::hypervisor::{Effect, Fault, FaultKind, Hypervisor as _};
use crate::model::VmId;

/// `perl -e RELAY SOCKET NUMBER SYNC SECONDS MOST`: reads two lines, a synchronisation with the NUMBER and a question;
/// asks, and prints the line of the answer.
///
/// It waits SYNC seconds for the agent and SECONDS for all of it, takes at most MOST bytes, and closes at once: as long
/// as it is connected, Proxmox does not reach the agent. The question is sent only to an agent that answered: what
/// waits unread would be carried out whenever the agent comes. It ends with 3 where there is no such socket, with 4 if
/// the agent does not answer, with 5 if it stopped answering, with 6 if it says too much.
const RELAY: &str = r#"use strict;
use Socket;
my ($path, $number, $sync, $seconds, $most) = @ARGV;
binmode STDIN;
binmode STDOUT;
my $greeting = <STDIN>;
my $question = <STDIN>;
sub done { my ($status, $why) = @_; print STDERR "$why\n"; exit $status; }
my $late = 4;
$SIG{ALRM} = sub { done($late, "no answer in time") };
$SIG{PIPE} = 'IGNORE';
alarm $sync;
socket(my $agent, PF_UNIX, SOCK_STREAM, 0) or done(7, "socket: $!");
connect($agent, pack_sockaddr_un($path)) or done($!{ENOENT} || $!{ECONNREFUSED} ? 3 : 7, "$path: $!");
sub say_it {
  my $text = shift;
  while (length $text) {
    my $sent = syswrite($agent, $text);
    defined $sent or done($late, "the connection broke: $!");
    substr($text, 0, $sent) = '';
  }
}
my $heard = '';
sub line {
  while ((my $end = index($heard, "\n")) < 0) {
    length $heard <= $most or done(6, "an answer of more than $most bytes");
    my $got = sysread($agent, $heard, 65536, length $heard);
    defined $got && $got > 0 or done($late, "the connection was closed");
  }
  my $line = substr($heard, 0, index($heard, "\n") + 1, '');
  return $line;
}
say_it("\xFF$greeting");
for (;;) {
  my $line = line();
  $line =~ s/^.*\xFF//s;
  last if $line =~ /^\s*\{\s*"return"\s*:\s*\Q$number\E\s*\}/;
}
$late = 5;
alarm $seconds;
say_it($question);
print line();
"#;

/// How long the agent has to answer at all, in seconds. A running one needs milliseconds (recorded, on emulated
/// guests).
const SYNC: u32 = 3;

/// How long it has for its answer, in seconds: three megabytes of output took 18 (recorded).
const SECONDS: u32 = 45;

/// Longest answer in bytes.
const MOST: u32 = 8 << 20;

/// How long all of it may take, with the connection to the node.
const CALL: Duration = Duration::from_mins(1);

/// How often a VM that moved is asked where it is now: for half a second its new node may not know it yet (recorded).
const LATE: u32 = 3;

/// How long to wait in between.
const PAUSE: Duration = Duration::from_secs(1);

/// The agent of one VM.
struct Socket<'q> {
    qm: &'q Qm,
    vm: VmId,
    /// The socket cannot be used, for this reason.
    unusable: bool,
}

impl Ask for Socket<'_> {
    fn ask(&mut self, question: &Value) -> Result<Value, Fault> {
        let (id, greeting) = agent::synchronisation();
        let path = format!("{}/run/qemu-server/{}.qga", self.qm.layout.root, self.vm);
        let numbers = [id, SYNC.into(), SECONDS.into(), MOST.into()].map(|number| number.to_string());
        let mut argv = ["perl", "-e", RELAY, &path].map(ToOwned::to_owned).to_vec();
        argv.extend(numbers);
        let command =
            Command { stdin: format!("{greeting}\n{question}\n").into_bytes(), ..Command::change(argv, CALL) };
        let output = match self.qm.runner.run(&command) {
            Err(fault) if fault.kind == FaultKind::Missing => {
                self.unusable = true;
                return Err(fault);
            }
            run => run?,
        };
        match output.status {
            0 => serde_json::from_slice(&output.stdout).map_err(|error| agent::garbled(&error.to_string())),
            4 => Err(agent::down()),
            5 => Err(agent::lost(output.stderr.trim())),
            6 => Err(agent::garbled(output.stderr.trim())),
            128.. => Err(answer::fault(&command, &output)),
            _ => {
                self.unusable = true;
                Err(answer::fault(&command, &output))
            }
        }
    }
}

impl Qm {
    /// Asks the agent of a VM through its socket, or, where that cannot be used, through Proxmox's programs:
    /// `through_qm`. The socket of one on another node is there. A VM that another process or the HA manager moved
    /// meanwhile is asked where it is now.
    pub(super) fn ask<T>(
        &self,
        vm: VmId,
        question: impl Fn(&mut dyn Ask) -> Result<T, Fault>,
        through_qm: impl Fn() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut left = LATE;
        loop {
            match self.ask_where_it_was(vm, &question, &through_qm) {
                Err(fault) if left > 0 && fault.kind == FaultKind::Missing && fault.effect == Effect::None => {
                    let (place, uuid) = (self.seen.place(vm), self.seen.uuid(vm));
                    // A node that stands alone notes none. What the look says of another VM is not what was asked.
                    let is_same = || matches!(self.vm(vm), Ok(Some(_))) && self.seen.uuid(vm) == uuid;
                    // Only where it has just arrived may be late to know it.
                    if uuid.is_none() || !is_same() || (left == LATE && place == self.seen.place(vm)) {
                        return Err(fault);
                    }
                    if left < LATE {
                        std::thread::sleep(PAUSE);
                    }
                    left -= 1;
                }
                result => return result,
            }
        }
    }

    fn ask_where_it_was<T>(
        &self,
        vm: VmId,
        question: &dyn Fn(&mut dyn Ask) -> Result<T, Fault>,
        through_qm: &dyn Fn() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.seen.node(vm).is_some() {
            return through_qm();
        }
        let mut socket = Socket { qm: self, vm, unusable: false };
        match question(&mut socket) {
            Err(_) if socket.unusable => through_qm(),
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;
    use std::thread;

    use super::super::super::agent::{exec, exec_status, ping};
    use super::*;
    use crate::backend::qm::Layout;
    use crate::backend::runner::Local;
    use crate::hypervisor::{Effect, GuestStatus};

    /// An agent on a socket below `root`, whose answers to all but the synchronisation are these, in turn; without any
    /// left it hangs up.
    fn agent(root: &Path, before: &'static [u8], answers: &'static [&'static str]) -> thread::JoinHandle<Vec<String>> {
        let dir = root.join("run/qemu-server");
        std::fs::create_dir_all(&dir).unwrap();
        let listener = UnixListener::bind(dir.join("1000.qga")).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(before).unwrap();
            let mut heard = Vec::new();
            let mut answers = answers.iter();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut delimiter = [0];
            lines.read_exact(&mut delimiter).unwrap();
            assert_eq!(delimiter, [agent::DELIMITER]);
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                let order: Value = serde_json::from_str(&line).unwrap();
                match order["arguments"]["id"].as_u64() {
                    Some(id) => write(&mut stream, &[b"\xFF", format!("{{\"return\": {id}}}\n").as_bytes()].concat()),
                    None => match answers.next() {
                        Some(answer) => write(&mut stream, format!("{answer}\n").as_bytes()),
                        None => break,
                    },
                }
                heard.push(std::mem::take(&mut line));
            }
            heard
        })
    }

    /// The other side may be gone already.
    fn write(stream: &mut UnixStream, bytes: &[u8]) {
        let _ = stream.write_all(bytes);
    }

    fn node(root: &Path) -> Qm {
        let root = root.to_str().unwrap().to_owned();
        Qm::new(Box::new(Local), Layout { pve: root.clone(), root })
    }

    fn asked<T>(root: &Path, question: impl Fn(&mut dyn Ask) -> Result<T, Fault>) -> Result<T, Fault> {
        let vm = VmId::try_from(1000).unwrap();
        node(root).ask(vm, question, || Err(Fault::harmless(FaultKind::Missing, "through qm")))
    }

    #[test]
    fn a_question_is_asked_through_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        // What an earlier connection left unread comes first.
        let before = b"{\"return\": 7}\n{\"error\": {\"desc\": \"JSON parse error\"}}\n";
        let served = agent(dir.path(), before, &["{\"return\": {\"pid\": 42}}"]);
        let big = "0123456789abcdef".repeat(20_000);
        let argv = ["/bin/sh".to_owned(), "a \"b\" \u{fc}\u{20ac}\u{1f600}".to_owned()];
        assert_eq!(asked(dir.path(), |agent| exec(agent, &argv, big.as_bytes())).unwrap(), 42);
        let heard = served.join().unwrap();
        let order: Value = serde_json::from_str(&heard[1]).unwrap();
        assert_eq!(order["execute"], "guest-exec");
        assert_eq!(order["arguments"]["arg"][0], argv[1]);
        assert_eq!(order["arguments"]["input-data"].as_str().unwrap().len(), big.len().div_ceil(3) * 4);
    }

    #[test]
    fn an_end_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let served =
            agent(dir.path(), b"", &["{\"return\": {\"exited\": true, \"exitcode\": 3, \"out-data\": \"w7wK\"}}"]);
        let GuestStatus::Ended(exit) = asked(dir.path(), |agent| exec_status(agent, 42)).unwrap() else { panic!() };
        assert_eq!((exit.code, exit.out.as_str()), (Some(3), "\u{fc}\n"));
        served.join().unwrap();
    }

    #[test]
    fn an_agent_that_stops_answering_is_down_and_may_have_done_it() {
        let dir = tempfile::tempdir().unwrap();
        let served = agent(dir.path(), b"", &[]);
        let fault = asked(dir.path(), |agent| exec(agent, &["true".to_owned()], b"")).unwrap_err();
        assert_eq!((fault.kind, fault.effect), (FaultKind::AgentDown, Effect::Maybe), "{fault:?}");
        served.join().unwrap();
    }

    #[test]
    fn an_agent_that_never_answers_is_down_and_has_done_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let sockets = dir.path().join("run/qemu-server");
        std::fs::create_dir_all(&sockets).unwrap();
        let listener = UnixListener::bind(sockets.join("1000.qga")).unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut all = Vec::new();
            // To its end: the question must not have come.
            stream.read_to_end(&mut all).unwrap();
            String::from_utf8_lossy(&all).into_owned()
        });
        let fault = asked(dir.path(), |agent| exec(agent, &["true".to_owned()], b"")).unwrap_err();
        assert_eq!((fault.kind, fault.effect), (FaultKind::AgentDown, Effect::None), "{fault:?}");
        let heard = served.join().unwrap();
        assert!(heard.contains("guest-sync-delimited") && !heard.contains("guest-exec"), "{heard}");
    }

    #[test]
    fn an_endless_answer_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let sockets = dir.path().join("run/qemu-server");
        std::fs::create_dir_all(&sockets).unwrap();
        let listener = UnixListener::bind(sockets.join("1000.qga")).unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        });
        let fault = asked(dir.path(), ping).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Garbled, "{fault:?}");
        served.join().unwrap();
    }

    #[test]
    fn without_a_socket_qm_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(asked(dir.path(), ping).unwrap_err().what, "through qm");
        // Nor where a socket is left that no QEMU serves.
        drop(agent_that_ended(dir.path()));
        assert_eq!(asked(dir.path(), ping).unwrap_err().what, "through qm");
    }

    fn agent_that_ended(root: &Path) -> UnixListener {
        let dir = root.join("run/qemu-server");
        std::fs::create_dir_all(&dir).unwrap();
        UnixListener::bind(dir.join("1000.qga")).unwrap()
    }
}
