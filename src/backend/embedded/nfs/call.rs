//! One question to an NFS server: whether it is there and serves NFS 4.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// What a port of the loopback interface has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// An NFS server that speaks version 4.
    Serves,
    /// No process listens.
    Refused,
    /// A process listens and does not answer within the time, or not as such a server does.
    Silent,
}

/// Program number of NFS, and its version (RFC 7531).
const NFS: [u32; 2] = [100_003, 4];

/// Calls the procedure that does nothing, by the remote procedure calls of RFC 5531 over TCP.
pub(super) fn null(port: u16, time: Duration) -> Answer {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = match TcpStream::connect_timeout(&address, time) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Answer::Refused,
        Err(_) => return Answer::Silent,
    };
    let id = uuid::Uuid::new_v4().as_fields().0;
    // Call, version 2 of the protocol; the procedure 0; no credentials, no verifier.
    let call = [id, 0, 2, NFS[0], NFS[1], 0, 0, 0, 0, 0];
    // The answer's id; that it is one; accepted; no verifier; success.
    let expected = [LAST + 24, id, 1, 0, 0, 0, 0];
    let mut asked = || {
        stream.set_read_timeout(Some(time))?;
        stream.set_write_timeout(Some(time))?;
        stream.write_all(&words(&[&[LAST + 40], &call[..]].concat()))?;
        let mut answer = [0; 28];
        stream.read_exact(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    match asked() {
        Ok(answer) if answer[..] == words(&expected) => Answer::Serves,
        Ok(_) | Err(_) => Answer::Silent,
    }
}

/// Marks the last fragment of a message, in front of its length.
const LAST: u32 = 1 << 31;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}
