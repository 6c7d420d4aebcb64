//! Starting a QEMU.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::clock::now_ms;
use super::super::disk_image;
use super::super::files::{self, Deadline, unread, unwritten};
use super::super::machines::Machines as _;
use super::machine::{CONSOLE, Disk, Machine, PID, Run, SEED};
use super::program::{PROGRAM, without_qemu};
use super::qmp::Qmp;
use super::{LOG, PAUSE, Qemu, Started, agent, qmp, seed};
use crate::hypervisor::{Fault, FaultKind};
use crate::model::VmId;
use crate::observed::Conf;

/// How long a QEMU may take until its monitor answers.
const STARTING: Duration = Duration::from_mins(1);

/// How long others may look at the lock of a machine that does not run.
const LOOKING: Duration = Duration::from_secs(1);

/// How often another port is tried when another process took the one that was free.
const PORTS: u32 = 3;

/// Puts a program into a session of its own, so that neither the end of a terminal nor Ctrl-C reaches it.
const DETACH: &str = "setsid";

impl Qemu<'_> {
    /// Makes the cloud-init drive of a machine that has one anew: its guest reads it when it boots next.
    pub(in super::super) fn seed_anew(&self, vm: VmId, conf: &Conf<'_>) -> Result<(), Fault> {
        let path = self.dir(vm).join(SEED);
        if !path.exists() {
            return Ok(());
        }
        std::fs::write(&path, seed::of(vm, conf, self.node.custom(conf)?)?).map_err(unread(&path))
    }

    /// Starts the machine and returns when its monitor answers.
    pub(super) fn launch(&self, vm: VmId, conf: &Conf<'_>, deadline: Deadline) -> Result<(), Fault> {
        let bridges = &self.node.settings.bridges;
        let address_of = |bridge: &str| -> Option<Ipv4Addr> { bridges.get(bridge)?.as_ref()?.parse().ok() };
        let machine = Machine::of(vm, &conf.to_string(), &address_of)?;
        self.has_images(vm, &machine)?;
        self.fits(vm, machine.memory_mb)?;
        let (accelerator, _) = self.accelerator()?;
        let relay = self.node.nfs().relay(vm)?;
        self.node.nfs().serve_to(vm, deadline)?;
        let dir = self.dir(vm);
        files::make_dir(&dir)?;
        // From here on no other process starts it, even if this process dies: QEMU gets the lock with its log.
        let mut log = hold(vm, &dir.join(LOG))?;
        for name in [qmp::SOCKET, agent::SOCKET, CONSOLE, PID] {
            files::remove(&dir.join(name))?;
        }
        if machine.cloud_init {
            self.write_seed(vm, conf)?;
        }
        let last = self.started(vm).ok().map(|started| started.ssh_port);
        let end = Instant::now() + deadline.left().unwrap_or(STARTING).min(STARTING);
        for attempt in 1.. {
            let ssh_port = free_port(last.filter(|_| attempt == 1))?;
            let started = Started {
                at_ms: now_ms(),
                ssh_port,
                accelerator: accelerator.to_owned(),
                memory_mb: machine.memory_mb,
                uuid: machine.uuid.clone(),
            };
            self.note(vm, &started)?;
            let run = Run { accelerator, ssh_port, relay: relay.as_deref() };
            let arguments = machine.arguments(run, &|disk| self.relative(vm, disk));
            log.set_len(0).map_err(unread(&dir.join(LOG)))?;
            let mut child = spawn(&dir, &arguments, &log)?;
            match self.await_monitor(vm, &mut child, end) {
                // The server may have been stopped since, with what seemed to be the last guest.
                Ok(()) => return self.node.nfs().serve_to(vm, deadline),
                Err(fault) if attempt < PORTS && said(&mut log).contains("host forwarding rule") => drop(fault),
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Makes the drive with cloud-init's data, which may hold a password's hash.
    fn write_seed(&self, vm: VmId, conf: &Conf<'_>) -> Result<(), Fault> {
        let path = self.dir(vm).join(SEED);
        let bytes = seed::of(vm, conf, self.node.custom(conf)?)?;
        files::remove(&path)?;
        let mut file =
            OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path).map_err(unread(&path))?;
        file.write_all(&bytes).map_err(unwritten(&path))
    }

    /// Where the image of a drive lies, as seen from the machine's directory.
    fn relative(&self, vm: VmId, disk: &Disk) -> String {
        let path = if disk.is_cd {
            self.node.iso_file(&disk.volume).ok()
        } else {
            self.node.volumes_on_disk().file(&disk.volume, vm)
        };
        let below = path.as_deref().and_then(|path| path.strip_prefix(&self.node.dir).ok());
        format!("../../{}", below.unwrap_or(Path::new("")).display())
    }

    fn has_images(&self, vm: VmId, machine: &Machine) -> Result<(), Fault> {
        let refused = |what: String| Err(Fault::harmless(FaultKind::Refused, what));
        for disk in &machine.disks {
            if disk.is_cd {
                if !disk.is_empty() {
                    self.node.iso_file(&disk.volume)?;
                }
                continue;
            }
            let Some(path) = self.node.volumes_on_disk().file(&disk.volume, vm) else {
                return refused(format!("{} of VM {vm} is not a volume of this node: `{}`", disk.device, disk.volume));
            };
            if !path.exists() {
                return Err(Fault::harmless(FaultKind::Missing, format!("volume '{}' does not exist", disk.volume)));
            }
            if !disk_image::is_image(&path)? {
                return refused(format!("{} of VM {vm} has no image: nothing can boot from it", disk.device)).map_err(
                    |fault| fault.hint("make the VM from a template of `phoenix node add-template NAME --image FILE`"),
                );
            }
        }
        Ok(())
    }

    /// Refuses a machine for which the node has no memory left. Unlike Proxmox, which lets VMs take more than there is.
    fn fits(&self, vm: VmId, memory_mb: u64) -> Result<(), Fault> {
        let others = self.running()?.into_iter().filter(|other| *other != vm);
        let taken: u64 = others.filter_map(|other| self.started(other).ok()).map(|started| started.memory_mb).sum();
        let all = self.node.settings.memory_mb;
        if taken.saturating_add(memory_mb) <= all {
            return Ok(());
        }
        let what = format!(
            "start failed: VM {vm} needs {memory_mb} MiB of memory, and {taken} of the node's {all} MiB are taken"
        );
        Err(Fault::harmless(FaultKind::Failed, what)
            .hint("stop another VM, or raise `memory_mb` in the node's node.json"))
    }

    fn note(&self, vm: VmId, started: &Started) -> Result<(), Fault> {
        let failed = |error: serde_json::Error| Fault::harmless(FaultKind::Failed, error.to_string());
        let text = serde_json::to_string(started).map_err(failed)?;
        let temporary = self.node.dir.join(format!("tmp/started-{vm}"));
        files::replace(&self.dir(vm).join("started.json"), &temporary, &text)
    }

    /// Waits until the monitor of a QEMU that was started answers. One that has not in time is ended.
    fn await_monitor(&self, vm: VmId, child: &mut Child, end: Instant) -> Result<(), Fault> {
        let dir = self.dir(vm);
        loop {
            match child.try_wait() {
                Ok(None) => {}
                // What DETACH says of a program that it does not find.
                Ok(Some(status)) if status.code() == Some(127) => {
                    let what = format!("there is no program `{PROGRAM}`");
                    return Err(without_qemu(Fault::harmless(FaultKind::Missing, what)));
                }
                Ok(Some(status)) => {
                    let said = files::read(&dir.join(LOG))?.unwrap_or_default();
                    let said = said.lines().filter(|line| !line.contains("warning: ")).collect::<Vec<_>>().join("\n");
                    let how = status
                        .code()
                        .map_or("was ended by a signal".to_owned(), |code| format!("exited with code {code}"));
                    let what = format!("start failed: QEMU {how}\n{said}");
                    return Err(Fault::harmless(FaultKind::Failed, what.trim_end()));
                }
                Err(error) => return Err(unwritten(&dir)(error)),
            }
            let left = end.saturating_duration_since(Instant::now());
            let answered = Qmp::connect(&dir, left).and_then(|monitor| monitor.map(|mut qmp| qmp.status()).transpose());
            match answered {
                Ok(Some(_)) => return Ok(()),
                _ if !left.is_zero() => sleep(PAUSE),
                _ => {
                    let _ = child.kill().and_then(|()| child.wait());
                    let what = "start failed: QEMU's monitor did not answer in time";
                    return Err(Fault::harmless(FaultKind::TimedOut, what));
                }
            }
        }
    }
}

/// Takes the lock that says that a machine runs.
fn hold(vm: VmId, path: &Path) -> Result<File, Fault> {
    let file = OpenOptions::new().create(true).truncate(false).read(true).append(true).open(path);
    let file = file.map_err(unread(path))?;
    let end = Instant::now() + LOOKING;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < end => sleep(Duration::from_millis(10)),
            Err(TryLockError::WouldBlock) => {
                return Err(Fault::harmless(FaultKind::Failed, format!("VM {vm} already running")));
            }
            Err(TryLockError::Error(error)) => return Err(unread(path)(error)),
        }
    }
}

fn spawn(dir: &Path, arguments: &[String], log: &File) -> Result<Child, Fault> {
    let stream = || log.try_clone().map(Stdio::from).map_err(unread(dir));
    let mut command = Command::new(DETACH);
    command.arg(PROGRAM).args(arguments).current_dir(dir).env("LC_ALL", "C.UTF-8");
    let started = command.stdin(Stdio::null()).stdout(stream()?).stderr(stream()?).spawn();
    started.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Fault::harmless(FaultKind::Missing, format!("there is no program `{DETACH}`"))
            .hint("`apt-get install util-linux` brings it"),
        _ => Fault::harmless(FaultKind::Failed, format!("QEMU cannot be started: {error}")),
    })
}

/// Most bytes of what a QEMU printed.
const MOST_SAID: u64 = 1 << 20;

/// What a QEMU printed.
fn said(log: &mut File) -> String {
    let mut text = String::new();
    let _ = log.seek(SeekFrom::Start(0)).and_then(|_| log.take(MOST_SAID).read_to_string(&mut text));
    text
}

/// A port of the loopback interface that no process listens on: the one of last time, if it is free.
fn free_port(last: Option<u16>) -> Result<u16, Fault> {
    let listener = last
        .and_then(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .map_or_else(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)), Ok);
    let port = listener.and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|error| {
        Fault::harmless(FaultKind::Failed, format!("no port is free on the loopback interface: {error}"))
    })
}
