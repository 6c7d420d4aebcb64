//! The commands that a plan stands for: pairs under `fixtures/qm/`, reviewed as text.
//!
//! A case is a directory: `config.json`, `VMID.conf` for each VM that is there (`VMID.running.conf` for one that runs)
//! on top of a fresh node, `args` with more arguments if there are any, and `commands.txt`: what `phoenix plan
//! --commands` prints below the plan, the texts of the scripts for guests and the digests of what is staged left out.
//! `exports` is what the node exports, if it exports anything. `SNAPSHOTS=overwrite cargo test --test golden` rewrites
//! the last.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use phoenix::backend::embedded::Embedded;

/// Digits of the digest of a script or another file, as a record notes it.
const CONTENT_DIGEST: usize = 32;

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/qm")).unwrap();
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    assert!(cases.len() >= 12, "the cases are gone");
    cases
}

/// The commands as they are printed.
fn commands(case: &Path) -> String {
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("node");
    Embedded::open(&node).unwrap();
    for entry in fs::read_dir(case).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".conf") else { continue };
        let id = name.strip_suffix(".running").unwrap_or(name);
        fs::copy(&path, node.join(format!("qemu-server/{id}.conf"))).unwrap();
        if id != name {
            fs::write(node.join("run").join(id), "0").unwrap();
        }
    }
    if case.join("exports").is_file() {
        fs::create_dir_all(node.join("root/etc")).unwrap();
        fs::copy(case.join("exports"), node.join("root/etc/exports")).unwrap();
    }
    fs::copy(case.join("config.json"), dir.path().join("config.json")).unwrap();
    let more = fs::read_to_string(case.join("args")).unwrap_or_default();
    let mut phoenix = Command::new(env!("CARGO_BIN_EXE_phoenix"));
    phoenix.args(["plan", "--commands", "--config", "config.json", "--target", "embedded:node"]);
    phoenix.args(more.split_whitespace()).current_dir(dir.path()).env_remove("PHOENIX_TARGET").stdin(Stdio::null());
    let output = phoenix.output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{}: {out}{err}", case.display());
    let at = out.find("\n# ").unwrap_or_else(|| panic!("{}: no commands in\n{out}{err}", case.display()));
    out[at + 1..].to_owned()
}

/// Leaves the texts of the scripts out: they are phoenix's own and the same in every case.
fn without_scripts(commands: &str) -> String {
    let (mut out, mut rest) = (String::new(), commands);
    while let Some(at) = rest.find("\nphoenix_") {
        let text = rest[at..].find("='").map(|equals| at + equals + 2).unwrap();
        out.push_str(&rest[..text]);
        out.push_str("<its text>'");
        let mut end = text;
        // A quote inside is written as `'\''`.
        loop {
            end += rest[end..].find('\'').unwrap();
            match rest[end..].strip_prefix(r"'\''") {
                Some(after) => end = rest.len() - after.len(),
                None => break,
            }
        }
        rest = &rest[end + 1..];
    }
    out + rest
}

/// Digests of contents change with phoenix's own scripts.
fn without_digests(commands: &str) -> String {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let (mut out, mut rest) = (String::new(), commands);
    while let Some(at) = rest.find(hex) {
        let (before, from) = rest.split_at(at);
        let (run, after) = from.split_at(from.find(|c| !hex(c)).unwrap_or(from.len()));
        out.extend([before, if run.len() == CONTENT_DIGEST && !before.ends_with("\\u") { "<digest>" } else { run }]);
        rest = after;
    }
    out + rest
}

#[test]
fn a_plan_gives_its_commands() {
    for case in cases() {
        let shown = without_digests(&without_scripts(&commands(&case)));
        snapbox::assert_data_eq!(shown, snapbox::Data::read_from(&case.join("commands.txt"), None).raw());
    }
}

#[test]
fn bash_understands_the_commands() {
    for case in cases() {
        let text = commands(&case);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{}", case.display());
        let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        bash.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = bash.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{}: {said}", case.display());
    }
}
