//! A connection to one of QEMU's sockets, on which both sides speak JSON, a line per message.
//!
//! QEMU serves one client at a time: the next one waits until the one before it has gone. Ours take turns by a lock;
//! other programs may hold the socket as long as they like, and then the call ends with its deadline.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde_json::Value;

use super::super::files::{self, Deadline, Lock, unread};
use crate::hypervisor::{Fault, FaultKind};

/// Longest message. The guest agent keeps 16 MiB of each stream of a program; phoenix's own programs say far less.
const LONGEST: usize = 16 << 20;

/// A connection, with the moment by which everything on it must have happened.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    end: Instant,
    /// What was read and not yet taken.
    read: Vec<u8>,
    _turn: Lock,
}

impl Channel {
    /// Connects to a socket in a directory. `None`: no process listens there.
    pub(super) fn connect(dir: &Path, name: &str, time: Duration) -> Result<Option<Self>, Fault> {
        let end = Instant::now() + time;
        let dialled = dial(dir, name, time)?;
        Ok(dialled.map(|(stream, turn)| Self { stream, end, read: Vec::new(), _turn: turn }))
    }

    /// Sends one message.
    pub(super) fn send(&mut self, message: &Value) -> Result<(), Fault> {
        self.send_bytes(format!("{message}\n").as_bytes())
    }

    /// Sends bytes as they are.
    pub(super) fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let left = self.left()?;
        self.stream.set_write_timeout(Some(left)).map_err(lost)?;
        self.stream.write_all(bytes).map_err(lost)
    }

    /// The next message.
    pub(super) fn receive(&mut self) -> Result<Value, Fault> {
        let line = self.line()?;
        serde_json::from_slice(&line)
            .map_err(|error| Fault::uncertain(FaultKind::Garbled, format!("the answer makes no sense: {error}")))
    }

    /// The next line, without its end.
    pub(super) fn line(&mut self) -> Result<Vec<u8>, Fault> {
        let mut looked = 0;
        loop {
            if let Some(end) = self.read[looked..].iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(looked + end + 1);
                let mut line = std::mem::replace(&mut self.read, rest);
                line.pop();
                return Ok(line);
            }
            looked = self.read.len();
            if looked > LONGEST {
                let what = format!("the answer has more than {} MiB", LONGEST >> 20);
                return Err(Fault::uncertain(FaultKind::Garbled, what));
            }
            let left = self.left()?;
            self.stream.set_read_timeout(Some(left)).map_err(lost)?;
            let mut piece = [0; 16_384];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(Fault::uncertain(FaultKind::Unreachable, "the connection was closed")),
                Ok(count) => self.read.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(error)),
            }
        }
    }

    fn left(&self) -> Result<Duration, Fault> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(late()) } else { Ok(left) }
    }
}

/// Connects to a socket in a directory, when it is our turn. `None`: no process listens there.
pub(super) fn dial(dir: &Path, name: &str, time: Duration) -> Result<Option<(UnixStream, Lock)>, Fault> {
    let end = Instant::now() + time;
    let path = dir.join(name);
    // The path of a socket has 107 bytes at most, and a node may lie deeper: the way there leads through an open file.
    let open = match File::open(dir) {
        Ok(open) => open,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unread(dir)(error)),
    };
    let failed = |error: Errno| unread(&path)(error.into());
    let short = format!("/proc/self/fd/{}/{name}", open.as_raw_fd());
    let address = SocketAddrUnix::new(short).map_err(failed)?;
    let turn = files::lock(&dir.join(format!("{name}.lock")), Deadline::after(time))?;
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(failed)?;
        match connect(&socket, &address) {
            Ok(()) => {
                let stream = UnixStream::from(socket);
                stream.set_nonblocking(false).map_err(unread(&path))?;
                return Ok(Some((stream, turn)));
            }
            Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(None),
            // One connection is served and another waits already.
            Err(Errno::AGAIN) if Instant::now() < end => sleep(Duration::from_millis(20)),
            Err(Errno::AGAIN) => {
                return Err(Fault::harmless(FaultKind::Busy, format!("{}: another process uses it", path.display())));
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

fn late() -> Fault {
    Fault::uncertain(FaultKind::TimedOut, "no answer in time")
}

#[expect(clippy::needless_pass_by_value, reason = "handed over by map_err")]
fn lost(error: std::io::Error) -> Fault {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => late(),
        _ => Fault::uncertain(FaultKind::Unreachable, error.to_string()),
    }
}
