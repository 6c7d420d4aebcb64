//! Programs within phoenix' own scripts on the node. They do what they always do; the failures that are scripted for
//! the operation that the script carries out happen to the one on which it hangs.

use std::os::unix::process::parent_id;
use std::process::Command;

use phoenix::hypervisor::{Fault, FaultKind, FileOp, HostOp};
use phoenix::model::{CloudImage, Snippet, VmId};

use crate::Node;
use crate::answer::Answer;

/// The program that looks at an image does not say for which VM. In tests it is this one.
const MADE_FROM_AN_IMAGE: u32 = 1000;

/// `mkdir`, `sha256sum`, `sha512sum` or `exportfs`.
pub(crate) fn run(node: &Node, program: &str, words: &[&str]) -> Answer {
    let carry_out = || match program {
        "exportfs" => tell_server(node).map_err(|error| Fault::harmless(FaultKind::Failed, error.to_string())),
        _ => real(program, words),
    };
    let done = match operation(node, program, words) {
        Some(Op::Host(op)) => node.did(node.core.rehearse(&op, carry_out)),
        Some(Op::Files(op)) => node.did(node.core.rehearse_files(&op, carry_out)),
        None => carry_out(),
    };
    done.map_or_else(
        |fault| Answer { err: format!("{}\n", fault.what), status: 1, ..Answer::default() },
        |()| Answer::default(),
    )
}

/// What the server would be told to export, for tests to read.
fn tell_server(node: &Node) -> std::io::Result<()> {
    let mut told = String::new();
    for entry in std::fs::read_dir(node.dir.join("root/etc/exports.d")).into_iter().flatten() {
        let path = entry?.path();
        if path.extension().is_some_and(|is| is == "exports") {
            told.push_str(&std::fs::read_to_string(path)?);
        }
    }
    std::fs::write(node.dir.join("tmp/exported"), told)
}

/// Runs the program that this one stands for.
fn real(program: &str, words: &[&str]) -> Result<(), Fault> {
    let failed = |why: String| Fault::uncertain(FaultKind::Failed, format!("{program}: {why}"));
    let status =
        Command::new(format!("/bin/{program}")).args(words).status().map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}

enum Op {
    Host(HostOp),
    Files(FileOp),
}

/// The operation of the script that calls, if it hangs on this call: `/bin/sh -c TEXT NAME ARGUMENT…`.
fn operation(node: &Node, program: &str, words: &[&str]) -> Option<Op> {
    let line = std::fs::read(format!("/proc/{}/cmdline", parent_id())).ok()?;
    let line = String::from_utf8(line).ok()?;
    let script: Vec<&str> = line.split_terminator('\0').skip(3).collect();
    let root = node.dir.join("root").to_str()?.to_owned();
    match (program, script.as_slice()) {
        // It goes down step by step and hangs on the last.
        ("mkdir", ["phoenix-directory", _, path]) if words.last()?.strip_prefix("./") == path.rsplit('/').next() => {
            Some(Op::Files(FileOp::MakeDirectory { path: path.strip_prefix(&root)?.to_owned() }))
        }
        ("sha256sum" | "sha512sum", ["phoenix-fetch-image", _, source, digest, _]) => {
            let (source, digest) = ((*source).to_owned(), Some((*digest).to_owned()));
            let image = if program == "sha256sum" {
                CloudImage { source, sha256: digest, sha512: None }
            } else {
                CloudImage { source, sha256: None, sha512: digest }
            };
            Some(Op::Host(HostOp::FetchImage { vm: VmId::try_from(MADE_FROM_AN_IMAGE).ok()?, image }))
        }
        ("mv", ["phoenix-write-snippet", dir, file]) => {
            let (vm, path) = (snippet_of(file)?, format!("{}/{file}", dir.strip_prefix(&root)?));
            Some(Op::Files(FileOp::WriteSnippet { vm, path, text: "".into() }))
        }
        ("unlink", ["phoenix-remove-snippet", dir, file]) => {
            let (vm, path) = (snippet_of(file)?, format!("{}/{file}", dir.strip_prefix(&root)?));
            Some(Op::Files(FileOp::RemoveSnippet { vm, path }))
        }
        ("exportfs", ["phoenix-exports", _, file, ..]) => {
            let vm: VmId = file.strip_prefix("phoenix-")?.strip_suffix(".exports")?.parse().ok()?;
            Some(Op::Files(FileOp::WriteExports { vm, entries: Vec::new() }))
        }
        _ => None,
    }
}

/// The VM of a snippet, by its file name.
fn snippet_of(file: &str) -> Option<VmId> {
    Snippet::parse(&Snippet::volume("local", file)).map(|snippet| snippet.vm)
}
