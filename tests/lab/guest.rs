//! A guest as it is: its own agent, asked without phoenix.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

/// A conversation with the agent of a guest.
pub(crate) struct Guest {
    to: UnixStream,
    from: BufReader<UnixStream>,
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: i64,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Guest {
    /// The guest of a VM of the node in this directory. Its agent answers already.
    #[track_caller]
    pub(crate) fn of(node: &Path, vm: u32) -> Self {
        let to = UnixStream::connect(node.join(format!("qemu/{vm}/agent"))).unwrap();
        to.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let from = BufReader::new(to.try_clone().unwrap());
        let mut guest = Self { to, from };
        let id = u64::from(std::process::id());
        guest.say(&json!({ "execute": "guest-sync", "arguments": { "id": id } }));
        // Answers to whoever asked before come first.
        while guest.hear()["return"] != json!(id) {}
        guest
    }

    /// Runs a shell's text in the guest, to its end.
    #[track_caller]
    pub(crate) fn sh(&mut self, text: &str) -> Ended {
        let order = json!({ "path": "/bin/sh", "arg": ["-c", text], "capture-output": true });
        let pid = self.call("guest-exec", &order)["pid"].clone();
        loop {
            let status = self.call("guest-exec-status", &json!({ "pid": pid }));
            if status["exited"] == json!(true) {
                let text = |key: &str| {
                    let bytes = BASE64.decode(status[key].as_str().unwrap_or_default().as_bytes()).unwrap();
                    String::from_utf8_lossy(&bytes).into_owned()
                };
                let (out, err) = (text("out-data"), text("err-data"));
                return Ended { code: status["exitcode"].as_i64().unwrap_or(-1), out, err };
            }
            sleep(Duration::from_millis(100));
        }
    }

    /// What a shell's text prints that must succeed, without white space around it.
    #[track_caller]
    pub(crate) fn tells(&mut self, text: &str) -> String {
        let ended = self.sh(text);
        assert_eq!(ended.code, 0, "{text}: {ended:?}");
        ended.out.trim().to_owned()
    }

    #[track_caller]
    fn call(&mut self, command: &str, arguments: &Value) -> Value {
        self.say(&json!({ "execute": command, "arguments": arguments }));
        let mut answer = self.hear();
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer["return"].take()
    }

    #[track_caller]
    fn say(&mut self, message: &Value) {
        self.to.write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    #[track_caller]
    fn hear(&mut self) -> Value {
        let mut line = Vec::new();
        assert_ne!(self.from.read_until(b'\n', &mut line).unwrap(), 0, "the agent went away");
        let text: Vec<u8> = line.into_iter().filter(|byte| *byte != 0xFF).collect();
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&text)))
    }
}
