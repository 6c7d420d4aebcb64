//! A Proxmox VE node, driven by its own programs: `qm`, `pvesh`, `pvesm`.
//!
//! A transport: what is to be called and what the answers mean is said in `proxmox`; here is how it gets to a node and
//! back.
//!
//! - `command`: call → argv, pure. `answer`: output → fault, pure. `observe`: the node's state from one script.
//! - `guest`: the guest agent, by its own socket (`agent`) or by `qm`. `files`: directories on the node. `job`: what
//!   outlives phoenix.
//!
//! Nothing of a config ever becomes part of a script: scripts are fixed texts, values are their arguments.

mod agent;
mod answer;
pub mod command;
mod copying;
mod files;
mod guest;
mod image;
mod job;
mod observe;
mod secrets;
mod snippets;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::proxmox::task::{self, Task};
use super::runner::{Command, Output, Runner};
use command::HERE;

use crate::hypervisor::{About, Cloning, Effect, Fault, FaultKind, FileOp, Guests, HostFiles, HostOp, Hypervisor};
use crate::model::{CloudImage, VmId};
use crate::observed::{COPY, Export, Observed, Place, VmObserved};

/// How long a look may take. Perl needs a second to start; a busy node needs several.
const LOOK: Duration = Duration::from_mins(1);

/// Where things are on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Proxmox' cluster file system: `/etc/pve`.
    pub pve: String,
    /// What stands before every other path: empty on a real node.
    pub root: String,
}

impl Default for Layout {
    fn default() -> Self {
        Self { pve: "/etc/pve".to_owned(), root: String::new() }
    }
}

/// A Proxmox VE node.
pub struct Qm {
    runner: Box<dyn Runner>,
    layout: Layout,
    project: String,
}

impl Qm {
    /// A node whose programs the runner reaches, for no project: to be looked at.
    #[must_use]
    pub fn new(runner: Box<dyn Runner>, layout: Layout) -> Self {
        Self { runner, layout, project: String::new() }
    }

    /// The same node for a project, which what is begun there belongs to.
    #[must_use]
    pub fn of_project(self, project: &str) -> Self {
        Self { project: project.to_owned(), ..self }
    }

    /// Runs a command that must end with status 0.
    fn run(&self, command: &Command) -> Result<Output, Fault> {
        let output = self.runner.run(command)?;
        if output.status == 0 { Ok(output) } else { Err(answer::fault(command, &output)) }
    }

    /// Runs a fixed script with arguments; only looks.
    fn look(&self, name: &str, text: &str, arguments: &[&str]) -> Result<Output, Fault> {
        self.run(&Command::look(script(name, text, arguments), LOOK))
    }

    /// Paths of the node, one a line.
    fn lines(&self, paths: &[String]) -> Result<Vec<u8>, Fault> {
        let line = |path: &String| Ok(self.on_node(path)? + "\n");
        Ok(paths.iter().map(line).collect::<Result<String, Fault>>()?.into_bytes())
    }

    /// The running tasks, and the programs that copy disks, one a line.
    fn tasks(&self) -> Result<(Vec<Task>, String), Fault> {
        let output = self.look("phoenix-tasks", observe::TASKS, &[&self.layout.root])?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (tasks, processes) = text.split_once("\nprocesses\n").unwrap_or((&text, ""));
        Ok((task::parse(tasks)?, processes.to_owned()))
    }

    /// The targets of the clones among running tasks; `None` for one that cannot be told.
    fn clone_targets(&self, tasks: &[Task]) -> Result<Vec<Option<VmId>>, Fault> {
        let target = |task: &Task| {
            if let Some(line) = task.first_line() {
                return Ok(task::target_in(line));
            }
            match self.run(&Command::look(command::command(&task.beginning(HERE)), LOOK)) {
                Ok(output) => Ok(task::clone_target(&output.stdout)),
                // It ended in the meantime, or its log cannot be read: nothing is known about its target.
                Err(fault) if matches!(fault.kind, FaultKind::Unreachable | FaultKind::TimedOut) => Err(fault),
                Err(_) => Ok(None),
            }
        };
        tasks.iter().filter(|task| task.clones()).map(target).collect()
    }
}

/// The argv of a fixed script; `name` is its `$0`.
fn script(name: &str, text: &str, arguments: &[&str]) -> Vec<String> {
    let fixed = ["/bin/sh", "-c", text, name];
    fixed.iter().chain(arguments).map(|word| (*word).to_owned()).collect()
}

/// `phoenix-vm PVE ROOT VMID`: a mark with the name of the node, the power state, and the configuration.
///
/// A VM runs if the process in its pid file is its QEMU (recorded: `-pidfile /var/run/qemu-server/VMID.pid`). `qm
/// status` would say the same and take a second; it is asked only where there is no directory for pid files.
const VM: &str = r#"set -u
conf="$1/qemu-server/$3.conf" pids="$2/var/run/qemu-server"
[ -d "$1/qemu-server/" ] || { echo "$1/qemu-server cannot be read" >&2; exit 3; }
[ -f "$conf" ] || exit 0
read -r node <"$2/proc/sys/kernel/hostname" || exit 1
echo "found ${node%%.*}"
if [ -d "$pids" ]; then
  state=stopped
  if read -r pid <"$pids/$3.pid" && [ -n "$pid" ] &&
    tr '\0' '\n' <"$2/proc/$pid/cmdline" | grep -qxF "/var/run/qemu-server/$3.pid"; then
    state=running
  fi 2>/dev/null
  echo "status: $state"
else
  qm status "$3" 2>/dev/null || echo "status: unknown"
fi
cat "$conf"
"#;

impl Hypervisor for Qm {
    fn about(&self) -> About {
        About { label: format!("Proxmox VE on {}", self.runner.place()), simulated: false }
    }

    fn observe_with(&self, directories: &[String]) -> Result<Observed, Fault> {
        let argv = script("phoenix-observe", observe::SCRIPT, &[&self.layout.pve, &self.layout.root]);
        let command = Command { stdin: self.lines(directories)?, ..Command::look(argv, LOOK) };
        let output = self.run(&command)?;
        let files = observe::unpack(&output.stdout)?;
        let clones = self.clone_targets(&observe::tasks(&files)?)?;
        observe::read(&files, &clones, directories, &self.layout.root)
    }

    fn vm(&self, vm: VmId) -> Result<Option<VmObserved>, Fault> {
        let output = self.look("phoenix-vm", VM, &[&self.layout.pve, &self.layout.root, &vm.to_string()])?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(rest) = text.strip_prefix("found ") else { return Ok(None) };
        let Some((node, (status, conf))) =
            rest.split_once('\n').and_then(|(node, rest)| Some((node, rest.split_once('\n')?)))
        else {
            return Err(Fault::harmless(FaultKind::Garbled, format!("the node's answer about VM {vm} is cut off")));
        };
        match status {
            "status: running" => Ok(Some(VmObserved::from_conf(vm, conf, true).on(node))),
            "status: stopped" => Ok(Some(VmObserved::from_conf(vm, conf, false).on(node))),
            other => Err(Fault::harmless(FaultKind::Garbled, format!("the node says of VM {vm}: `{other}`"))),
        }
    }

    fn volumes(&self, vm: VmId) -> Result<Vec<String>, Fault> {
        let output = self.look("phoenix-volumes", VOLUMES, &[&vm.to_string()])?;
        let text = String::from_utf8_lossy(&output.stdout);
        // `Volid Format Type Size VMID`, one header per storage.
        Ok(text
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|word| word.contains(':'))
            .map(ToOwned::to_owned)
            .collect())
    }

    fn volumes_of(&self, vms: &[VmId], storages: &[&str]) -> Result<BTreeMap<VmId, Vec<String>>, Fault> {
        // Of one VM, storages need not tell all volumes.
        let one = if let [vm] = vms { vm.to_string() } else { String::new() };
        let output = self.look("phoenix-volumes-of", VOLUMES_OF, &[&[one.as_str()], storages].concat())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut found: BTreeMap<VmId, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (volume, vm) = (words.next().unwrap_or_default(), words.next_back().and_then(|vm| vm.parse().ok()));
            if let Some(vm) = vm.filter(|vm| volume.contains(':') && vms.contains(vm)) {
                found.entry(vm).or_default().push(volume.to_owned());
            }
        }
        Ok(found)
    }

    fn isos(&self, storages: &[&str]) -> Result<BTreeMap<String, BTreeSet<String>>, Fault> {
        let output = self.look("phoenix-isos", ISOS, storages)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut found: BTreeMap<String, BTreeSet<String>> =
            storages.iter().map(|storage| ((*storage).to_owned(), BTreeSet::new())).collect();
        for volume in text.lines().filter_map(|line| line.split_whitespace().next()) {
            if let Some(on) = volume.split_once(':').and_then(|(storage, _)| found.get_mut(storage)) {
                on.insert(volume.to_owned());
            }
        }
        Ok(found)
    }

    fn cloning(&self, vm: VmId) -> Result<Cloning, Fault> {
        let (tasks, processes) = self.tasks()?;
        // A `qemu-img` whose parent was killed goes on writing (recorded); it names the volume.
        if processes.lines().any(|line| copying::writes_volume_of(line, vm)) {
            return Ok(Cloning::Yes);
        }
        Ok(task::cloning(&self.clone_targets(&tasks)?, vm))
    }

    fn working(&self, vm: VmId) -> Result<Option<String>, Fault> {
        let (tasks, processes) = self.tasks()?;
        let task = task::on_disks(&tasks).remove(&vm);
        Ok(task.or_else(|| copying::copying(&processes, vm).then(|| COPY.to_owned())))
    }

    fn image_size(&self, image: &CloudImage) -> Result<Option<u64>, Fault> {
        self.measure(image).map(Some)
    }

    fn perform(&self, op: &HostOp, deadline: Duration) -> Result<(), Fault> {
        if let HostOp::FetchImage { image, .. } = op {
            return self.fetch_image(image, deadline);
        }
        let commands = match op {
            HostOp::ImportDisk { vm, image, storage, digest } => vec![self.import(*vm, image, storage, digest)],
            _ => command::commands(op),
        };
        for argv in commands {
            let command = Command::change(argv, deadline);
            let output = match op {
                // Half a copy is worth nothing: it does not end with phoenix, nor with the connection.
                HostOp::Clone { target, .. } => self.detached(&format!("clone-{target}"), &command)?,
                HostOp::Snapshot { vm, .. } => self.detached(&format!("snapshot-{vm}"), &command)?,
                HostOp::RemoveSnapshot { vm, .. } => self.detached(&format!("delsnapshot-{vm}"), &command)?,
                HostOp::Rollback { vm, .. } => self.detached(&format!("rollback-{vm}"), &command)?,
                HostOp::Template { vm, .. } => self.detached(&format!("template-{vm}"), &command)?,
                HostOp::Migrate { vm, .. } => self.detached(&format!("migrate-{vm}"), &command)?,
                HostOp::MoveDisk { vm, .. } => self.detached(&format!("move-{vm}"), &command)?,
                HostOp::ImportDisk { vm, .. } => self.detached(&format!("import-{vm}"), &command)?,
                _ => self.runner.run(&secrets::with(&command, op))?,
            };
            if output.status != 0 {
                return Err(answer::fault(&command, &secrets::hidden(output, op)));
            }
            // `qm disk resize` exits 0 when its task failed; only standard error tells (recorded), and what holds for
            // one task of a disk may hold for another. A storage that warns of something says so there, too: the caller
            // has to look.
            if matches!(op, HostOp::Resize { .. } | HostOp::MoveDisk { .. }) && !output.stderr.trim().is_empty() {
                let fault = answer::fault(&command, &output);
                let effect = if fault.kind == FaultKind::Failed { Effect::Maybe } else { fault.effect };
                return Err(Fault { effect, ..fault });
            }
        }
        Ok(())
    }

    fn tidy(&self) -> Result<Vec<String>, Fault> {
        self.tidy_jobs()
    }

    fn guests(&self) -> &dyn Guests {
        self
    }

    fn files(&self) -> Option<&dyn HostFiles> {
        Some(self)
    }
}

impl HostFiles for Qm {
    fn places(&self, directories: &[String]) -> Result<BTreeMap<String, Place>, Fault> {
        let argv = script("phoenix-places", observe::PLACES, &[&self.layout.root]);
        let command = Command { stdin: self.lines(directories)?, ..Command::look(argv, LOOK) };
        observe::places(&self.run(&command)?.stdout, directories, &self.layout.root)
    }

    fn exports(&self, vm: VmId) -> Result<Vec<Export>, Fault> {
        self.read_exports(vm)
    }

    fn write(&self, op: &FileOp, deadline: Duration) -> Result<(), Fault> {
        match op {
            FileOp::MakeDirectory { path } => self.make_directory(path, deadline),
            FileOp::WriteSnippet { path, text, .. } => self.write_snippet(path, text, deadline),
            FileOp::RemoveSnippet { path, .. } => self.remove_snippet(path, deadline),
            FileOp::WriteExports { vm, entries } => self.write_exports(*vm, entries, deadline),
        }
    }
}

/// `phoenix-volumes VMID`: the volumes of a VMID on every storage that takes VM disks. Backups bear VMIDs, too, and are
/// in no one's way.
const VOLUMES: &str = r#"set -u
storages=$(pvesm status --content images) || exit 1
printf '%s\n' "$storages" | while read -r storage type status rest; do
  [ "$status" = active ] || continue
  pvesm list "$storage" --content images --vmid "$1" || exit 1
done
"#;

/// `phoenix-isos STORAGE…`: the ISO images on these storages.
const ISOS: &str = r#"set -u
for storage do
  pvesm list "$storage" --content iso || exit 1
done
"#;

/// `phoenix-volumes-of VMID STORAGE…`: the volumes on these storages: a call for each, however many VMs are asked
/// about; of all VMs if there is no VMID.
const VOLUMES_OF: &str = r#"set -u
vm=$1
shift
for storage do
  pvesm list "$storage" --content images ${vm:+--vmid "$vm"} || exit 1
done
"#;
