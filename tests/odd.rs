//! Configuration files of every kind that Proxmox and administrators write: snapshots, special sections, keys of older
//! versions, odd property strings, text of any form. A change of the memory changes the line of the memory and
//! phoenix's record, and every other byte stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A stopped VM on an embedded node, as phoenix made it.
struct Node {
    dir: TempDir,
    /// Its configuration file, and what phoenix wrote into it.
    conf: PathBuf,
    made: Vec<u8>,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join(".phoenix/node/qemu-server/1000.conf");
        let mut node = Self { dir, conf, made: Vec::new() };
        node.declare(2048);
        let applied = node.phoenix(&["apply", "--auto-approve"]);
        assert!(applied.status.success(), "{applied:?}");
        node.made = fs::read(&node.conf).unwrap();
        // What another VM has is no matter of this one.
        fs::write(node.conf.with_file_name("1001.conf"), b"#K\xfcche\nname: other\nmemory: 512\n").unwrap();
        node
    }

    fn declare(&self, memory: u32) {
        let vm = format!(r#"{{ "vm_id": 1000, "vm_name": "web", "memory_mb": {memory}, "started": false }}"#);
        let config = format!(r#"{{ "virtual_machines": [{vm}] }}"#);
        fs::write(self.dir.path().join("phoenix_vm_configs.json"), config).unwrap();
    }

    fn phoenix(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        command.args(words).current_dir(self.dir.path()).env_remove("PHOENIX_TARGET").output().unwrap()
    }
}

/// The lines of a file, ends of lines included, without the memory of the VM itself and without phoenix's record.
fn foreign(bytes: &[u8]) -> Vec<String> {
    let mut section = false;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).into_owned());
    let kept = lines.filter(|line| {
        section |= line.starts_with('[');
        !line.starts_with("#<!-- phoenix ") && (section || !line.starts_with("memory: "))
    });
    kept.collect()
}

#[test]
fn what_is_not_phoenix_s_stays_byte_for_byte() {
    let node = Node::new();
    let cases = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/odd")).unwrap();
    let mut cases: Vec<PathBuf> = cases.map(|case| case.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 40, "{cases:?}");
    node.declare(2304);
    for case in cases {
        let name = case.file_stem().unwrap().to_str().unwrap();
        let (mut odd, mut marked) = (Vec::new(), 0);
        for line in fs::read(&case).unwrap().split_inclusive(|byte| *byte == b'\n') {
            let mark = line == b"@base\n";
            marked += u32::from(mark);
            odd.extend_from_slice(if mark { &node.made } else { line });
        }
        assert_eq!(marked, 1, "{name}");
        fs::write(&node.conf, &odd).unwrap();
        let applied = node.phoenix(&["apply", "--auto-approve"]);
        assert!(applied.status.success(), "{name}: {}", String::from_utf8_lossy(&applied.stderr));
        let after = fs::read(&node.conf).unwrap();
        assert!(after.split(|byte| *byte == b'\n').any(|line| line == b"memory: 2304"), "{name}: {after:?}");
        assert_eq!(foreign(&after), foreign(&odd), "{name}");
        let again = node.phoenix(&["plan", "--detailed-exitcode"]);
        assert_eq!(again.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&again.stdout));
    }
}
