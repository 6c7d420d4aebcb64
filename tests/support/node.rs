//! A directory that stands for a Proxmox VE node, and an ssh server that leads to it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::executable::executable;

/// A directory with programs that answer as Proxmox' do.
pub(crate) struct Node {
    pub(crate) dir: TempDir,
}

impl Node {
    /// A node with empty directories.
    pub(crate) fn with(directories: &[&str]) -> Self {
        let node = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(node.path("bin")).unwrap();
        for path in directories {
            fs::create_dir_all(node.path(path)).unwrap();
        }
        node
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A program of the node. Each call is noted in `calls`.
    pub(crate) fn program(&self, name: &str, text: &str) {
        let path = self.path(&format!("bin/{name}"));
        let node = self.dir.path().display();
        executable(&path, &format!("#!/bin/sh\nnode={node}\necho \"{name} $*\" >>\"$node/calls\"\n{text}\n"));
    }

    pub(crate) fn search_path(&self) -> String {
        format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", self.path("bin").display())
    }
}

/// A real ssh server on a loopback port, which ends with the test.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn key(path: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status().unwrap();
    assert!(made.success());
}

/// How often a server is started anew whose port another process took first.
const PORTS: usize = 10;

/// Starts a server on a port that was free a moment ago. `None`: another process has taken it.
fn listening(node: &Node, search_path: &str) -> Option<Server> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = node.dir.path().display();
    node.write(
        "sshd_config",
        &format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {dir}/host_key\nAuthorizedKeysFile {dir}/authorized_keys\n\
             StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin yes\nBanner {dir}/banner\n\
             SetEnv PATH={search_path} HOME={dir}\n"
        ),
    );
    let child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(node.path("sshd_config"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Server { child, port };
    let mut lines = BufReader::new(server.child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut said = Vec::new();
    while let Some(line) = lines.next() {
        if line.contains("Server listening") {
            // Whatever it says later is read, or it would stop at a full pipe.
            std::thread::spawn(move || lines.for_each(drop));
            return Some(server);
        }
        said.push(line);
    }
    assert!(said.iter().any(|line| line.contains("Address already in use")), "sshd did not start: {said:?}");
    None
}

/// Starts a server that lets the key of the node's directory in, and a client configuration that uses it. Programs
/// behind it have this PATH.
pub(crate) fn server(node: &Node, search_path: &str) -> Server {
    key(&node.path("host_key"));
    key(&node.path("user_key"));
    fs::copy(node.path("user_key.pub"), node.path("authorized_keys")).unwrap();
    let dir = node.dir.path().display();
    // What ssh shows before a program begins is no word of the program's.
    node.write("banner", "Permission denied to strangers.\n");
    // The server insists on this directory when root starts it.
    let _ = fs::create_dir_all("/run/sshd");
    let server = (0..PORTS).find_map(|_| listening(node, search_path)).expect("a port for sshd");
    let port = server.port;
    let public = fs::read_to_string(node.path("host_key.pub")).unwrap();
    node.write("known_hosts", &format!("[127.0.0.1]:{port} {public}"));
    node.write(
        "ssh_config",
        &format!("IdentityFile {dir}/user_key\nIdentitiesOnly yes\nUserKnownHostsFile {dir}/known_hosts\n"),
    );
    node.program("ssh", &format!("exec /usr/bin/ssh -F {dir}/ssh_config \"$@\""));
    server
}
