//! Snippets on the node: the texts that Proxmox gives cloud-init whole.
//!
//! The directory is the node's own, and no guest can write there; still nothing is followed that is a link.

use std::time::Duration;

use super::super::runner::Command;
use super::{Qm, script};
use crate::hypervisor::{Fault, FaultKind, written};
use crate::model::DataText;

/// `phoenix-write-snippet DIRECTORY NAME`: replaces the file with what stands on standard input, for root alone: a line
/// with its size in bytes, and the text. A lost connection ends the input before all of it came.
const WRITE: &str = r#"set -eu
dir=$1 name=$2
umask 022
[ ! -L "$dir" ] || { echo "$dir is reached through a symbolic link: it is one" >&2; exit 3; }
# Another VM's first snippet may make it in this moment.
[ -d "$dir" ] || mkdir -- "$dir" || [ -d "$dir" ]
cd -P -- "$dir"
umask 077
rm -f -- ".$name.new"
# Secrets may stand in what was written so far.
trap 'rm -f -- ".$name.new"' EXIT
trap 'exit 1' HUP INT TERM
set -C
IFS= read -r size
cat >".$name.new"
came=$(wc -c <".$name.new")
[ "$came" -eq "$size" ] || { echo "$dir/$name: $came of $size bytes came, and nothing was replaced" >&2; exit 1; }
mv -T -- ".$name.new" "$name"
"#;

/// `phoenix-remove-snippet DIRECTORY NAME`: removes the file, and what a write that was interrupted left of it.
const REMOVE: &str = r#"set -eu
[ -d "$1" ] || exit 0
[ ! -L "$1" ] || { echo "$1 is reached through a symbolic link: it is one" >&2; exit 3; }
cd -P -- "$1"
rm -f -- ".$2.new"
if [ -e "./$2" ] || [ -L "./$2" ]; then unlink "./$2"; fi
"#;

impl Qm {
    pub(super) fn write_snippet(&self, path: &str, text: &DataText, deadline: Duration) -> Result<(), Fault> {
        let text = written(text)?;
        let (dir, name) = self.parted(path)?;
        let argv = script("phoenix-write-snippet", WRITE, &[&dir, &name]);
        let stdin = format!("{}\n{text}", text.len()).into_bytes();
        let command = Command { stdin, ..Command::change(argv, deadline) };
        self.run(&command).map(|_| ())
    }

    pub(super) fn remove_snippet(&self, path: &str, deadline: Duration) -> Result<(), Fault> {
        let (dir, name) = self.parted(path)?;
        let argv = script("phoenix-remove-snippet", REMOVE, &[&dir, &name]);
        self.run(&Command::change(argv, deadline)).map(|_| ())
    }

    /// The directory and the name of a file on the node.
    fn parted(&self, path: &str) -> Result<(String, String), Fault> {
        let parted = path.rsplit_once('/').filter(|(dir, name)| !dir.is_empty() && !name.is_empty());
        let (dir, name) = parted.ok_or_else(|| {
            Fault::harmless(FaultKind::Refused, format!("`{path}` does not name a file in a directory"))
        })?;
        self.on_node(path)?;
        Ok((self.on_node(dir)?, name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::WRITE;

    #[test]
    fn what_did_not_come_whole_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("snippets");
        let write = |input: &str| {
            let mut program = Command::new("/bin/sh");
            program.args(["-c", WRITE, "phoenix-write-snippet"]).arg(&dir).arg("a.yaml");
            let mut child = program.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            child.wait().unwrap().success()
        };
        let there = || fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        for (input, is_whole, text) in
            [("8\na: 1\nb\n\n", true, "a: 1\nb\n\n"), ("0\n", true, ""), ("3\n\u{e9}\n", true, "\u{e9}\n")]
                .into_iter()
                .chain(["", "8", "8\n", "8\na: 1\n", "8\na: 1\nb\n\nc", "x\na"].map(|cut| (cut, false, "\u{e9}\n")))
        {
            assert_eq!(write(input), is_whole, "{input:?}");
            assert_eq!(there(), ["a.yaml"], "{input:?}");
            assert_eq!(fs::read_to_string(dir.join("a.yaml")).unwrap(), text, "{input:?}");
        }
    }
}
