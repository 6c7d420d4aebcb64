//! A double of QEMU's sockets, for tests: a server on a socket of a scratch directory that answers line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

/// What is answered to a line that holds a word.
pub(super) type Says = (&'static str, &'static str);

/// The answer to a line, by the first word that it holds.
pub(super) fn words(says: &[Says], line: &str) -> String {
    let answer = says.iter().find(|(word, _)| line.contains(&format!("\"{word}\"")));
    answer.map_or_else(|| panic!("unexpected: {line}"), |(_, answer)| (*answer).to_owned())
}

pub(super) struct Double {
    dir: TempDir,
    listener: UnixListener,
}

impl Double {
    pub(super) fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join(name)).unwrap();
        Self { dir, listener }
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Ends the server; its socket stays behind.
    pub(super) fn stop(self) -> TempDir {
        self.dir
    }

    /// Serves one client, and returns what it said. A byte 1 in an answer goes out as 0xFF; an empty answer ends the
    /// connection.
    pub(super) fn serve(&self, answer: impl Fn(&str) -> String + Send + 'static) -> JoinHandle<Vec<String>> {
        self.greet("", answer)
    }

    /// Serves one client, as [`Double::serve`] does, and greets it first.
    pub(super) fn greet(
        &self,
        greeting: &'static str,
        answer: impl Fn(&str) -> String + Send + 'static,
    ) -> JoinHandle<Vec<String>> {
        let listener = self.listener.try_clone().unwrap();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            drop(listener);
            let mut heard = Vec::new();
            let mut to = stream.try_clone().unwrap();
            to.write_all(greeting.as_bytes()).unwrap();
            for line in BufReader::new(stream).split(b'\n') {
                let line = String::from_utf8_lossy(&line.unwrap()).trim_start_matches('\u{FFFD}').to_owned();
                let said = answer(&line);
                heard.push(line);
                if said.is_empty() {
                    break;
                }
                let bytes: Vec<u8> = said.bytes().map(|byte| if byte == 1 { 0xFF } else { byte }).collect();
                to.write_all(&bytes).unwrap();
            }
            heard
        })
    }
}
