//! The node's NFS server for real guests: nfs-ganesha, a server in user space.
//!
//! What is served and to whom stands in the node's `etc/exports*`, as on every node; this is `exportfs` and the
//! kernel's server in one. It runs while guests do that use it: the first one that needs it starts it, with the last
//! one it is stopped, as it is by `phoenix node reset`. It listens on the loopback interface of this machine, where a
//! relay brings what a guest sends to the node's address ([`relay`](Nfs::relay)).
//!
//! It has nothing like `subtree_check` of the kernel's server: a file handle of its VFS names an inode of the file
//! system that the directory lies on, and root in a guest that makes up handles may reach all of it. So a directory for
//! guests that are not trusted belongs onto a file system of its own, and so does the node.
//!
//! | in `nfs/` of the node | what it is |
//! |---|---|
//! | `state.json` | its port, and the number of each directory |
//! | `ganesha.conf`, `log`, `pid` | the server's own |
//! | `recovery/` | what it remembers of its clients |

mod call;
mod config;
mod process;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::GuestKind;
use super::files::{self, Deadline, Lock};
use crate::hypervisor::{ExportEntry, Fault, FaultKind};
use crate::model::VmId;
use call::Answer;
use config::{Clients, Served};
use process::SERVER;
use server::{Nfs, TIME, quiet};

/// The program of the relay, and what installs it.
const RELAY: (&str, &str) = ("socat", "`apt install socat`");

/// How long a port that the server had may stay taken after it ended.
const LETS_GO: Duration = Duration::from_secs(1);

/// Ports to choose from. Below those that this machine gives to connections.
const FIRST_PORT: u16 = 12_049;
const PORTS: u16 = 8000;

/// What is kept between calls.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    port: Option<u16>,
    directories: BTreeMap<String, u16>,
}

/// How the server is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NfsState {
    /// No guest has needed it yet, or none does any more.
    Stopped,
    /// It answers on a port of the loopback interface.
    Serves {
        /// Its process.
        pid: u32,
        /// The port.
        port: u16,
    },
    /// It runs and does not answer.
    Silent {
        /// Its process.
        pid: u32,
    },
    /// Guests that use it run, and it does not.
    Died,
}

impl NfsState {
    /// Whether it does not serve what guests use.
    pub(super) fn has_ended(self) -> bool {
        matches!(self, Self::Died | Self::Silent { .. })
    }
}

impl Nfs<'_> {
    /// Why this machine cannot serve files to real guests, with the way out. `None`: it can, or there are none.
    pub(super) fn lacks(&self) -> Option<Fault> {
        if !self.is_meant() {
            return None;
        }
        if !geteuid().is_root() {
            let what = "the node's NFS server needs root, as the files of guests belong to their users";
            let hint = "run phoenix as root, or name another server in the config";
            return Some(Fault::harmless(FaultKind::Denied, what).hint(hint));
        }
        [SERVER, RELAY].into_iter().find_map(|(program, packages)| {
            let asked = quiet(program).arg(if program == SERVER.0 { "-v" } else { "-V" }).status();
            let error = asked.err()?;
            let fault = if error.kind() == ErrorKind::NotFound {
                Fault::harmless(FaultKind::Missing, format!("there is no program `{program}`"))
            } else {
                Fault::harmless(FaultKind::Failed, format!("`{program}` cannot be run: {error}"))
            };
            Some(fault.hint(packages))
        })
    }

    /// The command line of a relay that brings one connection of a guest to the server, for QEMU to run. `None`: there
    /// cannot be a server.
    ///
    pub(super) fn relay(&self, vm: VmId) -> Result<Option<String>, Fault> {
        if !self.node.settings.nfs_server || !self.is_meant() || !geteuid().is_root() {
            return Ok(None);
        }
        let _lock = self.lock(Deadline::NONE)?;
        let mut state = self.state()?;
        let port = self.port(&mut state)?;
        self.save(&state)?;
        Ok(Some(config::relay(port, vm)))
    }

    /// Whether the node has guests that a server is for.
    fn is_meant(&self) -> bool {
        self.node.settings.guests == GuestKind::Qemu
    }

    /// Makes sure that the server can serve these directories.
    pub(super) fn check(&self, entries: &[ExportEntry]) -> Result<(), Fault> {
        if !self.is_meant() {
            return Ok(());
        }
        if let Some(fault) = self.lacks() {
            return Err(fault);
        }
        for ExportEntry { path, .. } in entries {
            let real = self.node.host_path(&self.node.behind_export(path)?)?;
            let clients = Clients::All;
            if !real.is_dir() {
                return Err(Fault::harmless(FaultKind::Missing, format!("{path}: no such directory")));
            }
            let served = Served { id: 1, real: path_text(&real)?, path: path.clone(), clients };
            config::print(FIRST_PORT, "/", &[served]).map_err(|what| Fault::harmless(FaultKind::Refused, what))?;
        }
        Ok(())
    }

    /// Makes the server serve a VM what is exported to it, if anything is.
    pub(super) fn serve_to(&self, vm: VmId, deadline: Deadline) -> Result<(), Fault> {
        let exported = || self.node.exports_on_host(&|owner| owner == vm);
        if self.is_meant() && self.node.settings.nfs_server && !exported()?.is_empty() {
            return self.serve(deadline);
        }
        Ok(())
    }

    /// Makes a server that runs serve no more than what is exported still.
    pub(super) fn withdraw(&self, deadline: Deadline) -> Result<(), Fault> {
        if process::alive(&self.file("pid"))?.is_some() { self.serve(deadline) } else { Ok(()) }
    }

    /// Makes the server serve what the node exports, and nothing else; starts it if it does not run.
    fn serve(&self, deadline: Deadline) -> Result<(), Fault> {
        if let Some(fault) = self.lacks() {
            return Err(fault);
        }
        let _lock = self.lock(deadline)?;
        let mut state = self.state()?;
        let served = self.served(&mut state)?;
        let pid = process::alive(&self.file("pid"))?;
        let port = if pid.is_some() { state.port } else { None };
        let port = port.map_or_else(|| self.port(&mut state), Ok)?;
        self.save(&state)?;
        let refused = |what| Fault::harmless(FaultKind::Refused, what);
        let text = config::print(port, &path_text(&self.real()?)?, &served).map_err(refused)?;
        let file = self.file("ganesha.conf");
        let same = files::read(&file)?.is_some_and(|old| old == text);
        if !same {
            files::replace(&file, &self.file("ganesha.conf.new"), &text)?;
        }
        let time = deadline.left().unwrap_or(TIME).min(TIME);
        match pid {
            None => self.start(port),
            Some(pid) if call::null(port, time) != Answer::Serves => Err(self.silent(pid, time)),
            Some(_) if same => Ok(()),
            Some(pid) => self.reload(pid),
        }
    }

    /// Stops the server if no guest runs.
    pub(super) fn rest(&self) -> Result<(), Fault> {
        if process::alive(&self.file("pid"))?.is_none() {
            return Ok(());
        }
        let _lock = self.lock(Deadline::NONE)?;
        if self.node.machines().running()?.is_empty() { process::end(&self.file("pid"), TIME) } else { Ok(()) }
    }

    /// Stops the server, even if guests need it.
    pub(super) fn stop(&self) -> Result<(), Fault> {
        process::end(&self.file("pid"), TIME)
    }

    /// How the server is. `None`: the node's guests need none.
    pub(super) fn look(&self) -> Result<Option<NfsState>, Fault> {
        if !self.is_meant() {
            return Ok(None);
        }
        let state = self.state()?;
        Ok(Some(match (process::alive(&self.file("pid"))?, state.port) {
            (Some(pid), Some(port)) if call::null(port, Duration::from_secs(2)) == Answer::Serves => {
                NfsState::Serves { pid, port }
            }
            (Some(pid), _) => NfsState::Silent { pid },
            (None, _) => {
                let running = self.node.machines().running()?;
                let exports = self.node.exports_on_host(&|vm| running.contains(&vm))?;
                if exports.iter().any(|export| export.vm.is_some()) { NfsState::Died } else { NfsState::Stopped }
            }
        }))
    }

    /// Every directory that is exported and there, each with its number.
    ///
    /// Who may use a directory may use what lies below it, as with the kernel's server.
    fn served(&self, state: &mut State) -> Result<Vec<Served>, Fault> {
        let mut found: BTreeMap<String, Option<BTreeSet<Ipv4Addr>>> = BTreeMap::new();
        for export in self.node.exports_on_host(&|_| true)? {
            let clients = found.entry(export.path).or_insert_with(|| Some(BTreeSet::new()));
            match export.vm {
                Some(vm) => clients.iter_mut().for_each(|clients| _ = clients.insert(config::source(vm))),
                None => *clients = None,
            }
        }
        // A server that runs takes no number for another directory.
        if process::alive(&self.file("pid"))?.is_none() {
            state.directories.retain(|path, _| found.contains_key(path));
        }
        let mut served = Vec::new();
        for path in found.keys() {
            let Ok(real) = self.node.host_path(&self.node.behind_export(path)?) else { continue };
            if !real.is_dir() {
                continue;
            }
            let mut above = found.iter().filter(|(other, _)| is_above(other, path)).map(|(_, clients)| clients);
            let clients = above.try_fold(BTreeSet::new(), |all, one| Some(&all | one.as_ref()?));
            let id = number(&mut state.directories, path)?;
            let real = real.canonicalize().map_err(files::unread(&real))?;
            served.push(Served {
                id,
                real: path_text(&real)?,
                path: path.clone(),
                clients: clients.map_or(Clients::All, Clients::These),
            });
        }
        Ok(served)
    }

    /// The port of a server that does not run: the one that guests know already, else a free one.
    fn port(&self, state: &mut State) -> Result<u16, Fault> {
        if process::alive(&self.file("pid"))?.is_some() {
            return state.port.ok_or_else(|| Fault::harmless(FaultKind::Garbled, "the NFS server has no known port"));
        }
        let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        if let Some(port) = state.port {
            // A server that has just ended lets go of its port after everything else.
            let end = Instant::now() + LETS_GO;
            while Instant::now() < end {
                if free(&port) {
                    return Ok(port);
                }
                sleep(process::LOOK);
            }
            if !self.node.machines().running()?.is_empty() {
                let what = format!("another program has port {port}, on which running guests expect the NFS server");
                return Err(Fault::harmless(FaultKind::Busy, what)
                    .hint(format!("`ss -ltnp sport = :{port}` names it: end it, or restart the guests")));
            }
        }
        // Somewhere among them, as another node may be looking for one at the same time.
        let some = uuid::Uuid::new_v4().as_fields().1 % PORTS;
        let port = (some..PORTS).chain(0..some).map(|n| FIRST_PORT + n).find(free);
        state.port = port;
        port.ok_or_else(|| Fault::harmless(FaultKind::Failed, "no port of the loopback interface is free"))
    }

    fn state(&self) -> Result<State, Fault> {
        let file = self.file("state.json");
        let Some(text) = files::read(&file)? else { return Ok(State::default()) };
        serde_json::from_str(&text)
            .map_err(|error| Fault::harmless(FaultKind::Garbled, format!("{}: {error}", file.display())))
    }

    fn save(&self, state: &State) -> Result<(), Fault> {
        let text = serde_json::to_string_pretty(state)
            .map_err(|error| Fault::harmless(FaultKind::Failed, error.to_string()))?;
        files::replace(&self.file("state.json"), &self.file("state.json.new"), &(text + "\n"))
    }

    fn lock(&self, deadline: Deadline) -> Result<Lock, Fault> {
        files::make_dir(&self.dir)?;
        files::lock(&self.node.dir.join("locks/nfs.lock"), deadline)
    }
}

/// A path of this machine as text, which is what a configuration file holds.
fn path_text(path: &Path) -> Result<String, Fault> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Fault::harmless(FaultKind::Refused, format!("{}: the NFS server takes only UTF-8 paths", path.display()))
    })
}

/// Whether a directory is another, or above it.
fn is_above(above: &str, path: &str) -> bool {
    let rest = path.strip_prefix(above.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The number of a directory: the one it has, else the first that is free.
fn number(known: &mut BTreeMap<String, u16>, path: &str) -> Result<u16, Fault> {
    if let Some(id) = known.get(path) {
        return Ok(*id);
    }
    let taken: BTreeSet<u16> = known.values().copied().collect();
    let free = (1..u16::MAX).find(|id| !taken.contains(id));
    let id = free.ok_or_else(|| Fault::harmless(FaultKind::Refused, "the NFS server takes no more directories"))?;
    known.insert(path.to_owned(), id);
    Ok(id)
}
