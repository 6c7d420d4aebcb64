//! The doubles of a node behind a real ssh server.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use phoenix::backend::qm::{Layout, Qm};
use phoenix::backend::runner::{Sockets, Ssh};

use crate::doubles::Doubles;
use crate::node::{Node, server};

/// Runs the ignored test `other_side` of this program in a process of its own, which finds the node by [`target`]: only
/// a process of its own can have another `ssh` in its PATH.
#[track_caller]
pub(crate) fn other_side(node: &Path, doubles: &Doubles) {
    let place = Node::with(&["sockets"]);
    for program in doubles.bin().read_dir().unwrap() {
        let program = program.unwrap();
        symlink(program.path(), place.path("bin").join(program.file_name())).unwrap();
    }
    let server = server(&place, &place.search_path());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "other_side", "--ignored", "--nocapture"]).env("PATH", place.search_path());
    child.env("PHOENIX_TEST_NODE", node.canonicalize().unwrap()).env("PHOENIX_TEST_PORT", server.port.to_string());
    let output = child.env("PHOENIX_TEST_SOCKETS", place.path("sockets")).stdin(Stdio::null()).output().unwrap();
    let path = format!("ControlPath={}", place.path("sockets/%C").display());
    let mut ssh = Command::new(place.path("bin/ssh"));
    ssh.args(["-O", "exit", "-p", &server.port.to_string(), "-o", &path, "127.0.0.1"]).stderr(Stdio::null());
    let _ = ssh.status().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let all = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{all}");
}

/// The node's directory, and the node as it is reached through ssh; `None` but in a process of [`other_side`].
pub(crate) fn target() -> Option<(PathBuf, Qm)> {
    let variable = |name: &str| std::env::var_os(format!("PHOENIX_TEST_{name}"))?.into_string().ok();
    let (node, port, sockets) = (variable("NODE")?, variable("PORT")?, variable("SOCKETS")?);
    let ssh = Ssh::new(None, "127.0.0.1", Some(port.parse().unwrap()), Sockets::At(sockets.into()));
    let layout = Layout { pve: node.clone(), root: format!("{node}/root") };
    Some((node.into(), Qm::new(Box::new(ssh), layout)))
}
