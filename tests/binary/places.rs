//! How phoenix reaches a node: an embedded one itself; and one like Proxmox through its programs here, or through a
//! real ssh server.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::doubles::Doubles;
use super::node::{self, Node, Server};
use super::support::need;
use super::world::Scene;
use phoenix::backend::embedded::Embedded;
use tempfile::TempDir;

/// What the double of the server was told last.
const EXPORTED: &str = "tmp/exported";

/// How phoenix reaches the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// `embedded:`
    Embedded,
    /// `qm:`
    Here,
    /// `qm+ssh://127.0.0.1:PORT`
    Ssh,
}

/// A scene whose node is reached like that.
pub(crate) struct Reached {
    scene: Scene,
    place: Place,
    /// The programs of the node, where it is one of Proxmox.
    doubles: Option<Doubles>,
    /// Ends with the scene.
    _behind: Option<Connection>,
}

/// An ssh server, and what the client needs.
struct Connection {
    server: Server,
    _node: Node,
    _sockets: TempDir,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Connections outlive their server, and the shared one whoever made it.
        let sessions = Command::new("pgrep").args(["-P", &self.server.child.id().to_string()]).output();
        let sessions = sessions.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let _ = Command::new("kill").arg("-KILL").args(sessions.split_whitespace()).stderr(Stdio::null()).status();
    }
}

impl Place {
    /// Whether this machine has what it takes.
    pub(crate) fn is_possible(self) -> bool {
        self != Self::Ssh || (need("ssh", "openssh-client") && need("sshd", "openssh-server"))
    }

    /// A scene with a config, whose target is such a node.
    pub(crate) fn scene(self, config: &str) -> Reached {
        self.reach(Scene::new(config))
    }

    /// A scene like one whose node is an embedded one, reached like this.
    pub(crate) fn copy_of(self, scene: &Scene) -> Reached {
        self.reach(scene.copy())
    }

    fn reach(self, mut scene: Scene) -> Reached {
        if self == Self::Embedded {
            Embedded::open(&scene.node()).unwrap();
            scene.allow_images();
            return Reached { scene, place: self, doubles: None, _behind: None };
        }
        let doubles = Doubles::new(&scene.node());
        fs::write(scene.node().join(EXPORTED), exports(&scene.node())).unwrap();
        scene.allow_images();
        let root = scene.node().display().to_string();
        let mut environment = vec![("PHOENIX_NODE_ROOT", root)];
        let mut behind = None;
        if self == Self::Ssh {
            let node = Node::with(&[]);
            let server = node::server(&node, &doubles.search_path());
            fs::write(scene.node().join("sshd.pid"), server.child.id().to_string()).unwrap();
            // Not where `TMPDIR` says: the path of a socket must be short.
            let sockets = tempfile::tempdir_in("/tmp").unwrap();
            environment.extend([
                ("PATH", node.search_path()),
                ("XDG_RUNTIME_DIR", sockets.path().display().to_string()),
                ("PHOENIX_TARGET", format!("qm+ssh://127.0.0.1:{}", server.port)),
            ]);
            behind = Some(Connection { server, _node: node, _sockets: sockets });
        } else {
            environment.extend([("PATH", doubles.search_path()), ("PHOENIX_TARGET", "qm:".to_owned())]);
        }
        scene.set_environment(environment);
        Reached { scene, place: self, doubles: Some(doubles), _behind: behind }
    }
}

/// Does something for each case; two at a time, as much of it is waiting.
pub(crate) fn two_at_a_time<T: Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    let left = Mutex::new(cases.iter());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(case) = next else { break };
                    check(case);
                }
            });
        }
    });
}

impl Deref for Reached {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl Reached {
    /// How it is reached.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Waits until nothing that somebody began on the node goes on any more.
    #[track_caller]
    pub(crate) fn settle(&self) {
        let node = self.node().canonicalize().unwrap();
        until("the node is idle", || !is_named_by_a_process(&node));
    }

    /// Waits until a plan is not refused any more because a clone is running.
    #[track_caller]
    pub(crate) fn await_clone(&self) {
        until("the clone ends", || {
            let plan = self.phoenix(&["plan"]);
            let running = plan.err.contains("a clone into this VMID is running");
            assert_eq!(plan.code, Some(i32::from(running)), "{}{}", plan.out, plan.err);
            !running
        });
    }

    /// How many clones the node has carried out.
    pub(crate) fn clones(&self) -> usize {
        let index = fs::read_to_string(self.node().join("tasks/index")).unwrap_or_default();
        index.lines().filter(|line| line.contains(":qmclone:") && line.ends_with(" OK")).count()
    }

    /// Whether the server was told of what the node exports.
    pub(crate) fn is_exported(&self) -> bool {
        let told = fs::read_to_string(self.node().join(EXPORTED)).unwrap_or_default();
        self.doubles.is_none() || told == exports(&self.node())
    }

    /// Environment of what runs here, which takes the place of what it was.
    pub(crate) fn set_environment(&mut self, variables: Vec<(&'static str, String)>) {
        self.scene.set_environment(variables);
    }

    /// Directory of the node's programs, where it is one of Proxmox.
    pub(crate) fn bin(&self) -> Option<PathBuf> {
        self.doubles.as_ref().map(Doubles::bin)
    }

    /// From now on somebody else starts each VM just before phoenix does.
    pub(crate) fn start_twice(&self) {
        let bin = self.doubles.as_ref().unwrap().bin();
        let (qm, own) = (bin.join("qm"), bin.join("qm.own"));
        fs::rename(&qm, &own).unwrap();
        let script = "#!/bin/sh\n[ \"$1\" != start ] || \"$0.own\" \"$@\"\nexec \"$0.own\" \"$@\"\n";
        fs::write(&qm, script).unwrap();
        fs::set_permissions(&qm, fs::metadata(own).unwrap().permissions()).unwrap();
    }

    /// Whether phoenix did what it did with the programs of the node.
    pub(crate) fn was_reached(&self) -> bool {
        let cloned = |call: &Vec<String>| call.starts_with(&["qm".to_owned(), "clone".to_owned()]);
        self.doubles.as_ref().is_some_and(|doubles| doubles.calls().iter().any(cloned))
    }
}

/// Looks until something is so.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < end, "not within a minute: {what}");
        // The machine has better things to do than looking.
        thread::sleep(Duration::from_millis(5));
    }
}

/// What a node exports to its VMs.
fn exports(node: &Path) -> String {
    let files = fs::read_dir(node.join("root/etc/exports.d")).into_iter().flatten();
    let names =
        files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|is| is == "exports"));
    names.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Whether a running process has the path in its arguments.
fn is_named_by_a_process(path: &Path) -> bool {
    let path = path.display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.into_iter().any(|line| String::from_utf8_lossy(&line).contains(&path))
}

/// Tells each story of every place.
macro_rules! stories {
    ($($story:ident,)*) => {$(
        mod $story {
            use crate::places::Place;

            fn told_of(place: Place) {
                if place.is_possible() {
                    super::$story(place);
                }
            }

            #[test]
            fn embedded() {
                told_of(Place::Embedded);
            }

            #[test]
            fn here() {
                told_of(Place::Here);
            }

            #[test]
            fn behind_ssh() {
                told_of(Place::Ssh);
            }
        }
    )*};
}
pub(crate) use stories;
